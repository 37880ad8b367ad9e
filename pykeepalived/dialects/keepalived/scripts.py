"""From a command line in the file to a `Script` that may run: user, path, rights (keepalived-behaviour 6.2)."""

from __future__ import annotations

import copy
import posixpath
import stat
from typing import Final, NamedTuple

from pykeepalived.diagnostics import ExitClass
from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft, RawScript
from pykeepalived.dialects.keepalived.host import FileFacts, may_execute
from pykeepalived.model import Script, User
from pykeepalived.syntax import Statement

_DEFAULT_ACCOUNT: Final = "keepalived_script"
_SEARCH_DIRECTORIES: Final = 64


class Scripts:
    """Resolves all scripts of one load; each (command, user) is looked at once."""

    def __init__(self, context: Context, settings: Draft | None) -> None:
        self._context = context
        self.security = bool(settings and settings.get("enable_script_security"))
        self.default_user = self._script_user(settings)
        self._known: dict[tuple[str, User], str | None] = {}
        self._exists: set[tuple[str, User]] = set()
        self._owners: dict[tuple[str, str | None] | None, User] = {}
        """Who runs a script of which such a user is written (None: none)."""
        self._said: set[str] = set()
        """Findings that are made once."""

    def in_context(self, context: Context) -> Scripts:
        """The same scripts, which know what these know, and say in another context what is to be said.

        What that context refuses to hear leaves nothing behind: these say it then.
        """
        other = copy.copy(self)
        other._context = context
        return other

    def _script_user(self, settings: Draft | None) -> User | None:
        """`script_user`, or None when it is not set or unusable."""
        if settings is None or "script_user" not in settings.values:
            return None
        name, group = settings.values["script_user"]
        return self.user(name, group, settings.where["script_user"])

    def user(
        self, name: str, group: str | None, statement: Statement, exit_class: ExitClass = ExitClass.GENERAL
    ) -> User | None:
        """Look up a user and perhaps a group; unknown ones are reported."""
        found = self._context.host.user(name)
        if found is None:
            self._context.error("unknown-user", f"user `{name}` does not exist", statement, exit_class=exit_class)
            return None
        if group is not None:
            gid = self._context.host.group(group)
            if gid is None:
                self._context.error(
                    "unknown-group", f"group `{group}` does not exist", statement, exit_class=exit_class
                )
                return None
            found = User(found.name, found.uid, gid)
        return found

    def _implied_user(self, statement: Statement) -> User | None:
        if self.default_user is not None:
            return self.default_user
        account = self._context.host.user(_DEFAULT_ACCOUNT)
        if account is not None:
            return account
        own = self._context.host.own_user()
        if self.security and own.uid == 0:
            self._context.error(
                "no-script-user",
                "the script has no user, and with enable_script_security root is not taken by itself; it is left out",
                statement,
                help=f"write `script_user USER` in global_defs, or make an account `{_DEFAULT_ACCOUNT}`",
            )
            return None
        return own

    def resolve(
        self,
        raw: RawScript | None,
        user: tuple[str, str | None] | None = None,
        user_at: Statement | None = None,
        *,
        tracked: bool = False,
    ) -> Script | None:
        """The script that runs, or None when there is none or it is refused (which is reported).

        keepalived's -t counts what is wrong with a vrrp_script (`tracked`) only (found with 2.2.7 and 2.4.3); what is
        wrong with other scripts is said all the same. An unknown user of a MISC_CHECK (`user`) counts too.
        """
        if raw is None or not raw.argv:
            return None
        statement = raw.statement
        exit_class = ExitClass.GENERAL if tracked else ExitClass.NONE
        # The script line of a vrrp_script has no user; words behind the command are not looked at.
        chosen = user or ((raw.user, raw.group) if raw.user is not None and not tracked else None)
        owner = self._owners.get(chosen)
        if owner is None:
            if chosen is not None:
                at = user_at or statement
                owner = self.user(chosen[0], chosen[1], at, ExitClass.GENERAL if user else exit_class)
            else:
                owner = self._implied_user(statement)
            if owner is None:
                return None
            self._owners[chosen] = owner
        if raw.argv[0].startswith("<") and raw.argv[0][1:].lstrip().startswith("/"):
            # The old test "can this file be opened", which a shell makes.
            return Script(("/bin/sh", "-c", " ".join(raw.argv)), owner)
        key = (raw.argv[0], owner)
        if key in self._exists:
            self._count_as_used(statement)
        if key not in self._known:
            self._known[key] = self._path(raw.argv[0], owner, statement, exit_class)
        path = self._known[key]
        if path is None:
            return None
        return Script((path, *raw.argv[1:]), owner)

    def _count_as_used(self, statement: Statement) -> None:
        """The first script that exists without enable_script_security is reported."""
        if self.security or "script-security" in self._said:
            return
        self._context.warning(
            "script-security",
            "scripts run without enable_script_security",
            statement,
            help="write `enable_script_security` in global_defs",
            exit_class=ExitClass.SECURITY,
        )
        self._said.add("script-security")

    def forget_use(self) -> None:
        """The scripts so far do not count: the next one that runs is reported again."""
        self._said.clear()

    def _path(self, command: str, owner: User, statement: Statement, exit_class: ExitClass) -> str | None:
        host = self._context.host
        path = command
        if "/" not in command:
            found = self._search(command)
            if found is None:
                self._context.error(
                    "script-not-found",
                    f"`{command}` is not in the path, it is left out",
                    statement,
                    exit_class=exit_class,
                )
                return None
            path = found
            self._context.warning(
                "script-by-search",
                f"`{command}` is found by search",
                statement,
                help=f"write `{path}`",
                exit_class=ExitClass.NONE,
            )
        try:
            facts = host.file(path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self._context.error(
                "script-not-found", f"`{path}` cannot be used: {reason}", statement, exit_class=exit_class
            )
            return None
        self._exists.add((command, owner))
        self._count_as_used(statement)
        if not may_execute(facts, owner):
            self._context.warning(
                "script-not-executable",
                f"`{path}` is not executable for {owner.name} ({owner.uid}:{owner.gid}), it is left out",
                statement,
                help=f"chmod a+x {path}" if stat.S_ISREG(facts.mode) else None,
                exit_class=ExitClass.NONE,
            )
            return None
        if self.security and self._as_root(facts.mode, facts.uid, facts.gid, owner):
            weak = self._weak_part(path)
            if weak is not None:
                self._context.error(
                    "script-unsafe",
                    f"`{path}` runs as root and others may change `{weak.part}` ({weak.reason}), it is left out",
                    statement,
                    help=weak.help,
                    exit_class=exit_class,
                )
                return None
            self._say_if_linked(path, statement, exit_class)
        return path

    def _say_if_linked(self, path: str, statement: Statement, exit_class: ExitClass) -> None:
        """keepalived 2.4.3 takes a link in the middle of a path for a directory that everybody may write.

        On a system whose /bin is a link it so disables /bin/anything. We run the script: nobody but root can change
        such a link.
        """
        directory = posixpath.dirname(posixpath.normpath(path))
        try:
            real = self._context.host.real_path(directory)
        except (OSError, ValueError):
            return
        if path.startswith("/") and real != directory:
            self._context.warning(
                "script-behind-link",
                f"`{directory}` leads over a link to `{real}`, keepalived 2.4.3 does not run a script there",
                statement,
                help=f"write `{posixpath.join(real, posixpath.basename(path))}`",
                exit_class=exit_class,
            )

    @staticmethod
    def _as_root(mode: int, uid: int, gid: int, owner: User) -> bool:
        set_uid = bool(mode & stat.S_ISUID) and uid == 0
        set_gid = bool(mode & stat.S_ISGID) and gid == 0
        return owner.uid == 0 or set_uid or set_gid

    def _search(self, command: str) -> str | None:
        for directory in self._context.host.search_path().split(":")[:_SEARCH_DIRECTORIES]:
            path = posixpath.join(directory or ".", command)
            try:
                facts = self._context.host.file(path)
            except (OSError, ValueError):
                continue
            if stat.S_ISREG(facts.mode) and facts.mode & 0o111:
                return path
        return None

    def _weak_part(self, path: str) -> WeakPart | None:
        """The first part of the written or of the real path that others than root could change."""
        host = self._context.host
        absolute = posixpath.normpath(posixpath.join("/", path))
        paths = [absolute]
        try:
            paths.append(host.real_path(path))
        except (OSError, ValueError) as error:
            return WeakPart(path, f"it cannot be followed: {error}")
        for whole in paths:
            parts = whole.strip("/").split("/")
            for count in range(len(parts) + 1):
                part = "/" + "/".join(parts[:count])
                try:
                    facts = host.file(part)
                except OSError as error:
                    return WeakPart(part, f"it cannot be looked at: {error.strerror or error}")
                if (weak := weakness(part, facts)) is not None:
                    return weak
        return None


class WeakPart(NamedTuple):
    """A part of a path that others than root could change."""

    part: str
    reason: str
    help: str | None = None


def weakness(part: str, facts: FileFacts) -> WeakPart | None:
    """Whom a file or directory lets change it besides root: its owner, its group, everybody."""
    mode = f"mode {stat.S_IMODE(facts.mode):04o}"
    if facts.uid != 0:
        return WeakPart(part, f"it belongs to uid {facts.uid}, {mode}", f"chown root {part}")
    if stat.S_ISDIR(facts.mode) and facts.mode & stat.S_ISVTX:
        return None
    if facts.mode & stat.S_IWOTH:
        return WeakPart(part, f"{mode}: everybody may write", f"chmod go-w {part}")
    if facts.mode & stat.S_IWGRP and facts.gid != 0:
        return WeakPart(part, f"{mode}: its group, gid {facts.gid}, may write", f"chmod g-w {part}")
    return None

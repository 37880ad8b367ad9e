"""Words, command lines and blocks as keepalived.conf writes them: the opposite of `pykeepalived.syntax`.

A plain word has no escapes: what holds a double quote, a line end or one of the predefined variables cannot be written
and is listed instead. Command lines and regular expressions have escapes, so everything can stand in them.
"""

from __future__ import annotations

import grp
import pwd
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from pykeepalived.model import Script, User

_PLAIN: Final = re.compile(r"(?!include)[A-Za-z0-9_./:,+%-][A-Za-z0-9_./:,=+%@-]*")
_UNSAYABLE: Final = re.compile(r'["\n\r\0]|\$\{?_(?:PWD|INSTANCE|HASH|BANG|ENV|RANDOM)\b')
#: What a command line may hold without an escape, between the quotes that stand around all of it.
_BARE: Final = re.compile(r"[A-Za-z0-9_./:,=+%@<>;&|()*?#!\[\]^-]+")
_HARMLESS: Final = re.compile(r"[A-Za-z0-9_./:,=+%@<>;&|()*?#!\[\]^{} -]")


class CannotSay(Exception):
    """A value that no spelling gives; the text says why."""


def word(text: str) -> str:
    """One word, quoted where it must be. Raises CannotSay."""
    if _PLAIN.fullmatch(text):
        return text
    if _UNSAYABLE.search(text):
        raise CannotSay(f"`{''.join(char if char.isprintable() else '?' for char in text)}` cannot be written")
    return f'"{text}"'


def decimal(duration_us: int, unit_us: int = 1_000_000) -> str:
    """A duration in its unit without needless zeros."""
    whole, part = divmod(duration_us, unit_us)
    digits = f"{part * 1_000_000 // unit_us:06d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def _escaped(text: str, backslash: str) -> str:
    """Each character that means something to one of the readers as a number; `backslash` is how a `\\` gets through."""
    return "".join(
        char if _HARMLESS.fullmatch(char) or ord(char) > 0x7F else f"{backslash}x{ord(char):02x}" for char in text
    )


def pattern(text: str) -> str:
    """A regular expression in quotes: read once, so one backslash starts an escape."""
    return '"' + "\\\\".join(_escaped(part, "\\") for part in text.split("\\")) + '"'


def command(argv: tuple[str, ...]) -> str:
    """A command line in quotes. It is read twice: the quotes around all of it first, then the words between them."""
    parts = []
    for argument in argv:
        if _BARE.fullmatch(argument):
            parts.append(argument)
            continue
        inner = _escaped(argument, "\\\\")
        # An escape means nothing between single quotes, so what needs one stands without them.
        parts.append(inner.replace(" ", "\\\\x20") if "\\" in inner else f"'{inner}'")
    return f'"{" ".join(parts)}"'


class Accounts(Protocol):
    """Names of users and groups, to write down whom a script runs as."""

    def primary_group(self, user: str) -> int | None: ...

    def group_name(self, gid: int) -> str | None: ...


class SystemAccounts:
    """Those of this machine."""

    def primary_group(self, user: str) -> int | None:
        try:
            return pwd.getpwnam(user).pw_gid
        except (KeyError, ValueError):
            return None

    def group_name(self, gid: int) -> str | None:
        try:
            return grp.getgrgid(gid).gr_name
        except (KeyError, ValueError, OverflowError):
            return None


class Writer:
    """Collects lines. With `everything` a word that says its own default is written too."""

    def __init__(self, accounts: Accounts, *, everything: bool) -> None:
        self.everything = everything
        self.lines: list[str] = []
        self.unsaid: list[str] = []
        self.forced: frozenset[str] = frozenset()
        """Keywords whose default something else in the text changes: they are always written."""
        self.skipped: frozenset[str] = frozenset()
        """Keywords that stand in the text already."""
        self.defaults: frozenset[str] = frozenset()
        """Keywords of instances that global_defs has said for all of them."""
        self.silent: frozenset[str] = frozenset()
        """Keywords whose default is not worth a line: even that would count as a use of a word without effect."""
        self._accounts = accounts
        self._depth = 0

    def raw(self, text: str) -> None:
        self.lines.append("    " * self._depth + text)

    def line(self, *words: object) -> None:
        """A statement: a keyword and words that are quoted where they must be."""
        if words[0] in self.skipped:
            return
        try:
            self.raw(" ".join(word(str(item)) for item in words))
        except CannotSay as reason:
            self.cannot(f"{words[0]}: {reason}")

    def cannot(self, what: str) -> None:
        """List what the language has no words for; a comment stands in its place."""
        self.unsaid.append(what)
        self.raw(f"# not expressed: {''.join(char if char.isprintable() else '?' for char in what)}")

    @contextmanager
    def block(self, *words: object) -> Iterator[None]:
        """A block; its head is not written when nothing can say its name."""
        try:
            head = " ".join(word(str(item)) for item in words)
        except CannotSay as reason:
            raise CannotSay(f"{words[0]}: {reason}") from None
        self.raw(f"{head} {{")
        self._depth += 1
        yield
        self._depth -= 1
        self.raw("}")

    def gap(self) -> None:
        if self.lines and self.lines[-1]:
            self.lines.append("")

    # ── one keyword ──────────────────────────────────────────────────────────────────────────────────────────────

    def value(self, keyword: str, value: object, default: object = None) -> None:
        """`keyword value`, unless it is the default."""
        if value is not None and (value != default or self._wanted(keyword)):
            self.line(keyword, value)

    def _wanted(self, keyword: str) -> bool:
        return (self.everything and keyword not in self.silent) or keyword in self.forced

    def seconds(self, keyword: str, duration_us: int | None, default_us: int | None = None) -> None:
        if duration_us is not None and (duration_us != default_us or self._wanted(keyword)):
            self.line(keyword, decimal(duration_us))

    def flag(self, keyword: str, value: bool) -> None:
        """A keyword that stands alone."""
        if value:
            self.line(keyword)

    def switch(self, keyword: str, value: bool, default: bool = False) -> None:
        """A keyword with an optional truth value."""
        if value != default or self._wanted(keyword):
            self.line(keyword, *(() if value else ("false",)))

    # ── scripts ──────────────────────────────────────────────────────────────────────────────────────────────────

    def user_words(self, user: User | None) -> tuple[str, ...]:
        """`USER` or `USER GROUP`."""
        if user is None:
            return ()
        if self._accounts.primary_group(user.name) in (user.gid, None):
            return (user.name,)
        group = self._accounts.group_name(user.gid)
        if group is None:
            self.cannot(f"group {user.gid} of user {user.name} has no name here")
            return (user.name,)
        return (user.name, group)

    def script(self, keyword: str, script: Script | None, *, with_user: bool = True) -> None:
        if script is None or keyword in self.skipped:
            return
        users = self.user_words(script.user) if with_user else ()
        try:
            self.raw(" ".join([keyword, command(script.argv), *(word(item) for item in users)]))
        except CannotSay as reason:
            self.cannot(f"{keyword}: {reason}")

"""`pyldirectord`: ldirectord's command line (ldirectord-behaviour 2).

Every action reads the configuration first, as in ldirectord. Unlike there, a bad or missing file never touches a daemon
that runs: `stop` stops it, `status` sees it, `reload` and `restart` leave it alone and say why. With
`--compat strict`, or `# pyldirectord: compat=strict` as the file's first line, a bad file fails `stop` and `status`
too.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from pykeepalived import LDIRECTORD_VERSION, __version__
from pykeepalived.cli import names
from pykeepalived.diagnostics import Diagnostic, Severity
from pykeepalived.diagnostics.render import full, short
from pykeepalived.runtime.ldirectord_execute import command_line
from pykeepalived.runtime.ldirectord_instance import Instance, Running, claim, find_instance, look, send
from pykeepalived.runtime.ldirectord_log import LdirectordLog, Output

if TYPE_CHECKING:
    from pykeepalived.dialects.ldirectord import LoadResult
    from pykeepalived.runtime.ldirectord_reload import FileWatch

ACTIONS: Final = ("start", "stop", "restart", "try-restart", "reload", "force-reload", "status")

EXIT_ERROR: Final = 1
EXIT_CONFIGURATION: Final = 2
EXIT_STOPPED: Final = 3
EXIT_USAGE: Final = 255

#: restart waits this long for the old daemon.
_RESTART_LIMIT_S: Final = 30.0

USAGE: Final = """\
Usage:
    ldirectord [-d|--debug] [--compat strict] [--] [CONFIG] start | stop |
               restart | try-restart | reload | force-reload | status
    ldirectord -t|--config-test [CONFIG]
    ldirectord -h|-?|--help
    ldirectord -v|--version

CONFIG is looked for in /etc/ha.d, in /etc/ha.d/conf and as a path; without it
the name is ldirectord.cf.

    -d, --debug        stay in the foreground and log to standard error
    -t, --config-test  read CONFIG, show what there is to say about it, and
                       exit: 0 it can be used, 1 not found, 2 it has errors
    --compat strict    answer like ldirectord where pyldirectord is wiser; the
                       same as `# pyldirectord: compat=strict` in the file
"""

VERSION: Final = f"""\
Linux Director v{LDIRECTORD_VERSION}
pykeepalived {__version__}, which takes the place of ldirectord 4.12

pyldirectord comes with ABSOLUTELY NO WARRANTY. It is free software under the
GNU General Public License, version 2 or later.
"""

_FLAGS: Final = {
    "d": "debug", "debug": "debug", "t": "test", "config-test": "test",
    "h": "help", "?": "help", "help": "help", "v": "version", "version": "version",
}  # fmt: skip


class _UsageError(Exception):
    """The command line cannot be read; the text, if any, goes before the usage."""


class LdirectordCommand(click.Command):
    """Options come first, may be bundled, and are never cut short; words after the action are not looked at."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.params = read_command_line(args)
        ctx.args = []
        return []


def read_command_line(words: list[str]) -> dict[str, Any]:
    """The words as parameters of `command`. Raises _UsageError."""
    flags: set[str] = set()
    rest = list(words)
    strict = False
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        if word == "--compat" or word.startswith("--compat="):
            mode = word[9:] if word != "--compat" else (rest.pop(0) if rest else "")
            if mode != "strict":
                raise _UsageError("Option compat takes the word strict")
            strict = True
            continue
        letters = [word[2:]] if word.startswith("--") else list(word[1:])
        for letter in letters:
            # A letter behind two dashes is no long option.
            if letter not in _FLAGS or (word.startswith("--") and len(letter) == 1):
                raise _UsageError(f"Unknown option: {letter}")
            flags.add(_FLAGS[letter])
    values: dict[str, Any] = {"debug": "debug" in flags, "strict": strict, "config": None, "action": ""}
    for question in ("help", "version"):
        if question in flags:
            return values | {"action": question}
    if "test" in flags:
        return values | {"action": "test", "config": rest[0] if rest else None}
    if len(rest) == 1:
        values["action"] = rest[0]
    elif rest:
        values["config"], values["action"] = rest[:2]
    if values["action"] not in ACTIONS:
        raise _UsageError("")
    return values


def _without_options(words: list[str]) -> list[str]:
    """What stands behind the options, as the log has it."""
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        if word == "--compat":
            rest = rest[1:]
    return rest


@click.command(cls=LdirectordCommand, add_help_option=False)
def command(debug: bool, strict: bool, config: str | None, action: str) -> None:
    """Start, stop or ask ldirectord."""
    if action == "help":
        click.echo(USAGE, nl=False)
    elif action == "version":
        click.echo(VERSION, nl=False)
    elif action == "test":
        sys.exit(_test(find_instance(config), strict=strict))
    else:
        sys.exit(Action(find_instance(config), action, debug=debug, strict=strict).run())


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry point. `arguments` None: those of the process."""
    words = list(sys.argv[1:]) if arguments is None else arguments
    # A cluster's agent looks for `/usr/sbin/ldirectord CONFIG start` in the process list.
    by_path = os.path.isabs(sys.argv[0]) and os.path.basename(sys.argv[0]) == "ldirectord"  # noqa: PTH117, PTH119
    names.adopt_name("ldirectord", words, path=sys.argv[0] if by_path else None)
    try:
        command.main(args=words, prog_name="ldirectord", standalone_mode=False)
    except _UsageError as error:
        if str(error):
            click.echo(str(error), err=True)
        click.echo(USAGE, nl=False)
        sys.exit(EXIT_USAGE)
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(EXIT_ERROR)
    except Exception as error:
        # A defect, or a system without room for another process: one line, never a traceback.
        click.echo(f"ldirectord: internal error: {type(error).__name__}: {error}", err=True)
        sys.exit(EXIT_ERROR)
    sys.exit(0)


class Action:
    """One call of the program."""

    def __init__(self, instance: Instance, action: str, *, debug: bool, strict: bool = False) -> None:
        self._strict = strict
        self._executes: tuple[str, ...] = ()
        self._instance = instance
        self._action = action
        self._debug = debug
        self._log = LdirectordLog(instance.name, Output.STDERR if debug else Output.LOGFILE)
        self._watch: FileWatch | None = None

    def run(self) -> int:
        """Returns the exit code."""
        instance, action = self._instance, self._action
        running = look(instance)
        if instance.path is None and not (running.pid and action in {"stop", "status"}):
            return self._not_found()
        result = self._read()
        if result is not None and not result.ok:
            return self._bad_file(result, running)
        self._log.info(f"Invoking ldirectord invoked as: {' '.join([sys.argv[0], *_without_options(sys.argv[1:])])} ")
        match action:
            case "start":
                return 0 if running.pid else self._start(result)
            case "stop":
                return self._stop(running)
            case "restart":
                return self._restart(running, result)
            case "try-restart":
                return self._restart(running, result) if running.pid else 0
            case "status":
                return self._status(running)
            case _:
                return self._reload(running)

    # ---- the file ----

    def _read(self) -> LoadResult | None:
        """None: there is no file. What is to be said is said to those who start something."""
        from pykeepalived.dialects.ldirectord import load  # noqa: PLC0415 (pyparsing is costly to import)
        from pykeepalived.runtime.ldirectord_reload import FileWatch  # noqa: PLC0415

        if self._instance.path is None:
            return None
        # Before the file is read: a change in between is then seen, not missed.
        self._watch = FileWatch(self._instance.absolute_path)
        result = load(self._instance.path, strict=self._strict)
        if not result.ok:
            return result
        settings = result.config.ldirectord
        if settings is not None:
            if settings.supervised and not self._debug:
                self._log = LdirectordLog(self._instance.name, Output.STDOUT)
            self._log.settle(settings.logfile)
            self._executes = settings.execute
        if self._action in {"start", "restart", "try-restart"}:
            show(item for item in result.findings.items if item.severity is not Severity.NOTE)
        return result

    def _not_found(self) -> int:
        text = f"Config file {self._instance.typed} not found"
        click.echo(text, err=True)
        self._log.info(text)
        return self._leave(EXIT_ERROR, "Initialisation Error")

    def _bad_file(self, result: LoadResult, running: Running) -> int:
        """The daemon that runs is left alone; a question about it, and a wish to stop it, are answered."""
        show(item for item in result.findings.items if item.severity is Severity.ERROR)
        settings = result.config.ldirectord
        strict = settings is not None and settings.compat_strict
        if running.pid and not strict:
            if self._action == "stop":
                return self._stop(running)
            if self._action == "status":
                return self._status(running)
        if not running.pid and not strict and self._action in {"stop", "try-restart"}:
            return 0
        click.echo(f"{self._instance.shown}: the configuration has errors", err=True)
        if result.mendable:
            path = shlex.quote(self._instance.shown)
            click.echo(f"to mend it: keepalivedctl fix {path} > fixed.cf", err=True)
        return self._leave(EXIT_CONFIGURATION, "config_error: Configuration Error")

    def _leave(self, code: int, reason: str) -> int:
        self._log.info(f"Exiting with exit_status {code}: {reason}")
        return code

    # ---- actions ----

    def _start(self, result: LoadResult | None) -> int:
        from pykeepalived.runtime import ldirectord_daemon  # noqa: PLC0415
        from pykeepalived.runtime.ldirectord_reload import Reading  # noqa: PLC0415

        assert result is not None
        assert self._watch is not None
        settings = result.config.ldirectord
        launch = ldirectord_daemon.Launch(
            instance=self._instance,
            reading=Reading(result.config, tuple(result.findings.items)),
            watch=self._watch,
            log=self._log,
            strict=self._strict,
        )
        if self._debug or (settings is not None and settings.supervised):
            return ldirectord_daemon.run_here(launch)
        pid_file = claim(self._instance)
        if isinstance(pid_file, str):
            text = f"Can not open {self._instance.pid_path}: {pid_file}"
            click.echo(text, err=True)
            self._log.info(text)
            return self._leave(EXIT_ERROR, "Initialisation Error")
        why = ldirectord_daemon.start_daemon(launch, pid_file)
        if why is not None:
            click.echo(f"ldirectord: {why}", err=True)
            return self._leave(EXIT_ERROR, "Initialisation Error")
        return 0

    def _stop(self, running: Running) -> int:
        if not running.pid:
            return 0
        return self._signal(running, signal.SIGTERM)

    def _restart(self, running: Running, result: LoadResult | None) -> int:
        from pykeepalived.runtime.ldirectord_daemon import wait_for_end  # noqa: PLC0415

        if running.pid:
            code = self._signal(running, signal.SIGTERM)
            if code:
                return code
            if not wait_for_end(self._instance, limit_s=_RESTART_LIMIT_S):
                click.echo(f"ldirectord: process {running.pid} does not end", err=True)
                return self._leave(EXIT_ERROR, f"process {running.pid} does not end")
        return self._start(result)

    def _reload(self, running: Running) -> int:
        if not running.pid:
            self._log.info(f"ldirectord is stopped for {self._instance.shown}")
            return self._leave(EXIT_ERROR, f"Exiting from ldirectord {self._action}")
        return self._signal(running, signal.SIGHUP)

    def _status(self, running: Running) -> int:
        shown = self._instance.shown
        leaving = "Exiting from ldirectord status"
        if running.pid:
            text = f"ldirectord for {shown} is running with pid: {running.pid}"
            click.echo(text, err=True)
            for name in self._executes:
                # As ldirectord does: after our own answer each answers for itself; its exit code is not looked at.
                subprocess.run(["/bin/sh", "-c", command_line(sys.argv[0], name, "status")], check=False, timeout=60)
            self._log.info(text)
            self._log.info(leaving)
            return 0
        if running.stale:
            text = f"ldirectord stale pid file {self._instance.pid_path} for {shown}"
            click.echo(text, err=True)
            self._log.info(text)
        click.echo(f"ldirectord is stopped for {shown}")
        return self._leave(EXIT_ERROR if running.stale else EXIT_STOPPED, leaving)

    def _signal(self, running: Running, number: signal.Signals) -> int:
        problem = send(running.pid, number)
        if problem is None:
            return 0
        click.echo(f"ldirectord: cannot signal process {running.pid}: {problem}", err=True)
        return self._leave(EXIT_ERROR, f"cannot signal process {running.pid}: {problem}")


def show(findings: Any) -> None:
    """Findings on standard error: with the lines they are about on a terminal, else one line each."""
    terminal = sys.stderr.isatty()
    for finding in findings:
        click.echo(full(finding, colour=True) if terminal else short(finding), err=True)


def _test(instance: Instance, *, strict: bool) -> int:
    """Read a file and say everything that there is to say about it."""
    from pykeepalived.dialects.ldirectord import SystemHost, load  # noqa: PLC0415

    if instance.path is None:
        click.echo(f"Config file {instance.typed} not found", err=True)
        return EXIT_ERROR
    # Only the daemon's user has to be able to write the logs.
    result = load(instance.path, host=SystemHost(check_writable=os.geteuid() == 0), strict=strict)
    findings: list[Diagnostic] = result.findings.items
    show(findings)
    if result.ok:
        click.echo(f"{instance.path}: the configuration can be used")
        return 0
    if result.mendable:
        click.echo(f"to mend it: keepalivedctl fix {shlex.quote(instance.path)} > fixed.cf", err=True)
    return EXIT_CONFIGURATION


if __name__ == "__main__":
    main()

"""What every command that talks to a daemon shares: its options, its exit codes, the way to the daemon.

Exit codes: 0 done, 1 refused or not found, 2 wrong use or several daemons to choose from, 3 no daemon runs.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn, TypeVar

import click
import msgspec

from pykeepalived.runtime import control
from pykeepalived.runtime.boot import CONTROL_VARIABLE, STATE_VARIABLE, state_base
from pykeepalived.runtime.pidfiles import RUN_DIRECTORY
from pykeepalived.runtime.status import network_namespace

EXIT_REFUSED: Final = 1
EXIT_CHOICE: Final = 2
EXIT_NOT_RUNNING: Final = 3

#: A machine may be busy when somebody asks what is wrong with it.
_PATIENCE_S: Final = 30.0
#: One of several daemons that hangs must not keep the others from being found for long.
_IDENTITY_S: Final = 10.0

Command = TypeVar("Command", bound=Callable[..., Any])


def socket_option(function: Command) -> Command:
    """`--socket PATH`, as the argument `path`."""
    return click.option(
        "--socket", "path", metavar="PATH", envvar=CONTROL_VARIABLE, help="Control socket of the daemon."
    )(function)


def json_option(function: Command) -> Command:
    """`--json`, as the argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="The whole answer as JSON.")(function)


def ask(path: str | None, command: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
    """The daemon's answer; ends the program with the right exit code when there is none."""
    try:
        return control.ask(path or choose_socket(), command, arguments, timeout_s=_PATIENCE_S)
    except (control.NotRunning, control.ControlError) as error:
        fail(error)


def stream(path: str | None, command: str, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The daemon's answers as they come; ends the program when the daemon does."""
    try:
        yield from control.follow(path or choose_socket(), command, arguments)
    except (control.NotRunning, control.ControlError) as error:
        fail(error)


def fail(error: Exception) -> NoReturn:
    """Say why there is no answer, and end."""
    if isinstance(error, control.NotRunning):
        click.echo(f"keepalivedctl: no daemon is running ({error})", err=True)
        sys.exit(EXIT_NOT_RUNNING)
    click.echo(f"keepalivedctl: {error}", err=True)
    sys.exit(EXIT_REFUSED)


def print_json(body: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(body)).decode())


def print_line(body: Any) -> None:
    """One line of JSON."""
    click.echo(msgspec.json.encode(body))


def clean(text: object) -> str:
    """Text from the network or a file must not steer the terminal."""
    return "".join(char if char.isprintable() else "?" for char in str(text))


def duration(seconds: float) -> str:
    """`5s`, `3m20s`, `2h05m`, `4d03h`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def choose_socket() -> str:
    """The socket of the only daemon, or of the only one in our network namespace; ends the program if there is none.

    Raises NotRunning when no daemon answers.
    """
    alive: list[tuple[str, dict[str, Any]]] = []
    for path in [path for place in socket_places() for path in control.find_sockets(place)]:
        try:
            alive.append((path, control.ask(path, "identity", timeout_s=_IDENTITY_S)))
        except (control.NotRunning, control.ControlError):
            continue
    if not alive:
        raise control.NotRunning(f"no control socket below {state_base()} answers")
    here = network_namespace()
    near = [found for found in alive if found[1].get("network_namespace") == here] or alive
    if len(near) == 1:
        return near[0][0]
    click.echo("keepalivedctl: several daemons are running; choose one with --socket:", err=True)
    for path, identity in near:
        click.echo(f"  {path}  (pid {identity.get('pid')}, {identity.get('configuration')})", err=True)
    sys.exit(EXIT_CHOICE)


def choose_socket_or_end() -> str:
    """As `choose_socket`; ends the program as well when no daemon runs."""
    try:
        return choose_socket()
    except control.NotRunning as error:
        fail(error)


def socket_places() -> list[str]:
    """Directories below which daemons of this machine have their sockets."""
    base = state_base()
    if STATE_VARIABLE in os.environ:
        return [base]
    # Who may not write to the usual place keeps daemons elsewhere, and may still be let in by root's.
    return list(dict.fromkeys((base, f"{RUN_DIRECTORY}/pykeepalived")))


def clock(at: float) -> str:
    """An instant in local time, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))

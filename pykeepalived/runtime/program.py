"""The contract between the host of a child process and the program that runs in it.

The host (`runtime.child`) forks, sets names, priorities, signals, logging and the channel to the parent, makes a
reactor and a script runner, and then hands over to a program: `vrrp_process.VrrpProgram` or
`checker_process.CheckerProgram`. A program never forks, never touches signals and never talks to the parent itself.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Protocol, runtime_checkable

import msgspec

from pykeepalived.model.config import Config
from pykeepalived.processes.scripts import Launcher, RunResult, ScriptRunner
from pykeepalived.reactor import Reactor

__all__ = ["FIRST_PART", "Context", "Logger", "Options", "Program", "RunResult", "ScriptRunner", "StatusPart"]


class Logger(Protocol):
    """Writes log lines the way keepalived does (ident, facility, console form)."""

    def info(self, text: str) -> None: ...

    def detail(self, text: str) -> None:
        """Written with -D only."""
        ...

    def error(self, text: str) -> None: ...


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Command-line options that programs look at."""

    release_on_stop: bool = True
    """False: -V, leave addresses."""
    release_ipvs_on_stop: bool = True
    """False: -I, leave IPVS."""
    log_detail: int = 0
    address_monitoring: bool = False
    """-a: log every address that comes or goes."""
    ipvs_namespace: str | None = None
    """A file of the network namespace of IPVS; None: that of the daemon."""
    state_directory: str = "/run/pykeepalived"


class StatusPart(msgspec.Struct, frozen=True):
    """Which part of a checker's virtual servers a status shows.

    So many of them take longer to write down than checks may wait, so they come in pages: whole virtual servers from
    number `first` on, until `servers` real servers are among them. 0: the counts alone.
    """

    first: Annotated[int, msgspec.Meta(ge=0)] = 0
    servers: Annotated[int, msgspec.Meta(ge=0, le=2000)] = 1000


FIRST_PART: Final = StatusPart()


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the host gives a program."""

    reactor: Reactor
    log: Logger
    scripts: ScriptRunner
    options: Options
    finished: Callable[[int], None]
    """Call with an exit code when an orderly stop is done, or when the program cannot go on."""
    emit: Callable[[str, Mapping[str, Any]], None]
    """Publish an event (`vrrp-state`, `real-server`, …) to the parent, for `keepalivedctl events` and mails."""
    remember: Callable[[Mapping[str, str]], None] = lambda facts: None
    """Have the parent keep facts for a successor of this process; an empty value makes it forget one."""
    memory: Mapping[str, str] = {}
    """What a process that was killed a moment ago had remembered."""
    bfd: Mapping[str, socket.socket] = {}
    """Our ends of the ways between the BFD process and its listeners (`runtime.bfd_link`), by listener."""
    ask: Callable[[str, Mapping[str, Any], Callable[[dict[str, Any]], None]], None] = lambda *question: None
    """Put a request of the control socket's table to the parent. The function gets each answer: `ok`, and `result` or
    `error`; a request that streams has more than one."""
    launcher: Launcher | None = None
    """Runs programs whose end must be waited for, without a fork here; None: there is none."""


@runtime_checkable
class Commanded(Protocol):
    """A program that carries out commands of the control socket."""

    def command(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The answer; with the key `error` it is a refusal, in words."""
        ...


class Program(Protocol):
    """A child's work. All methods are called on the reactor's thread and return at once."""

    def start(self, config: Config) -> None: ...

    def reload(self, config: Config) -> None:
        """Change to another generation. Unchanged objects keep their state; no exception for any valid model."""
        ...

    def stop(self) -> None:
        """Begin an orderly stop; ends in `Context.finished`."""
        ...

    def status(self, part: StatusPart = FIRST_PART) -> dict[str, Any]:
        """JSON-able snapshot for the control socket, cheap and without side effects. `part` is for the checkers."""
        ...

    def dump(self, kind: str) -> str | None:
        """Text of keepalived's dump files: kind is data, stats or json; None: this program has no such file.

        Kind `stats_clear` is stats, and the counters begin again at zero.
        """
        ...

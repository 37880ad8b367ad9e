"""A child process from its fork to its last line: what the supervisor calls, and the host of the program inside.

The child is forked without exec (docs/design.md, decision 12): configuration and modules are shared with the parent.
So it first gets rid of what must not live twice (descriptors, locks, sockets), and it never returns into the parent's
code: whatever happens, it ends in `os._exit`.
"""

from __future__ import annotations

import gc
import os
import random
import resource
import signal
import socket
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final, NoReturn

import msgspec

from pykeepalived.model.config import Config
from pykeepalived.processes import names
from pykeepalived.processes.runner import Runner
from pykeepalived.reactor import Reactor
from pykeepalived.runtime import signals
from pykeepalived.runtime.accounts import default_script_user
from pykeepalived.runtime.capabilities import keep_only, of_agents, of_bfd, of_checkers
from pykeepalived.runtime.channel import (
    Answered,
    AskCommand,
    AskDump,
    AskStatus,
    Channel,
    Dump,
    FromParent,
    Happened,
    Ping,
    Pong,
    Question,
    Ready,
    Reload,
    Reloaded,
    Remember,
    Status,
    WantReload,
    delta_of,
    parent_decoder,
    prepare_for_reloads,
)
from pykeepalived.runtime.generation_delta import whole
from pykeepalived.runtime.logging import DaemonLogger, LogSettings
from pykeepalived.runtime.process_settings import AutoPriority, ProcessSettings
from pykeepalived.runtime.program import Commanded, Context, Options, Program, StatusPart
from pykeepalived.units import SECOND_US

EXIT_FATAL: Final = 1
EXIT_CONFIG: Final = 2
EXIT_PERMISSION: Final = 4
EXIT_SOFTWARE: Final = 70

#: A program that was told to stop and does not finish is ended by its host, even when no parent is left to kill it.
_STOP_LIMIT_US: Final = 20 * SECOND_US


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What one sort of child is called."""

    word: str
    """In pid files, file names and the control socket: vrrp, checker, bfd or agents."""
    title: str
    """In the parent's log lines: `Starting TITLE child process`."""
    ident: str
    """In syslog."""
    log_suffix: str
    dump_names: Mapping[str, str]
    """Dump kind → file name without directory."""


VRRP: Final = Kind(
    word="vrrp",
    title="VRRP",
    ident="Keepalived_vrrp",
    log_suffix="_vrrp",
    dump_names={
        "data": "keepalived.data",
        "stats": "keepalived.stats",
        "stats_clear": "keepalived.stats",
        "json": "keepalived.json",
    },
)
CHECKER: Final = Kind(
    word="checker",
    title="Healthcheck",
    ident="Keepalived_healthcheckers",
    log_suffix="_healthcheckers",
    dump_names={"data": "keepalived_check.data"},
)

BFD: Final = Kind(
    word="bfd",
    title="BFD",
    ident="Keepalived_bfd",
    log_suffix="_bfd",
    dump_names={"data": "keepalived_bfd.data"},
)

AGENTS: Final = Kind(
    word="agents",
    title="Agents",
    ident="Keepalived_agents",
    log_suffix="_agents",
    dump_names={},
)

ProgramFactory = Callable[[Context], Program]


class ChildSetup(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a child starts from."""

    kind: Kind
    factory: ProgramFactory
    config: Config
    options: Options
    log_settings: LogSettings
    dump_configuration: bool = False
    """-d: write what the program has made of the configuration to the log."""
    memory: Mapping[str, str] = {}
    """What its predecessor had remembered, if that was killed a moment ago."""
    bfd_ends: Mapping[str, socket.socket] = {}
    """What it inherits of the ways between the BFD process and its listeners."""


def fork_child(setup: ChildSetup) -> tuple[int, socket.socket]:
    """Start a child. Returns its pid and our end of its channel. Raises OSError when the system refuses."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    parent = os.getpid()
    # Frozen: a collection in either process would write to the shared pages of every object, and the child must
    # never finalise objects that own descriptors of the parent.
    gc.freeze()
    pid = os.fork()
    if pid == 0:
        _child_main(setup, far, parent)
    far.close()
    return pid, near


def _child_main(setup: ChildSetup, channel: socket.socket, parent: int) -> NoReturn:
    code = EXIT_SOFTWARE
    try:
        # The parent may have forked before it had switched collections on again.
        gc.enable()
        names.close_descriptors([channel.fileno(), *(end.fileno() for end in setup.bfd_ends.values())])
        if names.die_with_parent(signal.SIGTERM, parent):
            code = ChildHost(setup, channel).run()
    finally:
        os._exit(code)


class ChildHost:
    """Makes a program's surroundings, runs it, and passes on what the parent and the signals say."""

    def __init__(self, setup: ChildSetup, channel: socket.socket) -> None:
        self._setup = setup
        self._log = DaemonLogger(setup.kind.ident, setup.log_settings, file_suffix=setup.kind.log_suffix)
        self._reactor = Reactor(on_error=lambda error: self._log.error(f"Internal error: {describe(error)}"))
        self._runner = Runner(self._reactor, self._log.error, default_user=default_script_user(setup.config.globals))
        self._channel = Channel(self._reactor, channel, parent_decoder, self._heard, self._stop)
        self._exit_code: int | None = None
        self._stopping = False
        self._program: Program | None = None
        self._config = setup.config
        """The generation that the parent knows us to have."""
        self._numbers = count(1)
        self._questions: dict[int, Callable[[dict[str, Any]], None]] = {}
        self._process = ProcessSettings(setup.kind.word, self._log.error)
        self._auto_priority = AutoPriority(self._log.info, setup.kind.title)

    def run(self) -> int:
        """Run until the program is finished; returns the exit code."""
        log = self._log
        try:
            if self._setup.kind is not AGENTS:
                # The agents run no scripts: a helper with all rights would only be there for whoever breaks in.
                self._runner.start()
            self._settle(self._setup.config)
            if (seed := self._setup.config.globals.daemon.random_seed) is not None:
                random.seed(seed)
            program = self._setup.factory(self._context())
            self._program = program
            # A start makes much and drops little of it: collections would only look at all of it again and again.
            gc.disable()
            program.start(self._setup.config)
        except Exception as error:
            log.error(f"Cannot start: {describe(error)}")
            self._exit_code = EXIT_PERMISSION if isinstance(error, PermissionError) else EXIT_SOFTWARE
        if self._exit_code is None:
            gc.freeze()
            gc.enable()
            self._give_up_rights()
            signals.SignalWatcher(self._reactor, self._signal, (*signals.HANDLED, signal.SIGXCPU))
            self._send(Ready())
            self._reactor.call_soon(prepare_for_reloads)
            if self._setup.dump_configuration:
                for line in (program.dump("data") or "").splitlines():
                    log.info(line)
            self._reactor.run()
        self._runner.close()
        self._channel.drain(1.0)
        self._say_goodbye()
        return self._exit_code or 0

    def _settle(self, config: Config) -> None:
        """Be what global_defs say about this process; the script runner, older than this, stays as it was."""
        settings = config.globals
        self._process.apply(settings)
        self._runner.default_user = default_script_user(settings)
        self._runner.all_groups = settings.daemon.set_supplementary_groups
        wanted = self._auto_priority.configure(settings)
        self._reactor.on_late = self._auto_priority.late if wanted else None

    def _give_up_rights(self) -> None:
        """Who talks to strangers all day keeps few rights; VRRP needs nearly all that it has."""
        settings = self._setup.config.globals
        if self._setup.kind is CHECKER:
            wanted = of_checkers(settings, other_namespace=self._setup.options.ipvs_namespace is not None)
        elif self._setup.kind is BFD:
            wanted = of_bfd(settings)
        elif self._setup.kind is AGENTS:
            wanted = of_agents(settings)
            # Its user may be root: no program that it starts is to get back what it gives up.
            names.no_new_privileges()
        else:
            return
        try:
            keep_only(wanted)
        except OSError as error:
            self._log.error(f"Cannot give up rights that are not needed - {error.strerror}")

    def _context(self) -> Context:
        return Context(
            reactor=self._reactor,
            log=self._log,
            scripts=self._runner,
            options=self._setup.options,
            finished=self._finished,
            emit=self._emit,
            remember=lambda facts: self._send(Remember(dict(facts))),
            memory=self._setup.memory,
            bfd=self._setup.bfd_ends,
            launcher=self._runner,
            ask=self._ask,
        )

    def _ask(self, command: str, arguments: Mapping[str, Any], answered: Callable[[dict[str, Any]], None]) -> None:
        number = next(self._numbers)
        self._questions[number] = answered
        self._send(Question(number, command, dict(arguments)))

    def _answered(self, message: Answered) -> None:
        told = self._questions.get(message.id)
        if message.last:
            self._questions.pop(message.id, None)
        if told is not None:
            told(msgspec.json.decode(message.body, type=dict[str, Any]))

    def _finished(self, code: int) -> None:
        if self._exit_code is None:
            self._exit_code = code
        self._reactor.stop()

    def _emit(self, name: str, fields: Mapping[str, Any]) -> None:
        self._send(Happened(name, dict(fields)))

    def _send(self, message: Any) -> None:
        try:
            self._channel.send(message)
        except (UnicodeEncodeError, msgspec.MsgspecError, TypeError) as error:
            self._log.error(f"Internal error: {describe(error)}")

    # ---- what comes in ----

    def _heard(self, message: FromParent) -> None:
        if isinstance(message, Ping):
            self._send(Pong())
            return
        if isinstance(message, Answered):
            self._answered(message)
            return
        program = self._program
        if program is None:
            return
        if isinstance(message, Reload):
            if not self._stopping:
                self._config = whole(self._config, delta_of(message))
                self._reload(program, self._config)
            self._send(Reloaded())
        elif isinstance(message, AskStatus):
            self._send(Status(message.id, self._guarded_status(program, message.part)))
        elif isinstance(message, AskCommand):
            self._send(Status(message.id, self._guarded_command(program, message)))
        elif isinstance(message, AskDump):
            self._dump(message.kind, message.path)

    def _reload(self, program: Program, config: Config) -> None:
        self._log.info("Reloading")
        self._settle(config)
        try:
            program.reload(config)
        except Exception as error:
            self._log.error(f"Internal error: reload: {describe(error)}")

    def _guarded_status(self, program: Program, part: StatusPart) -> dict[str, Any]:
        try:
            return program.status(part)
        except Exception as error:
            self._log.error(f"Internal error: status: {describe(error)}")
            return {"error": describe(error)}

    def _guarded_command(self, program: Program, message: AskCommand) -> dict[str, Any]:
        if message.name == "scripts":
            return {"scripts": self._runner.history.told()}
        if not isinstance(program, Commanded):
            return {"error": f"unknown command {message.name!r}"}
        try:
            return program.command(message.name, message.arguments)
        except Exception as error:
            self._log.error(f"Internal error: {message.name}: {describe(error)}")
            return {"error": describe(error)}

    def _dump(self, kind: str, path: str = "") -> None:
        """Files are written by the parent: this process does not wait for disks."""
        if self._program is None or kind not in self._setup.kind.dump_names:
            return
        if not path:
            name = {"vrrp": "VRRP", "bfd": "BFD"}.get(self._setup.kind.word, self._setup.kind.word)
            self._log.info(signals.DUMP_MESSAGES[kind].format(name=name, pid=os.getpid()))
        try:
            text = self._program.dump(kind)
        except Exception as error:
            self._log.error(f"Internal error: dump: {describe(error)}")
            return
        self._send(Dump(kind, text, path))

    def _signal(self, number: int) -> None:
        if number in {signal.SIGTERM, signal.SIGINT}:
            self._stop()
        elif number == signal.SIGHUP:
            self._send(WantReload())
        elif number == signal.SIGXCPU:
            word = f"{self._setup.kind.word}_rlimit_rttime"
            title = self._setup.kind.title
            self._log.error(f"{title} process has used too much CPU time, {word} may need to be increased")
        elif number in signals.DUMPS:
            self._dump(signals.DUMPS[number])

    def _stop(self) -> None:
        if self._stopping:
            return
        self._stopping = True
        if self._program is None:
            self._finished(0)
            return
        self._reactor.call_later(_STOP_LIMIT_US, lambda: self._finished(EXIT_SOFTWARE))
        try:
            self._program.stop()
        except Exception as error:
            self._log.error(f"Internal error: stop: {describe(error)}")
            self._finished(EXIT_SOFTWARE)

    def _say_goodbye(self) -> None:
        if self._setup.log_settings.detail:
            self._log.info(f"Stopped - used {_times_used()}")
        else:
            self._log.info("Stopped")
        self._log.close()


def describe(error: BaseException) -> str:
    """One line for the log: what went wrong and where, without a traceback."""
    place = ""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is not None:
        code = trace.tb_frame.f_code
        place = f" ({os.path.basename(code.co_filename)}:{trace.tb_lineno} {code.co_name})"  # noqa: PTH119
    return f"{type(error).__name__}: {error}{place}"


def _times_used() -> str:
    """The CPU times of this process, and of its scripts when it has run some."""
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    if others.ru_utime or others.ru_stime:
        user, system = f"{own.ru_utime:.6f}/{others.ru_utime:.6f}", f"{own.ru_stime:.6f}/{others.ru_stime:.6f}"
        return f"(self/children) {user} user time, {system} system time"
    return f"{own.ru_utime:.6f} user time, {own.ru_stime:.6f} system time"

"""One child as the supervisor sees it: its process, its channel, its restarts.

Restart delays are the original's (keepalived-behaviour 3.1): none at first, then 1, 2, 4 … 60 seconds; a child that
lived for more than 60 seconds begins again with none.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from pykeepalived.model.config import Config
from pykeepalived.reactor import Reactor, Timer
from pykeepalived.runtime.channel import (
    AskCommand,
    AskDump,
    AskStatus,
    Channel,
    Dump,
    FromChild,
    Happened,
    Ping,
    Question,
    Ready,
    Reload,
    Reloaded,
    Remember,
    Status,
    WantReload,
    child_decoder,
)
from pykeepalived.runtime.child import ChildSetup, describe, fork_child
from pykeepalived.runtime.child_questions import ChildQuestions
from pykeepalived.runtime.control import Answer, Request
from pykeepalived.runtime.generation_delta import delta
from pykeepalived.runtime.logging import LogSettings
from pykeepalived.runtime.pidfiles import AlreadyRunning, PidFile
from pykeepalived.runtime.program import Logger, Options, StatusPart
from pykeepalived.runtime.programs import ProgramSource
from pykeepalived.runtime.pulse import LIMIT_US, Pulse, waited_us
from pykeepalived.units import SECOND_US

SETTLED_US: Final = 60 * SECOND_US
DELAY_LIMIT_US: Final = 60 * SECOND_US
STATUS_LIMIT_US: Final = 2 * SECOND_US
_FORK_RETRY_US: Final = SECOND_US


def next_delay(previous_us: int | None, lived_us: int) -> int:
    """How long a restart waits, from the wait before (None: there was none yet) and how long the child lived."""
    if previous_us is None or lived_us > SETTLED_US:
        return 0
    return min(DELAY_LIMIT_US, max(SECOND_US, 2 * previous_us))


class SlotEvents(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor wants to hear of."""

    progress: Callable[[], None]
    """A child became ready or finished a reload."""
    want_reload: Callable[[], None]
    dump: Callable[[str, str], None]
    """File name and text."""
    happened: Callable[[str, dict[str, Any]], None]
    asked: Callable[[Request, Answer], None] = lambda request, answer: answer.refuse("nobody answers")
    """A request of the control socket's table, from a child."""


class ChildSlot:
    """The place of one sort of child. `wanted` says whether a process belongs in it."""

    def __init__(
        self,
        source: ProgramSource,
        reactor: Reactor,
        log: Logger,
        *,
        log_settings: LogSettings,
        options: Options,
        dump_configuration: bool,
        pid_file: PidFile,
        events: SlotEvents,
        bfd_ends: Mapping[str, socket.socket],
    ) -> None:
        self.source = source
        self.pid_file = pid_file
        self.pid = 0
        self.wanted = False
        self.ready = False
        self.reloading = False
        self.started_us = 0
        self.restarts = 0
        self.restart_delay_us: int | None = None
        self.memory: dict[str, str] = {}
        """What the process wants its successor to know."""
        self._config: Config | None = None
        self._sent: Config | None = None
        """The generation that the process has, or will have when it has read what is on its way."""
        self._reactor = reactor
        self._log = log
        self._log_settings = log_settings
        self._options = options
        self._dump_configuration = dump_configuration
        self._events = events
        self._bfd_ends = bfd_ends
        self._channel: Channel | None = None
        self._pulse = Pulse(reactor, self._ping, self._fell_silent, waited=lambda: waited_us(self.pid))
        self._restart: Timer | None = None
        self._questions = ChildQuestions(events.asked, lambda message: self._channel and self._channel.send(message))
        self._asked: dict[int, Callable[[dict[str, Any]], None]] = {}
        self._next_id = 0

    @property
    def word(self) -> str:
        return self.source.kind.word

    @property
    def waiting_for_restart(self) -> bool:
        return self._restart is not None and self._restart.callback is not None

    # ---- life ----

    def start(self, config: Config) -> None:
        """Fork the child with this configuration; when the system has no room, try again a second later."""
        self.wanted = True
        self._config = config
        self.memory = {}
        self._fork()

    def _fork(self) -> None:
        if not self.wanted or self.pid or self._config is None:
            return
        part = self.source.part(self._config)
        try:
            setup = ChildSetup(
                kind=self.source.kind,
                factory=self.source.load(),
                config=part,
                options=self._options,
                log_settings=self._log_settings,
                dump_configuration=self._dump_configuration,
                memory=dict(self.memory),
                bfd_ends=self._bfd_ends,
            )
            self.pid, end = fork_child(setup)
        except OSError as error:
            self._log.error(f"Cannot start {self.source.kind.title} child process - {error.strerror}")
            self._restart = self._reactor.call_later(_FORK_RETRY_US, self._fork)
            return
        self._sent = part
        self.started_us = self._reactor.now_us()
        self.ready = False
        self.reloading = False
        self._channel = Channel(self._reactor, end, child_decoder, self._heard, self._deaf)
        try:
            self.pid_file.claim(self.pid)
        except (AlreadyRunning, OSError) as error:
            self._log.error(f"Unable to write pid file {self.pid_file.path} - {error}")
        self._log.info(f"Starting {self.source.kind.title} child process, pid={self.pid}")

    def died(self) -> None:
        """The process was reaped: forget it. Its last messages are read first."""
        if self._channel is not None:
            self._channel.finish_reading()
            self._channel.close()
            self._channel = None
        self._pulse.stop()
        self._questions.end()
        self.pid = 0
        self.ready = False
        self.reloading = False
        for answer in [*self._asked.values()]:
            answer({"error": "the process ended"})
        self._asked.clear()

    def schedule_restart(self) -> int:
        """Start again after the delay that is due, which is returned."""
        self.restart_delay_us = next_delay(self.restart_delay_us, self._reactor.now_us() - self.started_us)
        self.restarts += 1
        self._restart = self._reactor.call_later(self.restart_delay_us, self._fork)
        return self.restart_delay_us

    def terminate(self) -> None:
        """Ask the child to stop in order; it will not be started again."""
        self.wanted = False
        if self._restart is not None:
            self._restart.cancel()
        self.signal(signal.SIGTERM)

    def signal(self, number: int) -> None:
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def clean_up(self) -> None:
        """Put right what the dead process left behind; nothing of it lives on."""
        try:
            self.source.clean_up(self._options, self._log, self.source.part(self._config or Config()))
        except Exception as error:
            title = self.source.kind.title
            self._log.error(f"Cannot clean up after the {title} child process: {describe(error)}")
        if not self.source.keeps_memory:
            self.memory = {}

    # ---- talk ----

    def reload(self, config: Config) -> None:
        """Hand a new generation to the child; a restart from now on begins with it, too."""
        self._config = config
        if self._channel is None:
            return
        try:
            part = self.source.part(config)
            self.reloading = self._channel.send(Reload.to(delta(self._sent, part)))
            if self.reloading:
                self._sent = part
        except (UnicodeEncodeError, msgspec.MsgspecError) as error:
            # A fork carries what a message cannot: begin anew rather than go on with the old generation.
            self._log.error(f"{self.source.kind.title} child process cannot be told of the change ({error})")
            self.signal(signal.SIGTERM)

    def ask_status(self, part: StatusPart, answer: Callable[[dict[str, Any]], None]) -> None:
        """Calls `answer` exactly once, within `STATUS_LIMIT_US`."""
        self._ask(lambda number: AskStatus(number, part), answer)

    def ask_command(self, name: str, arguments: dict[str, Any], answer: Callable[[dict[str, Any]], None]) -> None:
        """`Program.command` in the child; calls `answer` exactly once, within `STATUS_LIMIT_US`."""
        self._ask(lambda number: AskCommand(number, name, arguments), answer)

    def _ask(self, message: Callable[[int], AskStatus | AskCommand], answer: Callable[[dict[str, Any]], None]) -> None:
        self._next_id += 1
        number = self._next_id

        def once(body: dict[str, Any]) -> None:
            if self._asked.pop(number, None) is not None:
                limit.cancel()
                answer(body)

        limit = self._reactor.call_later(STATUS_LIMIT_US, lambda: once({"error": "no answer"}))
        self._asked[number] = once
        if self._channel is None or not self._channel.send(message(number)):
            self._reactor.call_soon(lambda: once({"error": "not running"}))

    def ask_dump(self, kind: str, path: str = "") -> None:
        """`path`: where it goes instead of the file of that kind."""
        if kind in self.source.kind.dump_names and self._channel is not None:
            self._channel.send(AskDump(kind, path))

    def _ping(self) -> None:
        if self._channel is not None:
            self._channel.send(Ping())

    def _fell_silent(self) -> None:
        limit_s = LIMIT_US // SECOND_US
        self._log.error(
            f"{self.source.kind.title} child process({self.pid}) has not answered for {limit_s} seconds - killing it"
        )
        self.signal(signal.SIGKILL)

    def _heard(self, message: FromChild) -> None:
        self._pulse.heard()
        if isinstance(message, Ready):
            self.ready = True
            self._pulse.start()
            self._events.progress()
        elif isinstance(message, Reloaded):
            self.reloading = False
            self._events.progress()
        elif isinstance(message, Remember):
            self.memory |= message.facts
            for key in [key for key, value in message.facts.items() if not value]:
                del self.memory[key]
        elif isinstance(message, WantReload):
            self._events.want_reload()
        elif isinstance(message, Status):
            once = self._asked.get(message.id)
            if once is not None:
                once(message.body)
        elif isinstance(message, Dump):
            name = message.path or self.source.kind.dump_names.get(message.kind)
            if name is not None and message.text is not None:
                self._events.dump(name, message.text)
        elif isinstance(message, Question):
            self._questions.put(message)
        elif isinstance(message, Happened):
            self._events.happened(message.name, message.fields)

    def _deaf(self) -> None:
        """The child closed its end: it is ending, or what it said made no sense. It must not live on unheard."""
        self.reloading = False
        self.signal(signal.SIGTERM)

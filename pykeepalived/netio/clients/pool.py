"""The near end of the client hosts: questions go out, answers come back on the reactor."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable
from typing import Final

from pykeepalived.checkers.conversation import AskClient, ConversationError, FailureKind
from pykeepalived.netio.clients import host, wire
from pykeepalived.processes import helper
from pykeepalived.reactor import READ, Reactor

#: Questions under way; one more is not asked and does not count.
_LIMIT: Final = 4096

Settled = Callable[[bytes | None, ConversationError | None], None]


class _Question:
    __slots__ = ("command", "settled", "started")

    def __init__(self, command: AskClient, settled: Settled) -> None:
        self.command = command
        self.settled = settled
        self.started = False


class ClientPool:
    """Asks with libraries that block: a host process for each library, so that the import of one delays no other."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._hosts: dict[str, ClientHost] = {}

    def ask(self, command: AskClient, settled: Settled) -> Callable[[], None]:
        """Ask; `settled` is called later, exactly once, unless the returned canceller is called first."""
        host_of_client = self._hosts.get(command.client)
        if host_of_client is None:
            host_of_client = self._hosts[command.client] = ClientHost(self._reactor)
        return host_of_client.ask(command, settled)

    def close(self) -> None:
        """End all hosts and whatever runs in them."""
        for each in self._hosts.values():
            each.close()
        self._hosts.clear()


class ClientHost:
    """One host process; it starts with the first question."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._questions: dict[int, _Question] = {}
        self._next_id = 0
        self._channel: socket.socket | None = None
        self.pid = 0
        """The host process; 0 while there is none."""

    def ask(self, command: AskClient, settled: Settled) -> Callable[[], None]:
        """As `ClientPool.ask`."""
        if len(self._questions) >= _LIMIT:
            raise ConversationError(FailureKind.EXHAUSTED, "too many questions to client processes wait")
        if self._channel is None:
            self._start()
        self._next_id += 1
        number = self._next_id
        packet = wire.encoder.encode(wire.Ask(number, command.client, command.check, command.timeout_us))
        if len(packet) > wire.PACKET_LIMIT:
            raise ConversationError(FailureKind.LOCAL, "the question is too long")
        self._send(packet)
        question = self._questions[number] = _Question(command, settled)
        # The check's own deadline comes a moment later: whoever has not been started says nothing about the server.
        timer = self._reactor.call_later(max(command.timeout_us - 20_000, 1_000), lambda: self._late(number))

        def cancel() -> None:
            timer.cancel()
            if self._questions.pop(number, None) is question:
                with contextlib.suppress(ConversationError):
                    self._send(wire.encoder.encode(wire.Cancel(number)))

        return cancel

    def close(self) -> None:
        """End the host and whatever runs in it."""
        self._questions.clear()
        self._drop()

    # ---- the host ----

    def _start(self) -> None:
        try:
            started = helper.fork(host.main, send_buffer=8 * wire.PACKET_LIMIT)
        except OSError as error:
            raise ConversationError(FailureKind.EXHAUSTED, f"client process: {error.strerror}") from None
        self.pid, self._channel = started
        self._reactor.watch(self._channel.fileno(), READ, self._ready)

    def _drop(self) -> None:
        channel, self._channel = self._channel, None
        if channel is None:
            return
        self._reactor.unwatch(channel.fileno())
        channel.close()
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.waitpid(self.pid, 0)
        self.pid = 0

    def _send(self, packet: bytes) -> None:
        if self._channel is None:
            return
        try:
            self._channel.send(packet)
        except BlockingIOError:
            raise ConversationError(FailureKind.EXHAUSTED, "client processes are overloaded") from None
        except OSError as error:
            raise ConversationError(FailureKind.EXHAUSTED, f"client process: {error.strerror}") from None

    def _ready(self, _events: int) -> None:
        for _ in range(64):
            if self._channel is None:
                return
            try:
                packet = self._channel.recv(wire.PACKET_LIMIT)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                self._host_died()
                return
            self._take(wire.report_decoder.decode(packet))

    def _take(self, report: wire.Report) -> None:
        question = self._questions.get(report.id)
        if question is None:
            return
        if isinstance(report, wire.Started):
            question.started = True
            return
        if report.body:
            self._settle(report.id, report.body, None)
        else:
            text = f"{question.command.client}: the client process died"
            self._settle(report.id, None, ConversationError(FailureKind.LOCAL, text))

    def _late(self, number: int) -> None:
        question = self._questions.get(number)
        if question is None or question.started:
            return
        self._settle(number, None, ConversationError(FailureKind.EXHAUSTED, "no client process was free in time"))

    def _settle(self, number: int, body: bytes | None, error: ConversationError | None) -> None:
        question = self._questions.pop(number, None)
        if question is not None:
            question.settled(body, error)

    def _host_died(self) -> None:
        self._drop()
        for number in list(self._questions):
            self._settle(number, None, ConversationError(FailureKind.EXHAUSTED, "the client host died"))

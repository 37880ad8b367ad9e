"""The worker's side of `check_workers`: a probe engine in a process of its own, without a table and without scripts.

It sends what its engine would deliver, in order and several to a packet. While nobody reads, it waits: so what is on
its way is bounded by the socket, and a checker that cannot keep up slows its workers down.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from typing import Any, Final, NoReturn

import msgspec

from pykeepalived.checkers.conversation import Outcome
from pykeepalived.model.checks import CheckerSpec
from pykeepalived.model.common import Script
from pykeepalived.processes import helper, names
from pykeepalived.processes.scripts import RunResult
from pykeepalived.reactor import READ, Reactor
from pykeepalived.runtime.probes import ProbeEngine, ProbeResult, Subscription
from pykeepalived.units import SECOND_US

#: Largest packet. What does not fit in one with others is sent alone, with its text cut.
PACKET_LIMIT: Final = 128 * 1024
#: Requests, results and counts in one packet.
BATCH: Final = 100
_TEXT_LIMIT: Final = 4096
_COUNTS_US: Final = SECOND_US
_ANSWERS_IN_PACKET: Final = 2000


class Ask(msgspec.Struct, frozen=True, array_like=True, tag="ask"):
    """Begin to ask; `id` names the subscription from now on."""

    id: int
    spec: CheckerSpec
    up: bool


class Drop(msgspec.Struct, frozen=True, array_like=True, tag="drop"):
    id: int


class Now(msgspec.Struct, frozen=True, array_like=True, tag="now"):
    """Ask at once, whatever the schedule says."""

    id: int


class ReadFiles(msgspec.Struct, frozen=True, array_like=True, tag="files"):
    """Certificates and keys may be others now."""


class Result(msgspec.Struct, frozen=True, array_like=True, tag="result"):
    id: int
    result: ProbeResult


class Counts(msgspec.Struct, frozen=True, array_like=True, tag="counts"):
    """The status of the engine, and answers by subscription where there are more than before."""

    engine: dict[str, int]
    answers: list[tuple[int, int, int]]
    """id, answers, answers that were failures."""
    latencies: dict[str, dict[str, Any]] = {}
    """`ProbeEngine.latencies`"""


class Said(msgspec.Struct, frozen=True, array_like=True, tag="said"):
    """A line for the log."""

    text: str
    error: bool


Request = Ask | Drop | Now | ReadFiles
Report = Result | Counts | Said

encoder: Final = msgspec.msgpack.Encoder()
request_decoder: Final = msgspec.msgpack.Decoder(list[Request])
report_decoder: Final = msgspec.msgpack.Decoder(list[Report])


class _NoScripts:
    """Checks that run programs are never given to a worker."""

    def run(
        self, script: Script, *, timeout_us: int | None, done: Callable[[RunResult], None], queue: str | None = None
    ) -> None:
        done(RunResult(126, b"a worker runs no scripts"))


class WorkerServer:
    """Serves one channel until its other end is closed."""

    def __init__(self, channel: socket.socket, reactor: Reactor) -> None:
        self._channel = channel
        self._reactor = reactor
        self._engine = ProbeEngine(reactor, self, _NoScripts(), random.Random())
        self._subscriptions: dict[int, Subscription] = {}
        self._told: dict[int, int] = {}
        """Answers that the other side knows of."""
        self._reports: list[Report] = []

    def serve(self) -> None:
        self._reactor.watch(self._channel.fileno(), READ, self._readable)
        self._reactor.call_later(_COUNTS_US, self._count)
        self._reactor.run()

    # ---- the log ----

    def info(self, text: str) -> None:
        self._report(Said(text[:_TEXT_LIMIT], False))

    detail = info

    def error(self, text: str) -> None:
        self._report(Said(text[:_TEXT_LIMIT], True))

    # ---- requests ----

    def _readable(self, _events: int) -> None:
        try:
            packet = self._channel.recv(PACKET_LIMIT, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            os._exit(0)
        for request in request_decoder.decode(packet):
            self._take(request)

    def _take(self, request: Request) -> None:
        if isinstance(request, Ask):
            number = request.id
            self._subscriptions[number] = self._engine.subscribe(
                str(number),
                request.spec,
                lambda result: self._report(Result(number, result)),
                initially_up=request.up,
            )
            return
        if isinstance(request, ReadFiles):
            self._engine.read_files_again()
        elif isinstance(request, Drop):
            self._told.pop(request.id, None)
            if (gone := self._subscriptions.pop(request.id, None)) is not None:
                gone.close()
        elif (subscription := self._subscriptions.get(request.id)) is not None:
            subscription.check_now()

    # ---- reports ----

    def _report(self, report: Report) -> None:
        if not self._reports:
            self._reactor.call_soon(self._flush)
        self._reports.append(report)

    def _flush(self) -> None:
        reports, self._reports = self._reports, []
        for first in range(0, len(reports), BATCH):
            piece = reports[first : first + BATCH]
            packet = encoder.encode(piece)
            if len(packet) <= PACKET_LIMIT:
                self._send(packet)
                continue
            for each in piece:
                self._send(encoder.encode([_cut(each)]))

    def _send(self, packet: bytes) -> None:
        try:
            self._channel.send(packet)
        except OSError:
            os._exit(0)

    def _count(self) -> None:
        self._reactor.call_later(_COUNTS_US, self._count)
        told, more = self._told, []
        for number, subscription in self._subscriptions.items():
            answers = subscription.answers
            if told.get(number) != answers:
                told[number] = answers
                more.append((number, answers, subscription.answers_failed))
        engine: dict[str, int] = self._engine.status()
        latencies = self._engine.latencies()
        for first in range(0, max(1, len(more)), _ANSWERS_IN_PACKET):
            self._send(encoder.encode([Counts(engine, more[first : first + _ANSWERS_IN_PACKET], latencies)]))


def _cut(report: Any) -> Any:
    if not isinstance(report, Result):
        return report
    outcome: Outcome = report.result.outcome
    cut = msgspec.structs.replace(outcome, text=outcome.text[:_TEXT_LIMIT])
    return Result(report.id, msgspec.structs.replace(report.result, outcome=cut))


def main(channel: socket.socket, confine: Callable[[], None]) -> NoReturn:
    """Body of the process after the fork; never returns. `confine` gives up rights that checks do not need."""
    status = 1
    try:
        helper.settle(channel)
        names.set_comm("check-worker")
        confine()
        channel.setblocking(True)
        reactor = Reactor()
        server = WorkerServer(channel, reactor)
        reactor._on_error = lambda error: server.error(f"Internal error in a check worker: {error!r}")
        server.serve()
        status = 0
    finally:
        # Nothing may return into the checker's code.
        os._exit(status)

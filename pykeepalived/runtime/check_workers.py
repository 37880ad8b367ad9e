"""Check workers: where one processor is too little for all checks, processes of their own make them.

    checker ── Ask, Drop ──► worker: a probe engine without a table ── results that are news ──► checker

Equal questions go to the same worker, so nothing is asked twice. A worker that dies is replaced, and its successor goes
on with the states that the servers have. The table, quorum, scripts and mails stay with the checker; so do checks that
run programs, ping, or follow something.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import zlib
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from pykeepalived.model.checks import (
    CheckerSpec,
    CheckQuestion,
    DnsCheck,
    GrpcCheck,
    HttpCheck,
    SmtpCheck,
    TcpCheck,
    UdpCheck,
)
from pykeepalived.model.config import Config
from pykeepalived.processes import helper
from pykeepalived.reactor import READ, WRITE, Reactor
from pykeepalived.runtime import check_worker_process as far
from pykeepalived.runtime.program import Logger
from pykeepalived.runtime.subscriptions import Listener, ProbeResult, shown
from pykeepalived.units import SECOND_US

_HANDED_OVER: Final = (TcpCheck, HttpCheck, GrpcCheck, SmtpCheck, DnsCheck, UdpCheck)
#: CPU of one check in microseconds, roughly: what the automatic choice reckons with.
_PLAIN_US, _TLS_US = 80, 1000
#: Up to this share of a processor the checker asks by itself: with more servers than that, a reload, a look at the
#: whole table or a crowd of changes would make checks late. And a worker is for so much.
_ALONE: Final = 0.4
_FOR_ONE: Final = 0.5
_SEND_BUFFER: Final = 8 * far.PACKET_LIMIT
_RESTART_US: Final = SECOND_US
_SETTLED_US: Final = 10 * SECOND_US


def handed_over(spec: CheckerSpec) -> bool:
    """Whether workers make such checks."""
    return isinstance(spec.question, _HANDED_OVER)


def load_of(config: Config) -> float:
    """Processors that the checks of a configuration need, roughly; equal questions once."""
    shares: dict[CheckQuestion, float] = {}
    for service in config.virtual_servers:
        for server in service.real_servers:
            for spec in server.checkers:
                if handed_over(spec):
                    cost_us = _TLS_US if getattr(spec.question, "tls", False) else _PLAIN_US
                    share = cost_us / max(1000, spec.timing.delay_loop_us)
                    shares[spec.question] = max(share, shares.get(spec.question, 0.0))
    return sum(shares.values())


def workers_for(config: Config) -> int:
    """How many: as the file says, or by the load, at most one for each processor."""
    chosen = config.globals.lvs_check_workers
    if chosen is not None:
        return chosen
    load = load_of(config)
    return 0 if load <= _ALONE else min(math.ceil(load / _FOR_ONE), len(os.sched_getaffinity(0)))


class Remote:
    """A subscription with a worker; looks like `subscriptions.Subscription`."""

    def __init__(
        self, worker: _Worker, number: int, key: str, spec: CheckerSpec, *, on_result: Listener, up: bool
    ) -> None:
        self._worker = worker
        self.number = number
        self.key = key
        self.spec = spec
        self.on_result: Listener | None = on_result
        self.up = up
        self.has_run = False
        self.failures = 0
        self.last: ProbeResult | None = None
        self.answers = 0
        self.answers_failed = 0

    def close(self) -> None:
        """End the interest; no result is delivered afterwards. Idempotent."""
        if self.on_result is not None:
            self.on_result = None
            self._worker.drop(self)

    def check_now(self) -> None:
        if self.on_result is not None:
            self._worker.request(far.Now(self.number))

    def hear(self, result: ProbeResult) -> None:
        self.last = result
        self.up, self.failures, self.has_run = result.up, result.failures, True
        if self.on_result is not None:
            self.on_result(result)

    def status(self) -> dict[str, Any]:
        latency_us = 0 if self.last is None else self.last.latency_us
        return shown(self, up=self.up, has_run=self.has_run, failures=self.failures, latency_us=latency_us)


class _Worker:
    """One process, and what it has been asked to do."""

    def __init__(self, reactor: Reactor, log: Logger, confine: Callable[[], None]) -> None:
        self._reactor = reactor
        self._log = log
        self._confine = confine
        self._helper: helper.Helper | None = None
        self._began_us = 0
        self.remotes: dict[int, Remote] = {}
        self._requests: list[far.Request] = []
        self._unsent: deque[bytes] = deque()
        self._closed = False
        self.counts: Counter[str] = Counter()
        self.latencies: dict[str, dict[str, Any]] = {}
        self.start()

    @property
    def pid(self) -> int:
        return 0 if self._helper is None else self._helper.pid

    def start(self) -> None:
        if self._closed:
            return
        try:
            self._helper = helper.fork(lambda channel: far.main(channel, self._confine), send_buffer=_SEND_BUFFER)
        except OSError as error:
            self._log.error(f"Cannot start a check worker: {error.strerror or error}")
            self._reactor.call_later(_RESTART_US, self.start)
            return
        self._began_us = self._reactor.now_us()
        self._reactor.watch(self._helper.channel.fileno(), READ, self._ready)
        for remote in self.remotes.values():
            self.ask(remote)

    def ask(self, remote: Remote) -> None:
        self.remotes[remote.number] = remote
        spec = remote.spec
        if remote.has_run:
            timing = msgspec.structs.replace(spec.timing, first_failure_counts=False)
            spec = msgspec.structs.replace(spec, timing=timing)
        self.request(far.Ask(remote.number, spec, remote.up))

    def drop(self, remote: Remote) -> None:
        del self.remotes[remote.number]
        self.request(far.Drop(remote.number))

    def request(self, request: far.Request) -> None:
        """To be sent at the next turn; while there is no process, its successor is asked for everything anyhow."""
        if self._helper is not None:
            if not self._requests:
                self._reactor.call_soon(self._pack)
            self._requests.append(request)

    def close(self) -> None:
        self._closed = True
        self._end()

    # ---- the socket ----

    def _pack(self) -> None:
        requests, self._requests = self._requests, []
        for first in range(0, len(requests), far.BATCH):
            piece = requests[first : first + far.BATCH]
            packet = far.encoder.encode(piece)
            whole = len(packet) <= far.PACKET_LIMIT
            self._unsent.extend([packet] if whole else [far.encoder.encode([each]) for each in piece])
        self._send()

    def _send(self) -> None:
        if self._helper is None:
            return
        channel = self._helper.channel
        # A worker that is gone is found out by reading.
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            while self._unsent:
                channel.send(self._unsent[0])
                self._unsent.popleft()
        self._reactor.watch(channel.fileno(), READ | WRITE if self._unsent else READ, self._ready)

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._send()
        for _ in range(16):  # the rest at the next turn, so that other work is not held up
            if self._helper is None:
                return
            try:
                packet = self._helper.channel.recv(far.PACKET_LIMIT)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                self._died()
                return
            for report in far.report_decoder.decode(packet):
                self._take(report)

    def _take(self, report: far.Report) -> None:
        if isinstance(report, far.Result):
            remote = self.remotes.get(report.id)
            if remote is not None:
                remote.hear(report.result)
        elif isinstance(report, far.Counts):
            self.counts = Counter(report.engine)
            self.latencies = report.latencies
            for number, answers, failed in report.answers:
                remote = self.remotes.get(number)
                if remote is not None:
                    remote.answers, remote.answers_failed = answers, failed
        elif report.error:
            self._log.error(report.text)
        else:
            self._log.info(report.text)

    # ---- its end ----

    def _died(self) -> None:
        self._log.error(f"Check worker, pid {self.pid}, died - starting another")
        self._end()
        settled = self._reactor.now_us() - self._began_us > _SETTLED_US
        self._reactor.call_later(0 if settled else _RESTART_US, self.start)

    def _end(self) -> None:
        gone, self._helper = self._helper, None
        self._requests.clear()
        self._unsent.clear()
        if gone is None:
            return
        self._reactor.unwatch(gone.channel.fileno())
        gone.channel.close()
        with contextlib.suppress(OSError):
            os.kill(gone.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.waitpid(gone.pid, 0)


class CheckWorkers:
    """All of them. `confine` is called in each: it gives up rights that checks do not need."""

    def __init__(self, reactor: Reactor, log: Logger, count: int, confine: Callable[[], None]) -> None:
        self._workers = [_Worker(reactor, log, confine) for _ in range(count)]
        self._next_number = 0

    def subscribe(self, key: str, spec: CheckerSpec, on_result: Listener, *, initially_up: bool) -> Remote:
        """As `ProbeEngine.subscribe`, for checks that are `handed_over`."""
        self._next_number += 1
        place = zlib.crc32(far.encoder.encode(spec.question)) % len(self._workers)
        worker = self._workers[place]
        remote = Remote(worker, self._next_number, key, spec, on_result=on_result, up=initially_up)
        worker.ask(remote)
        return remote

    def read_files_again(self) -> None:
        """As `ProbeEngine.read_files_again`."""
        for worker in self._workers:
            worker.request(far.ReadFiles())

    @property
    def pids(self) -> list[int]:
        return [worker.pid for worker in self._workers]

    def counts(self) -> Counter[str]:
        """Sums of the engines' counts, at most a second old."""
        return sum((worker.counts for worker in self._workers), Counter())

    def latencies(self) -> list[dict[str, dict[str, Any]]]:
        """Each engine's latencies, at most a second old."""
        return [worker.latencies for worker in self._workers]

    def close(self) -> None:
        for worker in self._workers:
            worker.close()

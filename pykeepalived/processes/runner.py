"""The near end of a script runner: hands scripts to the runner process and their results back (`ScriptRunner`).

The runner process is forked once, early, while the caller is small. When it dies, a new one takes its place: scripts
that had not been started go to it in their order, those that had been started are answered with status None and named
in the log, because nobody knows how they end.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import msgspec

from pykeepalived.model.common import Script, User
from pykeepalived.processes import helper, runner_process, wire
from pykeepalived.processes.history import History
from pykeepalived.processes.scripts import RunResult
from pykeepalived.reactor import READ, WRITE, Reactor, Timer
from pykeepalived.units import SECOND_US

#: Requests that wait for room in the socket or for a new runner; more are refused.
_BACKLOG_LIMIT: Final = 20_000
_RESTART_DELAY_US: Final = SECOND_US
_SETTLED_US: Final = 10 * SECOND_US
#: Behind the time limit of a program: its runner may have other things to do first.
_ANSWER_GRACE_US: Final = SECOND_US


class _Pending(msgspec.Struct):
    script: Script
    packet: bytes
    done: Callable[[RunResult], None]
    started: bool = False


class Runner:
    """Runs scripts through a process of its own. Implements `ScriptRunner`."""

    def __init__(self, reactor: Reactor, log_error: Callable[[str], None], *, default_user: User | None = None) -> None:
        self._reactor = reactor
        self._log_error = log_error
        self.default_user = default_user
        """Runs scripts that name no user; None: our own."""
        self.all_groups = False
        """Scripts get the supplementary groups of their user, too."""
        self._pending: dict[int, _Pending] = {}
        """In the order in which they were asked for."""
        self._unsent: deque[int] = deque()
        self._next_id = 0
        self._channel: socket.socket | None = None
        self._pid = 0
        self._pidfd = -1
        self._forked_us = 0
        self._restart: Timer | None = None
        self._closed = False
        self.history = History()

    @property
    def pid(self) -> int:
        """The runner process; 0 while there is none."""
        return self._pid

    def start(self) -> None:
        """Fork the runner process. Raises OSError when the system has no room for one."""
        pid, near = helper.fork(runner_process.main, send_buffer=2 * wire.PACKET_LIMIT)
        self._pid = pid
        self._channel = near
        self._forked_us = self._reactor.now_us()
        self._pidfd = os.pidfd_open(pid)
        self._reactor.watch(near.fileno(), READ, self._ready)
        self._reactor.watch(self._pidfd, READ, lambda _events: self._runner_died())

    def run(
        self, script: Script, *, timeout_us: int | None, done: Callable[[RunResult], None], queue: str | None = None
    ) -> None:
        """See `ScriptRunner.run`."""
        self._run(script, timeout_us, partial(self._ended, script, queue, done), queue)

    def _ended(self, script: Script, queue: str | None, done: Callable[[RunResult], None], result: RunResult) -> None:
        self.history.note(script, queue, result)
        done(result)

    def _run(
        self, script: Script, timeout_us: int | None, done: Callable[[RunResult], None], queue: str | None
    ) -> None:
        self._next_id += 1
        number = self._next_id
        user = script.user if script.user is not None else self.default_user
        refusal = None
        packet = b""
        if self._closed:
            refusal = b"the daemon is ending"
        elif len(self._unsent) >= _BACKLOG_LIMIT:
            refusal = b"too many scripts are waiting"
        elif not script.argv:
            refusal = b"empty command"
        else:
            argv = tuple(os.fsencode(word) for word in script.argv)
            packet = wire.encoder.encode(wire.Run(number, argv, user, timeout_us, queue, self.all_groups))
            if len(packet) > wire.PACKET_LIMIT:
                refusal = b"argument list too long"
        if refusal is not None:
            result = RunResult(126, refusal)
            self._reactor.call_soon(lambda: done(result))
            return
        self._pending[number] = _Pending(script, packet, done)
        self._unsent.append(number)
        self._flush()

    def ask(self, argv: Sequence[str], text: str, *, timeout_us: int) -> RunResult:
        """Run a program of the system as ourselves with `text` as its standard input, and wait for its end.

        For the few things that cannot go on before it has ended. It is started by the runner process, so nothing is
        forked here. Answers to other scripts that come meanwhile are given afterwards. Never raises.
        """
        if self._closed or self._channel is None:
            return RunResult(126, b"there is no script runner")
        self._next_id += 1
        number = self._next_id
        descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC)
        try:
            with open(descriptor, "w", encoding="utf-8", errors="surrogateescape", closefd=False) as file:
                file.write(text)
            stdin = f"/proc/{os.getpid()}/fd/{descriptor}"
            run = wire.Run(number, tuple(map(os.fsencode, argv)), None, timeout_us, None, stdin=stdin)
            return self._wait_for(number, wire.encoder.encode(run), timeout_us + _ANSWER_GRACE_US)
        except OSError as error:
            return RunResult(126, (error.strerror or str(error)).encode())
        finally:
            os.close(descriptor)

    def _wait_for(self, number: int, packet: bytes, timeout_us: int) -> RunResult:
        assert self._channel is not None
        end_us = self._reactor.now_us() + timeout_us
        poll = select.poll()
        sent = False
        while (left_us := end_us - self._reactor.now_us()) > 0:
            poll.register(self._channel, select.POLLIN if sent else select.POLLIN | select.POLLOUT)
            for _, events in poll.poll(left_us // 1000 + 1):
                if events & select.POLLOUT and not sent:
                    sent = self._channel.send(packet) > 0
                if not events & select.POLLIN:
                    continue
                received = self._channel.recv(wire.PACKET_LIMIT)
                if not received:
                    return RunResult(126, b"its runner died")
                report = wire.report_decoder.decode(received)
                if report.id != number:
                    self._reactor.call_soon(partial(self._take, report))
                elif isinstance(report, wire.Ended):
                    return RunResult(report.status, report.output, report.duration_us)
        return RunResult(None, b"")

    def close(self) -> None:
        """Let the runner start what still waits and end by itself; nothing is answered any more.

        Requests that did not fit into the socket yet are pushed with a blocking send of at most one second.
        """
        self._closed = True
        if self._restart is not None:
            self._restart.cancel()
        channel = self._channel
        if channel is None:
            return
        self._reactor.unwatch(channel.fileno())
        with contextlib.suppress(OSError):
            channel.settimeout(1.0)
            while self._unsent:
                channel.send(self._pending[self._unsent.popleft()].packet)
            channel.send(wire.encoder.encode(wire.Finish()))
        channel.close()
        self._channel = None
        self._reactor.unwatch(self._pidfd)
        os.close(self._pidfd)
        self._pending.clear()

    # ---- the socket ----

    def _ready(self, events: int) -> None:
        if events & READ:
            self._receive()
        if events & WRITE:
            self._flush()

    def _flush(self) -> None:
        channel = self._channel
        if channel is None:
            return
        while self._unsent:
            try:
                channel.send(self._pending[self._unsent[0]].packet)
            except BlockingIOError:
                break
            except OSError:
                return  # the pidfd tells of the runner's death
            self._unsent.popleft()
        wanted = READ | WRITE if self._unsent else READ
        self._reactor.watch(channel.fileno(), wanted, self._ready)

    def _receive(self) -> None:
        for _ in range(64):  # the rest at the next turn, so that other work is not held up
            if self._channel is None:
                return
            try:
                packet = self._channel.recv(wire.PACKET_LIMIT)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                self._reactor.unwatch(self._channel.fileno())
                return
            self._take(wire.report_decoder.decode(packet))

    def _take(self, report: wire.Report) -> None:
        if isinstance(report, wire.Started):
            pending = self._pending.get(report.id)
            if pending is not None:
                pending.started = True
            return
        ended = self._pending.pop(report.id, None)
        if ended is not None:
            ended.done(RunResult(report.status, report.output, report.duration_us))

    # ---- the runner's death ----

    def _runner_died(self) -> None:
        self._receive()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        self._reactor.unwatch(self._pidfd)
        os.close(self._pidfd)
        if self._channel is not None:
            self._reactor.unwatch(self._channel.fileno())
            self._channel.close()
        self._channel = None
        self._log_error(f"Script runner, pid {self._pid}, died - starting another")
        self._pid = 0
        lost = [number for number, pending in self._pending.items() if pending.started]
        orphans = [self._pending.pop(number) for number in lost]
        self._unsent = deque(self._pending)
        settled = self._reactor.now_us() - self._forked_us > _SETTLED_US
        self._restart = self._reactor.call_later(0 if settled else _RESTART_DELAY_US, self._start_again)
        for pending in orphans:
            self._log_error(
                f"Script `{pending.script.argv[0]}` was running when its runner died; its result is unknown"
            )
            pending.done(RunResult(None, b"its runner died"))

    def _start_again(self) -> None:
        if self._closed:
            return
        try:
            self.start()
        except OSError as error:
            self._log_error(f"Cannot start a script runner: {error.strerror}")
            self._restart = self._reactor.call_later(_RESTART_DELAY_US, self._start_again)
            return
        self._flush()

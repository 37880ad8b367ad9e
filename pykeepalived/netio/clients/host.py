"""The client host: imports a library once and forks for each question, at most `RUNNING_LIMIT` at a time.

A fork costs a few milliseconds and carries nothing over from one check to the next. At its limit a process is killed,
whatever its library does; processes end with the host, and the host ends with the daemon.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import signal
import socket
from collections import deque
from typing import Final, NoReturn

import msgspec

from pykeepalived.checkers.negotiate_client import Answer
from pykeepalived.netio.clients import wire
from pykeepalived.processes import helper
from pykeepalived.reactor import READ, Reactor, Timer

RUNNING_LIMIT: Final = 64
#: The clients there are; each is a module here with `ask(check, limit_s) -> Answer`.
CLIENTS: Final = frozenset({"mysql", "pgsql", "oracle", "ldap", "radius"})
_PR_SET_PDEATHSIG: Final = 1


class _Job:
    __slots__ = ("limit", "pid", "pidfd", "request")

    def __init__(self, request: wire.Ask) -> None:
        self.request = request
        self.pid = 0
        self.pidfd = -1
        self.limit: Timer | None = None


class _Host:
    def __init__(self, channel: socket.socket, reactor: Reactor) -> None:
        self._channel = channel
        self._reactor = reactor
        self._waiting: deque[_Job] = deque()
        self._running: dict[int, _Job] = {}

    def serve(self) -> None:
        self._reactor.watch(self._channel.fileno(), READ, self._readable)
        self._reactor.run()

    def _readable(self, _events: int) -> None:
        try:
            packet = self._channel.recv(wire.PACKET_LIMIT, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            for job in self._running.values():
                self._kill(job)
            os._exit(0)
        request = wire.request_decoder.decode(packet)
        if isinstance(request, wire.Cancel):
            running = self._running.get(request.id)
            if running is not None:
                self._kill(running)
            self._waiting = deque(job for job in self._waiting if job.request.id != request.id)
        else:
            self._waiting.append(_Job(request))
            self._start_waiting()

    def _start_waiting(self) -> None:
        while self._waiting and len(self._running) < RUNNING_LIMIT:
            self._start(self._waiting.popleft())

    def _start(self, job: _Job) -> None:
        request = job.request
        self._channel.send(wire.encoder.encode(wire.Started(request.id)))
        # In the host, so that every fork has it. A library that cannot be imported is told by the fork.
        with contextlib.suppress(Exception):
            importlib.import_module(f"pykeepalived.netio.clients.{request.client}")
        try:
            job.pid = os.fork()
        except OSError as error:
            answer = Answer(False, f"fork: {error.strerror}", "no-resources")
            self._answer(request.id, msgspec.json.encode(answer))
            return
        if job.pid == 0:
            _child(self._channel, request)
        job.pidfd = os.pidfd_open(job.pid)
        self._running[request.id] = job
        self._reactor.watch(job.pidfd, READ, lambda _events: self._ended(job))
        job.limit = self._reactor.call_later(request.timeout_us, lambda: self._kill(job))

    def _kill(self, job: _Job) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(job.pidfd, signal.SIGKILL)

    def _ended(self, job: _Job) -> None:
        self._reactor.unwatch(job.pidfd)
        os.close(job.pidfd)
        if job.limit is not None:
            job.limit.cancel()
        _, status = os.waitpid(job.pid, 0)
        del self._running[job.request.id]
        if status:
            self._answer(job.request.id, b"")
        self._start_waiting()

    def _answer(self, number: int, body: bytes) -> None:
        with contextlib.suppress(OSError):
            self._channel.send(wire.encoder.encode(wire.Answered(number, body)))


def _child(channel: socket.socket, request: wire.Ask) -> NoReturn:
    """One question, in a process of its own."""
    status = 1
    try:
        _end_with_parent()
        answer = _ask(request)
        channel.send(wire.encoder.encode(wire.Answered(request.id, msgspec.json.encode(answer))))
        status = 0
    finally:
        os._exit(status)


def _ask(request: wire.Ask) -> Answer:
    if request.client not in CLIENTS:
        return Answer(False, f"no client {request.client}", "not-available")
    try:
        module = importlib.import_module(f"pykeepalived.netio.clients.{request.client}")
    except ImportError as error:
        return Answer(False, f"the library is missing: {error}", "not-available")
    try:
        answer: Answer = module.ask(request.check, request.timeout_us / 1e6)
    except Exception as error:  # a library's own ways to fail are many, and all of them mean this
        text = " ".join(str(error).split())[:400]
        return Answer(False, f"{type(error).__name__}: {text}", "refused-by-client")
    return answer


def _end_with_parent() -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def main(channel: socket.socket) -> NoReturn:
    """Serve until the daemon closes its end."""
    status = 1
    try:
        helper.settle(channel)
        _Host(channel, Reactor()).serve()
        status = 0
    finally:
        # Nothing may return into the daemon's code.
        os._exit(status)

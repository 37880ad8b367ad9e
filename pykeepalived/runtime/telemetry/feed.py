"""What the metrics process knows of the daemon: it asks its parent, over two sockets that it was born with.

They speak the protocol of the control socket, with the right to read and no more. One answers questions, one after the
other; on the other one the parent tells each event. Whoever wants to know at the same time gets the same answer.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from pykeepalived.reactor import READ, WRITE, Reactor
from pykeepalived.runtime.control_wire import PROTOCOL_VERSION, encoder
from pykeepalived.units import MILLISECOND_US

Given = Callable[["Snapshot | None"], None]

#: An answer this fresh is told again.
FRESH_US: Final = 500 * MILLISECOND_US
#: Real servers that are told of; more of them belong into a monitoring system's own discovery.
SERVERS_SHOWN: Final = 40_000
EVENTS_KEPT: Final = 200
_PAGE: Final = 2000
_ANSWER_LIMIT: Final = 64 * 1024 * 1024
_CHUNK: Final = 1 << 20


class Snapshot(msgspec.Struct, kw_only=True):
    status: dict[str, Any]
    counted: list[dict[str, Any]] = []
    """The kernel's counters."""


class _Lines:
    """JSON lines over one stream socket; `lost` is called when the other end is gone or makes no sense."""

    def __init__(
        self, reactor: Reactor, end: socket.socket, line: Callable[[dict[str, Any]], None], lost: Callable[[], None]
    ) -> None:
        end.setblocking(False)
        self._reactor = reactor
        self._end = end
        self._line = line
        self._lost = lost
        self._input = bytearray()
        self._output = bytearray()
        reactor.watch(end.fileno(), READ, self._ready)

    def send(self, command: str, arguments: Mapping[str, Any]) -> None:
        body = {"version": PROTOCOL_VERSION, "command": command, "arguments": arguments}
        self._output += encoder.encode(body) + b"\n"
        self._flush()

    def _flush(self) -> None:
        try:
            sent = self._end.send(self._output)
            del self._output[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._lost()
            return
        self._reactor.watch(self._end.fileno(), READ | WRITE if self._output else READ, self._ready)

    def _ready(self, events: int) -> None:
        if events & WRITE and self._output:
            self._flush()
        if not events & ~WRITE:
            return
        try:
            data = self._end.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        searched = len(self._input)
        self._input += data
        if not data or len(self._input) > _ANSWER_LIMIT:
            self._lost()
            return
        while (end := self._input.find(b"\n", searched)) >= 0:
            line = bytes(memoryview(self._input)[:end])
            del self._input[: end + 1]
            searched = 0
            self._line(msgspec.json.decode(line))


class Feed:
    """`lost` is called when the parent is gone; nothing works any more then."""

    def __init__(
        self, reactor: Reactor, questions: socket.socket, stream: socket.socket, lost: Callable[[], None]
    ) -> None:
        self._reactor = reactor
        self._questions = _Lines(reactor, questions, self._answered, lost)
        self._stream = _Lines(reactor, stream, self._told, lost)
        self._waiting: list[Given] = []
        self._then: Callable[[dict[str, Any] | None], None] | None = None
        self._last: Snapshot | None = None
        self._last_us = 0
        self.events: deque[dict[str, Any]] = deque(maxlen=EVENTS_KEPT)
        self.on_event: Callable[[], None] = lambda: None
        self._stream.send("events", {"follow": True})

    def snapshot(self, given: Given) -> None:
        """Call back with what is known now; None: the daemon does not answer as it should."""
        if self._last is not None and self._reactor.now_us() - self._last_us < FRESH_US:
            given(self._last)
            return
        self._waiting.append(given)
        if len(self._waiting) == 1:
            self._ask("status", {"first": 0, "servers": _PAGE}, lambda body: self._page(None, body))

    # ---- a snapshot, piece by piece ----

    def _page(self, whole: dict[str, Any] | None, body: dict[str, Any] | None) -> None:
        if body is None:
            self._done(None)
            return
        checker = body.get("checker") or {}
        if whole is None:
            whole = body
        else:
            whole["checker"]["services"] += checker.get("services", [])
        following = checker.get("next")
        services = (whole.get("checker") or {}).get("services", ())
        if following is not None and sum(len(each["servers"]) for each in services) < SERVERS_SHOWN:
            self._ask("status", {"first": following, "servers": _PAGE}, lambda body: self._page(whole, body))
        elif checker:
            self._count(whole, [], 0)
        else:
            self._done(Snapshot(status=whole))

    def _count(self, whole: dict[str, Any], counted: list[dict[str, Any]], first: int) -> None:
        part = {"first": first, "servers": _PAGE}
        self._ask("counters", part, lambda body: self._counted(whole, counted, body))

    def _counted(self, whole: dict[str, Any], counted: list[dict[str, Any]], body: dict[str, Any] | None) -> None:
        found = body or {}
        counted += found.get("counters", [])
        following = found.get("next")
        if following is not None and len(counted) < SERVERS_SHOWN:
            self._count(whole, counted, following)
        else:
            self._done(Snapshot(status=whole, counted=counted))

    def _done(self, snapshot: Snapshot | None) -> None:
        self._last, self._last_us = snapshot, self._reactor.now_us()
        waiting, self._waiting = self._waiting, []
        for given in waiting:
            given(snapshot)

    # ---- the wire ----

    def _ask(self, command: str, arguments: Mapping[str, Any], then: Callable[[dict[str, Any] | None], None]) -> None:
        self._then = then
        self._questions.send(command, arguments)

    def _answered(self, body: dict[str, Any]) -> None:
        then, self._then = self._then, None
        if then is not None:
            then(body["result"] if body.get("ok") else None)

    def _told(self, body: dict[str, Any]) -> None:
        for event in (body.get("result") or {}).get("events", ()):
            self.events.append(event)
            self.on_event()

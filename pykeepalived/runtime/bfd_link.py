"""How the BFD process tells the VRRP and the checker process what it has found, past the parent.

A detection within 50 ms must not wait for a parent that reads a file. So the parent makes one pair of sockets for each
of the two before it forks, and every child that it ever forks inherits its end: a child that is started anew finds the
way as the old one left it. A process that starts or reloads asks, and is told all states; after that it hears changes.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from pykeepalived.reactor import READ, WRITE, Reactor

#: Which children hear of sessions.
LISTENERS: Final = ("vrrp", "checker")
_MESSAGE_BYTES: Final = 1024
#: Messages read per wake-up.
_BURST: Final = 256


class Report(msgspec.Struct, frozen=True, array_like=True):
    """A session's state."""

    name: str
    up: bool


_ASK: Final = b"?"
_decoder: Final = msgspec.msgpack.Decoder(Report)
_encoder: Final = msgspec.msgpack.Encoder()


class BfdLinks:
    """The sockets as the parent holds them: by listener, the end of the BFD process and that of the listener."""

    def __init__(self) -> None:
        self._pairs = {word: socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for word in LISTENERS}
        for pair in self._pairs.values():
            for end in pair:
                end.setblocking(False)

    def ends(self, word: str) -> dict[str, socket.socket]:
        """What the child `word` inherits: the BFD process all near ends by listener, a listener its far end."""
        if word == "bfd":
            return {name: pair[0] for name, pair in self._pairs.items()}
        return {word: self._pairs[word][1]} if word in self._pairs else {}

    def close(self) -> None:
        for pair in self._pairs.values():
            for end in pair:
                end.close()


class BfdTeller:
    """The BFD process's side. What a listener does not take is kept as the latest state of each session."""

    def __init__(
        self, reactor: Reactor, ends: Mapping[str, socket.socket], states: Callable[[str], Mapping[str, bool]]
    ):
        """`states` gives all sessions that a listener is to hear of."""
        self._reactor = reactor
        self._ends = dict(ends)
        self._states = states
        self._waiting: dict[str, dict[str, bool]] = {word: {} for word in ends}
        for word, end in self._ends.items():
            reactor.watch(end.fileno(), READ, lambda events, word=word: self._ready(word, events))  # type: ignore[misc]

    def tell(self, word: str, name: str, up: bool) -> None:
        if word in self._waiting:
            # At the end of the queue, so that a listener hears states in the order of their last change.
            self._waiting[word].pop(name, None)
            self._waiting[word][name] = up
            self._flush(word)

    def tell_all(self) -> None:
        for word in self._ends:
            for name, up in self._states(word).items():
                self.tell(word, name, up)

    def close(self) -> None:
        for end in self._ends.values():
            self._reactor.unwatch(end.fileno())

    def _ready(self, word: str, events: int) -> None:
        with contextlib.suppress(OSError):
            for _ in range(_BURST):
                if self._ends[word].recv(_MESSAGE_BYTES) == _ASK:
                    self._waiting[word].update(self._states(word))
        self._flush(word)

    def _flush(self, word: str) -> None:
        waiting, end = self._waiting[word], self._ends[word]
        for name in list(waiting):
            try:
                end.send(_encoder.encode(Report(name, waiting[name])))
            except BlockingIOError:
                break
            except OSError:
                waiting.clear()
                break
            del waiting[name]
        self._reactor.watch(
            end.fileno(),
            READ | WRITE if waiting else READ,
            lambda events: self._ready(word, events),
        )


class BfdListener:
    """A listener's side: `heard(name, up)` for every state and change."""

    def __init__(self, reactor: Reactor, end: socket.socket | None, heard: Callable[[str, bool], None]) -> None:
        self._reactor = reactor
        self._end = end
        self._heard = heard
        if end is not None:
            reactor.watch(end.fileno(), READ, self._ready)

    def ask(self) -> None:
        """Have all states told again. A BFD process that is not there yet reads the question when it starts."""
        if self._end is not None:
            with contextlib.suppress(OSError):
                self._end.send(_ASK)

    def close(self) -> None:
        if self._end is not None:
            self._reactor.unwatch(self._end.fileno())
            self._end = None

    def _ready(self, _events: int) -> None:
        for _ in range(_BURST):
            if self._end is None:
                return
            try:
                data = self._end.recv(_MESSAGE_BYTES)
                report = _decoder.decode(data)
            except OSError:
                return
            except msgspec.MsgspecError:
                continue
            self._heard(report.name, report.up)

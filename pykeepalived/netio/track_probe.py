"""Questions that a vrrp_script can ask without a program: is there somebody behind a TCP port, a web page, a socket?

Ours: the originals start a program for each run. One connection for each question, closed with its answer; nothing that
a peer does takes longer than the limit or more than 4 KiB.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable
from typing import Final

from pykeepalived.reactor import READ, WRITE, Reactor, Timer

_LONGEST_HEAD: Final = 4096
_LATER: Final = frozenset((errno.EINPROGRESS, errno.EAGAIN))

#: Gets the result as an exit code: 0 well, 1 not; None: no answer within the limit.
Done = Callable[[int | None], None]


class TrackProbes:
    """The questions that are under way; at most one of each name."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._running: dict[str, _Probe] = {}

    def ask(self, name: str, words: tuple[str, ...], timeout_us: int, done: Done) -> None:
        """`words`: `tcp ADDRESS PORT`, `http ADDRESS PORT PATH` or `unix_socket PATH`. `done` is called once, later,
        unless `close` comes before."""

        def finish(status: int | None) -> None:
            del self._running[name]
            done(status)

        if name in self._running:
            self._running.pop(name).close()
        self._running[name] = _Probe(self._reactor, words, timeout_us, finish)

    def close(self) -> None:
        for probe in self._running.values():
            probe.close()
        self._running.clear()


def place_of(words: tuple[str, ...]) -> tuple[socket.AddressFamily, object]:
    """Where a question goes."""
    if words[0] == "unix_socket":
        return socket.AF_UNIX, words[1]
    return (socket.AF_INET6 if ":" in words[1] else socket.AF_INET), (words[1], int(words[2]))


def request_of(words: tuple[str, ...]) -> bytes:
    """What is sent: nothing for `tcp` and `unix_socket`, which ask only whether somebody accepts."""
    if words[0] != "http":
        return b""
    host = f"[{words[1]}]" if ":" in words[1] else words[1]
    return f"GET {words[3]} HTTP/1.0\r\nHost: {host}:{words[2]}\r\nConnection: close\r\n\r\n".encode()


def verdict_of(head: bytes) -> int:
    """0 for a status line with a code from 200 to 299."""
    words = head.split(b"\r\n", 1)[0].split(b" ", 2)
    return int(not (len(words) > 1 and words[0].startswith(b"HTTP/1.") and words[1][:1] == b"2" and len(words[1]) == 3))


class _Probe:
    def __init__(self, reactor: Reactor, words: tuple[str, ...], timeout_us: int, done: Done) -> None:
        self._reactor, self._done = reactor, done
        self._request, self._head = request_of(words), b""
        family, place = place_of(words)
        self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._fd = self._socket.fileno()
        self._watched = False
        code = self._socket.connect_ex(place)  # type: ignore[arg-type]
        self._timer: Timer
        if code and (code not in _LATER or (code == errno.EAGAIN and family == socket.AF_UNIX)):
            # Refused, no way there, or (unix) nobody has taken the last connections.
            self._timer = reactor.call_soon(lambda: self._end(1))
            return
        self._timer = reactor.call_later(timeout_us, lambda: self._end(None))
        self._watch(WRITE, self._connected)

    def close(self) -> None:
        self._timer.cancel()
        if self._watched:
            self._reactor.unwatch(self._fd)
            self._watched = False
        self._socket.close()

    def _watch(self, events: int, handler: Callable[[int], None]) -> None:
        if self._watched:
            self._reactor.unwatch(self._fd)
        self._reactor.watch(self._fd, events, handler)
        self._watched = True

    def _connected(self, events: int) -> None:
        del events
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code or not self._request:
            self._end(int(code != 0))
            return
        try:
            # A request is shorter than any send buffer.
            whole = self._socket.send(self._request) == len(self._request)
        except OSError:
            whole = False
        if whole:
            self._watch(READ, self._readable)
        else:
            self._end(1)

    def _readable(self, events: int) -> None:
        del events
        try:
            piece = os.read(self._fd, _LONGEST_HEAD)
        except BlockingIOError:
            return
        except OSError:
            self._end(1)
            return
        self._head += piece
        if not piece or b"\r\n" in self._head or len(self._head) >= _LONGEST_HEAD:
            self._end(verdict_of(self._head))

    def _end(self, status: int | None) -> None:
        with contextlib.suppress(OSError):
            self.close()
        self._done(status)

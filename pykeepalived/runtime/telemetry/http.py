"""A small HTTP server for clients that may be hostile: GET and HEAD, one request a connection, everything bounded.

A request head has at most `HEAD_LIMIT` bytes and `HEAD_TIME_US` to come; an answer has `ANSWER_TIME_US` to be taken. A
client that follows gets the newest picture when it has taken the one before, so one that does not read costs one
picture and is cut off after `ANSWER_TIME_US`. Refusals are counted by name (`refusals`).
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from pykeepalived.reactor import HANGUP, READ, WRITE, Reactor
from pykeepalived.reactor.acceptor import Acceptor
from pykeepalived.units import SECOND_US

CLIENT_LIMIT: Final = 96
FOLLOWER_LIMIT: Final = 32
HEAD_LIMIT: Final = 8 * 1024
HEAD_TIME_US: Final = 5 * SECOND_US
ANSWER_TIME_US: Final = 10 * SECOND_US
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    421: "Misdirected Request",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
#: Nothing of ours is to be framed, sniffed, kept or mixed with what others send.
_GUARDS: Final = (
    "X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\n"
    "Cache-Control: no-store\r\nContent-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'\r\n"
)


class Asked(msgspec.Struct, frozen=True):
    path: str
    headers: Mapping[str, str]
    """Names in lower case; of equal ones the last."""


class BadRequest(Exception):
    """`code` is the status that says so; the text is the refusal's name."""

    def __init__(self, code: int, name: str) -> None:
        super().__init__(name)
        self.code = code
        self.name = name


def parse(head: bytes) -> tuple[str, Asked]:
    """Method and request of a head without its empty line. Raises BadRequest."""
    try:
        lines = head.decode("ascii").split("\r\n")
    except UnicodeDecodeError:
        raise BadRequest(400, "not-ascii") from None
    words = lines[0].split(" ")
    if len(words) != 3 or not words[0].isalpha():
        raise BadRequest(400, "request-line")
    method, target, version = words
    if not version.startswith("HTTP/1."):
        raise BadRequest(505, "http-version")
    if method not in {"GET", "HEAD"}:
        raise BadRequest(405, "method")
    if not target.startswith("/") or not target.isprintable():
        raise BadRequest(400, "target")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip() or not value.replace("\t", " ").isprintable():
            raise BadRequest(400, "header")
        headers[name.lower()] = value.strip()
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise BadRequest(400, "body")
    return method, Asked(target.partition("?")[0], headers)


class Reply:
    """The way back. Exactly one of `send` and `follow` is called, once."""

    def __init__(self, client: _Client, *, head_only: bool) -> None:
        self._client = client
        self._head_only = head_only

    def send(self, code: int, kind: str, body: bytes) -> None:
        head = (
            f"HTTP/1.1 {code} {_REASONS[code]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            f"{_GUARDS}Connection: close\r\n\r\n"
        )
        self._client.finish(head.encode("ascii") + (b"" if self._head_only else body))

    def follow(self, newest: Callable[[int], tuple[int, bytes] | None]) -> Callable[[], bool] | None:
        """Stream server-sent events. `newest` is called when there is room, with the number of the last picture that
        was sent, and returns the next one, or None: nothing is newer. What is returned is to be called when something
        is, and says whether the client is still there; None: too many follow."""
        return self._client.follow(newest)


Handler = Callable[[Asked, Reply], None]


class HttpServer:
    """Serves a listening socket that does not block. `loopback`: only names of this machine may stand in Host."""

    def __init__(self, reactor: Reactor, listener: socket.socket, handler: Handler, *, loopback: bool) -> None:
        self.reactor = reactor
        self.handler = handler
        self.refusals: Counter[str] = Counter()
        self.followers = 0
        self._loopback = loopback
        self._clients: set[_Client] = set()
        self._door = Acceptor(reactor, listener, self._take)

    @property
    def clients(self) -> int:
        return len(self._clients)

    def close(self) -> None:
        """Serve nobody any more."""
        self._door.close()
        for client in tuple(self._clients):
            client.close()

    def left(self, client: _Client) -> None:
        self._clients.discard(client)

    def check_host(self, asked: Asked) -> None:
        """A page elsewhere must not read us through a browser on this machine under a name of its own."""
        host = asked.headers.get("host", "")
        if not self._loopback or not host:
            return
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(name)
            return
        if name.lower() != "localhost":
            raise BadRequest(421, "host")

    def _take(self, connection: socket.socket) -> None:
        if len(self._clients) >= CLIENT_LIMIT:
            self.refusals["too-many"] += 1
            connection.close()
        else:
            self._clients.add(_Client(self, connection))


class _Client:
    def __init__(self, server: HttpServer, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._server = server
        self._reactor = server.reactor
        self._socket: socket.socket | None = connection
        self._input = bytearray()
        self._output = memoryview(b"")
        self._asked = False
        self._newest: Callable[[int], tuple[int, bytes] | None] | None = None
        self._number = 0
        self._timer = self._reactor.call_later(HEAD_TIME_US, lambda: self._cut("slow-request"))
        self._reactor.watch(connection.fileno(), READ, self._ready)

    # ---- answers ----

    def finish(self, whole: bytes) -> None:
        if self._socket is None:
            return
        self._output = memoryview(whole)
        self._time(lambda: self._cut("slow-reader"))
        self._flush()

    def follow(self, newest: Callable[[int], tuple[int, bytes] | None]) -> Callable[[], bool] | None:
        if self._socket is None or self._server.followers >= FOLLOWER_LIMIT:
            return None
        self._server.followers += 1
        self._newest = newest
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{_GUARDS}Connection: close\r\n\r\n"
        self._output = memoryview(head.encode("ascii"))
        self._time(lambda: self._cut("slow-reader"))
        self._flush()
        return self._more

    def _more(self) -> bool:
        """There is something new: send it, unless the picture before is still on its way."""
        if self._socket is None or self._newest is None:
            return False
        if not len(self._output):
            self._next_picture(self._newest)
        return True

    def _next_picture(self, newest: Callable[[int], tuple[int, bytes] | None]) -> None:
        found = newest(self._number)
        if found is None:
            return
        self._number, picture = found
        self._output = memoryview(b"data: " + picture + b"\n\n")
        self._time(lambda: self._cut("slow-reader"))
        self._flush()

    def _flush(self) -> None:
        if self._socket is None:
            return
        try:
            while len(self._output):
                sent = self._socket.send(self._output[:65536])
                self._output = self._output[sent:]
        except BlockingIOError:
            self._reactor.watch(self._socket.fileno(), WRITE, self._ready)
            return
        except OSError:
            self.close()
            return
        self._output = memoryview(b"")
        self._timer.cancel()
        if self._newest is None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)
            self.close()
            return
        self._reactor.watch(self._socket.fileno(), READ, self._ready)
        self._reactor.call_soon(self._again)

    def _again(self) -> None:
        self._more()

    # ---- the request ----

    def _ready(self, events: int) -> None:
        if events & HANGUP:
            self.close()
        elif events & WRITE:
            self._flush()
        else:
            self._receive()

    def _receive(self) -> None:
        if self._socket is None:
            return
        try:
            data = self._socket.recv(HEAD_LIMIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or self._newest is not None:
            self.close()  # who follows has nothing more to say
            return
        if self._asked:
            return  # what follows a request is not read as another one
        self._input += data
        head, end, _ = bytes(self._input).partition(b"\r\n\r\n")
        if not end and len(self._input) < HEAD_LIMIT:
            return
        self._asked = True
        self._timer.cancel()
        reply = Reply(self, head_only=head.startswith(b"HEAD "))
        try:
            if len(head) > HEAD_LIMIT or not end:
                raise BadRequest(431, "head-size")
            _, asked = parse(head)
            self._server.check_host(asked)
        except BadRequest as bad:
            self._server.refusals[bad.name] += 1
            reply.send(bad.code, "text/plain; charset=utf-8", f"{_REASONS[bad.code]}: {bad.name}\n".encode())
            return
        self._time(lambda: self._cut("no-answer"))
        self._server.handler(asked, reply)

    def _time(self, late: Callable[[], None]) -> None:
        self._timer.cancel()
        self._timer = self._reactor.call_later(ANSWER_TIME_US, late)

    def _cut(self, name: str) -> None:
        self._server.refusals[name] += 1
        self.close()

    def close(self) -> None:
        if self._socket is None:
            return
        self._timer.cancel()
        self._reactor.unwatch(self._socket.fileno())
        self._socket.close()
        self._socket = None
        if self._newest is not None:
            self._server.followers -= 1
        self._server.left(self)

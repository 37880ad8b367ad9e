"""The control socket: `keepalivedctl` asks, a daemon answers. JSON values, one a line, versioned (docs/control.md).

    → {"version": 1, "command": "status"}
    ← {"version": 1, "ok": true, "result": {…}}
    ← {"version": 1, "ok": false, "error": "unknown command 'x'"}

Everything is bounded. A request has at most `REQUEST_LIMIT` bytes. A client that is slow to ask or to take its answer
is cut off after `CLIENT_TIME_US`; one that follows a stream and does not read, as soon as `STREAM_BACKLOG` bytes wait
for it. At most `CLIENT_LIMIT` are connected, and at most `STREAM_LIMIT` of them follow something, so that a question
always finds room. Nothing more is read from a client while its answer waits: nobody can pile up work.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from pykeepalived.reactor import HANGUP, READ, WRITE, Reactor
from pykeepalived.reactor.acceptor import Acceptor
from pykeepalived.runtime.control_access import Access, Peer, peer_of
from pykeepalived.runtime.control_client import ControlError, NotRunning, ask, find_sockets, follow
from pykeepalived.runtime.control_wire import (
    PROTOCOL_VERSION,
    REQUEST_LIMIT,
    SOCKET_NAME,
    Request,
    encoder,
    request_decoder,
)
from pykeepalived.units import SECOND_US

__all__ = [
    "CLIENT_LIMIT", "PROTOCOL_VERSION", "REQUEST_LIMIT", "SOCKET_NAME", "Access", "Answer", "ControlError",
    "ControlServer", "NotRunning", "Peer", "Receiver", "Request", "Stream", "ask", "find_sockets", "follow",
]  # fmt: skip

CLIENT_LIMIT: Final = 256
STREAM_LIMIT: Final = 192
#: Lines that are no requests, after which a client is hung up on.
NONSENSE_LIMIT: Final = 16
CLIENT_TIME_US: Final = 10 * SECOND_US
STREAM_BACKLOG: Final = 256 * 1024
#: A stream with nothing to tell says so, so that its reader knows that the daemon lives.
HEARTBEAT_US: Final = 10 * SECOND_US


class Receiver(Protocol):
    """Who asked: a client of the socket, or one of our own processes."""

    def answer(self, body: dict[str, Any]) -> None: ...

    def stream(self, result: dict[str, Any]) -> Stream | None: ...

    def push(self, body: dict[str, Any]) -> None: ...


class Answer:
    """The way back to one client, for one request. Exactly one of `reply`, `refuse` and `begin` is called, once."""

    def __init__(self, client: Receiver, peer: Peer, *, steers: bool) -> None:
        self._client = client
        self.peer = peer
        self.steers = steers
        """The client may do more than look."""

    def reply(self, result: dict[str, Any] | msgspec.Raw) -> None:
        """`Raw`: what `control_wire.encoder` has made of it already."""
        self._client.answer({"ok": True, "result": result})

    def refuse(self, text: str) -> None:
        self._client.answer({"ok": False, "error": text})

    def begin(self, result: dict[str, Any]) -> Stream | None:
        """Answer, and go on with a stream. None: it was refused, because too many follow already."""
        return self._client.stream(result)


class Stream:
    """More answers to one request, each a line like the first."""

    def __init__(self, client: Receiver) -> None:
        self._client = client
        self.gone: Callable[[], None] = lambda: None
        """Called once, when the client has left."""

    def send(self, result: dict[str, Any]) -> None:
        """Queue one more; a client that does not read is cut off."""
        self._client.push({"ok": True, "result": result})


Handler = Callable[[Request, Answer], None]


class ControlServer:
    """Listens on a socket of its own. Raises OSError when it cannot be made or another daemon listens there."""

    def __init__(
        self, reactor: Reactor, path: str, handler: Handler, access: Access | None = None, *, ways: Iterable[str] = ()
    ) -> None:
        """`ways`: our own directories that lead to the socket, which others may pass while others may come."""
        self.path = path
        self._ways = tuple(ways)
        self.reactor = reactor
        self.handler = handler
        self.streams = 0
        self._access = Access()
        self._clients: set[_Client] = set()
        self._door = Acceptor(reactor, _listen(path), self._take)
        self.admit(access or Access())

    def admit(self, access: Access) -> None:
        """Change who may come. Clients that are connected keep what they have."""
        if access == self._access:
            return
        self._access = access
        # The file's mode lets everybody knock; who is let in the credentials decide (one file, two groups).
        with contextlib.suppress(OSError):
            Path(self.path).chmod(0o666 if access.shared else 0o600)
            for way in self._ways:
                Path(way).chmod(0o711 if access.shared else 0o700)

    def adopt(self, connection: socket.socket) -> bool:
        """Serve a process of our own over one end of a socket pair: it may look, and take its time. False: no room."""
        try:
            peer = peer_of(connection)
        except OSError:
            return False
        self._clients.add(_Client(self, connection, peer, ours=True))
        return True

    def close(self) -> None:
        """Stop listening, cut clients off and remove the socket."""
        self._door.close()
        for client in tuple(self._clients):
            client.close()
        with contextlib.suppress(OSError):
            Path(self.path).unlink()

    def steers(self, peer: Peer) -> bool:
        return self._access.steers(peer)

    def left(self, client: _Client) -> None:
        self._clients.discard(client)

    def _take(self, connection: socket.socket) -> None:
        try:
            peer = peer_of(connection)
        except OSError:
            connection.close()
            return
        if not self._access.reads(peer) or len(self._clients) >= CLIENT_LIMIT:
            connection.close()
            return
        self._clients.add(_Client(self, connection, peer))


class _Client:
    """One connection: any number of requests, one after the other; the last one may become a stream."""

    def __init__(self, server: ControlServer, connection: socket.socket, peer: Peer, *, ours: bool = False) -> None:
        connection.setblocking(False)
        self._server = server
        self._reactor = server.reactor
        self._socket: socket.socket | None = connection
        self._peer = peer
        self._ours = ours
        self._input = bytearray()
        self._output = bytearray()
        self._busy = False
        self._ended = False
        self._nonsense = 0
        self._stream: Stream | None = None
        self._timer = self._reactor.call_later(CLIENT_TIME_US, self._late)
        self._reactor.watch(connection.fileno(), READ, self._ready)

    def _late(self) -> None:
        """It is slow to ask, or to take its answer."""
        if not self._ours:
            self.close()

    def close(self) -> None:
        if self._socket is None:
            return
        self._timer.cancel()
        self._reactor.unwatch(self._socket.fileno())
        self._socket.close()
        self._socket = None
        self._input.clear()
        self._output.clear()
        self._server.left(self)
        if self._stream is not None:
            self._server.streams -= 1
            self._stream.gone()

    # ---- what goes out ----

    def answer(self, body: dict[str, Any]) -> None:
        if self._socket is None:
            return
        self._busy = False
        self._queue(body)
        self._restart_timer(CLIENT_TIME_US, self._late)
        self._flush()

    def stream(self, result: dict[str, Any]) -> Stream | None:
        if self._socket is None or self._server.streams >= STREAM_LIMIT:
            self.answer({"ok": False, "error": "too many clients follow already"})
            return None
        self._server.streams += 1
        self._stream = Stream(self)
        self._queue({"ok": True, "result": result})
        self._restart_timer(HEARTBEAT_US, self._beat)
        self._flush()
        return self._stream

    def push(self, body: dict[str, Any]) -> None:
        if self._socket is None:
            return
        self._queue(body)
        self._flush()
        if len(self._output) > STREAM_BACKLOG:
            self.close()

    def _beat(self) -> None:
        self._restart_timer(HEARTBEAT_US, self._beat)
        self.push({"ok": True, "result": {"heartbeat": True}})

    def _restart_timer(self, delay_us: int, callback: Callable[[], None]) -> None:
        self._timer.cancel()
        self._timer = self._reactor.call_later(delay_us, callback)

    def _queue(self, body: dict[str, Any]) -> None:
        self._output += encoder.encode({"version": PROTOCOL_VERSION, **body}) + b"\n"

    def _flush(self) -> None:
        if self._socket is None:
            return
        try:
            while self._output:
                sent = self._socket.send(memoryview(self._output)[:65536])
                del self._output[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        self._watch()
        if self._output or self._busy:
            return
        if self._input:
            # What came with the question before: no further readiness of the socket will tell of it.
            self._reactor.call_soon(self._serve)
        elif self._ended and self._stream is None:
            self.close()

    # ---- what comes in ----

    def _ready(self, events: int) -> None:
        if events & HANGUP:
            self.close()  # nobody is left to read an answer
        elif events & WRITE:
            self._flush()
        elif self._socket is not None:
            self._receive(self._socket)

    def _receive(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(REQUEST_LIMIT)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if self._stream is not None:
            # Who follows has nothing more to say; whatever it says is its goodbye.
            self.close()
            return
        if not data:
            # A client may shut its sending side down and still wait for the answer.
            self._ended = True
            self._watch()
            if not self._busy and not self._output:
                self.close()
            return
        self._input += data
        self._serve()

    def _serve(self) -> None:
        if self._busy or self._output or self._socket is None or self._stream is not None:
            return
        line, newline, rest = self._input.partition(b"\n")
        if len(line) > REQUEST_LIMIT:
            self._ended = True
            self._input.clear()
            self.answer({"ok": False, "error": f"a request has at most {REQUEST_LIMIT} bytes"})
        elif newline:
            self._input = rest
            self._busy = True
            self._restart_timer(CLIENT_TIME_US, self._late)
            self._watch()
            self._handle(bytes(line))
        elif self._ended:
            self.close()

    def _handle(self, line: bytes) -> None:
        try:
            request = request_decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._nonsense += 1
            if self._nonsense >= NONSENSE_LIMIT:
                # It speaks another language, or means no good: its answers would only cost.
                self._ended = True
                self._input.clear()
            self.answer({"ok": False, "error": f"not a request: {error}"})
            return
        if request.version != PROTOCOL_VERSION:
            self.answer({"ok": False, "error": f"protocol version {request.version} is not spoken here"})
            return
        steers = not self._ours and self._server.steers(self._peer)
        self._server.handler(request, Answer(self, self._peer, steers=steers))

    def _watch(self) -> None:
        """Nothing is read while an answer is being made or waits to be taken: a client cannot pile up work."""
        if self._socket is None:
            return
        wanted = WRITE if self._output else 0
        if self._stream is not None or (not self._output and not self._busy and not self._ended):
            wanted |= READ
        self._reactor.watch(self._socket.fileno(), wanted, self._ready)


def make_private(directory: Path) -> None:
    """Make a directory that only we can use, whatever the umask is; one that is there stays. Raises OSError."""
    try:
        directory.mkdir(parents=True)
    except FileExistsError:
        return
    directory.chmod(0o700)


def _listen(path: str) -> socket.socket:
    parent = Path(path).parent
    make_private(parent)
    lock = os.open(parent / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        # Two daemons that start together must not take each other's socket for a dead one.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _somebody_listens(path):
            raise OSError(98, "another daemon listens there")
        with contextlib.suppress(FileNotFoundError):
            Path(path).unlink()
        old = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(old)
        listener.listen(CLIENT_LIMIT)
    except OSError:
        listener.close()
        raise
    finally:
        os.close(lock)
    return listener


def _somebody_listens(path: str) -> bool:
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        probe.connect(path)
    except BlockingIOError:
        return True  # its backlog is full
    except OSError:
        return False
    finally:
        probe.close()
    return True

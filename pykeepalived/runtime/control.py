"""The control socket: `keepalivedctl` asks, the supervisor answers. JSON values, one a line, versioned.

    → {"version": 1, "command": "status"}
    ← {"version": 1, "ok": true, "result": {…}}
    ← {"version": 1, "ok": false, "error": "unknown command 'x'"}

Only root and the daemon's own user are served (SO_PEERCRED), a request has at most `REQUEST_LIMIT` bytes, at most
`CLIENT_LIMIT` clients are connected, one that is slow to ask or to read is cut off after `CLIENT_TIME_US`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from pykeepalived.reactor import HANGUP, READ, WRITE, Reactor
from pykeepalived.units import SECOND_US

PROTOCOL_VERSION: Final = 1
REQUEST_LIMIT: Final = 64 * 1024
CLIENT_LIMIT: Final = 32
CLIENT_TIME_US: Final = 10 * SECOND_US
SOCKET_NAME: Final = "control.sock"

_CREDENTIALS: Final = struct.Struct("iII")
#: Directories of daemons that are looked at when one is searched for.
_SEARCH_LIMIT: Final = 256


class Request(msgspec.Struct, frozen=True):
    """What a client sends."""

    command: str
    version: int = PROTOCOL_VERSION
    arguments: dict[str, Any] = {}


Reply = Callable[[dict[str, Any]], None]
Handler = Callable[[Request, Reply, Callable[[str], None]], None]
"""Called with the request, a function for the result and one for an error text; either is called once, now or later."""

_request_decoder: Final = msgspec.json.Decoder(Request)
_encoder: Final = msgspec.json.Encoder(enc_hook=str)


class ControlServer:
    """Listens on a socket of its own. Raises OSError when it cannot be made or another daemon listens there."""

    def __init__(self, reactor: Reactor, path: str, handler: Handler) -> None:
        self.path = path
        self._reactor = reactor
        self._handler = handler
        self._clients: set[_Client] = set()
        self._listener = _listen(path)
        reactor.watch(self._listener.fileno(), READ, self._accept)

    def close(self) -> None:
        """Stop listening, cut clients off and remove the socket."""
        self._reactor.unwatch(self._listener.fileno())
        self._listener.close()
        for client in tuple(self._clients):
            client.close()
        with contextlib.suppress(OSError):
            Path(self.path).unlink()

    def _accept(self, _events: int) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        _pid, uid, _gid = _CREDENTIALS.unpack(
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
        if uid not in {0, os.geteuid()} or len(self._clients) >= CLIENT_LIMIT:
            connection.close()
            return
        self._clients.add(_Client(self._reactor, connection, self._handler, self._clients.discard))


class _Client:
    """One connection: any number of requests, one after the other."""

    def __init__(
        self, reactor: Reactor, connection: socket.socket, handler: Handler, gone: Callable[[_Client], None]
    ) -> None:
        connection.setblocking(False)
        self._reactor = reactor
        self._socket: socket.socket | None = connection
        self._handler = handler
        self._gone = gone
        self._input = bytearray()
        self._output = bytearray()
        self._busy = False
        self._ended = False
        self._timer = reactor.call_later(CLIENT_TIME_US, self.close)
        reactor.watch(connection.fileno(), READ, self._ready)

    def close(self) -> None:
        if self._socket is None:
            return
        self._timer.cancel()
        self._reactor.unwatch(self._socket.fileno())
        self._socket.close()
        self._socket = None
        self._gone(self)

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
        if not data:
            # A client may shut its sending side down and still wait for the answer.
            self._ended = True
            self._watch()
            self._close_when_done()
            return
        self._input += data
        self._serve()

    def _serve(self) -> None:
        while not self._busy and self._socket is not None:
            line, newline, rest = self._input.partition(b"\n")
            if len(line) > REQUEST_LIMIT:
                self._ended = True
                self._input.clear()
                self._answer({"ok": False, "error": f"a request has at most {REQUEST_LIMIT} bytes"})
                return
            if not newline:
                break
            self._input = rest
            self._busy = True
            self._handle(bytes(line))
        self._watch()

    def _handle(self, line: bytes) -> None:
        try:
            request = _request_decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._answer({"ok": False, "error": f"not a request: {error}"})
            return
        if request.version != PROTOCOL_VERSION:
            self._answer({"ok": False, "error": f"protocol version {request.version} is not spoken here"})
            return
        self._handler(
            request,
            lambda result: self._answer({"ok": True, "result": result}),
            lambda text: self._answer({"ok": False, "error": text}),
        )

    def _answer(self, body: dict[str, Any]) -> None:
        if self._socket is None:
            return
        self._busy = False
        self._output += _encoder.encode({"version": PROTOCOL_VERSION, **body}) + b"\n"
        self._timer.cancel()
        self._timer = self._reactor.call_later(CLIENT_TIME_US, self.close)
        self._flush()
        if self._input and not self._output:
            self._reactor.call_soon(self._serve)

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
        self._close_when_done()

    def _watch(self) -> None:
        """Nothing is read while an answer is being made or waits to be taken: a client cannot pile up work."""
        if self._socket is None:
            return
        wanted = 0
        if self._output:
            wanted = WRITE
        elif not self._busy and not self._ended:
            wanted = READ
        self._reactor.watch(self._socket.fileno(), wanted, self._ready)

    def _close_when_done(self) -> None:
        if self._ended and not self._busy and not self._output:
            self.close()


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


def find_sockets(directory: str) -> list[str]:
    """Control sockets of the daemons that keep their state below `directory`, the default one first."""
    top = Path(directory)
    found = [top / SOCKET_NAME] if _is_there(top / SOCKET_NAME) else []
    with contextlib.suppress(OSError):
        entries = sorted(top.iterdir())[:_SEARCH_LIMIT]
        found += [entry / SOCKET_NAME for entry in entries if _is_there(entry / SOCKET_NAME)]
    return [str(path) for path in found]


def _is_there(path: Path) -> bool:
    try:
        return path.is_socket()
    except OSError:
        return False


class ControlError(Exception):
    """The daemon refused a request; the text says why."""


class NotRunning(Exception):
    """Nobody listens on the socket."""


def ask(
    path: str, command: str, arguments: dict[str, Any] | None = None, *, timeout_s: float = 5, limit: int = 1 << 28
) -> dict[str, Any]:
    """Send one request and wait for the answer. Raises NotRunning, ControlError."""
    request = _encoder.encode({"version": PROTOCOL_VERSION, "command": command, "arguments": arguments or {}}) + b"\n"
    answer = bytearray()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(path)
        except OSError as error:
            raise NotRunning(f"{path}: {error.strerror or error}") from None
        try:
            connection.sendall(request)
            while not answer.endswith(b"\n"):
                data = connection.recv(1 << 20)
                if not data or len(answer) > limit:
                    raise ControlError("the daemon closed the connection")
                answer += data
        except OSError as error:
            raise ControlError(f"no answer: {error.strerror or error}") from None
    try:
        body = msgspec.json.decode(bytes(answer), type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ControlError(f"not an answer: {error}") from None
    if not body.get("ok"):
        raise ControlError(str(body.get("error", "refused")))
    result = body.get("result")
    return result if isinstance(result, dict) else {}

"""What parent and children say to each other: msgpack values with a length in front, over a stream socket pair.

Both ends are processes of one daemon, yet everything is bounded: a frame by `FRAME_LIMIT`, what waits to be sent by
`BACKLOG_LIMIT`. A child that does not read (it is stuck, and will be killed) must not fill its parent's memory.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import struct
from collections.abc import Callable
from typing import Any, Final

import msgspec

from pykeepalived.reactor import READ, WRITE, Reactor
from pykeepalived.runtime.generation_delta import Delta
from pykeepalived.runtime.program import FIRST_PART, StatusPart

FRAME_LIMIT: Final = 256 * 1024 * 1024
BACKLOG_LIMIT: Final = 2 * FRAME_LIMIT
_HEADER: Final = struct.Struct("!I")
_CHUNK: Final = 1024 * 1024


# ---- from the parent ----


class Reload(msgspec.Struct, frozen=True, tag=True):
    """Change to another generation; answered by `Reloaded`."""

    packed: msgspec.Raw
    """Read by `delta_of` alone: a decoder of the whole model takes 20 ms to make, which no start should wait for."""

    @classmethod
    def to(cls, delta: Delta) -> Reload:
        """Raises UnicodeEncodeError or msgspec.EncodeError for a value that msgpack cannot hold."""
        return cls(msgspec.Raw(_encoder.encode(delta)))


class AskStatus(msgspec.Struct, frozen=True, tag=True):
    """Answered by `Status` with the same id."""

    id: int
    part: StatusPart = FIRST_PART


class AskCommand(msgspec.Struct, frozen=True, tag=True):
    """Do something; answered by `Status` with the same id, whose body has `error` when it is refused."""

    id: int
    name: str
    arguments: dict[str, Any]


class AskDump(msgspec.Struct, frozen=True, tag=True):
    """Answered by `Dump`; kinds are those of `Program.dump`."""

    kind: str
    path: str = ""
    """Comes back with the answer."""


class Answered(msgspec.Struct, frozen=True, tag=True):
    """An answer to a child's `Question`, as on the control socket: JSON with `ok`, and `result` or `error`."""

    id: int
    body: bytes
    last: bool
    """False: it was the question for a stream, and further answers come."""


class Ping(msgspec.Struct, frozen=True, tag=True):
    """Answered by `Pong` as soon as the child's loop comes round."""


# ---- from a child ----


class Pong(msgspec.Struct, frozen=True, tag=True):
    """The child works."""


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The program has started."""


class Reloaded(msgspec.Struct, frozen=True, tag=True):
    """The program runs on the new generation."""


class WantReload(msgspec.Struct, frozen=True, tag=True):
    """Somebody sent SIGHUP to the child; only the parent reads files."""


class Status(msgspec.Struct, frozen=True, tag=True):
    id: int
    body: dict[str, Any]


class Dump(msgspec.Struct, frozen=True, tag=True):
    """A dump file's text; None: this child has no such file."""

    kind: str
    text: str | None
    path: str = ""


class Remember(msgspec.Struct, frozen=True, tag=True):
    """Facts for a successor of this process; an empty value: forget that one."""

    facts: dict[str, str]


class Happened(msgspec.Struct, frozen=True, tag=True):
    """An event for whoever watches."""

    name: str
    fields: dict[str, Any]


class Question(msgspec.Struct, frozen=True, tag=True):
    """A request of the control socket's table (docs/control.md); answered by `Answered` with the same id."""

    id: int
    command: str
    arguments: dict[str, Any]


FromParent = Reload | AskStatus | AskCommand | AskDump | Answered | Ping
FromChild = Ready | Reloaded | WantReload | Status | Dump | Happened | Remember | Pong | Question

parent_decoder: Final = msgspec.msgpack.Decoder(FromParent)
child_decoder: Final = msgspec.msgpack.Decoder(FromChild)
_encoder: Final = msgspec.msgpack.Encoder(enc_hook=str)


@functools.cache
def _delta_decoder() -> msgspec.msgpack.Decoder[Delta]:
    return msgspec.msgpack.Decoder(Delta)


def delta_of(message: Reload) -> Delta:
    """Raises msgspec.MsgspecError for what is no delta."""
    return _delta_decoder().decode(message.packed)


def prepare_for_reloads() -> None:
    """Make now what the first reload would have to make."""
    _delta_decoder()


class Channel:
    """One end. `on_message` gets each decoded value, `on_close` is called once when the other end is gone."""

    def __init__(
        self,
        reactor: Reactor,
        end: socket.socket,
        decoder: msgspec.msgpack.Decoder[Any],
        on_message: Callable[[Any], None],
        on_close: Callable[[], None],
    ) -> None:
        end.setblocking(False)
        self._reactor = reactor
        self._socket: socket.socket | None = end
        self._decoder = decoder
        self._on_message = on_message
        self._on_close = on_close
        self._input = bytearray()
        self._output = bytearray()
        self._watched = READ
        reactor.watch(end.fileno(), READ, self._ready)

    def send(self, message: FromParent | FromChild) -> bool:
        """Queue a message. False: the other end is gone or does not read, and the message is dropped.

        Raises UnicodeEncodeError or msgspec.EncodeError for a value that msgpack cannot hold.
        """
        frame = _encoder.encode(message)
        if self._socket is None or len(frame) > FRAME_LIMIT or len(self._output) + len(frame) > BACKLOG_LIMIT:
            return False
        self._output += _HEADER.pack(len(frame))
        self._output += frame
        self._flush()
        return True

    def drain(self, limit_s: float) -> None:
        """Send what is queued before the process ends, waiting at most `limit_s` seconds."""
        if self._socket is not None and self._output:
            self._socket.settimeout(limit_s)
            with contextlib.suppress(OSError):
                self._socket.sendall(self._output)

    def finish_reading(self) -> None:
        """Take what the other end, which is gone, still sent: at most one frame's length."""
        for _ in range(FRAME_LIMIT // _CHUNK):
            end = self._socket
            if end is None:
                return
            try:
                data = end.recv(_CHUNK)
            except OSError:
                return
            if not data:
                return
            self._input += data
            self._take_frames()

    def close(self) -> None:
        """Close without telling `on_close`."""
        if self._socket is not None:
            self._reactor.unwatch(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        if events & ~WRITE:
            self._receive()

    def _flush(self) -> None:
        end = self._socket
        if end is None:
            return
        try:
            while self._output:
                sent = end.send(memoryview(self._output)[:_CHUNK])
                del self._output[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._output.clear()  # the reading side learns of the end
        wanted = READ | WRITE if self._output else READ
        if wanted != self._watched:
            self._watched = wanted
            self._reactor.watch(end.fileno(), wanted, self._ready)

    def _receive(self) -> None:
        end = self._socket
        if end is None:
            return
        try:
            data = end.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end()
            return
        self._input += data
        self._take_frames()

    def _take_frames(self) -> None:
        while self._socket is not None and len(self._input) >= _HEADER.size:
            (length,) = _HEADER.unpack_from(self._input)
            if length > FRAME_LIMIT:
                self._end()
                return
            if len(self._input) < _HEADER.size + length:
                return
            frame = bytes(memoryview(self._input)[_HEADER.size : _HEADER.size + length])
            del self._input[: _HEADER.size + length]
            try:
                message = self._decoder.decode(frame)
            except msgspec.MsgspecError:
                self._end()
                return
            self._on_message(message)

    def _end(self) -> None:
        self.close()
        self._on_close()

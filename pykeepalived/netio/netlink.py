"""Netlink as far as VRRP needs it: message headers, attributes, a request socket that sends batches, dumps.

Only a codec and a socket; what the messages mean stands in `links` and `addresses`. It exists beside pyroute2 because
of what its two users cost there (measured): 13 µs instead of 250 µs for an address added, 8.5 µs instead of 92 µs for
an event received. Tests compare the bytes with pyroute2's message classes in both directions.

The kernel works on a request within `send`, so that its answers, and the events that other sockets are to receive, are
queued when `send` returns. A batch therefore never waits: whatever is not there after it will not come.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3
NLM_F_REQUEST: Final = 0x1
NLM_F_MULTI: Final = 0x2
NLM_F_ACK: Final = 0x4
NLM_F_DUMP_INTR: Final = 0x10
NLM_F_REPLACE: Final = 0x100
NLM_F_DUMP: Final = 0x300
NLM_F_CREATE: Final = 0x400

RTM_NEWLINK: Final = 16
RTM_DELLINK: Final = 17
RTM_GETLINK: Final = 18
RTM_NEWADDR: Final = 20
RTM_DELADDR: Final = 21
RTM_GETADDR: Final = 22

_SOL_NETLINK: Final = 270
_NETLINK_CAP_ACK: Final = 10
_NETLINK_EXT_ACK: Final = 11
_SO_RCVBUFFORCE: Final = 33
_NLM_F_CAPPED: Final = 0x100
_NLM_F_ACK_TLVS: Final = 0x200
_NLMSGERR_ATTR_MSG: Final = 1

_HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_ERROR: Final = struct.Struct("=i")
_TYPE_MASK: Final = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER

#: Requests per `send`: their answers must fit into the receive buffer (64 × some 100 bytes of error text).
_BATCH: Final = 64
_RECEIVE_BYTES: Final = 256 * 1024
#: A dump is made again when the kernel says that the table changed under it; a busy host must not hold us for ever.
_DUMP_ATTEMPTS: Final = 5
_DUMP_MESSAGES: Final = 1_000_000
_TIMEOUT_S: Final = 5.0


class Message(msgspec.Struct, frozen=True):
    """One netlink message without its header."""

    type: int
    flags: int
    sequence: int
    port: int
    """Who asked for it; the port of our own request socket in events that we caused (IPv4 only)."""
    body: memoryview


class Failure(msgspec.Struct, frozen=True):
    """A request of a batch that the kernel refused: its place in the batch, errno, the kernel's own words if any."""

    index: int
    errno: int
    text: str = ""

    def reason(self) -> str:
        words = os.strerror(self.errno)
        return f"{words} ({self.text})" if self.text else words


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def request(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """One message with its header, padded to four bytes; NLM_F_REQUEST is added."""
    head = _HEADER.pack(_HEADER.size + len(body), kind, flags | NLM_F_REQUEST, sequence, 0)
    return head + body + bytes(-len(body) % 4)


def messages(data: bytes) -> Iterator[Message]:
    """Split what one `recv` returned. Ends at the first header that does not fit: the rest cannot be trusted."""
    view = memoryview(data)
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, sequence, port = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > len(data):
            return
        yield Message(kind, flags, sequence, port, view[offset + _HEADER.size : offset + length])
        offset += (length + 3) & ~3


def attributes(body: memoryview, offset: int) -> dict[int, memoryview]:
    """Attributes of a message body from `offset` on; the last one of a kind wins, a broken one ends the list."""
    found: dict[int, memoryview] = {}
    while offset + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, offset)
        if length < _ATTRIBUTE.size or offset + length > len(body):
            break
        found[kind & _TYPE_MASK] = body[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
    return found


def _failure(message: Message, first: int) -> Failure | None:
    """None for an acknowledgement."""
    (code,) = _ERROR.unpack_from(message.body)
    if code == 0:
        return None
    text = ""
    if message.flags & _NLM_F_ACK_TLVS:
        # After the error number comes the request's header, and with NLM_F_CAPPED nothing else of the request.
        start = 4 + _HEADER.size
        if not message.flags & _NLM_F_CAPPED:
            (length,) = struct.unpack_from("=I", message.body, 4)
            start = 4 + ((length + 3) & ~3)
        text = (
            bytes(attributes(message.body, start).get(_NLMSGERR_ATTR_MSG, b"")).rstrip(b"\0").decode("ascii", "replace")
        )
    return Failure(message.sequence - first, -code, text)


def set_receive_buffer(sock: socket.socket, size: int) -> None:
    """Make the receive buffer large, beyond the system's limit where our rights allow it."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


class Requests:
    """A route netlink socket for requests: batches of changes, and dumps."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._socket.settimeout(_TIMEOUT_S)
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK):
            try:
                self._socket.setsockopt(_SOL_NETLINK, option, 1)
            except OSError:  # an old kernel: errors come without words
                continue
        set_receive_buffer(self._socket, 1 << 20)
        self.port: int = self._socket.getsockname()[0]
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def change(self, changes: Sequence[tuple[int, int, bytes]]) -> list[Failure]:
        """Send (message type, flags, body) requests in as few system calls as possible.

        Returns the refused ones; the others were done. Raises OSError when the socket itself fails.
        """
        failures: list[Failure] = []
        for start in range(0, len(changes), _BATCH):
            failures += self._batch(changes[start : start + _BATCH], start)
        return failures

    def _batch(self, changes: Sequence[tuple[int, int, bytes]], offset: int) -> list[Failure]:
        first = self._sequence + 1
        self._sequence += len(changes)
        packed = bytearray()
        for index, (kind, flags, body) in enumerate(changes):
            # Refusals are always answered; an acknowledgement is asked of the last one only, as the end of the answers.
            ack = NLM_F_ACK if index == len(changes) - 1 else 0
            packed += request(kind, flags | ack, first + index, body)
        self._socket.send(packed)
        failures: list[Failure] = []
        while True:
            for message in messages(self._socket.recv(_RECEIVE_BYTES)):
                if message.type != NLMSG_ERROR or message.sequence < first:
                    continue
                failure = _failure(message, first)
                if failure is not None:
                    failures.append(msgspec.structs.replace(failure, index=failure.index + offset))
                if message.sequence == self._sequence:
                    return failures

    def dump(self, kind: int, body: bytes) -> list[Message]:
        """All objects of a table. Raises OSError when the kernel refuses or the table never holds still."""
        for _ in range(_DUMP_ATTEMPTS):
            found, whole = self._dump_once(kind, body)
            if whole:
                return found
        raise OSError(errno.EAGAIN, "the kernel's table changes faster than it can be read")

    def _dump_once(self, kind: int, body: bytes) -> tuple[list[Message], bool]:
        self._sequence += 1
        self._socket.send(request(kind, NLM_F_DUMP, self._sequence, body))
        found: list[Message] = []
        whole = True
        while True:
            for message in messages(self._socket.recv(_RECEIVE_BYTES)):
                if message.sequence != self._sequence:
                    continue
                whole = whole and not message.flags & NLM_F_DUMP_INTR
                if message.type == NLMSG_ERROR:
                    (code,) = _ERROR.unpack_from(message.body)
                    raise OSError(-code, os.strerror(-code))
                if message.type == NLMSG_DONE:
                    return found, whole
                if len(found) >= _DUMP_MESSAGES:
                    raise OSError(errno.E2BIG, "the kernel's table is too large")
                found.append(message)

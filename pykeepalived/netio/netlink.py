"""Route netlink as far as VRRP needs it: a request socket that sends batches of changes and makes dumps.

pyroute2 carries the messages and reads the answers. Ours is what pyroute2 has no word for, or is slow at: the socket
(pyroute2's brings an asyncio loop with it), many
changes in one `send` with one acknowledgement, and a small encoder of addresses, because a failover of hundreds of them
waits for it: 13 µs an address instead of 250 µs (measured). Tests compare its bytes with pyroute2's message classes.

The kernel works on a request within `send`, so that its answers, and the events that other sockets are to receive, are
queued when `send` returns. A batch therefore never waits: whatever is not there after it will not come.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from pykeepalived.netio.pyroute import Marshal, fibmsg, ifaddrmsg, ifinfmsg, nlmsg, rtmsg
from pykeepalived.reactor.buffers import follow_words, set_receive_buffer

NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3
NLM_F_REQUEST: Final = 0x1
NLM_F_ACK: Final = 0x4
NLM_F_DUMP_INTR: Final = 0x10
NLM_F_REPLACE: Final = 0x100
NLM_F_EXCL: Final = 0x200
NLM_F_DUMP: Final = 0x300
NLM_F_CREATE: Final = 0x400
NLM_F_APPEND: Final = 0x800

RTM_NEWLINK: Final = 16
RTM_DELLINK: Final = 17
RTM_GETLINK: Final = 18
RTM_SETLINK: Final = 19
RTM_NEWADDR: Final = 20
RTM_DELADDR: Final = 21
RTM_GETADDR: Final = 22
RTM_NEWROUTE: Final = 24
RTM_DELROUTE: Final = 25
RTM_GETROUTE: Final = 26
RTM_NEWRULE: Final = 32
RTM_DELRULE: Final = 33
RTM_GETRULE: Final = 34

_NETLINK_ROUTE: Final = 0
_SOL_NETLINK: Final = 270
_NETLINK_EXT_ACK: Final = 11
_NETLINK_GET_STRICT_CHK: Final = 12
_HEADER: Final = struct.Struct("=IHHII")
_ACKNOWLEDGEMENT: Final = struct.Struct("=IHHIIi")
_ATTRIBUTE: Final = struct.Struct("=HH")
_TYPE_MASK: Final = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER

#: Requests per `send`: their answers must fit into the receive buffer (each refused request comes back whole).
_BATCH: Final = 64
_RECEIVE_BYTES: Final = 256 * 1024
_RECEIVE_BUFFER: Final = 1 << 20
#: A dump is made again when the kernel says that the table changed under it; a busy host must not hold us for ever.
_DUMP_ATTEMPTS: Final = 5
_DUMP_MESSAGES: Final = 1_000_000
_TIMEOUT_S: Final = 5.0

# What it says of broken messages, `decode` says in one line.
logging.getLogger("pyroute2").addHandler(logging.NullHandler())


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


def body_of(message: Any) -> bytes:
    """The body of one of pyroute2's messages, for `Requests.change`."""
    message.reset()
    message.encode()
    return bytes(message.data[_HEADER.size :])


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


def decode(reader: Marshal, data: bytes) -> list[Any]:
    """The messages of a datagram. Raises OSError (EBADMSG) when it is none of the kernel's making.

    pyroute2 raises whatever its decoding meets, and logs it with a traceback.
    """
    try:
        return list(reader.parse(data))
    except Exception as error:
        raise OSError(errno.EBADMSG, f"the kernel's message cannot be read: {type(error).__name__}") from None


class Messages(Marshal):  # type: ignore[misc]  # pyroute2 has no types
    """pyroute2's reader with the messages that we know; of any other it reads the header only."""

    msg_map = {  # noqa: RUF012 (pyroute2's name and form)
        RTM_NEWLINK: ifinfmsg,
        RTM_DELLINK: ifinfmsg,
        RTM_NEWADDR: ifaddrmsg,
        RTM_DELADDR: ifaddrmsg,
        RTM_NEWROUTE: rtmsg,
        RTM_DELROUTE: rtmsg,
        RTM_NEWRULE: fibmsg,
        RTM_DELRULE: fibmsg,
    }


class _Answers(Marshal):  # type: ignore[misc]
    """Answers to changes: a refused request inside an error is not taken apart again."""

    msg_map: dict[int, Any] = {}  # noqa: RUF012


def open_socket(groups: int, receive_bytes: int) -> socket.socket:
    """A route netlink socket, bound, with a large receive buffer; refusals come with words. Raises OSError."""
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_ROUTE)
    try:
        with contextlib.suppress(OSError):
            made.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        set_receive_buffer(made, receive_bytes)
        made.bind((0, groups))
    except BaseException:
        made.close()
        raise
    return made


class Requests:
    """A route netlink socket for requests: batches of changes, and dumps."""

    def __init__(self, *, strict: bool = False) -> None:
        """`strict`: dumps hold only what the fields of the request say (Linux 4.20). Raises OSError."""
        self._socket = open_socket(0, _RECEIVE_BUFFER)
        if strict:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)
        self._socket.settimeout(_TIMEOUT_S)
        self._answers = _Answers()
        self._messages = Messages()
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def set_buffer(self, size: int | None, *, force: bool) -> None:
        """`vrrp_netlink_cmd_rcv_bufs`: bytes, None for our own size; see `reactor.buffers`."""
        follow_words(self._socket, _RECEIVE_BUFFER, size, force=force)

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
            data = self._socket.recv(_RECEIVE_BYTES)
            if self._is_plain_end(data):
                return failures
            for answer in decode(self._answers, data):
                header = answer["header"]
                if header["type"] != NLMSG_ERROR or header["sequence_number"] < first:
                    continue
                if answer["error"]:
                    failures.append(
                        Failure(offset + header["sequence_number"] - first, abs(answer["error"]), _words(answer))
                    )
                if header["sequence_number"] == self._sequence:
                    return failures

    def _is_plain_end(self, data: bytes) -> bool:
        """Nothing but the acknowledgement of the last request. It is what comes nearly always, and a failover waits for
        it; the way through pyroute2's message class costs 50 µs.
        """
        if len(data) < _ACKNOWLEDGEMENT.size:
            return False
        length, kind, _, sequence, _, error = _ACKNOWLEDGEMENT.unpack_from(data)
        return length == len(data) and (kind, sequence, error) == (NLMSG_ERROR, self._sequence, 0)

    def dump(self, kind: int, message: Any, reader: Messages | None = None) -> list[Any]:
        """All objects of a table, as pyroute2's messages or what another reader makes of them.

        Raises OSError when the kernel refuses or the table never holds still.
        """
        for _ in range(_DUMP_ATTEMPTS):
            found, whole = self._dump_once(kind, message, reader or self._messages)
            if whole:
                return found
        raise OSError(errno.EAGAIN, "the kernel's table changes faster than it can be read")

    def _dump_once(self, kind: int, message: Any, reader: Messages) -> tuple[list[Any], bool]:
        self._sequence += 1
        self._socket.send(request(kind, NLM_F_DUMP, self._sequence, body_of(message)))
        found: list[Any] = []
        whole = True
        while True:
            for item in decode(reader, self._socket.recv(_RECEIVE_BYTES)):
                header = item["header"]
                if header["sequence_number"] != self._sequence:
                    continue
                whole = whole and not header["flags"] & NLM_F_DUMP_INTR
                if header["type"] == NLMSG_ERROR:
                    number = abs(item["error"])
                    raise OSError(number, os.strerror(number))
                if header["type"] == NLMSG_DONE:
                    return found, whole
                if len(found) >= _DUMP_MESSAGES:
                    raise OSError(errno.E2BIG, "the kernel's table is too large")
                found.append(item)


def _words(answer: nlmsg) -> str:
    """What the kernel said about a refusal, printable and short."""
    text = str(answer.get_attr("NLMSGERR_ATTR_MSG") or "")
    return "".join(char for char in text[:200] if char.isprintable())

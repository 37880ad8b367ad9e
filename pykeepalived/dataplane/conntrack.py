"""Connection tracking's table: which translated connections there are, and the removal of some.

A few messages of ctnetlink, encoded here: the kernel filters a dump by the address that answers, and an entry is
deleted by the tuple with which it was dumped.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from pykeepalived.model.common import Family, family_of

_NETFILTER: Final = 12
_GET, _DELETE = 1 << 8 | 1, 1 << 8 | 2
_REQUEST, _ACK, _DUMP = 1, 4, 0x300
_ERROR, _DONE = 2, 3
_ORIGINAL, _REPLY, _STATUS, _PROTOINFO, _TIMEOUT, _ID, _ZONE, _FILTER = 1, 2, 3, 4, 7, 12, 18, 25
_NESTED: Final = 0x8000
_FILTER_SOURCE: Final = 1
_DESTINATION_NAT: Final = 1 << 5
_TCP_ESTABLISHED: Final = 3
#: A dump of a million entries takes about this long; the daemon's loop waits meanwhile.
_LIMIT_S: Final = 5.0
_BUFFER: Final = 1 << 16
_RECEIVE_BUFFER: Final = 8 << 20
#: Addresses that are asked for one by one; for more, the whole table is read once.
_ASKED_APART: Final = 8


class Flow(msgspec.Struct, frozen=True):
    """A connection with a translated destination: who called, who was called, who answers."""

    protocol: int
    caller: str
    caller_port: int
    called: str
    called_port: int
    answers: str
    answers_port: int
    established: bool
    state: int
    """Of TCP, as connection tracking numbers them; 0 of other protocols."""
    expires_s: int
    handle: bytes
    """Attributes that name the entry to the kernel."""


def translated(family: Family, answering: Iterable[str] = ()) -> list[Flow]:
    """Connections whose destination was translated, of these real servers or of all.

    Raises OSError when the kernel has no ctnetlink, or does not finish in time.
    """
    wanted = {address for address in answering if family_of(address) is family}
    with _open() as opened:
        if 0 < len(wanted) <= _ASKED_APART:
            try:
                return [flow for address in sorted(wanted) for flow in _dump(opened, family, _only(family, address))]
            except OSError as error:
                # Filters came with Linux 5.8.
                if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                    raise
        return [flow for flow in _dump(opened, family, b"") if not wanted or flow.answers in wanted]


def forget(family: Family, answering: Iterable[str], chosen: Callable[[Flow], bool]) -> int:
    """Delete the chosen connections of these real servers and return how many there were. Raises OSError."""
    done = 0
    flows = [flow for flow in translated(family, answering) if chosen(flow)]
    with _open() as opened:
        for flow in flows:
            # It may have ended by itself since.
            with contextlib.suppress(FileNotFoundError):
                opened.send(_message(_DELETE, _REQUEST | _ACK, family, flow.handle))
                for _ in _answers(opened):
                    pass
                done += 1
    return done


def _open() -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER)
    opened.bind((0, 0))
    opened.settimeout(_LIMIT_S)
    with contextlib.suppress(OSError):
        opened.setsockopt(socket.SOL_SOCKET, 33, _RECEIVE_BUFFER)  # SO_RCVBUFFORCE
    return opened


def _message(kind: int, flags: int, family: Family, attributes: bytes) -> bytes:
    number = socket.AF_INET6 if family is Family.INET6 else socket.AF_INET
    head = struct.pack("=IHHII", 20 + len(attributes), kind, flags, 1, 0)
    return head + struct.pack("=BBH", number, 0, 0) + attributes


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _only(family: Family, address: str) -> bytes:
    kind, number = (3, socket.AF_INET6) if family is Family.INET6 else (1, socket.AF_INET)
    source = _attribute(_NESTED | 1, _attribute(kind, socket.inet_pton(number, address)))
    flags = _attribute(1, struct.pack("=I", 0)) + _attribute(2, struct.pack("=I", _FILTER_SOURCE))
    return _attribute(_NESTED | _REPLY, source) + _attribute(_NESTED | _FILTER, flags)


def _dump(opened: socket.socket, family: Family, restriction: bytes) -> list[Flow]:
    opened.send(_message(_GET, _REQUEST | _DUMP, family, restriction))
    return [flow for body in _answers(opened) if (flow := _flow(body)) is not None]


def _answers(opened: socket.socket) -> Iterator[bytes]:
    """The bodies of the answers to one request. Raises OSError for the kernel's refusal."""
    end = time.monotonic() + _LIMIT_S
    while True:
        data = opened.recv(_BUFFER)
        at = 0
        while at + 16 <= len(data):
            length, kind = struct.unpack_from("=IH", data, at)
            if not 16 <= length <= len(data) - at:
                raise OSError(errno.EPROTO, "a message of connection tracking is cut off")
            body = data[at + 16 : at + length]
            at += length + (-length % 4)
            if kind == _ERROR:
                code = -struct.unpack_from("=i", body)[0]
                if code:
                    raise OSError(code, os.strerror(code))
                return
            if kind == _DONE:
                return
            yield body[4:]
        if time.monotonic() > end:
            raise TimeoutError(errno.ETIMEDOUT, "connection tracking does not come to an end")


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[at + 4 : at + length]
        at += length + (-length % 4)
    return found


def _flow(body: bytes) -> Flow | None:
    """None for connections without a translated destination, and for protocols without ports."""
    found = _attributes(body)
    if not struct.unpack(">I", found.get(_STATUS, bytes(4)))[0] & _DESTINATION_NAT:
        return None
    original = found.get(_ORIGINAL, b"")
    caller, called = _tuple(original, source=True), _tuple(original, source=False)
    answers = _tuple(found.get(_REPLY, b""), source=True)
    if caller is None or called is None or answers is None:
        return None
    state = (_attributes(_attributes(found.get(_PROTOINFO, b"")).get(1, b"")).get(1) or b"\0")[0]
    expires_s = int.from_bytes(found.get(_TIMEOUT, b""), "big")
    handle = b"".join(
        _attribute(_NESTED | kind if kind == _ORIGINAL else kind, found[kind])
        for kind in (_ORIGINAL, _ID, _ZONE)
        if kind in found
    )
    established = called[0] != socket.IPPROTO_TCP or state == _TCP_ESTABLISHED
    return Flow(*caller, called[1], called[2], answers[1], answers[2], established, state, expires_s, handle)


def _tuple(data: bytes, *, source: bool) -> tuple[int, str, int] | None:
    """Protocol, address and port of one side."""
    parts = _attributes(data)
    addresses, ports = _attributes(parts.get(1, b"")), _attributes(parts.get(2, b""))
    address = addresses.get(1 if source else 2) or addresses.get(3 if source else 4)
    port = ports.get(2 if source else 3)
    if not address or port is None or 1 not in ports:
        return None
    number = socket.AF_INET6 if len(address) == 16 else socket.AF_INET
    return ports[1][0], socket.inet_ntop(number, address), int.from_bytes(port, "big")

"""AgentX PDUs (RFC 2741 section 5 and 6) to bytes and back. Network byte order only, as we ask of the master.

What comes in is a stranger's: a PDU is at most `PDU_LIMIT` bytes, an OID 128 numbers, and whatever does not add up is a
`BadPdu`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import Final

import msgspec

Oid = tuple[int, ...]

PDU_LIMIT: Final = 1 << 20
HEADER: Final = struct.Struct("!BBBBIIII")
_OID_HEAD: Final = struct.Struct("!BBBB")
_WORD: Final = struct.Struct("!I")
_VARBIND: Final = struct.Struct("!HH")
_LONG: Final = struct.Struct("!Q")
_RESPONSE: Final = struct.Struct("!IHH")
_NETWORK_ORDER: Final = 0x10
_CONTEXT: Final = 0x08
_OID_NUMBERS: Final = 128
_INTERNET: Final = (1, 3, 6, 1)


class Kind(IntEnum):
    """PDU types."""

    OPEN = 1
    CLOSE = 2
    REGISTER = 3
    UNREGISTER = 4
    GET = 5
    GET_NEXT = 6
    GET_BULK = 7
    TEST_SET = 8
    COMMIT_SET = 9
    UNDO_SET = 10
    CLEANUP_SET = 11
    NOTIFY = 12
    PING = 13
    RESPONSE = 18


class Tag(IntEnum):
    """Types of values."""

    INTEGER = 2
    STRING = 4
    NULL = 5
    OID = 6
    ADDRESS = 64
    COUNTER = 65
    GAUGE = 66
    TICKS = 67
    OPAQUE = 68
    COUNTER64 = 70
    NO_OBJECT = 128
    NO_INSTANCE = 129
    END = 130


_NUMBERS: Final = frozenset({Tag.INTEGER, Tag.COUNTER, Tag.GAUGE, Tag.TICKS})
_OCTETS: Final = frozenset({Tag.STRING, Tag.ADDRESS, Tag.OPAQUE})

#: Errors of answers (RFC 2741 section 6.2.16).
NOT_WRITABLE: Final = 17
GENERAL_ERROR: Final = 5


class BadPdu(Exception):
    """The bytes are no PDU that we know."""


class VarBind(msgspec.Struct, frozen=True):
    """A name with its value: an int, bytes, an Oid, or None for those without."""

    name: Oid
    tag: Tag
    value: int | bytes | Oid | None = None


class Head(msgspec.Struct, frozen=True):
    """The header of a PDU."""

    kind: int
    flags: int
    session: int
    transaction: int
    packet: int
    length: int


class SearchRange(msgspec.Struct, frozen=True):
    """From `start` (itself too, with `include`) up to and without `end`; an empty end: without end."""

    start: Oid
    end: Oid
    include: bool


# ---- out ----


def put_oid(oid: Oid, *, include: bool = False) -> bytes:
    """An OID; those below internet (1.3.6.1.N) in the short form."""
    prefix = 0
    if len(oid) > len(_INTERNET) and oid[:4] == _INTERNET and 0 < oid[4] < 256:
        prefix, oid = oid[4], oid[5:]
    return _OID_HEAD.pack(len(oid), prefix, int(include), 0) + struct.pack(f"!{len(oid)}I", *oid)


def put_octets(data: bytes) -> bytes:
    return _WORD.pack(len(data)) + data + bytes(-len(data) % 4)


def put_varbind(bind: VarBind) -> bytes:
    head = _VARBIND.pack(bind.tag, 0) + put_oid(bind.name)
    value = bind.value
    if bind.tag in _NUMBERS:
        assert isinstance(value, int)
        return head + _WORD.pack(value & 0xFFFFFFFF)
    if bind.tag is Tag.COUNTER64:
        assert isinstance(value, int)
        return head + _LONG.pack(value & 0xFFFFFFFFFFFFFFFF)
    if bind.tag in _OCTETS:
        assert isinstance(value, bytes)
        return head + put_octets(value)
    if bind.tag is Tag.OID:
        assert isinstance(value, tuple)
        return head + put_oid(value)
    return head


def pdu(kind: Kind, session: int, transaction: int, packet: int, payload: bytes) -> bytes:
    return HEADER.pack(1, kind, _NETWORK_ORDER, 0, session, transaction, packet, len(payload)) + payload


def open_payload(timeout_s: int, identity: Oid, description: str) -> bytes:
    return bytes((timeout_s, 0, 0, 0)) + put_oid(identity) + put_octets(description.encode())


def close_payload(reason: int) -> bytes:
    return bytes((reason, 0, 0, 0))


def register_payload(subtree: Oid, *, timeout_s: int = 0, priority: int = 127) -> bytes:
    return bytes((timeout_s, priority, 0, 0)) + put_oid(subtree)


def unregister_payload(subtree: Oid, *, priority: int = 127) -> bytes:
    return bytes((0, priority, 0, 0)) + put_oid(subtree)


def response_payload(error: int, index: int, binds: Iterable[VarBind] = ()) -> bytes:
    return _RESPONSE.pack(0, error, index) + b"".join(put_varbind(bind) for bind in binds)


# ---- in ----


def read_head(data: bytes | bytearray) -> Head:
    """The first `HEADER.size` bytes. Raises BadPdu."""
    version, kind, flags, _, session, transaction, packet, length = HEADER.unpack_from(data)
    if version != 1 or length % 4 or length > PDU_LIMIT:
        raise BadPdu(f"version {version}, {length} bytes")
    if not flags & _NETWORK_ORDER and kind != Kind.RESPONSE:
        raise BadPdu("not in network byte order")
    return Head(kind, flags, session, transaction, packet, length)


class Reader:
    """Takes a payload apart from its front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def more(self) -> bool:
        return self._at < len(self._data)

    def take(self, form: struct.Struct) -> tuple[int, ...]:
        end = self._at + form.size
        if end > len(self._data):
            raise BadPdu("ends too early")
        values: tuple[int, ...] = form.unpack_from(self._data, self._at)
        self._at = end
        return values

    def oid(self) -> tuple[Oid, bool]:
        count, prefix, include, _ = self.take(_OID_HEAD)
        if count > _OID_NUMBERS:
            raise BadPdu(f"an OID of {count} numbers")
        numbers = self.take(struct.Struct(f"!{count}I"))
        return ((*_INTERNET, prefix, *numbers) if prefix else numbers), bool(include)

    def octets(self) -> bytes:
        (length,) = self.take(_WORD)
        padded = length + -length % 4
        if self._at + padded > len(self._data):
            raise BadPdu("ends too early")
        data = self._data[self._at : self._at + length]
        self._at += padded
        return data

    def context(self, head: Head) -> None:
        """Skip the name of a context, which we have none of."""
        if head.flags & _CONTEXT:
            self.octets()

    def ranges(self) -> list[SearchRange]:
        found = []
        while self.more:
            start, include = self.oid()
            end, _ = self.oid()
            found.append(SearchRange(start, end, include))
        return found

    def bulk(self) -> tuple[int, int]:
        """Non-repeaters and repetitions of a GetBulk."""
        without, repetitions = self.take(_VARBIND)
        return without, repetitions

    def response(self) -> tuple[int, int, int]:
        """System uptime, error, index."""
        uptime, error, index = self.take(_RESPONSE)
        return uptime, error, index

    def varbind(self) -> VarBind:
        number, _ = self.take(_VARBIND)
        name, _ = self.oid()
        try:
            tag = Tag(number)
        except ValueError:
            raise BadPdu(f"type {number}") from None
        if tag in _NUMBERS:
            (value,) = self.take(_WORD)
            return VarBind(name, tag, value - (1 << 32) if tag is Tag.INTEGER and value >> 31 else value)
        if tag is Tag.COUNTER64:
            return VarBind(name, tag, self.take(_LONG)[0])
        if tag in _OCTETS:
            return VarBind(name, tag, self.octets())
        if tag is Tag.OID:
            return VarBind(name, tag, self.oid()[0])
        return VarBind(name, tag)

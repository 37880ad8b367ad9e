"""DNS messages (RFC 1035 section 4) as far as checks need them, and DNS_CHECK."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from pykeepalived.checkers.conversation import Conversation, Exchange, Outcome, RandomBytes
from pykeepalived.model.checks import DnsCheck

TYPES: Final = {
    "A": 1,
    "NS": 2,
    "CNAME": 5,
    "SOA": 6,
    "PTR": 12,
    "MX": 15,
    "TXT": 16,
    "AAAA": 28,
    "RRSIG": 46,
    "DNSKEY": 48,
}
_HEADER: Final = struct.Struct("!HHHHHH")
_RECORD: Final = struct.Struct("!HHIH")
_CLASS_IN: Final = 1
_RECURSION_DESIRED: Final = 0x0100
_RESPONSE: Final = 0x8000
#: Compression pointers followed in one name, and records looked at in one answer.
_POINTERS: Final = 16
_RECORDS: Final = 256


class Record(NamedTuple):
    """One resource record of an answer; `data_offset` is where its data begin in the message."""

    type: int
    data_offset: int
    length: int


def query(identifier: int, name: str, kind: int) -> bytes | None:
    """A query with recursion desired; None when the name cannot be put into one."""
    labels = b""
    for label in name.rstrip(".").split(".") if name.strip(".") else ():
        raw = label.encode("utf-8", "surrogateescape")
        if not 0 < len(raw) < 64:
            return None
        labels += bytes((len(raw),)) + raw
    if len(labels) > 254:
        return None
    header = _HEADER.pack(identifier, _RECURSION_DESIRED, 1, 0, 0, 0)
    return header + labels + b"\0" + struct.pack("!HH", kind, _CLASS_IN)


def response_code(answer: bytes, identifier: int) -> int | str:
    """The response code, or why the message is no answer to the query."""
    if len(answer) < _HEADER.size:
        return "short-message"
    got, flags, *_ = _HEADER.unpack_from(answer)
    if got != identifier:
        return "wrong-id"
    if not flags & _RESPONSE:
        return "no-response"
    return int(flags & 0xF)


def records(answer: bytes) -> list[Record]:
    """The answer section; it ends at the first record that does not fit."""
    found: list[Record] = []
    try:
        _, _, questions, answers, *_ = _HEADER.unpack_from(answer)
        offset = _HEADER.size
        for _ in range(min(questions, _RECORDS)):
            offset = _skip_name(answer, offset) + 4
        for _ in range(min(answers, _RECORDS)):
            offset = _skip_name(answer, offset)
            kind, _, _, length = _RECORD.unpack_from(answer, offset)
            offset += _RECORD.size
            if offset + length > len(answer):
                break
            found.append(Record(kind, offset, length))
            offset += length
    except (struct.error, IndexError):
        pass
    return found


def _skip_name(message: bytes, offset: int) -> int:
    while True:
        size = message[offset]
        if size >= 0xC0:
            return offset + 2
        offset += 1 + size
        if size == 0:
            return offset


def read_name(message: bytes, offset: int) -> str | None:
    """A name with its compression pointers followed (RFC 1035 section 4.1.4); None when it is broken."""
    labels: list[str] = []
    pointers = 0
    try:
        while message[offset]:
            size = message[offset]
            if size >= 0xC0:
                pointers += 1
                if pointers > _POINTERS:
                    return None
                offset = (size & 0x3F) << 8 | message[offset + 1]
                continue
            labels.append(message[offset + 1 : offset + 1 + size].decode("latin-1"))
            offset += 1 + size
            if len(labels) > 127:
                return None
    except IndexError:
        return None
    return ".".join(labels)


def dns(check: DnsCheck) -> Conversation:
    """DNS_CHECK: an answer with our id, the response bit and no error code; what it holds is not looked at."""
    raw = yield RandomBytes(2)
    assert isinstance(raw, bytes)
    identifier = int.from_bytes(raw, "big")
    kind = TYPES.get(check.type.upper())
    message = None if kind is None else query(identifier, check.name, kind)
    if message is None:
        return Outcome(False, f"no query can be made for {check.type} {check.name}", "bad-query")
    answer = yield Exchange(options=check.socket, data=message, timeout_us=check.socket.timeout_us)
    if not isinstance(answer, bytes):
        return Outcome(False, "no DNS answer", "timeout")
    code = response_code(answer, identifier)
    if code == 0:
        return Outcome(True, "DNS success")
    return Outcome(False, f"DNS answer: {code}", code if isinstance(code, str) else f"rcode-{code}")

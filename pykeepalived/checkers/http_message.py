"""What the HTTP checkers read of a response: the head, bounded, and where the body ends."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Final, NamedTuple

from pykeepalived.checkers.conversation import Command, ConversationError, FailureKind, Receive, Reply

#: Bytes of status line and headers that are read before a server is given up.
HEAD_LIMIT: Final = 65536
#: Bytes that are read at a time.
PIECE: Final = 65536

_STATUS: Final = re.compile(rb"HTTP/\d+(?:\.\d+)?[ \t]+(\d{3})(?!\d)")
# The header is looked for by its exact spelling anywhere in the head, and only a number that ends with its line counts:
# so keepalived and genhash do it, and the digest depends on it (compared with genhash 2.2.7).
_CONTENT_LENGTH: Final = b"Content-Length:"
_BUFFER: Final = 4095
_LENGTH_VALUE: Final = re.compile(rb"[ \t\v\f\r\n]*([+-]?)(\d{1,18})[\r\n]")


class Head(NamedTuple):
    """A response up to its blank line."""

    raw: bytes
    """Status line and headers with the blank line."""
    rest: bytes
    """What came with it of the body."""


def receive_head(data: bytes = b"", *, piece: int = PIECE) -> Generator[Command, Reply, Head | None]:
    """Read to the blank line; None when the stream ends before it. Fails with TOO_LONG beyond `HEAD_LIMIT`.

    `data` is what was already read of it; at most `piece` bytes are read at a time.
    """
    if not data:
        first = yield Receive(piece)
        assert isinstance(first, bytes)
        if not first:
            return None
        data = first
    end = data.find(b"\r\n\r\n")
    while end < 0:
        if len(data) > HEAD_LIMIT:
            raise ConversationError(FailureKind.TOO_LONG, f"headers longer than {HEAD_LIMIT} bytes")
        more = yield Receive(piece)
        assert isinstance(more, bytes)
        if not more:
            return None
        searched = max(0, len(data) - 3)
        data += more
        end = data.find(b"\r\n\r\n", searched)
    return Head(data[: end + 4], data[end + 4 :])


def status_of(head: bytes) -> int | None:
    """The three-digit status code, or None when the first line is not a status line."""
    found = _STATUS.match(head)
    return int(found[1]) if found else None


def announced_length(head: Head) -> int | None:
    """The body's length as keepalived and genhash read it; None when there is none that counts.

    They look through all that they have read, which is the beginning of the body too, up to the size of their buffer.
    """
    text = head.raw if len(head.raw) >= _BUFFER else head.raw + head.rest[: _BUFFER - len(head.raw)]
    return content_length(text)


def content_length(head: bytes) -> int | None:
    """The number after the first `Content-Length:`; None when it is none."""
    place = head.find(_CONTENT_LENGTH)
    if place < 0:
        return None
    found = _LENGTH_VALUE.match(head, place + len(_CONTENT_LENGTH))
    if found is None:
        return None
    value = int(found[2])
    return value if found[1] != b"-" or value == 0 else None


def host_and_port(address: str, port: int) -> str:
    """`ADDRESS:PORT`, with brackets around an IPv6 address."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

"""The chunked transfer coding (RFC 9112 section 7.1), read piece by piece with bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pykeepalived.checkers.conversation import ConversationError, FailureKind

#: Longest chunk-size line and longest trailer line.
_LINE_LIMIT: Final = 4096


class Chunks:
    """Takes the framed bytes, gives the data."""

    __slots__ = ("_kept", "_missing", "ended")

    def __init__(self) -> None:
        self._kept = b""
        self._missing = -1
        """Bytes missing of the present chunk with its line end; -1: a size line comes next."""
        self.ended = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The data inside; raises ConversationError (TOO_LONG, CLOSED) on framing that is none."""
        self._kept += data
        while self._kept and not self.ended:
            if self._missing < 0:
                if not self._size_line():
                    return
                continue
            piece = self._kept[: self._missing]
            self._kept = self._kept[len(piece) :]
            # The two last bytes of a chunk are its line end.
            inside = piece[: max(0, self._missing - 2)]
            self._missing -= len(piece)
            if self._missing == 0:
                self._missing = -1
            if inside:
                yield inside

    def _size_line(self) -> bool:
        """Read the size of the next chunk; False while its line is incomplete."""
        line, end, rest = self._kept.partition(b"\n")
        if len(line) > _LINE_LIMIT:
            raise ConversationError(FailureKind.TOO_LONG, f"chunk size line longer than {_LINE_LIMIT} bytes")
        if not end:
            return False
        try:
            size = int(line.partition(b";")[0].strip()[:16], 16)
        except ValueError:
            raise ConversationError(FailureKind.CLOSED, "chunk without a size") from None
        if size < 0:
            raise ConversationError(FailureKind.CLOSED, "chunk without a size")
        self._kept = rest
        # Trailers are of no interest, so the last chunk is the end.
        self.ended = size == 0
        self._missing = size + 2
        return True

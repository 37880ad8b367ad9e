"""Large blocks kept as text until somebody wants to see inside.

A block of plain lines (no variable, sequence, condition, include or escape) means the same wherever it stands: what its
lines become depends on their text alone. Such a block can be skipped while a file is read, and its text is the key
under which whoever builds something of it can remember the result. `FoldedStatement.unfold` reads the lines, with
their places. Only readers that ask for folding (`Folds`) see such statements.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from pykeepalived.diagnostics import Findings
from pykeepalived.syntax.elements import token
from pykeepalived.syntax.limits import Limits
from pykeepalived.syntax.tree import Line, Statement, TreeBuilder
from pykeepalived.syntax.words import Segment, cut_plain

#: With none of these in it, the braces of a text are its block structure, and each of its lines is plain.
_NOT_BARE: Final = ('"', "#", "!", "$", "~", "\\", "\0", "@", "include")
#: What may hold signs of structure and blanks, and holds none: short texts in quotes, comments.
_QUIET: Final = token(r'"[^"\n{}#!$~\\\0@]*"|[#!][^"\n{}$~\\\0@]*(?![^\n])')
_ALL_BUT_BRACES: Final = token(r"[^{}]+")
_BLANKS: Final = " \t\r\f\v\n"
#: Known blocks with the same first line that are compared.
_SAME_HEAD: Final = 4


class Block:
    """The text of a whole block, from the keyword to the end of the line of its last brace, and its number of lines.

    Two blocks are the same only as objects; equal text is found through `Folds`.
    """

    __slots__ = ("lines", "text")

    def __init__(self, text: str, lines: int) -> None:
        self.text = text
        self.lines = lines


class Folds:
    """Which blocks may be folded: those of one keyword. Knows blocks by their first line.

    The known ones are found by comparing text, which needs no look at a line.
    """

    def __init__(self, keyword: str, known: Iterable[Block] = ()) -> None:
        self.head: Final[re.Pattern[str]] = token(
            rf'[ \t]*{re.escape(keyword)}[ \t][^"#!$~\\\0@{{}}\n]*\{{[ \t\r]*(?:\n|\Z)'
        )
        self._known: dict[str, list[Block]] = {}
        for block in known:
            same = self._known.setdefault(block.text[: block.text.find("\n") + 1], [])
            if len(same) < _SAME_HEAD:
                same.append(block)

    def find(self, text: str, offset: int, limits: Limits) -> Block | None:
        """The block whose first line starts at `offset`, or None where reading line by line is needed."""
        head = self.head.match(text, offset)
        if head is None:
            return None
        for block in self._known.get(head[0], ()):
            if text.startswith(block.text, offset) and _ends_line(text, offset + len(block.text)):
                return block
        return find_block(text, offset, limits)


def _ends_line(text: str, offset: int) -> bool:
    return offset == len(text) or text[offset - 1] == "\n"


def find_block(text: str, offset: int, limits: Limits) -> Block | None:
    """The block that opens on the line at `offset`, if all of its lines are plain and a line ends with it."""
    # Without a bound a file of blocks that end otherwise would be searched to its end for each of them.
    end = text.find("\n}\n", offset, offset + limits.line_characters)
    end = min(len(text), offset + limits.line_characters) if end < 0 else end + 3
    piece = text[offset:end]
    bare = _QUIET.sub("", piece)
    plain = _ends_line(text, end) and not any(sign in bare for sign in _NOT_BARE)
    if plain and _is_one_block(_ALL_BUT_BRACES.sub("", bare), limits) and piece.rstrip(_BLANKS).endswith("}"):
        return Block(piece, piece.count("\n") + (not piece.endswith("\n")))
    return _find_by_lines(text, offset, limits)


def _is_one_block(braces: str, limits: Limits) -> bool:
    if not (braces.startswith("{") and braces.endswith("}")):
        return False
    inside = braces[1:-1]
    for _ in range(limits.depth):
        if not inside:
            return True
        shorter = inside.replace("{}", "")
        if len(shorter) == len(inside):
            return False
        inside = shorter
    return False


def _find_by_lines(text: str, offset: int, limits: Limits) -> Block | None:
    depth = lines = 0
    position = offset
    while position < len(text):
        end = text.find("\n", position)
        following = len(text) if end < 0 else end + 1
        line = text[position : following if end < 0 else end]
        segments = cut_plain(line) if len(line) <= limits.line_characters else None
        if segments is None:
            return None
        lines += 1
        position = following
        for number, segment in enumerate(segments, 1):
            if segment.brace:
                depth += 1 if segment.brace == "{" else -1
                if depth > limits.depth:
                    return None
                if depth <= 0:
                    return Block(text[offset:position], lines) if number == len(segments) else None
    return None


class FoldedStatement(Statement):
    """A statement with a block whose lines have not been read: `children` is empty, `unfold` has them."""

    __slots__ = ("_unfolded", "block")

    def __init__(self, line: Line, text: str, segment: Segment, block: Block) -> None:
        self._unfolded: Statement | None = None
        super().__init__(line, text, segment, None)
        self.block = block
        self.children = []

    def unfold(self) -> Statement:
        """The same statement as it is without folding."""
        if self._unfolded is None:
            # Nothing can be said about these lines: that was the condition of folding.
            tree = TreeBuilder(Findings(0), Limits(depth=len(self.block.text)))
            for number, text in enumerate(self.block.text.removesuffix("\n").split("\n"), self.line.number):
                segments = cut_plain(text)
                if segments:
                    tree.feed(Line(self.line.source, number, text), text, segments)
            self._unfolded = tree.root[0]
        return self._unfolded

"""Large blocks kept as text until somebody wants to see inside.

A block of plain lines (no variable, sequence, condition, include or escape) means the same wherever it stands: what its
lines become depends on their text alone. Such a block can be skipped while a file is read, and its text is the key
under which whoever builds something of it can remember the result. `FoldedStatement.unfold` reads the lines, with
their places. Only readers that ask for folding (`Folds`) see such statements.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from pykeepalived.diagnostics import Findings
from pykeepalived.syntax.elements import token
from pykeepalived.syntax.limits import Limits
from pykeepalived.syntax.tree import Line, Statement, TreeBuilder
from pykeepalived.syntax.words import Segment, cut_plain

#: With none of these in it, the braces of a text are its block structure, and each of its lines is plain.
_NOT_BARE: Final = ('"', "#", "!", "$", "~", "\\", "\0", "@", "include")
#: What may hold signs of structure and blanks, and holds none: short texts in quotes, comments.
_QUIET: Final = token(r'"[^"\n{}#!$~\\\0@]*"|[#!][^"\n{}$~\\\0@]*(?![^\n])')
_USE: Final = token(r"\$(?:(?P<bare>[A-Za-z_]\w*)(?=[ \t,)\n]|\r\n|\Z)|\{(?P<braced>[A-Za-z_]\w*)\})")
_LINE_BEHIND: Final = token(r"[ \t\r]*(?:\n|\Z)")
_LAST_LINE: Final = token(r"\n\}[ \t\r]*(?:\n|\Z)")
_ALL_BUT_BRACES: Final = token(r"[^{}]+")
_BLANKS: Final = " \t\r\f\v\n"
#: Known blocks with the same first line that are compared.
_SAME_HEAD: Final = 4


Uses: TypeAlias = tuple[tuple[str, str], ...]
ValueOf: TypeAlias = Callable[[str], str | None]


class Block:
    """The text of a whole block, from the keyword to the end of the line of its last brace, and its number of lines.

    Two blocks are the same only as objects; equal text is found through `Folds`.
    """

    __slots__ = ("lines", "source", "text", "uses")

    def __init__(self, text: str, lines: int, source: str | None = None, uses: Uses = ()) -> None:
        self.text = text
        self.lines = lines
        self.source = text if source is None else source
        """As it stands in the file, `lines` lines: with its variables."""
        self.uses = uses
        """The variables, and what stood for them in `text`."""


class Folds:
    """Which blocks may be folded: those of one keyword. Knows blocks by their first line.

    The known ones are found by comparing text, which needs no look at a line.
    """

    def __init__(self, keyword: str, known: Iterable[Block] = ()) -> None:
        self.head: Final[re.Pattern[str]] = token(
            rf'[ \t]*{re.escape(keyword)}[ \t](?:[^"#!~\\\0@{{}}\n]|(?<=\$)\{{\w+\}})*\{{[ \t\r]*(?:\n|\Z)'
        )
        self._known: dict[str, list[Block]] = {}
        for block in known:
            same = self._known.setdefault(block.source[: block.source.find("\n") + 1], [])
            if len(same) < _SAME_HEAD:
                same.append(block)

    def find(self, text: str, offset: int, limits: Limits, value_of: ValueOf) -> Block | None:
        """The block whose first line starts at `offset`, or None where reading line by line is needed.

        `value_of` says what stands for a variable; None: the block that uses it is not plain.
        """
        head = self.head.match(text, offset)
        if head is None:
            return None
        for block in self._known.get(head[0], ()):
            if (
                text.startswith(block.source, offset)
                and _ends_line(text, offset + len(block.source))
                and all(value_of(name) == value for name, value in block.uses)
            ):
                return block
        end = _end(text, offset, limits)
        if end and text.find("$", offset, end) >= 0:
            return resolved_block(text[offset:end], limits, value_of)
        return find_block(text, offset, limits)


def _ends_line(text: str, offset: int) -> bool:
    return offset == len(text) or text[offset - 1] == "\n"


def _end(text: str, offset: int, limits: Limits) -> int:
    """Behind the first line that is a closing brace in the first column; 0: there is none near."""
    # Without a bound a file of blocks that end otherwise would be searched to its end for each of them.
    found = _LAST_LINE.search(text, offset, offset + limits.line_characters)
    return found.end() if found and _ends_line(text, found.end()) else 0


def _alone(source: str, use: re.Match[str]) -> bool:
    before = source[source.rfind("\n", 0, use.start()) + 1 : use.start()]
    return not before.strip() and _LINE_BEHIND.match(source, use.end()) is not None


def resolved_block(source: str, limits: Limits, value_of: ValueOf) -> Block | None:
    """A block with plain values for its variables, when it is a whole block of plain lines then."""
    uses: dict[str, str] = {}

    def value(match: re.Match[str]) -> str:
        name = match["bare"] or match["braced"]
        found = uses.get(name)
        if found is None:
            found = value_of(name)
            if found is None:
                return "$"
            uses[name] = found
        if "\n" in found and not _alone(source, match):
            return "$"
        return found

    text = _USE.sub(value, source)
    if "$" in text or len(text) > limits.line_characters:
        return None
    block = find_block(text, 0, limits)
    if block is None or len(block.text) != len(text):
        return None
    return Block(text, source.count("\n") + (not source.endswith("\n")), source, tuple(uses.items()))


def find_block(text: str, offset: int, limits: Limits) -> Block | None:
    """The block that opens on the line at `offset`, if all of its lines are plain and a line ends with it."""
    end = _end(text, offset, limits) or min(len(text), offset + limits.line_characters)
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
            self._unfolded = self._read()
        return self._unfolded

    def _read(self) -> Statement:
        # Nothing can be said about these lines: that was the condition of folding.
        tree = TreeBuilder(Findings(0), Limits(depth=len(self.block.text)))
        for number, text in enumerate(self.block.text.removesuffix("\n").split("\n"), self.line.number):
            segments = cut_plain(text)
            if segments:
                tree.feed(Line(self.line.source, number, text), text, segments)
        return tree.root[0]

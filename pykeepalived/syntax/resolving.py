"""Folded blocks that use variables: their lines as the careful reader would have made them, with both places."""

from __future__ import annotations

from collections.abc import Iterator

from pykeepalived.diagnostics import Findings
from pykeepalived.syntax.folding import Block, FoldedStatement
from pykeepalived.syntax.limits import Limits
from pykeepalived.syntax.tree import Line, Mapped, Statement, TreeBuilder
from pykeepalived.syntax.variables import Bound, Variables
from pykeepalived.syntax.words import Segment, code_length, cut, cut_plain


def fold(line: Line, block: Block, values: Bound) -> FoldedStatement:
    """The statement for a block whose first line is `line`, with what its variables stand for there."""
    if not block.uses:
        return FoldedStatement(line, line.text, _first(line.text), block)
    head = next(_resolved(line.text, values)) if "$" in line.text else Mapped.of_line(line.text)
    return ResolvedStatement(line, head, block, values)


def _first(text: str) -> Segment:
    segments = cut_plain(text)
    assert segments
    return segments[0]


def _resolved(text: str, values: Bound) -> Iterator[Mapped]:
    """A line with its variables replaced, and the lines that values of several lines leave behind it."""
    code = Mapped.of_line(text).part(0, code_length(text)).trimmed()
    first, behind = Variables.replace_with(code, Limits(), lambda name, _: values.get(name))
    for each in (first, *behind):
        yield each.part(0, code_length(each.text)).trimmed()


class ResolvedStatement(FoldedStatement):
    """A block that holds variables in the file. Its values are those from when it was read."""

    __slots__ = ("_values",)

    def __init__(self, line: Line, head: Mapped, block: Block, values: Bound) -> None:
        super().__init__(line, head.text, _first(head.text), block)
        self.mapped = head
        self._values = values

    def _lines(self) -> Iterator[tuple[Line, str, tuple[Segment, ...], Mapped | None]]:
        for number, text in enumerate(self.block.source.removesuffix("\n").split("\n"), self.line.number):
            line = Line(self.line.source, number, text)
            segments = cut_plain(text)
            if segments is not None:
                yield line, text, segments, None
                continue
            for mapped in _resolved(text, self._values):
                yield line, mapped.text, cut(mapped.text), mapped

    def _read(self) -> Statement:
        tree = TreeBuilder(Findings(0), Limits(depth=len(self.block.text)))
        for line, text, segments, mapped in self._lines():
            tree.feed(line, text, segments, mapped)
        return tree.root[0]

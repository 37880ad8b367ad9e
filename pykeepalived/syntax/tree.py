"""Statements nested by braces, built without recursion.

A statement is a keyword with its words; the block that follows it, on the same line or the next, hangs below it. A
`}` too many stays in the tree as a statement of its own (`is_extra_brace`), so that whoever knows the keywords can say
what it belongs to; a brace that opens nothing is a statement without words.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final, NamedTuple

from pykeepalived.diagnostics import Diagnostic, ExitClass, Findings, Label, Severity, Span
from pykeepalived.syntax.limits import Limits
from pykeepalived.syntax.sources import Source
from pykeepalived.syntax.words import Segment

_BLANKS: Final = " \t\r\f\v"


class Line(NamedTuple):
    """One line as it stands in a file; lines count from 1."""

    source: Source
    number: int
    text: str


class Mapped:
    """Prepared text that differs from the line in the file, with the columns each character came from."""

    __slots__ = ("ends", "labels", "starts", "text")

    def __init__(self, text: str, starts: array[int], ends: array[int], labels: tuple[Label, ...] = ()) -> None:
        self.text = text
        self.starts = starts
        self.ends = ends
        self.labels = labels

    @classmethod
    def of_line(cls, line: str) -> Mapped:
        return cls(line, array("i", range(len(line))), array("i", range(1, len(line) + 1)))

    def part(self, start: int, end: int | None = None) -> Mapped:
        return Mapped(self.text[start:end], self.starts[start:end], self.ends[start:end], self.labels)

    def trimmed(self) -> Mapped:
        """Without C's blanks at both ends."""
        end = len(self.text.rstrip(_BLANKS))
        start = len(self.text) - len(self.text.lstrip(_BLANKS))
        return self if not start and end == len(self.text) else self.part(min(start, end), end)

    def replaced(self, start: int, end: int, value: str, labels: tuple[Label, ...]) -> Mapped:
        """A piece replaced: each new character comes from the whole of the old piece."""
        first, last = self.starts[start], self.ends[end - 1]
        if not start and end == len(self.text):
            return OfOnePlace(value, first, last, _together(self.labels, labels))
        count = len(value)
        return Mapped(
            self.text[:start] + value + self.text[end:],
            self.starts[:start] + array("i", [first]) * count + self.starts[end:],
            self.ends[:start] + array("i", [last]) * count + self.ends[end:],
            _together(self.labels, labels),
        )

    def followed_by(self, tail: Mapped) -> Mapped:
        """This text and another one behind it; what is said about it points to this one's definitions."""
        other = tail.in_full()
        return Mapped(self.text + other.text, self.starts + other.starts, self.ends + other.ends, self.labels)

    def in_full(self) -> Mapped:
        """The same with the place of each character."""
        return self

    def only(self, kept: Sequence[int]) -> Mapped:
        """The characters with these numbers."""
        return Mapped(
            "".join(self.text[index] for index in kept),
            array("i", (self.starts[index] for index in kept)),
            array("i", (self.ends[index] for index in kept)),
            self.labels,
        )

    def columns(self, start: int, end: int) -> tuple[int, int]:
        """Columns in the file, from 0, of a piece of the prepared text."""
        if not self.starts:
            return 0, 1
        last = len(self.starts) - 1
        begin = self.starts[min(start, last)]
        return begin, max(begin + 1, self.ends[min(max(end - 1, 0), last)])


class OfOnePlace(Mapped):
    """Prepared text that a variable made altogether: each character comes from the place of its use.

    Sequences make a hundred thousand such lines, which need no columns of their own.
    """

    __slots__ = ("_first", "_last")

    def __init__(self, text: str, first: int, last: int, labels: tuple[Label, ...]) -> None:
        self.text = text
        self.labels = labels
        self._first = first
        self._last = last

    def part(self, start: int, end: int | None = None) -> Mapped:
        return OfOnePlace(self.text[start:end], self._first, self._last, self.labels)

    def replaced(self, start: int, end: int, value: str, labels: tuple[Label, ...]) -> Mapped:
        text = self.text[:start] + value + self.text[end:]
        return OfOnePlace(text, self._first, self._last, _together(self.labels, labels))

    def followed_by(self, tail: Mapped) -> Mapped:
        return self.in_full().followed_by(tail) if tail.text else self

    def only(self, kept: Sequence[int]) -> Mapped:
        return OfOnePlace("".join(self.text[index] for index in kept), self._first, self._last, self.labels)

    def columns(self, start: int, end: int) -> tuple[int, int]:
        del start, end
        return self._first, max(self._first + 1, self._last)

    def in_full(self) -> Mapped:
        count = len(self.text)
        return Mapped(self.text, array("i", [self._first]) * count, array("i", [self._last]) * count, self.labels)


def _together(labels: tuple[Label, ...], more: tuple[Label, ...]) -> tuple[Label, ...]:
    if not more or labels is more:
        return labels
    if not labels:
        return more
    for one in more:
        # Mostly the same objects: comparing them by value costs more than all the rest of a replacement.
        for other in labels:
            if one is other:
                break
        else:
            return tuple(dict.fromkeys(labels + more))
    return labels


class Statement:
    """One keyword with its words, and the block below it (`children`; None when no `{` follows)."""

    __slots__ = ("_opens", "children", "line", "mapped", "segment", "text", "words")

    def __init__(self, line: Line, text: str, segment: Segment, mapped: Mapped | None) -> None:
        self.line = line
        self.text = text
        self.segment = segment
        self.mapped = mapped
        self.words = segment.words
        self.children: list[Statement] | None = None
        self._opens: Statement | None = None

    @property
    def brace(self) -> Span | None:
        """Where the `{` of its block stands."""
        return None if self._opens is None else self._opens.span()

    def open(self, brace: Statement) -> list[Statement]:
        """Begin the block; the list that takes what stands in it."""
        self._opens = brace
        self.children = []
        return self.children

    @property
    def keyword(self) -> str:
        return self.words[0].text if self.words else ""

    @property
    def is_extra_brace(self) -> bool:
        return not self.words and self.segment.brace == "}"

    def argument_text(self) -> str:
        """Everything behind the keyword, as prepared, for readers with rules of their own."""
        return self.text[self.words[0].end : self.segment.end]

    def span(self, index: int | None = None) -> Span:
        """Where word number `index` stands; None: all words of the statement."""
        if index is not None and 0 <= index < len(self.words):
            word = self.words[index]
            return self.span_of(word.start, word.end)
        if not self.words:
            return self.span_of(self.segment.start, self.segment.end)
        return self.span_of(self.words[0].start, self.words[-1].end)

    def span_of(self, start: int, end: int) -> Span:
        """Where a piece of the prepared text stands, columns from 0."""
        if self.mapped is not None:
            start, end = self.mapped.columns(start, end)
        return Span(self.line.source.name, self.line.number, start + 1, end + 1, self.line.text)

    def labels(self) -> tuple[Label, ...]:
        """Definitions that the words came through."""
        return self.mapped.labels if self.mapped is not None else ()


class TreeBuilder:
    """Takes segments in file order and nests them."""

    def __init__(self, findings: Findings, limits: Limits) -> None:
        self.root: list[Statement] = []
        self._levels: list[list[Statement]] = [self.root]
        self._openers: list[Statement] = []
        self._findings = findings
        self._limits = limits
        self._too_deep = 0
        self._may_open = False

    @property
    def depth(self) -> int:
        return len(self._openers)

    def feed(self, line: Line, text: str, segments: Sequence[Segment], mapped: Mapped | None = None) -> None:
        for segment in segments:
            if segment.words:
                if not self._too_deep:
                    self._levels[-1].append(Statement(line, text, segment, mapped))
                    self._may_open = True
                continue
            statement = Statement(line, text, segment, mapped)
            if segment.brace == "{":
                self._open(statement)
            else:
                self._close(statement)

    def add(self, statement: Statement) -> None:
        """Take a statement with its whole block."""
        self._levels[-1].append(statement)
        self._may_open = False

    def _open(self, brace: Statement) -> None:
        if self._too_deep or self.depth >= self._limits.depth:
            if not self._too_deep:
                self._findings.add(
                    Diagnostic(
                        id="nested-too-deep",
                        severity=Severity.ERROR,
                        message=f"nested deeper than {self._limits.depth} levels, the inner blocks are left out",
                        span=brace.span(),
                        exit_class=ExitClass.GENERAL,
                    )
                )
            self._too_deep += 1
            return
        level = self._levels[-1]
        owner = level[-1] if self._may_open and level else None
        if owner is None:
            owner = brace
            level.append(owner)
        self._levels.append(owner.open(brace))
        self._openers.append(owner)
        self._may_open = False

    def _close(self, brace: Statement) -> None:
        self._may_open = False
        if self._too_deep:
            self._too_deep -= 1
        elif self._openers:
            self._openers.pop()
            self._levels.pop()
        else:
            self.root.append(brace)

    def finish(self) -> list[Statement]:
        """The statements at root level; reports blocks that are still open."""
        for opener in reversed(self._openers[-3:]):
            name = f"`{opener.keyword}`" if opener.words else "this brace"
            self._findings.add(
                Diagnostic(
                    id="missing-brace",
                    severity=Severity.ERROR,
                    message=f"the block of {name} is never closed",
                    span=opener.brace,
                    help="add a `}` at its end",
                    exit_class=ExitClass.GENERAL,
                )
            )
        return self.root

"""Line preparation: from files to statements, in the order that keepalived-behaviour 1.2 gives.

raw line → include → comments → escapes → `@id` → definitions → replacement → sequences → words and braces. Most lines
need none of the middle steps; they go straight to the cutting, which remembers equal lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from pykeepalived.diagnostics import ExitClass, Findings, Label, Span
from pykeepalived.syntax.folding import Block, Folds
from pykeepalived.syntax.limits import Limits
from pykeepalived.syntax.opener import Opener
from pykeepalived.syntax.resolving import fold
from pykeepalived.syntax.sequences import BadSequence, read_sequence, starts_sequence
from pykeepalived.syntax.sources import (
    ALL_CHECKS,
    INCLUDE_FORMS,
    MAIN_FILE_CHECKS,
    NO_CHECKS,
    IncludeChecks,
    Source,
)
from pykeepalived.syntax.tree import Line, Mapped, Statement, TreeBuilder
from pykeepalived.syntax.variables import DEFINITION, Bound, TooMuch, Variables
from pykeepalived.syntax.words import PLAIN_WORD, Segment, code_length, cut, cut_plain

_BLANKS: Final = " \t\r\f\v"
_CHECK_WORDS: Final = ("read", "match", "wildcard_match", "brace_match")


class Reading(msgspec.Struct):
    """What came out: the statements at root level and the files they came from, in the order of reading."""

    statements: list[Statement]
    sources: list[Source]


class _Open:
    """A file that is being read."""

    __slots__ = ("number", "offset", "source", "within")

    def __init__(self, source: Source, within: tuple[Source, ...]) -> None:
        self.source = source
        self.within = (source, *within)
        """The file, the one that includes it, and so on."""
        self.offset = 0
        self.number = 0
        """Lines read so far."""

    def next_line(self) -> str | None:
        """The next line without its end; None behind the last one."""
        text, offset = self.source.text, self.offset
        if offset >= len(text):
            return None
        end = text.find("\n", offset)
        if end < 0:
            end = len(text)
        self.offset = end + 1
        self.number += 1
        return text[offset:end]

    def skip(self, characters: int, lines: int) -> None:
        self.offset += characters
        self.number += lines


class Reader:
    """One load. Use `read_tree`."""

    def __init__(
        self,
        findings: Findings,
        *,
        config_id: str,
        variables: Variables,
        limits: Limits,
        all_checks: bool,
        folds: Folds | None = None,
    ) -> None:
        self._folds = folds
        self.findings = findings
        self.limits = limits
        self.config_id = config_id
        self.variables = variables
        self._strictest = all_checks
        self._include_checks = ALL_CHECKS if all_checks else NO_CHECKS
        self._open: list[_Open] = []
        self._opener = Opener(findings, limits)
        self._generated = 0
        #: The block at root level in which a `${NAME}` was undefined last.
        self._fell_apart = -1
        self._generated_characters = 0
        self._tree = TreeBuilder(findings, limits)

    # ── files ────────────────────────────────────────────────────────────────────────────────────────────────────

    def main(self, pattern: str) -> Reading:
        self._push(self._opener.files((), pattern, "", MAIN_FILE_CHECKS, None), ())
        while self._open:
            top = self._open[-1]
            if self._folds is not None and not self._tree.depth and self._fold(top, self._folds):
                continue
            line = top.next_line()
            if line is None:
                self._open.pop()
                self.variables.directory = self._open[-1].source.directory if self._open else ""
                continue
            self._line(Line(top.source, top.number, line))
        return Reading(self._tree.finish(), self._opener.sources)

    def _push(self, sources: list[Source], within: tuple[Source, ...]) -> None:
        self._open.extend(_Open(source, within) for source in reversed(sources))
        if self._open:
            self.variables.directory = self._open[-1].source.directory

    def _fold(self, top: _Open, folds: Folds) -> bool:
        """Take a whole block without a look at its lines, if one begins here."""
        block = folds.find(top.source.text, top.offset, self.limits, self.variables.plain)
        if block is None or (block.uses and not self._grow(block)):
            return False
        line = Line(top.source, top.number + 1, block.source.partition("\n")[0])
        self._tree.add(fold(line, block, self.variables.snapshot(name for name, _ in block.uses)))
        top.skip(len(block.source), block.lines)
        return True

    def _grow(self, block: Block) -> bool:
        """Count what variables add to the file; False where it is too much, which the careful way then says."""
        lines = self._generated + max(0, block.text.count("\n") - block.lines)
        characters = self._generated_characters + max(0, len(block.text) - len(block.source))
        if lines > self.limits.generated_lines or characters > self.limits.generated_characters:
            return False
        self._generated, self._generated_characters = lines, characters
        return True

    # ── lines ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _line(self, line: Line) -> None:
        if len(line.text) > self.limits.line_characters:
            self._opener.say(
                "line-too-long",
                f"the line is longer than {self.limits.line_characters} characters and is left out",
                Span(line.source.name, line.number, 1, 2, line.text[:80]),
            )
            return
        segments = cut_plain(line.text)
        if segments is None:
            self._careful(line)
        elif segments:
            self._tree.feed(line, line.text, segments)

    def _careful(self, line: Line) -> None:
        if "\0" in line.text:
            column = line.text.index("\0")
            self._opener.say("nul-byte", "a NUL byte ends the line here", _span(line, column, "0"))
            line = line._replace(text=line.text[:column])
        first = PLAIN_WORD.search(line.text)
        if first is not None and (first[0] == "include" or first[0] in INCLUDE_FORMS):
            self._include(line)
            return
        text = self._prepared(Mapped.of_line(line.text))
        if text is None:
            return
        definition = DEFINITION.fullmatch(text.text)
        if definition is not None:
            self._define(line, definition["name"], definition["value"])
            return
        self._expand(line, text)

    def _prepared(self, text: Mapped) -> Mapped | None:
        """Comments, escapes, trimming and the `@id` condition; None when nothing is left."""
        text = _unescaped(text.part(0, code_length(text.text))).trimmed()
        while text.text.startswith("@"):
            head = PLAIN_WORD.findall(text.text)[0]
            rest = text.text[len(head) :].strip(_BLANKS)
            negated = head.startswith("@^")
            name = head[2:] if negated else head[1:]
            if not name or not rest or (name == self.config_id) == negated:
                return None
            text = text.part(len(head)).trimmed()
        return text if text.text else None

    def _include(self, line: Line) -> None:
        text = line.text[: code_length(line.text)].strip(_BLANKS)
        words = PLAIN_WORD.findall(text)
        keyword = words[0]
        column = line.text.index(keyword)
        if len(words) < 2:
            self._opener.say("missing-word", f"`{keyword}` needs a file name", _span(line, column, keyword))
            return
        # The pattern may stand in quotes; a second word is not looked at.
        pattern = text[len(keyword) :].strip(_BLANKS)
        shown = pattern
        pattern = pattern[1:].partition('"')[0] if pattern.startswith('"') else words[1]
        span = _span(line, line.text.index(shown, column + len(keyword)), words[1])
        checks = INCLUDE_FORMS.get(keyword, self._include_checks)
        within = self._open[-1].within
        self._push(self._opener.files(within, pattern, line.source.directory, checks, span), within)

    def _define(self, line: Line, name: str, value: str) -> None:
        lines: list[str] = []
        span = _span(line, line.text.index("$"), f"${name}=")
        top = self._open[-1]
        while value.endswith("\\") and (raw := top.next_line()) is not None:
            lines.append(value[:-1].strip(_BLANKS))
            if len(lines) > self.limits.definition_lines or len(raw) > self.limits.line_characters:
                self._opener.say("definition-too-long", f"the definition of `${name}` is too long", span)
                break
            continued = _unescaped(Mapped.of_line(raw[: code_length(raw)]))
            value = continued.text.strip(_BLANKS)
        else:
            lines.append(value.removesuffix("\\").strip(_BLANKS))
        self.variables.define(name, lines, span)

    def _expand(self, line: Line, first: Mapped) -> None:
        """Replacement and sequences: a line becomes many, in order, without recursion.

        A sequence is seen before its line's variables are replaced, and its values hold for everything that the rest
        of the line becomes, so it repeats a whole multi-line variable, and goes before a definition of the same name.
        """
        pending: list[Iterator[tuple[Mapped, Bound]]] = [iter(((first, {}),))]
        while pending:
            try:
                item = next(pending[-1], None)
                if item is None:
                    pending.pop()
                    continue
                text, bound = item
                if len(pending) > self.limits.sequences:
                    raise TooMuch(f"more than {self.limits.sequences} sequences or variables inside one another")
                if starts_sequence(text.text):
                    pending.append(self._sequence(line, text, bound))
                    continue
                if "$" in text.text:
                    text, behind = self.variables.replace(text, self.limits, bound)
                    if behind:
                        pending.append(self._lines_behind(line, behind, bound))
                    # A `#` that came from a variable starts a comment: keepalived-behaviour 1.2.
                    text = text.part(0, code_length(text.text)).trimmed()
                    text = self._without_undefined(line, text)
                self._emit(line, text)
            except TooMuch as error:
                self._opener.say("expansion-too-large", str(error), _span(line, 0, line.text))
                return

    def _without_undefined(self, line: Line, text: Mapped) -> Mapped:
        """An undefined `${NAME}` would fall apart at its braces; its name is taken as a word instead.

        keepalived reads the name as a keyword of its own, without a word behind it (`interface ${interface}` ends it
        with 2); for the first one of a block that still is a keyword of the block.
        """
        while (found := self.variables.undefined(text)) is not None:
            start, end, name = found
            column, end_column = text.columns(start, end)
            alone = self._fell_apart != len(self._tree.root) and text.text.split(maxsplit=1)[0] == name
            self._fell_apart = len(self._tree.root)
            self._opener.say(
                "undefined-variable",
                f"`${{{name}}}` is not defined",
                Span(line.source.name, line.number, column + 1, end_column + 1, line.text),
                help=f"define it above, `${name}=…`",
                exit_class=ExitClass.MISSING_WORD if alone else ExitClass.GENERAL,
            )
            text = text.replaced(start, end, name, ())
        return text

    def _lines_behind(self, line: Line, behind: list[Mapped], bound: Bound) -> Iterator[tuple[Mapped, Bound]]:
        """The further lines of a value. A definition among them holds from there on, also for the lines behind it."""
        for text in behind:
            self._generate(len(text.text))
            prepared = self._prepared(text)
            if prepared is None:
                continue
            definition = DEFINITION.fullmatch(prepared.text)
            if definition is None:
                yield prepared, bound
            else:
                column, end_column = prepared.columns(0, definition.start("value"))
                span = Span(line.source.name, line.number, column + 1, end_column + 1, line.text)
                self.variables.define(definition["name"], [definition["value"].strip(_BLANKS)], span)

    def _sequence(self, line: Line, whole: Mapped, bound: Bound) -> Iterator[tuple[Mapped, Bound]]:
        length = whole.text.find(")") + 1 or len(whole.text)
        head, _ = self.variables.replace(whole.part(0, length), self.limits, bound)
        try:
            sequence = read_sequence(head.text)
        except BadSequence as error:
            column, end = whole.columns(0, len(whole.text))
            self._opener.say(
                "bad-sequence",
                f"{error}, the line is left out",
                Span(line.source.name, line.number, column + 1, end + 1, line.text),
                help="~SEQ(name, [[start,] step,] end), ~LST(name, a, b) or ~LST({x,y},{a,b},{c,d})",
            )
            return
        column, end_column = whole.columns(0, length)
        span = Span(line.source.name, line.number, column + 1, end_column + 1, line.text)
        rest = whole.part(length).trimmed()
        for turn in sequence.turns:
            self._generate(len(rest.text))

            more = {
                name: ([value], (Label(span, f"`{name}` is `{value}` here"),))
                for name, value in zip(sequence.names, turn, strict=True)
            }
            yield rest, {**bound, **more}

    def _generate(self, characters: int) -> None:
        self._generated += 1
        self._generated_characters += characters
        if self._generated_characters > self.limits.generated_characters:
            raise TooMuch(f"variables and sequences make more than {self.limits.generated_characters} characters")
        if self._generated > self.limits.generated_lines:
            raise TooMuch(
                f"variables and sequences make more than {self.limits.generated_lines} lines, the rest is left out"
            )

    def _emit(self, line: Line, text: Mapped) -> None:
        segments = cut(text.text)
        if segments:
            words = segments[0].words
            if words and words[0].text == "include_check" and self._tree.depth:
                self._set_include_checks(segments[0])
            self._tree.feed(line, text.text, segments, text)

    def _set_include_checks(self, segment: Segment) -> None:
        # The words are checked where keywords are; here they only take effect, as following lines depend on them.
        current = {name: getattr(self._include_checks, name) for name in _CHECK_WORDS}
        words = [word.text for word in segment.words[1:]]
        if not words:
            current = dict.fromkeys(_CHECK_WORDS, True)
        elif words[0][:1] not in "+-":
            current = dict.fromkeys(_CHECK_WORDS, False)
        for word in words:
            name = word.lstrip("+-")
            if name in current:
                current[name] = not word.startswith("-")
        if not self._strictest:
            self._include_checks = IncludeChecks(**current)


def _span(line: Line, column: int, text: str) -> Span:
    return Span(line.source.name, line.number, column + 1, column + 1 + max(1, len(text)), line.text)


def _unescaped(text: Mapped) -> Mapped:
    r"""Outside quotes `\#` and `\!` leave the bare character, which then counts as plain text."""
    if "\\#" not in text.text and "\\!" not in text.text:
        return text
    kept: list[int] = []
    inside = False
    for index, char in enumerate(text.text):
        if char == '"':
            inside = not inside
        if char == "\\" and not inside and text.text[index + 1 : index + 2] in ("#", "!"):
            continue
        kept.append(index)
    return text.only(kept)


def read_tree(
    pattern: str,
    findings: Findings,
    *,
    config_id: str = "",
    environment: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    all_checks: bool = False,
    randint: Callable[[int, int], int] | None = None,
    folds: Folds | None = None,
) -> Reading:
    """Read all files that `pattern` names, with their includes, into statements.

    Never raises for anything that stands in a file; what is wrong becomes a finding. `all_checks` is `-e`. A pattern
    that matches nothing gives no sources and the finding `config-file-missing`. With `folds`, blocks that it knows stay
    unread (`FoldedStatement`).
    """
    reader = Reader(
        findings,
        config_id=config_id,
        variables=Variables(config_id, environment or {}, randint),
        limits=limits or Limits(),
        all_checks=all_checks,
        folds=folds,
    )
    return reader.main(pattern)

"""From the lines of an ldirectord.cf to statements, grouped into the global part and sections.

The rules are those of ldirectord-behaviour 1, and they are about columns: a global directive starts in the first
column, a section line after at least four blanks or a tab, and a section lasts until the first line that is neither
indented enough nor a comment. An empty line ends it too. ldirectord stops at the first fault; here the scan goes on as
the writer probably meant it, so that one run shows all faults, and every fault is reported once.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from pykeepalived.diagnostics import Label
from pykeepalived.dialects.ldirectord.readers import near_word
from pykeepalived.dialects.ldirectord.report import Reporter, quote
from pykeepalived.dialects.ldirectord.rows import GLOBAL, SECTION_HEADERS, VIRTUAL, State

_STATEMENT: Final = re.compile(
    r"(?P<name>[A-Za-z0-9_-]+)[ \t\r\f\v]*(?P<equals>=)?[ \t\r\f\v]*(?P<value>.*)", re.DOTALL
)
_BLANKS: Final = " \t\r\f\v"
_TAB: Final = "    "
_KEEPALIVED_WORDS: Final = frozenset(
    [
        "global_defs",
        "vrrp_instance",
        "vrrp_script",
        "vrrp_sync_group",
        "virtual_server",
        "virtual_server_group",
        "real_server",
        "include",
    ]
)


class Statement(msgspec.Struct, frozen=True):
    """NAME = VALUE. Places count in `expanded`, the line with every tab as four blanks if it is a section line."""

    line: int
    name: str
    name_start: int
    value: str
    """As ldirectord sees it: in a section tabs are blanks and comments are cut."""
    value_start: int
    has_equals: bool
    expanded: bool


class Section(msgspec.Struct):
    """A virtual service: its header and what stands in it."""

    header: Statement
    statements: list[Statement] = []
    open: bool = True
    ended_by: int | None = None
    """The blank line that ended it."""
    lost: list[int] = []
    """Lines that belong to it and are not indented."""


class Scanned(msgspec.Struct):
    globals: list[Statement] = []
    sections: list[Section] = []


def expanded_index(raw: str, index: int) -> int:
    """The place in the raw line of a place in the line whose tabs became four blanks."""
    at = 0
    for number, char in enumerate(raw):
        if at >= index:
            return number
        at += 4 if char == "\t" else 1
    return len(raw)


class Scanner:
    """One pass over the lines. `scan` is called once."""

    def __init__(self, reporter: Reporter) -> None:
        self._report = reporter
        self._scanned = Scanned()
        self._section: Section | None = None
        """The section that following lines may belong to; it may have ended (`open`)."""
        self._other_language = False

    def scan(self) -> Scanned:
        for number, raw in enumerate(self._report.lines, 1):
            self._line(number, raw)
            if self._other_language:
                # Every further line would be a fault of the same kind.
                return self._scanned
        for section in self._scanned.sections:
            self._report_lost(section)
        return self._scanned

    # ---- one line ----

    def _line(self, number: int, raw: str) -> None:
        text = raw.lstrip(_BLANKS)
        if text.startswith("#"):
            return
        section = self._section
        wide = raw.replace("\t", _TAB)
        if section is not None and section.open and wide.startswith(_TAB) and len(wide) > len(_TAB):
            self._section_line(section, number, wide, text)
        elif not text:
            self._blank(section, number)
        elif raw[0] in _BLANKS:
            self._indented_outside(section, number, raw, wide)
        else:
            self._first_column(section, number, raw)

    def _blank(self, section: Section | None, number: int) -> None:
        if section is not None and section.open:
            section.open = False
            section.ended_by = number

    def _section_line(self, section: Section, number: int, wide: str, text: str) -> None:
        if not text:
            self._report.error(
                "blank-line-too-long",
                "a line of five or more blanks within a section is read as a directive",
                self._report.span(number, 0, len(self._report.lines[number - 1])),
                help_text="empty the line, or take it out",
            )
            return
        self._add_to(section, number, wide)

    def _indented_outside(self, section: Section | None, number: int, raw: str, wide: str) -> None:
        """An indented line that ldirectord takes as a global line, which it is not."""
        report = self._report
        width = len(raw) - len(raw.lstrip(_BLANKS))
        place = report.span(number, 0, width)
        if section is None:
            report.error("leading-blank", "a global directive starts in the first column", place)
            self._global(number, raw, width)
            return
        if section.open:
            report.error(
                "too-little-indentation",
                "a line of a section needs at least four blanks or a tab in front",
                place,
                help_text="indent it by four blanks",
            )
        else:
            # Said once per gap: the lines that follow are taken as part of the section again.
            ended = section.ended_by or number
            report.error(
                "line-outside-section",
                "an indented line, but the section has ended",
                report.span(number),
                help_text="take the empty line out, or put a `#` on it",
                secondary=(Label(report.span(ended, 0, 1), "the section ends here"),),
            )
            section.open = True
        self._add_to(section, number, wide)

    def _first_column(self, section: Section | None, number: int, raw: str) -> None:
        match = _STATEMENT.match(raw)
        name = match["name"] if match else ""
        if match and name in SECTION_HEADERS and match["equals"]:
            self._section = Section(self._statement(number, raw, match, expanded=False))
            self._scanned.sections.append(self._section)
            return
        belongs = name in VIRTUAL and (name not in GLOBAL or (section is not None and section.open and section.lost))
        if section is not None and match and match["equals"] and belongs:
            section.lost.append(number)
            self._add_to(section, number, raw.replace("\t", _TAB))
            return
        if section is not None and section.open:
            section.open = False
            section.ended_by = number
        self._global(number, raw, 0)

    # ---- statements ----

    def _statement(self, number: int, text: str, match: re.Match[str], *, expanded: bool) -> Statement:
        return Statement(
            line=number,
            name=match["name"],
            name_start=match.start("name"),
            value=match["value"],
            value_start=match.start("value"),
            has_equals=match["equals"] is not None,
            expanded=expanded,
        )

    def _global(self, number: int, raw: str, start: int) -> None:
        match = _STATEMENT.match(raw, start)
        if match is None:
            self._unreadable(number, raw, start)
            return
        statement = self._statement(number, raw, match, expanded=False)
        name = statement.name
        if name not in GLOBAL:
            self._unknown(statement)
        elif statement.has_equals or (name == "supervised" and not statement.value.strip(_BLANKS)):
            self._scanned.globals.append(statement)
        else:
            self._no_equals(statement)

    def _add_to(self, section: Section, number: int, wide: str) -> None:
        text = wide.split("#", 1)[0]
        start = len(text) - len(text.lstrip(_BLANKS))
        match = _STATEMENT.match(text, start)
        if match is None:
            self._unreadable(number, self._report.lines[number - 1], start)
            return
        statement = self._statement(number, text, match, expanded=True)
        if statement.name not in VIRTUAL:
            self._unknown(statement)
        elif not statement.has_equals:
            self._no_equals(statement)
        else:
            section.statements.append(statement)

    # ---- faults ----

    def span_of(self, statement: Statement) -> tuple[int, int]:
        raw = self._report.lines[statement.line - 1]
        start, end = statement.name_start, statement.name_start + len(statement.name)
        if statement.expanded:
            return expanded_index(raw, start), expanded_index(raw, end)
        return start, end

    def _unreadable(self, number: int, raw: str, start: int) -> None:
        char = raw[start : start + 1]
        if char == "\ufeff":
            self._report.error(
                "byte-order-mark",
                "a byte order mark stands before the first directive",
                self._report.span(number, start, start + 1),
                help_text="save the file as UTF-8 without a byte order mark",
            )
            return
        if char == "\u00a0":
            self._report.error(
                "no-break-space",
                "a no-break space, as web pages have it, is not a blank",
                self._report.span(number, start, start + 1),
                help_text="write an ordinary blank, or take the line out",
            )
            return
        self._report.error(
            "unknown-directive",
            f"unknown directive `{quote(raw)}`",
            self._report.span(number, start, len(raw.rstrip())),
        )

    def _no_equals(self, statement: Statement) -> None:
        self._report.error(
            "missing-equals",
            f"`{statement.name}` needs a `=` before its value",
            self._report.span(statement.line, *self.span_of(statement)),
        )

    def _unknown(self, statement: Statement) -> None:
        """A name that this scope does not have: elsewhere known, misspelt, or of another program."""
        name, report = statement.name, self._report
        place = report.span(statement.line, *self.span_of(statement))
        if name in GLOBAL and GLOBAL[name].state is State.REMOVED:
            help_text = "write `checktimeout` and `negotiatetimeout`"
            report.error("removed-directive", f"`{name}` is gone", place, help_text=help_text)
            return
        if name in GLOBAL and statement.expanded:
            help_text = "start it in the first column, before the sections"
            if name in SECTION_HEADERS:
                help_text = "start a section in the first column"
            report.error("global-in-section", f"`{name}` is a global directive", place, help_text=help_text)
            return
        if name in VIRTUAL:
            report.error(
                "outside-section",
                f"`{name}` belongs to a virtual service, and none is open",
                place,
                help_text="write a `virtual=ADDRESS:PORT` line above it and indent it by four blanks",
            )
            return
        if name in _KEEPALIVED_WORDS or report.lines[statement.line - 1].rstrip().endswith("{"):
            self._other_language = True
            report.error(
                "other-language",
                f"`{name}` is no directive of ldirectord",
                place,
                help_text="this looks like a keepalived.conf: start it with `pykeepalived -f FILE`",
            )
            return
        scope = VIRTUAL if statement.expanded else GLOBAL
        lower = name.lower()
        hint = f"directives are written in lower case: `{lower}`" if lower in scope else near_word(name, list(scope))
        report.error("unknown-directive", f"unknown directive `{quote(name)}`", place, help_text=hint)

    def _report_lost(self, section: Section) -> None:
        if not section.lost:
            return
        report = self._report
        first, more = section.lost[0], len(section.lost) - 1
        notes = (f"{more} more lines of this section are not indented, up to line {section.lost[-1]}",) if more else ()
        name = next(s.name for s in section.statements if s.line == first) if section.statements else "the line"
        report.error(
            "lost-indentation",
            f"`{name}` belongs to the virtual service above and is not indented",
            report.span(first),
            help_text="indent the lines of a section by four blanks, or let `keepalivedctl fix` do it",
            notes=notes,
            secondary=(Label(report.span(section.header.line), "the section"),),
        )

"""The values of a scope's directives, read and remarked upon, with their places."""

from __future__ import annotations

from typing import Any

import msgspec

from pykeepalived.diagnostics import Span
from pykeepalived.dialects.ldirectord.readers import ReadError, Remark
from pykeepalived.dialects.ldirectord.report import Reporter, quote
from pykeepalived.dialects.ldirectord.rows import Row, State
from pykeepalived.dialects.ldirectord.scan import Statement, expanded_index

_SUCCESSORS = {
    "timeout": "write `checktimeout` and `negotiatetimeout`",
    "connecttimeout": "write `negotiatetimeout`",
}
_DEPRECATIONS = {"checkcount": "only ping checks count attempts; `failurecount` counts for all"}


class Found(msgspec.Struct, frozen=True):
    """A directive's value as read, and where it stood."""

    value: Any
    statement: Statement


class Places:
    """Spans of parts of statements."""

    def __init__(self, report: Reporter) -> None:
        self.report = report

    def value(self, statement: Statement, start: int = 0, end: int | None = None) -> Span:
        """Characters `start` to `end` of the value."""
        first = statement.value_start + start
        last = statement.value_start + (len(statement.value.rstrip()) if end is None else end)
        if statement.expanded:
            raw = self.report.lines[statement.line - 1]
            first, last = expanded_index(raw, first), expanded_index(raw, last)
        return self.report.span(statement.line, first, max(last, first + 1))

    def name(self, statement: Statement) -> Span:
        first, last = statement.name_start, statement.name_start + len(statement.name)
        if statement.expanded:
            raw = self.report.lines[statement.line - 1]
            first, last = expanded_index(raw, first), expanded_index(raw, last)
        return self.report.span(statement.line, first, last)

    def remarks(self, statement: Statement, remarks: tuple[Remark, ...], offset: int = 0) -> None:
        """Warn about each; `offset`: where the text that they count in starts within the value."""
        for remark in remarks:
            span = self.value(statement, offset + remark.start, offset + remark.end)
            self.report.warning(remark.id, remark.text, span, help_text=remark.help)


class Values:
    """Directives of one scope by name. Later lines win over earlier ones, as in ldirectord."""

    def __init__(self, places: Places, later_noted: set[str]) -> None:
        self._places = places
        self._later_noted = later_noted
        self._found: dict[str, list[Found]] = {}

    def add(self, row: Row, statement: Statement) -> None:
        """Read one statement; a refused value is reported and not kept."""
        report = self._places.report
        if row.state is State.REMOVED:
            help_text = _SUCCESSORS.get(row.name)
            report.error(
                "removed-directive", f"`{row.name}` is gone", self._places.name(statement), help_text=help_text
            )
            return
        try:
            read = row.reader.read(statement.value)
        except ReadError as error:
            self._refuse(row, statement, error)
            return
        self._remark_on_state(row, statement)
        self._places.remarks(statement, read.remarks)
        self._found.setdefault(row.name, []).append(Found(read.value, statement))

    def put(self, name: str, value: Any, statement: Statement) -> None:
        self._found.setdefault(name, []).append(Found(value, statement))

    def get(self, name: str) -> Found | None:
        found = self._found.get(name)
        return found[-1] if found else None

    def value(self, name: str, default: Any = None) -> Any:
        found = self.get(name)
        return default if found is None else found.value

    def all(self, *names: str) -> list[Found]:
        """Every line of repeatable directives, in file order."""
        found = [item for name in names for item in self._found.get(name, ())]
        return sorted(found, key=lambda item: item.statement.line)

    # ---- what is said ----

    def _refuse(self, row: Row, statement: Statement, error: ReadError) -> None:
        report, value = self._places.report, statement.value
        if row.reader.quoted and value.count('"') < 2:
            raw = report.lines[statement.line - 1]
            if statement.expanded and value.count('"') == 1 and "#" in raw:
                hash_at = raw.index("#")
                report.error(
                    "hash-in-quotes",
                    "`#` starts a comment within a section, also between quotes",
                    report.span(statement.line, hash_at, hash_at + 1),
                    help_text="leave the `#` out: there is no way to write it",
                )
                return
            id_ = "unterminated-quotes" if '"' in value else "missing-quotes"
            bare = quote(value.replace('"', ""))
            report.error(
                id_,
                f"`{row.name}` takes {row.reader.expected}",
                self._places.value(statement),
                help_text=f'write `{row.name}="{bare}"`' if bare else None,
            )
            return
        span = self._places.value(statement, error.start, error.end)
        report.error(error.id, f"`{row.name}` {error.text}", span, help_text=error.help)

    def _remark_on_state(self, row: Row, statement: Statement) -> None:
        report = self._places.report
        if row.state is State.LATER and row.name not in self._later_noted:
            self._later_noted.add(row.name)
            report.note("no-effect-yet", f"`{row.name}` is known and has no effect yet", self._places.name(statement))
        elif row.state is State.DEPRECATED:
            report.warning(
                "deprecated-directive",
                f"`{row.name}` is deprecated",
                self._places.name(statement),
                help_text=_DEPRECATIONS.get(row.name),
            )
        elif row.state is State.UNUSED:
            report.warning("unused-directive", f"nothing looks at `{row.name}`", self._places.name(statement))

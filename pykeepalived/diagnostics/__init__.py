"""Findings about a configuration, as values.

A finding says what is wrong (`message`), where (`span`, the smallest piece of text), where else to look
(`secondary`), and, only in `help`, what to do. Rendering is elsewhere (`render`). Messages are lower case without a
full stop; one fault is reported once.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum, IntEnum

import msgspec


class Severity(Enum):
    """How bad a finding is, from the reader's point of view."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class ExitClass(IntEnum):
    """What `keepalived -t` makes of a finding (keepalived-behaviour 1.9); the largest `rank` of a run wins."""

    #: Does not change the exit code: ours alone, or the original stays silent.
    NONE = 0
    #: A keyword lacks its required word: the original ends at once.
    MISSING_WORD = 2
    #: File not found, bad interface alone, fatal.
    FATAL = 4
    #: Any other error, warning or deprecated word.
    GENERAL = 5
    #: Script security and key-file rights.
    SECURITY = 6
    #: The same number stands for "no configuration": an include that must match something matches nothing.
    NO_CONFIG = 6


class Span(msgspec.Struct, frozen=True):
    """A piece of one line of one file. Lines and columns count from 1; `end_column` is one past the last character."""

    file: str
    line: int
    column: int
    end_column: int
    text: str
    """The whole line as it stands in the file, without its end of line."""


class Label(msgspec.Struct, frozen=True):
    """A further place that explains a finding, for example where a name was first defined."""

    span: Span
    message: str


class Diagnostic(msgspec.Struct, frozen=True, kw_only=True):
    """One finding. `id` is stable, kebab-case, and names the golden file that shows it."""

    id: str
    severity: Severity
    message: str
    span: Span | None = None
    secondary: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    help: str | None = None
    exit_class: ExitClass = ExitClass.NONE


class Findings:
    """Collects findings while a file is read; the same finding at the same place is kept once.

    With a `limit` further findings are not kept. `too-many-findings` then stands for them, once for every exit class
    that would else be lost.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._seen: set[tuple[str, Span | None, str]] = set()
        self._limit = limit
        self._dropped: set[ExitClass] = set()
        self.items: list[Diagnostic] = []

    def add(self, diagnostic: Diagnostic) -> None:
        if self.full:
            self.drop(diagnostic.exit_class)
            return
        key = (diagnostic.id, diagnostic.span, diagnostic.message)
        if key not in self._seen:
            self._seen.add(key)
            self.items.append(diagnostic)

    @property
    def full(self) -> bool:
        """Nothing more is kept: whoever would add a finding may `drop` it before it is made."""
        return self._limit is not None and len(self._seen) >= self._limit

    def drop(self, exit_class: ExitClass) -> None:
        """Count a finding without keeping it."""
        if exit_class in self._dropped or (exit_class is ExitClass.NONE and self._dropped):
            return
        self._dropped.add(exit_class)
        self.items.append(
            Diagnostic(
                id="too-many-findings",
                severity=Severity.ERROR,
                message=f"more than {self._limit} findings, the rest is not shown",
                exit_class=exit_class,
            )
        )

    def demote(self, ids: Collection[str]) -> None:
        """Keep the findings with these ids and let them no longer count for the exit code."""
        self.items = [
            msgspec.structs.replace(item, exit_class=ExitClass.NONE) if item.id in ids else item for item in self.items
        ]

    def count_as(self, old: ExitClass, new: ExitClass) -> None:
        """Let all findings of one exit class count as another."""
        self.items = [
            msgspec.structs.replace(item, exit_class=new) if item.exit_class is old else item for item in self.items
        ]

    def replace(self, one: Diagnostic, exit_class: ExitClass) -> None:
        """Let one finding count as `exit_class`."""
        self.items = [
            msgspec.structs.replace(item, exit_class=exit_class) if item is one else item for item in self.items
        ]

    def worst(self) -> ExitClass:
        """The exit class of the whole run: a missing word ends the original at once, else the largest wins."""
        classes = {item.exit_class for item in self.items}
        if ExitClass.MISSING_WORD in classes:
            return ExitClass.MISSING_WORD
        return max(classes, default=ExitClass.NONE)

    def count(self, severity: Severity) -> int:
        return sum(1 for item in self.items if item.severity is severity)

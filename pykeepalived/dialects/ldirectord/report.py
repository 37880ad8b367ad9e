"""From places in a file to findings."""

from __future__ import annotations

import re
from typing import Final

from pykeepalived.diagnostics import Diagnostic, Findings, Label, Severity, Span

#: Control characters and broken bytes could steer the terminal that shows a finding; tabs stay, columns hold.
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")
_LONGEST_QUOTE: Final = 200


def printable(text: str) -> str:
    """The text with a mark in place of every character that a terminal should not be given, one for one."""
    return _UNPRINTABLE.sub("\ufffd", text)


def quote(text: str) -> str:
    """A piece of the file for use within a message: on one line, printable, of bounded length."""
    text = printable(text.strip())
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…"


class Reporter:
    """Makes findings about one file."""

    def __init__(self, file: str, lines: list[str], findings: Findings) -> None:
        self.file = file
        self.lines = lines
        self.findings = findings

    def span(self, line: int, start: int = 0, end: int | None = None) -> Span:
        """Of line `line` (from 1) the characters `start` to `end` (from 0; None: to the last non-blank)."""
        text = self.lines[line - 1].rstrip("\r") if line <= len(self.lines) else ""
        last = len(text.rstrip()) if end is None else min(end, len(text))
        start = min(start, len(text))
        return Span(printable(self.file), line, start + 1, max(last, start + 1) + 1, printable(text))

    def add(
        self,
        severity: Severity,
        id_: str,
        message: str,
        span: Span | None,
        *,
        help_text: str | None = None,
        notes: tuple[str, ...] = (),
        secondary: tuple[Label, ...] = (),
    ) -> None:
        self.findings.add(
            Diagnostic(
                id=id_,
                severity=severity,
                message=printable(message),
                span=span,
                help=help_text,
                notes=notes,
                secondary=secondary,
            )
        )

    def error(
        self,
        id_: str,
        message: str,
        span: Span | None,
        *,
        help_text: str | None = None,
        notes: tuple[str, ...] = (),
        secondary: tuple[Label, ...] = (),
    ) -> None:
        self.add(Severity.ERROR, id_, message, span, help_text=help_text, notes=notes, secondary=secondary)

    def warning(
        self, id_: str, message: str, span: Span | None, *, help_text: str | None = None, notes: tuple[str, ...] = ()
    ) -> None:
        self.add(Severity.WARNING, id_, message, span, help_text=help_text, notes=notes)

    def note(self, id_: str, message: str, span: Span | None) -> None:
        self.add(Severity.NOTE, id_, message, span)

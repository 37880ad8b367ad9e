"""Renderers for findings: `full` (caret line, for people), `short` (one line, for editors and CI), `json`."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from pykeepalived.diagnostics import Diagnostic, Severity, Span

_COLOURS = {Severity.ERROR: "\x1b[1;31m", Severity.WARNING: "\x1b[1;33m", Severity.NOTE: "\x1b[1;36m"}
_RESET = "\x1b[0m"
_BOLD = "\x1b[1m"


def short(diagnostic: Diagnostic) -> str:
    """`FILE:LINE:COLUMN: severity[id]: message`, with the help appended in brackets when there is one."""
    span = diagnostic.span
    where = f"{span.file}:{span.line}:{span.column}: " if span else ""
    text = f"{where}{diagnostic.severity.value}[{diagnostic.id}]: {diagnostic.message}"
    return f"{text} (help: {diagnostic.help})" if diagnostic.help else text


def full(diagnostic: Diagnostic, *, colour: bool = False) -> str:
    """Several lines: heading, place, source line with caret, secondary places, notes, help."""
    paint = _COLOURS[diagnostic.severity] if colour else ""
    bold = _BOLD if colour else ""
    reset = _RESET if colour else ""
    lines = [f"{paint}{diagnostic.severity.value}[{diagnostic.id}]{reset}{bold}: {diagnostic.message}{reset}"]
    if diagnostic.span:
        lines += _excerpt(diagnostic.span, "^", "", paint, reset)
    for label in diagnostic.secondary:
        lines += _excerpt(label.span, "-", label.message, bold, reset)
    lines += [f"  = note: {note}" for note in diagnostic.notes]
    if diagnostic.help:
        lines.append(f"  = help: {diagnostic.help}")
    return "\n".join(lines)


def _excerpt(span: Span, mark: str, label: str, paint: str, reset: str) -> list[str]:
    number = str(span.line)
    gutter = " " * len(number)
    # Tabs stay tabs in the caret line, so that the caret stands under its word in every terminal.
    lead = "".join("\t" if char == "\t" else " " for char in span.text[: span.column - 1])
    marks = mark * max(1, min(span.end_column, len(span.text) + 2) - span.column)
    tail = f" {label}" if label else ""
    return [
        f" {gutter}--> {span.file}:{span.line}:{span.column}",
        f" {gutter} |",
        f" {number} | {span.text}",
        f" {gutter} | {lead}{paint}{marks}{reset}{tail}",
    ]


def json(diagnostics: Iterable[Diagnostic]) -> bytes:
    """All findings as one JSON array; field names are those of `Diagnostic`."""
    return msgspec.json.format(msgspec.json.encode(list(diagnostics)))

"""One finding for one fault: what only follows from an undefined variable is taken out again.

`interface ${UPLINK}` without such a variable is one mistake, and its finding says what to do; that there is no
interface `UPLINK` is true and helps nobody. A `$UPLINK` without braces stays as it is written, so the finding about the
word is the first one, and gets the help. The exit code is that of all findings (keepalived-behaviour 1.9).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from pykeepalived.diagnostics import Diagnostic, ExitClass, Findings, Span

_CAUSE: Final = "undefined-variable"
_LEFT: Final = re.compile(r"`\$(?P<name>\w{1,64})`")
_HEAD: Final = 4096
"""A longer line is no line of a person; nobody looks for a variable in it."""


def one_for_each_fault(findings: Findings) -> None:
    """Take out what follows from an undefined variable, and say of a word that it is one."""
    items = findings.items
    causes = _by_line(items)
    if not causes and not any("`$" in item.message for item in items):
        return
    before = findings.worst()
    findings.items = list(_kept(items, causes))
    if findings.worst() is not before:
        findings.items = _counting(findings.items, before)


def _by_line(items: list[Diagnostic]) -> dict[tuple[str, int], list[Span]]:
    found: dict[tuple[str, int], list[Span]] = {}
    for item in items:
        if item.id == _CAUSE and item.span is not None:
            found.setdefault((item.span.file, item.span.line), []).append(item.span)
    return found


def _kept(items: list[Diagnostic], causes: dict[tuple[str, int], list[Span]]) -> Iterator[Diagnostic]:
    for item in items:
        span = item.span
        if span is not None and item.id != _CAUSE:
            near = causes.get((span.file, span.line), ())
            if any(cause.column < span.end_column and span.column < cause.end_column for cause in near):
                continue
            yield _with_help(item, span)
        else:
            yield item


def _with_help(item: Diagnostic, span: Span) -> Diagnostic:
    """A `$NAME` that nobody replaced, where the file has just that: most likely a definition is missing."""
    match = _LEFT.search(item.message)
    if match is None or len(span.text) > _HEAD or f"${match['name']}" not in span.text:
        return item
    name = match["name"]
    if re.match(rf"\s*\${name}\s*=", span.text):
        return item  # its definition
    return msgspec.structs.replace(item, help=f"the variable `{name}` is not defined; define it above, `${name}=…`")


def _counting(items: list[Diagnostic], wanted: ExitClass) -> list[Diagnostic]:
    """The first cause counts for what was taken out."""
    first = next(number for number, item in enumerate(items) if item.id == _CAUSE)
    return [*items[:first], msgspec.structs.replace(items[first], exit_class=wanted), *items[first + 1 :]]

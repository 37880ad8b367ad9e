"""Findings as SARIF 2.1.0 (OASIS standard), which code hosting sites and editors read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from pykeepalived.diagnostics import Diagnostic, Severity, Span

_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def sarif(diagnostics: Iterable[Diagnostic], *, version: str, rules: Mapping[str, str] | None = None) -> bytes:
    """One SARIF log with one run. `rules` describes ids in a sentence; ids without one describe themselves."""
    found = list(diagnostics)
    identifiers = sorted({item.id for item in found})
    places = {identifier: number for number, identifier in enumerate(identifiers)}
    texts = rules or {}
    log = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "keepalivedctl lint",
                        "semanticVersion": version,
                        "rules": [
                            {"id": name, "shortDescription": {"text": texts.get(name, name.replace("-", " "))}}
                            for name in identifiers
                        ],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(item, places[item.id]) for item in found],
            }
        ],
    }
    return msgspec.json.format(msgspec.json.encode(log))


def _result(item: Diagnostic, rule: int) -> dict[str, Any]:
    text = "; ".join([item.message, *item.notes, *([f"help: {item.help}"] if item.help else [])])
    result: dict[str, Any] = {
        "ruleId": item.id,
        "ruleIndex": rule,
        "level": _LEVELS[item.severity],
        "message": {"text": text},
    }
    if item.span is not None:
        result["locations"] = [{"physicalLocation": _location(item.span)}]
    if item.secondary:
        result["relatedLocations"] = [
            {"id": number, "physicalLocation": _location(label.span), "message": {"text": label.message}}
            for number, label in enumerate(item.secondary)
        ]
    return result


def _location(span: Span) -> dict[str, Any]:
    return {
        "artifactLocation": {"uri": quote(span.file, safe="/")},
        "region": {
            "startLine": span.line,
            "startColumn": span.column,
            "endColumn": max(span.end_column, span.column),
            "snippet": {"text": span.text},
        },
    }

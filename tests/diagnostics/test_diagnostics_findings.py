"""Findings as values, and their renderers."""

from __future__ import annotations

import msgspec

from pykeepalived.diagnostics import Diagnostic, ExitClass, Findings, Label, Severity, Span
from pykeepalived.diagnostics.render import full, json, short

SPAN = Span("k.conf", 12, 3, 8, "\t prioo 300 # x")
WHOLE = Diagnostic(
    id="unknown-keyword",
    severity=Severity.ERROR,
    message="unknown keyword `prioo`",
    span=SPAN,
    secondary=(Label(Span("k.conf", 2, 1, 3, "$A=1"), "defined here"),),
    notes=("a note",),
    help="did you mean `priority`?",
    exit_class=ExitClass.GENERAL,
)


def finding(exit_class: ExitClass, message: str = "m") -> Diagnostic:
    return Diagnostic(id="x", severity=Severity.WARNING, message=message, exit_class=exit_class)


def test_the_short_form_is_one_line() -> None:
    assert short(WHOLE) == (
        "k.conf:12:3: error[unknown-keyword]: unknown keyword `prioo` (help: did you mean `priority`?)"
    )
    assert short(finding(ExitClass.NONE)) == "warning[x]: m"


def test_the_full_form_points_at_the_word() -> None:
    assert full(WHOLE).split("\n") == [
        "error[unknown-keyword]: unknown keyword `prioo`",
        "   --> k.conf:12:3",
        "    |",
        " 12 | \t prioo 300 # x",
        "    | \t ^^^^^",
        "  --> k.conf:2:1",
        "   |",
        " 2 | $A=1",
        "   | -- defined here",
        "  = note: a note",
        "  = help: did you mean `priority`?",
    ]
    assert "\x1b[" in full(WHOLE, colour=True)


def test_json_holds_every_field() -> None:
    (decoded,) = msgspec.json.decode(json([WHOLE]))
    assert decoded["span"]["column"] == 3
    assert decoded["secondary"][0]["message"] == "defined here"
    assert msgspec.convert(decoded, Diagnostic) == WHOLE


def test_the_same_finding_is_kept_once() -> None:
    findings = Findings()
    findings.add(WHOLE)
    findings.add(msgspec.structs.replace(WHOLE, help=None))
    findings.add(finding(ExitClass.NONE))
    assert len(findings.items) == 2
    assert (findings.count(Severity.ERROR), findings.count(Severity.NOTE)) == (1, 0)


def test_a_missing_word_wins_over_larger_classes() -> None:
    findings = Findings()
    assert findings.worst() is ExitClass.NONE
    findings.add(finding(ExitClass.SECURITY))
    assert findings.worst() is ExitClass.SECURITY
    findings.add(finding(ExitClass.MISSING_WORD, "other"))
    assert findings.worst() is ExitClass.MISSING_WORD


def test_a_limit_drops_findings_and_keeps_their_exit_class() -> None:
    findings = Findings(limit=2)
    for number in range(5):
        findings.add(finding(ExitClass.NONE, str(number)))
    for number in range(5):
        findings.add(finding(ExitClass.SECURITY, str(number)))
    assert [item.id for item in findings.items] == ["x", "x", "too-many-findings", "too-many-findings"]
    assert findings.worst() is ExitClass.SECURITY

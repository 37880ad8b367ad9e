"""Makes docs/conformance.md from the ledger: `python -m tests.conformance.table`."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.bfd.test_bfd_conformance import NOT_OURS as BFD_NOT_OURS
from tests.bfd.test_bfd_conformance import RULES, Rule
from tests.conformance import rfc3768, rfc3768_network, rfc9568, rfc9568_network, rfc9568_owners
from tests.conformance.ledger import Case, Clause, NotOurs

CLAUSES: tuple[Clause, ...] = (
    *rfc9568.CLAUSES,
    *rfc9568_owners.CLAUSES,
    *rfc9568_network.CLAUSES,
    *rfc3768.CLAUSES,
    *rfc3768_network.CLAUSES,
)
NOT_OURS: tuple[NotOurs, ...] = (*rfc9568_network.NOT_OURS, *rfc3768_network.NOT_OURS, *BFD_NOT_OURS)
FILE = Path(__file__).parents[2] / "docs" / "conformance.md"
#: What Debian's keepalived did in the wire cases: case name to whether it passed.
RECORD = Path(__file__).with_name("keepalived.json")

_HEAD = """# Conformance

Each rule of the VRRP standards that concerns us, in our words, with the case that obeys it and a case beside it that
must not trigger it. Every case runs on the core in virtual time and on the whole daemon in network namespaces, where a
stranger sends it right and wrong packets; the last column is the same wire run against Debian's keepalived 2.2.7. Made
from `tests/conformance/` by `python -m tests.conformance.table`.

A rule that the core does not decide (flags of a neighbour advertisement, what the kernel sends on) is shown on the wire
alone.

The rules of BFD stand below with the tests of the core (`tests/bfd/test_bfd_session.py`) that show them and that must
not trigger them, and with those of whole daemons (`tests/interop/test_interop_bfd.py`: between two of ours, with
Debian's keepalived or with FRR's bfdd; `tests/interop/test_interop_bfd_wire.py`: with a neighbour made by hand).
"""


def cases() -> list[Case]:
    """Every case once, in the ledger's order."""
    found: dict[str, Case] = {}
    for clause in CLAUSES:
        for case in (clause.obeys, clause.beside):
            found.setdefault(case.name, case)
    return list(found.values())


def text() -> str:
    theirs: dict[str, bool] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    lines = [_HEAD]
    for standard in dict.fromkeys(clause.standard for clause in CLAUSES):
        lines += [f"## {standard}", "", "| section | level | rule | obeys | beside it | 2.2.7 | |"]
        lines.append("|---|---|---|---|---|---|---|")
        lines += [_line(clause, theirs) for clause in _sorted(standard)]
        lines.append("")
    for number in dict.fromkeys(rule.standard for rule in RULES):
        lines += [f"## RFC {number}", "", "| section | level | rule | obeys | beside it | on the wire | beside it |"]
        lines.append("|---|---|---|---|---|---|---|")
        lines += [_bfd_line(rule) for rule in RULES if rule.standard == number]
        lines.append("")
    lines += ["## Not ours", "", "Rules that a program of this kind can neither keep nor break.", ""]
    lines += ["| standard | section | level | rule | why |", "|---|---|---|---|---|"]
    lines += [" | ".join(("", *_not_ours(each), "")).strip() for each in NOT_OURS]
    return "\n".join(lines) + "\n"


def _sorted(standard: str) -> list[Clause]:
    """In the order of the sections; within one as they stand in the files."""
    clauses = [clause for clause in CLAUSES if clause.standard == standard]
    return sorted(clauses, key=lambda clause: [int(part) for part in re.findall(r"\d+", clause.section.split(",")[0])])


def _line(clause: Clause, theirs: dict[str, bool]) -> str:
    known = [theirs[case.name] for case in (clause.obeys, clause.beside) if case.name in theirs]
    column = "" if not known else "yes" if all(known) else "no"
    cells = (_name(clause.obeys), _name(clause.beside), column, clause.note)
    return f"| {clause.section} | {clause.level.value} | {clause.rule} | {' | '.join(cells)} |".replace("|  |", "| |")


def _bfd_line(rule: Rule) -> str:
    cells = [f"`{name}`" for name in (rule.shows, rule.spares, rule.wire, rule.wire_spares)]
    return f"| {rule.section} | {rule.level} | {rule.text} | {' | '.join(cells)} |"


def _not_ours(rule: NotOurs) -> tuple[str, ...]:
    return rule.standard, rule.section, rule.level.value, rule.rule, rule.reason


def _name(case: Case) -> str:
    return "`" + case.name.replace("|", "\\|") + "`"


if __name__ == "__main__":
    FILE.write_text(text())

"""Makes docs/conformance.md from the ledger: `python -m tests.conformance.table`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.bfd.test_bfd_conformance import RULES, Rule
from tests.conformance import rfc3768, rfc9568, rfc9568_owners
from tests.conformance.ledger import Case, Clause

CLAUSES: tuple[Clause, ...] = (*rfc9568.CLAUSES, *rfc9568_owners.CLAUSES, *rfc3768.CLAUSES)
FILE = Path(__file__).parents[2] / "docs" / "conformance.md"
#: What Debian's keepalived did in the wire cases: case name to whether it passed.
RECORD = Path(__file__).with_name("keepalived.json")
#: The outcomes that belong to the whole daemon.
SHUTDOWN = "priority 0 on shutdown"
SILENT = "a backup says nothing on shutdown"

_HEAD = """# Conformance

Each rule of the VRRP standards that concerns us, in our words, with the case that obeys it and a case beside it that
must not trigger it. Every case runs on the core in virtual time and on the whole daemon in network namespaces, where a
stranger sends it right and wrong packets; the last column is the same wire run against Debian's keepalived 2.2.7. Made
from `tests/conformance/` by `python -m tests.conformance.table`.

The rules of BFD stand below with the tests of the core (`tests/bfd/test_bfd_session.py`) that show them and that must
not trigger them, and with one of whole daemons (`tests/interop/test_interop_bfd.py`: between two of ours, with Debian's
keepalived or with FRR's bfdd; `tests/interop/test_interop_bfd_wire.py`: with a neighbour made by hand).
"""


def cases() -> list[Case]:
    """Every case once, in the ledger's order."""
    found: dict[str, Case] = {}
    for clause in CLAUSES:
        for case in (clause.obeys, clause.beside):
            if case is not None:
                found.setdefault(case.name, case)
    return list(found.values())


def text() -> str:
    theirs: dict[str, bool] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    lines = [_HEAD]
    for standard in dict.fromkeys(clause.standard for clause in CLAUSES):
        lines += [
            f"## {standard}",
            "",
            "| section | level | rule | obeys | beside it | 2.2.7 |",
            "|---|---|---|---|---|---|",
        ]
        lines += [_line(clause, theirs) for clause in CLAUSES if clause.standard == standard]
        lines.append("")
    for number in dict.fromkeys(rule.standard for rule in RULES):
        lines += [f"## RFC {number}", "", "| section | level | rule | shown by | beside it | on the wire |"]
        lines.append("|---|---|---|---|---|---|")
        lines += [_bfd_line(rule) for rule in RULES if rule.standard == number]
        lines.append("")
    return "\n".join(lines)


def _line(clause: Clause, theirs: dict[str, bool]) -> str:
    obeys = "; ".join(words for words in (_name(clause.obeys) if clause.obeys else "", clause.elsewhere) if words)
    known = [theirs[case.name] for case in (clause.obeys, clause.beside) if case is not None and case.name in theirs]
    column = "" if not known else "yes" if all(known) else "no"
    beside = _name(clause.beside) if clause.beside else ""
    return f"| {clause.section} | {clause.level.value} | {clause.rule} | {obeys} | {beside} | {column} |"


def _bfd_line(rule: Rule) -> str:
    cells = [f"`{name}`" if name else "" for name in (rule.shows, rule.spares, rule.wire)]
    return f"| {rule.section} | {rule.level} | {rule.text} | {' | '.join(cells)} |"


def _name(case: Case) -> str:
    return "`" + case.name.replace("|", "\\|") + "`"


if __name__ == "__main__":
    FILE.write_text(text())

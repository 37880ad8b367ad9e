"""Which words have an effect: a word without effect takes the words of its block with it."""

from __future__ import annotations

from functools import lru_cache

from pykeepalived.dialects.keepalived.rows import Row, Table
from pykeepalived.dialects.keepalived.tables import ROOT


@lru_cache(maxsize=1)
def _blocks() -> dict[str, str | None]:
    """For each block or line grammar: the area that its opening word waits for, None when one that opens it acts."""
    found: dict[str, str | None] = {ROOT.context: None}
    pending: list[tuple[Table, str | None]] = [(ROOT, None)]
    while pending:
        table, above = pending.pop()
        for row in table.rows.values():
            later: str | None = above or row.later
            for inner in (row.block, row.options):
                if inner is None or (inner.context in found and (later is not None or found[inner.context] is None)):
                    continue
                found[inner.context] = later
                if inner is row.block:
                    pending.append((inner, later))
    return found


def later_of(context: str, row: Row) -> str | None:
    """The area that will give the word its effect; None: it has one."""
    return _blocks().get(context) or row.later

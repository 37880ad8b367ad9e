"""All tables: one file per group of blocks. `TABLES` are blocks of keywords, `LINES` grammars of single lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pykeepalived.dialects.keepalived.rows import Options, Row, Table
from pykeepalived.dialects.keepalived.tables.root import ROOT


def _collect() -> tuple[tuple[Table, ...], tuple[Options, ...]]:
    """Every table and line grammar that can be reached from the root, each once."""
    tables: dict[int, Table] = {}
    lines: dict[int, Options] = {}
    pending: list[Table | Options] = [ROOT]
    while pending:
        item = pending.pop(0)
        known = tables if isinstance(item, Table) else lines
        if id(item) in known:
            continue
        known[id(item)] = item  # type: ignore[assignment]
        for row in item.rows.values():
            pending.extend(found for found in (row.block, row.options) if found is not None)
    return tuple(tables.values()), tuple(lines.values())


TABLES, LINES = _collect()


def all_rows() -> Iterator[tuple[str, Row]]:
    """Every row with the context it stands in."""
    for holder in (*TABLES, *LINES):
        for row in holder.rows.values():
            yield holder.context, row


__all__ = ["LINES", "ROOT", "TABLES", "Final", "all_rows"]

"""All tables: one file per group of blocks. `TABLES` are blocks of keywords, `LINES` grammars of single lines."""

from __future__ import annotations

from collections.abc import Iterator

from pykeepalived.dialects.keepalived.rows import Options, Row, Table
from pykeepalived.dialects.keepalived.tables.root import ROOT


def _collect() -> tuple[tuple[Table, ...], tuple[Options, ...]]:
    """Every table and line grammar that can be reached from the root, each once."""
    tables: list[Table] = [ROOT]
    lines: list[Options] = []
    for table in tables:
        for row in table.rows.values():
            if row.block is not None and row.block not in tables:
                tables.append(row.block)
            if row.options is not None and row.options not in lines:
                lines.append(row.options)
    return tuple(tables), tuple(lines)


TABLES, LINES = _collect()


def all_rows() -> Iterator[tuple[str, Row]]:
    """Every row with the context it stands in."""
    for table in TABLES:
        yield from ((table.context, row) for row in table.rows.values())
    for line in LINES:
        yield from ((line.context, row) for row in line.rows.values())


__all__ = ["LINES", "ROOT", "TABLES", "all_rows"]

"""A block that lost its opening brace: its lines stand at the top level and its `}` closes nothing.

keepalived reports each of those lines. One fault is one finding here: the lines are taken back into their block.
"""

from __future__ import annotations

from collections.abc import Sequence

from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.rows import Kind
from pykeepalived.dialects.keepalived.tables import ROOT
from pykeepalived.syntax import Statement

_BLOCKS = (Kind.BLOCK, Kind.LIST, Kind.WORDS)


def adopt_lost_blocks(context: Context, statements: Sequence[Statement]) -> list[Statement]:
    """The statements of the top level, blocks without `{` completed where a `}` for them is left over."""
    taken: list[Statement] = []
    index = 0
    while index < len(statements):
        statement = statements[index]
        taken.append(statement)
        index += 1
        row = ROOT.rows.get(statement.keyword)
        if row is None or row.kind not in _BLOCKS or statement.children is not None:
            continue
        end = index
        while end < len(statements) and statements[end].words and statements[end].keyword not in ROOT.rows:
            end += 1
        if end < len(statements) and statements[end].is_extra_brace:
            context.error(
                "missing-open-brace",
                f"`{statement.keyword}` needs a block",
                statement,
                help="put a `{` at the end of the line",
            )
            statement.children = list(statements[index:end])
            index = end + 1
    return taken

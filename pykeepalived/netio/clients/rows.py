"""What the rows of a query mean."""

from __future__ import annotations

from pykeepalived.checkers.negotiate_client import Answer


def judge(row: object) -> Answer:
    """`row`: the first one, or None. More than no row is success."""
    return Answer(False, "the query gives no row", "no-row") if row is None else Answer(True, "the query gives rows")

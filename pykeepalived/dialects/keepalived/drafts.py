"""What the tables collect from one block, before the model is made of it."""

from __future__ import annotations

from typing import Any

import msgspec

from pykeepalived.syntax import Statement


class Draft:
    """Values of one block by model field, each with the statement it came from."""

    __slots__ = ("header", "order", "refused", "statement", "values", "where")

    def __init__(self, statement: Statement | None, header: tuple[Any, ...] = ()) -> None:
        self.statement = statement
        self.header = header
        """The values of the words behind the block's keyword, for example its name."""
        self.order = 0
        """Blocks that stand further down have a greater number."""
        self.values: dict[str, Any] = {}
        self.where: dict[str, Statement] = {}
        self.refused: frozenset[str] = frozenset()
        """Fields that a value was refused for: that it is missing then needs no finding of its own."""

    def get(self, field: str, default: Any = None) -> Any:
        return self.values.get(field, default)

    def writes(self, keyword: str) -> bool:
        """The block has such a line; what it says may have been refused. A folded block, without faults, has none."""
        below = (self.statement.children if self.statement is not None else None) or ()
        return any(item.keyword == keyword for item in below)

    def put(self, field: str, value: Any, statement: Statement) -> None:
        self.values[field] = value
        self.where[field] = statement

    def append(self, field: str, value: Any, statement: Statement) -> None:
        found = self.values.get(field)
        if found is None:
            self.values[field] = [value]
            self.where[field] = statement
        else:
            found.append(value)

    @property
    def name(self) -> str:
        return str(self.header[0]) if self.header else ""


class Entry(msgspec.Struct):
    """One line of a list block or one line with options: values by field, and its statement."""

    values: dict[str, Any]
    statement: Statement
    places: dict[str, int]
    """Word numbers of the values."""
    refused: bool = False
    """A word of the line was refused, which is reported."""

    def get(self, field: str, default: Any = None) -> Any:
        return self.values.get(field, default)


class RawScript(msgspec.Struct):
    """A command line as read; who runs it and whether it may is decided when all of the file is known."""

    argv: tuple[str, ...]
    user: str | None
    group: str | None
    statement: Statement

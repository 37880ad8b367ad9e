"""Tables of MIBs over facts, and how a name is looked up in them: GET and GETNEXT without building every value.

A column is a row of a table here; from the same rows the MIB modules are written (`tools.mibs`). A scalar is a column
of a table whose only row has the index 0.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from pykeepalived.notify.snmp.codec import Oid, Tag, VarBind

Value = int | bytes | str | Oid | None


class Syntax(msgspec.Struct, frozen=True):
    """A type of the MIB modules and how it travels."""

    text: str
    tag: Tag
    words: Mapping[str, int] = {}
    """Named numbers; a reader may return the word."""


#: Columns that only name rows, or travel in notifications alone.
_UNREAD: Final = frozenset(("not-accessible", "accessible-for-notify"))


class Column(msgspec.Struct, frozen=True):
    """One object type. `read` takes a row and returns its value; None: the row has no such object."""

    number: int
    name: str
    syntax: Syntax
    read: Callable[[Any], Any]
    help: str
    access: str = "read-only"
    status: str = "current"


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of the same columns. `oid` is the prefix of the columns: that of the entry, or of a group of scalars."""

    name: str
    """Of the entry without `Entry`, as `vrrpInstance`; of scalars that of their group."""
    oid: Oid
    help: str
    columns: tuple[Column, ...]
    rows: Callable[[Any], Sequence[tuple[Oid, Any]]]
    """Index and row, in any order, from the facts."""
    index: tuple[str, ...] = ()
    """Names of the index objects; none: these are scalars."""


class _Filled:
    """A table with its rows in order."""

    def __init__(self, table: Table, facts: Any) -> None:
        rows = sorted(table.rows(facts), key=lambda row: row[0])
        self.prefix = table.oid
        self.indices = [index for index, _ in rows]
        self.items = [item for _, item in rows]
        self.columns = [column for column in table.columns if column.access not in _UNREAD]
        self.numbers = [column.number for column in self.columns]

    def get(self, oid: Oid) -> tuple[Column, Any] | None:
        """Column and row of a name, if there are both."""
        size = len(self.prefix)
        if oid[:size] != self.prefix or len(oid) < size + 2:
            return None
        at = bisect_left(self.numbers, oid[size])
        if at == len(self.numbers) or self.numbers[at] != oid[size]:
            return None
        row = bisect_left(self.indices, oid[size + 1 :])
        if row == len(self.indices) or self.indices[row] != oid[size + 1 :]:
            return None
        return self.columns[at], self.items[row]

    def next(self, oid: Oid, *, include: bool) -> tuple[Oid, Column, Any, Value] | None:
        """The first object that has a value after a name (or that name, with `include`)."""
        at, row = self._place(oid, include=include)
        while at < len(self.columns):
            column = self.columns[at]
            while row < len(self.indices):
                value = column.read(self.items[row])
                if value is not None:
                    return (*self.prefix, column.number, *self.indices[row]), column, self.items[row], value
                row += 1
            at, row = at + 1, 0
        return None

    def _place(self, oid: Oid, *, include: bool) -> tuple[int, int]:
        """Numbers of the column and the row from which on the answer is searched."""
        size = len(self.prefix)
        if oid[:size] != self.prefix:
            return (0, 0) if oid < self.prefix else (len(self.columns), 0)
        if len(oid) == size:
            return 0, 0
        at = bisect_left(self.numbers, oid[size])
        if at == len(self.numbers) or self.numbers[at] != oid[size]:
            return at, 0
        find = bisect_left if include else bisect_right
        return at, find(self.indices, oid[size + 1 :])


class Tree:
    """All tables of all MIBs that are served, over one set of facts."""

    def __init__(self, tables: Sequence[Table], facts: Any) -> None:
        self._filled = [_Filled(table, facts) for table in tables]

    def get(self, oid: Oid) -> VarBind:
        """RFC 2741 section 7.2.3.1."""
        known = False
        for filled in self._filled:
            found = filled.get(oid)
            if found is not None:
                value = found[0].read(found[1])
                if value is not None:
                    return bind(oid, found[0], value)
            size = len(filled.prefix)
            known = known or (oid[:size] == filled.prefix and len(oid) > size and oid[size] in filled.numbers)
        return VarBind(oid, Tag.NO_INSTANCE if known else Tag.NO_OBJECT)

    def next(self, start: Oid, end: Oid = (), *, include: bool = False) -> VarBind:
        """RFC 2741 section 7.2.3.2: the first object from `start` on that is before `end`."""
        best: tuple[Oid, Column, Any, Value] | None = None
        for filled in self._filled:
            found = filled.next(start, include=include)
            if found is not None and (best is None or found[0] < best[0]):
                best = found
        if best is None or (end and best[0] >= end):
            return VarBind(start, Tag.END)
        return bind(best[0], best[1], best[3])

    def bulk(self, start: Oid, end: Oid, *, include: bool, count: int) -> list[VarBind]:
        """`count` objects in a row, fewer at the end."""
        found = []
        for _ in range(count):
            item = self.next(start, end, include=include)
            found.append(item)
            if item.tag is Tag.END:
                break
            start, include = item.name, False
        return found


#: An SNMP message has room for less anyway.
_STRING_LIMIT: Final = 8192


def bind(name: Oid, column: Column, value: Value) -> VarBind:
    """A column's value as it travels."""
    syntax = column.syntax
    if isinstance(value, str):
        if value in syntax.words:
            return VarBind(name, syntax.tag, syntax.words[value])
        return VarBind(name, syntax.tag, value.encode("utf-8", "surrogateescape")[:_STRING_LIMIT])
    if isinstance(value, bool):
        return VarBind(name, syntax.tag, 1 if value else 2)
    if isinstance(value, int) and syntax.tag in {Tag.GAUGE, Tag.TICKS}:
        value = max(0, min(value, 0xFFFFFFFF)) if syntax.tag is Tag.GAUGE else value
    return VarBind(name, syntax.tag, value)

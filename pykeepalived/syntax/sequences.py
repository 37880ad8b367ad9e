"""`~SEQ`, `~SEQx` and `~LST`: one line becomes many (keepalived-behaviour 1.5)."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from pykeepalived.syntax.grammar import pp


@functools.cache
def _grammars() -> tuple[pp.ParserElement, pp.ParserElement]:
    """~SEQ and ~LST, made for the first line that has one."""
    name = pp.Regex(r"[A-Za-z_]\w*")
    # A number by C's rules: 0x…, 0… (octal), decimal.
    number = pp.Regex(r"[+-]?(?:0[xX][0-9A-Fa-f]+|\d+)")
    comma, start, end = pp.Suppress(","), pp.Suppress("("), pp.Suppress(")")
    counted = pp.Group((comma + number)[1, 3])("numbers")
    seq = pp.Regex(r"~SEQx?(?=\()")("form") + start + name("variable") + counted + end
    item = pp.Regex(r"[^\s,(){}\"]+")
    row = pp.Group(pp.Suppress("{") + pp.DelimitedList(item) + pp.Suppress("}"))
    names = pp.Group(pp.Suppress("{") + pp.DelimitedList(name) + pp.Suppress("}"))
    rows = names("variables") + pp.Group((comma + row)[1, ...])("tuples")
    items = name("variable") + pp.Group((comma + item)[1, ...])("items")
    lst = pp.Suppress("~LST") + start + (rows | items) + end
    return seq.parse_with_tabs(), lst.parse_with_tabs()


class BadSequence(Exception):
    """A sequence that does not follow the grammar; `position` counts from 0 in the text."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


class Sequence:
    """A read head: the variables, their values in turn, and where the rest of the line starts."""

    __slots__ = ("end", "names", "turns")

    def __init__(self, names: tuple[str, ...], turns: Iterator[tuple[str, ...]], end: int) -> None:
        self.names = names
        self.turns = turns
        self.end = end


def starts_sequence(text: str) -> bool:
    return text.startswith(("~SEQ(", "~SEQx(", "~LST("))


def read_sequence(text: str) -> Sequence:
    """Read the head of a line that `starts_sequence`. Raises BadSequence."""
    seq, lst = _grammars()
    grammar = lst if text.startswith("~LST") else seq
    try:
        ((tokens, start, end),) = grammar.scan_string(text, max_matches=1)
        if start:
            raise ValueError("the head itself is not valid, a later one is")
    except (pp.ParseException, ValueError) as error:
        raise BadSequence("this is no valid ~SEQ or ~LST", 0) from error
    if grammar is seq:
        return _numbers(tokens, end)
    if "tuples" in tokens:
        names = tuple(tokens["variables"])
        rows = [tuple(row) for row in tokens["tuples"]]
        if any(len(row) != len(names) for row in rows):
            raise BadSequence(f"each tuple of this ~LST needs {len(names)} values", 0)
        return Sequence(names, iter(rows), end)
    return Sequence((tokens["variable"],), ((item,) for item in tokens["items"]), end)


def _c_number(text: str) -> int:
    digits = text.lstrip("+-")
    base = 16 if digits[:2].lower() == "0x" else 8 if len(digits) > 1 and digits[0] == "0" else 10
    try:
        value = int(digits, base)
    except ValueError as error:
        raise BadSequence(f"`{text}` is no number", 0) from error
    return -value if text.startswith("-") else value


def _numbers(tokens: pp.ParseResults, end: int) -> Sequence:
    values = [_c_number(text) for text in tokens["numbers"]]
    last = values[-1]
    start = values[0] if len(values) > 1 else (1 if last >= 0 else -1)
    step = values[1] if len(values) == 3 else (1 if last >= start else -1)
    if step == 0 or (last - start) * step < 0:
        raise BadSequence("this ~SEQ never reaches its end", 0)
    hexadecimal = tokens["form"] == "~SEQx"
    if hexadecimal and min(start, last) < 0:
        raise BadSequence("~SEQx counts without negative numbers only", 0)
    numbers = range(start, last + (1 if step > 0 else -1), step)
    return Sequence((tokens["variable"],), ((f"{n:x}" if hexadecimal else str(n),) for n in numbers), end)

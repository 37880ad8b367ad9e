"""Definitions (`$NAME=…`) and their replacement (keepalived-behaviour 1.5).

Values are text and are replaced where they are used: a variable inside a value gets its meaning at that moment.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from pykeepalived.diagnostics import Label, Span
from pykeepalived.syntax.elements import token
from pykeepalived.syntax.limits import Limits
from pykeepalived.syntax.tree import Mapped

DEFINITION: Final = token(r"\$(?P<name>[A-Za-z_]\w*)=(?P<value>.*)")
# Possessive quantifiers: a long line without the closing brace must not be gone through once for each character.
_USE: Final = token(
    r"\$(?:(?P<bare>[A-Za-z_]\w*)(?=[ \t,)]|$)|\{(?P<braced>[A-Za-z_]\w*+)(?P<rest>(?:[ \t]++[^{}]*+)?+)\})"
)
_PLAIN: Final = token(r'[^"#!$~\\\0@{}\n]*')
_PLAIN_LINE: Final = token(r'[^"#!$~\\\0@\n]*')
_RANDOM_TOP: Final = 32767

Bound: TypeAlias = Mapping[str, tuple[list[str], tuple[Label, ...]]]
"""Variables of sequences: their lines (one) and where they got them."""


def plain_text(lines: list[str]) -> str | None:
    """The text of a value of which nothing but plain words and whole blocks come; None where more care is needed."""
    wanted = _PLAIN if len(lines) == 1 else _PLAIN_LINE
    return "\n".join(lines) if all(wanted.fullmatch(line) for line in lines) else None


class Definition:
    """A variable: one text, or several lines, and where it was defined."""

    __slots__ = ("label", "lines", "plain")

    def __init__(self, lines: list[str], span: Span, name: str) -> None:
        self.lines = lines
        self.plain = plain_text(lines)
        self.label = Label(span, f"`{name}` is defined here")


_UNDEFINED: Final = token(r'"[^"]*"|(?P<use>\$\{(?P<name>[A-Za-z_]\w*+)[^{}]*+\})')


class TooMuch(Exception):
    """A line grew over a limit while its variables were replaced; the text says which."""


class Variables:
    """All definitions so far, and the predefined names."""

    def __init__(
        self, config_id: str, environment: Mapping[str, str], randint: Callable[[int, int], int] | None = None
    ) -> None:
        self._defined: dict[str, Definition] = {}
        self._config_id = config_id
        self._environment = environment
        self._randint = randint or random.Random().randint
        self.directory = ""

    def define(self, name: str, lines: list[str], span: Span) -> None:
        self._defined[name] = Definition(lines, span, name)

    def _value(self, name: str, rest: str) -> tuple[list[str], tuple[Label, ...]] | None:
        defined = self._defined.get(name)
        if defined is not None:
            return defined.lines, (defined.label,)
        predefined = self._predefined(name, rest.split())
        return ([predefined], ()) if predefined is not None else None

    def plain(self, name: str) -> str | None:
        """What stands for a variable today, where that is plain (`plain_text`) and the same each time."""
        defined = self._defined.get(name)
        if defined is not None:
            return defined.plain
        found = self._predefined(name, []) if name != "_RANDOM" else None
        return plain_text([found]) if found is not None else None

    def snapshot(self, names: Iterable[str]) -> Bound:
        """What the variables are now."""
        return {name: found for name in names if (found := self._value(name, "")) is not None}

    def _predefined(self, name: str, words: list[str]) -> str | None:
        fixed = {"_PWD": self.directory, "_INSTANCE": self._config_id, "_HASH": "#", "_BANG": "!"}
        if name in fixed and not words:
            return fixed[name]
        if name == "_ENV" and len(words) == 1:
            return self._environment.get(words[0], "").replace("\n", " ").replace("\0", "")
        if name == "_RANDOM":
            try:
                numbers = [int(word) for word in words]
            except ValueError:
                return None
            low = numbers[0] if numbers else 0
            high = numbers[1] if len(numbers) > 1 else max(low, _RANDOM_TOP)
            return str(self._randint(low, high)) if len(numbers) <= 2 and low <= high else None
        return None

    def replace(self, line: Mapped, limits: Limits, bound: Bound) -> tuple[Mapped, list[Mapped]]:
        """Replace all variables. Returns the line, and the further lines that multi-line values leave behind it.

        `bound` are the values of the sequences around the line; they go before definitions. Raises TooMuch when a
        value refers to itself or grows beyond the limits.
        """

        def lookup(name: str, rest: str) -> tuple[list[str], tuple[Label, ...]] | None:
            found = bound.get(name) if not rest else None
            return found if found is not None else self._value(name, rest)

        return self.replace_with(line, limits, lookup if bound else self._value)

    @staticmethod
    def undefined(line: Mapped) -> tuple[int, int, str] | None:
        """The first `${NAME}` that is left outside quotes: its columns from 0 and the name."""
        for match in _UNDEFINED.finditer(line.text):
            if match["use"]:
                return match.start(), match.end(), match["name"]
        return None

    @staticmethod
    def replace_with(
        line: Mapped, limits: Limits, lookup: Callable[[str, str], tuple[list[str], tuple[Label, ...]] | None]
    ) -> tuple[Mapped, list[Mapped]]:
        position = 0
        behind: list[Mapped] = []
        for _ in range(limits.replacements):
            match = _USE.search(line.text, position)
            if match is None:
                return line, behind
            found = lookup(match["bare"] or match["braced"], match["rest"] or "")
            start, end = match.span()
            if found is None:
                position = end
                continue
            values, labels = found
            if len(values) > 1:
                # The text behind the variable belongs to the last of its lines.
                whole = line.part(start, end)
                tail = line.part(end)
                more = [whole.replaced(0, end - start, value, labels) for value in values[1:]]
                more[-1] = more[-1].followed_by(tail)
                behind = more + behind
                line = line.part(0, end)
            line = line.replaced(start, end, values[0], labels)
            position = start
            if len(line.text) > limits.line_characters:
                raise TooMuch(f"the line is longer than {limits.line_characters} characters after replacement")
        raise TooMuch(f"more than {limits.replacements} replacements in one line, perhaps a variable that holds itself")

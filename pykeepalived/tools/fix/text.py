"""What copying through web pages and word processors does to any configuration file."""

from __future__ import annotations

from typing import Final

import msgspec

_QUOTES: Final = str.maketrans({"“": '"', "”": '"', "„": '"', "‟": '"', "″": '"'})
_BLANKS: Final = str.maketrans({"\u00a0": " ", "\u2007": " ", "\u202f": " ", "\u200b": "", "\u00ad": "", "\ufeff": ""})


class Change(msgspec.Struct, frozen=True):
    """What was done to the lines `first` to `last` (counted in the file as it was)."""

    first: int
    last: int
    text: str

    def __str__(self) -> str:
        where = f"line {self.first}" if self.first == self.last else f"lines {self.first} to {self.last}"
        return f"{where}: {self.text}"


def clean(lines: list[str]) -> tuple[list[str], list[Change]]:
    """Ordinary blanks, quotes and line ends."""
    changes: list[Change] = []
    result: list[str] = []
    for number, line in enumerate(lines, 1):
        # Invisible characters first: one of them may hide a carriage return from the end of the line.
        spaced = line.translate(_BLANKS)
        if spaced != line:
            note(changes, number, "no-break spaces and invisible characters replaced")
        ended = spaced.rstrip("\r")
        if ended != spaced:
            note(changes, number, "carriage return removed")
        quoted = ended.translate(_QUOTES)
        if quoted != ended:
            note(changes, number, "curly quotes replaced")
        result.append(quoted)
    return result, changes


def note(changes: list[Change], number: int, text: str) -> None:
    """Add a change; the same change of the line before grows instead."""
    for index in range(len(changes) - 1, max(-1, len(changes) - 5), -1):
        before = changes[index]
        if before.text == text and before.last == number - 1:
            changes[index] = Change(before.first, number, text)
            return
    changes.append(Change(number, number, text))

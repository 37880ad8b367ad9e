"""One prepared line cut into words and braces.

The cutting depends on nothing but the text of the line, so equal lines are cut once (`cut` remembers). Configurations
repeat most of their lines, `weight 1` for every real server, and then a line costs one look-up.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from pykeepalived.syntax.elements import token

#: A quoted string (perhaps never closed), a bare word, or a brace; what is left over are blanks.
ITEM: Final = token(r'"(?P<quoted>[^"]*)(?P<close>"?)|(?P<brace>[{}])|(?P<bare>[^ \t\r\f\v{}"]+)')
#: The part of a line before its comment. `#` and `!` are plain inside "…" and directly after a backslash.
CODE: Final = token(r'(?:[^"\\#!]+|\\[#!]|\\|"[^"]*(?:"|$))*')
#: Lines with one of these need more than cutting: definitions, replacement, sequences, conditions, escapes.
SPECIAL: Final = token(r"[$~\\\0]|^[ \t]*@|^[ \t]*include[a-z]?(?=[ \t]|$)|\binclude_check\b")
#: A word where quotes do not matter. Blanks are C's blanks here, not Unicode's.
PLAIN_WORD: Final = token(r"[^ \t\r\f\v]+")

_REMEMBERED_LINES: Final = 65_536


class Word(NamedTuple):
    """One word: its text without quotes, and its columns in the prepared line, counted from 0, quotes included."""

    text: str
    start: int
    end: int
    quoted: bool = False
    closed: bool = True
    """False for a quoted string whose closing quote is missing."""


class Segment(NamedTuple):
    """What stands between braces on a line, or a brace alone (then `words` is empty)."""

    words: tuple[Word, ...]
    brace: str
    start: int
    end: int


def code_length(line: str) -> int:
    """The length of a line without its comment."""
    match = CODE.match(line)
    return match.end() if match else 0


def needs_care(line: str) -> bool:
    return SPECIAL.search(line) is not None


def _cut(line: str, length: int) -> tuple[Segment, ...]:
    segments: list[Segment] = []
    words: list[Word] = []
    first = 0
    for match in ITEM.finditer(line, 0, length):
        start, end = match.span()
        if match["brace"]:
            if words:
                segments.append(Segment(tuple(words), "", first, start))
            segments.append(Segment((), match["brace"], start, end))
            words = []
            first = end
        elif match["bare"] is not None:
            words.append(Word(match["bare"], start, end))
        else:
            words.append(Word(match["quoted"], start, end, True, bool(match["close"])))
    if words:
        segments.append(Segment(tuple(words), "", first, length))
    return tuple(segments)


@lru_cache(maxsize=_REMEMBERED_LINES)
def cut_plain(line: str) -> tuple[Segment, ...] | None:
    """Cut a line as it stands in a file; None when it needs the careful way first."""
    return None if needs_care(line) else _cut(line, code_length(line))


def cut_once(line: str) -> tuple[Segment, ...]:
    """Cut a plain line without comment that will hardly come again."""
    return _cut(line.rstrip("\n"), len(line.rstrip("\n")))


@lru_cache(maxsize=_REMEMBERED_LINES)
def cut(line: str) -> tuple[Segment, ...]:
    """Cut a line that is prepared already and holds no comment any more."""
    return _cut(line, len(line))

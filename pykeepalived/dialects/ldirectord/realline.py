"""What follows the address of a `real=` line: method, weight, request and receive, thresholds.

ldirectord looks for the parts one after the other, weight first, and each find throws away whatever stood before it. So
a threshold before the pair is lost, digits within an unweighted request become the weight, and junk before a weight is
swallowed (ldirectord-behaviour 1.2). The same is done here, and what gets lost is said.
"""

from __future__ import annotations

import functools
import re
from typing import Final

import msgspec

from pykeepalived.dialects.ldirectord.readers import ReadError, Remark
from pykeepalived.dialects.ldirectord.rows import REAL

#: ipvsadm refuses more.
MOST_WEIGHT: Final = 65_535

_WEIGHT: Final = re.compile(r"\s(?P<value>[0-9]+)", re.ASCII)
_PAIR: Final = re.compile(r'\s"(?P<request>.*)"(?:,\s*|\s+)"(?P<receive>.*)"', re.ASCII | re.DOTALL)
_LOWER: Final = re.compile(r"\sl:(?P<value>[0-9]+)", re.ASCII)
_UPPER: Final = re.compile(r"\su:(?P<value>[0-9]+)", re.ASCII)


class RealOptions(msgspec.Struct, frozen=True):
    """The part of a `real=` line that many lines have in common. Places of remarks count within the rest."""

    method: str
    weight: int = 1
    request: str | None = None
    receive: str | None = None
    lower: int = 0
    upper: int = 0
    remarks: tuple[Remark, ...] = ()


class _Cursor:
    """What is left of the line, and where it stands."""

    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.at = at
        self.remarks: list[Remark] = []

    def find(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Take the first match; text before it is gone for good."""
        match = pattern.search(self.text, self.at)
        if match is None:
            return None
        lost = self.text[self.at : match.start()]
        if lost.strip(" \t,"):
            start = self.at + len(lost) - len(lost.lstrip(" \t,"))
            words = f"`{lost.strip(' ,')}` is dropped, because it stands before `{match[0].strip()}`"
            self.remarks.append(Remark("ignored-text", words, start, match.start()))
        self.at = match.end()
        return match


@functools.lru_cache(maxsize=4096)
def read_options(rest: str) -> RealOptions:
    """Raises ReadError; its places count within `rest`."""
    word = re.match(r"\w*", rest, re.ASCII)
    end = word.end() if word else 0
    if not end:
        raise ReadError(
            "gate, masq or ipip must follow the address",
            0,
            max(1, len(rest.split(" ", maxsplit=1)[0])),
            None,
            "bad-method",
        )
    try:
        method = str(REAL["forward"].reader.read(rest[:end]).value)
    except ReadError as error:
        raise ReadError(f"gate, masq or ipip, not `{rest[:end]}`", 0, end, error.help, "bad-method") from None
    cursor = _Cursor(rest, end)
    weight = _number(cursor, _WEIGHT, "weight", 1)
    if weight > MOST_WEIGHT:
        words = f"{MOST_WEIGHT} is the largest weight and is taken for {weight}"
        cursor.remarks.append(Remark("weight-range", words, cursor.at - len(str(weight)), cursor.at))
        weight = MOST_WEIGHT
    request = receive = None
    pair = cursor.find(_PAIR)
    if pair:
        request, receive = pair["request"], pair["receive"]
    lower = _number(cursor, _LOWER, "l:", 0)
    upper = _number(cursor, _UPPER, "u:", 0)
    left = rest[cursor.at :]
    if left.strip():
        start = cursor.at + len(left) - len(left.lstrip())
        raise ReadError(
            f"`{left.strip()}` is no part of a real server line",
            start,
            len(rest.rstrip()),
            _hint(left),
            "bad-real-line",
        )
    return RealOptions(method, weight, request, receive, lower, upper, tuple(cursor.remarks))


def _number(cursor: _Cursor, pattern: re.Pattern[str], row: str, default: int) -> int:
    match = cursor.find(pattern)
    if match is None:
        return default
    try:
        return int(REAL[row].reader.read(match["value"]).value)
    except ReadError as error:
        raise ReadError(f"`{row}` {error.text}", match.start("value"), match.end("value"), None, error.id) from None


def _hint(left: str) -> str | None:
    if re.search(r'"\s+,\s*"', left):
        return "no blank before the comma between request and receive"
    if left.count('"') == 1 or (re.match(r'\s*"', left) and left.count('"') % 2):
        return "a weight is taken from the first number after a blank, also within quotes: write the weight before them"
    if re.search(r'[lu]:\s|"[lu]:', left):
        return "thresholds are written l:N u:N, without quotes and blanks"
    if left.count('"') == 2:
        return 'request and receive belong together: "REQUEST", "RECEIVE"'
    return None

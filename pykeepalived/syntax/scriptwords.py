"""The richer reading of words that script keywords and `regex` use (keepalived-behaviour 1.3).

Both kinds of quotes work, adjacent parts join to one word, and outside single quotes a backslash starts an escape.
"""

from __future__ import annotations

from typing import Final

from pykeepalived.syntax.elements import token

_BLANK: Final = token(r"[ \t\r\n\f\v]+")
_SIMPLE: Final = token(r"[^ \t\r\n\f\v\\'\"]+")
_IN_DOUBLE: Final = token(r"[^\\\"]+")
_ESCAPE: Final = token(
    r"\\(?:(?P<octal>[0-7]{1,3})|x(?P<hex>[0-9A-Fa-f]{1,2})|c(?P<control>[A-Za-z\[\\\]^_@?])|(?P<other>.))"
)
_NAMED: Final = {"a": "\a", "b": "\b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class ScriptTextError(ValueError):
    """The text cannot be read as script words. `position` counts from 0 in the text given."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


def _escape(text: str, position: int) -> tuple[str, int]:
    match = _ESCAPE.match(text, position)
    if match is None:
        raise ScriptTextError("backslash at the end", position)
    if match["octal"]:
        value = chr(int(match["octal"], 8) & 0xFF)
    elif match["hex"]:
        value = chr(int(match["hex"], 16))
    elif match["control"]:
        value = chr(ord(match["control"].upper()) ^ 0x40)
    else:
        value = _NAMED.get(match["other"], match["other"])
    if value == "\0":
        raise ScriptTextError("a NUL byte cannot stand in a word", position)
    return value, match.end()


def _double_quoted(text: str, position: int, parts: list[str]) -> int:
    start = position
    position += 1
    while position < len(text):
        if text[position] == '"':
            return position + 1
        if text[position] == "\\":
            value, position = _escape(text, position)
            parts.append(value)
        elif (match := _IN_DOUBLE.match(text, position)) is not None:
            parts.append(match[0])
            position = match.end()
    raise ScriptTextError('missing closing "', start)


def _word(text: str, position: int) -> tuple[str, int]:
    parts: list[str] = []
    while position < len(text):
        char = text[position]
        if char == "'":
            close = text.find("'", position + 1)
            if close < 0:
                raise ScriptTextError("missing closing '", position)
            parts.append(text[position + 1 : close])
            position = close + 1
        elif char == '"':
            position = _double_quoted(text, position, parts)
        elif char == "\\":
            value, position = _escape(text, position)
            parts.append(value)
        elif (match := _SIMPLE.match(text, position)) is not None:
            parts.append(match[0])
            position = match.end()
        else:
            break
    return "".join(parts), position


def script_words(text: str) -> tuple[tuple[str, int, int], ...]:
    """Read `text` into words, each with its columns from 0. Raises ScriptTextError on a quote that never closes."""
    words: list[tuple[str, int, int]] = []
    position = 0
    while position < len(text):
        blank = _BLANK.match(text, position)
        if blank is not None:
            position = blank.end()
            continue
        word, end = _word(text, position)
        words.append((word, position, end))
        position = end
    return tuple(words)

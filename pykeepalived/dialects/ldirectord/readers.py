"""Argument readers: one small pyparsing grammar per kind of value, with a memory.

Values repeat (`masq 1`, `yes`, `5`), and a pyparsing call costs a hundred dictionary look-ups, so every reader
remembers what it read. The grammars take what ldirectord takes, including what looks odd: a number is the first run of
digits wherever it stands, a keyword is the first word, quoted text runs to the last quote (ldirectord-behaviour 1).
What is read in an odd way is read and *said*: the reader hands back remarks for the loader to turn into warnings.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import pyparsing as pp

#: More digits than any setting needs; a longer number is refused before it is converted.
_MOST_DIGITS: Final = 9


class Remark(msgspec.Struct, frozen=True):
    """Something odd about a value that was taken all the same: a diagnostic's id, text and place within the value."""

    id: str
    text: str
    start: int
    end: int
    help: str | None = None


class Read(msgspec.Struct, frozen=True):
    """A value and what is to be said about it."""

    value: Any
    remarks: tuple[Remark, ...] = ()


class ReadError(Exception):
    """The value is refused; `start` and `end` count from its first character."""

    def __init__(self, text: str, start: int, end: int, help_text: str | None = None, id_: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.start = start
        self.end = end
        self.help = help_text
        self.id = id_
        """Empty: the reader's own."""


def _group(tokens: pp.ParseResults, name: str) -> str | None:
    """A named group of the expression; None when it took no part in the match."""
    found: dict[str, str | None] = tokens.as_dict()
    return found.get(name)


Finish = Callable[[str, pp.ParseResults], Read]


class Reader:
    """Reads one kind of argument. `expected` completes the sentence "NAME takes …"."""

    def __init__(
        self, element: pp.ParserElement, expected: str, finish: Finish, *, id_: str = "bad-value", quoted: bool = False
    ) -> None:
        self._element = element.leave_whitespace().parse_with_tabs()
        self._finish = finish
        self.expected = expected
        self.id = id_
        """Of the diagnostic when a value is refused; one that is empty is a `missing-value` everywhere."""
        self.quoted = quoted
        """The argument must be in double quotes, else ldirectord does not know the line at all."""
        self.read: Callable[[str], Read] = functools.lru_cache(maxsize=4096)(self._read)

    def _read(self, text: str) -> Read:
        """Raises ReadError."""
        try:
            tokens = self._element.parse_string(text)
            return self._finish(text, tokens)
        except pp.ParseException as error:
            refusal = ReadError(f"takes {self.expected}", min(error.loc, len(text)), len(text))
        except ReadError as error:
            refusal = error
        if not refusal.id:
            refusal.id = self.id if text.strip() else "missing-value"
        raise refusal from None


# ---- numbers ----


def number(expected: str, *, least: int = 0, most: int | None = None, strict_start: bool = False) -> Reader:
    """The first run of digits, wherever it stands; `strict_start`: it must stand first."""
    lead = "" if strict_start else r"[^0-9]*"
    element = pp.Regex(rf"(?P<lead>{lead})(?P<digits>[0-9]+)")

    def finish(text: str, tokens: pp.ParseResults) -> Read:
        lead_text, digits = tokens["lead"], tokens["digits"]
        start = len(lead_text)
        end = start + len(digits)
        if len(digits.lstrip("0")) > _MOST_DIGITS:
            raise ReadError(f"takes {expected}, not a number of {len(digits)} digits", start, end)
        value = int(digits)
        if value < least or (most is not None and value > most):
            raise ReadError(f"takes {expected}, not {value}", start, end)
        tail = text[end:]
        if lead_text.strip() or (tail.strip("0123456789 \t\r") and not tail.lstrip().startswith("#")):
            return Read(value, (Remark("odd-number", f"`{text.strip()}` is read as {value}", 0, len(text)),))
        return Read(value)

    return Reader(element, expected, finish, id_="bad-number")


# ---- words ----


def _finish_yes_no(text: str, _tokens: pp.ParseResults) -> Read:
    if text in {"yes", "no"}:
        return Read(text == "yes")
    word = text.split("#", maxsplit=1)[0].strip()
    if word in {"yes", "no"}:
        rest = text[len(word) :]
        what = "a carriage return (DOS line ends)" if "\r" in rest else "a comment" if "#" in rest else "a blank"
        raise ReadError(
            f"takes `yes` or `no` alone, not with {what} behind it", len(word), len(text), f"write `{word}`"
        )
    near = {"y": "yes", "n": "no", "true": "yes", "false": "no", "on": "yes", "off": "no", "1": "yes", "0": "no"}
    lower = word.lower()
    wanted = lower if lower in {"yes", "no"} else near.get(lower)
    raise ReadError("takes `yes` or `no`", 0, len(text), f"write `{wanted}`" if wanted else None)


def yes_no() -> Reader:
    """`yes` or `no`, exactly: not a blank more."""
    return Reader(pp.Regex(r".*"), "`yes` or `no`", _finish_yes_no, id_="not-yes-or-no")


def keyword(words: Sequence[str], expected: str, *, any_case: bool = False) -> Reader:
    """The first word of the text must be one of `words`; what follows is not looked at, which is said."""
    element = pp.Regex(r"[0-9A-Za-z_]+")

    def finish(text: str, tokens: pp.ParseResults) -> Read:
        word = tokens[0]
        known = word.upper() if any_case else word
        if known not in words:
            lower = word.lower()
            help_text = f"did you mean `{lower}`?" if lower in words else near_word(word, words)
            raise ReadError(f"takes {expected}", 0, len(word), help_text)
        return Read(known, _ignored_behind(text, len(word), known))

    return Reader(element, expected, finish, id_="unknown-word")


def near_word(word: str, words: Sequence[str]) -> str | None:
    """`did you mean …?` for a word that is nearly one of `words`."""
    import difflib  # noqa: PLC0415  # only for a file with an error

    near = difflib.get_close_matches(word[:64], words, n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else None


def _ignored_behind(text: str, end: int, what: str) -> tuple[Remark, ...]:
    rest = text[end:]
    if not rest.strip() or rest.lstrip().startswith("#"):
        return ()
    return (Remark("ignored-text", f"only `{what}` counts, the rest of the line is not looked at", end, len(text)),)


def check_type(names: Sequence[str]) -> Reader:
    """A name, or anything with a digit in it: then the first number is N of "one negotiate, then N connects"."""
    expected = "connect, negotiate, ping, external, external-perl, on, off or a number"
    element = pp.Regex(r"(?P<lead>[^0-9]*)(?P<digits>[0-9]+)") | pp.Regex(r"[a-z]+(-perl\b)?") | pp.Regex(r"\S*")

    def finish(text: str, tokens: pp.ParseResults) -> Read:
        digits = _group(tokens, "digits")
        if digits is not None:
            if len(digits) > _MOST_DIGITS:
                raise ReadError(f"takes {expected}", 0, len(text))
            if text.split("#", maxsplit=1)[0].strip() == digits:
                return Read(int(digits))
            remark = Remark("odd-number", f"`{text.strip()}` holds a digit and is read as {int(digits)}", 0, len(text))
            return Read(int(digits), (remark,))
        word = tokens[0]
        if word not in names:
            raise ReadError(f"takes {expected}", 0, max(1, len(word)), near_word(text.lower(), names))
        return Read(word, _ignored_behind(text, len(word), word))

    return Reader(element, expected, finish, id_="unknown-word")


def scheduler() -> Reader:
    element = pp.Regex(r"[a-z]+")

    def finish(text: str, tokens: pp.ParseResults) -> Read:
        return Read(tokens[0], _ignored_behind(text, len(tokens[0]), tokens[0]))

    return Reader(element, "a scheduler's name in lower case letters", finish)


def flags() -> Reader:
    element = pp.Regex(r"\S+")

    def finish(text: str, tokens: pp.ParseResults) -> Read:
        word = tokens[0]
        return Read(tuple(word.split(",")), _ignored_behind(text, len(word), word))

    return Reader(element, "flags with commas between them", finish)


def smtp_host() -> Reader:
    element = pp.Regex(r"[0-9A-Za-z._+-]+")

    def finish(text: str, tokens: pp.ParseResults) -> Read:
        return Read(tokens[0], _ignored_behind(text, len(tokens[0]), tokens[0]))

    return Reader(element, "a host name or an address, without quotes and without a port", finish)


# ---- texts ----


def quoted(what: str, *, empty: bool = False) -> Reader:
    """Text in double quotes, which runs to the last quote of the line. `empty`: nothing between them is allowed."""
    element = pp.Regex(r'"(?P<text>.*)"')

    def finish(text: str, tokens: pp.ParseResults) -> Read:
        value, end = tokens["text"], len(tokens[0])
        if not value and not empty:
            raise ReadError(f"takes {what} in double quotes, and it may not be empty", 0, end, id_="missing-value")
        remarks = _ignored_behind(text, end, tokens[0])
        if '"' in value:
            inner = value.index('"') + 1
            words = "the text runs to the last quote of the line, quotes within belong to it"
            remarks = (Remark("quotes-within", words, inner, inner + 1), *remarks)
        return Read(value, remarks)

    return Reader(element, f"{what} in double quotes", finish, quoted=True)


def optionally_quoted(what: str, *, empty: bool = False) -> Reader:
    """Text with or without quotes; quotes around it are not part of it."""
    element = pp.Regex(r'"(?P<text>[^"]*)"|(?P<bare>.*)')

    def finish(text: str, tokens: pp.ParseResults) -> Read:
        inner = _group(tokens, "text")
        value = (_group(tokens, "bare") or "").strip() if inner is None else inner
        if not value and not empty:
            raise ReadError(f"takes {what}", 0, len(text))
        return Read(value)

    return Reader(element, what, finish)


def rest_of_line(what: str, *, empty: bool = False) -> Reader:
    """The rest of the line as it stands; quotes stay part of it."""
    element = pp.Regex(r".*")

    def finish(text: str, tokens: pp.ParseResults) -> Read:
        value = str(tokens[0]).strip()
        if not value and not empty:
            raise ReadError(f"takes {what}", 0, len(text))
        return Read(value)

    return Reader(element, what, finish)


def mail_addresses() -> Reader:
    expected = "mail addresses with commas between them"
    element = pp.Regex(r'"(?P<text>[^"]*)"\s*$|(?P<bare>.*)')

    def finish(text: str, tokens: pp.ParseResults) -> Read:
        inner = _group(tokens, "text")
        value = (_group(tokens, "bare") or "").strip() if inner is None else inner
        if not value:
            raise ReadError(f"takes {expected}", 0, len(text))
        return Read(tuple(part for part in (piece.strip() for piece in value.split(",")) if part))

    return Reader(element, expected, finish)


MAIL_STATES: Final = ("all", "none", "starting", "running", "stopping", "reloading")


def mail_states() -> Reader:
    expected = "all, none, or some of starting, running, stopping and reloading with commas between them"
    element = pp.Regex(r"\s*(?P<list>.*)")

    def finish(_text: str, tokens: pp.ParseResults) -> Read:
        listing = str(tokens["list"])
        states: list[str] = []
        place = len(tokens[0]) - len(listing)
        for piece in listing.split(","):
            word = piece.lstrip()
            start = place + len(piece) - len(word)
            place += len(piece) + 1
            if not word:
                continue
            if word not in MAIL_STATES:
                raise ReadError(f"takes {expected}", start, start + len(word), near_word(word.strip(), MAIL_STATES))
            if states and states[0] != word and "none" in (word, states[0]):
                raise ReadError("takes `none` alone or not at all", start, start + len(word))
            states.append(word)
        return Read(tuple(states))

    return Reader(element, expected, finish, id_="unknown-word")


def netmask() -> Reader:
    """A dotted quad (IPv4) or a prefix length (IPv6); which of them is wanted, the section decides."""
    element = pp.Regex(r".*")

    def finish(_text: str, tokens: pp.ParseResults) -> Read:
        return Read(str(tokens[0]))

    return Reader(element, "a dotted quad, or a prefix length in a virtual6 section", finish)


def raw(expected: str) -> Reader:
    """Text that the loader itself takes apart, because it needs the resolver for it."""
    return Reader(pp.Regex(r".*"), expected, lambda _text, tokens: Read(str(tokens[0])))

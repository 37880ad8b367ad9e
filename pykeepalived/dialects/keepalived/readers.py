"""Argument readers: one word of text becomes a typed value, or a `Bad` that says why not.

Each reader remembers what it read, so equal words are parsed once (`weight 1` stands in every real server). Addresses
go through the C library's `inet_pton`, numbers through one expression, what has parts through a small pyparsing grammar
that is made when the first such word comes.
"""

from __future__ import annotations

import functools
import re
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

from pykeepalived.model import IpPrefix
from pykeepalived.model.listening import listen_place
from pykeepalived.model.webhook import webhook_place
from pykeepalived.syntax.grammar import pp

UINT_MAX: Final = 4_294_967_295
INT_MAX: Final = 2_147_483_647
_REMEMBERED: Final = 16_384


class Bad(Exception):
    """A word that a reader refuses. `value`, when given, is used all the same, as keepalived would."""

    def __init__(
        self, identifier: str, message: str, *, help: str | None = None, value: Any = None, counts: bool = True
    ) -> None:
        super().__init__(message)
        self.id = identifier
        self.help = help
        self.value = value
        self.counts = counts
        """False: keepalived takes the value without a word, so the exit code of -t does not change."""


class Reader:
    """Base: remembers results. Subclasses have `shows`, the form for people, and `parse`."""

    shows: str = "WORD"

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def __call__(self, text: str) -> Any:
        known = self._known
        if text in known:
            return known[text]
        value = self.parse(text)
        if len(known) < _REMEMBERED:
            known[text] = value
        return value

    def parse(self, text: str) -> Any:
        raise NotImplementedError

    def accepts(self, text: str) -> bool:
        try:
            self(text)
        except Bad:
            return False
        return True


class Text(Reader):
    """Any word, perhaps of limited length."""

    def __init__(self, shows: str = "NAME", longest: int | None = None) -> None:
        super().__init__()
        self.shows = shows
        self.longest = longest

    def parse(self, text: str) -> str:
        if not text:
            raise Bad("empty-word", "an empty word cannot stand here")
        if self.longest is not None and len(text) > self.longest:
            raise Bad("word-too-long", f"`{text}` is longer than {self.longest} characters", value=text[: self.longest])
        return text


#: Blanks around a number, which only a quoted word can have.
_BLANKS: Final = " \t\r\n"
_INTEGER: Final = re.compile(r"[+-]?\d{1,40}")
_DECIMAL: Final = re.compile(r"(?P<sign>[+-]?)(?P<whole>\d{0,20})(?:\.(?P<part>\d{0,40}))?")


def _range_text(low: int, high: int) -> str:
    return f"{low}..{high}"


class Integer(Reader):
    """A decimal number inside a range. `scale` multiplies what is given back, for whole seconds as microseconds."""

    def __init__(self, low: int, high: int, what: str = "number", *, clamp: bool = False, scale: int = 1) -> None:
        super().__init__()
        self.scale = scale
        self.low = low
        self.high = high
        self.clamp = clamp
        self.shows = f"{what} {_range_text(low, high)}"

    def parse(self, text: str) -> int:
        if _INTEGER.fullmatch(text.strip(_BLANKS)) is None:
            raise Bad("invalid-number", f"`{text}` is no number")
        value = int(text)
        if text[0] in "+-" and self.low >= 0 and value < 0:
            raise Bad(
                "number-out-of-range", f"negative number `{text}`, the range is {_range_text(self.low, self.high)}"
            )
        if not self.low <= value <= self.high:
            near = min(max(value, self.low), self.high)
            raise Bad(
                "number-out-of-range",
                f"number `{text}` is outside the range {_range_text(self.low, self.high)}",
                value=near * self.scale if self.clamp else None,
            )
        return value * self.scale


class Duration(Reader):
    """A decimal number of a unit inside a range, as integer microseconds."""

    def __init__(  # ranges in microseconds
        self, low_us: int, high_us: int, *, places: int = 6, unit_us: int = 1_000_000, unit: str = "seconds"
    ) -> None:
        super().__init__()
        self.low_us = low_us
        self.high_us = high_us
        self.places = places
        self.unit_us = unit_us
        self.shows = f"{unit} {self._form(low_us)}..{self._form(high_us)}"

    def _form(self, value_us: int) -> str:
        whole, part = divmod(value_us, self.unit_us)
        digits = f"{part * 1_000_000 // self.unit_us:06d}".rstrip("0")
        return f"{whole}.{digits}" if digits else str(whole)

    def parse(self, text: str) -> int:
        found = _DECIMAL.fullmatch(text.strip(_BLANKS))
        if found is None:
            raise Bad("invalid-number", f"`{text}` is no number")
        whole, part = found["whole"], found["part"] or ""
        if not whole and not part:
            raise Bad("invalid-number", f"`{text}` is no number")
        # One place more than is kept, rounded half up, in integers: no binary fraction ever gets in.
        scaled = int((whole or "0") + part[:12].ljust(12, "0"))
        value = (scaled * self.unit_us * 2 + 10**12) // (2 * 10**12)
        if found["sign"] == "-" and value:
            raise Bad("number-out-of-range", f"negative number `{text}`")
        if not self.low_us <= value <= self.high_us:
            raise Bad(
                "number-out-of-range",
                f"number `{text}` is outside the range {self._form(self.low_us)}..{self._form(self.high_us)}",
            )
        if len(part.rstrip("0")) > self.places:
            raise Bad("too-many-decimals", f"number `{text}` has more than {self.places} decimal places", value=value)
        return value


class Choice(Reader):
    """One of some words."""

    def __init__(self, words: Mapping[str, Any] | tuple[str, ...], *, any_case: bool = False, what: str = "") -> None:
        super().__init__()
        self.words = dict(words) if isinstance(words, Mapping) else {word: word for word in words}
        self.any_case = any_case
        self.what = what
        self.shows = "|".join(self.words)
        self._folded = {word.lower(): value for word, value in self.words.items()}

    def parse(self, text: str) -> Any:
        found = self._folded.get(text.lower()) if self.any_case else self.words.get(text)
        if found is None:
            near = next((word for word in self.words if word.lower() == text.lower()), None)
            raise Bad(
                "unknown-value",
                f"unknown {self.what or 'value'} `{text}`",
                help=f"did you mean `{near}`?" if near else f"one of: {', '.join(self.words)}",
            )
        return found


class Boolean(Choice):
    """true, on, yes, false, off, no; lower case only."""

    def __init__(self) -> None:
        super().__init__(
            {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}, what="truth value"
        )
        self.shows = "true|false"

    def parse(self, text: str) -> bool:
        value = self.words.get(text)
        return bool(super().parse(text)) if value is None else bool(value)


def canonical_address(text: str) -> str | None:
    """The canonical text of an IPv4 or IPv6 address, or None."""
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, text))
    except (OSError, ValueError):
        return None


def is_multicast(address: str) -> bool:
    if ":" in address:
        return socket.inet_pton(socket.AF_INET6, address)[0] == 0xFF
    return 224 <= socket.inet_pton(socket.AF_INET, address)[0] <= 239


class Address(Reader):
    """An IPv4 or IPv6 address, given back in canonical text."""

    def __init__(self, *, multicast: bool = False, family: int | None = None) -> None:
        super().__init__()
        self.multicast = multicast
        self.family = family
        kind = {4: "IPv4 ", 6: "IPv6 "}.get(family or 0, "")
        self.shows = f"{kind}{'multicast ' if multicast else ''}ADDRESS"

    def parse(self, text: str) -> str:
        address = canonical_address(text)
        if address is None:
            raise self._without_tail(text)
        if self.family is not None and (":" in address) != (self.family == 6):
            raise Bad("wrong-family", f"`{text}` is no IPv{self.family} address")
        if self.multicast and not is_multicast(address):
            raise Bad("not-multicast", f"`{text}` is no multicast address")
        return address

    def _without_tail(self, text: str) -> Bad:
        address = host_of_range(text)
        if address is None or (self.multicast and not is_multicast(address)):
            return Bad("bad-address", f"`{text}` is no IP address", help=_address_help(text))
        if self.family is not None and (":" in address) != (self.family == 6):
            return Bad("wrong-family", f"`{text}` is no IPv{self.family} address")
        return Bad(
            "address-with-tail",
            f"one address stands here, `{text[len(re.split('[-/]', text)[0]) :]}` is not looked at",
            help=f"write `{address}`",
            value=address,
            counts=False,
        )


def host_of_range(text: str) -> str | None:
    """The address in front of `/LENGTH` or `-LAST`, as keepalived reads it where one address stands."""
    return canonical_address(re.split("[-/]", text, maxsplit=1)[0]) if "/" in text or "-" in text else None


def _address_help(text: str) -> str | None:
    parts = text.split(".")
    if len(parts) == 4 and all(part.isascii() and part.isdigit() for part in parts):
        high = next((part for part in parts if int(part[:6]) > 255), None)
        if high is not None:
            return f"`{high}` is greater than 255"
        if any(len(part) > 1 and part[0] == "0" for part in parts):
            return "write the numbers without leading zeros"
    if "/" in text:
        return "no prefix length can stand here"
    return None


class Prefix(Reader):
    """ADDRESS[/LENGTH]; a missing length is that of one host. `names` are words for whole ranges."""

    shows = "ADDRESS[/LENGTH]"

    def __init__(self, names: Mapping[str, IpPrefix] | None = None) -> None:
        super().__init__()
        self.names = dict(names or {})

    def parse(self, text: str) -> IpPrefix:
        if text in self.names:
            return self.names[text]
        head, slash, tail = text.partition("/")
        address = canonical_address(head)
        if address is None:
            raise Bad("bad-address", f"`{text}` is no IP address", help=_address_help(head))
        longest = 128 if ":" in address else 32
        if not slash:
            return IpPrefix(address, longest)
        if not tail:
            raise Bad(
                "bad-prefix-length",
                f"`{text}` has no prefix length, {longest} is taken",
                value=IpPrefix(address, longest),
                counts=False,
            )
        if not tail.isascii() or not tail.isdigit() or len(tail) > 4 or int(tail) > longest:
            raise Bad(
                "bad-prefix-length",
                f"prefix length `{tail}` is outside the range 0..{longest}, {longest} is taken",
                value=IpPrefix(address, longest),
            )
        return IpPrefix(address, int(tail))


class Listen(Reader):
    """Where a server listens: ADDRESS[:PORT], [ADDRESS]:PORT, PORT, or the path of a unix socket; kept as text."""

    shows = "ADDRESS[:PORT]|PATH"

    def parse(self, text: str) -> str:
        try:
            listen_place(text)
        except ValueError as error:
            raise Bad("invalid-listen-address", str(error)) from None
        return text


class WebhookUrl(Reader):
    """http:// or https://, kept as text."""

    shows = "URL"

    def parse(self, text: str) -> str:
        try:
            webhook_place(text)
        except ValueError as error:
            raise Bad("invalid-url", str(error)) from None
        return text


class Grammar(Reader):
    """A word that follows a pyparsing grammar, which `make` gives; its parse actions make the value."""

    def __init__(self, shows: str, make: Callable[[], pp.ParserElement], identifier: str = "invalid-value") -> None:
        super().__init__()
        self.shows = shows
        self.make = make
        self.identifier = identifier

    @functools.cached_property
    def element(self) -> pp.ParserElement:
        return self.make().parse_with_tabs()

    def parse(self, text: str) -> Any:
        try:
            found = self.element.parse_string(text, parse_all=True)
        except (pp.ParseException, ValueError):
            raise Bad(self.identifier, f"`{text}` is not of the form {self.shows}") from None
        return found[0]

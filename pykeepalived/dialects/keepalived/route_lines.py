"""A line of virtual_routes or static_routes, whose words the tables have checked, as `VirtualRoute`.

The words are read once more in their order: behind `nexthop` and `encap` some mean something else than before.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from pykeepalived.dialects.keepalived.drafts import Entry
from pykeepalived.dialects.keepalived.routing_names import Names
from pykeepalived.dialects.keepalived.tables.addresses import SCOPES
from pykeepalived.model import Family, IpPrefix, family_of
from pykeepalived.model.routing import Encapsulation, Metric, Nexthop, VirtualRoute

#: What a number without unit and one with it are multiplied by: the kernel keeps rtt in 1/8 ms and rttvar in 1/4 ms.
_TIMES: Final = {"rtt": 8, "rttvar": 4, "rto_min": 1}
_LEAST_RTT_MS: Final = 200
_UNITS_MS: Final = {"s": 1000.0, "ms": 1.0, "us": 0.001}
_METRICS: Final = frozenset(
    {
        "mtu", "hoplimit", "advmss", "reordering", "window", "cwnd", "ssthresh", "initcwnd", "initrwnd", "quickack",
        "fastopen_no_cookie",
    }
)  # fmt: skip
_FEATURES: Final = {"ecn": 1}
_PREFERENCES: Final = {"medium": 0, "high": 1, "low": 3}
_MODES: Final = frozenset({"add", "append", "prepend"})
_TYPES: Final = frozenset(
    {
        "unicast", "local", "broadcast", "anycast", "multicast", "throw", "unreachable", "prohibit", "blackhole", "nat",
        "xresolve",
    }
)  # fmt: skip
_TUNNEL_WORDS: Final = {
    "id": "id", "dst": "destination", "src": "source", "tos": "tos", "tc": "tos", "ttl": "ttl", "hoplimit": "ttl",
    "flags": "flags",
}  # fmt: skip
_TUNNEL_OF: Final = {
    "ip": frozenset({"id", "dst", "src", "tos", "ttl", "flags"}),
    "ip6": frozenset({"id", "dst", "src", "tc", "hoplimit", "flags"}),
    "mpls": frozenset({"ttl"}),
    "ila": frozenset[str](),
}


def build_route(entry: Entry, names: Names) -> VirtualRoute | None:
    """None for a line that was refused before. Raises ValueError, KeyError or IndexError about a word out of place."""
    if entry.refused or "destination" not in entry.values:
        return None
    reader = _Reader([word.text for word in entry.statement.words], names)
    reader.read()
    values = reader.values
    destination: IpPrefix = entry.values["destination"]
    family = family_of(destination.address)
    if destination.length == 0 and family is Family.INET and _is_six(reader):
        family, destination = Family.INET6, IpPrefix("::", 0)
    values["nexthops"] = tuple(Nexthop(**way) for way in reader.ways)
    return VirtualRoute(
        words=tuple(reader.words),
        destination=destination,
        family=family,
        source=entry.get("from"),
        via=Nexthop(**reader.via),
        metrics=tuple(reader.metrics),
        **values,
    )


def _is_six(reader: _Reader) -> bool:
    """`default` is IPv6 when the line says inet6 or has an IPv6 gateway or source."""
    gateway, source = reader.via.get("gateway"), reader.values.get("preferred_source")
    return reader.six or any(text is not None and ":" in text for text in (gateway, source))


class _Reader:
    """Words from left to right."""

    def __init__(self, words: list[str], names: Names) -> None:
        self.words = words
        self.names = names
        self.at = 0
        self.six = False
        self.values: dict[str, Any] = {}
        self.metrics: list[Metric] = []
        self.via: dict[str, Any] = {}
        self.ways: list[dict[str, Any]] = []

    def read(self) -> None:
        while self.at < len(self.words):
            word = self._next()
            if word in ("nexthop", "or"):
                self._begin_way(word)
            elif self.ways and self._word_of_way(word, self.ways[-1]):
                continue
            else:
                self._word(word)

    def _next(self) -> str:
        self.at += 1
        return self.words[self.at - 1]

    def _peek(self) -> str:
        return self.words[self.at] if self.at < len(self.words) else ""

    def _begin_way(self, word: str) -> None:
        if word == "or" and not self.ways and "gateway" in self.via:
            # `via A or B` is `nexthop via A nexthop via B`.
            self.ways.append({"gateway": self.via.pop("gateway")})
        self.ways.append({})
        if word == "or":
            self.ways[-1]["gateway"] = self._next()

    def _word_of_way(self, word: str, way: dict[str, Any]) -> bool:
        """A word that belongs to one way; False: it is none."""
        if word in ("via", "gw"):
            if self._peek() in ("inet", "inet6"):
                self._next()
            way["gateway"] = _address(self._next())
        elif word in ("dev", "oif"):
            way["dev"] = self._next()
        elif word == "onlink":
            way["onlink"] = True
        elif word == "realms":
            way["realms"] = self.names.realms(self._next())
        elif word == "encap":
            way["encapsulation"] = self._encapsulation()
        elif word == "weight":
            way["weight"] = int(self._next())
        else:
            return False
        return True

    def _word(self, word: str) -> None:
        if word in ("inet", "inet6"):
            self.six |= word == "inet6"
        elif word in _TYPES:
            self.values["type"] = word
        elif word in _MODES:
            self.values["mode"] = word
        elif word == "no_track":
            self.values["no_track"] = True
        elif word in _TIMES or word in _METRICS:
            self._metric(word)
        elif word in _WORDS:
            field, read = _WORDS[word]
            self.values[field] = read(self.names, self._next())
        elif word == "congctl":
            self.values["congestion_control_locked"] = self._lock()
            self.values["congestion_control"] = self._next()
        elif word == "features":
            self.metrics.append(Metric("features", _FEATURES[self._next()]))
        elif word in ("from", "track_group", "as"):
            if word == "as" and self._peek() == "to":
                self._next()
            text = self._next()
            if word == "track_group":
                self.values["track_group"] = text
        else:
            self._odd_word(word)

    def _odd_word(self, word: str) -> None:
        """`to` and the destination itself: the table has found that. Words of `encap` do not stand elsewhere."""
        if not self._word_of_way(word, self.via) and word in _TUNNEL_WORDS:
            raise ValueError(word)

    def _lock(self) -> bool:
        if self._peek() == "lock":
            self._next()
            return True
        return False

    def _metric(self, word: str) -> None:
        locked = self._lock()
        text = self._next()
        if word in _TIMES:
            number = _time(word, text)
        else:
            number = int(text, 0)
        self.metrics.append(Metric(word, number, locked))

    def _encapsulation(self) -> Encapsulation:
        kind = self._next()
        taken: dict[str, Any] = {}
        if kind == "mpls":
            taken["labels"] = tuple(int(label) for label in self._next().split("/"))
        elif kind == "ila":
            taken["locator"] = _locator(self._next())
        while self._peek() in _TUNNEL_OF[kind]:
            word = self._next()
            text = self._next()
            field = _TUNNEL_WORDS[word]
            if word in ("dst", "src"):
                taken[field] = _address(text)
            else:
                taken[field] = self.names.tos(text) if field == "tos" else int(text, 0)
        return Encapsulation(kind=kind, **taken)


def _scope(_: Names, text: str) -> int:
    return int(text, 0) if text[:1].isdigit() else SCOPES[text]


#: Words with one word behind them: the field and how that is read.
_WORDS: Final[dict[str, tuple[str, Callable[[Names, str], Any]]]] = {
    "src": ("preferred_source", lambda _, text: _address(text)),
    "tos": ("tos", Names.tos),
    "dsfield": ("tos", Names.tos),
    "table": ("table", Names.table),
    "protocol": ("protocol", Names.protocol),
    "scope": ("scope", _scope),
    "metric": ("metric", lambda _, text: int(text, 0)),
    "priority": ("metric", lambda _, text: int(text, 0)),
    "preference": ("metric", lambda _, text: int(text, 0)),
    "expires": ("expires_s", lambda _, text: int(text, 0)),
    "pref": ("preference", lambda _, text: _PREFERENCES[text]),
    "ttl-propagate": ("ttl_propagate", lambda _, text: text == "enabled"),
    "vrf": ("vrf", lambda _, text: text),
}


def _address(text: str) -> str:
    """Without a prefix length, which some lines have behind a gateway."""
    return text.partition("/")[0]


def _time(word: str, text: str) -> int:
    found = re.fullmatch(r"([0-9.]+)(s|ms|us|)", text)
    if found is None:
        raise ValueError(text)
    scale = _UNITS_MS[found[2]] * _TIMES[word] if found[2] else 1
    number = int(float(found[1]) * scale)
    # keepalived raises round-trip times to 200 ms.
    return number if word == "rto_min" else max(number, _LEAST_RTT_MS * _TIMES[word])


def _locator(text: str) -> int:
    number = 0
    groups = text.split(":")
    if len(groups) != 4:
        raise ValueError(text)
    for group in groups:
        number = number << 16 | int(group, 16)
    return number

"""Lines of routes and rules: what goes together, what is known on this machine (as keepalived 2.4.3 -t has it).

What is left goes into the model (`route_lines`, `rule_lines`).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, TypeVar

import msgspec

from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Entry
from pykeepalived.dialects.keepalived.route_lines import build_route
from pykeepalived.dialects.keepalived.routing_names import Names
from pykeepalived.dialects.keepalived.rule_lines import build_rule
from pykeepalived.model.common import Family, family_of
from pykeepalived.model.routing import PROTOCOL_KEEPALIVED, VirtualRoute, VirtualRule

_Line = TypeVar("_Line", VirtualRoute, VirtualRule)
_KEEPALIVED: Final = ("18", "keepalived")
_LEAST_TIME_MS: Final = 200.0
_UNITS_MS: Final = {"s": 1000.0, "ms": 1.0, "us": 0.001, "": 0.125}
_FIXED_TABLES: Final = frozenset({"main", "local", "default"})
_NONE: Final[frozenset[str]] = frozenset()
#: Findings after which the line is used all the same. An interface may still come.
_KEPT: Final = frozenset({"route-not-tracked", "number-out-of-range", "no-such-interface", "two-actions", "mpls-only"})


class RoutingLines:
    """Checks the lines of one load."""

    def __init__(self, context: Context, track_groups: frozenset[str], *, dynamic: bool) -> None:
        self._context = context
        self._groups = track_groups
        self._names = Names(context.host)
        self._dynamic = dynamic

    def routes(self, entries: Iterable[Entry]) -> tuple[VirtualRoute, ...]:
        """The routes that these lines ask for; a line with an error is left out."""
        found = []
        for entry in entries:
            self._check_route(entry)
            route = self._build(build_route, entry)
            if route is not None:
                if not route.no_track and route.protocol != PROTOCOL_KEEPALIVED:
                    route = msgspec.structs.replace(route, protocol=PROTOCOL_KEEPALIVED)
                self._check_gateway(entry, route)
                found.append(route)
        return tuple(found)

    def _check_gateway(self, entry: Entry, route: VirtualRoute) -> None:
        """keepalived refuses an IPv4 route over an IPv6 gateway; the kernel and we do not."""
        gateways = [way.gateway for way in (route.via, *route.nexthops) if way.gateway is not None]
        if route.family is Family.INET and any(family_of(gateway) is Family.INET6 for gateway in gateways):
            self._context.warning(
                "wrong-family", "keepalived refuses an IPv4 route over an IPv6 gateway, here it is set", entry.statement
            )

    def rules(self, entries: Iterable[Entry]) -> tuple[VirtualRule, ...]:
        """The rules that these lines ask for; a line with an error is left out."""
        found = []
        for entry in entries:
            self._check_rule(entry)
            rule = self._build(partial(build_rule, preference=self._context.preference), entry)
            if rule is not None:
                if "preference" not in entry.values:
                    self._context.preference -= 1
                found.append(rule)
        return tuple(found)

    def _build(self, build: Callable[[Entry, Names], _Line | None], entry: Entry) -> _Line | None:
        try:
            return build(entry, self._names)
        except (ValueError, KeyError, IndexError, OSError) as error:
            word = str(error.args[0]) if error.args else ""
            self._context.error("invalid-value", f"`{word}` has no place here, line left out", entry.statement)
            return None

    def _check_route(self, entry: Entry) -> None:
        if entry.refused:
            return
        for word, kind, also in (
            ("table", "rt_tables", _FIXED_TABLES),
            ("protocol", "rt_protos", frozenset(_KEEPALIVED)),
            ("tos", "rt_dsfield", _NONE),
            ("dsfield", "rt_dsfield", _NONE),
            ("realms", "rt_realms", frozenset({"cosmos"})),
        ):
            if not self._known_name(entry, word, kind, also):
                return
        for word in ("dev", "oif"):
            self._check_interface(entry, word)
        self._check_times(entry)
        protocol = entry.get("protocol")
        if protocol is not None and protocol not in _KEEPALIVED and "no_track" not in entry.values:
            self._error(
                entry,
                "protocol",
                "route-not-tracked",
                "only a route of protocol keepalived can be tracked, that protocol is taken",
                help="leave `protocol` out, or write `no_track`",
            )
        self._check_route_families(entry)
        if "as" in entry.values:
            self._error(
                entry, "as", "mpls-only", "`as` belongs to MPLS routes, it is not looked at", help="leave it out"
            )
        self._check_group(entry)
        vrf, known = entry.get("vrf"), self._context.host.interfaces()
        if vrf is not None and known is not None and vrf not in known:
            self._error(entry, "vrf", "unknown-name", f"there is no VRF `{vrf}`, the route is left out")

    def check_address(self, entry: Entry) -> None:
        """A line of static_ipaddress."""
        self._check_interface(entry, "dev")
        self._check_group(entry)

    def _check_rule(self, entry: Entry) -> None:
        if entry.refused:
            return
        for word, kind, also in (
            ("table", "rt_tables", _FIXED_TABLES),
            ("tos", "rt_dsfield", _NONE),
            ("dsfield", "rt_dsfield", _NONE),
            ("realms", "rt_realms", _NONE),
        ):
            if not self._known_name(entry, word, kind, also):
                return
        for word in ("dev", "iif", "oif"):
            self._check_interface(entry, word)
        preference = entry.get("preference")
        if preference is None:
            self._context.warning(
                "rule-without-preference",
                "the rule has no preference, one is made up",
                entry.statement,
                help="write `preference NUMBER`",
            )
        elif not isinstance(target := entry.get("action", True), bool) and preference >= target:
            self._error(entry, "action", "goto-backwards", "goto must lead to a greater preference")
        if "table" in entry.values and any(word.text == "l3mdev" for word in entry.statement.words):
            self._error(entry, "action", "two-actions", "l3mdev goes with no other action")
        protocol = entry.get("ipproto")
        if protocol is not None and not _is_protocol(protocol):
            self._error(entry, "ipproto", "unknown-name", f"there is no IP protocol `{protocol}`")
        ends = [entry.values[word].address for word in ("from", "to") if word in entry.values]
        if len(ends) == 2 and (":" in ends[0]) != (":" in ends[1]) and "0.0.0.0" not in ends:
            self._error(entry, "to", "mixed-families", "from and to are of different families")
        self._check_group(entry)

    # ── pieces ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _error(self, entry: Entry, word: str, identifier: str, message: str, help: str | None = None) -> None:
        place = entry.places.get(word)
        index = None if place is None else min(place + 1, len(entry.statement.words) - 1)
        self._context.error(identifier, message, entry.statement, index, help=help)
        if identifier not in _KEPT:
            entry.refused = True

    def _known_name(self, entry: Entry, word: str, kind: str, also: frozenset[str]) -> bool:
        text = entry.get(word)
        if text is None:
            return True
        if word == "table" and text == "0":
            self._error(entry, word, "unknown-name", "table 0 cannot be used")
            return False
        for part in str(text).split("/"):
            number = re.fullmatch(r"0[xX][0-9a-fA-F]+|[0-9]+", part)
            if number is None and part not in also and part not in self._context.host.routing_names(kind):
                self._error(entry, word, "unknown-name", f"`{part}` is not in {kind}, the line is left out")
                return False
        return True

    def _check_interface(self, entry: Entry, word: str) -> None:
        known = self._context.host.interfaces()
        name = entry.get(word)
        if name is None or known is None or self._dynamic or name in known:
            return
        self._error(
            entry,
            word,
            "no-such-interface",
            f"there is no interface `{name}`",
            help="with `dynamic_interfaces` in global_defs it may come later",
        )

    def _check_times(self, entry: Entry) -> None:
        for word in ("rtt", "rttvar"):
            text = entry.get(word)
            found = re.fullmatch(r"([0-9.]+)(s|ms|us|)", text) if isinstance(text, str) else None
            if found is not None and float(found[1]) * _UNITS_MS[found[2]] < _LEAST_TIME_MS:
                self._error(entry, word, "number-out-of-range", f"{word} is less than 200 ms, 200 ms are taken")

    def _check_route_families(self, entry: Entry) -> None:
        destination = entry.values["destination"].address
        six = ":" in destination
        for word in ("via", "gw", "src"):
            address = entry.get(word)
            if not isinstance(address, str) or (":" in address) == six:
                continue
            place = entry.places[word]
            if entry.statement.words[place + 1].text not in ("inet", "inet6"):
                self._error(entry, word, "mixed-families", f"`{address}` is of another family than the destination")
        if not six and "inet6" in entry.values:
            self._error(entry, "inet6", "mixed-families", f"`{destination}` is no IPv6 destination")
        if not six and "from" in entry.values:
            self._error(entry, "from", "wrong-family", "an IPv4 route has no source prefix")
        if not six and "expires" in entry.values:
            self._error(entry, "expires", "wrong-family", "an IPv4 route does not expire")
        if not six and "pref" in entry.values:
            self._error(entry, "pref", "wrong-family", "an IPv4 route has no preference `pref`")

    def _check_group(self, entry: Entry) -> None:
        name = entry.get("track_group")
        if name is not None and name not in self._groups:
            self._error(entry, "track_group", "unknown-name", f"there is no track_group `{name}`")


def _is_protocol(text: str) -> bool:
    if text.isascii() and text.isdigit():
        return int(text[:4]) < 256
    try:
        socket.getprotobyname(text)
    except (OSError, ValueError):
        return False
    return True

"""Lines of virtual_routes and static_routes: iproute2's grammar."""

# fmt: off

from __future__ import annotations

from typing import Final

from pykeepalived.dialects.keepalived.readers import (
    UINT_MAX,
    Bad,
    Choice,
    Grammar,
    Integer,
    Prefix,
    Reader,
    Text,
    canonical_address,
)
from pykeepalived.dialects.keepalived.rows import Options, Row, flag, maybe, value
from pykeepalived.dialects.keepalived.tables.addresses import Scope
from pykeepalived.dialects.keepalived.tables.common import ADDRESS, BYTE, INTERFACE, NAME, PREFIX, UNSIGNED
from pykeepalived.model import IpPrefix
from pykeepalived.syntax.grammar import pp

TYPES: Final = (
    "unicast", "local", "broadcast", "anycast", "multicast", "throw", "unreachable", "prohibit", "blackhole", "nat",
    "xresolve",
)
_EVERYTHING: Final = IpPrefix("0.0.0.0", 0)
DESTINATION: Final = Prefix({"default": _EVERYTHING, "default6": IpPrefix("::", 0)})
TABLE: Final = Text("TABLE")
LOCK: Final = Choice(("lock",))
FAMILY: Final = Choice(("inet", "inet6"))
TIME: Final = Grammar("NUMBER[s|ms]", lambda: pp.Regex(r"\d{1,9}(?:\.\d{1,6})?(?:s|ms|us)?"), "invalid-number")
REALMS: Final = Grammar("[FROM/]TO", lambda: pp.Regex(r"[\w-]+(?:/[\w-]+)?"))
SWITCHED: Final = Choice(("enabled", "disabled"))
#: Labels of MPLS, or the locator of ILA.
LABELS: Final = Grammar(
    "LABEL[/LABEL…]", lambda: pp.Regex(r"[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4}){3}|\d{1,7}(?:/\d{1,7}){0,15}")
)


class Tos(Reader):
    """A number 0..255, decimal or 0x…, or a name of rt_dsfield."""

    shows = "0..255|NAME"

    def parse(self, text: str) -> str:
        if text[:1].isdigit():
            try:
                number = int(text, 16 if text[:2].lower() == "0x" else 10)
            except ValueError:
                number = -1
            if not 0 <= number <= 255:
                raise Bad("number-out-of-range", f"number `{text}` is outside the range 0..255")
        return text


class Gateway(Reader):
    """An address that is no prefix."""

    shows = "ADDRESS"

    def parse(self, text: str) -> str:
        address = canonical_address(text)
        if address is None:
            raise Bad("bad-address", f"`{text}` is no IP address")
        return address


TOS: Final = Tos()
GATEWAY: Final = Gateway()
_NUMBER: Final = Integer(0, UINT_MAX)


def _locked(name: str, reader: Reader, help: str) -> Row:
    return value(name, maybe(LOCK), reader, help=help)


def _rows(static: bool) -> tuple[Row, ...]:
    types = tuple(flag(name, help=f"a route of type {name}") for name in TYPES)
    last = (value("track_group", NAME, help="group that the loss of the interface faults"),) if static else ()
    return (
        flag("inet", help="an IPv4 route"), flag("inet6", help="an IPv6 route"), *types,
        value("to", DESTINATION, field="destination", help="destination, after an optional `to`"),
        value("src", GATEWAY, help="preferred source"),
        value("as", maybe(Choice(("to",))), ADDRESS, help="translated destination"),
        value("via", maybe(FAMILY), GATEWAY, help="gateway"),
        value("gw", maybe(FAMILY), GATEWAY, replaced_by="via", help="older word for via"),
        value("from", PREFIX, help="source prefix, IPv6"),
        value("tos", TOS, help="type of service"),
        value("dsfield", TOS, same_as="tos", help="same as tos"),
        value("table", TABLE, default="main", help="routing table"),
        value("protocol", TABLE, default="keepalived", help="routing protocol"),
        value("scope", Scope(), help="scope of the route"),
        value("metric", UNSIGNED, default="0", help="metric"),
        value("priority", UNSIGNED, same_as="metric", help="same as metric"),
        value("preference", UNSIGNED, same_as="metric", help="same as metric"),
        value("dev", INTERFACE, help="outgoing interface"),
        value("oif", INTERFACE, same_as="dev", help="same as dev"),
        flag("onlink", help="the gateway is on the link"),
        value("encap", Choice(("ip", "ip6", "mpls", "ila")), maybe(LABELS), help="light-weight tunnel"),
        value("id", Integer(0, 2**64 - 1), help="tunnel key, in encap"),
        value("dst", GATEWAY, help="tunnel destination, in encap"),
        value("ttl", BYTE, help="time to live, in encap"),
        value("tc", BYTE, help="traffic class, in encap"),
        value("flags", Text("FLAGS"), help="tunnel flags, in encap"),
        value("expires", _NUMBER, help="life time in seconds, IPv6"),
        _locked("mtu", _NUMBER, "path MTU"),
        value("hoplimit", BYTE, help="hop limit"),
        _locked("advmss", _NUMBER, "advertised segment size"),
        _locked("rtt", TIME, "first round-trip time"),
        _locked("rttvar", TIME, "variance of the round-trip time"),
        _locked("reordering", _NUMBER, "reordering metric"),
        value("window", _NUMBER, help="largest window"),
        _locked("cwnd", _NUMBER, "congestion window clamp"),
        _locked("ssthresh", _NUMBER, "slow start threshold"),
        value("realms", REALMS, help="realms"),
        _locked("rto_min", TIME, "least retransmission time"),
        value("initcwnd", _NUMBER, help="first congestion window"),
        value("initrwnd", _NUMBER, help="first receive window"),
        value("features", Choice(("ecn",)), help="features of the route"),
        value("quickack", Integer(0, 1), help="quick acknowledgements"),
        _locked("congctl", NAME, "congestion control"),
        value("pref", Choice(("low", "medium", "high")), default="medium", help="IPv6 router preference"),
        value("ttl-propagate", SWITCHED, help="MPLS TTL propagation"),
        value("fastopen_no_cookie", Integer(0, 1), help="fast open without cookie"),
        flag("add", help="fail where the route exists"),
        flag("prepend", help="put it before routes of the same prefix"),
        flag("append", help="put it after routes of the same prefix"),
        value("or", GATEWAY, replaced_by="nexthop", help="second gateway, old form"),
        flag("nexthop", help="starts one way of a multipath route"),
        value("weight", Integer(1, 256), default="1", help="share of a nexthop"),
        flag("no_track", help="its loss changes nothing"),
        value("vrf", INTERFACE, help="the table of that VRF"),
        *last,
    )


VIRTUAL_ROUTE: Final = Options(
    "vrrp_instance.virtual_routes", *_rows(static=False), slots=(("destination", DESTINATION),), need="destination",
    soft=False,
)
STATIC_ROUTE: Final = Options(
    "static_routes", *_rows(static=True), slots=(("destination", DESTINATION),), need="destination",
    soft=False,
)

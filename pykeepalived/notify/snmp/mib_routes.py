"""KEEPALIVED-MIB, branch 2: routes and rules of instances. Only what a line says has a value."""

# fmt: off

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pykeepalived.model.common import Family, IpPrefix
from pykeepalived.model.routing import Encapsulation
from pykeepalived.notify.snmp.codec import Tag
from pykeepalived.notify.snmp.facts import Facts, Instance, Rows
from pykeepalived.notify.snmp.mib_vrrp import VRRP, scope
from pykeepalived.notify.snmp.syntax import (
    ADDRESS,
    BYTE,
    COUNT64,
    ENCAPSULATION,
    FAMILY,
    INDEX,
    INTERFACE,
    PREFERENCE,
    PREFIX,
    REALM,
    ROUTE_TYPE,
    RULE_ACTION,
    SCOPE,
    SET,
    TEXT,
    TRUTH,
    UNSIGNED,
    address,
    numbers,
)
from pykeepalived.notify.snmp.tree import Column, Syntax, Table

_PROTOCOL: Final = numbers(unspec=1, redirect=2, kernel=3, boot=4, static=5, gated=9, ra=10, mrt=11, zebra=12, bird=13,
                           dnrouted=14, xorp=15, ntk=16, dhcp=17, keepalived=112)
#: IPv6 router preference as the kernel numbers it.
_PREFERENCES: Final = {0: "medium", 1: "high", 3: "low"}


def _span(low: int, high: int) -> Syntax:
    return Syntax(f"Unsigned32 ({low}..{high})", Tag.GAUGE)


class Line:
    """A route or rule of an instance."""

    def __init__(self, owner: Instance, config: Any) -> None:
        self.owner = owner
        self.config = config

    def index_of(self, dev: str | None) -> int | None:
        return self.owner.facts.links.get(dev or "")

    @property
    def status(self) -> str:
        """It is there while the instance is MASTER."""
        return "set" if self.owner.state == "MASTER" else "unset"


def _lines(field: str) -> Callable[[Facts], Rows]:
    return lambda facts: [
        ((item.number, number), Line(item, each))
        for item in facts.instances
        for number, each in enumerate(getattr(item.config, field), 1)
    ]


def _hops(facts: Facts) -> Rows:
    return [
        ((item.number, number, place), Line(item, hop))
        for item in facts.instances
        for number, route in enumerate(item.config.routes, 1)
        for place, hop in enumerate(route.nexthops, 1)
    ]


def _sort(family: Family) -> str:
    return "ipv6" if family is Family.INET6 else "ipv4"


def _metric(name: str) -> Callable[[Line], int | None]:
    return lambda row: next((item.number for item in row.config.metrics if item.name == name), None)


def _locked(name: str) -> Callable[[Line], bool | None]:
    return lambda row: next((item.locked for item in row.config.metrics if item.name == name), None)


def _has(name: str) -> Callable[[Line], bool]:
    return lambda row: any(item.name == name and item.number for item in row.config.metrics)


def _prefix(field: str, part: str) -> Callable[[Line], Any]:
    def read(row: Line) -> Any:
        found: IpPrefix | None = getattr(row.config, field)
        if found is None:
            return None
        return {"address": address(found.address), "length": found.length,
                "sort": "ipv6" if ":" in found.address else "ipv4"}[part]
    return read


def _pair(field: str, at: int) -> Callable[[Line], int | None]:
    return lambda row: None if getattr(row.config, field) is None else getattr(row.config, field)[at]


def _realm(upper: bool, way: Callable[[Line], int | None]) -> Callable[[Line], int | None]:
    def read(row: Line) -> int | None:
        realms = way(row)
        return None if realms is None else (realms >> 16 if upper else realms & 0xFFFF) or None
    return read


def _encapsulation(name: str, first: int, way: Callable[[Line], Encapsulation | None],
                   access: str = "read-only") -> tuple[Column, ...]:
    def part(read: Callable[[Encapsulation], Any]) -> Callable[[Line], Any]:
        def value(row: Line) -> Any:
            found = way(row)
            return None if found is None else read(found)
        return value

    return (
        Column(first, f"{name}EncapType", ENCAPSULATION, part(lambda e: e.kind), "Sort of its tunnel.", access),
        Column(first + 1, f"{name}EncapMplsLabels", TEXT,
               part(lambda e: "/".join(str(label) for label in e.labels) or None), "Labels of MPLS."),
        Column(first + 2, f"{name}EncapId", COUNT64, part(lambda e: e.id), "Number of the tunnel."),
        Column(first + 3, f"{name}EncapDstAddress", ADDRESS, part(lambda e: address(e.destination)),
               "Where the tunnel ends."),
        Column(first + 4, f"{name}EncapSrcAddress", ADDRESS, part(lambda e: address(e.source)),
               "Where the tunnel begins."),
        Column(first + 5, f"{name}EncapTOS", BYTE, part(lambda e: e.tos), "TOS of its packets."),
        Column(first + 6, f"{name}EncapTTL", _span(1, 255), part(lambda e: e.ttl), "TTL of its packets."),
        Column(first + 7, f"{name}EncapFlags", UNSIGNED, part(lambda e: e.flags), "Flags of the tunnel."),
        Column(first + 8, f"{name}EncapIlaLocator", COUNT64, part(lambda e: e.locator), "Locator of ILA."),
    )


_ROUTE: Final = (
    Column(1, "vrrpRouteIndex", INDEX, lambda r: None, "Number of the route.", "not-accessible"),
    Column(2, "vrrpRouteAddressType", FAMILY, lambda r: _sort(r.config.family), "Sort of its addresses."),
    Column(3, "vrrpRouteDestination", ADDRESS, _prefix("destination", "address"), "Where it leads."),
    Column(4, "vrrpRouteDestinationMask", PREFIX, _prefix("destination", "length"), "Prefix length of that."),
    Column(5, "vrrpRouteGateway", ADDRESS, lambda r: address(r.config.via.gateway), "The router."),
    Column(6, "vrrpRouteSecondaryGateway", ADDRESS, lambda r: None, "A second router (`or`, not written any more)."),
    Column(7, "vrrpRouteSource", ADDRESS, lambda r: address(r.config.preferred_source), "Source that it prefers."),
    Column(8, "vrrpRouteMetric", UNSIGNED, lambda r: r.config.metric, "Its metric."),
    Column(9, "vrrpRouteScope", SCOPE, lambda r: scope(r.config.scope), "How far it is valid."),
    Column(10, "vrrpRouteType", ROUTE_TYPE, lambda r: "ecmp" if r.config.nexthops else r.config.type, "Sort of route."),
    Column(11, "vrrpRouteIfIndex", INTERFACE, lambda r: r.index_of(r.config.via.dev), "Number of its interface."),
    Column(12, "vrrpRouteIfName", TEXT, lambda r: r.config.via.dev, "Name of its interface."),
    Column(13, "vrrpRouteRoutingTable", UNSIGNED, lambda r: r.config.table, "Its table."),
    Column(14, "vrrpRouteStatus", SET, lambda r: r.status, "Whether it is there now."),
    Column(15, "vrrpRouteFromAddress", ADDRESS, _prefix("source", "address"), "Whose packets it is for."),
    Column(16, "vrrpRouteFromAddressMask", PREFIX, _prefix("source", "length"), "Prefix length of that."),
    Column(17, "vrrpRouteTos", BYTE, lambda r: r.config.tos or None, "TOS of the packets that it is for."),
    Column(18, "vrrpRouteProtocol", _PROTOCOL, lambda r: r.config.protocol + 1,
           "Who made it: the kernel's number of the protocol, plus one."),
    Column(19, "vrrpRouteECN", TRUTH, _has("features"), "Whether it has explicit congestion notification."),
    Column(20, "vrrpRouteQuickAck", TRUTH, _has("quickack"), "Whether it acknowledges at once."),
    Column(21, "vrrpRouteExpires", INDEX, lambda r: r.config.expires_s, "Seconds that it lives."),
    Column(22, "vrrpRouteMTU", UNSIGNED, _metric("mtu"), "Its MTU."),
    Column(23, "vrrpRouteMTULock", TRUTH, _locked("mtu"), "Whether that stays."),
    Column(24, "vrrpRouteHopLimit", _span(1, 256), _metric("hoplimit"), "Its hop limit."),
    Column(25, "vrrpRouteAdvmss", UNSIGNED, _metric("advmss"), "Segment size that it announces."),
    Column(26, "vrrpRouteAdvmssLock", TRUTH, _locked("advmss"), "Whether that stays."),
    Column(27, "vrrpRouteRTT", _span(1, 536870), _metric("rtt"), "Round trip time, in the kernel's unit."),
    Column(28, "vrrpRouteRTTLock", TRUTH, _locked("rtt"), "Whether that stays."),
    Column(29, "vrrpRouteRTTvar", _span(1, 1073741), _metric("rttvar"), "Its variance, in the kernel's unit."),
    Column(30, "vrrpRouteRTTvarLock", TRUTH, _locked("rttvar"), "Whether that stays."),
    Column(31, "vrrpRouteReordering", UNSIGNED, _metric("reordering"), "Reordering that is expected."),
    Column(32, "vrrpRouteReorderingLock", TRUTH, _locked("reordering"), "Whether that stays."),
    Column(33, "vrrpRouteWindow", UNSIGNED, _metric("window"), "Largest window that it announces."),
    Column(34, "vrrpRouteCwnd", UNSIGNED, _metric("cwnd"), "Largest congestion window."),
    Column(35, "vrrpRouteCwndLock", TRUTH, _locked("cwnd"), "Whether that stays."),
    Column(36, "vrrpRouteSSthresh", UNSIGNED, _metric("ssthresh"), "Slow start threshold."),
    Column(37, "vrrpRouteSSthreshLock", TRUTH, _locked("ssthresh"), "Whether that stays."),
    Column(38, "vrrpRouteRTOMin", UNSIGNED, _metric("rto_min"), "Least time until a packet is sent again."),
    Column(39, "vrrpRouteRTOMinLock", TRUTH, _locked("rto_min"), "Whether that stays."),
    Column(40, "vrrpRouteInitCwnd", UNSIGNED, _metric("initcwnd"), "First congestion window."),
    Column(41, "vrrpRouteInitRwnd", UNSIGNED, _metric("initrwnd"), "First receive window."),
    Column(42, "vrrpRouteCongCtl", TEXT, lambda r: r.config.congestion_control, "How it avoids congestion."),
    Column(43, "vrrpRoutePref", PREFERENCE, lambda r: _PREFERENCES.get(r.config.preference), "Router preference."),
    Column(44, "vrrpRouteRealmDst", REALM, _realm(False, lambda r: r.config.via.realms), "Realm that it leads to."),
    Column(45, "vrrpRouteRealmSrc", REALM, _realm(True, lambda r: r.config.via.realms), "Realm that it comes from."),
    *_encapsulation("vrrpRoute", 46, lambda r: r.config.via.encapsulation),
    Column(55, "vrrpRouteFastOpenNoCookie", TRUTH, _has("fastopen_no_cookie"), "Whether fast open needs no cookie."),
)

_HOP: Final = (
    Column(1, "vrrpRouteNextHopIndex", INDEX, lambda r: None, "Number of the way.", "not-accessible"),
    Column(2, "vrrpRouteNextHopAddressType", FAMILY,
           lambda r: r.config.gateway and _sort(Family.INET6 if ":" in r.config.gateway else Family.INET),
           "Sort of its address."),
    Column(3, "vrrpRouteNextHopAddress", ADDRESS, lambda r: address(r.config.gateway), "The router."),
    Column(4, "vrrpRouteNextHopIfIndex", INTERFACE, lambda r: r.index_of(r.config.dev), "Number of its interface."),
    Column(5, "vrrpRouteNextHopIfName", TEXT, lambda r: r.config.dev, "Name of its interface."),
    Column(6, "vrrpRouteNextHopWeight", _span(1, 256), lambda r: r.config.weight, "Its share."),
    Column(7, "vrrpRouteNextHopOnlink", TRUTH, lambda r: r.config.onlink,
           "Whether the router is taken as a neighbour."),
    Column(8, "vrrpRouteNextHopRealmDst", REALM, _realm(False, lambda r: r.config.realms), "Realm that it leads to."),
    Column(9, "vrrpRouteNextHopRealmSrc", REALM, _realm(True, lambda r: r.config.realms), "Realm that it comes from."),
    *_encapsulation("vrrpRouteNextHop", 10, lambda r: r.config.encapsulation, "not-accessible"),
)

_RULE: Final = (
    Column(1, "vrrpRuleIndex", _span(1, 4294967295), lambda r: None, "Number of the rule.",
           "not-accessible"),
    Column(2,
           "vrrpRuleDirection", TEXT, lambda r: "from" if r.config.source else "to" if r.config.destination else None,
           "Which of its addresses decides.", status="obsolete"),
    Column(3, "vrrpRuleAddressType", FAMILY, lambda r: _sort(r.config.family),
           "Sort of that.", status="obsolete"),
    Column(4, "vrrpRuleAddress", ADDRESS, lambda r: _prefix("source", "address")(r) or _prefix("destination",
           "address")(r),
           "That address.", status="obsolete"),
    Column(5, "vrrpRuleAddressMask", PREFIX,
           lambda r: _prefix("source", "length")(r) or _prefix("destination", "length")(r), "Its prefix length.",
           status="obsolete"),
    Column(6, "vrrpRuleRoutingTable", UNSIGNED, lambda r: r.config.table or None, "Table that it leads to."),
    Column(7, "vrrpRuleStatus", SET, lambda r: r.status, "Whether it is there now."),
    Column(8, "vrrpRuleInvert", TRUTH, lambda r: r.config.invert, "Whether it is for all others."),
    Column(9, "vrrpRuleDestinationAddressType", FAMILY, _prefix("destination", "sort"), "Sort of the destination."),
    Column(10, "vrrpRuleDestinationAddress", ADDRESS, _prefix("destination", "address"), "Where packets go."),
    Column(11, "vrrpRuleDestinationAddressMask", PREFIX, _prefix("destination", "length"), "Prefix length of that."),
    Column(12, "vrrpRuleSourceAddressType", FAMILY, _prefix("source", "sort"), "Sort of the source."),
    Column(13, "vrrpRuleSourceAddress", ADDRESS, _prefix("source", "address"), "Where packets come from."),
    Column(14, "vrrpRuleSourceAddressMask", PREFIX, _prefix("source", "length"), "Prefix length of that."),
    Column(15, "vrrpRuleTos", BYTE, lambda r: r.config.tos, "TOS of the packets."),
    Column(16, "vrrpRuleFwmark", _span(0, 4294967295), lambda r: r.config.mark, "Firewall mark of the packets."),
    Column(17, "vrrpRuleFwmask", _span(0, 4294967295), lambda r: r.config.mask, "Which bits of the mark count."),
    Column(18, "vrrpRuleRealmDst", REALM, _realm(False, lambda r: r.config.realms), "Realm of the destination."),
    Column(19, "vrrpRuleRealmSrc", REALM, _realm(True, lambda r: r.config.realms), "Realm of the source."),
    Column(20, "vrrpRuleInInterface", TEXT, lambda r: r.config.input, "Interface that packets come in by."),
    Column(21, "vrrpRuleOutInterface", TEXT, lambda r: r.config.output, "Interface that packets go out by."),
    Column(22, "vrrpRuleTarget", _span(0, 4294967295), lambda r: r.config.target or None, "Rule that goto leads to."),
    Column(23, "vrrpRuleAction", RULE_ACTION, lambda r: {"l3mdev": "table"}.get(r.config.action, r.config.action),
           "What it does."),
    Column(24, "vrrpRuleTableNo", UNSIGNED, lambda r: r.config.table or None, "Number of its table."),
    Column(25, "vrrpRulePreference", UNSIGNED, lambda r: r.config.preference or None, "Its place among all rules."),
    Column(26, "vrrpRuleSuppressPrefixLen", _span(0, 128), lambda r: r.config.suppress_prefix_length,
           "Routes up to this prefix length are passed over."),
    Column(27, "vrrpRuleSuppressGroup", TEXT,
           lambda r: None if r.config.suppress_group is None else str(r.config.suppress_group),
           "Routes by interfaces of this group are passed over."),
    Column(28,
           "vrrpRuleTunnelIdHigh", UNSIGNED,
           lambda r: None if r.config.tunnel_id is None else r.config.tunnel_id >> 32,
           "Upper half of the tunnel's number."),
    Column(29, "vrrpRuleTunnelIdLow", UNSIGNED,
           lambda r: None if r.config.tunnel_id is None else r.config.tunnel_id & 0xFFFFFFFF,
           "Lower half of the tunnel's number."),
    Column(30, "vrrpRuleUidRangeStart", UNSIGNED, _pair("uids", 0), "First of the users."),
    Column(31, "vrrpRuleUidRangeEnd", UNSIGNED, _pair("uids", 1), "Last of the users."),
    Column(32, "vrrpRuleL3mdev", TRUTH, lambda r: True if r.config.action == "l3mdev" else None,
           "Whether the device says the table."),
    Column(33, "vrrpRuleProtocol", _PROTOCOL, lambda r: r.config.protocol + 1,
           "Who made it: the kernel's number of the protocol, plus one."),
    Column(34, "vrrpRuleIPProto", UNSIGNED, lambda r: r.config.ip_protocol, "Protocol of the packets."),
    Column(35, "vrrpRuleSrcPortStart", UNSIGNED, _pair("source_ports", 0), "First of the source ports."),
    Column(36, "vrrpRuleSrcPortEnd", UNSIGNED, _pair("source_ports", 1), "Last of the source ports."),
    Column(37, "vrrpRuleDstPortStart", UNSIGNED, _pair("destination_ports", 0), "First of the destination ports."),
    Column(38, "vrrpRuleDstPortEnd", UNSIGNED, _pair("destination_ports", 1), "Last of the destination ports."),
)

TABLES: Final = (
    Table(name="vrrpRoute", oid=(*VRRP, 7, 1), rows=_lines("routes"), index=("vrrpInstanceIndex", "vrrpRouteIndex"),
          help="routes of instances", columns=_ROUTE),
    Table(name="vrrpRule", oid=(*VRRP, 8, 1), rows=_lines("rules"), index=("vrrpInstanceIndex", "vrrpRuleIndex"),
          help="rules of instances", columns=_RULE),
    Table(name="vrrpRouteNextHop", oid=(*VRRP, 11, 1), rows=_hops,
          index=("vrrpInstanceIndex", "vrrpRouteIndex", "vrrpRouteNextHopIndex"), help="ways of a route", columns=_HOP),
)

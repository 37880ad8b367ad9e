"""keepalived.data: routes, rules and static addresses, each as one line (the words of keepalived 2.4.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from pykeepalived.model.common import Family, IpPrefix, family_of
from pykeepalived.model.config import Config
from pykeepalived.model.routing import (
    PROTOCOL_KEEPALIVED,
    TABLE_MAIN,
    Encapsulation,
    Metric,
    Nexthop,
    VirtualRoute,
    VirtualRule,
)
from pykeepalived.model.vrrp import VirtualAddress
from pykeepalived.runtime.vrrp_journal import Entry
from pykeepalived.runtime.vrrp_view import View, address_text

#: The order in which the numbers for TCP stand. Times are in the kernel's parts of a millisecond.
_METRICS: Final = (
    *("rtt", "rttvar", "rto_min", "features", "mtu", "window", "ssthresh", "cwnd", "advmss", "reordering"),
    *("hoplimit", "initcwnd", "initrwnd", "quickack", "fastopen_no_cookie"),
)
_PARTS_OF_MS: Final = {"rtt": 8, "rttvar": 4, "rto_min": 1}
_PREFERENCES: Final = {0: "medium", 1: "high", 3: "low"}


def prefix_text(prefix: IpPrefix) -> str:
    """A prefix; a single address without its length."""
    whole = 128 if family_of(prefix.address) is Family.INET6 else 32
    return prefix.address if prefix.length == whole else str(prefix)


def static_sections(view: View) -> Iterator[tuple[str, list[str]]]:
    """The sections of what is there whatever the state of the instances is."""
    config = view.config
    yield "Static Addresses", [f"     {line}" for line in _addresses(view, config)]
    yield "Static Routes", [f"     {route_text(route)}" for route in config.static_routes]
    yield "Static Rules", [f"     {rule_text(rule)}" for rule in config.static_rules]


def _addresses(view: View, config: Config) -> Iterator[str]:
    fallback = config.globals.default_interface
    for item in config.static_addresses:
        yield address_text(item, item.dev or fallback, held=_entry(item, fallback) in view.held)


def _entry(address: VirtualAddress, fallback: str) -> Entry:
    return Entry(address.dev or fallback, address.prefix.address, (address.peer or address.prefix).length)


def route_text(route: VirtualRoute) -> str:
    """One route: destination, way, table and the rest that differs from the default."""
    words = [route.mode if route.mode in ("add", "append") else "prepend"]
    if route.type != "unicast":
        words.append(route.type)
    words.append(prefix_text(route.destination))
    for name, value in (
        ("from", None if route.source is None else prefix_text(route.source)),
        ("src", route.preferred_source),
        ("tos", route.tos or None),
    ):
        words += [] if value is None else [name, str(value)]
    words += _way(route.via)
    for name, number in (
        ("table", None if route.table == TABLE_MAIN else route.table),
        ("proto", route.protocol if _tracked(route) else None),
        ("scope", route.scope),
        ("metric", route.metric or None),
    ):
        words += [] if number is None else [name, str(number)]
    words += _tail(route)
    return " ".join(words)


def _tracked(route: VirtualRoute) -> bool:
    return not route.no_track or route.protocol != PROTOCOL_KEEPALIVED


def _tail(route: VirtualRoute) -> Iterator[str]:
    if route.via.realms is not None:
        yield f"realms {realms_text(route.via.realms)}"
    if route.congestion_control is not None:
        yield f"congctl {'lock ' if route.congestion_control_locked else ''}{route.congestion_control}"
    metrics = {item.name: item for item in route.metrics}
    for name in _METRICS:
        if name in metrics:
            yield _metric(metrics[name])
    if route.expires_s is not None:
        yield f"expires {route.expires_s}s"
    if route.preference is not None:
        yield f"pref {_PREFERENCES.get(route.preference, route.preference)}"
    if route.ttl_propagate is not None:
        yield f"ttl-propagate {'enabled' if route.ttl_propagate else 'disabled'}"
    if route.via.onlink:
        yield "onlink"
    for item in route.nexthops:
        yield " ".join(["nexthop", *_way(item), *_nexthop_tail(item)])
    if route.no_track or not any(way.dev for way in (route.via, *route.nexthops)):
        # Without an interface there is nothing to track.
        yield "no_track"
    if route.track_group is not None:
        yield f"track_group {route.track_group}"


def _nexthop_tail(item: Nexthop) -> Iterator[str]:
    if item.weight > 1:
        yield f"weight {item.weight}"
    if item.onlink:
        yield "onlink"
    if item.realms is not None:
        yield f"realms {realms_text(item.realms)}"


def _way(way: Nexthop) -> Iterator[str]:
    if way.encapsulation is not None:
        yield _encapsulation(way.encapsulation)
    if way.gateway is not None:
        family = "inet6" if family_of(way.gateway) is Family.INET6 else "inet"
        yield f"via {family} {way.gateway}"
    if way.dev is not None:
        yield f"dev {way.dev}"


def _encapsulation(item: Encapsulation) -> str:
    words = ["encap", item.kind]
    if item.kind == "mpls":
        words.append("/".join(str(label) for label in item.labels))
    later = "tc" if item.kind == "ip6" else "tos"
    for name, value in (
        ("id", item.id),
        ("dst", item.destination),
        ("src", item.source),
        (later, item.tos),
        ("hoplimit" if item.kind == "ip6" else "ttl", item.ttl),
        ("flags", None if item.flags is None else hex(item.flags)),
    ):
        words += [] if value is None else [name, str(value)]
    if item.locator is not None:
        words.append(str(item.locator))
    return " ".join(words)


def realms_text(realms: int) -> str:
    """FROM/TO, or TO alone."""
    return f"{realms >> 16}/{realms & 0xFFFF}" if realms >> 16 else str(realms & 0xFFFF)


def _metric(item: Metric) -> str:
    lock = "lock " if item.locked else ""
    parts = _PARTS_OF_MS.get(item.name)
    if parts is None:
        text = "ecn" if item.name == "features" and item.number == 1 else str(item.number)
    else:
        ms = item.number // parts
        text = f"{ms // 1000}s" if ms % 1000 == 0 else f"{ms}ms"
    return f"{item.name} {lock}{text}"


def rule_text(rule: VirtualRule) -> str:
    """One rule: what it looks at, in the order of ip-rule(8), and what happens then."""
    words = ["not"] if rule.invert else []
    words.append(f"from {'all' if rule.source is None else prefix_text(rule.source)}")
    if rule.destination is not None:
        words.append(f"to {prefix_text(rule.destination)}")
    words.append(f"priority {rule.preference}")
    words.append(f"tos {rule.tos:#x}")
    words += _selectors(rule)
    words += _action(rule)
    if rule.no_track:
        words.append("no_track")
    if rule.track_group is not None:
        words.append(f"track_group {rule.track_group}")
    return " ".join(words)


def _selectors(rule: VirtualRule) -> Iterator[str]:
    if rule.mark is not None:
        yield f"fwmark {rule.mark:#x}{'' if rule.mask is None else f'/{rule.mask:#x}'}"
    for name, text in (("iif", rule.input), ("oif", rule.output)):
        if text is not None:
            yield f"{name} {text}"
    for name, number in (
        ("suppress_prefixlen", rule.suppress_prefix_length),
        ("suppress_ifgroup", rule.suppress_group),
        ("tun_id", rule.tunnel_id),
    ):
        if number is not None:
            yield f"{name} {number}"
    yield from _ranges("uidrange", rule.uids)
    if not rule.no_track or rule.protocol != PROTOCOL_KEEPALIVED:
        yield f"protocol {rule.protocol}"
    if rule.ip_protocol is not None:
        yield f"ipproto {rule.ip_protocol}"
    yield from _ranges("sport", rule.source_ports)
    yield from _ranges("dport", rule.destination_ports)
    if rule.realms is not None:
        yield f"realms {realms_text(rule.realms)}"


def _ranges(name: str, pair: tuple[int, int] | None) -> Iterable[str]:
    return () if pair is None else (f"{name} {pair[0]}-{pair[1]}",)


def _action(rule: VirtualRule) -> Iterator[str]:
    if rule.action == "table":
        yield f"lookup {rule.table}"
    elif rule.action == "goto":
        yield f"goto {rule.target}"
    elif rule.action == "l3mdev":
        yield "l3mdev"
    else:
        yield f"type {rule.action}"

"""Whether routes and rules of ours are still in the kernel.

An event only rouses suspicion, a dump decides, as for addresses: our own removals come back as events too. A machine
may have a million routes of a routing daemon, so an event about a route whose protocol is not keepalived's is thrown
away by one byte of it, and a dump asks for keepalived's routes only.

IPv4 routes that go with their interface go without any event; who cares looks at the links.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any, Final

import msgspec

from pykeepalived.model.common import Family, IpPrefix
from pykeepalived.model.routing import PROTOCOL_KEEPALIVED, VirtualRoute, VirtualRule
from pykeepalived.netio import netlink
from pykeepalived.netio.pyroute import fibmsg, rtmsg
from pykeepalived.netio.reports import Reports

#: RTMGRP_IPV4_ROUTE, RTMGRP_IPV4_RULE, RTMGRP_IPV6_ROUTE and the bit of RTNLGRP_IPV6_RULE.
_GROUPS: Final = 0x40 | 0x80 | 0x400 | 1 << 18
_RECEIVE_BUFFER: Final = 1 << 20
_HEADER: Final = struct.Struct("=IHHII")
#: Where rtm_protocol stands behind the header.
_PROTOCOL_AT: Final = 5
#: The metric of an IPv6 route that has none.
_METRIC6: Final = 1024
_INVERT: Final = 2


class RouteKey(msgspec.Struct, frozen=True):
    """What tells one route from another."""

    destination: IpPrefix
    tos: int
    table: int
    metric: int
    gateway: str | None
    oif: int | None


class RuleKey(msgspec.Struct, frozen=True):
    """What tells one rule from another, as far as two of ours can differ with one preference."""

    family: int
    preference: int
    source: IpPrefix | None
    destination: IpPrefix | None
    input: str | None
    output: str | None
    mark: int | None
    table: int
    invert: bool


def route_key(route: VirtualRoute, index_of: Callable[[str], int | None], table: int) -> RouteKey:
    six = route.family is Family.INET6
    return RouteKey(
        destination=_network(route.destination),
        tos=0 if six else route.tos,
        table=table,
        metric=route.metric or (_METRIC6 if six else 0),
        gateway=route.via.gateway,
        oif=index_of(route.via.dev) if route.via.dev is not None else None,
    )


def rule_key(rule: VirtualRule) -> RuleKey:
    return RuleKey(
        family=rule.family,
        preference=rule.preference,
        source=rule.source,
        destination=rule.destination,
        input=rule.input,
        output=rule.output,
        mark=rule.mark,
        table=rule.table if rule.action == "table" else 0,
        invert=rule.invert,
    )


def read_route(message: Any) -> RouteKey:
    """What a `rtmsg` of pyroute2 says."""
    six = message["family"] == Family.INET6
    address = message.get("dst") or ("::" if six else "0.0.0.0")
    via = message.get("via")
    return RouteKey(
        destination=IpPrefix(address, message["dst_len"]),
        tos=0 if six else message["tos"],
        table=message.get("table") or message["table"],
        metric=message.get("priority") or 0,
        gateway=message.get("gateway") or (via.get("addr") if via else None),
        oif=message.get("oif"),
    )


def read_rule(message: Any) -> RuleKey:
    """What a `fibmsg` of pyroute2 says."""

    def prefix(word: str, length: int) -> IpPrefix | None:
        address = message.get(word)
        return None if address is None else IpPrefix(address, length)

    return RuleKey(
        family=message["family"],
        preference=message.get("priority") or 0,
        source=prefix("src", message["src_len"]),
        destination=prefix("dst", message["dst_len"]),
        input=message.get("iifname"),
        output=message.get("oifname"),
        mark=message.get("fwmark"),
        table=message.get("table") or message["table"],
        invert=bool(message["flags"] & _INVERT),
    )


def _network(prefix: IpPrefix) -> IpPrefix:
    family = socket.AF_INET6 if ":" in prefix.address else socket.AF_INET
    packed = socket.inet_pton(family, prefix.address)
    spare = len(packed) * 8 - prefix.length
    number = int.from_bytes(packed, "big") >> spare << spare
    return IpPrefix(socket.inet_ntop(family, number.to_bytes(len(packed), "big")), prefix.length)


class RouteWatch:
    """Events about routes and rules. Read it when `fileno()` is readable, and before judging what is there."""

    def __init__(self) -> None:
        """Raises OSError."""
        self._reports = Reports(_GROUPS, _RECEIVE_BUFFER)
        try:
            self._requests = netlink.Requests(strict=True)
        except BaseException:
            self._reports.close()
            raise

    def fileno(self) -> int:
        return self._reports.fileno()

    def close(self) -> None:
        self._reports.close()
        self._requests.close()

    def suspicious(self) -> bool:
        """Take in what was reported, one burst at most; whether a line of ours may have gone. Raises OSError."""
        found = False
        for data in self._reports.burst():
            found = found or data is None or _names_a_loss(data)
        return found

    def present(self) -> tuple[frozenset[RouteKey], frozenset[RuleKey]]:
        """Routes of keepalived's protocol, and all rules. Raises OSError."""
        routes: set[RouteKey] = set()
        rules: set[RuleKey] = set()
        for family in (Family.INET, Family.INET6):
            request = rtmsg()
            request["family"], request["proto"] = family, PROTOCOL_KEEPALIVED
            for item in self._requests.dump(netlink.RTM_GETROUTE, request):
                if item["proto"] == PROTOCOL_KEEPALIVED:
                    routes.add(read_route(item))
            request = fibmsg()
            request["family"] = family
            rules |= {read_rule(item) for item in self._requests.dump(netlink.RTM_GETRULE, request)}
        return frozenset(routes), frozenset(rules)


def _names_a_loss(data: bytes) -> bool:
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
        at = offset + _HEADER.size + _PROTOCOL_AT
        if length < _HEADER.size:
            return False
        if kind == netlink.RTM_DELRULE:
            return True
        if kind == netlink.RTM_DELROUTE and at < len(data) and data[at] == PROTOCOL_KEEPALIVED:
            return True
        offset += (length + 3) & ~3
    return False

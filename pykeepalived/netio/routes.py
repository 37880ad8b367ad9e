"""The bytes of route requests, and what tells one route from another.

The encoder is ours, as for addresses, because pyroute2's `rtmsg` has no words for half of the options (ip, ip6 and ila
encapsulation, expiry, TTL propagation, fast open) and because the routes of many instances go in one batch. pyroute2
carries the requests and reads the routes back; tests read our bytes with it, and compare the kernel's table with what
keepalived puts there.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Final

from pykeepalived.model.common import Family, IpPrefix, family_of
from pykeepalived.model.routing import Encapsulation, Nexthop, VirtualRoute
from pykeepalived.netio import netlink

_HEAD: Final = struct.Struct("=BBBBBBBBI")
_U16: Final = struct.Struct("=H")
_U32: Final = struct.Struct("=I")
_U64_BE: Final = struct.Struct(">Q")
_WAY: Final = struct.Struct("=HBBI")

_RTA_DST, _RTA_SRC, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_PREFSRC = 1, 2, 4, 5, 6, 7
_RTA_METRICS, _RTA_MULTIPATH, _RTA_FLOW, _RTA_TABLE, _RTA_VIA, _RTA_PREF = 8, 9, 11, 15, 18, 20
_RTA_ENCAP_TYPE, _RTA_ENCAP, _RTA_EXPIRES, _RTA_TTL_PROPAGATE = 21, 22, 23, 26
_NESTED: Final = 0x8000
_ONLINK: Final = 4

_TYPES: Final = {
    "unicast": 1, "local": 2, "broadcast": 3, "anycast": 4, "multicast": 5, "blackhole": 6, "unreachable": 7,
    "prohibit": 8, "throw": 9, "nat": 10, "xresolve": 11,
}  # fmt: skip
_METRICS: Final = {
    "mtu": 2, "window": 3, "rtt": 4, "rttvar": 5, "ssthresh": 6, "cwnd": 7, "advmss": 8, "reordering": 9,
    "hoplimit": 10, "initcwnd": 11, "features": 12, "rto_min": 13, "initrwnd": 14, "quickack": 15,
    "fastopen_no_cookie": 17,
}  # fmt: skip
_LOCK, _CONGESTION_CONTROL = 1, 16
_ENCAPSULATIONS: Final = {"mpls": 1, "ip": 2, "ila": 3, "ip6": 4}

_SCOPE_HOST, _SCOPE_LINK, _SCOPE_NOWHERE = 254, 253, 255
#: Scopes without which the kernel refuses a type (as in ip-route(8)); keepalived's request fails there.
_SCOPES: Final = {"local": _SCOPE_HOST, "broadcast": _SCOPE_LINK, "anycast": _SCOPE_LINK}

_MODES: Final = {
    "create": netlink.NLM_F_CREATE,
    "prepend": netlink.NLM_F_CREATE,
    "append": netlink.NLM_F_CREATE | netlink.NLM_F_APPEND,
    "add": netlink.NLM_F_CREATE | netlink.NLM_F_EXCL,
}


class NoInterface(LookupError):
    """The line names an interface that is not there; its name is the only argument."""


def flags(route: VirtualRoute) -> int:
    """The netlink flags of the request that adds it."""
    return _MODES[route.mode] | (netlink.NLM_F_EXCL if route.type != "unicast" else 0)


def encode(route: VirtualRoute, index_of: Callable[[str], int | None], table: int) -> bytes:
    """The body of RTM_NEWROUTE. `table` is the VRF's for a route with `vrf`, else the route's own.

    Raises NoInterface, and OSError for an address that is none.
    """
    scope = route.scope
    if scope is None:
        scope = _SCOPES.get(route.type, 0) if route.family is Family.INET else 0
    return _body(route, index_of, table, scope, _TYPES[route.type])


def encode_removal(route: VirtualRoute, index_of: Callable[[str], int | None], table: int) -> bytes:
    """The body of RTM_DELROUTE; scope and type stay open where the line leaves them open. Raises as `encode`."""
    scope = _SCOPE_NOWHERE if route.scope is None else route.scope
    return _body(route, index_of, table, scope, 0 if route.type == "unicast" else _TYPES[route.type])


def _body(route: VirtualRoute, index_of: Callable[[str], int | None], table: int, scope: int, kind: int) -> bytes:
    family = route.family
    source = route.source
    head = _HEAD.pack(
        family, route.destination.length, source.length if source else 0, route.tos, table if table < 256 else 0,
        route.protocol, scope, kind, _ONLINK if route.via.onlink else 0,
    )  # fmt: skip
    parts = [head]
    if route.destination.length or family is Family.INET6:
        parts.append(netlink.attribute(_RTA_DST, _packed(route.destination)))
    if source is not None:
        parts.append(netlink.attribute(_RTA_SRC, _packed(source)))
    if route.preferred_source is not None:
        own = route.preferred_source
        parts.append(netlink.attribute(_RTA_PREFSRC, socket.inet_pton(family_of(own), own)))
    if table >= 256:
        parts.append(netlink.attribute(_RTA_TABLE, _U32.pack(table)))
    if route.metric:
        parts.append(netlink.attribute(_RTA_PRIORITY, _U32.pack(route.metric)))
    parts.append(_way_attributes(route.via, family))
    if route.via.dev is not None:
        parts.append(netlink.attribute(_RTA_OIF, _U32.pack(_index(index_of, route.via.dev))))
    if route.nexthops:
        ways = b"".join(_nexthop(way, family, index_of) for way in route.nexthops)
        parts.append(netlink.attribute(_RTA_MULTIPATH, ways))
    parts.append(_metrics(route))
    if route.expires_s is not None:
        parts.append(netlink.attribute(_RTA_EXPIRES, _U32.pack(route.expires_s)))
    if route.preference is not None:
        parts.append(netlink.attribute(_RTA_PREF, bytes([route.preference])))
    if route.ttl_propagate is not None:
        parts.append(netlink.attribute(_RTA_TTL_PROPAGATE, bytes([route.ttl_propagate])))
    return b"".join(parts)


def _packed(prefix: IpPrefix) -> bytes:
    """The network of a prefix: bits beyond its length are zero, as the kernel wants them for IPv4."""
    packed = socket.inet_pton(family_of(prefix.address), prefix.address)
    bits = len(packed) * 8
    number = int.from_bytes(packed, "big") >> (bits - prefix.length) << (bits - prefix.length)
    return number.to_bytes(len(packed), "big")


def _index(index_of: Callable[[str], int | None], name: str) -> int:
    index = index_of(name)
    if index is None:
        raise NoInterface(name)
    return index


def _way_attributes(way: Nexthop, family: Family) -> bytes:
    parts = []
    if way.gateway is not None:
        other = family_of(way.gateway)
        packed = socket.inet_pton(other, way.gateway)
        if other is family:
            parts.append(netlink.attribute(_RTA_GATEWAY, packed))
        else:
            parts.append(netlink.attribute(_RTA_VIA, _U16.pack(other) + packed))
    if way.realms is not None:
        parts.append(netlink.attribute(_RTA_FLOW, _U32.pack(way.realms)))
    if way.encapsulation is not None:
        parts.append(netlink.attribute(_RTA_ENCAP | _NESTED, _encapsulation(way.encapsulation)))
        kind = _ENCAPSULATIONS[way.encapsulation.kind]
        parts.append(netlink.attribute(_RTA_ENCAP_TYPE, _U16.pack(kind)))
    return b"".join(parts)


def _nexthop(way: Nexthop, family: Family, index_of: Callable[[str], int | None]) -> bytes:
    attributes = _way_attributes(way, family)
    index = _index(index_of, way.dev) if way.dev is not None else 0
    size = _WAY.size + len(attributes)
    return _WAY.pack(size, _ONLINK if way.onlink else 0, way.weight - 1, index) + attributes


def _metrics(route: VirtualRoute) -> bytes:
    if not route.metrics and route.congestion_control is None:
        return b""
    locks = 0
    parts = []
    for item in route.metrics:
        number = _METRICS[item.name]
        locks |= item.locked << number
        parts.append(netlink.attribute(number, _U32.pack(item.number)))
    if route.congestion_control is not None:
        locks |= route.congestion_control_locked << _CONGESTION_CONTROL
        parts.append(netlink.attribute(_CONGESTION_CONTROL, route.congestion_control.encode()[:15] + b"\0"))
    if locks:
        parts.append(netlink.attribute(_LOCK, _U32.pack(locks)))
    return netlink.attribute(_RTA_METRICS | _NESTED, b"".join(parts))


def _encapsulation(wanted: Encapsulation) -> bytes:
    """The nested attributes of `LWTUNNEL_IP*`, `MPLS_IPTUNNEL_*` or `ILA_ATTR_*` (uapi/linux/lwtunnel.h and others)."""
    if wanted.kind == "mpls":
        stack = b"".join(
            (label << 12 | (number == len(wanted.labels) - 1) << 8).to_bytes(4, "big")
            for number, label in enumerate(wanted.labels)
        )
        ttl = b"" if wanted.ttl is None else netlink.attribute(2, bytes([wanted.ttl]))
        return netlink.attribute(1, stack) + ttl
    if wanted.kind == "ila":
        return netlink.attribute(1, _U64_BE.pack(wanted.locator or 0))
    parts = []
    if wanted.id is not None:
        parts.append(netlink.attribute(1, _U64_BE.pack(wanted.id)))
    for kind, address in ((2, wanted.destination), (3, wanted.source)):
        if address is not None:
            parts.append(netlink.attribute(kind, socket.inet_pton(family_of(address), address)))
    for kind, byte in ((4, wanted.ttl), (5, wanted.tos)):
        if byte is not None:
            parts.append(netlink.attribute(kind, bytes([byte])))
    if wanted.flags is not None:
        parts.append(netlink.attribute(6, struct.pack(">H", wanted.flags & 0xFFFF)))
    return b"".join(parts)

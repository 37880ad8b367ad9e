"""Routes and rules: what one line of `virtual_routes`, `static_routes`, `virtual_rules` or `static_rules` means.

Numbers are the kernel's (rtnetlink(7)); names of iproute2's lists (rt_tables, rt_protos, ...) have been looked up.
"""

from __future__ import annotations

import msgspec

from pykeepalived.model.common import Family, IpPrefix

#: The protocol number of keepalived (rt_protos), with which addresses, routes and rules are marked as its own.
PROTOCOL_KEEPALIVED = 18
TABLE_MAIN = 254
EVERYTHING = IpPrefix("0.0.0.0", 0)


class Encapsulation(msgspec.Struct, frozen=True, kw_only=True):
    """A light-weight tunnel (`encap`)."""

    kind: str
    """`ip`, `ip6`, `mpls` or `ila`."""
    id: int | None = None
    destination: str | None = None
    source: str | None = None
    tos: int | None = None
    """`tos` of ip, `tc` of ip6."""
    ttl: int | None = None
    """`ttl` of ip and mpls, `hoplimit` of ip6."""
    flags: int | None = None
    labels: tuple[int, ...] = ()
    locator: int | None = None


class Nexthop(msgspec.Struct, frozen=True, kw_only=True):
    """One way of a route."""

    gateway: str | None = None
    dev: str | None = None
    weight: int = 1
    onlink: bool = False
    encapsulation: Encapsulation | None = None
    realms: int | None = None
    """FROM in the upper 16 bits, TO in the lower."""


class Metric(msgspec.Struct, frozen=True):
    """One number that TCP takes from the route. The number is in the kernel's unit."""

    name: str
    number: int
    locked: bool = False


class VirtualRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `virtual_routes` or `static_routes`."""

    words: tuple[str, ...]
    """The line as it was written."""
    destination: IpPrefix = EVERYTHING
    family: Family = Family.INET
    type: str = "unicast"
    mode: str = "create"
    """`create`; `add` fails where the route exists; `append` and `prepend` say where it goes among its equals."""
    source: IpPrefix | None = None
    preferred_source: str | None = None
    via: Nexthop = Nexthop()
    nexthops: tuple[Nexthop, ...] = ()
    tos: int = 0
    table: int = TABLE_MAIN
    vrf: str | None = None
    """The table is that of this VRF."""
    protocol: int = PROTOCOL_KEEPALIVED
    scope: int | None = None
    metric: int = 0
    metrics: tuple[Metric, ...] = ()
    congestion_control: str | None = None
    congestion_control_locked: bool = False
    expires_s: int | None = None
    preference: int | None = None
    """IPv6 router preference: 0 medium, 1 high, 3 low."""
    ttl_propagate: bool | None = None
    no_track: bool = False
    track_group: str | None = None

    @property
    def tracked(self) -> bool:
        """Somebody who removes it is noticed (only with `dev`, as keepalived has it)."""
        return not self.no_track and self.via.dev is not None and not self.nexthops


class VirtualRule(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `virtual_rules` or `static_rules`."""

    words: tuple[str, ...]
    """The line as it was written."""
    family: Family = Family.INET
    invert: bool = False
    source: IpPrefix | None = None
    destination: IpPrefix | None = None
    action: str = "table"
    """`table`, `l3mdev`, `goto`, `nop`, `blackhole`, `unreachable` or `prohibit`."""
    table: int = 0
    target: int = 0
    """The preference that `goto` leads to."""
    preference: int = 0
    tos: int = 0
    mark: int | None = None
    mask: int | None = None
    realms: int | None = None
    suppress_prefix_length: int | None = None
    suppress_group: int | None = None
    input: str | None = None
    output: str | None = None
    tunnel_id: int | None = None
    uids: tuple[int, int] | None = None
    ip_protocol: int | None = None
    source_ports: tuple[int, int] | None = None
    destination_ports: tuple[int, int] | None = None
    protocol: int = PROTOCOL_KEEPALIVED
    no_track: bool = False
    track_group: str | None = None

    @property
    def tracked(self) -> bool:
        return not self.no_track

"""What the configuration says about interfaces themselves, and about the packet filter in front of the addresses."""

from __future__ import annotations

import msgspec


class FirewallSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How packets to the addresses of `no_accept` instances are stopped."""

    table: str = "keepalived"
    """nftables: the table, one of this name in each of the families ip and ip6."""
    priority: int = -1
    """nftables: of the base chains."""
    by_index: bool = False
    """nftables: match the interfaces of virtual MACs by their index, not by their name."""
    counters: bool = False
    """nftables: count what the rules match."""
    chains: tuple[str, ...] | None = None
    """iptables: the chain for what comes in and, if there is one, for what goes out; None: nftables is used."""
    sets: tuple[str, ...] | None = None
    """iptables: names of the ipsets for IPv4, IPv6 and link-local IPv6 addresses; None: one rule for each address."""
    chosen: bool = False
    """One of the words stands in the file."""


class InterfaceDelay(msgspec.Struct, frozen=True):
    """`interface_up_down_delays`: how long a change must last before it counts, in microseconds."""

    ifname: str
    down_us: int
    up_us: int = 0


class PolledLink(msgspec.Struct, frozen=True):
    """`linkbeat_interfaces`: an interface whose link is asked for every second."""

    ifname: str
    method: str | None = None
    """MII, ETHTOOL or IOCTL; None: the first of them that the interface answers."""

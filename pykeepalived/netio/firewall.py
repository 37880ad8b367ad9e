"""The packet filter in front of virtual addresses, as text for nft and as commands for iptables.

Two purposes (keepalived-behaviour section 9). A router that is not the owner of an address and has `no_accept` answers
to nobody under it: whatever comes to the address or from it is dropped, neighbour discovery apart. And a virtual MAC
interface may not show itself by reports of group membership: they leave through its base instead, and router
solicitations and advertisements of the base's link-local address do not leave at all.

The tables look like keepalived's, so that who reads `nft list ruleset` finds what he knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from pykeepalived.model.common import Family, family_of
from pykeepalived.model.links import FirewallSettings

_IP_NAMES: Final = {Family.INET: "ip", Family.INET6: "ip6"}
FAMILIES: Final = (Family.INET, Family.INET6)


class Blocked(msgspec.Struct, frozen=True):
    """An address that nobody may reach, and its interface (which counts for a link-local address)."""

    address: str
    ifname: str

    @property
    def family(self) -> Family:
        return family_of(self.address)

    @property
    def link_local(self) -> bool:
        return self.address.lower().startswith(("fe8", "fe9", "fea", "feb"))


class GuardedLink(msgspec.Struct, frozen=True):
    """A virtual MAC interface, its base, and the link-local address that both have (IPv6)."""

    ifname: str
    base: str
    family: Family
    kind: str = "macvlan"
    link_local: str | None = None


class Shape(msgspec.Struct, frozen=True):
    """What the tables have to have."""

    settings: FirewallSettings
    blocking: frozenset[Family] = frozenset()
    """The families of addresses of instances with `no_accept`."""
    link_local: bool = False
    """Some of them are link-local."""
    links: tuple[GuardedLink, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.blocking and not self.links


def table_text(shape: Shape, blocked: Iterable[Blocked]) -> str:
    """One transaction that puts both tables in place of whatever is there under their name."""
    found = sorted(set(blocked), key=str)
    text = removal_text(shape.settings.table)
    for family in FAMILIES:
        links = [link for link in shape.links if link.family is family]
        if links or family in shape.blocking:
            text += _table(family, shape, links, [item for item in found if item.family is family])
    return text


def removal_text(table: str) -> str:
    """Removes both tables; `add` first, because deleting what is not there is an error."""
    return "".join(f"add table {name} {table}\ndelete table {name} {table}\n" for name in _IP_NAMES.values())


def element_text(settings: FirewallSettings, change: Sequence[tuple[bool, Blocked]]) -> str:
    """Adds (True) and deletes elements of the sets of blocked addresses."""
    lines = []
    for add, item in change:
        name = _IP_NAMES[item.family]
        words = "add" if add else "delete"
        if item.link_local:
            lines.append(
                f'{words} element {name} {settings.table} vips_link_local {{ {item.address} . "{item.ifname}" }}\n'
            )
        else:
            lines.append(f"{words} element {name} {settings.table} vips {{ {item.address} }}\n")
    return "".join(lines)


def _set(name: str, kind: str, elements: Sequence[str], *, what: str = "set", constant: bool = False) -> str:
    flags = " flags constant;" if constant else ""
    inside = f" elements = {{ {', '.join(elements)} }};" if elements else ""
    return f"{what} {name} {{ type {kind};{flags}{inside} }}\n"


def _table(family: Family, shape: Shape, links: Sequence[GuardedLink], blocked: Sequence[Blocked]) -> str:
    parts = [f"table {_IP_NAMES[family]} {shape.settings.table} {{\n"]
    if family is Family.INET6:
        parts += _sets6(shape, links, blocked)
    else:
        parts += _link_map(links)
        if family in shape.blocking:
            parts.append(_set("vips", "ipv4_addr", [item.address for item in blocked]))
    hook = f"priority {shape.settings.priority}; policy accept;"
    out = _guards(family, shape.settings, links)
    if family in shape.blocking:
        out += _drops(family, "saddr", "out", shape.settings)
    parts.append(f"chain out {{\ntype filter hook output {hook}\n{''.join(out)}}}\n")
    if family in shape.blocking:
        into = _drops(family, "daddr", "in", shape.settings)
        parts.append(f"chain in {{\ntype filter hook input {hook}\n{''.join(into)}}}\n")
    if family is Family.INET6 and family in shape.blocking:
        drop = f"@vips_link_local{_count(shape.settings)} drop\n" if shape.link_local else ""
        parts.append(f"chain in_link_local {{\n{drop and 'ip6 daddr . iif ' + drop}}}\n")
        parts.append(f"chain out_link_local {{\n{drop and 'ip6 saddr . oif ' + drop}}}\n")
    return "".join(parts) + "}\n"


def _sets6(shape: Shape, links: Sequence[GuardedLink], blocked: Sequence[Blocked]) -> list[str]:
    by_index = shape.settings.by_index
    parts = []
    if links:
        elements = [f'{link.link_local} . "{link.ifname}"' for link in links if link.link_local]
        kind = "iface_index" if by_index else "ifname"
        parts.append(_set("parent_link_local", f"ipv6_addr . {kind}", elements))
        parts += _link_map(links)
        parts.append(_set("vmac_set", "iface_index", [f'"{link.ifname}"' for link in links]))
        reports = ["mld-listener-report", "mld2-listener-report"]
        parts.append(_set("mld-report", "icmpv6_type", reports, constant=True))
    if Family.INET6 in shape.blocking:
        discovery = ["nd-neighbor-solicit", "nd-neighbor-advert"]
        parts.append(_set("vips", "ipv6_addr", [item.address for item in blocked if not item.link_local]))
        parts.append(_set("neighbor-discovery", "icmpv6_type", discovery, constant=True))
        local = [f'{item.address} . "{item.ifname}"' for item in blocked if item.link_local]
        if shape.link_local:
            parts.append(_set("vips_link_local", "ipv6_addr . iface_index", local))
    return parts


def _link_map(links: Sequence[GuardedLink]) -> list[str]:
    elements = [f'"{link.ifname}" : "{link.base}"' for link in links]
    return [_set("vmac_map", "iface_index : iface_index", elements, what="map")] if links else []


def _count(settings: FirewallSettings) -> str:
    return " counter" if settings.counters else ""


def _guards(family: Family, settings: FirewallSettings, links: Sequence[GuardedLink]) -> list[str]:
    """Rules for what a virtual MAC interface would send on its own."""
    count = _count(settings)
    rules = []
    for kind in sorted({link.kind for link in links}, reverse=True):
        own = f'meta oifkind "{kind}"'
        if family is Family.INET:
            rules.append(f"ip protocol igmp {own} dup to ip daddr device oif map @vmac_map{count} drop\n")
            continue
        match = "oif" if settings.by_index else "oifname"
        rules.append(f"icmpv6 type nd-neighbor-advert {own} ip6 saddr . {match} @parent_link_local{count} drop\n")
        rules.append(f"icmpv6 type @mld-report {own} dup to ip6 daddr device oif map @vmac_map{count} drop\n")
        rules.append(f"icmpv6 type nd-router-solicit {own} oif @vmac_set{count} drop\n")
    return rules


def _drops(family: Family, side: str, chain: str, settings: FirewallSettings) -> list[str]:
    count = _count(settings)
    if family is Family.INET:
        return [f"ip {side} @vips{count} drop\n"]
    return [
        "icmpv6 type @neighbor-discovery accept\n",
        f"ip6 {side} fe80::/10 goto {chain}_link_local\n",
        f"ip6 {side} @vips{count} drop\n",
    ]

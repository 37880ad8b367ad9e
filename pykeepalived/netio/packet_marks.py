"""The nftables rules that mark the packets of virtual server groups, as text for nft (`nftables_ipvs`).

The tables look like keepalived's: a map of addresses and ports per protocol, and a chain at the input hook, before
IPVS sees the packet. Ours besides: an entry for all ports stands in a map of its own, by address alone; keepalived's
rules mark only packets to port 0 for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pykeepalived.model.common import Family
from pykeepalived.model.lvs import PacketMarks, Protocol

FAMILIES = {Family.INET: "ip", Family.INET6: "ip6"}
_ADDRESSES = {Family.INET: "ipv4_addr", Family.INET6: "ipv6_addr"}

Marked = tuple[Protocol, Family, str, str, int, int]
"""Protocol, family, first and last address, port (0: all), mark."""


def marks_text(settings: PacketMarks, marked: Iterable[Marked]) -> str:
    """One transaction that puts our tables in place of whatever is there under their name."""
    everything = list(marked)
    text = marks_removal(settings)
    for family in FAMILIES:
        mine = [item for item in everything if item[1] is family]
        if mine:
            text += _table(settings, family, mine)
    return text


def marks_removal(settings: PacketMarks) -> str:
    """`add` first, because deleting what is not there is an error."""
    return "".join(
        f"add table {name} {settings.table}\ndelete table {name} {settings.table}\n" for name in FAMILIES.values()
    )


def _table(settings: PacketMarks, family: Family, marked: Sequence[Marked]) -> str:
    name, address = FAMILIES[family], _ADDRESSES[family]
    count = " counter" if settings.counters else ""
    counted = "counter; " if settings.counters else ""
    maps: list[str] = []
    rules: list[str] = []
    for protocol in Protocol:
        word = protocol.name.lower()
        ports = [item for item in marked if item[0] is protocol and item[4]]
        whole = [item for item in marked if item[0] is protocol and not item[4]]
        if ports:
            elements = ", ".join(f"{_range(item)} . {item[4]} : {item[5]:#x}" for item in ports)
            maps.append(
                f"map {word}_map {{ type {address} . inet_service : mark; flags interval; {counted}"
                f"elements = {{ {elements} }} }}\n"
            )
            rules.append(f"meta mark set {name} daddr . {word} dport map @{word}_map{count} return\n")
        if whole:
            elements = ", ".join(f"{_range(item)} : {item[5]:#x}" for item in whole)
            maps.append(
                f"map {word}_all_map {{ type {address} : mark; flags interval; {counted}"
                f"elements = {{ {elements} }} }}\n"
            )
            rules.append(f"meta l4proto {word} meta mark set {name} daddr map @{word}_all_map{count} return\n")
    chain = f"type filter hook input priority {settings.priority}; policy accept;"
    return f"table {name} {settings.table} {{\n{''.join(maps)}chain in {{\n{chain}\n{''.join(rules)}}}\n}}\n"


def _range(item: Marked) -> str:
    return item[2] if item[2] == item[3] else f"{item[2]}-{item[3]}"

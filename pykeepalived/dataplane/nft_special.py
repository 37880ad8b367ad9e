"""Hooks that only some services need, made with the first of them: connection limits and one-packet scheduling.

A destination with an upper threshold has a set of as many places. A connection that is sent to it takes a place or,
when there is none, tries the next destination; its packets keep the place, its end gives it back, and so do 15
minutes of silence (5 for UDP), as IPVS's own time limits do.

One-packet scheduling translates without connection tracking: each datagram to the service on its own, and each datagram
from a destination's port back to the service's address.

    map limited   { member : goto CHAIN that keeps the place }
    map ops       { VIP . protocol . port : goto CHAIN }
    map ops_back  { RIP . protocol . RPORT : goto CHAIN that translates back }
"""

from __future__ import annotations

from collections.abc import Iterator

from pykeepalived.dataplane.nft_names import (
    PROTOCOLS,
    chain_of,
    flow_expression,
    member_chain_of,
    member_of,
    slots_of,
    table_of,
    track_of,
    type_of,
    word_of,
)
from pykeepalived.dataplane.nft_skeleton import by_protocol
from pykeepalived.lvs.table import DestinationKey, Entry, ServiceKey
from pykeepalived.model.common import Family

_IDLE_S = {6: 900, 17: 300, 132: 900}


def limit_skeleton(family: Family) -> str:
    place, address = table_of(family), type_of(family)
    flow = f"{address} . inet_proto . inet_service . {address} . inet_service"
    lines = [f"add map {place} limited {{ type {flow} : verdict; }}"]
    for chain, hook in (("places", "postrouting"), ("places_local", "input")):
        lines.append(f"add chain {place} {chain} {{ type filter hook {hook} priority 1; }}")
        lines.append(f"flush chain {place} {chain}")
    for name in PROTOCOLS.values():
        lines += [f"add chain {place} places_{name}", f"flush chain {place} places_{name}"]
        rule = f"meta l4proto {name} {flow_expression(family)} vmap @limited"
        lines.append(f"add rule {place} places_{name} {rule}")
    lines += [f"add rule {place} {chain} {by_protocol('places')}" for chain in ("places", "places_local")]
    return "\n".join(lines) + "\n"


def ops_skeleton(family: Family) -> str:
    place, ip = table_of(family), word_of(family)
    kind = f"{type_of(family)} . inet_proto . inet_service : verdict"
    lines = [f"add map {place} {name} {{ type {kind}; }}" for name in ("ops", "ops_back")]
    for chain, hook in (
        ("ops_in", "filter hook prerouting priority raw"),
        ("ops_out", "route hook output priority raw"),
        # After the routing decision: an answer that comes from an address of this host is refused before it.
        ("ops_forward", "filter hook postrouting priority filter"),
        ("ops_input", "filter hook input priority raw"),
    ):
        lines.append(f"add chain {place} {chain} {{ type {hook}; }}")
        lines.append(f"flush chain {place} {chain}")
    there = f"{ip} daddr . meta l4proto . th dport"
    back = f"{ip} saddr . meta l4proto . th sport"
    lines += [
        f"add rule {place} ops_in {there} vmap @ops",
        f"add rule {place} ops_in {back} @ops_back notrack",
        f"add rule {place} ops_out {there} vmap @ops",
        f"add rule {place} ops_forward {back} vmap @ops_back",
        f"add rule {place} ops_input {back} vmap @ops_back",
    ]
    return "\n".join(lines) + "\n"


# ---- places ----


def slots_set(family: Family, size: int) -> str:
    return f"{{ type {type_of(family)} . inet_service; flags dynamic,timeout; size {size}; }}"


def caller(family: Family, protocol: int) -> str:
    return f"ct original {word_of(family)} saddr . ct original proto-src timeout {_IDLE_S[protocol]}s"


def track_rules(key: ServiceKey, kept: DestinationKey) -> Iterator[str]:
    """A packet keeps its connection's place; the end of a connection gives it back."""
    who = f"ct original {word_of(key.family)} saddr . ct original proto-src"
    slots, track = slots_of(key, kept), track_of(key, kept)
    match = f"meta l4proto {PROTOCOLS[key.protocol]}"
    if key.protocol == 6:
        yield f"{track} tcp flags & (fin|rst) != 0 delete @{slots} {{ {who} }} return"
    yield f"{track} {match} {who} @{slots} update @{slots} {{ {caller(key.family, key.protocol)} }}"


def limited_element(key: ServiceKey, kept: DestinationKey) -> str:
    return f"limited {{ {member_of(key, DestinationKey(kept.address, kept.port or key.port))}"


# ---- one packet ----


def ops_back_chain(key: ServiceKey) -> str:
    return f"{chain_of(key)}__back"


def ops_rules(key: ServiceKey, kept: DestinationKey) -> Iterator[str]:
    ip = word_of(key.family)
    chain = member_chain_of(key, kept)
    flow = f"{key.address} . {key.protocol} . {key.port} . {kept.address} . {kept.port or key.port}"
    counted = " ".join(f"add @{name} {{ {flow} }}" for name in ("opened", "inbound"))
    yield f"{chain} {counted}"
    yield f"{chain} notrack {ip} daddr set {kept.address} udp dport set {kept.port or key.port}"


def ops_back_rules(key: ServiceKey) -> Iterator[str]:
    ip = word_of(key.family)
    flow = f"{key.address} . {key.protocol} . {key.port} . {ip} saddr . th sport"
    chain = ops_back_chain(key)
    yield f"{chain} add @outbound {{ {flow} }}"
    yield f"{chain} {ip} saddr set {key.address} udp sport set {key.port}"


def ops_back_elements(key: ServiceKey, entry: Entry) -> list[str]:
    return [
        f"{kept.address} . {PROTOCOLS[key.protocol]} . {kept.port or key.port} : goto {ops_back_chain(key)}"
        for kept in entry.destinations
    ]

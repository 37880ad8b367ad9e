"""The chains and sets of one service, and the rules in them.

A service needs one chain with one rule when all that it does is to choose an address and a port. A destination gets a
chain of its own where that is not enough: persistence, connection limits, ports left as they came, firewall marks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from pykeepalived.dataplane.nft_direct import is_direct
from pykeepalived.dataplane.nft_names import (
    PROTOCOLS,
    chain_of,
    clients_of,
    member_chain_of,
    slots_of,
    track_of,
    word_of,
)
from pykeepalived.dataplane.nft_schedule import as_map, choice
from pykeepalived.dataplane.nft_sources import client_of, clients_set
from pykeepalived.dataplane.nft_special import (
    caller,
    limited_element,
    ops_back_chain,
    ops_back_rules,
    ops_rules,
    slots_set,
    track_rules,
)
from pykeepalived.lvs.table import Destination, DestinationKey, Entry, ServiceKey
from pykeepalived.model.common import Family

_Active = Sequence[tuple[DestinationKey, int]]

_REJECT: Final = {Family.INET: "icmp type port-unreachable", Family.INET6: "icmpv6 type port-unreachable"}


class Parts(msgspec.Struct):
    """What a service has in the table beside the elements that register it."""

    chains: list[str] = []
    sets: dict[str, str] = {}
    rules: list[str] = []
    limited: list[str] = []


def active_of(entry: Entry) -> list[tuple[DestinationKey, int]]:
    return [(kept, value.weight) for kept, value in entry.destinations.items() if value.weight > 0]


def parts_of(key: ServiceKey, entry: Entry | None) -> Parts:
    """Everything of a service; nothing for None."""
    if entry is None:
        return Parts()
    parts = Parts(chains=[chain_of(key)])
    active = active_of(entry)
    if not active:
        # Only new connections come here.
        parts.rules.append(f"{chain_of(key)} reject with {_REJECT[key.family]}")
    if is_direct(entry):
        return parts
    if entry.service.one_packet:
        _one_packet(parts, key, entry, active)
    elif _is_simple(key, entry, active):
        parts.rules += [_simple_rule(key, entry, active)] if active else []
    elif active:
        _members(parts, key, entry, active)
    return parts


def ops_chain(key: ServiceKey) -> str:
    return f"{chain_of(key)}__ops"


def _is_simple(key: ServiceKey, entry: Entry, active: _Active) -> bool:
    if key.fwmark or not key.port or entry.service.persistence_timeout_s:
        return False
    return not any(entry.destinations[kept].upper_threshold for kept, _ in active)


def _simple_rule(key: ServiceKey, entry: Entry, active: _Active) -> str:
    number, table = choice(entry.service, active, key.family)
    elements = ", ".join(f"{where} : {kept.address} . {kept.port or key.port}" for where, kept in as_map(table))
    protocol = PROTOCOLS[key.protocol]
    return f"{chain_of(key)} meta l4proto {protocol} dnat {word_of(key.family)} to {number} map {{ {elements} }}"


def _one_packet(parts: Parts, key: ServiceKey, entry: Entry, active: _Active) -> None:
    parts.chains += [ops_chain(key), ops_back_chain(key)]
    parts.rules += ops_back_rules(key)
    for kept, _ in active:
        parts.chains.append(member_chain_of(key, kept))
        parts.rules += ops_rules(key, kept)
    if active:
        parts.rules.append(f"{ops_chain(key)} {_choose(key, entry, active)}")


def _members(parts: Parts, key: ServiceKey, entry: Entry, active: _Active) -> None:
    chain = chain_of(key)
    limited = [pair for pair in active if entry.destinations[pair[0]].upper_threshold]
    client = client_of(key.family, entry.service)
    for kept, _ in active:
        own = member_chain_of(key, kept)
        parts.chains.append(own)
        if entry.service.persistence_timeout_s:
            parts.sets[clients_of(key, kept)] = clients_set(key.family)
            parts.rules.append(f"{chain} {client} @{clients_of(key, kept)} goto {own}")
        value = entry.destinations[kept]
        if value.upper_threshold:
            own = _limit(parts, key, kept, value)
        parts.rules += _delivery(key, entry, kept, own)
    parts.rules.append(f"{chain} {_choose(key, entry, active)}")
    if limited:
        parts.chains.append(_over(key))
        parts.rules += _over_rules(key, entry, active, limited)


def _delivery(key: ServiceKey, entry: Entry, kept: DestinationKey, chain: str) -> Iterator[str]:
    ip = word_of(key.family)
    timeout_s = entry.service.persistence_timeout_s
    if timeout_s:
        client = client_of(key.family, entry.service)
        yield f"{chain} update @{clients_of(key, kept)} {{ {client} timeout {timeout_s}s }}"
    port = kept.port or key.port
    if not port:
        yield f"{chain} dnat {ip} to {kept.address}"
        return
    protocol = PROTOCOLS.get(key.protocol, "{ tcp, udp, sctp }")
    target = f"[{kept.address}]" if key.family is Family.INET6 else kept.address
    yield f"{chain} meta l4proto {protocol} dnat {ip} to {target}:{port}"


def _choose(key: ServiceKey, entry: Entry, active: _Active) -> str:
    number, table = choice(entry.service, active, key.family)
    elements = ", ".join(f"{where} : goto {member_chain_of(key, kept)}" for where, kept in as_map(table))
    return f"{number} vmap {{ {elements} }}"


# ---- thresholds ----


def _limit(parts: Parts, key: ServiceKey, kept: DestinationKey, value: Destination) -> str:
    """Adds a destination's places; the chain of a connection that got one."""
    own, slots, taken = member_chain_of(key, kept), slots_of(key, kept), _taken(key, kept)
    parts.chains += [taken, track_of(key, kept)]
    parts.sets[slots] = slots_set(key.family, value.upper_threshold)
    parts.rules.append(f"{own} {_take(key, kept)}")
    parts.rules.append(f"{own} goto {_over(key)}")
    parts.rules += track_rules(key, kept)
    parts.limited.append(f"{limited_element(key, kept)} : goto {track_of(key, kept)} }}")
    return taken


def _over_rules(key: ServiceKey, entry: Entry, active: _Active, limited: _Active) -> Iterator[str]:
    """Where a connection goes whose first choice is full."""
    free = [pair for pair in active if pair not in limited]
    if free:
        yield f"{_over(key)} {_choose(key, entry, free)}"
        return
    for kept, _ in limited:
        yield f"{_over(key)} {_take(key, kept)}"
    yield f"{_over(key)} reject with {_REJECT[key.family]}"


def _take(key: ServiceKey, kept: DestinationKey) -> str:
    who = caller(key.family, key.protocol)
    return f"meta l4proto {PROTOCOLS[key.protocol]} add @{slots_of(key, kept)} {{ {who} }} goto {_taken(key, kept)}"


def _taken(key: ServiceKey, kept: DestinationKey) -> str:
    return f"{member_chain_of(key, kept)}_taken"


def _over(key: ServiceKey) -> str:
    return f"{chain_of(key)}__over"

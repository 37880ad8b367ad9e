"""Direct routing: packets that come in for a service go out again unchanged, to the link-layer address of a server.

nftables can do that where a packet enters, before the kernel's own routing: a `netdev` table with a chain on every
interface. `fwd ip to ADDRESS device NAME` lets the kernel find the server's link-layer address, as it does for a
router's next hop. There is no connection tracking so early, so each service has a map of its own from client
to server, in which a packet keeps its entry alive, with IPVS's time limits.

    table netdev pykeepalived_lvs
      map services_ip, services_ip6     { VIP . protocol . port : goto CHAIN }
      map all_ports_ip, all_ports_ip6   { VIP . protocol : goto CHAIN }
      map targets_ip, targets_ip6       { number of a destination : RIP }
      map ways                          { number of a destination : interface }
      set opened_ip, inbound_ip, …      { VIP . protocol . port . number }   counters
      set CHAIN__closing                clients that have said goodbye: their last words do not make them open again
      chain CHAIN                       known client? else choose
      chain CHAIN__known                keep the entry, count, send
      chain CHAIN__RIP_RPORT            a destination: note persistence, take its number
      chain entry                       on every interface

A number stands in the packet's mark while the packet is in these chains; nothing later sees it, as the packet leaves
there. What stays of a service that goes is told in `nft_routed`. Not covered: fragments that are not the first of their
packet, connections of the director to itself, firewall marks (set later than this).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Final

from pykeepalived.dataplane.nft_names import (
    PROTOCOLS,
    TABLE,
    chain_of,
    clients_of,
    many,
    member_chain_of,
    place_of,
    type_of,
    word_of,
)
from pykeepalived.dataplane.nft_schedule import HASH_SEED, as_map, choice
from pykeepalived.dataplane.nft_sources import client_of, clients_set
from pykeepalived.lvs.table import Destination, DestinationKey, Entry, ServiceKey
from pykeepalived.model.common import Family
from pykeepalived.model.lvs import ForwardingMethod

PLACE: Final = f"netdev {TABLE}"
_TCP, _UDP = 6, 17
_IDLE_S: Final = {_TCP: 900, _UDP: 300, 132: 900}
_CLOSING_S: Final = 120
#: Any field of 32 bits without a meaning of its own: nft 1.0.6 crashes as it lists a `typeof` of the hash itself.
_FLOW_TYPE: Final = "typeof tcp sequence"
_FLOWS_LIMIT: Final = 1_048_576
_COUNTED_LIMIT: Final = 65_536


def is_direct(entry: Entry | None) -> bool:
    """Whether a service is balanced here. `unsupported` keeps DR and NAT apart."""
    return entry is not None and any(
        value.forwarding.method is ForwardingMethod.DR for value in entry.destinations.values()
    )


def number_of(key: ServiceKey, kept: DestinationKey) -> int:
    """A destination's number: the same in every run, never 0."""
    digest = blake2b(f"{chain_of(key)} {kept.address} {kept.port}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") or 1


def direct_skeleton(devices: Sequence[tuple[int, str]]) -> str:
    """The table and its chain on these interfaces; again to change the interfaces."""
    lines = [f"add table {PLACE}"]
    for family in Family:
        ip, address = word_of(family), type_of(family)
        wide = f"{address} . inet_proto"
        lines += [
            f"add map {PLACE} services_{ip} {{ type {wide} . inet_service : verdict; }}",
            f"add map {PLACE} all_ports_{ip} {{ type {wide} : verdict; }}",
            f"add map {PLACE} targets_{ip} {{ type mark : {address}; }}",
        ]
        for name in ("opened", "inbound"):
            kind = f"type {wide} . inet_service . mark; flags dynamic; size {_COUNTED_LIMIT}; counter;"
            lines.append(f"add set {PLACE} {name}_{ip} {{ {kind} }}")
    lines.append(f"add map {PLACE} ways {{ type mark : iface_index; }}")
    for number, device in devices:
        chain = f"entry_{number}"
        hook = f'type filter hook ingress device "{device}" priority -200;'
        lines += [f"add chain {PLACE} {chain} {{ {hook} }}", f"flush chain {PLACE} {chain}"]
        for family in Family:
            ip = word_of(family)
            ours = f"meta pkttype host {ip} daddr . meta l4proto"
            lines.append(f"add rule {PLACE} {chain} {ours} . th dport vmap @services_{ip}")
            lines.append(f"add rule {PLACE} {chain} {ours} vmap @all_ports_{ip}")
    return "\n".join(lines) + "\n"


def lingers(key: ServiceKey, *, drain: bool) -> bool:
    """Whether a service that goes leaves its connections: datagrams have none."""
    return drain and key.protocol != _UDP


def direct_change(
    key: ServiceKey,
    old: Entry | None,
    new: Entry | None,
    devices: Mapping[str, int],
    *,
    drain: bool,
    left: Mapping[int, int] | None = None,
) -> list[str]:
    """Commands for a service that is or was balanced here. `devices`: the interface index towards each address.

    `drain`: flows of a removed destination still go to it, those of a removed service (`lingers`) too; else they fall
    to the director, which refuses them. `left`: `old` is not balanced here, but has left its flows; the interface
    index towards the destinations of these numbers until now.
    """
    was, now = is_direct(old), is_direct(new)
    lines: list[str] = []
    before = _members(old) if was else {}
    after = _members(new) if now else {}
    if was or left is not None:
        lines.append(f"delete element {PLACE} {_service_map(key)} {{ {place_of(key)} }}")
        lines.append(f"flush chain {PLACE} {chain_of(key)}")
        lines += [f"flush chain {PLACE} {member_chain_of(key, kept)}" for kept in before]
    if now and new is not None:
        if left is not None:
            numbered = ((number_of(key, kept), devices[kept.address]) for kept in after)
            stale = [str(number) for number, device in numbered if left.get(number, device) != device]
            lines += many("delete", PLACE, "ways", stale)
            emptied = [_known(key), *(member_chain_of(key, kept) for kept in after)]
            lines += [f"{word} chain {PLACE} {chain}" for chain in emptied for word in ("add", "flush")]
        lines += _introduction(key, old if was else None, new, devices)
    lines += [f"delete chain {PLACE} {member_chain_of(key, kept)}" for kept in before if kept not in after]
    old_clients, new_clients = _client_sets(key, old if was else None), _client_sets(key, new if now else None)
    lines += [f"delete set {PLACE} {name}" for name in old_clients if name not in new_clients]
    stays = lingers(key, drain=drain) if not now else drain
    numbers = [] if stays else [str(number_of(key, kept)) for kept in before if kept not in after]
    lines += many("delete", PLACE, f"targets_{word_of(key.family)}", numbers)
    lines += many("delete", PLACE, "ways", numbers)
    if was and not now:
        lines += _remainder(key) if stays else _deletion(key)
    return lines


def forgotten(key: ServiceKey) -> list[str]:
    """Commands that remove what a service has left."""
    unregistered = f"delete element {PLACE} {_service_map(key)} {{ {place_of(key)} }}"
    return [unregistered, f"flush chain {PLACE} {chain_of(key)}", *_deletion(key)]


def _remainder(key: ServiceKey) -> list[str]:
    """What stays of a service: its known flows go on."""
    return [f"add rule {PLACE} {_known_goes_on(key)}", _registration(key)]


def _deletion(key: ServiceKey) -> list[str]:
    lines = [f"delete chain {PLACE} {chain_of(key)}", f"delete chain {PLACE} {_known(key)}"]
    lines.append(f"delete map {PLACE} {flows_of(key)}")
    return lines + ([f"delete set {PLACE} {closing_of(key)}"] if key.protocol == _TCP else [])


def _registration(key: ServiceKey) -> str:
    return f"add element {PLACE} {_service_map(key)} {{ {place_of(key)} : goto {chain_of(key)} }}"


def _known_goes_on(key: ServiceKey) -> str:
    return f"{chain_of(key)} meta mark set {_flow(key)} map @{flows_of(key)} goto {_known(key)}"


def _introduction(key: ServiceKey, old: Entry | None, new: Entry, devices: Mapping[str, int]) -> Iterator[str]:
    ip = word_of(key.family)
    before, after = _members(old), _members(new)
    if old is None:
        kind = f"{_FLOW_TYPE} : meta mark"
        yield f"add map {PLACE} {flows_of(key)} {{ {kind}; flags dynamic,timeout; size {_FLOWS_LIMIT}; }}"
        if key.protocol == _TCP:
            yield f"add set {PLACE} {closing_of(key)} {{ {_FLOW_TYPE}; flags dynamic,timeout; size {_FLOWS_LIMIT}; }}"
        yield f"add chain {PLACE} {chain_of(key)}"
        yield f"add chain {PLACE} {_known(key)}"
        yield from (f"add rule {PLACE} {rule}" for rule in _known_rules(key))
    for kept in after:
        if kept not in before:
            number = number_of(key, kept)
            yield f"add chain {PLACE} {member_chain_of(key, kept)}"
            yield f"add element {PLACE} targets_{ip} {{ {number} : {kept.address} }}"
            yield f"add element {PLACE} ways {{ {number} : {devices[kept.address]} }}"
    held = _client_sets(key, old)
    for name in _client_sets(key, new):
        if name not in held:
            yield f"add set {PLACE} {name} {clients_set(key.family)}"
    yield from (f"add rule {PLACE} {rule}" for rule in _rules(key, new))
    yield _registration(key)


def _rules(key: ServiceKey, entry: Entry) -> Iterator[str]:
    chain, known = chain_of(key), _known(key)
    yield _known_goes_on(key)
    if key.protocol == _TCP:
        yield f"{chain} tcp flags & (fin|syn|rst|ack) != syn return"
    active = [(kept, value.weight) for kept, value in entry.destinations.items() if value.weight > 0]
    if not active:
        return
    ip = word_of(key.family)
    client = client_of(key.family, entry.service)
    timeout_s = entry.service.persistence_timeout_s
    for kept, _ in active:
        own, number = member_chain_of(key, kept), number_of(key, kept)
        if timeout_s:
            yield f"{chain} {client} @{clients_of(key, kept)} goto {own}"
            yield f"{own} update @{clients_of(key, kept)} {{ {client} timeout {timeout_s}s }}"
        counted = f"add @opened_{ip} {{ {ip} daddr . meta l4proto . {_port(key)} . meta mark }}"
        yield f"{own} meta mark set {number} {counted} goto {known}"
    expression, table = choice(entry.service, active, key.family)
    elements = ", ".join(f"{where} : goto {member_chain_of(key, kept)}" for where, kept in as_map(table))
    yield f"{chain} {expression} vmap {{ {elements} }}"


def _known_rules(key: ServiceKey) -> Iterator[str]:
    ip, known = word_of(key.family), _known(key)
    match = f"{known} meta l4proto {PROTOCOLS[key.protocol]}"
    kept = f"update @{flows_of(key)} {{ {_flow(key)} timeout"
    yield f"{match} {kept} {_IDLE_S[key.protocol]}s : meta mark }}"
    if key.protocol == _TCP:
        flow = f"{{ {_flow(key)}"
        yield f"{known} tcp flags & (fin|syn|rst|ack) == syn delete @{closing_of(key)} {flow} }}"
        yield f"{known} tcp flags & (fin|rst) != 0 add @{closing_of(key)} {flow} timeout {_CLOSING_S}s }}"
        again = f"update @{closing_of(key)} {flow} timeout {_CLOSING_S}s }}"
        yield f"{known} {_flow(key)} @{closing_of(key)} {again} {kept} {_CLOSING_S}s : meta mark }}"
    yield f"{known} add @inbound_{ip} {{ {ip} daddr . meta l4proto . {_port(key)} . meta mark }}"
    yield f"{known} fwd {ip} to meta mark map @targets_{ip} device meta mark map @ways"
    # Its destination has gone: the director itself answers.
    yield f"{known} meta mark set 0"


def _members(entry: Entry | None) -> Mapping[DestinationKey, Destination]:
    return {} if entry is None else entry.destinations


def _client_sets(key: ServiceKey, entry: Entry | None) -> list[str]:
    if entry is None or not entry.service.persistence_timeout_s:
        return []
    return [clients_of(key, kept) for kept, value in entry.destinations.items() if value.weight > 0]


def _port(key: ServiceKey) -> str:
    return str(key.port)


def _flow(key: ServiceKey) -> str:
    """A client's connection as a 32-bit number: two that share one share a server, no more.

    The addresses and ports themselves will not do: nft 1.0.6 makes wrong code for a map that is filled under a
    concatenation longer than 16 bytes.
    """
    ports = "th sport" if key.port else "th sport . th dport"
    return f"jhash {word_of(key.family)} saddr . {ports} mod 4294967295 seed {HASH_SEED:#x}"


def _service_map(key: ServiceKey) -> str:
    return f"{'services' if key.port else 'all_ports'}_{word_of(key.family)}"


def flows_of(key: ServiceKey) -> str:
    """The map of a service's connections: to numbers of destinations."""
    return f"{chain_of(key)}__flows"


def closing_of(key: ServiceKey) -> str:
    """The set of those of them whose client has closed."""
    return f"{chain_of(key)}__closing"


def _known(key: ServiceKey) -> str:
    return f"{chain_of(key)}__known"

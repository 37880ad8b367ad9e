"""What is the same for all services: the sets, the hooks and the counting.

    table ip pykeepalived_lvs
      map services    { VIP . protocol . port : goto CHAIN }     comment: scheduler, flags, persistence
      map all_ports   { VIP . protocol : goto CHAIN }
      map marks       { mark : goto CHAIN }
      set members     { VIP . protocol . port . RIP . RPORT }    comment: weight, method, thresholds
      set marked      { mark . RIP . RPORT }                     comment: likewise
      set members_all, marked_to                                 the same without ports, to know a flow of ours by
      set opened, inbound, outbound                              counters, keyed as members; made by the first packet
      set …_all                                                  for services of all ports: VIP . protocol . RIP
      set seen, marked_flows                                     which flows came with which mark
      chain CHAIN                                                one per service: choose and translate
      chain balance                                              mark, then address and port, then address
      chain fresh                                                first packets of connections: counts them
      chain count                                                all packets of translated connections, as few
                                                                 expressions as possible

Counters are not made with the destination but by its first connection: that halves the time in which a large table
loads. A lookup in a set with counters counts, which is why `fresh` looks before it adds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pykeepalived.dataplane.nft_names import (
    COUNTED,
    PROTOCOLS,
    flow_expression,
    table_of,
    type_of,
    wide_expression,
    word_of,
)
from pykeepalived.model.common import Family

#: Destinations that can be counted; and flows (addresses and ports, not clients) of marks, which strangers can cause.
COUNTED_LIMIT: Final = 1_048_576
SEEN_LIMIT: Final = 16_384


def skeleton(family: Family, *, masquerade: bool) -> str:
    """Commands that make the table, its sets and its hooks; running them again changes nothing."""
    place = table_of(family)
    lines = [f"add table {place}", *_sets(family)]
    hooks = {
        "balance": "",
        "prerouting": "type nat hook prerouting priority dstnat;",
        "output": "type nat hook output priority -100;",
        "fresh": "type nat hook postrouting priority 90;",
        "fresh_local": "type nat hook input priority 90;",
        "count": "type filter hook postrouting priority filter;",
        "count_local": "type filter hook input priority filter;",
        "count_out": "",
    }
    if masquerade:
        hooks["hide"] = "type nat hook postrouting priority srcnat;"
    for chain, hook in hooks.items():
        lines.append(f"add chain {place} {chain} {{ {hook} }}" if hook else f"add chain {place} {chain}")
        lines.append(f"flush chain {place} {chain}")
    if not masquerade:
        # An earlier run may have hidden clients.
        lines += [f"add chain {place} hide {{ type nat hook postrouting priority srcnat; }}"]
        lines += [f"flush chain {place} hide", f"delete chain {place} hide"]
    rules = [*_base_rules(family), *_count_rules(family), *(_hide_rules(family) if masquerade else ())]
    lines += [f"add rule {place} {rule}" for rule in rules]
    return "\n".join(lines) + "\n"


def _sets(family: Family) -> Iterator[str]:
    place, address = table_of(family), type_of(family)
    wide = f"{address} . inet_proto"
    narrow = f"{wide} . inet_service"
    flow = f"{narrow} . {address} . inet_service"
    for name, kind in (("services", narrow), ("all_ports", wide), ("marks", "mark")):
        yield f"add map {place} {name} {{ type {kind} : verdict; }}"
    for name, kind in (
        ("members", flow),
        ("marked", f"mark . {address} . inet_service"),
        ("members_all", f"{wide} . {address}"),
        ("marked_to", f"mark . {address}"),
    ):
        yield f"add set {place} {name} {{ type {kind}; }}"
    for name in COUNTED:
        yield f"add set {place} {name} {{ type {flow}; flags dynamic; size {COUNTED_LIMIT}; counter; }}"
        wide_type = f"type {wide} . {address}"
        yield f"add set {place} {name}_all {{ {wide_type}; flags dynamic; size {COUNTED_LIMIT}; counter; }}"
    # Five fields are the most that nft 1.0.6 can have in a key, so this one goes without the protocol.
    came = f"mark . {address} . inet_service . {address} . inet_service"
    yield f"add set {place} seen {{ type {came}; flags dynamic; size {SEEN_LIMIT}; }}"
    yield f"add set {place} marked_flows {{ type {flow}; flags dynamic; size {SEEN_LIMIT}; }}"


def by_protocol(what: str, verdict: str = "goto") -> str:
    """A rule that sends translated connections on by their protocol."""
    targets = ", ".join(f"{name} : {verdict} {what}_{name}" for name in PROTOCOLS.values())
    return f"ct status dnat meta l4proto vmap {{ {targets} }}"


def _base_rules(family: Family) -> Iterator[str]:
    ip = word_of(family)
    yield "balance meta mark != 0 meta mark vmap @marks"
    yield f"balance {ip} daddr . meta l4proto . th dport vmap @services"
    yield f"balance {ip} daddr . meta l4proto vmap @all_ports"
    yield "prerouting jump balance"
    yield "output jump balance"


def _count_rules(family: Family) -> Iterator[str]:
    """The same in every chain: what is likeliest first, and before source addresses are translated."""
    ip = word_of(family)
    called = f"ct original {ip} daddr . meta l4proto"
    there, back = (f"{called} . ct original proto-dst . {ip} {end}" for end in ("daddr . th dport", "saddr . th sport"))
    wide_there, wide_back = f"{called} . {ip} daddr", f"{called} . {ip} saddr"
    matches = [f"meta l4proto {name}" for name in PROTOCOLS.values()]
    # Answers to connections of the director itself, and packets to a server on the director, pass the local hooks.
    for chain in ("fresh", "fresh_local"):
        yield f"{chain} ct status & dnat == 0 return"
        yield from (f"{chain} {match} {there} @opened return" for match in matches)
        yield f"{chain} {wide_there} @opened_all return"
        for match in matches:
            first = f"add @opened {{ {there} }} add @inbound {{ {there} }} return"
            yield f"{chain} {match} {there} @members {first}"
        first = f"add @opened_all {{ {wide_there} }} add @inbound_all {{ {wide_there} }} return"
        yield f"{chain} {wide_there} @members_all {first}"
        for match in matches:
            ports = there.replace("meta l4proto . ", "")
            came = f"meta mark . {ip} daddr @marked_to add @seen {{ meta mark . {ports} }}"
            first = f"add @opened {{ {there} }} add @inbound {{ {there} }} return"
            yield f"{chain} {match} {came} add @marked_flows {{ {there} }} {first}"
    for chain in ("count", "count_local"):
        yield f"{chain} ct status & dnat == 0 return"
        yield f"{chain} ct direction reply goto count_out"
        yield from (f"{chain} {match} {there} @inbound return" for match in matches)
        yield f"{chain} {wide_there} @inbound_all return"
    yield from (f"count_out {match} {back} @outbound return" for match in matches)
    yield f"count_out {wide_back} @outbound_all return"
    yield from (f"count_out {match} {back} @members add @outbound {{ {back} }} return" for match in matches)
    yield f"count_out {wide_back} @members_all add @outbound_all {{ {wide_back} }} return"
    yield from (f"count_out {match} {back} @marked_flows add @outbound {{ {back} }} return" for match in matches)


def _hide_rules(family: Family) -> Iterator[str]:
    ip = word_of(family)
    for name in PROTOCOLS.values():
        match = f"ct status dnat meta l4proto {name}"
        yield f"hide {match} {flow_expression(family)} @members masquerade"
        yield f"hide {match} {wide_expression(family)} @members_all masquerade"
        yield f"hide {match} meta mark . ct reply {ip} saddr @marked_to masquerade"

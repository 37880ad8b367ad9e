"""The nft text of one service: its chain, its maps, and the commands that change one into another.

    table ip pykeepalived_lvs
      map services   { VIP . protocol . port : goto CHAIN }     comment: scheduler, flags, persistence
      map all_ports  { VIP . protocol : goto CHAIN }
      map marks      { mark : goto CHAIN }
      set members    { VIP . protocol . port . RIP . RPORT }    comment: weight
      set marked     { mark . RIP . RPORT }                     comment: weight
      set inbound, outbound, opened                             counters, keyed as members
      set refused, refused_all, refused_marks                   services without a destination
      chain CHAIN                                               one per service: choose and translate
      chain balance                                             mark, then address and port, then address
      chain prerouting, output, postrouting, input, forward     hooks

The comments are how a later run, or the drift check, reads the table back. A destination gets a chain of its own only
where one is needed (persistence, or ports left as they came).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pykeepalived.dataplane.nft_schedule import as_map, choice
from pykeepalived.lvs.table import Destination, DestinationKey, Entry, Service, ServiceKey
from pykeepalived.model.common import Family
from pykeepalived.model.lvs import Forwarding

TABLE: Final = "pykeepalived_lvs"
#: Clients that one destination remembers for persistence.
CLIENTS_LIMIT: Final = 262_144
_PROTOCOLS: Final = {6: "tcp", 17: "udp", 132: "sctp"}


def table_of(family: Family) -> str:
    return f"{'ip6' if family is Family.INET6 else 'ip'} {TABLE}"


def chain_of(key: ServiceKey) -> str:
    """`tcp_10.0.0.5_80`, `mark_7`: the name of a service's chain, from its key alone."""
    if key.fwmark:
        return f"mark_{key.fwmark}"
    return f"{_PROTOCOLS[key.protocol]}_{_word(key.address)}_{key.port}"


def member_chain_of(key: ServiceKey, kept: DestinationKey) -> str:
    return f"{chain_of(key)}__{_word(kept.address)}_{kept.port}"


def _word(address: str) -> str:
    return address.replace(":", "_")


# ---- what is the same for all services ----


def skeleton(family: Family, *, masquerade: bool) -> str:
    """Commands that make the table, its sets and its hooks; running them again changes nothing."""
    ip6 = family is Family.INET6
    ip, address = ("ip6", "ipv6_addr") if ip6 else ("ip", "ipv4_addr")
    flow = f"{address} . inet_proto . inet_service . {address} . inet_service"
    place = table_of(family)
    lines = [f"add table {place}"]
    for name, kind in (
        ("services", f"{address} . inet_proto . inet_service : verdict"),
        ("all_ports", f"{address} . inet_proto : verdict"),
        ("marks", "mark : verdict"),
    ):
        lines.append(f"add map {place} {name} {{ type {kind}; }}")
    for name, kind in (
        ("members", flow),
        ("marked", f"mark . {address} . inet_service"),
        ("refused", f"{address} . inet_proto . inet_service"),
        ("refused_all", f"{address} . inet_proto"),
        ("refused_marks", "mark"),
    ):
        lines.append(f"add set {place} {name} {{ type {kind}; }}")
    for name in ("inbound", "outbound", "opened"):
        lines.append(f"add set {place} {name} {{ type {flow}; counter; }}")
    hooks = {
        "balance": "",
        "prerouting": "type nat hook prerouting priority dstnat;",
        "output": "type nat hook output priority -100;",
        "postrouting": "type filter hook postrouting priority filter;",
        "input": "type filter hook input priority filter;",
        "forward": "type filter hook forward priority filter;",
    }
    if masquerade:
        hooks["hide"] = "type nat hook postrouting priority srcnat;"
    for chain, hook in hooks.items():
        lines.append(f"add chain {place} {chain} {{ {hook} }}" if hook else f"add chain {place} {chain}")
        lines.append(f"flush chain {place} {chain}")
    lines += [f"add rule {place} {rule}" for rule in _base_rules(ip, masquerade)]
    return "\n".join(lines) + "\n"


def _base_rules(ip: str, masquerade: bool) -> Iterator[str]:
    yield "balance meta mark vmap @marks"
    yield f"balance {ip} daddr . meta l4proto . th dport vmap @services"
    yield f"balance {ip} daddr . meta l4proto vmap @all_ports"
    yield "prerouting jump balance"
    yield "output jump balance"
    for protocol in _PROTOCOLS.values():
        to_vip = f"ct original {ip} daddr . meta l4proto . ct original proto-dst"
        match = f"ct status dnat meta l4proto {protocol}"
        target = f"{ip} daddr . th dport"
        yield f"postrouting {match} ct direction original ct state new {to_vip} . {target} @opened"
        yield f"postrouting {match} ct direction original {to_vip} . {target} @inbound"
        yield f"postrouting {match} ct direction reply {to_vip} . {ip} saddr . th sport @outbound"
        if masquerade:
            yield f"hide {match} {to_vip} . {target} @members masquerade"
    for chain in ("input", "forward"):
        reject = f"reject with icmp{'v6' if ip == 'ip6' else ''} type port-unreachable"
        yield f"{chain} {ip} daddr . meta l4proto . th dport @refused {reject}"
        yield f"{chain} {ip} daddr . meta l4proto @refused_all ct state new {reject}"
        yield f"{chain} meta mark @refused_marks ct state new {reject}"


# ---- one service ----


def change(key: ServiceKey, old: Entry | None, new: Entry | None) -> str:
    """Commands that turn a service from `old` into `new`; None: it does not exist."""
    place = table_of(key.family)
    lines: list[str] = []
    old_members = _members(key, old)
    new_members = _members(key, new)
    chain = chain_of(key)
    if new is not None:
        lines.append(f"add chain {place} {chain}")
        for kept in new_members:
            if kept not in old_members:
                lines += [f"add set {place} {_clients(key, kept)} {_clients_set(key.family)}"] if _persists(new) else []
                lines.append(f"add chain {place} {member_chain_of(key, kept)}")
            elif _persists(new) and (old is None or not _persists(old)):
                lines.append(f"add set {place} {_clients(key, kept)} {_clients_set(key.family)}")
    if old is not None:
        lines.append(f"delete element {place} {_service_element(key, None)}")
        lines += [f"flush chain {place} {chain}"]
        lines += [f"flush chain {place} {member_chain_of(key, kept)}" for kept in old_members]
    if new is not None:
        lines += [f"add rule {place} {rule}" for rule in _rules(key, new, new_members)]
        lines.append(f"add element {place} {_service_element(key, new.service)}")
    else:
        lines.append(f"delete chain {place} {chain}")
    for kept in old_members:
        if kept not in new_members:
            lines.append(f"delete chain {place} {member_chain_of(key, kept)}")
            lines += [f"delete set {place} {_clients(key, kept)}"] if old is not None and _persists(old) else []
        elif old is not None and _persists(old) and (new is None or not _persists(new)):
            lines.append(f"delete set {place} {_clients(key, kept)}")
    lines += _elements(key, old, new)
    return "\n".join(lines) + "\n"


def _active(entry: Entry) -> list[tuple[DestinationKey, int]]:
    return [(kept, value.weight) for kept, value in entry.destinations.items() if value.weight > 0]


def _persists(entry: Entry) -> bool:
    return bool(entry.service.persistence_timeout_s)


def _members(key: ServiceKey, entry: Entry | None) -> list[DestinationKey]:
    """Destinations that have a chain of their own: all that take new connections, if any needs one."""
    if entry is None:
        return []
    active = [kept for kept, _ in _active(entry)]
    own_ports = bool(key.port) or all(kept.port for kept in active)
    simple = own_ports and not key.fwmark and bool(key.port)
    return [] if simple and not _persists(entry) else active


def _rules(key: ServiceKey, entry: Entry, members: Sequence[DestinationKey]) -> Iterator[str]:
    active = _active(entry)
    if not active:
        return
    chain = chain_of(key)
    ip = "ip6" if key.family is Family.INET6 else "ip"
    number, table = choice(entry.service, active, key.family)
    if not members:
        elements = ", ".join(f"{where} : {kept.address} . {kept.port or key.port}" for where, kept in as_map(table))
        protocol = _PROTOCOLS[key.protocol]
        yield f"{chain} meta l4proto {protocol} dnat {ip} to {number} map {{ {elements} }}"
        return
    client = _client(key.family, entry.service)
    for kept in members:
        own = member_chain_of(key, kept)
        if _persists(entry):
            yield f"{chain} {client} @{_clients(key, kept)} goto {own}"
            timeout_s = entry.service.persistence_timeout_s
            yield f"{own} update @{_clients(key, kept)} {{ {client} timeout {timeout_s}s }}"
        port = kept.port or key.port
        if not port:
            yield f"{own} dnat {ip} to {kept.address}"
            continue
        protocol = _PROTOCOLS.get(key.protocol, "{ tcp, udp, sctp }")
        target = f"[{kept.address}]" if ip == "ip6" else kept.address
        yield f"{own} meta l4proto {protocol} dnat {ip} to {target}:{port}"
    elements = ", ".join(f"{where} : goto {member_chain_of(key, kept)}" for where, kept in as_map(table))
    yield f"{chain} {number} vmap {{ {elements} }}"


def _clients(key: ServiceKey, kept: DestinationKey) -> str:
    return f"{member_chain_of(key, kept)}_clients"


def _clients_set(family: Family) -> str:
    address = "ipv6_addr" if family is Family.INET6 else "ipv4_addr"
    return f"{{ type {address}; flags dynamic,timeout; size {CLIENTS_LIMIT}; }}"


def _client(family: Family, service: Service) -> str:
    prefix = service.persistence_prefix
    if family is Family.INET6:
        if prefix is None:
            return "ip6 saddr"
        mask = (1 << 128) - (1 << (128 - prefix))
        groups = ":".join(f"{mask >> shift & 0xFFFF:x}" for shift in range(112, -1, -16))
        return f"ip6 saddr & {groups}"
    if prefix is None:
        return "ip saddr"
    mask = (1 << 32) - (1 << (32 - prefix))
    return "ip saddr & " + ".".join(str(mask >> shift & 0xFF) for shift in (24, 16, 8, 0))


# ---- elements: services, members, refusals, counters ----


def _service_element(key: ServiceKey, service: Service | None) -> str:
    comment = f' comment "{service_comment(service)}"' if service is not None else ""
    verdict = f" : goto {chain_of(key)}" if service is not None else ""
    if key.fwmark:
        return f"marks {{ {key.fwmark}{comment}{verdict} }}"
    place = f"{key.address} . {_PROTOCOLS[key.protocol]}"
    if not key.port:
        return f"all_ports {{ {place}{comment}{verdict} }}"
    return f"services {{ {place} . {key.port}{comment}{verdict} }}"


def _elements(key: ServiceKey, old: Entry | None, new: Entry | None) -> list[str]:
    place = table_of(key.family)
    before = old.destinations if old is not None else {}
    after = new.destinations if new is not None else {}
    registry = "marked" if key.fwmark else "members"
    counters = ("inbound", "outbound", "opened") if key.port else ()
    changed = [kept for kept, value in before.items() if after.get(kept) != value]
    gone = [kept for kept in changed if kept not in after]
    come = [kept for kept in after if kept not in before]
    commented = [
        f'{_member(key, kept)} comment "{value.weight}"' for kept, value in after.items() if before.get(kept) != value
    ]
    lines = [_many("delete", place, registry, [_member(key, kept) for kept in changed])]
    lines += [_many("delete", place, name, [_member(key, kept) for kept in gone]) for name in counters]
    lines.append(_many("add", place, registry, commented))
    lines += [_many("add", place, name, [_member(key, kept) for kept in come]) for name in counters]
    was_refused = old is not None and not _active(old)
    is_refused = new is not None and not _active(new)
    if was_refused != is_refused:
        word = "add" if is_refused else "delete"
        lines.append(f"{word} element {place} {_refusal(key)}")
    return [line for line in lines if line]


def _many(word: str, place: str, name: str, elements: Sequence[str]) -> str:
    """One command for many elements; empty for none."""
    return f"{word} element {place} {name} {{ {', '.join(elements)} }}" if elements else ""


def _member(key: ServiceKey, kept: DestinationKey) -> str:
    place = str(key.fwmark) if key.fwmark else f"{key.address} . {_PROTOCOLS[key.protocol]} . {key.port}"
    return f"{place} . {kept.address} . {kept.port}"


def _refusal(key: ServiceKey) -> str:
    if key.fwmark:
        return f"refused_marks {{ {key.fwmark} }}"
    place = f"{key.address} . {_PROTOCOLS[key.protocol]}"
    return f"refused {{ {place} . {key.port} }}" if key.port else f"refused_all {{ {place} }}"


def service_comment(service: Service) -> str:
    """A service's attributes as a comment that `read_service_comment` reads back."""
    prefix = "-" if service.persistence_prefix is None else str(service.persistence_prefix)
    return f"{service.scheduler} {service.scheduler_flags} {service.persistence_timeout_s} {prefix}"


def read_service_comment(comment: str) -> Service | None:
    """None when the comment is not one of ours."""
    words = comment.split()
    if len(words) != 4 or not (words[1].isdecimal() and words[2].isdecimal()):
        return None
    return Service(
        scheduler=words[0],
        scheduler_flags=int(words[1]),
        persistence_timeout_s=int(words[2]),
        persistence_prefix=int(words[3]) if words[3].isdecimal() else None,
    )


def read_weight(comment: str) -> Destination | None:
    """None when the comment is not one of ours."""
    return Destination(weight=int(comment), forwarding=Forwarding()) if comment.isdecimal() else None

"""From configuration to the table: which services a virtual server stands for, and what they hold.

A virtual server of an address or a firewall mark is one service. One of a group is a service per address of each range
and one per mark, all with the same real servers (keepalived-behaviour 10.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import TypeVar

import msgspec

from pykeepalived.lvs.names import ServiceRef, family_of_server
from pykeepalived.lvs.table import Destination, DestinationKey, Entry, Service, ServiceKey
from pykeepalived.model.common import Family, family_of
from pykeepalived.model.config import Config
from pykeepalived.model.lvs import (
    AddressSelector,
    ForwardingMethod,
    FwmarkSelector,
    GroupAddress,
    GroupSelector,
    Protocol,
    RealServer,
    SorryServer,
    VirtualServer,
    VirtualServerGroup,
)

_Target = TypeVar("_Target", RealServer, SorryServer)

#: Persistence that an all-ports service gets when the file gives none, as in keepalived.
ALL_PORTS_PERSISTENCE_S = 360
#: No group may stand for more services than this: a typing error in an IPv6 range must not fill the memory.
GROUP_LIMIT = 65536


def services_of(config: Config) -> list[ServiceRef]:
    """The virtual servers of a configuration in file order, numbered per group.

    keepalived gives servers that are not reached by NAT the port of the service (0 for a mark), in its messages too;
    with ldirectord the table alone does so (`entry`).
    """
    used: dict[str, int] = {}
    refs: list[ServiceRef] = []
    for server in config.virtual_servers:
        number = 0
        if isinstance(server.selector, GroupSelector):
            number = used.get(server.selector.name, 0)
            used[server.selector.name] = number + 1
        corrected = server
        if config.ldirectord is None:
            corrected = with_service_ports(with_group_persistence(server, config.virtual_server_groups))
        refs.append(ServiceRef(corrected, number))
    return refs


def with_group_persistence(server: VirtualServer, groups: Iterable[VirtualServerGroup]) -> VirtualServer:
    """One entry for all ports makes all services of a group persistent, as in keepalived."""
    selector = server.selector
    if not isinstance(selector, GroupSelector) or server.persistence_timeout_s:
        return server
    for group in groups:
        if group.name == selector.name and any(
            isinstance(item, GroupAddress) and not item.port for item in group.entries
        ):
            return msgspec.structs.replace(server, persistence_timeout_s=ALL_PORTS_PERSISTENCE_S)
    return server


def with_service_ports(server: VirtualServer) -> VirtualServer:
    """The virtual server with the ports of its DR and TUN servers as keepalived corrects (and names) them.

    Those of a group keep theirs, as its services may have several ports; the table is corrected by `entry`.
    """
    selector = server.selector
    if isinstance(selector, GroupSelector):
        return server
    port = selector.port if isinstance(selector, AddressSelector) else 0

    def corrected(target: _Target) -> _Target:
        wrong = target.port != port and target.forwarding.method is not ForwardingMethod.NAT
        return msgspec.structs.replace(target, port=port) if wrong else target

    real_servers = tuple(corrected(real) for real in server.real_servers)
    sorry = None if server.sorry_server is None else corrected(server.sorry_server)
    if all(
        new is old for new, old in zip((*real_servers, sorry), (*server.real_servers, server.sorry_server), strict=True)
    ):
        return server
    return msgspec.structs.replace(server, real_servers=real_servers, sorry_server=sorry)


def service_keys(server: VirtualServer, groups: Iterable[VirtualServerGroup]) -> list[ServiceKey]:
    """The kernel services that a virtual server stands for, in the order of the file."""
    selector = server.selector
    protocol = server.protocol or Protocol.UDP
    if isinstance(selector, AddressSelector):
        family = family_of(selector.address)
        return [ServiceKey.for_address(protocol, selector.address, selector.port, family)]
    if isinstance(selector, FwmarkSelector):
        return [ServiceKey.for_mark(selector.fwmark, family_of_server(server))]
    chosen = [group for group in groups if group.name == selector.name]
    default = family_of_server(server, tuple(chosen))
    keys: dict[ServiceKey, None] = {}
    for group in chosen:
        for entry in group.entries:
            if isinstance(entry, GroupAddress):
                for address in addresses_between(entry.first, entry.last):
                    keys[ServiceKey.for_address(protocol, address, entry.port, family_of(address))] = None
            else:
                keys[ServiceKey.for_mark(entry.fwmark, entry.family or default)] = None
    return list(keys)


def addresses_between(first: str, last: str) -> Iterator[str]:
    """All addresses of an inclusive range, at most `GROUP_LIMIT`."""
    if first == last:
        yield first
        return
    start, end = ip_address(first), ip_address(last)
    if start.version != end.version:
        return
    for number in range(int(start), min(int(end), int(start) + GROUP_LIMIT - 1) + 1):
        yield str(type(start)(number))


def service_attributes(server: VirtualServer, key: ServiceKey) -> Service:
    """Scheduler, flags and persistence of one service."""
    persistence_s = server.persistence_timeout_s
    if not persistence_s and not key.fwmark and key.port == 0:
        persistence_s = ALL_PORTS_PERSISTENCE_S
    return Service(
        scheduler=server.scheduler,
        scheduler_flags=server.scheduler_flags,
        one_packet=server.one_packet and (key.protocol == Protocol.UDP or bool(key.fwmark)),
        persistence_timeout_s=persistence_s,
        persistence_prefix=_prefix(server, key.family) if persistence_s else None,
        persistence_engine=server.persistence_engine,
    )


def entry(
    server: VirtualServer,
    key: ServiceKey,
    destinations: Iterable[tuple[DestinationKey, Destination]],
    *,
    marks_keep_ports: bool = False,
) -> Entry:
    """What the table is to hold under one key.

    Destinations that are not reached by NAT get the port of the service; under a mark that is 0, unless
    `marks_keep_ports` (ldirectord, whose ipvsadm leaves them alone there). Destinations of the other family are left
    out unless a tunnel carries them.
    """
    held: dict[DestinationKey, Destination] = {}
    for destination_key, destination in destinations:
        method = destination.forwarding.method
        if family_of(destination_key.address) is not key.family and method is not ForwardingMethod.TUN:
            continue
        kept = destination_key
        if method is not ForwardingMethod.NAT and not (key.fwmark and marks_keep_ports):
            kept = DestinationKey(destination_key.address, key.port)
        held.setdefault(kept, destination)
    return Entry(service_attributes(server, key), held)


def named_destinations(server: VirtualServer) -> list[tuple[DestinationKey, Destination]]:
    """Every destination that the configuration names, whatever its health."""
    named = [
        (
            DestinationKey(real.address, real.port),
            Destination(
                weight=real.weight,
                forwarding=real.forwarding,
                upper_threshold=real.upper_threshold,
                lower_threshold=real.lower_threshold,
            ),
        )
        for real in server.real_servers
    ]
    sorry = server.sorry_server
    if sorry is not None:
        place = DestinationKey(sorry.address, sorry.port)
        named.append((place, Destination(weight=sorry.weight, forwarding=sorry.forwarding)))
    return named


def _prefix(server: VirtualServer, family: Family) -> int | None:
    """A prefix that groups nothing is the same as none, so that what we ask and what the kernel shows compare equal.

    The services of a group have none: keepalived (2.2.7 and 2.4.3, seen) gives them the whole address in any case.
    """
    if isinstance(server.selector, GroupSelector):
        return None
    whole = 32 if family is Family.INET else 128
    return None if server.persistence_prefix in {None, whole} else server.persistence_prefix

"""What nftables cannot do, in words that name the cause; and what it does otherwise than the file says."""

from __future__ import annotations

from collections.abc import Iterator

from pykeepalived.dataplane.nft_schedule import APPROXIMATIONS, SUPPORTED
from pykeepalived.lvs.table import Destination, DestinationKey, Entry, Service, ServiceKey
from pykeepalived.model.lvs import ForwardingMethod


def reasons(key: ServiceKey, entry: Entry) -> list[str]:
    """Why a service cannot be done; empty when it can."""
    return [*service_reasons(key, entry.service), *destination_reasons(key, entry.service, entry.destinations)]


def service_reasons(key: ServiceKey, service: Service) -> Iterator[str]:
    if service.scheduler not in SUPPORTED:
        yield f"scheduler {service.scheduler} needs IPVS"
    if service.persistence_engine:
        yield f"persistence engine {service.persistence_engine} needs IPVS"
    if service.one_packet:
        if key.protocol != 17 or not key.port:
            yield "one-packet scheduling (ops) without IPVS needs a UDP service of one port"
        elif service.persistence_timeout_s:
            yield "one-packet scheduling (ops) with persistence needs IPVS"


def destination_reasons(
    key: ServiceKey, service: Service, destinations: dict[DestinationKey, Destination]
) -> Iterator[str]:
    methods = {value.forwarding.method for value in destinations.values()}
    if len(methods) > 1:
        yield f"forwarding methods {' and '.join(sorted(method.value for method in methods))} in one service need IPVS"
    direct = ForwardingMethod.DR in methods
    if direct and key.fwmark:
        yield "forwarding method DR of a service by fwmark needs IPVS"
    if direct and service.one_packet:
        yield "one-packet scheduling (ops) with forwarding method DR needs IPVS"
    for kept, value in destinations.items():
        where = f"[{kept.address}]:{kept.port}"
        if value.forwarding.method is ForwardingMethod.TUN:
            yield f"forwarding method TUN of {where} needs IPVS"
        if value.upper_threshold or value.lower_threshold:
            if direct or service.one_packet:
                yield f"connection thresholds of {where} with {'DR' if direct else 'ops'} need IPVS"
            elif key.fwmark or not key.port:
                yield f"connection thresholds of {where} without IPVS need a service of one port"


def remarks(entry: Entry) -> Iterator[str]:
    """What is done otherwise than the file says."""
    scheduler = entry.service.scheduler
    if scheduler in APPROXIMATIONS:
        yield f"scheduler {scheduler} is approximated by {APPROXIMATIONS[scheduler]}"
    if any(value.lower_threshold for value in entry.destinations.values()):
        yield "lower thresholds have no effect: a full server takes connections again as soon as one ends"

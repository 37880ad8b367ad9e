"""What each dataplane cannot do of a service, by the word that asks for it; and what nftables does otherwise.

Known without looking at a kernel, so that a configuration's check can say it where the word stands.
`docs/dataplanes.md` has the same as a table.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from pykeepalived.lvs.table import Destination, DestinationKey, Entry, Service, ServiceKey
from pykeepalived.model.lvs import ForwardingMethod

#: Schedulers that nftables has not, with those that stand for them.
APPROXIMATIONS: Final = {"lc": "rr", "nq": "rr", "wlc": "wrr", "sed": "wrr", "twos": "random"}
SUPPORTED: Final = frozenset({"rr", "wrr", "sh", "dh", "mh", "fo", "random", *APPROXIMATIONS})
#: Schedulers that IPVS has under no name.
ONLY_NFTABLES: Final = frozenset({"random"})
_UDP: Final = 17


class Refusal(msgspec.Struct, frozen=True):
    """Why a service cannot be done."""

    about: str
    """The field of the model whose word asks for it: scheduler, persistence_engine, one_packet, forwarding,
    upper_threshold, lower_threshold."""
    reason: str
    """In words that name the cause and follow on "is not served: "."""
    destination: DestinationKey | None = None
    """The destination that it is about; None: the service."""


def ipvs_refusals(entry: Entry) -> Iterator[Refusal]:
    """What no kernel's IPVS does. That this kernel lacks a scheduler is found when it is asked to use it."""
    if entry.service.scheduler in ONLY_NFTABLES:
        yield Refusal("scheduler", f"IPVS has no scheduler {entry.service.scheduler}, only nftables has it")


def nftables_refusals(key: ServiceKey, entry: Entry) -> Iterator[Refusal]:
    """What nftables cannot do."""
    yield from _of_service(key, entry.service)
    yield from _of_destinations(key, entry.service, entry.destinations)


def _of_service(key: ServiceKey, service: Service) -> Iterator[Refusal]:
    if service.scheduler not in SUPPORTED:
        yield Refusal("scheduler", f"scheduler {service.scheduler} needs IPVS")
    if service.persistence_engine:
        yield Refusal("persistence_engine", f"persistence engine {service.persistence_engine} needs IPVS")
    if service.one_packet:
        if key.protocol != _UDP or not key.port:
            reason = "one-packet scheduling (ops) without IPVS needs a UDP service of one port"
            yield Refusal("one_packet", reason)
        elif service.persistence_timeout_s:
            yield Refusal("one_packet", "one-packet scheduling (ops) with persistence needs IPVS")


def _of_destinations(
    key: ServiceKey, service: Service, destinations: dict[DestinationKey, Destination]
) -> Iterator[Refusal]:
    methods = {value.forwarding.method for value in destinations.values()}
    direct = ForwardingMethod.DR in methods
    if direct and ForwardingMethod.NAT in methods:
        yield Refusal("forwarding", "forwarding methods DR and NAT in one service need IPVS")
    if direct and key.fwmark:
        yield Refusal("forwarding", "forwarding method DR of a service by fwmark needs IPVS")
    if direct and service.one_packet:
        yield Refusal("one_packet", "one-packet scheduling (ops) with forwarding method DR needs IPVS")
    for kept, value in destinations.items():
        where = f"[{kept.address}]:{kept.port}"
        if value.forwarding.method is ForwardingMethod.TUN:
            kind = value.forwarding.tunnel_type.value
            reason = f"forwarding method TUN of {where} needs IPVS (nftables cannot make {kind} packets)"
            yield Refusal("forwarding", reason, kept)
        if value.upper_threshold or value.lower_threshold:
            about = "upper_threshold" if value.upper_threshold else "lower_threshold"
            if direct or service.one_packet:
                reason = f"connection thresholds of {where} with {'DR' if direct else 'ops'} need IPVS"
                yield Refusal(about, reason, kept)
            elif key.fwmark or not key.port:
                reason = f"connection thresholds of {where} without IPVS need a service of one port"
                yield Refusal(about, reason, kept)


def nftables_remarks(entry: Entry) -> Iterator[str]:
    """What nftables does otherwise than the file says."""
    scheduler = entry.service.scheduler
    if scheduler in APPROXIMATIONS:
        yield f"scheduler {scheduler} is approximated by {APPROXIMATIONS[scheduler]}"
    if any(value.lower_threshold for value in entry.destinations.values()):
        yield "lower thresholds have no effect: a full server takes connections again as soon as one ends"

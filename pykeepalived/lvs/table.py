"""IPVS's own table, as values: what the kernel is to hold, and the operations that change it.

Every dataplane speaks these types; `Table` is both "desired" and "found".
"""

from __future__ import annotations

import msgspec

from pykeepalived.model.common import Family
from pykeepalived.model.lvs import Forwarding, Protocol


class ServiceKey(msgspec.Struct, frozen=True, order=True):
    """Names a service in the kernel: (protocol, address, port), or a firewall mark with a family.

    For marks `protocol` and `port` are 0 and `address` is empty; for addresses `fwmark` is 0.
    """

    family: Family
    protocol: int
    address: str
    port: int
    fwmark: int = 0

    @classmethod
    def for_address(cls, protocol: Protocol, address: str, port: int, family: Family) -> ServiceKey:
        return cls(family, int(protocol), address, port)

    @classmethod
    def for_mark(cls, fwmark: int, family: Family) -> ServiceKey:
        return cls(family, 0, "", 0, fwmark)


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """Attributes of a virtual service."""

    scheduler: str
    scheduler_flags: int = 0
    one_packet: bool = False
    persistence_timeout_s: int = 0
    persistence_prefix: int | None = None
    """None: /32 or /128."""
    persistence_engine: str | None = None


class DestinationKey(msgspec.Struct, frozen=True, order=True):
    """Names a destination within its service."""

    address: str
    port: int


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """Attributes of a destination."""

    weight: int
    forwarding: Forwarding
    upper_threshold: int = 0
    lower_threshold: int = 0


class Entry(msgspec.Struct, frozen=True):
    """A service with its destinations."""

    service: Service
    destinations: dict[DestinationKey, Destination] = {}


Table = dict[ServiceKey, Entry]


class AddService(msgspec.Struct, frozen=True, tag=True):
    key: ServiceKey
    service: Service


class EditService(msgspec.Struct, frozen=True, tag=True):
    key: ServiceKey
    service: Service


class DeleteService(msgspec.Struct, frozen=True, tag=True):
    key: ServiceKey


class AddDestination(msgspec.Struct, frozen=True, tag=True):
    key: ServiceKey
    destination_key: DestinationKey
    destination: Destination


class EditDestination(msgspec.Struct, frozen=True, tag=True):
    key: ServiceKey
    destination_key: DestinationKey
    destination: Destination


class DeleteDestination(msgspec.Struct, frozen=True, tag=True):
    key: ServiceKey
    destination_key: DestinationKey


Operation = AddService | EditService | DeleteService | AddDestination | EditDestination | DeleteDestination

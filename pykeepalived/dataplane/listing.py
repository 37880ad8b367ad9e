"""What a dataplane's table holds with everything that it counts, for people: the same of IPVS and of nftables."""

from __future__ import annotations

import msgspec

from pykeepalived.dataplane import Counters
from pykeepalived.lvs.table import Destination, DestinationKey, Service, ServiceKey


class Traffic(msgspec.Struct, frozen=True):
    """Connections, packets in and out, bytes in and out: since the start, and a second."""

    totals: tuple[int, ...] = (0, 0, 0, 0, 0)
    rates: tuple[int, ...] = (0, 0, 0, 0, 0)


class ListedDestination(msgspec.Struct, frozen=True):
    key: DestinationKey
    destination: Destination
    counters: Counters
    traffic: Traffic


class ListedService(msgspec.Struct, frozen=True):
    key: ServiceKey
    service: Service
    traffic: Traffic
    destinations: tuple[ListedDestination, ...] = ()


class ListedConnection(msgspec.Struct, frozen=True):
    """A connection, or what persistence remembers of a client (state NONE, caller's port 0)."""

    protocol: str
    expires_s: int
    state: str
    caller: str
    caller_port: int
    called: str
    called_port: int
    answers: str
    answers_port: int
    engine: tuple[str, str] | None = None
    """A persistence engine's name, and what it remembers."""

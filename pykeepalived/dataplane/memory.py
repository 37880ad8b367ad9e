"""A dataplane that balances nothing: a table in memory that refuses what IPVS refuses. For tests and dry runs."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable, Sequence

from pykeepalived.dataplane import Counters, Failure
from pykeepalived.lvs.table import (
    AddDestination,
    AddService,
    DeleteDestination,
    DeleteService,
    Destination,
    DestinationKey,
    EditDestination,
    EditService,
    Entry,
    Operation,
    ServiceKey,
    Table,
)

#: Schedulers that Linux 6.1 has.
SCHEDULERS = frozenset({"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos"})


class MemoryDataplane:
    """Behaves as IPVS does at its netlink interface, refusals included."""

    name = "memory"
    counts_in_parts = True

    def __init__(self, schedulers: frozenset[str] = SCHEDULERS) -> None:
        self.table: Table = {}
        self.applied: list[Operation] = []
        """Everything that was asked for, refused operations included, in order."""
        self.refuse: dict[type, tuple[str, str]] = {}
        """Tests put an operation's type here to have it refused with this name and text."""
        self.open: dict[tuple[ServiceKey, DestinationKey], int] = {}
        """Tests put connections here."""
        self._schedulers = schedulers

    def unsupported(self, table: Table) -> list[tuple[ServiceKey, str]]:
        return []

    def snapshot(self) -> Table:
        return {key: Entry(entry.service, dict(entry.destinations)) for key, entry in self.table.items()}

    def apply(self, operations: Sequence[Operation]) -> list[Failure]:
        failures: list[Failure] = []
        for operation in operations:
            self.applied.append(operation)
            refusal = self.refuse.get(type(operation)) or self._apply(operation)
            if refusal is not None:
                failures.append(Failure(operation, *refusal))
        return failures

    def connections(
        self, places: Iterable[tuple[ServiceKey, DestinationKey]]
    ) -> dict[tuple[ServiceKey, DestinationKey], int]:
        return {place: self.open[place] for place in places if place in self.open}

    def counters(self, keys: Collection[ServiceKey] | None = None) -> dict[tuple[ServiceKey, DestinationKey], Counters]:
        return {
            (key, kept): Counters()
            for key, entry in self.table.items()
            if keys is None or key in keys
            for kept in entry.destinations
        }

    def close(self) -> None:
        pass

    def _apply(self, operation: Operation) -> tuple[str, str] | None:
        entry = self.table.get(operation.key)
        if isinstance(operation, AddService):
            if entry is not None:
                return ("exists", "service already exists")
            return self._set_service(operation, {})
        if entry is None:
            return ("no-service", "no such service")
        if isinstance(operation, EditService):
            return self._set_service(operation, entry.destinations)
        if isinstance(operation, DeleteService):
            del self.table[operation.key]
            return None
        return _change_destination(operation, entry)

    def _set_service(
        self, operation: AddService | EditService, destinations: dict[DestinationKey, Destination]
    ) -> tuple[str, str] | None:
        if operation.service.scheduler not in self._schedulers:
            return ("no-scheduler", "scheduler or persistence engine not found")
        self.table[operation.key] = Entry(operation.service, destinations)
        return None


def _change_destination(
    operation: AddDestination | EditDestination | DeleteDestination, entry: Entry
) -> tuple[str, str] | None:
    kept = operation.destination_key
    present = kept in entry.destinations
    if isinstance(operation, AddDestination) and present:
        return ("exists", "destination already exists")
    if not isinstance(operation, AddDestination) and not present:
        return ("no-destination", "no such destination")
    if isinstance(operation, DeleteDestination):
        del entry.destinations[kept]
        return None
    value = operation.destination
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in kept.address else socket.AF_INET, kept.address)
    except (OSError, ValueError):
        return ("invalid", "not an address")
    if value.weight < 0 or value.lower_threshold > value.upper_threshold:
        return ("out-of-range", "weight or thresholds out of range")
    entry.destinations[kept] = value
    return None

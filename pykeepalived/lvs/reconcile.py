"""From desire to operations: the only way in which the kernel's table is changed.

`Reconciler` keeps the part of the table that is ours, as far as it knows (`known`), so a change costs a comparison of
one service, not a dump. The rules:

- Ours is what a configuration of ours named, since this program started. A service that an earlier run (or anybody)
  left under a name of ours is adopted and edited in place; services and destinations that no configuration named are
  never touched.
- Nothing is deleted and added to change it: established connections live on.
- What comes goes in before what leaves goes out: first services, new destinations and higher weights, then lower
  weights, then deletions. So a service is never empty for a moment when the sorry server takes over or gives back.
- An operation that the kernel refused changes nothing here. The caller reads the table again (`learn`) and asks again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from pykeepalived.lvs.table import (
    AddDestination,
    AddService,
    DeleteDestination,
    DeleteService,
    DestinationKey,
    EditDestination,
    EditService,
    Entry,
    Operation,
    ServiceKey,
    Table,
)


class Reconciler:
    """Compares what is wanted with what is known and says what to do, in order."""

    def __init__(self) -> None:
        self.wanted: Table = {}
        self.known: Table = {}
        self._named: dict[ServiceKey, set[DestinationKey]] = {}
        """Every destination that a configuration of ours named, per service of ours."""

    # ---- what is wanted ----

    def want(self, key: ServiceKey, entry: Entry) -> None:
        """The table is to hold this from now on."""
        self.wanted[key] = entry
        self._named.setdefault(key, set()).update(entry.destinations)

    def name(self, key: ServiceKey, destinations: Iterable[DestinationKey]) -> None:
        """These destinations are ours though they are not wanted now, as a dead server is."""
        self._named.setdefault(key, set()).update(destinations)

    def unwant(self, key: ServiceKey) -> None:
        """The table is not to hold this service any more."""
        self.wanted.pop(key, None)

    def forget(self, key: ServiceKey) -> None:
        """Leave the service in the kernel and stop knowing it."""
        self.wanted.pop(key, None)
        self.known.pop(key, None)
        self._named.pop(key, None)

    # ---- what is there ----

    def learn(self, found: Table, keys: Iterable[ServiceKey] | None = None) -> None:
        """Take note of what the kernel holds under the keys that are ours; all of them by default."""
        for key in list(self._named) if keys is None else keys:
            if key not in self._named:
                continue
            entry = found.get(key)
            if entry is None:
                self.known.pop(key, None)
            else:
                self.known[key] = Entry(entry.service, dict(entry.destinations))

    def foreign(self, key: ServiceKey) -> list[DestinationKey]:
        """Destinations of a service of ours that no configuration of ours ever named."""
        entry = self.known.get(key)
        named = self._named.get(key, set())
        return [] if entry is None else [kept for kept in entry.destinations if kept not in named]

    def drifted(self, found: Table) -> list[ServiceKey]:
        """Keys of ours under which the kernel holds something else than we believe; strangers' destinations aside."""
        return [key for key in self._named if self._ours(key, found.get(key)) != self._ours(key, self.known.get(key))]

    # ---- what to do ----

    def plan(self, keys: Iterable[ServiceKey] | None = None) -> list[Operation]:
        """Operations that make these keys (by default all that are ours) as wanted; empty when they are."""
        operations: list[Operation] = []
        for key in list(self._named) if keys is None else dict.fromkeys(keys):
            wanted = self.wanted.get(key)
            known = self.known.get(key)
            if wanted is None:
                if known is not None and key in self._named:
                    operations += self._removal(key, known)
            elif known is None:
                operations.append(AddService(key, wanted.service))
                operations += [AddDestination(key, kept, value) for kept, value in wanted.destinations.items()]
            else:
                operations += self._changes(key, wanted, known)
        return operations

    def done(self, operations: Iterable[Operation]) -> None:
        """Take note of operations that the kernel has carried out."""
        for operation in operations:
            self._apply(operation)
        for key in [key for key in self._named if key not in self.wanted and key not in self.known]:
            del self._named[key]

    # ---- inside ----

    def _removal(self, key: ServiceKey, known: Entry) -> list[Operation]:
        named = self._named[key]
        operations: list[Operation] = [DeleteDestination(key, kept) for kept in known.destinations if kept in named]
        return [*operations, DeleteService(key)]

    def _changes(self, key: ServiceKey, wanted: Entry, known: Entry) -> list[Operation]:
        first: list[Operation] = []
        later: list[Operation] = []
        if wanted.service != known.service:
            first.append(EditService(key, wanted.service))
        for kept, value in wanted.destinations.items():
            before = known.destinations.get(kept)
            if before is None:
                first.append(AddDestination(key, kept, value))
            elif before != value:
                (later if value.weight < before.weight else first).append(EditDestination(key, kept, value))
        named = self._named[key]
        gone = [kept for kept in known.destinations if kept not in wanted.destinations and kept in named]
        return [*first, *later, *(DeleteDestination(key, kept) for kept in gone)]

    def _ours(self, key: ServiceKey, entry: Entry | None) -> Entry | None:
        if entry is None:
            return None
        named = self._named[key]
        return Entry(entry.service, {kept: value for kept, value in entry.destinations.items() if kept in named})

    def _apply(self, operation: Operation) -> None:
        match operation:
            case AddService(key, service):
                self.known[key] = Entry(service, {})
            case EditService(key, service):
                if (entry := self.known.get(key)) is not None:
                    self.known[key] = Entry(service, entry.destinations)
            case DeleteService(key):
                self.known.pop(key, None)
            case AddDestination(key, kept, value) | EditDestination(key, kept, value):
                if (entry := self.known.get(key)) is not None:
                    entry.destinations[kept] = value
            case DeleteDestination(key, kept):
                if (entry := self.known.get(key)) is not None:
                    entry.destinations.pop(kept, None)


def diff(wanted: Mapping[ServiceKey, Entry], found: Table) -> list[Operation]:
    """Operations that turn `found` into `wanted`, taking everything in `found` for ours."""
    reconciler = Reconciler()
    for key, entry in found.items():
        reconciler.name(key, entry.destinations)
    for key, entry in wanted.items():
        reconciler.want(key, entry)
    reconciler.learn(found)
    return reconciler.plan()


def describe(operation: Operation) -> str:
    """An operation in words, for logs (`add destination [192.168.0.12]:80 to [10.0.0.5]:80`)."""
    word, what = _WORDS[type(operation)]
    service = service_text(operation.key)
    if isinstance(operation, AddDestination | EditDestination | DeleteDestination):
        target = operation.destination_key
        return f"{word} {what} [{target.address}]:{target.port} of {service}"
    return f"{word} {what} {service}"


def service_text(key: ServiceKey) -> str:
    if key.fwmark:
        return f"FWM {key.fwmark}"
    return f"[{key.address}]:{_PROTOCOLS.get(key.protocol, str(key.protocol))}:{key.port}"


_PROTOCOLS = {6: "tcp", 17: "udp", 132: "sctp"}
_WORDS: dict[type[msgspec.Struct], tuple[str, str]] = {
    AddService: ("add", "service"),
    EditService: ("edit", "service"),
    DeleteService: ("delete", "service"),
    AddDestination: ("add", "destination"),
    EditDestination: ("edit", "destination"),
    DeleteDestination: ("delete", "destination"),
}

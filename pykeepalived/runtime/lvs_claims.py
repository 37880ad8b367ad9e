"""Which services of the kernel belong to which virtual server: the first that names one has it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from pykeepalived.dataplane import Dataplane
from pykeepalived.lvs.desired import entry, named_destinations
from pykeepalived.lvs.marks import Marks
from pykeepalived.lvs.names import ServiceRef
from pykeepalived.lvs.table import DestinationKey, ServiceKey, Table
from pykeepalived.model.lvs import PacketMarks, RealServer, VirtualServerGroup
from pykeepalived.runtime.program import Logger


class Claims:
    """Keys by virtual server. `begin` comes first."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._dataplane: Dataplane | None = None
        self._owners: dict[ServiceKey, str] = {}
        self.keys: dict[str, list[ServiceKey]] = {}
        """By the key of a virtual server."""
        self.marks = Marks(None)
        self.packet_marks: PacketMarks | None = None
        self.some_refused = False
        """Once a service was not served: then every reload looks at all of them again."""

    def begin(self, dataplane: Dataplane, settings: PacketMarks | None) -> None:
        """Whether groups are served by marks is as at start, whatever a reload says."""
        self._dataplane = dataplane
        if settings is not None and dataplane.name == "nftables":
            self._log.info("nftables_ipvs is not needed: nftables balances the addresses of groups itself")
            settings = None
        self.packet_marks = settings
        self.marks = Marks(None if settings is None else settings.first)

    def claim(self, ref: ServiceRef, groups: Sequence[VirtualServerGroup]) -> list[ServiceKey]:
        """The kernel services of a virtual server that no other one has claimed and that the dataplane can do."""
        keys: list[ServiceKey] = []
        for key in self.marks.keys(ref, groups):
            owner = self._owners.get(key)
            if owner is not None:
                self.some_refused = True
                self._log.error(f"VS {ref.name} is not served: VS {owner} has the same address and port")
            elif not self._refused_by_dataplane(ref, key):
                self._owners[key] = ref.key
                keys.append(key)
        self.keys[ref.key] = keys
        return keys

    def disown(self, key: str) -> list[ServiceKey]:
        """Give up what a virtual server has claimed: that is returned."""
        own = [kept for kept in self.keys[key] if self._owners.get(kept) == key]
        for kept in own:
            del self._owners[kept]
        return own

    def forget(self, key: str) -> list[ServiceKey]:
        """As `disown` for one that is in the configuration no more."""
        self.marks.forget(key)
        own = self.disown(key)
        del self.keys[key]
        return own

    def is_claimed(self, key: ServiceKey) -> bool:
        return key in self._owners

    def _refused_by_dataplane(self, ref: ServiceRef, key: ServiceKey) -> bool:
        assert self._dataplane is not None
        whole = {key: entry(ref.server, key, named_destinations(ref.server))}
        reasons = [reason for _, reason in self._dataplane.unsupported(whole)]
        for reason in reasons:
            self.some_refused = True
            self._log.error(f"VS {ref.name} is not served: {reason}")
        if not reasons:
            remarks = getattr(self._dataplane, "remarks", None)
            for _, remark in remarks(whole) if remarks is not None else ():
                self._log.info(f"VS {ref.name}: {remark}")
        return bool(reasons)


def places_of(
    ref: ServiceRef, server: RealServer, keys: Iterable[ServiceKey], *, marks_keep_ports: bool
) -> list[tuple[ServiceKey, DestinationKey]]:
    """Where the table holds a server."""
    alone = msgspec.structs.replace(ref.server, real_servers=(server,), sorry_server=None)
    named = named_destinations(alone)
    return [
        (key, place)
        for key in keys
        for place in entry(alone, key, named, marks_keep_ports=marks_keep_ports).destinations
    ]


def serves(server: RealServer, keys: Iterable[ServiceKey], found: Table) -> bool:
    """Whether an earlier run left a server in the table with a weight."""
    place = DestinationKey(server.address, server.port)
    for key in keys:
        held = found[key].destinations.get(place) if key in found else None
        if held is not None and held.weight > 0:
            return True
    return False

"""What the tables of the MIBs are made from: the configuration, the status of the processes, and counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec

from pykeepalived.lvs.desired import service_keys, services_of
from pykeepalived.lvs.table import DestinationKey, ServiceKey
from pykeepalived.model.common import Script
from pykeepalived.model.config import Config
from pykeepalived.model.lvs import RealServer, SorryServer, VirtualServer
from pykeepalived.model.vrrp import SyncGroup, VrrpInstance
from pykeepalived.notify.snmp.codec import Oid

#: Index and row of every row of a table.
Rows = list[tuple[Oid, Any]]


class Traffic(msgspec.Struct, frozen=True):
    """Connections, packets in and out, bytes in and out: since the start, and a second."""

    totals: tuple[int, ...] = (0, 0, 0, 0, 0)
    rates: tuple[int, ...] = (0, 0, 0, 0, 0)
    active: int = 0
    inactive: int = 0
    persistent: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(
            tuple(a + b for a, b in zip(self.totals, other.totals, strict=True)),
            tuple(a + b for a, b in zip(self.rates, other.rates, strict=True)),
            self.active + other.active,
            self.inactive + other.inactive,
            self.persistent + other.persistent,
        )


NO_TRAFFIC = Traffic()


class Counted(msgspec.Struct, frozen=True):
    """What the kernel counts, by service and by destination."""

    services: Mapping[ServiceKey, Traffic] = {}
    destinations: Mapping[tuple[ServiceKey, DestinationKey], Traffic] = {}


class Instance(msgspec.Struct, frozen=True):
    """One VRRP instance: its number, what was configured, and what its process says of it (may be nothing)."""

    number: int
    config: VrrpInstance
    status: Mapping[str, Any]
    facts: Facts

    @property
    def state(self) -> str:
        return str(self.status.get("state", "INIT"))

    @property
    def counters(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.status.get("stats") or {}
        return found

    @property
    def index(self) -> int | None:
        """The number of its interface."""
        return self.facts.links.get(self.config.interface or "")


class Group(msgspec.Struct, frozen=True):
    number: int
    config: SyncGroup
    status: Mapping[str, Any]


class Service(msgspec.Struct, frozen=True):
    """One virtual server."""

    number: int
    config: VirtualServer
    status: Mapping[str, Any]
    keys: Sequence[ServiceKey]
    facts: Facts

    @property
    def traffic(self) -> Traffic:
        found = (self.facts.counted.services.get(key, NO_TRAFFIC) for key in self.keys)
        return sum(found, NO_TRAFFIC)


class Server(msgspec.Struct, frozen=True):
    """One real server, or the sorry server."""

    number: int
    config: RealServer | SorryServer
    status: Mapping[str, Any]
    service: Service

    @property
    def real(self) -> RealServer | None:
        return self.config if isinstance(self.config, RealServer) else None

    @property
    def traffic(self) -> Traffic:
        place = DestinationKey(self.config.address, self.config.port)
        counted = self.service.facts.counted.destinations
        return sum((counted.get((key, place), NO_TRAFFIC) for key in self.service.keys), NO_TRAFFIC)


class Facts:
    """One instant. Rows are numbered from 1 in the order of the configuration, as the original numbers them."""

    def __init__(
        self,
        config: Config,
        *,
        vrrp: Mapping[str, Any] | None = None,
        services: Sequence[Mapping[str, Any]] = (),
        bfd: Mapping[str, Any] | None = None,
        links: Mapping[str, int] | None = None,
        counted: Counted | None = None,
        version: str = "",
        host: str = "",
        started_ticks: int = 0,
        now: float = 0.0,
        ticks: int = 0,
        reasons: Mapping[str, int] | None = None,
    ) -> None:
        """`ticks`: hundredths of a second since the agent began; `now`: seconds since 1970."""
        self.config = config
        self.vrrp = vrrp or {}
        self.services_status = services
        self.bfd = bfd or {}
        self.links = links or {}
        self.counted = counted or Counted()
        self.version = version
        self.router_id = config.globals.router_id or host
        self.started_ticks = started_ticks
        self.now = now
        self.ticks = ticks
        self.reasons = {} if reasons is None else reasons
        """By instance: why it became MASTER last, as RFC 6527 numbers it."""

    def named(self, what: str) -> dict[str, Mapping[str, Any]]:
        """The status of the VRRP process's things of one sort, by name."""
        return {item["name"]: item for item in self.vrrp.get(what, ())}

    @cached_property
    def instances(self) -> list[Instance]:
        status = self.named("instances")
        return [
            Instance(number, item, status.get(item.name, {}), self)
            for number, item in enumerate(self.config.instances, 1)
        ]

    @cached_property
    def groups(self) -> list[Group]:
        status = self.named("groups")
        return [
            Group(number, item, status.get(item.name, {})) for number, item in enumerate(self.config.sync_groups, 1)
        ]

    @cached_property
    def services(self) -> list[Service]:
        groups = self.config.virtual_server_groups
        status = {item["key"]: item for item in self.services_status}
        return [
            Service(number, ref.server, status.get(ref.key, {}), tuple(service_keys(ref.server, groups)), self)
            for number, ref in enumerate(services_of(self.config), 1)
        ]

    @cached_property
    def servers(self) -> list[Server]:
        """Of all virtual servers; a sorry server is the last of its service."""
        found = []
        for service in self.services:
            status = {(item["address"], item["port"]): item for item in service.status.get("servers", ())}
            every: list[RealServer | SorryServer] = [*service.config.real_servers]
            if service.config.sorry_server is not None:
                every.append(service.config.sorry_server)
            for number, item in enumerate(every, 1):
                said = status.get((item.address, item.port), {}) if isinstance(item, RealServer) else {}
                found.append(Server(number, item, said, service))
        return found


def scalars(facts: Facts) -> Rows:
    """The only row of a group of scalars."""
    return [((0,), facts)]


def command(script: Script | None) -> str | None:
    """A script as the original shows it: each word in quotes."""
    return None if script is None else " ".join(f"'{word}'" for word in script.argv)


def path(script: Script | None) -> str | None:
    return script.argv[0] if script is not None and script.argv else None

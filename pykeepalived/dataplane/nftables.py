"""Load balancing by nftables alone, for kernels without IPVS: destination NAT chosen per new connection.

What it does as IPVS does: rr, wrr, sh, dh, mh, fo, weights, weight 0 (established connections go on, no new ones come),
persistence with granularity, firewall marks, all-ports services, IPv4 and IPv6, connections from outside and from the
director itself; a service without a destination refuses. What it approximates stands in `nft_schedule`, and
`remarks` says it aloud. What it cannot do `unsupported` refuses by name: direct routing, tunnelling, one-packet
scheduling, persistence engines, thresholds, and schedulers that need the load of each server.

Different from IPVS: connections to a destination that is removed go on until they end (connection tracking keeps
them); a client whose persistence points to a server with weight 0 gets another server; persistence is refreshed by
new connections only; counters exist for services with a fixed port.

Only tables named `pykeepalived_lvs` are touched. One `apply` is one transaction per family; a table that has become
empty is removed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from pykeepalived.dataplane import Counters, Failure
from pykeepalived.dataplane.libnftables import NftError, Runner, open_runner
from pykeepalived.dataplane.memory import MemoryDataplane
from pykeepalived.dataplane.nft_schedule import APPROXIMATIONS, SUPPORTED
from pykeepalived.dataplane.nft_text import (
    TABLE,
    change,
    read_service_comment,
    read_weight,
    skeleton,
    table_of,
)
from pykeepalived.lvs.table import (
    Destination,
    DestinationKey,
    Entry,
    Operation,
    Service,
    ServiceKey,
    Table,
)
from pykeepalived.model.common import Family
from pykeepalived.model.lvs import ForwardingMethod

_NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132}


class NftablesDataplane:
    """Balances by a table of our own in this network namespace.

    `masquerade`: hide clients behind the director's address, for servers whose route back does not lead through it.
    Raises `DataplaneUnavailable` when nftables does not work here.
    """

    name = "nftables"

    def __init__(self, runner: Runner | None = None, *, masquerade: bool = False) -> None:
        self._runner = runner or open_runner()
        self._masquerade = masquerade
        self._ready: set[Family] = set()
        self._held = MemoryDataplane(SUPPORTED)
        self._held.table = self._read()

    def unsupported(self, table: Table) -> list[tuple[ServiceKey, str]]:
        found: list[tuple[ServiceKey, str]] = []
        for key, entry in table.items():
            found += [(key, reason) for reason in _service_reasons(entry.service)]
            found += [(key, reason) for reason in _destination_reasons(entry.destinations)]
        return found

    def remarks(self, table: Table) -> list[tuple[ServiceKey, str]]:
        """What is done otherwise than the file says, in words."""
        return [
            (key, f"scheduler {entry.service.scheduler} is approximated by {APPROXIMATIONS[entry.service.scheduler]}")
            for key, entry in table.items()
            if entry.service.scheduler in APPROXIMATIONS
        ]

    def snapshot(self) -> Table:
        self._held.table = self._read()
        return self._held.snapshot()

    def apply(self, operations: Sequence[Operation]) -> list[Failure]:
        before = self._held.table
        self._held.table = dict(before)
        self._held.applied.clear()
        failures: list[Failure] = []
        accepted: list[Operation] = []
        for operation in operations:
            entry = self._held.table.get(operation.key)
            if entry is not None:
                # The entries before this call are needed to tell what changed.
                self._held.table[operation.key] = Entry(entry.service, dict(entry.destinations))
            refused = self._refusals(operation) or self._held.apply([operation])
            failures += refused
            if not refused:
                accepted.append(operation)
        changed = {operation.key: None for operation in accepted}
        for family in (Family.INET, Family.INET6):
            keys = [key for key in changed if key.family is family]
            if keys:
                failures += self._commit(family, keys, before, accepted)
        return failures

    def counters(self) -> dict[tuple[ServiceKey, DestinationKey], Counters]:
        found: dict[tuple[ServiceKey, DestinationKey], dict[str, int]] = {}
        for family in self._families():
            for name, packets, octets in (
                ("opened", "connections", None),
                ("inbound", "packets_in", "bytes_in"),
                ("outbound", "packets_out", "bytes_out"),
            ):
                for element in self._elements(family, "set", name):
                    body = element.get("elem", {}) if isinstance(element, dict) else {}
                    place = _flow(family, body.get("val"))
                    if place is None:
                        continue
                    fields = found.setdefault(place, {})
                    fields[packets] = int(body.get("counter", {}).get("packets", 0))
                    if octets:
                        fields[octets] = int(body.get("counter", {}).get("bytes", 0))
        return {place: Counters(**fields) for place, fields in found.items()}

    def close(self) -> None:
        """Let go of nftables; the table stays in the kernel."""
        self._runner.close()

    # ---- writing ----

    def _refusals(self, operation: Operation) -> list[Failure]:
        service = getattr(operation, "service", None)
        destination = getattr(operation, "destination", None)
        reasons: list[str] = []
        if isinstance(service, Service):
            reasons += _service_reasons(service)
        if isinstance(destination, Destination):
            reasons += _destination_reasons({operation.destination_key: destination})  # type: ignore[union-attr]
        return [Failure(operation, "unsupported", reasons[0])] if reasons else []

    def _commit(
        self, family: Family, keys: Sequence[ServiceKey], before: Table, accepted: Iterable[Operation]
    ) -> list[Failure]:
        try:
            self._run_changes(family, keys, before)
            return []
        except NftError as error:
            first = str(error)
        # All or nothing: one service at a time finds the one that is refused.
        failures: list[Failure] = []
        self._ready.discard(family)
        for key in keys:
            text = first
            if len(keys) > 1:
                try:
                    self._run_changes(family, [key], before)
                    continue
                except NftError as error:
                    text = str(error)
            failures += [Failure(operation, "refused", text) for operation in accepted if operation.key == key]
            _put(self._held.table, key, before.get(key))
        if failures:
            # The kernel may hold something else than we believe.
            self._held.table = self._read()
        return failures

    def _run_changes(self, family: Family, keys: Sequence[ServiceKey], before: Table) -> None:
        after = self._held.table
        if not any(key.family is family for key in after):
            self._runner.run(f"add table {table_of(family)}\ndelete table {table_of(family)}\n")
            self._ready.discard(family)
            return
        text = "" if family in self._ready else skeleton(family, masquerade=self._masquerade)
        text += "".join(change(key, before.get(key), after.get(key)) for key in keys)
        self._runner.run(text)
        self._ready.add(family)

    # ---- reading ----

    def _families(self) -> list[Family]:
        listed = json.loads(self._runner.run("list tables", json=True) or "{}")
        names = {"ip": Family.INET, "ip6": Family.INET6}
        tables = [item["table"] for item in listed.get("nftables", []) if "table" in item]
        return [names[table["family"]] for table in tables if table["name"] == TABLE and table["family"] in names]

    def _elements(self, family: Family, kind: str, name: str) -> list[Any]:
        try:
            listed = json.loads(self._runner.run(f"list {kind} {table_of(family)} {name}", json=True) or "{}")
        except NftError:
            # A table of ours without this set is of another version: it counts as empty and will be made anew.
            return []
        for item in listed.get("nftables", []):
            if kind in item:
                return list(item[kind].get("elem", []))
        return []

    def _read(self) -> Table:
        table: Table = {}
        try:
            families = self._families()
        except NftError:
            return table
        self._ready &= set(families)
        for family in families:
            for name in ("services", "all_ports", "marks"):
                for element in self._elements(family, "map", name):
                    body = element[0].get("elem", {}) if isinstance(element, list) and element else {}
                    key = _service_key(family, body.get("val"))
                    service = read_service_comment(body.get("comment", ""))
                    if key is not None and service is not None:
                        table[key] = Entry(service, {})
            for name in ("members", "marked"):
                for element in self._elements(family, "set", name):
                    body = element.get("elem", {}) if isinstance(element, dict) else {}
                    place = _flow(family, body.get("val"))
                    destination = read_weight(body.get("comment", ""))
                    if place is not None and destination is not None and place[0] in table:
                        table[place[0]].destinations[place[1]] = destination
        return table


def _put(table: Table, key: ServiceKey, entry: Entry | None) -> None:
    if entry is None:
        table.pop(key, None)
    else:
        table[key] = entry


def _service_reasons(service: Service) -> list[str]:
    reasons = []
    if service.scheduler not in SUPPORTED:
        reasons.append(f"scheduler {service.scheduler} needs IPVS")
    if service.one_packet:
        reasons.append("one-packet scheduling (ops) needs IPVS")
    if service.persistence_engine:
        reasons.append(f"persistence engine {service.persistence_engine} needs IPVS")
    return reasons


def _destination_reasons(destinations: dict[DestinationKey, Destination]) -> list[str]:
    reasons = []
    for kept, value in destinations.items():
        where = f"[{kept.address}]:{kept.port}"
        if value.forwarding.method is not ForwardingMethod.NAT:
            reasons.append(f"forwarding method {value.forwarding.method.value} of {where} needs IPVS")
        if value.upper_threshold or value.lower_threshold:
            reasons.append(f"connection thresholds of {where} need IPVS")
    return reasons


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.get("concat", []))
    return [] if value is None else [value]


def _service_key(family: Family, value: Any) -> ServiceKey | None:
    match _parts(value):
        case [int(mark)]:
            return ServiceKey.for_mark(mark, family)
        case [str(address), protocol]:
            return ServiceKey(family, _number(protocol), address, 0)
        case [str(address), protocol, int(port)]:
            return ServiceKey(family, _number(protocol), address, port)
        case _:
            return None


def _flow(family: Family, value: Any) -> tuple[ServiceKey, DestinationKey] | None:
    match _parts(value):
        case [int(mark), str(address), int(port)]:
            return ServiceKey.for_mark(mark, family), DestinationKey(address, port)
        case [str(vip), protocol, int(vport), str(address), int(port)]:
            return ServiceKey(family, _number(protocol), vip, vport), DestinationKey(address, port)
        case _:
            return None


def _number(protocol: Any) -> int:
    return protocol if isinstance(protocol, int) else _NUMBERS.get(str(protocol), 0)

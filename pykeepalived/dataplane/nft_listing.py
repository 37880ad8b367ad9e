"""The nftables dataplane's table with what it counts, as `keepalivedctl ipvs` shows IPVS's.

It only looks: nothing is made in the kernel, and the daemon that balances is not asked. Connections come from
connection tracking. Direct routing has none; its own map counts connections by server but has forgotten who the
clients are.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from pykeepalived.dataplane import Counters
from pykeepalived.dataplane.conntrack import Flow, translated
from pykeepalived.dataplane.libnftables import Runner
from pykeepalived.dataplane.listing import ListedConnection, ListedDestination, ListedService, Traffic
from pykeepalived.dataplane.nft_direct import PLACE, closing_of, flows_of, is_direct, number_of
from pykeepalived.dataplane.nft_names import COUNTED, PROTOCOLS, clients_of, table_of, word_of
from pykeepalived.dataplane.nft_read import elements, families, key_values, read_counters, read_table, service_key
from pykeepalived.lvs.table import DestinationKey, Entry, ServiceKey, Table
from pykeepalived.model.common import Family

_Place = tuple[ServiceKey, DestinationKey]
_STATES: Final = (
    "NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE",
    "SYN_SENT",
)  # fmt: skip


class NftablesListing:
    """Reads our table in this network namespace."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def exists(self) -> bool:
        return bool(families(self._runner))

    def listing(self, key: ServiceKey | None = None, *, rates_over_s: float = 0.0) -> list[ListedService]:
        """All services, or the one of a key. With `rates_over_s` it counts for so long, for the rates."""
        present = families(self._runner)
        table = read_table(self._runner, present)
        if key is not None:
            table = {key: table[key]} if key in table else {}
        earlier: dict[_Place, Counters] = {}
        begun_s = time.monotonic()
        if rates_over_s:
            earlier = read_counters(self._runner, present, table)
            time.sleep(rates_over_s)
        counters = read_counters(self._runner, present, table)
        passed_s = time.monotonic() - begun_s

        def rates(service: ServiceKey, kept: DestinationKey) -> tuple[int, ...]:
            if not rates_over_s:
                return (0, 0, 0, 0, 0)
            before, now = _totals(earlier[service, kept]), _totals(counters[service, kept])
            return tuple(round((late - soon) / passed_s) for late, soon in zip(now, before, strict=True))

        live = self._live(table)
        return [
            _listed(key, entry, {kept: (counters[key, kept], rates(key, kept)) for kept in entry.destinations}, live)
            for key, entry in table.items()
        ]

    def connections(self) -> Iterator[ListedConnection]:
        """What persistence remembers, then every connection of a service. Those routed directly are not known."""
        table = read_table(self._runner, families(self._runner))
        for key, entry in table.items():
            for kept in entry.destinations if entry.service.persistence_timeout_s else ():
                for client, expires_s in self._clients(key, kept, entry):
                    name = PROTOCOLS.get(key.protocol, "ip").upper()
                    called = (key.address or "0.0.0.0", key.port or key.fwmark)
                    yield ListedConnection(name, expires_s, "NONE", client, 0, *called, kept.address, kept.port)
        for flow, _ in self._flows(table):
            name = PROTOCOLS.get(flow.protocol, "ip").upper()
            state = _STATES[flow.state] if name == "TCP" and flow.state < len(_STATES) else name
            yield ListedConnection(
                name, flow.expires_s, state, flow.caller, flow.caller_port, flow.called, flow.called_port,
                flow.answers, flow.answers_port,
            )  # fmt: skip

    def zero(self, key: ServiceKey | None) -> None:
        """Set the counters of one service of an address, or of all, to zero. Raises OSError."""
        if key is not None and (key.fwmark or not key.port):
            raise OSError("counters of a service by mark or of all ports are only zeroed with all others: -Z alone")
        present = families(self._runner)
        table = read_table(self._runner, present)
        if key is not None and key not in table:
            raise OSError("no such service")
        for family in present if key is None else [key.family]:
            place = table_of(family)
            names = [*COUNTED, *(f"{name}_all" for name in COUNTED if key is None)]
            self._zero_sets(place, names, key)
        if any(is_direct(entry) for service, entry in table.items() if key in {None, service}):
            names = [f"{name}_{word_of(family)}" for name in ("opened", "inbound") for family in Family]
            self._zero_sets(PLACE, names, key)

    def _zero_sets(self, place: str, names: Iterable[str], key: ServiceKey | None) -> None:
        for name in names:
            found = [
                " . ".join(str(part) for part in parts)
                for value, _ in elements(self._runner, "set", place, name)
                if (parts := key_values(value)) and (key is None or key == service_key(key.family, parts[:3]))
            ]
            if found:
                which = f"element {place} {name} {{ {', '.join(found)} }}"
                self._runner.run(f"delete {which}\nadd {which}\n")

    # ---- live connections ----

    def _live(self, table: Table) -> dict[_Place, list[int]]:
        """Active, inactive and persistent connections of each destination."""
        live: dict[_Place, list[int]] = {}
        for flow, place in self._flows(table):
            live.setdefault(place, [0, 0, 0])[0 if flow.established else 1] += 1
        for place, active, closing in direct_connections(self._runner, table):
            counted = live.setdefault(place, [0, 0, 0])
            counted[0] += active
            counted[1] += closing
        for key, entry in table.items():
            for kept in entry.destinations if entry.service.persistence_timeout_s else ():
                live.setdefault((key, kept), [0, 0, 0])[2] = sum(1 for _ in self._clients(key, kept, entry))
        return live

    def _flows(self, table: Table) -> Iterator[tuple[Flow, _Place]]:
        for family in {key.family for key in table}:
            marks = [key for key in table if key.fwmark and key.family is family]
            try:
                flows = translated(family)
            except OSError:
                # Without ctnetlink nothing tells; the counters still do.
                return
            for flow in flows:
                named = (ServiceKey(family, flow.protocol, flow.called, port) for port in (flow.called_port, 0))
                for key in (*named, *marks):
                    entry = table.get(key)
                    kept = _answering(entry, flow) if entry is not None and not is_direct(entry) else None
                    if kept is not None:
                        yield flow, (key, kept)
                        break

    def _clients(self, key: ServiceKey, kept: DestinationKey, entry: Entry) -> Iterator[tuple[str, int]]:
        """Who is remembered, and for how many seconds yet."""
        place = PLACE if is_direct(entry) else table_of(key.family)
        for value, body in elements(self._runner, "set", place, clients_of(key, kept)):
            yield str(value), int(body.get("expires", 0))


def direct_connections(runner: Runner, table: Table) -> Iterator[tuple[_Place, int, int]]:
    """The connections of each destination of direct routing: open, and closing."""
    for key, entry in table.items():
        if not is_direct(entry):
            continue
        numbers = {number_of(key, kept): kept for kept in entry.destinations}
        counted: dict[int, list[int]] = {number: [0, 0] for number in numbers}
        closed = {value for value, _ in elements(runner, "set", PLACE, closing_of(key))}
        for number, body in elements(runner, "map", PLACE, flows_of(key), values=True):
            if number in counted:
                counted[number][1 if body.get("val") in closed else 0] += 1
        for number, (active, closing) in counted.items():
            yield (key, numbers[number]), active, closing


def _answering(entry: Entry, flow: Flow) -> DestinationKey | None:
    places = (DestinationKey(flow.answers, port) for port in (flow.answers_port, 0))
    return next((place for place in places if place in entry.destinations), None)


def _listed(
    key: ServiceKey,
    entry: Entry,
    counted: dict[DestinationKey, tuple[Counters, tuple[int, ...]]],
    live: dict[_Place, list[int]],
) -> ListedService:
    destinations = []
    for kept, destination in entry.destinations.items():
        counters, rates = counted[kept]
        active, inactive, persistent = live.get((key, kept), (0, 0, 0))
        shown = msgspec.structs.replace(
            counters, active_connections=active, inactive_connections=inactive, persistent_connections=persistent
        )
        destinations.append(ListedDestination(kept, destination, shown, Traffic(_totals(counters), rates)))
    return ListedService(key, entry.service, _sum(each.traffic for each in destinations), tuple(destinations))


def _totals(counters: Counters) -> tuple[int, ...]:
    return (
        counters.connections, counters.packets_in, counters.packets_out, counters.bytes_in, counters.bytes_out,
    )  # fmt: skip


def _sum(all_traffic: Iterable[Traffic]) -> Traffic:
    found: list[Traffic] = list(all_traffic)

    def added(rows: list[tuple[int, ...]]) -> tuple[int, ...]:
        return tuple(sum(column) for column in zip(*rows, strict=True)) or (0, 0, 0, 0, 0)

    return Traffic(added([each.totals for each in found]), added([each.rates for each in found]))

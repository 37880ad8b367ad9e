"""Our table as nft lists it, read back into services, destinations and what they counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from pykeepalived.dataplane import Counters
from pykeepalived.dataplane.libnftables import NftError, Runner
from pykeepalived.dataplane.nft_comments import read_destination_comment, read_service_comment
from pykeepalived.dataplane.nft_direct import PLACE, number_of
from pykeepalived.dataplane.nft_names import COUNTED, table_of, word_of
from pykeepalived.lvs.table import DestinationKey, Entry, ServiceKey, Table
from pykeepalived.model.common import Family
from pykeepalived.model.lvs import ForwardingMethod

_NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132}
_Place = tuple[ServiceKey, DestinationKey]
_FIELDS = {"opened": "connections", "inbound": "packets_in", "outbound": "packets_out"}
_OCTETS = {"inbound": "bytes_in", "outbound": "bytes_out"}


def families(runner: Runner) -> list[Family]:
    """In which families our table exists.

    It is not asked with `list tables`, for which nft reads everything of everybody, and ends the process on some of it.
    """
    return [family for family in Family if _exists(runner, family)]


def _exists(runner: Runner, family: Family) -> bool:
    try:
        runner.run(f"list set {table_of(family)} marked_to")
    except NftError:
        return False
    return True


def read_table(runner: Runner, present: Iterable[Family]) -> Table:
    table: Table = {}
    for family in present:
        for name in ("services", "all_ports", "marks"):
            for value, body in elements(runner, "map", table_of(family), name):
                key = service_key(family, key_values(value))
                service = read_service_comment(body.get("comment", ""))
                if key is not None and service is not None:
                    table[key] = Entry(service, {})
        for name in ("members", "marked"):
            for value, body in elements(runner, "set", table_of(family), name):
                place = _member(family, value)
                destination = read_destination_comment(body.get("comment", ""))
                if place is not None and destination is not None and place[0] in table:
                    table[place[0]].destinations[place[1]] = destination
    return table


# ---- counters ----


def read_counters(runner: Runner, present: Iterable[Family], table: Table) -> dict[_Place, Counters]:
    """What each destination of `table` has counted; zeros where nothing has come yet."""
    found: dict[_Place, dict[str, int]] = {
        (key, kept): {} for key, entry in table.items() for kept in entry.destinations
    }

    def add(places: Iterable[_Place], name: str, body: dict[str, Any]) -> None:
        for place in places:
            if place not in found:
                continue
            counter, fields = body.get("counter", {}), found[place]
            for field, value in ((_FIELDS[name], "packets"), (_OCTETS.get(name), "bytes")):
                if field:
                    fields[field] = fields.get(field, 0) + int(counter.get(value, 0))
            return

    for family in present:
        seen = _marked_flows(runner, family, table)
        wide = _wide(family, table)
        for name in COUNTED:
            for value, body in elements(runner, "set", table_of(family), name):
                parts = tuple(key_values(value))
                exact = _member(family, value)
                # A destination of port 0 keeps the port that was asked for.
                plain = [(exact[0], DestinationKey(exact[1].address, 0))] if exact is not None else []
                add(
                    [*([exact] if exact is not None else []), *plain, *seen.get((*parts[:1], *parts[2:]), [])],
                    name,
                    body,
                )
            for value, body in elements(runner, "set", table_of(family), f"{name}_all"):
                add(wide.get(_numbers(tuple(key_values(value))), []), name, body)
    if any(_is_direct(entry) for entry in table.values()):
        _read_direct(runner, table, add)
    return {place: Counters(**fields) for place, fields in found.items()}


def _is_direct(entry: Entry) -> bool:
    return any(value.forwarding.method is ForwardingMethod.DR for value in entry.destinations.values())


def _read_direct(runner: Runner, table: Table, add: Callable[[Iterable[_Place], str, dict[str, Any]], None]) -> None:
    numbers = {
        number_of(key, kept): (key, kept)
        for key, entry in table.items()
        if _is_direct(entry)
        for kept in entry.destinations
    }
    for family in Family:
        for name in ("opened", "inbound"):
            for value, body in elements(runner, "set", PLACE, f"{name}_{word_of(family)}"):
                parts = key_values(value)
                if parts and parts[-1] in numbers:
                    add([numbers[parts[-1]]], name, body)


def _marked_flows(runner: Runner, family: Family, table: Table) -> dict[tuple[Any, ...], list[_Place]]:
    """The destinations of marks to which a flow can belong, the likeliest first."""
    found: dict[tuple[Any, ...], list[_Place]] = {}
    if not any(key.fwmark and key.family is family for key in table):
        return found
    for value, _ in elements(runner, "set", table_of(family), "seen"):
        mark, *flow = key_values(value)
        key = ServiceKey.for_mark(mark, family)
        address, port = flow[-2], flow[-1]
        places = [(key, DestinationKey(address, port)), (key, DestinationKey(address, 0))]
        found.setdefault(tuple(flow), []).extend(places)
    return found


def _wide(family: Family, table: Table) -> dict[tuple[Any, ...], list[_Place]]:
    found: dict[tuple[Any, ...], list[_Place]] = {}
    for key, entry in table.items():
        if key.family is family and not key.fwmark and not key.port:
            for kept in entry.destinations:
                found.setdefault((key.address, key.protocol, kept.address), []).append((key, kept))
    return found


# ---- nft's JSON ----


def elements(
    runner: Runner, kind: str, place: str, name: str, *, values: bool = False
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The elements of a set or map, and what else stands there. Of a map the keys, or with `values` the values; the
    key is "val" then."""
    try:
        listed = json.loads(runner.run(f"list {kind} {place} {name}", json=True) or "{}")
    except NftError:
        # A table of ours without this set is of another version: it counts as empty and will be made anew.
        return
    for item in listed.get("nftables", []):
        for element in item.get(kind, {}).get("elem", []):
            pair = element if isinstance(element, list) and element else [element]
            body = pair[0].get("elem") if isinstance(pair[0], dict) else None
            if values:
                yield pair[-1], body or {"val": pair[0]}
            elif isinstance(body, dict):
                yield body.get("val"), body
            else:
                yield pair[0], {}


def key_values(value: Any) -> list[Any]:
    """The fields of an element's key."""
    if isinstance(value, dict):
        return list(value.get("concat", []))
    return [] if value is None else [value]


def _numbers(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same with the protocol, in second place, as a number."""
    return (*parts[:1], _number(parts[1]), *parts[2:]) if len(parts) > 1 else parts


def service_key(family: Family, fields: Sequence[Any]) -> ServiceKey | None:
    """The service that an element's fields name; None for anything else."""
    match fields:
        case [int(mark)]:
            return ServiceKey.for_mark(mark, family)
        case [str(address), protocol]:
            return ServiceKey(family, _number(protocol), address, 0)
        case [str(address), protocol, int(port)]:
            return ServiceKey(family, _number(protocol), address, port)
        case _:
            return None


def _member(family: Family, value: Any) -> _Place | None:
    match key_values(value):
        case [int(mark), str(address), int(port)]:
            return ServiceKey.for_mark(mark, family), DestinationKey(address, port)
        case [str(vip), protocol, int(vport), str(address), int(port)]:
            return ServiceKey(family, _number(protocol), vip, vport), DestinationKey(address, port)
        case _:
            return None


def _number(protocol: Any) -> int:
    return protocol if isinstance(protocol, int) else _NUMBERS.get(str(protocol), 0)

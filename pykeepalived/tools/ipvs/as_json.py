"""The kernel's table as JSON, for `keepalivedctl ipvs --json`: what the listings show, with names and numbers apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from pykeepalived.dataplane.listing import ListedConnection, ListedDestination, ListedService, Traffic
from pykeepalived.model.common import Family
from pykeepalived.model.lvs import Protocol

_PROTOCOLS: Final = {int(protocol): protocol.name.lower() for protocol in Protocol}
_COUNTED: Final = ("connections", "packets_in", "packets_out", "bytes_in", "bytes_out")


def services(found: Iterable[ListedService]) -> list[dict[str, Any]]:
    return [
        {
            "protocol": None if item.key.fwmark else _PROTOCOLS.get(item.key.protocol, str(item.key.protocol)),
            "address": item.key.address or None,
            "port": None if item.key.fwmark else item.key.port,
            "fwmark": item.key.fwmark or None,
            "family": "IPv6" if item.key.family is Family.INET6 else "IPv4",
            **msgspec.to_builtins(item.service),
            "totals": _traffic(item.traffic.totals),
            "rates": _traffic(item.traffic.rates),
            "destinations": [_destination(each) for each in item.destinations],
        }
        for item in found
    ]


def connections(found: Iterable[ListedConnection]) -> list[dict[str, Any]]:
    return [msgspec.to_builtins(item) for item in found]


def _destination(item: ListedDestination) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(item.destination)
    counters: dict[str, Any] = msgspec.to_builtins(item.counters)
    open_ones = {name: value for name, value in counters.items() if name.endswith("_connections")}
    traffic: Traffic = item.traffic
    return {
        "address": item.key.address,
        "port": item.key.port,
        **told,
        **open_ones,
        "totals": _traffic(traffic.totals),
        "rates": _traffic(traffic.rates),
    }


def _traffic(values: tuple[int, ...]) -> dict[str, int]:
    return dict(zip(_COUNTED, values, strict=True))

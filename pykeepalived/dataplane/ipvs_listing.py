"""IPVS's table with everything that it counts, for people. The dataplane itself needs less."""

from __future__ import annotations

from typing import Any

import msgspec

from pykeepalived.dataplane.ipvs_messages import decode_destination, decode_service
from pykeepalived.dataplane.listing import ListedDestination, ListedService, Traffic
from pykeepalived.model.common import Family


class ListedDaemon(msgspec.Struct, frozen=True, kw_only=True):
    """A running connection synchronisation."""

    master: bool
    interface: str
    sync_id: int
    max_length: int
    group: str
    port: int
    ttl: int


def listed_service(fields: dict[str, Any]) -> ListedService:
    key, service = decode_service(fields)
    return ListedService(key, service, _traffic(fields, "SVC"))


def listed_destination(fields: dict[str, Any], family: Family) -> ListedDestination:
    key, destination, counters = decode_destination(fields, family)
    return ListedDestination(key, destination, counters, _traffic(fields, "DEST"))


def listed_daemon(fields: dict[str, Any]) -> ListedDaemon:
    def field(name: str, built_in: Any) -> Any:
        return fields.get(f"IPVS_DAEMON_ATTR_{name}", built_in)

    return ListedDaemon(
        master=field("STATE", 0) == 1,
        interface=field("MCAST_IFN", ""),
        sync_id=field("SYNC_ID", 0),
        max_length=field("SYNC_MAXLEN", 0),
        group=field("MCAST_GROUP", None) or field("MCAST_GROUP6", ""),
        port=field("MCAST_PORT", 0),
        ttl=field("MCAST_TTL", 0),
    )


def _traffic(fields: dict[str, Any], kind: str) -> Traffic:
    nested = fields.get(f"IPVS_{kind}_ATTR_STATS64") or fields.get(f"IPVS_{kind}_ATTR_STATS")
    stats = dict(nested["attrs"]) if nested else {}

    def numbers(*names: str) -> tuple[int, ...]:
        return tuple(int(stats.get(f"IPVS_STATS_ATTR_{name}") or 0) for name in names)

    return Traffic(
        numbers("CONNS", "INPKTS", "OUTPKTS", "INBYTES", "OUTBYTES"),
        numbers("CPS", "INPPS", "OUTPPS", "INBPS", "OUTBPS"),
    )

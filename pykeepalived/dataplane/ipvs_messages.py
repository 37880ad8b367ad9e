"""pyroute2's IPVS messages, put right, and what they say in our words.

What is wrong in pyroute2 0.9.7: IPv6 persistence masks are typed as IPv4 addresses, tunnel ports are in the machine's
order where the wire has network order, timeouts and the synchronisation daemon are hexadecimal text, padding is
unknown, and an address is decoded by a family that may come after it. Its records `IPVSService` and `IPVSDest` are not
used at all: their "update" sends the command that deletes, and their defaults (direct routing) hide what the kernel
said.
"""

from __future__ import annotations

import socket
from typing import Any

from pykeepalived.dataplane import Counters
from pykeepalived.dataplane import ipvs_codec as codec
from pykeepalived.lvs.table import Destination, DestinationKey, Service, ServiceKey
from pykeepalived.model.common import Family

_message_class: Any = None


def message_class() -> Any:
    """pyroute2's IPVS message with its faults put right.

    Addresses stay bytes (their family may follow them), IPv6 "netmasks" are prefix lengths in the machine's order,
    tunnel ports are in network order, timeouts are numbers, the daemon has fields, and padding has a name.
    """
    global _message_class
    if _message_class is None:
        _message_class = _build_message_class()
    return _message_class


def _build_message_class() -> Any:
    import pyroute2  # noqa: F401, PLC0415 (as a whole: parts may be here, see netio.pyroute)
    from pyroute2.netlink import genlmsg, nla  # noqa: PLC0415 (import is costly, and only this dataplane needs it)
    from pyroute2.netlink.generic.ipvs import ipvsmsg  # noqa: PLC0415

    class Stats(ipvsmsg.service.stats):  # type: ignore[misc]
        nla_map = (*ipvsmsg.service.stats.nla_map, ("IPVS_STATS_ATTR_PAD", "none"))

    class Stats64(ipvsmsg.service.stats64):  # type: ignore[misc]
        nla_map = (*ipvsmsg.service.stats64.nla_map, ("IPVS_STATS_ATTR_PAD", "none"))

    class Service(ipvsmsg.service):  # type: ignore[misc]
        nla_map = tuple(
            {"IPVS_SVC_ATTR_ADDR": (name, "cdata"), "IPVS_SVC_ATTR_NETMASK": (name, "uint32")}.get(name, (name, kind))
            for name, kind in ipvsmsg.service.nla_map
        )

        stats, stats64 = Stats, Stats64

    class Dest(ipvsmsg.dest):  # type: ignore[misc]
        nla_map = tuple(
            {"IPVS_DEST_ATTR_ADDR": (name, "cdata"), "IPVS_DEST_ATTR_TUN_PORT": (name, "be16")}.get(name, (name, kind))
            for name, kind in ipvsmsg.dest.nla_map
        )
        stats, stats64 = Stats, Stats64

    class Daemon(nla):  # type: ignore[misc]
        prefix = "IPVS_DAEMON_ATTR_"
        nla_map = (
            ("IPVS_DAEMON_ATTR_UNSPEC", "none"),
            ("IPVS_DAEMON_ATTR_STATE", "uint32"),
            ("IPVS_DAEMON_ATTR_MCAST_IFN", "asciiz"),
            ("IPVS_DAEMON_ATTR_SYNC_ID", "uint32"),
            ("IPVS_DAEMON_ATTR_SYNC_MAXLEN", "uint16"),
            ("IPVS_DAEMON_ATTR_MCAST_GROUP", "ip4addr"),
            ("IPVS_DAEMON_ATTR_MCAST_GROUP6", "ip6addr"),
            ("IPVS_DAEMON_ATTR_MCAST_PORT", "uint16"),
            ("IPVS_DAEMON_ATTR_MCAST_TTL", "uint8"),
        )

    class CorrectedMessage(genlmsg):  # type: ignore[misc]
        prefix = "IPVS_CMD_ATTR_"
        nla_map = (
            ("IPVS_CMD_ATTR_UNSPEC", "none"),
            ("IPVS_CMD_ATTR_SERVICE", "service"),
            ("IPVS_CMD_ATTR_DEST", "dest"),
            ("IPVS_CMD_ATTR_DAEMON", "daemon"),
            ("IPVS_CMD_ATTR_TIMEOUT_TCP", "uint32"),
            ("IPVS_CMD_ATTR_TIMEOUT_TCP_FIN", "uint32"),
            ("IPVS_CMD_ATTR_TIMEOUT_UDP", "uint32"),
        )
        service, dest, daemon = Service, Dest, Daemon

    return CorrectedMessage


def service_attributes(key: ServiceKey) -> list[list[Any]]:
    attributes: list[list[Any]] = [["IPVS_SVC_ATTR_AF", int(key.family)]]
    if key.fwmark:
        return [*attributes, ["IPVS_SVC_ATTR_FWMARK", key.fwmark]]
    packed = socket.inet_pton(key.family, key.address)
    return [
        *attributes,
        ["IPVS_SVC_ATTR_PROTOCOL", key.protocol],
        ["IPVS_SVC_ATTR_ADDR", packed + b"\0" * (16 - len(packed))],
        ["IPVS_SVC_ATTR_PORT", key.port],
    ]


def decode_service(fields: dict[str, Any]) -> tuple[ServiceKey, Service]:
    family = Family(fields["IPVS_SVC_ATTR_AF"])
    fwmark = fields.get("IPVS_SVC_ATTR_FWMARK", 0)
    if fwmark:
        key = ServiceKey.for_mark(fwmark, family)
    else:
        address = codec.decode_address(family, fields["IPVS_SVC_ATTR_ADDR"])
        key = ServiceKey(family, fields["IPVS_SVC_ATTR_PROTOCOL"], address, fields["IPVS_SVC_ATTR_PORT"])
    flags = fields["IPVS_SVC_ATTR_FLAGS"]["flags"]
    timeout_s = fields["IPVS_SVC_ATTR_TIMEOUT"] if flags & codec.FLAG_PERSISTENT else 0
    service = Service(
        scheduler=fields["IPVS_SVC_ATTR_SCHED_NAME"],
        scheduler_flags=flags >> codec.SCHEDULER_FLAGS_SHIFT & 7,
        one_packet=bool(flags & codec.FLAG_ONE_PACKET),
        persistence_timeout_s=timeout_s,
        persistence_prefix=codec.decode_prefix(family, fields["IPVS_SVC_ATTR_NETMASK"]) if timeout_s else None,
        persistence_engine=fields.get("IPVS_SVC_ATTR_PE_NAME"),
    )
    return key, service


def decode_destination(fields: dict[str, Any], family: Family) -> tuple[DestinationKey, Destination, Counters]:
    def number(name: str) -> int:
        return int(fields.get(f"IPVS_DEST_ATTR_{name}") or 0)

    address = codec.decode_address(number("ADDR_FAMILY") or family, fields["IPVS_DEST_ATTR_ADDR"])
    destination = Destination(
        weight=number("WEIGHT"),
        forwarding=codec.decode_forwarding(
            number("FWD_METHOD"), number("TUN_TYPE"), number("TUN_PORT"), number("TUN_FLAGS")
        ),
        upper_threshold=number("U_THRESH"),
        lower_threshold=number("L_THRESH"),
    )
    nested = fields.get("IPVS_DEST_ATTR_STATS64") or fields.get("IPVS_DEST_ATTR_STATS")
    stats = dict(nested["attrs"]) if nested else {}
    counters = Counters(
        connections=stats.get("IPVS_STATS_ATTR_CONNS", 0),
        packets_in=stats.get("IPVS_STATS_ATTR_INPKTS", 0),
        packets_out=stats.get("IPVS_STATS_ATTR_OUTPKTS", 0),
        bytes_in=stats.get("IPVS_STATS_ATTR_INBYTES", 0),
        bytes_out=stats.get("IPVS_STATS_ATTR_OUTBYTES", 0),
        active_connections=number("ACTIVE_CONNS"),
        inactive_connections=number("INACT_CONNS"),
        persistent_connections=number("PERSIST_CONNS"),
    )
    return DestinationKey(address, number("PORT")), destination, counters

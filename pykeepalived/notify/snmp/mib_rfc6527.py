"""VRRPV3-MIB (RFC 6527): all instances, those of version 2 too, as the original shows them."""

# fmt: off

from __future__ import annotations

from typing import Final

from pykeepalived.model.common import Family, family_of
from pykeepalived.notify.snmp.codec import Tag
from pykeepalived.notify.snmp.facts import Facts, Instance, Rows, scalars
from pykeepalived.notify.snmp.mib_rfc2787 import counter, mac, master, refused, state, up_ticks
from pykeepalived.notify.snmp.syntax import (
    ADDRESS,
    BYTE,
    COUNT,
    COUNT64,
    FAMILY,
    INTERVAL,
    MAC,
    ROW_STATUS,
    STAMP,
    TICKS,
    TRUTH,
    UNSIGNED,
    address,
    numbers,
)
from pykeepalived.notify.snmp.tree import Column, Syntax, Table
from pykeepalived.vrrp.facts import instance_family

ROOT: Final = (1, 3, 6, 1, 2, 1, 207)
_OPERATIONS: Final = (*ROOT, 1, 1)
_STATISTICS: Final = (*ROOT, 1, 2)

REASON: Final = numbers(notMaster=0, priority=1, preempted=2, masterNoResponse=3)
ERRORS: Final = numbers(noError=0, ipTtlError=1, versionError=2, checksumError=3, vrIdError=4)
_VRID: Final = Syntax("Vrrpv3VrIdTC", Tag.INTEGER)
_COUNTED: Final = Syntax("Integer32 (0..255)", Tag.INTEGER)
#: By the names of our refusals, in the order in which packets are looked at.
_REFUSALS: Final = (("ttl", 1), ("version", 2), ("checksum", 3), ("unknown-vrid", 4))


def family_number(item: Instance) -> int:
    return 2 if instance_family(item.config) is Family.INET6 else 1


def index(item: Instance) -> tuple[int, int, int]:
    return (item.index or 0, item.config.vrid, family_number(item))


def _rows(facts: Facts) -> Rows:
    return [(index(item), item) for item in facts.instances if item.index is not None]


def _addresses(facts: Facts) -> Rows:
    return [
        ((*index(item), *(address(each.prefix.address) or b"")), item)
        for item in facts.instances
        if item.index is not None
        for each in item.config.addresses
        if family_of(each.prefix.address) is instance_family(item.config)
    ]


def _some(item: Instance, text: str | None) -> bytes:
    """An address, or that of nobody in the same family."""
    return address(text) or bytes(16 if family_number(item) == 2 else 4)


def reason(item: Instance) -> int:
    """Why it became master last."""
    return item.facts.reasons.get(item.config.name, 0)


def last_error(item: Instance) -> int:
    """Which sort of packet was refused most."""
    refusals = item.counters.get("refusals", {})
    found = [(refusals.get(name, 0), number) for name, number in _REFUSALS if refusals.get(name)]
    return max(found)[1] if found else 0


TABLES: Final = (
    Table(
        name="vrrpv3Operations", oid=(*_OPERATIONS, 1, 1), rows=_rows,
        index=("ifIndex", "vrrpv3OperationsVrId", "vrrpv3OperationsInetAddrType"), help="virtual routers",
        columns=(
            Column(1, "vrrpv3OperationsVrId", _VRID, lambda r: None, "The VRID.", "not-accessible"),
            Column(2, "vrrpv3OperationsInetAddrType", FAMILY, lambda r: None, "Sort of its addresses.",
                   "not-accessible"),
            Column(3, "vrrpv3OperationsMasterIpAddr", ADDRESS, lambda r: _some(r, master(r)), "Who is master."),
            Column(4, "vrrpv3OperationsPrimaryIpAddr", ADDRESS, lambda r: _some(r, r.status.get("source")),
                   "Address that its adverts come from.", "read-create"),
            Column(5, "vrrpv3OperationsVirtualMacAddr", MAC, mac, "MAC address that its packets come from."),
            Column(6, "vrrpv3OperationsStatus", numbers(initialize=1, backup=2, master=3), state, "What it is now."),
            Column(7, "vrrpv3OperationsPriority", BYTE,
                   lambda r: r.status.get("effective_priority", r.config.priority), "Its priority.", "read-create"),
            Column(8, "vrrpv3OperationsAddrCount", _COUNTED, lambda r: len(r.config.addresses), "How many addresses."),
            Column(9, "vrrpv3OperationsAdvInterval", INTERVAL, lambda r: r.config.advert_interval_us // 10_000,
                   "Hundredths of a second between adverts.", "read-create"),
            Column(10, "vrrpv3OperationsPreemptMode", TRUTH, lambda r: not r.config.nopreempt,
                   "Whether it takes over from a lower priority.", "read-create"),
            Column(11, "vrrpv3OperationsAcceptMode", TRUTH, lambda r: r.config.accept,
                   "Whether packets to its addresses are accepted here.", "read-create"),
            Column(12, "vrrpv3OperationsUpTime", TICKS, up_ticks, "When it last began to take part."),
            Column(13, "vrrpv3OperationsRowStatus", ROW_STATUS, lambda r: "active", "State of the row.", "read-create"),
        ),
    ),
    Table(
        name="vrrpv3AssociatedIpAddr", oid=(*_OPERATIONS, 2, 1), rows=_addresses,
        index=("ifIndex", "vrrpv3OperationsVrId", "vrrpv3OperationsInetAddrType", "vrrpv3AssociatedIpAddrAddress"),
        help="addresses of virtual routers",
        columns=(
            Column(1,
                   "vrrpv3AssociatedIpAddrAddress", Syntax("InetAddress (SIZE (0|4|16))", Tag.STRING), lambda r: None,
                   "The address.", "not-accessible"),
            Column(2, "vrrpv3AssociatedIpAddrRowStatus", ROW_STATUS, lambda r: "active", "State of the row.",
                   "read-create"),
        ),
    ),
    Table(
        name="vrrpv3Statistics", oid=_STATISTICS, rows=scalars, help="packets that no virtual router could take",
        columns=(
            Column(1, "vrrpv3RouterChecksumErrors", COUNT64, lambda f: refused(f, "checksum"),
                   "With a wrong checksum."),
            Column(2, "vrrpv3RouterVersionErrors", COUNT64, lambda f: refused(f, "version"), "Of another version."),
            Column(3, "vrrpv3RouterVrIdErrors", COUNT64, lambda f: refused(f, "unknown-vrid"), "With an unknown VRID."),
            Column(4, "vrrpv3GlobalStatisticsDiscontinuityTime", STAMP, lambda f: f.started_ticks,
                   "When these counters began."),
        ),
    ),
    Table(
        name="vrrpv3StatisticsRow", oid=(*_STATISTICS, 5, 1), rows=_rows,
        index=("ifIndex", "vrrpv3OperationsVrId", "vrrpv3OperationsInetAddrType"), help="counters of virtual routers",
        columns=(
            Column(1, "vrrpv3StatisticsMasterTransitions", COUNT, counter("become_master"),
                   "Times that it became master."),
            Column(2, "vrrpv3StatisticsNewMasterReason", REASON, reason, "Why it did so last."),
            Column(3, "vrrpv3StatisticsRcvdAdvertisements", COUNT64, counter("advert_rcvd"), "Adverts that came."),
            Column(4, "vrrpv3StatisticsAdvIntervalErrors", COUNT64, counter("advert_interval_err"),
                   "Those with another interval."),
            Column(5, "vrrpv3StatisticsIpTtlErrors", COUNT64, counter("ip_ttl_err"), "Those with a wrong TTL."),
            Column(6, "vrrpv3StatisticsProtoErrReason", ERRORS, last_error,
                   "What was wrong with most others."),
            Column(7, "vrrpv3StatisticsRcvdPriZeroPackets", COUNT64, counter("pri_zero_rcvd"),
                   "Those with priority 0."),
            Column(8, "vrrpv3StatisticsSentPriZeroPackets", COUNT64, counter("pri_zero_sent"), "Priority 0 sent."),
            Column(9, "vrrpv3StatisticsRcvdInvalidTypePackets", COUNT64, counter("invalid_type_rcvd"),
                   "Those of another type."),
            Column(10, "vrrpv3StatisticsAddressListErrors", COUNT64, counter("addr_list_err"),
                   "Those with other addresses."),
            Column(11, "vrrpv3StatisticsPacketLengthErrors", COUNT64, counter("packet_len_err"),
                   "Those of a wrong length."),
            Column(12, "vrrpv3StatisticsRowDiscontinuityTime", STAMP, lambda r: r.facts.started_ticks,
                   "When these counters began."),
            Column(13, "vrrpv3StatisticsRefreshRate", UNSIGNED, lambda r: r.config.advert_interval_us // 1000,
                   "Milliseconds after which a counter may have changed."),
        ),
    ),
)

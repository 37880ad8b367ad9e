"""VRRP-MIB (RFC 2787): instances of version 2 over IPv4."""

# fmt: off

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pykeepalived.model.common import Family, family_of
from pykeepalived.notify.snmp.codec import Tag
from pykeepalived.notify.snmp.facts import Facts, Instance, Rows, scalars
from pykeepalived.notify.snmp.syntax import (
    COUNT,
    IP4,
    MAC,
    ROW_STATUS,
    STAMP,
    TRUTH,
    address,
    numbers,
)
from pykeepalived.notify.snmp.tree import Column, Syntax, Table
from pykeepalived.units import SECOND_US

ROOT: Final = (1, 3, 6, 1, 2, 1, 68)
_OPERATIONS: Final = (*ROOT, 1)
_STATISTICS: Final = (*ROOT, 2)

VRID: Final = Syntax("VrId", Tag.INTEGER)
STATE: Final = numbers(initialize=1, backup=2, master=3)
_NO_ADDRESS: Final = bytes(4)


def _span(low: int, high: int) -> Syntax:
    return Syntax(f"Integer32 ({low}..{high})", Tag.INTEGER)


def served(facts: Facts) -> list[Instance]:
    """Version 2 speaks of IPv4 alone; an interface that is not there has no number."""
    return [item for item in facts.instances if item.config.version == 2 and item.index is not None]


def _rows(facts: Facts) -> Rows:
    return [((item.index or 0, item.config.vrid), item) for item in served(facts)]


def _addresses(facts: Facts) -> Rows:
    return [
        ((item.index or 0, item.config.vrid, *(address(each.prefix.address) or b"")), item)
        for item in served(facts)
        for each in item.config.addresses
        if family_of(each.prefix.address) is Family.INET
    ]


def state(item: Instance) -> str:
    return {"MASTER": "master", "BACKUP": "backup", "STANDBY": "backup"}.get(item.state, "initialize")


def mac(item: Instance) -> bytes:
    """That of the virtual router where it is used, else that of the interface, as packets have it."""
    if item.config.vmac is not None:
        return item.config.vmac.mac or bytes((0, 0, 0x5E, 0, 1, item.config.vrid))
    for link in item.facts.vrrp.get("interfaces", ()):
        if link["name"] == item.config.interface and link["mac"]:
            return bytes.fromhex(link["mac"].replace(":", ""))
    return bytes((0, 0, 0x5E, 0, 1, item.config.vrid))


def master(item: Instance) -> str | None:
    """The address of who is MASTER."""
    return item.status.get("source") if item.state == "MASTER" else item.status.get("master_address")


def up_ticks(item: Instance) -> int:
    """The agent's time when it left INIT or FAULT; 0 before."""
    if state(item) == "initialize":
        return 0
    since = float(item.status.get("last_transition") or item.facts.now)
    return max(0, item.facts.ticks - int((item.facts.now - since) * 100))


def counter(name: str) -> Callable[[Any], int]:
    return lambda item: int(item.counters.get(name, 0))


def refused(facts: Facts, *reasons: str) -> int:
    return sum(int(item.counters.get("refusals", {}).get(reason, 0)) for item in facts.instances for reason in reasons)


AUTH_ERROR: Final = numbers(invalidAuthType=1, authTypeMismatch=2, authFailure=3)
TABLES: Final = (
    Table(
        name="vrrpOperations", oid=_OPERATIONS, rows=scalars, help="the node",
        columns=(
            Column(1, "vrrpNodeVersion", Syntax("Integer32", Tag.INTEGER), lambda f: 2,
                   "Version of the protocol here."),
            Column(2, "vrrpNotificationCntl", numbers(enabled=1, disabled=2),
                   lambda f: "enabled" if f.config.globals.agents.enable_traps else "disabled",
                   "Whether notifications are sent.", "read-write"),
            Column(5, "vrrpTrapPacketSrc", IP4, lambda f: None, "Where the packet of a notification came from.",
                   "accessible-for-notify"),
            Column(6, "vrrpTrapAuthErrorType", AUTH_ERROR, lambda f: None, "What was wrong with it.",
                   "accessible-for-notify"),
        ),
    ),
    Table(
        name="vrrpOper", oid=(*_OPERATIONS, 3, 1), rows=_rows, index=("ifIndex", "vrrpOperVrId"),
        help="virtual routers",
        columns=(
            Column(1, "vrrpOperVrId", VRID, lambda r: None, "The VRID.", "not-accessible"),
            Column(2, "vrrpOperVirtualMacAddr", MAC, mac, "MAC address that its packets come from."),
            Column(3, "vrrpOperState", STATE, state, "What it is now."),
            Column(4, "vrrpOperAdminState", numbers(up=1, down=2), lambda r: "up", "Whether it is to run.",
                   "read-create"),
            Column(5, "vrrpOperPriority", _span(0, 255),
                   lambda r: r.status.get("effective_priority", r.config.priority), "Its priority.", "read-create"),
            Column(6, "vrrpOperIpAddrCount", _span(0, 255), lambda r: len(r.config.addresses), "How many addresses."),
            Column(7, "vrrpOperMasterIpAddr", IP4, lambda r: address(master(r)) or _NO_ADDRESS, "Who is master."),
            Column(8, "vrrpOperPrimaryIpAddr", IP4, lambda r: address(r.status.get("source")) or _NO_ADDRESS,
                   "Address that its adverts come from.", "read-create"),
            Column(9, "vrrpOperAuthType", numbers(noAuthentication=1, simpleTextPassword=2, ipAuthenticationHeader=3),
                   lambda r: 1 + (int(r.config.authentication.type) if r.config.authentication else 0),
                   "Authentication of its adverts.", "read-create"),
            Column(10, "vrrpOperAuthKey", Syntax("OCTET STRING (SIZE (0..16))", Tag.STRING), lambda r: None,
                   "Its key, which is never told.", "read-create"),
            Column(11, "vrrpOperAdvertisementInterval", _span(1, 255),
                   lambda r: r.config.advert_interval_us // SECOND_US, "Seconds between adverts.", "read-create"),
            Column(12, "vrrpOperPreemptMode", TRUTH, lambda r: not r.config.nopreempt,
                   "Whether it takes over from a lower priority.", "read-create"),
            Column(13, "vrrpOperVirtualRouterUpTime", STAMP, up_ticks, "When it last began to take part."),
            Column(14, "vrrpOperProtocol", numbers(ip=1, bridge=2, decnet=3, other=4), lambda r: "ip",
                   "What its addresses are.", "read-create"),
            Column(15, "vrrpOperRowStatus", ROW_STATUS, lambda r: "active", "State of the row.", "read-create"),
        ),
    ),
    Table(
        name="vrrpAssoIpAddr", oid=(*_OPERATIONS, 4, 1), rows=_addresses,
        index=("ifIndex", "vrrpOperVrId", "vrrpAssoIpAddr"), help="addresses of virtual routers",
        columns=(
            Column(1, "vrrpAssoIpAddr", IP4, lambda r: None, "The address.", "not-accessible"),
            Column(2, "vrrpAssoIpAddrRowStatus", ROW_STATUS, lambda r: "active", "State of the row.", "read-create"),
        ),
    ),
    Table(
        name="vrrpStatistics", oid=_STATISTICS, rows=scalars, help="packets that no virtual router could take",
        columns=(
            Column(1, "vrrpRouterChecksumErrors", COUNT, lambda f: refused(f, "checksum"), "With a wrong checksum."),
            Column(2, "vrrpRouterVersionErrors", COUNT, lambda f: refused(f, "version"), "Of another version."),
            Column(3, "vrrpRouterVrIdErrors", COUNT, lambda f: refused(f, "unknown-vrid"), "With an unknown VRID."),
        ),
    ),
    Table(
        name="vrrpRouterStats", oid=(*_STATISTICS, 4, 1), rows=_rows, index=("ifIndex", "vrrpOperVrId"),
        help="counters of virtual routers",
        columns=(
            Column(1, "vrrpStatsBecomeMaster", COUNT, counter("become_master"), "Times that it became master."),
            Column(2, "vrrpStatsAdvertiseRcvd", COUNT, counter("advert_rcvd"), "Adverts that came."),
            Column(3, "vrrpStatsAdvertiseIntervalErrors", COUNT, counter("advert_interval_err"),
                   "Those with another interval."),
            Column(4, "vrrpStatsAuthFailures", COUNT, counter("auth_failure"), "Those that failed authentication."),
            Column(5, "vrrpStatsIpTtlErrors", COUNT, counter("ip_ttl_err"), "Those with a wrong TTL."),
            Column(6, "vrrpStatsPriorityZeroPktsRcvd", COUNT, counter("pri_zero_rcvd"), "Those with priority 0."),
            Column(7, "vrrpStatsPriorityZeroPktsSent", COUNT, counter("pri_zero_sent"), "Priority 0 sent."),
            Column(8, "vrrpStatsInvalidTypePktsRcvd", COUNT, counter("invalid_type_rcvd"), "Those of another type."),
            Column(9, "vrrpStatsAddressListErrors", COUNT, counter("addr_list_err"), "Those with other addresses."),
            Column(10, "vrrpStatsInvalidAuthType", COUNT, counter("invalid_authtype"),
                   "Those with an unknown authentication."),
            Column(11, "vrrpStatsAuthTypeMismatch", COUNT, counter("authtype_mismatch"),
                   "Those with another authentication."),
            Column(12, "vrrpStatsPacketLengthErrors", COUNT, counter("packet_len_err"), "Those of a wrong length."),
        ),
    ),
)

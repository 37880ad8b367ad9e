"""KEEPALIVED-MIB, branch 3: virtual server groups and virtual servers. Real servers have a file of their own."""

# fmt: off

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pykeepalived.model.lvs import (
    AddressSelector,
    FwmarkSelector,
    GroupAddress,
    GroupFwmark,
    GroupSelector,
    VirtualServer,
)
from pykeepalived.notify.snmp.codec import Tag
from pykeepalived.notify.snmp.facts import Facts, Rows, Service, command, path, scalars
from pykeepalived.notify.snmp.mib_global import ROOT
from pykeepalived.notify.snmp.syntax import (
    ADDRESS,
    CHECKSUM,
    COUNT,
    COUNT64,
    ENABLED,
    FAMILY,
    GAUGE,
    INDEX,
    INT,
    METHOD,
    PORT,
    TEXT,
    TRUTH,
    TUNNEL,
    UNSIGNED,
    WHEN_DOWN,
    address,
    family,
    numbers,
)
from pykeepalived.notify.snmp.tree import Column, Syntax, Table
from pykeepalived.units import SECOND_US

CHECK: Final = (*ROOT, 3)
TYPE: Final = numbers(fwmark=1, ip=2, group=3)
PROTOCOL: Final = numbers(tcp=1, udp=2, sctp=3, none=4)
QUORUM: Final = numbers(met=1, notMet=2, shutdown=3)
_SCHEDULERS: Final = numbers(rr=1, wrr=2, lc=3, wlc=4, lblc=5, lblcr=6, dh=7, sh=8, sed=9, nq=10, fo=11, ovf=12, mh=13,
                             twos=14, unknown=99)
_TIMEOUT_S: Final = Syntax("Integer32 (1..2678400)", Tag.INTEGER)
_LAST_WORD: Final = 0xFFFFFFFF


class Member:
    """An entry of a virtual server group."""

    def __init__(self, entry: GroupAddress | GroupFwmark) -> None:
        self.place = entry if isinstance(entry, GroupAddress) else None
        self.mark = entry.fwmark if isinstance(entry, GroupFwmark) else None

    @property
    def is_range(self) -> bool:
        return self.place is not None and self.place.first != self.place.last


def _groups(facts: Facts) -> Rows:
    return [((number,), item) for number, item in enumerate(facts.config.virtual_server_groups, 1)]


def _members(facts: Facts) -> Rows:
    return [
        ((group, number), Member(entry))
        for group, item in enumerate(facts.config.virtual_server_groups, 1)
        for number, entry in enumerate(item.entries, 1)
    ]


def _services(facts: Facts) -> Rows:
    return [((item.number,), item) for item in facts.services]


def service_type(service: Service) -> str:
    selector = service.config.selector
    if isinstance(selector, FwmarkSelector):
        return "fwmark"
    return "group" if isinstance(selector, GroupSelector) else "ip"


def protocol(service: Service) -> str:
    found = service.config.protocol
    return "none" if found is None else found.name.lower()


def quorum(service: Service) -> str:
    return "met" if service.status.get("quorum", {}).get("up") else "notMet"


def servers_up(service: Service) -> int:
    return sum(bool(item["alive"]) for item in service.status.get("servers", ()))


def _place(service: Service) -> str | None:
    selector = service.config.selector
    return selector.address if isinstance(selector, AddressSelector) else None


def _timing(service: Service) -> Any:
    """What virtual servers are told of checks, their real servers' checks say."""
    for server in service.config.real_servers:
        for spec in server.checkers:
            return spec.timing
    return None


def timing(field: str, unit: int) -> Callable[[Any], int | None]:
    """A time of the first check; None without checks."""
    def read(row: Any) -> int | None:
        found = _timing(row)
        return None if found is None else getattr(found, field) // unit
    return read


def _retry(service: Service) -> int | None:
    found = _timing(service)
    return None if found is None else int(found.retry)


def _connect_timeout(service: Service) -> int | None:
    for server in service.config.real_servers:
        for spec in server.checkers:
            target = getattr(spec.question, "socket", None)
            if target is not None:
                return int(target.timeout_us)
    return None


def total(number: int) -> Callable[[Any], int]:
    return lambda row: row.traffic.totals[number] & _LAST_WORD


def total64(number: int) -> Callable[[Any], int]:
    return lambda row: int(row.traffic.totals[number])


def rate(number: int) -> Callable[[Any], int]:
    return lambda row: int(row.traffic.rates[number])


def rate_low(number: int) -> Callable[[Any], int]:
    return lambda row: row.traffic.rates[number] & _LAST_WORD


def rate_high(number: int) -> Callable[[Any], int]:
    return lambda row: row.traffic.rates[number] >> 32


def on(flag: Any) -> str:
    return "enabled" if flag else "disabled"


def _flag(scheduler: str, bit: int) -> Callable[[Any], bool | None]:
    return lambda row: bool(row.config.scheduler_flags & bit) if row.config.scheduler == scheduler else False


def rates(name: str, first: int, first_wide: int) -> tuple[Column, ...]:
    """The columns of rates: as gauges, as two halves, and as one 64-bit number."""
    words = (("Cps", "connections"), ("InPPS", "packets in"), ("OutPPS", "packets out"), ("InBPS", "bytes in"),
             ("OutBPS", "bytes out"))
    found = []
    for number, (word, what) in enumerate(words):
        found.append(Column(first + number, f"{name}Rate{word}", GAUGE, rate(number), f"Average {what} a second."))
    low = {"virtualServer": 41, "realServer": 30}[name]
    for number, (word, what) in enumerate(words):
        found.append(Column(low + 2 * number, f"{name}Rate{word}Low", UNSIGNED, rate_low(number),
                            f"The lower 32 bits of the average of {what} a second."))
        found.append(Column(low + 2 * number + 1, f"{name}Rate{word}High", UNSIGNED, rate_high(number),
                            f"The upper 32 bits of the average of {what} a second."))
    for number, (word, what) in enumerate(words):
        found.append(Column(first_wide + number, f"{name}Rate{word}64", COUNT64, rate(number),
                            f"Average {what} a second, in 64 bits."))
    return tuple(found)


def in_order(*columns: Column) -> tuple[Column, ...]:
    return tuple(sorted(columns, key=lambda column: column.number))


def _mask(server: VirtualServer) -> bytes | None:
    """Persistence's mask as an address (IPv4)."""
    if not server.persistence_timeout_s or server.persistence_prefix is None or server.persistence_prefix > 32:
        return None
    return (((1 << server.persistence_prefix) - 1) << (32 - server.persistence_prefix)).to_bytes(4, "big")


_VIRTUAL: Final = in_order(
    Column(1, "virtualServerIndex", INDEX, lambda r: None, "Number of the virtual server.", "not-accessible"),
    Column(2, "virtualServerType", TYPE, service_type, "What it is known by."),
    Column(3, "virtualServerNameOfGroup", TEXT, lambda r: getattr(r.config.selector, "name", None), "Its group."),
    Column(4, "virtualServerFwMark", UNSIGNED, lambda r: getattr(r.config.selector, "fwmark", None), "Its mark."),
    Column(5, "virtualServerAddrType", FAMILY, lambda r: family(_place(r)), "Sort of its address."),
    Column(6, "virtualServerAddress", ADDRESS, lambda r: address(_place(r)), "Its address."),
    Column(7, "virtualServerPort", PORT, lambda r: getattr(r.config.selector, "port", None), "Its port."),
    Column(8, "virtualServerProtocol", PROTOCOL, protocol, "Its protocol."),
    Column(9, "virtualServerLoadBalancingAlgo", _SCHEDULERS,
           lambda r: r.config.scheduler if r.config.scheduler in _SCHEDULERS.words else "unknown", "Its scheduler."),
    Column(10, "virtualServerLoadBalancingKind", METHOD, lambda r: r.config.forwarding.method.value.lower(),
           "How packets reach its real servers."),
    Column(11, "virtualServerStatus", numbers(alive=1, dead=2), lambda r: "alive" if servers_up(r) else "dead",
           "Whether any real server is alive."),
    Column(12, "virtualServerVirtualHost", TEXT, lambda r: r.config.virtualhost, "Host that HTTP checks ask for."),
    Column(13, "virtualServerPersist", ENABLED, lambda r: on(r.config.persistence_timeout_s),
           "Whether clients stay with their real server."),
    Column(14, "virtualServerPersistTimeout", UNSIGNED, lambda r: r.config.persistence_timeout_s or None,
           "Seconds that they do."),
    Column(15, "virtualServerPersistGranularity", ADDRESS, lambda r: _mask(r.config), "Which of them count as one."),
    Column(16, "virtualServerDelayLoop", UNSIGNED, timing("delay_loop_us", SECOND_US), "Seconds between checks."),
    Column(17, "virtualServerHaSuspend", TRUTH, lambda r: r.config.ha_suspend,
           "Whether checks rest while its address is not here."),
    Column(18, "virtualServerAlpha", ENABLED, lambda r: on(r.config.alpha), "Whether all begin as dead."),
    Column(19, "virtualServerOmega", ENABLED, lambda r: on(r.config.omega), "Whether the stop counts as a failure."),
    Column(20, "virtualServerRealServersTotal", UNSIGNED, lambda r: len(r.config.real_servers),
           "How many real servers it has."),
    Column(21, "virtualServerRealServersUp", UNSIGNED, servers_up, "How many of them are alive."),
    Column(22, "virtualServerQuorum", UNSIGNED, lambda r: r.config.quorum, "Weight that it needs."),
    Column(23, "virtualServerQuorumStatus", QUORUM, quorum, "Whether it has that."),
    Column(24, "virtualServerQuorumUp", TEXT, lambda r: command(r.config.quorum_up), "Script for the quorum's return."),
    Column(25, "virtualServerQuorumDown", TEXT, lambda r: command(r.config.quorum_down),
           "Script for the quorum's loss."),
    Column(26, "virtualServerHysteresis", UNSIGNED, lambda r: r.config.hysteresis, "Weight beyond the quorum."),
    Column(27, "virtualServerStatsConns", GAUGE, total(0), "Connections since it was added."),
    Column(28, "virtualServerStatsInPkts", COUNT, total(1), "Packets in."),
    Column(29, "virtualServerStatsOutPkts", COUNT, total(2), "Packets out."),
    Column(30, "virtualServerStatsInBytes", COUNT64, total64(3), "Bytes in."),
    Column(31, "virtualServerStatsOutBytes", COUNT64, total64(4), "Bytes out."),
    *rates("virtualServer", 32, 74),
    Column(37, "virtualServerOPS", TRUTH, lambda r: r.config.one_packet, "Whether each packet is scheduled."),
    Column(38, "virtualServerStatsConns64", COUNT64, total64(0), "Connections, in 64 bits."),
    Column(39, "virtualServerStatsInPkts64", COUNT64, total64(1), "Packets in, in 64 bits."),
    Column(40, "virtualServerStatsOutPkts64", COUNT64, total64(2), "Packets out, in 64 bits."),
    Column(51, "virtualServerPersistGranularity6", UNSIGNED,
           lambda r: r.config.persistence_prefix if ":" in (_place(r) or "") else None,
           "Which IPv6 clients count as one."),
    Column(52, "virtualServerHashed", TRUTH, lambda r: r.config.hashed, "Whether `hashed` is set."),
    Column(53, "virtualServerSHFallback", TRUTH, _flag("sh", 1), "sh-fallback of its scheduler."),
    Column(54, "virtualServerSHPort", TRUTH, _flag("sh", 2), "sh-port of its scheduler."),
    Column(55, "virtualServerSched3", TRUTH, lambda r: bool(r.config.scheduler_flags & 4),
           "The third flag of its scheduler."),
    Column(56, "virtualServerActionWhenDown", WHEN_DOWN,
           lambda r: "inhibit" if any(s.inhibit_on_failure for s in r.config.real_servers) else "remove",
           "What becomes of a dead real server."),
    Column(57, "virtualServerRetry", UNSIGNED, _retry, "Failures that are forgiven."),
    Column(58, "virtualServerDelayBeforeRetry", UNSIGNED, timing("delay_before_retry_us", SECOND_US),
           "Seconds until a check is tried again."),
    Column(59, "virtualServerWarmup", UNSIGNED, timing("warmup_us", SECOND_US), "Most seconds until the first check."),
    Column(60, "virtualServerWeight", INT,
           lambda r: r.config.real_servers[0].weight if r.config.real_servers else None,
           "Weight of its first real server."),
    Column(61, "virtualServerSmtpAlert", ENABLED, lambda r: on(r.config.smtp_alert),
           "Whether changes of the quorum are worth a mail."),
    Column(62, "virtualServerMHFallback", TRUTH, _flag("mh", 1), "mh-fallback of its scheduler."),
    Column(63, "virtualServerMHPort", TRUTH, _flag("mh", 2), "mh-port of its scheduler."),
    Column(64, "virtualServerDelayLoopUsec", UNSIGNED, timing("delay_loop_us", 1), "Microseconds between checks."),
    Column(65, "virtualServerDelayBeforeRetrUsec", UNSIGNED, timing("delay_before_retry_us", 1),
           "Microseconds until a check is tried again."),
    Column(66, "virtualServerWarmupUsec", UNSIGNED, timing("warmup_us", 1), "Most microseconds until the first check."),
    Column(67, "virtualServerConnTimeoutUsec", UNSIGNED, _connect_timeout, "Microseconds that a check may take."),
    Column(68, "virtualServerTunnelType", TUNNEL,
           lambda r: r.config.forwarding.tunnel_type.value if r.config.forwarding.method.value == "TUN" else None,
           "Sort of its tunnels."),
    Column(69, "virtualServerTunnelPort", PORT, lambda r: r.config.forwarding.tunnel_port or None,
           "Port of its tunnels."),
    Column(70, "virtualServerTunnelCsum", CHECKSUM,
           lambda r: r.config.forwarding.tunnel_checksum if r.config.forwarding.method.value == "TUN" else None,
           "Checksum of its tunnels."),
    Column(71, "virtualServerName", TEXT, lambda r: r.config.snmp_name, "snmp_name of the configuration."),
    Column(72, "virtualServerQuorumUpPath", TEXT, lambda r: path(r.config.quorum_up),
           "Program for the quorum's return."),
    Column(73, "virtualServerQuorumDownPath", TEXT, lambda r: path(r.config.quorum_down),
           "Program for the quorum's loss."),
)

TABLES: Final = (
    Table(
        name="virtualServerGroup", oid=(*CHECK, 1, 1), rows=_groups, index=("virtualServerGroupIndex",),
        help="virtual server groups",
        columns=(
            Column(1, "virtualServerGroupIndex", INDEX, lambda r: None, "Number of the group.", "not-accessible"),
            Column(2, "virtualServerGroupName", TEXT, lambda r: r.name, "Name of the group."),
        ),
    ),
    Table(
        name="virtualServerGroupMember", oid=(*CHECK, 2, 1), rows=_members,
        index=("virtualServerGroupIndex", "virtualServerGroupMemberIndex"), help="entries of virtual server groups",
        columns=(
            Column(1, "virtualServerGroupMemberIndex", INDEX, lambda r: None, "Number of the entry.",
                   "not-accessible"),
            Column(2, "virtualServerGroupMemberType", numbers(fwmark=1, ip=2, iprange=3),
                   lambda r: "fwmark" if r.place is None else "iprange" if r.is_range else "ip", "Sort of the entry."),
            Column(3, "virtualServerGroupMemberFwMark", UNSIGNED, lambda r: r.mark, "Its mark."),
            Column(4, "virtualServerGroupMemberAddrType", FAMILY,
                   lambda r: r.place and family(r.place.first), "Sort of its address."),
            Column(5, "virtualServerGroupMemberAddress", ADDRESS,
                   lambda r: address(r.place.first) if r.place and not r.is_range else None, "Its address."),
            Column(6, "virtualServerGroupMemberAddr1", ADDRESS,
                   lambda r: address(r.place.first) if r.is_range else None, "The first of its addresses."),
            Column(7, "virtualServerGroupMemberAddr2", ADDRESS,
                   lambda r: address(r.place.last) if r.is_range else None, "The last of its addresses."),
            Column(8, "virtualServerGroupMemberPort", PORT, lambda r: r.place and r.place.port, "Its port."),
        ),
    ),
    Table(
        name="virtualServer", oid=(*CHECK, 3, 1), rows=_services, index=("virtualServerIndex",),
        help="virtual servers", columns=_VIRTUAL,
    ),
    Table(
        name="lvsTimeouts", oid=(*CHECK, 7), rows=scalars, help="times of IPVS",
        columns=(
            Column(1, "lvsTimeoutTcp", _TIMEOUT_S, lambda f: _timeout(f, 0), "Seconds of an idle TCP connection."),
            Column(2, "lvsTimeoutTcpFin", _TIMEOUT_S, lambda f: _timeout(f, 1), "Seconds after FIN."),
            Column(3, "lvsTimeoutUdp", _TIMEOUT_S, lambda f: _timeout(f, 2), "Seconds of UDP."),
        ),
    ),
)


def _timeout(facts: Facts, number: int) -> int | None:
    given = facts.config.globals.lvs_timeouts
    return (given[number] or None) if given else None

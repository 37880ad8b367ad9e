"""KEEPALIVED-MIB, branch 3: real servers, and the connection synchronisation."""

# fmt: off

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pykeepalived.notify.snmp.codec import Tag
from pykeepalived.notify.snmp.facts import Facts, Rows, Server, command, path, scalars
from pykeepalived.notify.snmp.mib_check import CHECK, in_order, on, rates, total, total64
from pykeepalived.notify.snmp.syntax import (
    ADDRESS,
    ALIVE,
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
    TUNNEL,
    UNSIGNED,
    WHEN_DOWN,
    address,
    family,
    numbers,
)
from pykeepalived.notify.snmp.tree import Column, Syntax, Table
from pykeepalived.units import SECOND_US


def rows(facts: Facts) -> Rows:
    return [((item.service.number, item.number), item) for item in facts.servers]


def alive(server: Server) -> str:
    """A sorry server is alive while it serves."""
    if server.real is None:
        sorry = server.service.status.get("sorry_server") or {}
        return "alive" if sorry.get("serves") else "dead"
    return "alive" if server.status.get("alive") else "dead"


def _real(read: Callable[[Any], Any]) -> Callable[[Server], Any]:
    """Of real servers alone."""
    return lambda row: None if row.real is None else read(row)


def _timing(field: str, unit: int) -> Callable[[Server], int | None]:
    """A time of the first check."""
    def read(row: Server) -> int | None:
        if row.real is None or not row.real.checkers:
            return None
        return int(getattr(row.real.checkers[0].timing, field)) // unit
    return read


def _timeout(row: Server) -> int | None:
    target = getattr(row.real.checkers[0].question, "socket", None) if row.real and row.real.checkers else None
    return None if target is None else int(target.timeout_us)


def _checks(row: Server, *, run: bool) -> int:
    """How many checks have failed; or, not having `run`, how many wait for their first answer."""
    checks = row.status.get("checks", ())
    return sum(not item["has_run"] for item in checks) if not run else sum(not item["up"] for item in checks)


def _tunnels(row: Server) -> bool:
    return row.config.forwarding.method.value == "TUN"


_COLUMNS: Final = in_order(
    Column(1, "realServerIndex", INDEX, lambda r: None, "Number of the server.", "not-accessible"),
    Column(2, "realServerType", numbers(regular=1, sorry=2), lambda r: "sorry" if r.real is None else "regular",
           "Whether it is the sorry server."),
    Column(3, "realServerAddrType", FAMILY, lambda r: family(r.config.address), "Sort of its address."),
    Column(4, "realServerAddress", ADDRESS, lambda r: address(r.config.address), "Its address."),
    Column(5, "realServerPort", PORT, lambda r: r.config.port, "Its port."),
    Column(6, "realServerStatus", ALIVE, alive, "Whether it serves."),
    Column(7, "realServerWeight", INT, lambda r: r.status.get("weight", r.config.weight), "Its weight now.",
           "read-write"),
    Column(8, "realServerUpperConnectionLimit", UNSIGNED, _real(lambda r: r.config.upper_threshold or None),
           "Connections from which on it gets no new ones."),
    Column(9, "realServerLowerConnectionLimit", UNSIGNED, _real(lambda r: r.config.lower_threshold or None),
           "Connections below which it gets new ones again."),
    Column(10, "realServerActionWhenDown", WHEN_DOWN,
           _real(lambda r: "inhibit" if r.config.inhibit_on_failure else "remove"), "What becomes of it when it dies."),
    Column(11, "realServerNotifyUp", TEXT, _real(lambda r: command(r.config.notify_up)), "Script for its return."),
    Column(12, "realServerNotifyDown", TEXT, _real(lambda r: command(r.config.notify_down)), "Script for its failure."),
    Column(13, "realServerFailedChecks", UNSIGNED, _real(lambda r: _checks(r, run=True)), "Checks that have failed."),
    Column(14, "realServerStatsConns", GAUGE, total(0), "Connections since it was added."),
    Column(15, "realServerStatsActiveConns", GAUGE, lambda r: r.traffic.active, "Connections that are open."),
    Column(16, "realServerStatsInactiveConns", GAUGE, lambda r: r.traffic.inactive, "Connections that are ending."),
    Column(17, "realServerStatsPersistentConns", GAUGE, lambda r: r.traffic.persistent, "Clients that are remembered."),
    Column(18, "realServerStatsInPkts", COUNT, total(1), "Packets in."),
    Column(19, "realServerStatsOutPkts", COUNT, total(2), "Packets out."),
    Column(20, "realServerStatsInBytes", COUNT64, total64(3), "Bytes in."),
    Column(21, "realServerStatsOutBytes", COUNT64, total64(4), "Bytes out."),
    *rates("realServer", 22, 58),
    Column(27, "realServerStatsConns64", COUNT64, total64(0), "Connections, in 64 bits."),
    Column(28, "realServerStatsInPkts64", COUNT64, total64(1), "Packets in, in 64 bits."),
    Column(29, "realServerStatsOutPkts64", COUNT64, total64(2), "Packets out, in 64 bits."),
    Column(40, "realServerForwardingMethod", METHOD, lambda r: r.config.forwarding.method.value.lower(),
           "How packets reach it."),
    Column(41, "realServerVirtualHost", TEXT, _real(lambda r: r.config.virtualhost), "Host that HTTP checks ask for."),
    Column(42, "realServerAlpha", ENABLED, _real(lambda r: on(r.config.alpha)), "Whether it begins as dead."),
    Column(43, "realServerRetry", UNSIGNED, _timing("retry", 1), "Failures that are forgiven."),
    Column(44, "realServerDelayBeforeRetry", UNSIGNED, _timing("delay_before_retry_us", SECOND_US),
           "Seconds until a check is tried again."),
    Column(45, "realServerWarmup", UNSIGNED, _timing("warmup_us", SECOND_US), "Most seconds until the first check."),
    Column(46, "realServerDelayLoop", UNSIGNED, _timing("delay_loop_us", SECOND_US), "Seconds between checks."),
    Column(47, "realServerSmtpAlert", ENABLED, _real(lambda r: on(r.config.smtp_alert)),
           "Whether changes are worth a mail."),
    Column(48, "realServerDelayBeforeRetryUsec", UNSIGNED, _timing("delay_before_retry_us", 1),
           "Microseconds until a check is tried again."),
    Column(49, "realServerWarmupUsec", UNSIGNED, _timing("warmup_us", 1), "Most microseconds until the first check."),
    Column(50, "realServerDelayLoopUsec", UNSIGNED, _timing("delay_loop_us", 1), "Microseconds between checks."),
    Column(51, "realServerConnTimeoutUsec", UNSIGNED, _timeout, "Microseconds that a check may take."),
    Column(52, "realServerTunnelType", TUNNEL, lambda r: r.config.forwarding.tunnel_type.value if _tunnels(r) else None,
           "Sort of its tunnel."),
    Column(53, "realServerTunnelPort", PORT, lambda r: r.config.forwarding.tunnel_port or None, "Port of its tunnel."),
    Column(54, "realServerTunnelCsum", CHECKSUM,
           lambda r: r.config.forwarding.tunnel_checksum if _tunnels(r) else None, "Checksum of its tunnel."),
    Column(55, "realServerName", TEXT, _real(lambda r: r.config.snmp_name), "snmp_name of the configuration."),
    Column(56, "realServerNotifyUpPath", TEXT, _real(lambda r: path(r.config.notify_up)), "Program for its return."),
    Column(57, "realServerNotifyDownPath", TEXT, _real(lambda r: path(r.config.notify_down)),
           "Program for its failure."),
    Column(63, "realServerNotRunCheckers", UNSIGNED, _real(lambda r: _checks(r, run=False)),
           "Checks without an answer yet."),
)


def _sync(read: Callable[[Any], Any]) -> Callable[[Facts], Any]:
    def value(facts: Facts) -> Any:
        daemon = facts.config.globals.sync_daemon
        return None if daemon is None else read(daemon)
    return value


def _number(high: int) -> Syntax:
    return Syntax(f"Integer32 (0..{high})", Tag.INTEGER)


TABLES: Final = (
    Table(
        name="realServer", oid=(*CHECK, 4, 1), rows=rows, index=("virtualServerIndex", "realServerIndex"),
        help="real servers", columns=_COLUMNS,
    ),
    Table(
        name="lvsSyncDaemon", oid=(*CHECK, 6), rows=scalars, help="the connection synchronisation",
        columns=(
            Column(1, "lvsSyncDaemonEnabled", ENABLED, lambda f: on(f.config.globals.sync_daemon), "Whether it runs."),
            Column(2, "lvsSyncDaemonInterface", TEXT, _sync(lambda d: d.interface), "Its interface."),
            Column(3, "lvsSyncDaemonVrrpInstance", TEXT, _sync(lambda d: d.instance), "Who decides its role."),
            Column(4, "lvsSyncDaemonSyncId", _number(255), _sync(lambda d: d.sync_id), "Its number."),
            Column(5, "lvsSyncDaemonMaxLen", _number(65517), _sync(lambda d: d.max_length), "Its largest packet."),
            Column(6, "lvsSyncDaemonPort", _number(65535), _sync(lambda d: d.port), "Its port."),
            Column(7, "lvsSyncDaemonTTL", _number(255), _sync(lambda d: d.ttl), "TTL of its packets."),
            Column(8, "lvsSyncDaemonMcastGroupAddrType", FAMILY, _sync(lambda d: family(d.group)),
                   "Sort of its group."),
            Column(9, "lvsSyncDaemonMcastGroupAddrValue", ADDRESS, _sync(lambda d: address(d.group)), "Its group."),
        ),
    ),
)

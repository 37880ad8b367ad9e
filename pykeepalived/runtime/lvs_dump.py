"""The text of keepalived_check.data (SIGUSR1 in the checker): one fact a line, the labels of keepalived 2.2.7."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence

from pykeepalived.lvs.health import CheckHealth, ServerHealth
from pykeepalived.lvs.names import family_of_server
from pykeepalived.lvs.pool import Pool
from pykeepalived.model.common import Family, Script, family_of
from pykeepalived.model.config import Config
from pykeepalived.model.lvs import (
    AddressSelector,
    Forwarding,
    ForwardingMethod,
    FwmarkSelector,
    GroupAddress,
    GroupFwmark,
    GroupSelector,
    TunnelType,
    VirtualServer,
    VirtualServerGroup,
)
from pykeepalived.runtime.global_dump import global_lines
from pykeepalived.runtime.lvs_checks import Asked
from pykeepalived.runtime.lvs_dump_checks import check_lines, followed_lines

_CHECKSUMS = {"nocsum": "no checksum", "csum": "checksum", "remcsum": "remote checksum"}
_FAMILIES = (("IPv4", Family.INET), ("IPv6", Family.INET6))


def checker_data(config: Config, pools: Sequence[Pool], subscriptions: Mapping[CheckHealth, Asked]) -> str:
    """The whole file."""
    lines = ["------< Global definitions >------", *global_lines(config.globals), "------< LVS Topology >------"]
    lines.append(" System is compiled with LVS v1.2.1")
    # As in 2.4.3 without the empty ones.
    groups = [group for group in config.virtual_server_groups if group.entries]
    if groups:
        lines.append(" ------< Virtual server group >------")
        for group in groups:
            lines += _group(group)
    for pool in pools:
        lines.append(" ------< Virtual server >------")
        lines += _service(config, pool)
    if any(health.checks for pool in pools for health in pool.servers):
        lines.append("------< Health checkers >------")
        for pool in pools:
            for health in pool.servers:
                for check in health.checks:
                    lines += check_lines(pool, health, check, subscriptions.get(check))
    return "\n".join(lines) + "\n"


def _on(value: bool) -> str:
    return "ON" if value else "OFF"


def _able(value: bool) -> str:
    return "enabled" if value else "disabled"


def _script(script: Script) -> str:
    user = f", uid:gid {script.user.uid}:{script.user.gid}" if script.user else ""
    return " ".join(f"'{word}'" for word in script.argv) + user


def _group(group: VirtualServerGroup) -> Iterator[str]:
    families = {_family(entry) for entry in group.entries}
    words = [f"{name} = {'yes' if family in families else 'no'}" for name, family in _FAMILIES]
    yield f" Virtual Server Group = {group.name}, {', '.join(words)}"
    for entry in group.entries:
        if isinstance(entry, GroupAddress):
            where = entry.first if entry.first == entry.last else f"{entry.first}-{entry.last}"
            label = "VIP" if entry.first == entry.last else "VIP Range"
            yield f"   {label} = {where}, VPORT = {entry.port}"
        else:
            yield f"   FWMARK = {entry.fwmark}"


def _family(entry: GroupAddress | GroupFwmark) -> Family | None:
    return family_of(entry.first) if isinstance(entry, GroupAddress) else entry.family


def _head(server: VirtualServer, name: str) -> str:
    selector = server.selector
    if isinstance(selector, AddressSelector):
        return f" VS VIP = {selector.address}, VPORT = {selector.port}"
    if isinstance(selector, FwmarkSelector):
        return f" VS FWMARK = {selector.fwmark}"
    return f" VS GROUP = {name}"


def _families(config: Config, server: VirtualServer, family: Family) -> str:
    """As 2.4.3 names them: a group may hold addresses of both."""
    entries = next((each.entries for each in config.virtual_server_groups if _names(server, each)), ())
    if len({_family(entry) for entry in entries} - {None}) > 1:
        return "IPv4 & IPv6"
    return "inet6" if family is Family.INET6 else "inet"


def _names(server: VirtualServer, group: VirtualServerGroup) -> bool:
    return isinstance(server.selector, GroupSelector) and server.selector.name == group.name


def _service(config: Config, pool: Pool) -> Iterator[str]:
    server = pool.service.server
    yield _head(server, pool.service.name)
    if server.virtualhost is not None:
        yield f"   VirtualHost = {server.virtualhost}"
    family = family_of_server(server, config.virtual_server_groups)
    yield f"   Address family = {_families(config, server, family)}"
    yield f"   lvs_sched = {server.scheduler}"
    yield f"   Hashed = {_able(server.hashed)}"
    for name, flag in _flags(server.scheduler):
        yield f"   {name} = {_able(bool(server.scheduler_flags & flag))}"
    yield f"   One packet scheduling = {_able(server.one_packet)}"
    yield from _persistence(server, family)
    yield f"   protocol = {'none' if server.protocol is None else server.protocol.name}"
    yield f"   alpha is {_on(server.alpha)}"
    yield f"   omega is {_on(server.omega)}"
    yield f"   Inhibit on failure is {_on(server.inhibit_on_failure)}"
    yield f"   quorum = {pool.thresholds.quorum}, hysteresis = {pool.thresholds.hysteresis}"
    if server.quorum_up is not None:
        yield f"   Quorum up notify script = {_script(server.quorum_up)}"
    if server.quorum_down is not None:
        yield f"   Quorum down notify script = {_script(server.quorum_down)}"
    if server.ha_suspend:
        yield "   Using HA suspend"
    yield f"   Using smtp notification = {'yes' if server.smtp_alert else 'no'}"
    yield f"   default forwarding method = {_forwarding(server.forwarding)}"
    if server.sorry_server is not None:
        yield f"   sorry server = {pool.service.server_name(server.sorry_server)}"
        yield f"     forwarding method = {_forwarding(server.sorry_server.forwarding)}"
        yield f"     Inhibit on failure is {_on(server.sorry_server.inhibit)}"
    yield f"   VS alive = {int(pool.weight > 0)}"
    yield f"   quorum_state_up = {int(pool.quorum_up)}"
    for health in pool.servers:
        yield "   ------< Real server >------"
        yield from _server(pool, health)
        yield from followed_lines(config, health)


def _persistence(server: VirtualServer, family: Family) -> Iterator[str]:
    if server.persistence_timeout_s:
        yield f"   persistence timeout = {server.persistence_timeout_s}"
    if server.persistence_prefix is not None:
        yield f"   persistence granularity = {_granularity(server.persistence_prefix, family)}"


def _flags(scheduler: str) -> tuple[tuple[str, int], ...]:
    if scheduler in ("sh", "mh"):
        return (f"{scheduler}-port", 2), (f"{scheduler}-fallback", 1)
    return ("flag-1", 1), ("flag-2", 2), ("flag-3", 4)


def _granularity(length: int, family: Family) -> str:
    if family is Family.INET6:
        return str(length)
    return socket.inet_ntoa(int((1 << 32) - (1 << (32 - length))).to_bytes(4, "big"))


def _forwarding(forwarding: Forwarding) -> str:
    if forwarding.method is not ForwardingMethod.TUN:
        return str(forwarding.method.value)
    words = [f"TUN, type = {forwarding.tunnel_type.name}"]
    if forwarding.tunnel_type is TunnelType.GUE:
        words.append(f"port = {forwarding.tunnel_port}")
    if forwarding.tunnel_type is not TunnelType.IPIP:
        words.append(_CHECKSUMS[forwarding.tunnel_checksum])
    return ", ".join(words)


def _server(pool: Pool, health: ServerHealth) -> Iterator[str]:
    server = health.server
    yield (f"   RIP = {server.address}, RPORT = {server.port}, WEIGHT = {server.weight} EFF WEIGHT = {health.weight}")
    yield f"   forwarding method = {_forwarding(server.forwarding)}"
    yield f"   Alpha is {_on(server.alpha)}"
    yield f"   connection limit range = {server.lower_threshold} -> {server.upper_threshold}"
    yield f"   Inhibit on failure is {_on(server.inhibit_on_failure)}"
    if server.virtualhost not in (None, pool.service.server.virtualhost):
        yield f"    VirtualHost = '{server.virtualhost}'"
    if server.notify_up is not None:
        yield f"   RS up notify script = {_script(server.notify_up)}"
    if server.notify_down is not None:
        yield f"   RS down notify script = {_script(server.notify_down)}"
    yield f"   Using smtp notification = {'yes' if server.smtp_alert else 'no'}"
    yield f"   initial weight = {server.weight}"
    yield f"   effective weight = {health.weight}"
    yield f"   alive = {int(health.alive)}"
    yield f"   num failed checkers = {health.failed_checks}"
    yield f"   RS set = {int(pool.table_weight(health) is not None)}"

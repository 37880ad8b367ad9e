"""The text of keepalived_check.data (SIGUSR1 in the checker): one fact a line, the labels of keepalived 2.2.7."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pykeepalived.lvs.health import CheckHealth, ServerHealth
from pykeepalived.lvs.names import family_of_server
from pykeepalived.lvs.pool import Pool
from pykeepalived.model.checks import HttpCheck, MiscCheck, SmtpCheck, TcpCheck, UdpCheck
from pykeepalived.model.common import Family, Script
from pykeepalived.model.config import Config
from pykeepalived.model.lvs import (
    AddressSelector,
    Forwarding,
    ForwardingMethod,
    FwmarkSelector,
    GroupAddress,
    VirtualServerGroup,
)
from pykeepalived.runtime.check_followers import Follower
from pykeepalived.runtime.probes import Subscription
from pykeepalived.units import format_seconds

_KINDS = {TcpCheck: "TCP_CHECK", SmtpCheck: "SMTP_CHECK", UdpCheck: "UDP_CHECK", MiscCheck: "MISC_CHECK"}
_METHODS = {ForwardingMethod.NAT: "NAT", ForwardingMethod.DR: "DR", ForwardingMethod.TUN: "TUN"}


def checker_data(
    config: Config, pools: Sequence[Pool], subscriptions: Mapping[CheckHealth, Subscription | Follower]
) -> str:
    """The whole file."""
    lines = ["------< Global definitions >------", *_globals(config), "------< LVS Topology >------"]
    lines.append(" System is compiled with LVS v1.2.1")
    if config.virtual_server_groups:
        lines.append(" ------< Virtual server group >------")
        for group in config.virtual_server_groups:
            lines += _group(group)
    for pool in pools:
        lines.append(" ------< Virtual server >------")
        lines += _service(config, pool)
    if any(health.checks for pool in pools for health in pool.servers):
        lines.append("------< Health checkers >------")
        for pool in pools:
            for health in pool.servers:
                for check in health.checks:
                    lines += _check(pool, health, check, subscriptions.get(check))
    return "\n".join(lines) + "\n"


def _on(value: bool) -> str:
    return "ON" if value else "OFF"


def _able(value: bool) -> str:
    return "enabled" if value else "disabled"


def _script(script: Script) -> str:
    user = f", uid:gid {script.user.uid}:{script.user.gid}" if script.user else ""
    return " ".join(f"'{word}'" for word in script.argv) + user


def _globals(config: Config) -> Iterator[str]:
    settings = config.globals
    yield f" Router ID = {settings.router_id or '[unknown]'}"
    yield f" LVS flush = {str(settings.lvs_flush).lower()}"
    flush = {None: "disabled", "all": "full", "VS": "VS"}.get(settings.lvs_flush_on_stop, "disabled")
    yield f" LVS flush on stop = {flush}"
    if settings.lvs_timeouts is not None:
        tcp_s, tcpfin_s, udp_s = settings.lvs_timeouts
        yield f" LVS timeouts = tcp {tcp_s}, tcpfin {tcpfin_s}, udp {udp_s}"
    yield f" rs_init_notifies = {int(settings.rs_init_notifies)}"
    yield f" Checkers log all failures = {str(settings.checker_log_all_failures).lower()}"


def _group(group: VirtualServerGroup) -> Iterator[str]:
    yield f" Virtual Server Group = {group.name}"
    for entry in group.entries:
        if isinstance(entry, GroupAddress):
            where = entry.first if entry.first == entry.last else f"{entry.first}-{entry.last}"
            label = "VIP" if entry.first == entry.last else "VIP Range"
            yield f"   {label} = {where}, VPORT = {entry.port}"
        else:
            yield f"   FWMARK = {entry.fwmark}"


def _service(config: Config, pool: Pool) -> Iterator[str]:
    server = pool.service.server
    selector = server.selector
    if isinstance(selector, AddressSelector):
        yield f" VS VIP = {selector.address}, VPORT = {selector.port}"
    elif isinstance(selector, FwmarkSelector):
        yield f" VS FWMARK = {selector.fwmark}"
    else:
        yield f" VS GROUP = {pool.service.name}"
    family = family_of_server(server, config.virtual_server_groups)
    yield f"   Address family = {'inet6' if family is Family.INET6 else 'inet'}"
    yield f"   lvs_sched = {server.scheduler}"
    yield f"   Hashed = {_able(server.hashed)}"
    for number in range(3):
        yield f"   flag-{number + 1} = {_able(bool(server.scheduler_flags >> number & 1))}"
    yield f"   One packet scheduling = {_able(server.one_packet)}"
    if server.persistence_timeout_s:
        yield f"   persistence timeout = {server.persistence_timeout_s}"
    if server.persistence_prefix is not None:
        yield f"   persistence granularity = {server.persistence_prefix}"
    if server.persistence_engine:
        yield f"   persistence engine = {server.persistence_engine}"
    if server.protocol is not None:
        yield f"   protocol = {server.protocol.name}"
    yield f"   alpha is {_on(server.alpha)}"
    yield f"   omega is {_on(server.omega)}"
    yield f"   quorum = {pool.thresholds.quorum}, hysteresis = {pool.thresholds.hysteresis}"
    if server.quorum_up is not None:
        yield f"   Quorum up notify script = {_script(server.quorum_up)}"
    if server.quorum_down is not None:
        yield f"   Quorum down notify script = {_script(server.quorum_down)}"
    yield f"   Using smtp notification = {'yes' if server.smtp_alert else 'no'}"
    yield f"   default forwarding method = {_forwarding(server.forwarding)}"
    if server.sorry_server is not None:
        yield f"   sorry server = {pool.service.server_name(server.sorry_server)}"
        yield f"     forwarding method = {_forwarding(server.sorry_server.forwarding)}"
        yield f"     Inhibit on failure is {_on(server.sorry_server.inhibit)}"
    yield f"   alive = {int(pool.weight > 0)}"
    yield f"   quorum_state_up = {int(pool.quorum_up)}"
    for health in pool.servers:
        yield "   ------< Real server >------"
        yield from _server(pool, health)


def _forwarding(forwarding: Forwarding) -> str:
    return _METHODS[forwarding.method]


def _server(pool: Pool, health: ServerHealth) -> Iterator[str]:
    server = health.server
    yield (f"   RIP = {server.address}, RPORT = {server.port}, WEIGHT = {server.weight} EFF WEIGHT = {health.weight}")
    yield f"   forwarding method = {_forwarding(server.forwarding)}"
    yield f"   Alpha is {_on(server.alpha)}"
    yield f"   connection limit range = {server.lower_threshold} -> {server.upper_threshold}"
    yield f"   Inhibit on failure is {_on(server.inhibit_on_failure)}"
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


def _check(
    pool: Pool, health: ServerHealth, check: CheckHealth, subscription: Subscription | Follower | None
) -> Iterator[str]:
    timing = check.spec.timing
    yield f" {pool.service.name} -> {pool.service.server_name(health.server)}"
    yield "   Enabled = yes"
    yield f"   Up = {'yes' if check.up else 'no'}"
    yield f"   Has run = {'yes' if check.checked else 'no'}"
    yield f"   Current weight = {check.weight_change}"
    yield f"   Alpha = {'yes' if timing.alpha else 'no'}"
    yield f"   Delay loop = {timing.delay_loop_us} us"
    yield f"   Warmup = {timing.warmup_us} us"
    yield f"   Retries = {timing.retry}"
    yield f"   Delay before retry = {timing.delay_before_retry_us} us"
    yield f"   Retries iterations = {check.failures}"
    question = check.spec.question
    socket = getattr(question, "socket", None)
    if socket is not None:
        yield "   Connection"
        yield f"     Dest = [{socket.address}]:{socket.port}"
        yield f"     Timeout = {format_seconds(socket.timeout_us)}"
    if isinstance(question, HttpCheck):
        method = "SSL_GET" if question.tls else "HTTP_GET"
        yield f"   Keepalive method = {method}, http protocol {question.protocol}"
        for url in question.urls:
            yield f"   Checked url = {url.path}"
            if url.digest is not None:
                yield f"     Digest = {url.digest}"
    else:
        tag = str(type(question).__struct_config__.tag)
        yield f"   Keepalive method = {_KINDS.get(type(question), tag.upper())}"
    if subscription is not None and subscription.last is not None:
        yield f"   Last result = {subscription.last.outcome.text}"

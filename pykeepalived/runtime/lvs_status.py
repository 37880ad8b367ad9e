"""What virtual and real servers look like from outside, and what is worth saying about one check result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pykeepalived.lvs.events import CheckFailed, CheckSucceeded, LvsEvent, SoftFailure, SoftFailureReset
from pykeepalived.lvs.health import CheckHealth, ServerHealth
from pykeepalived.lvs.pool import Pool
from pykeepalived.runtime.check_followers import Follower
from pykeepalived.runtime.probes import ProbeResult, Subscription


def service_status(
    pool: Pool, subscriptions: Mapping[CheckHealth, Subscription | Follower], *, served: bool
) -> dict[str, Any]:
    """JSON-able picture of one virtual server. `served`: the kernel's table holds it."""
    server = pool.service.server
    sorry = server.sorry_server
    return {
        "name": pool.service.name,
        "key": pool.service.key,
        "scheduler": server.scheduler,
        "protocol": None if server.protocol is None else server.protocol.name.lower(),
        "quorum": {
            "up": pool.quorum_up,
            "quorum": pool.thresholds.quorum,
            "hysteresis": pool.thresholds.hysteresis,
            "weight": pool.weight,
        },
        "sorry_server": None
        if sorry is None
        else {"name": pool.service.server_name(sorry), "serves": pool.sorry_serves, "weight": sorry.weight},
        "served": served,
        "servers": [_server_status(pool, health, subscriptions) for health in pool.servers],
    }


def _server_status(
    pool: Pool, health: ServerHealth, subscriptions: Mapping[CheckHealth, Subscription | Follower]
) -> dict[str, Any]:
    server = health.server
    return {
        "name": pool.service.server_name(server),
        "address": server.address,
        "port": server.port,
        "forwarding": server.forwarding.method.value,
        "alive": health.alive,
        "weight": health.weight,
        "table_weight": pool.table_weight(health),
        "holds": sorted(health.holds),
        "checks": [subscriptions[check].status() for check in health.checks if check in subscriptions],
    }


def result_events(pool: Pool, health: ServerHealth, check: CheckHealth, result: ProbeResult) -> list[LvsEvent]:
    """What is worth saying about one result, before its effect."""
    service, server, spec, text = pool.service, health.server, check.spec, result.outcome.text
    if result.outcome.ok:
        if result.changed or result.first:
            return [CheckSucceeded(service, server, spec, text)]
        if check.failures and check.up:
            return [SoftFailureReset(service, server, spec)]
        return []
    if result.changed or (result.first and not result.up):
        return [CheckFailed(service, server, spec, result.failures - 1, text)]
    if result.up:
        return [SoftFailure(service, server, spec, result.failures, spec.timing.retry + 1, text)]
    return []

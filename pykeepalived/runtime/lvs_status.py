"""What virtual and real servers look like from outside, and what is worth saying about one check result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from pykeepalived.lvs.events import CheckFailed, CheckSucceeded, LvsEvent, SoftFailure, SoftFailureReset
from pykeepalived.lvs.health import CheckHealth, ServerHealth
from pykeepalived.lvs.pool import Pool
from pykeepalived.lvs.table import ServiceKey
from pykeepalived.runtime.lvs_checks import Asked
from pykeepalived.runtime.probes import ProbeResult
from pykeepalived.runtime.program import StatusPart


def services_status(
    pools: Mapping[str, Pool],
    keys: Mapping[str, Sequence[ServiceKey]],
    subscriptions: Mapping[CheckHealth, Asked],
    part: StatusPart,
) -> dict[str, Any]:
    """One page of virtual servers, the number of the first one of the next page, and counts of all."""
    shown: list[dict[str, Any]] = []
    room = part.servers
    following: int | None = None
    for number, (key, pool) in enumerate(islice(pools.items(), part.first, None), part.first):
        if room <= 0:
            following = number
            break
        shown.append(service_status(pool, subscriptions, served=bool(keys[key])))
        # A virtual server without real servers takes room, too.
        room -= max(1, len(pool.servers))
    return {
        "counts": {
            "services": len(pools),
            "services_without_quorum": sum(not pool.quorum_up for pool in pools.values()),
            "servers": sum(len(pool.servers) for pool in pools.values()),
            "servers_alive": sum(health.alive for pool in pools.values() for health in pool.servers),
        },
        "services": shown,
        "next": following if part.servers else None,
    }


def service_status(pool: Pool, subscriptions: Mapping[CheckHealth, Asked], *, served: bool) -> dict[str, Any]:
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
        "servers": [server_status(pool, health, subscriptions) for health in pool.servers],
    }


def server_status(pool: Pool, health: ServerHealth, subscriptions: Mapping[CheckHealth, Asked]) -> dict[str, Any]:
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
            return [CheckSucceeded(service, server, spec, text, recovered=not result.first)]
        if check.failures and check.up:
            return [SoftFailureReset(service, server, spec)]
        return []
    if result.changed or (result.first and not result.up):
        return [CheckFailed(service, server, spec, result.failures - 1, text)]
    if result.up:
        return [SoftFailure(service, server, spec, result.failures, spec.timing.retry + 1, text)]
    return []

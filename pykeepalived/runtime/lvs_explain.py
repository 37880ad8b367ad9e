"""Why a real server is in the table or not, with which weight, and what its checks said last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pykeepalived.lvs.health import CheckHealth, ServerHealth
from pykeepalived.lvs.pool import Pool
from pykeepalived.runtime.lvs_checks import Asked
from pykeepalived.runtime.lvs_status import server_status
from pykeepalived.runtime.probes import Subscription

Subscriptions = Mapping[CheckHealth, Asked]


def explain_server(
    pool: Pool, health: ServerHealth, subscriptions: Subscriptions, *, drain: str, operator_weight: int | None
) -> dict[str, Any]:
    """JSON-able. `drain`: serving, draining or drained; `operator_weight`: what `weight` set, None: nothing."""
    body = server_status(pool, health, subscriptions)
    body["service"] = pool.service.name
    body["drain"] = drain
    body["configured_weight"] = health.server.weight
    body["operator_weight"] = operator_weight
    body["quorum_up"] = pool.quorum_up
    body["checks"] = [_check(check, subscriptions.get(check)) for check in health.checks]
    body["why"] = list(_why(pool, health, subscriptions, drain=drain, operator_weight=operator_weight))
    return body


def _check(check: CheckHealth, subscription: Asked | None) -> dict[str, Any]:
    timing = check.spec.timing
    status = {} if subscription is None else subscription.status()
    polled = subscription if isinstance(subscription, Subscription) else None
    return {
        **status,
        "check": _word(check),
        "up": check.up,
        "suspended": subscription is None,
        "retries_left": max(0, timing.retry + 1 - check.failures) if check.up else 0,
        "rise_left": 0 if check.up else max(0, timing.rise - (polled.verdict.successes if polled else 0)),
        "weight_change": check.weight_change,
        "delay_loop_us": timing.delay_loop_us,
        "next_in_us": None if polled is None else polled.next_in_us,
    }


def _why(
    pool: Pool, health: ServerHealth, subscriptions: Subscriptions, *, drain: str, operator_weight: int | None
) -> Iterator[str]:
    """Sentences, the deciding one first."""
    for check in health.checks:
        if not check.up:
            yield f"down: {_said(check, subscriptions.get(check))}"
    yield from _why_held(health, drain, operator_weight)
    for check in health.checks:
        if check.weight_change:
            yield f"{_word(check)} changes the weight by {check.weight_change:+d}"
    if not health.checks:
        yield "nothing checks it, so it is taken for up"
    elif health.alive and not health.holds:
        yield from _why_up(health, subscriptions)
    if health.alive and health.shown_weight != health.weight:
        yield f"slow start: it has come back, and has weight {health.shown_weight} of {health.weight} by now"
    if health.alive and not health.weight:
        yield "weight 0: it gets no new connections"
    if not pool.quorum_up:
        yield "the virtual server has no quorum" + (", the sorry server serves" if pool.sorry_serves else "")


def _why_held(health: ServerHealth, drain: str, operator_weight: int | None) -> Iterator[str]:
    if drain == "drained":
        yield "down: drained by an operator; `keepalivedctl undrain` puts it back"
    for hold in sorted(health.holds - {"drain"}):
        why = ": it went down too often, `flap_limit`; out until its checks stay good" if hold == "flapping" else ""
        yield f"down: held out ({hold}{why})"
    if drain == "draining":
        yield "draining: weight 0 until its connections have ended"
    elif operator_weight is not None:
        yield f"weight {operator_weight} was set by an operator; the configuration says {health.server.weight}"


def _why_up(health: ServerHealth, subscriptions: Subscriptions) -> Iterator[str]:
    failing = [check for check in health.checks if check.failures]
    for check in failing:
        left = max(0, check.spec.timing.retry + 1 - check.failures)
        yield f"up, but failing: {_said(check, subscriptions.get(check))}; {left} more failures take it down"
    if not failing:
        yield "up: every check is well"


def _word(check: CheckHealth) -> str:
    return str(check.spec.question.__struct_config__.tag)


def _said(check: CheckHealth, subscription: Asked | None) -> str:
    name = _word(check)
    last = None if subscription is None else subscription.last
    if last is None:
        return f"{name} has not answered yet" if not check.checked else f"{name} is suspended"
    took_ms = (subscription.status()["last"] or {}).get("latency_us", 0) / 1000 if subscription else 0
    text = last.outcome.text or last.outcome.reason
    return f"{name}: {text} (after {took_ms:.1f} ms)"

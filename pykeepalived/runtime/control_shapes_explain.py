"""The shapes of what `explain` answers, and of the commands that answer alike; see `control_shapes`."""

from __future__ import annotations

from typing import Any

import msgspec

from pykeepalived.runtime.control_shapes import Shape


class Tracker(Shape):
    what: str
    up: bool | None
    weight: int
    reverse: bool
    adds: int
    fault: bool


class Heard(Shape):
    source: str
    priority: int
    age_us: int
    interval_us: int
    count: int


class RefusedPacket(Shape):
    reason: str
    source: str
    age_us: int
    detail: str


class PrioritySum(Shape):
    base: int
    effective: int
    owner: bool
    stepped_down: bool


class InstanceTimer(Shape):
    what: str
    in_us: int
    next_announcement_in_us: int | None


class ExplainedInstance(Shape):
    name: str
    state: str
    since_us: int
    why: list[str]
    """Sentences, the deciding one first."""
    priority: PrioritySum
    trackers: list[Tracker]
    """`base` and all `adds` make `effective`, within 1 to 254; those with `fault` hold the instance in FAULT."""
    faults: list[str]
    waits_for: list[str]
    standby: bool
    standby_until: float | None
    nopreempt: bool
    preempt_delay_us: int
    group: dict[str, Any] | None
    master: dict[str, Any]
    source: str | None
    heard: list[Heard]
    refused: list[RefusedPacket]
    refusals: dict[str, int]
    timer: InstanceTimer | None


class ExplainedServer(msgspec.Struct, kw_only=True):
    """The fields of a real server in `status`, and these."""

    service: str
    name: str
    alive: bool
    weight: int
    configured_weight: int
    operator_weight: int | None
    drain: str
    quorum_up: bool
    checks: list[dict[str, Any]]
    """As in `status`, with `retries_left`, `rise_left`, `next_in_us`, `weight_change`, `delay_loop_us`, `suspended`."""
    why: list[str]


class Explained(Shape):
    """One of the two lists."""

    instances: list[ExplainedInstance] = msgspec.field(default_factory=list)
    servers: list[ExplainedServer] = msgspec.field(default_factory=list)

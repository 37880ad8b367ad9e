"""What an instance depends on, and what that makes of it.

A tracker without a weight is a condition: while it fails, the instance is in FAULT. A tracker with a weight moves the
priority: a positive one adds while the thing is well, a negative one takes away while it is not, `reverse` turns the
sign (or, without a weight, the condition). The effective priority is the base plus all contributions, clamped to
1..254; the owner's 255 never moves (keepalived-behaviour 8).

Members of a sync group fail together, so one priority moving alone would only make them quarrel: without
`sync_group_tracking_weight` a member's weighted interfaces become conditions and its weighted scripts are left out
(keepalived-behaviour 7.8).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from pykeepalived.model.vrrp import SyncGroup, TrackedInterface, TrackedScript, VrrpInstance
from pykeepalived.vrrp.facts import interface_trackers
from pykeepalived.vrrp.scripts import ScriptTracker
from pykeepalived.vrrp.timers import HIGHEST_BACKUP, OWNER

_MAX_WEIGHT: Final = 253


class Fault(msgspec.Struct, frozen=True):
    """A reason to be in FAULT: in words for status, and as the tail of keepalived's log line."""

    words: str
    log: str


class Standing(msgspec.Struct, frozen=True):
    """What the trackers make of an instance at one instant."""

    faults: tuple[Fault, ...]
    waits_for: tuple[str, ...]
    """Scripts that have to end once before the instance may leave INIT."""
    priority: int


def interface_fault(tracker: TrackedInterface) -> Fault:
    state = "up" if tracker.reverse else "down"
    return Fault(f"interface {tracker.ifname} {state}", f"(interface {tracker.ifname} {state})")


def script_fault(name: str) -> Fault:
    return Fault(f"script {name} failed", f"due to script {name}")


NO_SOURCE: Final = Fault("no source address", "(no address for interface)")


class _Sum:
    """Gathers conditions and contributions."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.waits_for: list[str] = []
        self.weight = 0

    def add(self, weight: int, reverse: bool, up: bool, fault: Fault) -> None:
        if weight == 0:
            if up is reverse:
                self.faults.append(fault)
        elif up is (weight > 0):
            weight = max(-_MAX_WEIGHT, min(_MAX_WEIGHT, weight))
            self.weight += -weight if reverse else weight


def assess(
    config: VrrpInstance,
    group: SyncGroup | None,
    links: Mapping[str, bool],
    scripts: Mapping[str, ScriptTracker],
    source: str | None,
) -> Standing:
    """The instance's own standing; what its sync group adds is in the result, what its mates suffer is not.

    `source` is the address that its adverts come from. Interfaces that nobody reported are down; a script of an unknown
    name counts for nothing.
    """
    weighted = group is None or group.tracking_weight
    total = _Sum()
    for interface in (*interface_trackers(config), *(group.track_interfaces if group else ())):
        weight = interface.weight if weighted else 0
        total.add(weight, interface.reverse, links.get(interface.ifname, False), interface_fault(interface))
    for tracked in (*config.track_scripts, *(group.track_scripts if group else ())):
        script = scripts.get(tracked.name)
        if script is not None:
            _add_script(total, tracked, script, weighted=weighted)
    if source is None:
        total.faults.append(NO_SOURCE)
    priority = config.priority
    if priority != OWNER:
        priority = max(1, min(HIGHEST_BACKUP, priority + total.weight))
    return Standing(tuple(dict.fromkeys(total.faults)), tuple(total.waits_for), priority)


def _add_script(total: _Sum, tracked: TrackedScript, script: ScriptTracker, *, weighted: bool) -> None:
    config = script.config
    weight = config.weight if tracked.weight is None else tracked.weight
    reverse = tracked.reverse or (tracked.weight is None and config.reverse)
    if weight and not weighted:
        return
    if script.up is None:
        if not weight and script.holds_instances:
            total.waits_for.append(tracked.name)
        return
    total.add(weight, reverse, script.up, script_fault(tracked.name))


def tracked_script_names(instances: Sequence[VrrpInstance], groups: Sequence[SyncGroup]) -> Iterator[str]:
    """Every script that something depends on; others are not run."""
    for instance in instances:
        yield from (tracked.name for tracked in instance.track_scripts)
    for group in groups:
        yield from (tracked.name for tracked in group.track_scripts)

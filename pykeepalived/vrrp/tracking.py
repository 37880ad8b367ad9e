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
from typing import Any, Final, TypeVar

import msgspec

from pykeepalived.model.vrrp import (
    SyncGroup,
    TrackBfd,
    TrackedFile,
    TrackedInterface,
    TrackedProcess,
    TrackedScript,
    VrrpInstance,
)
from pykeepalived.vrrp.facts import interface_trackers
from pykeepalived.vrrp.scripts import ScriptTracker
from pykeepalived.vrrp.timers import HIGHEST_BACKUP, OWNER
from pykeepalived.vrrp.watched import Watched

_Named = TypeVar("_Named", TrackedScript, TrackedFile, TrackedProcess, TrackBfd)
_WATCHED: Final = ("track_files", "track_processes", "track_bfds")

_MAX_WEIGHT: Final = 253
#: The product of a file's content and its weight from which on it is a fault (keepalived-behaviour 8).
_FILE_FAULT: Final = -254


class Fault(msgspec.Struct, frozen=True):
    """A reason to be in FAULT: in words for status, and as the tail of keepalived's log line."""

    words: str
    log: str
    tracker: str = ""
    """keepalived has a line of its own for this tracker, for its coming and its going."""


def fault_lines(name: str, before: Sequence[Fault], after: Sequence[Fault]) -> Iterator[str]:
    """What the log says when the faults of instance `name` change."""
    for fault in after:
        if fault not in before and fault.tracker:
            yield f"({name}): {fault.tracker} now FAULT state"
        elif fault not in before and fault.log:
            yield f"({name}): entering FAULT state {fault.log}"
    for fault in before:
        if fault not in after and fault.tracker:
            yield f"({name}): {fault.tracker} leaving FAULT state"


class Part(msgspec.Struct, frozen=True):
    """One tracker, and what it does to an instance."""

    what: str
    up: bool | None
    """None: nothing is known yet, or it is a number."""
    weight: int
    """0: a condition."""
    reverse: bool
    adds: int
    """What it adds to the priority now."""
    fault: bool
    """It holds the instance in FAULT now."""


class Standing(msgspec.Struct, frozen=True):
    """What the trackers make of an instance at one instant."""

    faults: tuple[Fault, ...]
    waits_for: tuple[str, ...]
    """Scripts that have to end once before the instance may leave INIT."""
    priority: int
    tentative: bool = False
    """The source address cannot be used yet: the instance may not leave INIT or FAULT, and becomes no MASTER."""
    gated: bool = False
    """The interface is not ready (`vrrp_ready_gate`): the instance stays in INIT, whatever its trackers say."""
    parts: tuple[Part, ...] = ()
    """Each tracker by itself, in the order in which they are looked at."""


def interface_fault(tracker: TrackedInterface) -> Fault:
    state = "up" if tracker.reverse else "down"
    return Fault(f"interface {tracker.ifname} {state}", f"(interface {tracker.ifname} {state})")


def script_fault(name: str) -> Fault:
    return Fault(f"script {name} failed", f"due to script {name}")


def file_fault(name: str) -> Fault:
    return Fault(f"file {name}", f"due to file {name}", f"tracked file {name}")


def process_fault(name: str) -> Fault:
    return Fault(f"process {name} has no quorum", f"(tracked process {name} quorum not achieved)")


def session_fault(name: str) -> Fault:
    return Fault(f"BFD session {name}", f"due to BFD instance {name}")


NO_PEER: Final = Fault("no unicast peer", "(cannot use unicast without any peers)")
NO_SOURCE: Final = Fault("no source address", "(no address for interface)")
TENTATIVE: Final = Fault("source address is tentative", "")


class _Sum:
    """Gathers conditions and contributions."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.waits_for: list[str] = []
        self.weight = 0
        self.parts: list[Part] = []

    def add(self, what: str, weight: int, reverse: bool, up: bool, fault: Fault) -> None:
        adds = 0
        fails = weight == 0 and up is reverse
        if fails:
            self.faults.append(fault)
        elif weight and up is (weight > 0):
            adds = max(-_MAX_WEIGHT, min(_MAX_WEIGHT, weight)) * (-1 if reverse else 1)
            self.weight += adds
        self.parts.append(Part(what, up, weight, reverse, adds, fails))


def assess(
    config: VrrpInstance,
    group: SyncGroup | None,
    links: Mapping[str, bool],
    scripts: Mapping[str, ScriptTracker],
    source: str | None,
    *,
    watched: Watched | None = None,
    tentative: bool = False,
    gated: bool = False,
) -> Standing:
    """The instance's own standing; what its sync group adds is in the result, what its mates suffer is not.

    `source` is the address that its adverts come from. Interfaces that nobody reported are down; a script of an unknown
    name counts for nothing. `watched`: None, there is nothing else to track. A `tentative` source is missing for now.
    """
    weighted = group is None or group.tracking_weight
    total = _Sum()
    # What instance and group name both counts once, as the instance has it.
    interfaces = interface_trackers(config)
    named = {tracker.ifname for tracker in interfaces}
    of_group = [tracker for tracker in group.track_interfaces if tracker.ifname not in named] if group else []
    for interface in (*interfaces, *of_group):
        weight = interface.weight if weighted else 0
        up = links.get(interface.ifname, False)
        total.add(f"interface {interface.ifname}", weight, interface.reverse, up, interface_fault(interface))
    for tracked in (*config.track_scripts, *_others(group.track_scripts if group else (), config.track_scripts)):
        script = scripts.get(tracked.name)
        if script is not None:
            _add_script(total, tracked, script, weighted=weighted)
    if watched is not None:
        for interface in watched.static_of(config.name):
            up = links.get(interface.ifname, False)
            total.add(f"static interface {interface.ifname}", 0, False, up, interface_fault(interface))
        _add_watched(total, config, watched, weighted=weighted)
        if group is not None:
            rest: dict[str, Any] = {field: _others(getattr(group, field), getattr(config, field)) for field in _WATCHED}
            _add_watched(total, msgspec.structs.replace(group, **rest), watched, weighted=weighted)
    if config.unicast_fault_no_peer and config.unicast_without_peers:
        total.faults.append(NO_PEER)
    if source is None and not tentative:
        total.faults.append(NO_SOURCE)
    priority = config.priority
    if priority != OWNER:
        priority = max(1, min(HIGHEST_BACKUP, priority + total.weight))
    faults = tuple(dict.fromkeys(total.faults))
    return Standing(faults, tuple(total.waits_for), priority, tentative, gated, tuple(total.parts))


def _others(theirs: Sequence[_Named], own: Sequence[_Named]) -> tuple[_Named, ...]:
    """What a group tracks without what the instance tracks itself."""
    names = {tracked.name for tracked in own}
    return tuple(tracked for tracked in theirs if tracked.name not in names)


def _add_script(total: _Sum, tracked: TrackedScript, script: ScriptTracker, *, weighted: bool) -> None:
    config = script.config
    weight = config.weight if tracked.weight is None else tracked.weight
    reverse = tracked.reverse or (tracked.weight is None and config.reverse)
    if weight and not weighted:
        return
    if script.up is None:
        if not weight and script.holds_instances:
            total.waits_for.append(tracked.name)
        total.parts.append(Part(f"script {tracked.name}", None, weight, reverse, 0, False))
        return
    total.add(f"script {tracked.name}", weight, reverse, script.up, script_fault(tracked.name))


def _add_watched(total: _Sum, owner: VrrpInstance | SyncGroup, watched: Watched, *, weighted: bool) -> None:
    for file in owner.track_files:
        _add_file(total, file, watched, weighted=weighted)
    for process in owner.track_processes:
        tracker = watched.processes.get(process.name)
        if tracker is not None:
            weight = tracker.config.weight if process.weight is None else process.weight
            if weighted or not weight:
                fault = process_fault(process.name)
                total.add(f"process {process.name}", weight, process.reverse, tracker.up, fault)
    for tracked in owner.track_bfds:
        session = watched.session_configs.get(tracked.name)
        if session is not None:
            weight = session.weight if tracked.weight is None else tracked.weight
            if weighted or not weight:
                up = watched.sessions.get(tracked.name, False)
                total.add(f"BFD session {tracked.name}", weight, tracked.reverse, up, session_fault(tracked.name))


def _add_file(total: _Sum, tracked: TrackedFile, watched: Watched, *, weighted: bool) -> None:
    """A number, not a condition: it counts as often as the weight says, and far below zero it is a fault."""
    config = watched.file_configs.get(tracked.name)
    if config is None:
        return
    weight = config.weight if tracked.weight is None else tracked.weight
    if weight and not weighted:
        if tracked.weight is not None or weight != 1:
            return
        weight = 0
    value = watched.files.get(tracked.name, 0)
    if weight == 0:
        adds, fails = 0, (value != 0) is not tracked.reverse
    else:
        product = value * (-weight if tracked.reverse else weight)
        fails = product <= _FILE_FAULT
        adds = 0 if fails else min(_MAX_WEIGHT, product)
    if fails:
        total.faults.append(file_fault(tracked.name))
    total.weight += adds
    total.parts.append(Part(f"file {tracked.name} (holds {value})", None, weight, tracked.reverse, adds, fails))


def tracked_script_names(instances: Sequence[VrrpInstance], groups: Sequence[SyncGroup]) -> Iterator[str]:
    """Every script that something depends on; others are not run."""
    for instance in instances:
        yield from (tracked.name for tracked in instance.track_scripts)
    for group in groups:
        yield from (tracked.name for tracked in group.track_scripts)

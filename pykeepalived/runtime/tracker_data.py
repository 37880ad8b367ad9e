"""keepalived.data: track files and tracked processes (keepalived-behaviour 5.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pykeepalived.model.bfd import BfdInstance
from pykeepalived.model.vrrp import (
    ParamMatch,
    SyncGroup,
    TrackBfd,
    TrackedFile,
    TrackedProcess,
    TrackedScript,
    TrackFile,
    TrackProcess,
    VrrpInstance,
    VrrpScript,
)
from pykeepalived.processes.proc_table import by_command_line
from pykeepalived.runtime.vrrp_view import View
from pykeepalived.units import SECOND_US

_Reference = TrackedFile | TrackedProcess | TrackBfd | TrackedScript
_Owner = TrackFile | TrackProcess | BfdInstance | VrrpScript


def tracked_lines(view: View, item: VrrpInstance | SyncGroup) -> Iterator[str]:
    """The trackers of one instance or group, for its own section."""
    config = view.config
    kinds: tuple[tuple[str, tuple[_Reference, ...], tuple[_Owner, ...]], ...] = (
        ("Tracked files :", item.track_files, config.track_files),
        ("Tracked processes :", item.track_processes, config.track_processes),
    )
    for title, references, owners in kinds:
        if references:
            named = {owner.name: owner for owner in owners}
            yield title
            yield from (f"  {found.name}, {_weight(found, named.get(found.name))}" for found in references)
    if item.track_bfds:
        sessions = {owner.name: owner for owner in config.bfd_instances}
        yield "Tracked BFDs :"
        yield from (f"  {found.name}: {_weight(found, sessions.get(found.name))}" for found in item.track_bfds)


def _weight(item: _Reference, owner: _Owner | None) -> str:
    weight = owner.weight if item.weight is None and owner is not None else item.weight
    return f"weight {weight or 0}{' reverse' if item.reverse else ''}"


def users(view: View, field: str, name: str, owner: _Owner) -> Iterator[str]:
    """The instances that follow a tracker, themselves or through their sync group."""
    members = {member: group for group in view.config.sync_groups for member in group.members}
    found = []
    for instance in view.config.instances:
        references = list(getattr(instance, field))
        if instance.name in members:
            references += getattr(members[instance.name], field)
        found += [f"    {instance.name}, {_weight(item, owner)}" for item in references if item.name == name]
    if found:
        yield "  Tracking instances :"
        yield from found


def file_lines(view: View) -> Iterable[str]:
    for item in view.config.track_files:
        if item.name not in view.files:
            continue
        yield f" Track file = {item.name}"
        yield f"   File = {item.path}"
        yield f"   Status = {view.files[item.name]}"
        yield f"   Weight = {item.weight}{' reverse' if item.reverse else ''}"
        yield from (f" {line}" for line in users(view, "track_files", item.name, item))


def process_lines(view: View) -> Iterable[str]:
    configs = {item.name: item for item in view.config.track_processes}
    for status in view.processes:
        item = configs[status.name]
        yield f" VRRP Track process = {item.name}"
        yield f"   Process = {item.process}"
        if item.parameters:
            yield f"   Parameters = {' '.join(item.parameters)}"
        if item.param_match is not ParamMatch.NONE:
            word = "" if item.param_match is ParamMatch.EXACT else f" = {item.param_match.value}"
            yield f"   Param match{word}"
        yield f"   Min processes = {item.quorum}"
        if item.quorum_max is not None:
            yield f"   Max processes = {item.quorum_max}"
        yield f"   Current processes = {status.count or 0}"
        yield f"   Have quorum = {'true' if status.up else 'false'}"
        yield f"   Weight = {item.weight}{' reverse' if item.reverse else ''}"
        yield f"   Terminate delay = {item.terminate_delay_us / SECOND_US:.6f}s"
        yield f"   Fork delay = {item.fork_delay_us / SECOND_US:.6f}s"
        for kind, running in (("Fork", status.waiting and not status.up), ("Terminate", status.waiting and status.up)):
            yield f"   {kind} delay timer {'' if running else 'not '}running"
        yield f"   Full command = {'true' if by_command_line(item) else 'false'}"
        yield from (f" {line}" for line in users(view, "track_processes", item.name, item))


def bfd_lines(view: View) -> Iterable[str]:
    for item in view.config.bfd_instances:
        if item.vrrp:
            yield f" VRRP Track BFD = {item.name}"
            yield f"   Weight = {item.weight}{' reverse' if item.reverse else ''}"
            yield from (f" {line}" for line in users(view, "track_bfds", item.name, item))

"""keepalived.data: track files and tracked processes (keepalived-behaviour 5.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pykeepalived.model.vrrp import ParamMatch, TrackBfd, TrackedFile, TrackedProcess, VrrpInstance
from pykeepalived.processes.proc_table import by_command_line
from pykeepalived.runtime.vrrp_view import View
from pykeepalived.units import SECOND_US

_Reference = TrackedFile | TrackedProcess | TrackBfd


def tracked_lines(view: View, instance: VrrpInstance) -> Iterator[str]:
    """The trackers of one instance, for its own section."""
    kinds: tuple[tuple[str, tuple[_Reference, ...]], ...] = (
        ("Tracked files :", instance.track_files),
        ("Tracked processes :", instance.track_processes),
        ("Tracked BFD instances :", instance.track_bfds),
    )
    weights = _weights(view)
    for title, references in kinds:
        if references:
            yield title
            for item in references:
                yield f"  {item.name}, {_weight(item, weights[type(item)].get(item.name, 0))}"


def _weights(view: View) -> dict[type, dict[str, int]]:
    config = view.config
    return {
        TrackedFile: {item.name: item.weight for item in config.track_files},
        TrackedProcess: {item.name: item.weight for item in config.track_processes},
        TrackBfd: {item.name: item.weight for item in config.bfd_instances},
    }


def _weight(item: _Reference, own: int) -> str:
    weight = own if item.weight is None else item.weight
    return f"weight {weight}{' reverse' if item.reverse else ''}"


def _users(view: View, field: str, name: str, own: int) -> Iterator[str]:
    users = [
        (instance.name, item)
        for instance in view.config.instances
        for item in getattr(instance, field)
        if item.name == name
    ]
    if users:
        yield "  Tracking instances :"
        yield from (f"    {user}, {_weight(item, own)}" for user, item in users)


def file_lines(view: View) -> Iterable[str]:
    for item in view.config.track_files:
        if item.name not in view.files:
            continue
        yield f" Track file = {item.name}"
        yield f"   File = {item.path}"
        yield f"   Status = {view.files[item.name]}"
        yield f"   Weight = {item.weight}{' reverse' if item.reverse else ''}"
        yield from (f" {line}" for line in _users(view, "track_files", item.name, item.weight))


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
        yield f"   Delay timer {'running' if status.waiting else 'not running'}"
        yield f"   Full command = {'true' if by_command_line(item) else 'false'}"
        yield from (f" {line}" for line in _users(view, "track_processes", item.name, item.weight))

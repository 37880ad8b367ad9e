"""What instances depend on beside links and scripts: files, processes, BFD sessions and static track groups.

`Watched` holds the values as they were reported and says whom a change concerns. A file that was never reported holds
0, a session that was never reported is down: both stay known over a reload, whether something tracks them or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from pykeepalived.model.config import Config
from pykeepalived.model.routing import VirtualRoute, VirtualRule
from pykeepalived.model.vrrp import SyncGroup, TrackedInterface, VrrpInstance
from pykeepalived.vrrp.events import BfdChanged, FileChanged, ProcessCount
from pykeepalived.vrrp.facts import devices_of_words
from pykeepalived.vrrp.output import Output
from pykeepalived.vrrp.processes import ProcessTracker

#: Names of sessions and files that are remembered though no configuration has them.
_REMEMBERED = 65_536
_T = TypeVar("_T", int, bool)
_Value = FileChanged | ProcessCount | BfdChanged


class Watched:
    """Values and dependencies of one running generation."""

    def __init__(self, config: Config, before: Watched | None = None) -> None:
        self.files: dict[str, int] = before.files if before else {}
        self.sessions: dict[str, bool] = before.sessions if before else {}
        self.processes: dict[str, ProcessTracker] = {}
        self.file_configs = {item.name: item for item in config.track_files}
        self.session_configs = {item.name: item for item in config.bfd_instances}
        for item in config.track_processes:
            old = before.processes.get(item.name) if before else None
            if old is not None and old.config == item:
                self.processes[item.name] = old
            else:
                # Another command is counted anew by the edge; until then the old count stands.
                self.processes[item.name] = ProcessTracker(item, old.count if old else None)
        for name, old in before.processes.items() if before else ():
            if self.processes.get(name) is not old:
                old.due_us = None
        self._static = static_trackers(config)
        self._users: dict[tuple[type, str], list[str]] = {}
        groups = {name: group for group in config.sync_groups for name in group.members}
        for instance in config.instances:
            for key in dict.fromkeys(_dependencies(instance, groups.get(instance.name))):
                self._users.setdefault(key, []).append(instance.name)

    def static_of(self, instance: str) -> tuple[TrackedInterface, ...]:
        """Interfaces of static entries whose track_group holds the instance."""
        return self._static.get(instance, ())

    def users(self, event: _Value) -> list[str]:
        """Names of the instances that an event concerns."""
        return self._users.get((type(event), event.name), [])

    def take(self, event: _Value, now_us: int, out: Output, *, running: bool) -> bool:
        """Note a value; True when instances have to be judged again."""
        if isinstance(event, ProcessCount):
            tracker = self.processes.get(event.name)
            return tracker is not None and tracker.counted(event.count, now_us, out, running=running)
        if isinstance(event, FileChanged):
            return _note(self.files, event.name, event.value)
        changed = _note(self.sessions, event.name, event.up)
        if changed and running and event.name in self.session_configs:
            out.log(self, f"Received BFD event: instance {event.name} is in state {'Up' if event.up else 'Down'}")
        return changed


def _note(values: dict[str, _T], name: str, value: _T) -> bool:
    if values.get(name) == value or (name not in values and len(values) >= _REMEMBERED):
        return False
    values[name] = value
    return True


def _dependencies(instance: VrrpInstance, group: SyncGroup | None) -> Iterator[tuple[type, str]]:
    for owner in (instance, group):
        if owner is not None:
            yield from ((FileChanged, item.name) for item in owner.track_files)
            yield from ((ProcessCount, item.name) for item in owner.track_processes)
            yield from ((BfdChanged, item.name) for item in owner.track_bfds)


def static_trackers(config: Config) -> dict[str, tuple[TrackedInterface, ...]]:
    """For each instance in a track_group the interfaces of the static entries that name the group."""
    members = {group.name: group.instances for group in config.track_groups}
    found: dict[str, dict[str, None]] = {}
    for group, ifname in _static_devices(config):
        for instance in members.get(group, ()):
            found.setdefault(instance, {})[ifname] = None
    return {name: tuple(TrackedInterface(ifname) for ifname in names) for name, names in found.items()}


def _static_devices(config: Config) -> Iterable[tuple[str, str]]:
    for address in config.static_addresses:
        if address.track_group and address.dev:
            yield address.track_group, address.dev
    lines: tuple[VirtualRoute | VirtualRule, ...] = (*config.static_routes, *config.static_rules)
    for line in lines:
        if "track_group" in line.words[:-1]:
            for device in devices_of_words(line.words):
                yield line.words[line.words.index("track_group") + 1], device

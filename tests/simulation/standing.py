"""What trackers make of an instance, thought a second time from keepalived-behaviour 8; for `second`.

A tracker without weight is a condition: the instance is in FAULT while it does not hold. One with a weight adds to the
priority: a positive weight while it is up, a negative one while it is down, the other way round with `reverse`. A file
holds a number, which counts as often as its weight says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import SyncGroup, TrackedFile, TrackProcess, VrrpInstance, VrrpScript
from pykeepalived.vrrp import events


class Standing(NamedTuple):
    fails: bool
    waits: bool
    tentative: bool
    priority: int


class Script:
    """One script. Its result changes after `rise` successes or `fall` failures in a row; the first one counts alone."""

    def __init__(self, config: VrrpScript, *, holds: bool = True) -> None:
        self.config = config
        self.holds = holds
        self.up: bool | None = False if config.init_fail else None
        self.in_a_row = 0
        """Results that contradict `up`."""
        self.running = False
        self.next_us: int | None = None
        self.said: list[tuple[object, ...]] = []

    def tick(self, now_us: int) -> None:
        if self.next_us is None or self.next_us > now_us:
            return
        interval_us = self.config.interval_us
        self.next_us = self.next_us + interval_us if self.next_us + interval_us > now_us else now_us + interval_us
        if not self.running:
            self.running = True
            self.said.append(("run",))

    def ended(self, status: int | None) -> bool:
        if not self.running:
            return False
        self.running = False
        well = status == 0
        if self.up is None:
            self.up, self.in_a_row = well, 0
            return True
        if well is self.up:
            self.in_a_row = 0
            return False
        self.in_a_row += 1
        if self.in_a_row < (self.config.rise if well else self.config.fall):
            return False
        self.up, self.in_a_row = well, 0
        return True

    def resume(self, up: bool) -> None:
        self.up, self.in_a_row = up, 0

    def adapt(self, config: VrrpScript, now_us: int) -> None:
        self.config, self.in_a_row = config, 0
        if self.next_us is not None:
            self.next_us = min(self.next_us, now_us + config.interval_us)


class Process:
    """One process tracker. A gain or a loss counts when it has lasted as long as its delay."""

    def __init__(self, config: TrackProcess) -> None:
        self.config = config
        self.count: int | None = None
        self.up = False
        self.since_us: int | None = None

    def _enough(self) -> bool:
        top = 65535 if self.config.quorum_max is None else self.config.quorum_max
        return self.count is not None and self.config.quorum <= self.count <= top

    def counted(self, count: int, now_us: int, running: bool) -> bool:
        self.count = count
        if self._enough() is self.up:
            self.since_us = None
            return False
        if running and self._delay_us():
            if self.since_us is None:
                self.since_us = now_us
            return False
        self.up, self.since_us = not self.up, None
        return True

    def _delay_us(self) -> int:
        return self.config.terminate_delay_us if self.up else self.config.fork_delay_us

    @property
    def due_us(self) -> int | None:
        return None if self.since_us is None else self.since_us + self._delay_us()

    def turn(self) -> None:
        self.up, self.since_us = not self.up, None


class Known:
    """What the machine was told of its surroundings."""

    def __init__(self) -> None:
        self.links: dict[str, bool] = {}
        self.sources: dict[str, str | None] = {}
        self.tentative: set[str] = set()
        self.files: dict[str, int] = {}
        self.sessions: dict[str, bool] = {}
        self.scripts: dict[str, Script] = {}
        self.processes: dict[str, Process] = {}

    def adopt(self, config: Config) -> None:
        self.config = config
        before, self.processes = self.processes, {}
        for item in config.track_processes:
            old = before.get(item.name)
            self.processes[item.name] = old if old is not None and old.config == item else Process(item)
        self.file_configs = {item.name: item for item in config.track_files}
        self.session_configs = {item.name: item for item in config.bfd_instances}

    def learn(self, event: events.Event, now_us: int, running: bool) -> bool:
        """Note it; whether it is news."""
        match event:
            case events.LinkChanged(ifname, up):
                return self._note(self.links, ifname, up)
            case events.SourceAddressChanged(name, address, tentative):
                self.sources[name] = address
                (self.tentative.add if tentative else self.tentative.discard)(name)
                return True
            case events.FileChanged(name, value):
                return self._note(self.files, name, value)
            case events.BfdChanged(name, up):
                return self._note(self.sessions, name, up)
            case events.ProcessCount(name, count):
                return name in self.processes and self.processes[name].counted(count, now_us, running)
        return False

    @staticmethod
    def _note(values: dict[str, Any], name: str, value: object) -> bool:
        if name in values and values[name] == value:
            return False
        values[name] = value
        return True


def _of_group(item: VrrpInstance, group: SyncGroup) -> SyncGroup:
    """What the group tracks without what the instance tracks by itself."""
    links = {item.interface, *(tracked.ifname for tracked in item.track_interfaces)}
    rest: dict[str, Any] = {"track_interfaces": tuple(t for t in group.track_interfaces if t.ifname not in links)}
    for field in ("track_scripts", "track_files", "track_processes", "track_bfds"):
        names = {tracked.name for tracked in getattr(item, field)}
        rest[field] = tuple(tracked for tracked in getattr(group, field) if tracked.name not in names)
    return msgspec.structs.replace(group, **rest)


def _conditions(item: VrrpInstance | SyncGroup, known: Known, weighted: bool) -> Iterator[tuple[bool, int, bool]]:
    """(is up, weight, reverse) of each tracker that is a condition or a contribution."""
    for interface in item.track_interfaces:
        # An interface whose weight does not count is a condition.
        yield known.links.get(interface.ifname, False), interface.weight if weighted else 0, interface.reverse
    for tracked in item.track_processes:
        process = known.processes[tracked.name]
        weight = process.config.weight if tracked.weight is None else tracked.weight
        if weighted or weight == 0:
            yield process.up, weight, tracked.reverse
    for session in item.track_bfds:
        config = known.session_configs[session.name]
        weight = config.weight if session.weight is None else session.weight
        if weighted or weight == 0:
            yield known.sessions.get(session.name, False), weight, session.reverse


def _file(file: TrackedFile, known: Known, weighted: bool) -> tuple[bool, int]:
    weight = known.file_configs[file.name].weight if file.weight is None else file.weight
    value = known.files.get(file.name, 0)
    product = value * (-weight if file.reverse else weight)
    if weight and not weighted:
        if file.weight is not None or weight != 1:
            return False, 0
        # keepalived's own default is no weight that somebody asked for: the file is a condition.
        weight = 0
    if weight == 0:
        return (value != 0) is not file.reverse, 0
    return product <= -254, 0 if product <= -254 else min(253, product)


def source_of(item: VrrpInstance, known: Known) -> str | None:
    """A source of the file counts without being looked for, unless `track_src_ip` says so."""
    found = known.sources.get(item.name)
    return found if item.track_src_ip else item.source or found


def standing_of(item: VrrpInstance, group: SyncGroup | None, known: Known) -> Standing:
    """The instance's own, and what its group tracks."""
    weighted = group is None or group.tracking_weight
    owners = (item,) if group is None else (item, _of_group(item, group))
    fails, waits, change = not known.links.get(str(item.interface), False), False, 0
    tentative = item.name in known.tentative
    if source_of(item, known) is None and not tentative:
        fails = True
    for owner in owners:
        for up, weight, reverse in _conditions(owner, known, weighted):
            if weight == 0:
                fails |= up is reverse
            elif up is (weight > 0):
                change += -weight if reverse else weight
        for tracked in owner.track_scripts:
            script = known.scripts[tracked.name]
            weight = script.config.weight if tracked.weight is None else tracked.weight
            reverse = tracked.reverse or (tracked.weight is None and script.config.reverse)
            if weight == 0 and script.up is None:
                waits |= script.holds
            elif weight == 0:
                fails |= script.up is reverse
            elif weighted and script.up is (weight > 0):
                change += -weight if reverse else weight
        for file in owner.track_files:
            broken, product = _file(file, known, weighted)
            fails, change = fails or broken, change + product
    priority = 255 if item.priority == 255 else max(1, min(254, item.priority + change))
    return Standing(fails, waits, tentative, priority)

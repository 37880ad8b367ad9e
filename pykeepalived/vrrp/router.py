"""All virtual routers of one process as one state machine.

An edge feeds events (`handle`), does the returned actions in their order, and feeds `Tick` at `wake_at()`. The router
finds the machines that an event concerns, lets them work, moves their sync groups, and keeps their deadlines in a heap.

The heap is lazy: a deadline that moves away (a BACKUP hears an advert) stays where it is until its turn comes and is
then put back; only one that moves nearer is pushed anew. So an advert costs no heap operation, and 4,096 instances are
4,096 entries.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, Final

from pykeepalived.model.config import Config
from pykeepalived.units import SECOND_US
from pykeepalived.vrrp.events import (
    Action,
    AddressLost,
    AdvertReceived,
    BfdChanged,
    Event,
    FileChanged,
    InterfaceReady,
    LinkChanged,
    PacketRefused,
    ProcessCount,
    Refusal,
    ScriptResult,
    SourceAddressChanged,
    Standby,
    Start,
    Stop,
    Tick,
)
from pykeepalived.vrrp.explain import explain
from pykeepalived.vrrp.hearing import hear, hear_refused, ignore_for_now
from pykeepalived.vrrp.instance import BACKUP, MASTER, Instance
from pykeepalived.vrrp.output import Budget, Output
from pykeepalived.vrrp.processes import ProcessTracker
from pykeepalived.vrrp.scripts import ScriptTracker
from pykeepalived.vrrp.snapshot import instance_status
from pykeepalived.vrrp.standby import take_standby
from pykeepalived.vrrp.status import GroupStatus, InstanceStatus, ProcessStatus, ScriptStatus
from pykeepalived.vrrp.succession import take_instances, take_scripts
from pykeepalived.vrrp.watched import Watched
from pykeepalived.vrrp.world import World

_UNKNOWN_VRID_LINES_PER_S: Final = 5
#: The lane of lines that belong to no machine.
_ROUTER: Final = "router"


class _Deadline:
    """`vrrp_startup_delay` or `vrrp_ready_gate`: a deadline that is neither an instance's nor a script's."""

    def __init__(self) -> None:
        self.until_us: int | None = None
        self.queued_us: int | None = None

    def deadline_us(self) -> int | None:
        return self.until_us


_Timed = Instance | ScriptTracker | ProcessTracker | _Deadline


class Router:
    """The VRRP side of one configuration generation after the other.

    Before `Start`, feed `LinkChanged` for every interface that the configuration names and `SourceAddressChanged` for
    every instance; the same, for what is new, before `reload`. An interface that was never mentioned is down, and an
    instance without a configured source whose address was never mentioned has none.

    Packets that are already in the socket go in before `Tick`: after a pause of the whole process they tell that the
    master is alive, and a timer that is handled first would start a needless election.

    `log_detail` False leaves out detail lines (no -D): they cost time in the very moment of a failover.
    """

    def __init__(self, config: Config, *, log_detail: bool = True) -> None:
        self._log_detail = log_detail
        self._running = False
        self._stopped = False
        self._world = World(config)
        self._delay = _Deadline()
        self._gate = _Deadline()
        self._heap: list[tuple[int, int, _Timed]] = []
        self._pushed = 0
        self._unused: Output | None = None
        self._unknown_lines = Budget(_UNKNOWN_VRID_LINES_PER_S)
        self._methods: dict[type, Callable[[Any, int, Output], None]] = {
            AdvertReceived: self._advert,
            PacketRefused: self._refused,
            Tick: self._tick,
            LinkChanged: self._link,
            SourceAddressChanged: self._source,
            InterfaceReady: self._ready,
            AddressLost: self._address_lost,
            ScriptResult: self._script_result,
            FileChanged: self._watched,
            ProcessCount: self._watched,
            BfdChanged: self._watched,
            Start: self._start,
            Standby: self._standby,
            Stop: self._stop,
        }
        self.unattributed: dict[str, int] = {}
        """Refused packets that no instance could be found for, by `Refusal` value."""

    # ---- what happens ----

    def handle(self, event: Event, now_us: int) -> tuple[Action, ...]:
        """Take one event; the actions are to be done in their order. Never raises for any event.

        An event about an instance, interface or script that this generation does not have changes nothing.
        """
        if self._stopped:
            return ()
        out, self._unused = self._unused or Output(log_detail=self._log_detail), None
        self._methods[type(event)](event, now_us, out)
        if out.empty():
            # The usual case: an advert that was believed, a packet that was counted. The next event can have it.
            self._unused = out
            return ()
        return self._finish(out)

    def reload(self, config: Config, now_us: int) -> tuple[Action, ...]:
        """Change to another generation (keepalived-behaviour 7.9).

        Instances are matched by VRID, family and interface (unicast: also the source address), not by name. First come
        all actions about instances that are gone, under their old names; then `Renamed`, all of one reload meant at
        once (two instances may swap names); then everything else under the new names.
        """
        if self._stopped:
            return ()
        if not self._running:
            world = World(config)
            world.links, world.sources = self._world.links, self._world.sources
            world.watched = Watched(config, self._world.watched)
            world.tentative = self._world.tentative
            self._world = world
            return ()
        out = Output(log_detail=self._log_detail)
        self._world.adopt(config, now_us, out)
        for instance in self._world.instances.values():
            self._schedule(instance)
        for script in self._world.scripts.values():
            self._schedule(script)
        return self._finish(out)

    def wake_at(self) -> int | None:
        """The instant at which `Tick` is due, or None when nothing is pending."""
        heap = self._heap
        while heap:
            at_us, _, timed = heap[0]
            if timed.queued_us == at_us and timed.deadline_us() == at_us:
                return at_us
            heapq.heappop(heap)
            if timed.queued_us == at_us:
                timed.queued_us = None
                self._schedule(timed)
        return None

    def look_at(self) -> int | None:
        """An instant not after `wake_at`, found without work: deadlines that have moved away since count as well."""
        return self._heap[0][0] if self._heap else None

    def waits_for_election(self) -> bool:
        """Whether the deadline of `wake_at` is the end of a BACKUP's patience."""
        if self.wake_at() is None:
            return False
        timed = self._heap[0][2]
        return isinstance(timed, Instance) and timed.state is BACKUP

    # ---- what it looks like ----

    def status(self) -> tuple[InstanceStatus, ...]:
        """All instances in file order."""
        return tuple(instance_status(instance) for instance in self._world.instances.values())

    def group_status(self) -> tuple[GroupStatus, ...]:
        """All sync groups in file order."""
        return tuple(group.status() for group in self._world.groups.values())

    def script_status(self) -> tuple[ScriptStatus, ...]:
        """All vrrp_scripts that something tracks, in file order; others never run."""
        return tuple(script.status() for script in self._world.scripts.values())

    def process_status(self) -> tuple[ProcessStatus, ...]:
        """All vrrp_track_process in file order."""
        return tuple(tracker.status() for tracker in self._world.watched.processes.values())

    def file_values(self) -> dict[str, int]:
        """What each reported track_file holds."""
        return dict(self._world.watched.files)

    def explain(self, name: str, now_us: int) -> dict[str, Any] | None:
        """Why an instance is in its state; None: there is none of this name (`vrrp.explain`)."""
        return explain(self._world, name, now_us)

    # ---- deadlines ----

    def _schedule(self, timed: _Timed) -> None:
        deadline_us = timed.deadline_us()
        if deadline_us is not None and (timed.queued_us is None or deadline_us < timed.queued_us):
            timed.queued_us = deadline_us
            self._pushed += 1
            heapq.heappush(self._heap, (deadline_us, self._pushed, timed))

    def _finish(self, out: Output) -> tuple[Action, ...]:
        for lane in out.lanes():
            if isinstance(lane, Instance | ScriptTracker | ProcessTracker):
                self._schedule(lane)
        return out.actions()

    # ---- one method per event ----

    def _start(self, event: Start, now_us: int, out: Output) -> None:
        if self._running:
            return
        self._running = True
        world = self._world
        settings = world.config.globals
        delay_us = settings.startup_delay_us
        if event.uptime_us is not None:
            delay_us = max(delay_us, settings.delay_after_boot_us - event.uptime_us)
        if delay_us and not event.states:
            out.log(_ROUTER, f"Delaying startup for {delay_us / SECOND_US:g} seconds")
            world.not_before_us = self._delay.until_us = now_us + delay_us
            self._schedule(self._delay)
        if settings.ready_gate_us is not None and world.instances:
            world.gated |= {item.name for item in world.instances.values() if item.config.interface is not None}
            self._gate.until_us = now_us + settings.ready_gate_us
            self._schedule(self._gate)

        def resume() -> None:
            take_scripts(world, event.scripts)
            take_instances(world, event.states, now_us, out)

        world.start(now_us, out, resume)
        for script in world.scripts.values():
            self._schedule(script)
        for instance in world.instances.values():
            # One that goes on as BACKUP has nothing to say and waits all the same.
            self._schedule(instance)

    def _tick(self, _event: Tick, now_us: int, out: Output) -> None:
        world, due = self._world, list[_Timed]()
        while (at_us := self.wake_at()) is not None and at_us <= now_us:
            timed = heapq.heappop(self._heap)[2]
            timed.queued_us = None
            due.append(timed)
        for timed in due:
            if isinstance(timed, Instance):
                timed.expire(now_us, out)
            elif isinstance(timed, ScriptTracker):
                timed.run_due(now_us, out)
            elif isinstance(timed, ProcessTracker):
                if timed.expire(now_us, out):
                    self._judge_users(ProcessCount(timed.config.name, timed.count or 0), now_us, out)
            elif timed is self._gate:
                timed.until_us = None
                late = [name for name in world.instances if name in world.gated]
                for name in late:
                    out.log(_ROUTER, f"({name}) starts though its interface is not ready (vrrp_ready_gate)")
                world.open_gates(late, now_us, out)
            else:
                timed.until_us = None
                out.log(_ROUTER, "Delayed start completed")
        for timed in due:
            self._schedule(timed)

    def _advert(self, event: AdvertReceived, now_us: int, out: Output) -> None:
        instance = self._world.instances.get(event.instance)
        if instance is None:
            return
        if self._delay.until_us is not None and now_us < self._delay.until_us:
            ignore_for_now(instance)
            return
        hear(instance, event.advert, now_us, out)
        self._schedule(instance)

    def _refused(self, event: PacketRefused, now_us: int, out: Output) -> None:
        instance = self._world.instances.get(event.instance)
        if instance is not None:
            hear_refused(instance, event, now_us, out)
            return
        kind = event.refusal.value
        self.unattributed[kind] = self.unattributed.get(kind, 0) + 1
        if (
            event.refusal is Refusal.UNKNOWN_VRID
            and self._world.config.globals.log_unknown_vrids
            and self._unknown_lines.spend(now_us)
        ):
            out.log(_ROUTER, event.detail)

    def _link(self, event: LinkChanged, now_us: int, out: Output) -> None:
        links = self._world.links
        if links.get(event.ifname) is event.up:
            return
        links[event.ifname] = event.up
        depending = self._world.depending_on_interface(event.ifname)
        if self._running and depending:
            out.log(_ROUTER, f"Netlink reports {event.ifname} {'up' if event.up else 'down'}")
            self._world.judge(depending, now_us, out)

    def _source(self, event: SourceAddressChanged, now_us: int, out: Output) -> None:
        self._world.sources[event.instance] = event.address
        (self._world.tentative.add if event.tentative else self._world.tentative.discard)(event.instance)
        instance = self._world.instances.get(event.instance)
        if self._running and instance is not None:
            self._world.judge([instance], now_us, out)

    def _ready(self, event: InterfaceReady, now_us: int, out: Output) -> None:
        """One more that may start; with the last one there is nothing left to wait for."""
        if event.instance in self._world.gated:
            self._world.open_gates([event.instance], now_us, out)
            if not self._world.gated:
                self._gate.until_us = None

    def _address_lost(self, event: AddressLost, now_us: int, out: Output) -> None:
        instance = self._world.instances.get(event.instance)
        if instance is None or instance.state is not MASTER:
            return
        instance.lose_address(now_us, out)
        if instance.group:
            instance.group.lost_address(instance, now_us, out)

    def _script_result(self, event: ScriptResult, now_us: int, out: Output) -> None:
        script = self._world.scripts.get(event.script)
        if script is not None and script.ended(event.status, out) and self._running:
            self._world.judge(self._world.depending_on_script(event.script), now_us, out)

    def _watched(self, event: FileChanged | ProcessCount | BfdChanged, now_us: int, out: Output) -> None:
        watched = self._world.watched
        changed = watched.take(event, now_us, out, running=self._running)
        if changed and self._running:
            self._judge_users(event, now_us, out)
        elif isinstance(event, ProcessCount) and (tracker := watched.processes.get(event.name)) is not None:
            self._schedule(tracker)

    def _judge_users(self, event: FileChanged | ProcessCount | BfdChanged, now_us: int, out: Output) -> None:
        world = self._world
        world.judge(world.depending_on(world.watched.users(event)), now_us, out)

    def _standby(self, event: Standby, now_us: int, out: Output) -> None:
        for instance in take_standby(self._world, event, now_us, out):
            self._schedule(instance)

    def _stop(self, event: Stop, now_us: int, out: Output) -> None:
        self._stopped = True
        self._heap.clear()
        for script in self._world.scripts.values():
            script.retire()
        if not self._running:
            return
        for instance in self._world.instances.values():
            instance.stop(now_us, out, release=event.release)
        for instance in self._world.instances.values():
            instance.notify("STOP", out)
        for group in self._world.groups.values():
            group.stop(out)

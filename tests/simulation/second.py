"""What a VRRP program should do, thought a second time: written from the RFCs and keepalived-behaviour 7, 8 and 9.

Each machine of a cluster has a `Second` beside its router. It takes the same events and says what must come out of
them: the state, the effective priority and the deadline of each instance, its adverts, addresses, announcements and
notifications in their order, the runs of scripts. It has one plain path for each rule, no heap, no lanes, no texts, and
nothing of the cores but their event types; where the two differ, one of them is wrong.

It does not know virtual MACs, two owners of one address, and the order between instances.
"""

from __future__ import annotations

from collections.abc import Iterator

from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import VrrpInstance, VrrpScript, VrrpState
from pykeepalived.vrrp import events
from tests.simulation.standing import Known, Process, Script, source_of, standing_of
from tests.simulation.thought import BACKUP, INIT, MASTER, STOP, One, Several, Word, wire_us


class Second:
    """All instances of one machine."""

    def __init__(self, config: Config, own: bytes) -> None:
        self._own = own
        self.known = Known()
        self.running = False
        self.ones: dict[str, One] = {item.name: One(item) for item in config.instances}
        self.groups: dict[str, Several] = {}
        self._bind(config)
        self.known.scripts = {item.name: Script(item) for item in self._tracked(config)}
        self.known.adopt(config)
        self.deaf_until_us = 0
        self.leaving: dict[str, list[Word]] = {}
        """What those said last that a reload took out."""
        self.moved: set[str] = set()
        """Those that a tick was about."""

    def _bind(self, config: Config) -> None:
        self.config = config
        states = {group.config.name: group.state for group in self.groups.values()}
        for one in self.ones.values():
            one.group = None
        self.groups = {}
        for group in config.sync_groups:
            members = [self.ones[name] for name in group.members if name in self.ones]
            if members:
                self.groups[group.name] = Several(group, members)
                self.groups[group.name].state = states.get(group.name, INIT)

    @staticmethod
    def _tracked(config: Config) -> Iterator[VrrpScript]:
        named = {tracked.name for owner in (*config.instances, *config.sync_groups) for tracked in owner.track_scripts}
        return (item for item in config.scripts if item.name in named)

    # ── what is said, and by whom ─────────────────────────────────────────────────────────────────────────────────

    def words(self) -> dict[str, list[Word]]:
        """What must have been done since the last question, by whom."""
        found, self.leaving = self.leaving, {}
        for name, one in self.ones.items():
            if one.said:
                found[name], one.said = one.said, []
        for name, group in self.groups.items():
            if group.said:
                found[f"group {name}"], group.said = group.said, []
        for name, script in self.known.scripts.items():
            if script.said:
                found[f"script {name}"], script.said = list(script.said), []
        return found

    # ── events ────────────────────────────────────────────────────────────────────────────────────────────────────

    def hear(self, name: str, advert: events.Advert, source: bytes, now_us: int) -> None:
        if now_us >= self.deaf_until_us:
            self.ones[name].hear(advert, self._own, source, now_us)
            self.ones[name].plan()

    def take(self, event: events.Event, now_us: int) -> None:
        """Anything but an advert and the passing of time."""
        self._take(event, now_us)
        self._plan()

    def _plan(self) -> None:
        for one in self.ones.values():
            one.plan()

    def _take(self, event: events.Event, now_us: int) -> None:
        match event:
            case events.ScriptResult(name, status):
                script = self.known.scripts.get(name)
                if script is not None and script.ended(status) and self.running:
                    self._judge(now_us)
            case events.Start():
                self._start(event, now_us)
            case events.Stop():
                self._stop()
            case events.AddressLost(name):
                self._lost(name, now_us)
            case events.Standby(names, on):
                self._hold(set(names), on, now_us)
            case _:
                if self.known.learn(event, now_us, self.running) and self.running:
                    self._judge(now_us)

    def _judge(self, now_us: int, only: list[One] | None = None) -> None:
        for one in self.ones.values():
            if one.item.name not in self.known.tentative:
                one.own_address = source_of(one.item, self.known)
        done: set[str] = set()
        for one in list(self.ones.values()) if only is None else only:
            group = one.group
            if group is None:
                one.judge(standing_of(one.item, None, self.known), now_us)
            elif group.config.name not in done:
                done.add(group.config.name)
                group.judge([standing_of(mate.item, group.config, self.known) for mate in group.members], now_us)

    def tick(self, now_us: int) -> None:
        """Time has passed."""
        due: list[tuple[int, One | Process]] = [(one.due_us, one) for one in self.ones.values() if one.due_us <= now_us]
        for script in self.known.scripts.values():
            script.tick(now_us)
        for process in self.known.processes.values():
            if process.due_us is not None and process.due_us <= now_us:
                due.append((process.due_us, process))
        for _, what in sorted(due, key=lambda entry: entry[0]):
            if isinstance(what, One):
                what.tick(now_us)
                for mate in (what,) if what.group is None else what.group.members:
                    mate.plan()
                    self.moved.add(mate.item.name)
            elif what.due_us is not None:
                what.turn()
                self._judge(now_us)
                self._plan()
                self.moved.update(self.ones)

    def _start(self, event: events.Start, now_us: int) -> None:
        self.running = True
        for script in self.known.scripts.values():
            script.next_us = now_us
            script.tick(now_us)
        delay_us = self.config.globals.startup_delay_us if not event.states else 0
        for one in self.ones.values():
            one.earliest_us = now_us + delay_us if delay_us else 0
        self.deaf_until_us = now_us + delay_us
        for name, up in event.scripts.items():
            if name in self.known.scripts:
                self.known.scripts[name].resume(up)
        for one in self.ones.values():
            one.own_address = source_of(one.item, self.known)
        self._go_on(event, now_us)
        for one in self.ones.values():
            if one.state is INIT:
                one.said.append(("remove",))
        self._judge(now_us)

    def _go_on(self, event: events.Start, now_us: int) -> None:
        """After a process that was killed: whoever may leads on, without a word but its advert."""
        back = {name: state for name, state in event.states.items() if state in (MASTER, BACKUP)}
        for group in self.groups.values():
            states = {back.get(mate.item.name) for mate in group.members}
            if len(states) == 1 and None not in states:
                group.state = back[group.members[0].item.name]
            else:
                for mate in group.members:
                    back.pop(mate.item.name, None)
        for name, state in back.items():
            one = self.ones[name]
            standing = standing_of(one.item, one.group.config if one.group else None, self.known)
            if standing.fails or standing.waits or standing.tentative:
                continue
            one.state, one.priority, one.changed_us = state, standing.priority, now_us
            one.wants_to_lead = state is MASTER
            if state is BACKUP:
                one.timer_us = now_us + one.down_us()
            else:
                one.master, one.master_priority = one.own_address, one.priority
                one.advert(one.priority)
                one.said.append(("add",))
                one.timer_us = now_us + wire_us(one.item)

    def _stop(self) -> None:
        for one in self.ones.values():
            if one.state is MASTER:
                one.advert(0)
                one.said.append(("remove",))
            one.tell("STOP")
            one.state, one.timer_us = STOP, None
            one.again_us = one.refresh_us = one.against_us = None
        for group in self.groups.values():
            group.state = STOP
            group.said.append(("notify", "STOP", 0))
        self.running = False

    def _lost(self, name: str, now_us: int) -> None:
        one = self.ones.get(name)
        if one is None or one.state is not MASTER:
            return
        for each in [one, *(one.group.others(one) if one.group else [])]:
            if each.state is MASTER:
                each.follow(now_us, each.skew_us(), goodbye=True)
        if one.group:
            one.group.state = BACKUP

    def _hold(self, names: set[str], on: bool, now_us: int) -> None:
        for group in self.groups.values():
            mates = {mate.item.name for mate in group.members}
            if mates & names:
                names |= mates
        for name, one in self.ones.items():
            if name not in names or one.held is on:
                continue
            one.held = on
            if on:
                if one.state is MASTER:
                    one.follow(now_us, goodbye=True)
                one.wants_to_lead = False
            elif one.state is BACKUP:
                one.timer_us = max(now_us, one.earliest_us) + one.down_us()
        for group in self.groups.values():
            if on and group.state is MASTER and any(mate.held for mate in group.members):
                group.reach(BACKUP)

    # ── reload ────────────────────────────────────────────────────────────────────────────────────────────────────

    def reload(self, config: Config, now_us: int) -> None:
        """The same names are the same virtual routers here."""
        wanted = {item.name: item for item in config.instances}
        before, gone = self.ones, [one for name, one in self.ones.items() if name not in wanted]
        for one in gone:
            if one.state is MASTER:
                one.advert(0)
                one.said.append(("remove",))
            one.tell("FAULT")
            self.leaving[one.item.name] = one.said
        fresh: list[One] = []
        self.ones = {}
        for name, item in wanted.items():
            if name in before:
                self.ones[name] = before[name]
                self._adapt(before[name], item, now_us)
            else:
                self.ones[name] = One(item)
                fresh.append(self.ones[name])
        self._bind(config)
        self._follow_scripts(config, now_us)
        for group in self.groups.values():
            if any(mate.held for mate in group.members):
                for mate in group.members:
                    mate.held = True
        earliest_us = max((one.earliest_us for one in self.ones.values()), default=0)
        for one in fresh:
            one.earliest_us = earliest_us
            one.said.append(("remove",))
        self._judge(now_us, [one for one in self.ones.values() if one not in fresh])
        self._judge(now_us, [one for one in fresh if one.state is INIT])
        for group in self.groups.values():
            self._settle(group, fresh, now_us)
        for one in self.ones.values():
            one.plan()

    def _follow_scripts(self, config: Config, now_us: int) -> None:
        self.known.adopt(config)
        for script in self._tracked(config):
            known = self.known.scripts.get(script.name)
            if known is None:
                known = self.known.scripts[script.name] = Script(script, holds=False)
                known.next_us = now_us
                known.tick(now_us)
            else:
                known.adapt(script, now_us)
        named = {script.name for script in self._tracked(config)}
        self.known.scripts = {name: script for name, script in self.known.scripts.items() if name in named}

    @staticmethod
    def _adapt(one: One, item: VrrpInstance, now_us: int) -> None:
        old, before_us = one.item, one.down_us()
        follows_another = one.interval_us != wire_us(old)
        one.item = item
        if one.state is MASTER:
            one.advert(one.priority)
            if (old.garp.refresh_us, old.garp.refresh_repeat) != (item.garp.refresh_us, item.garp.refresh_repeat):
                refreshes = item.garp.refresh_us and item.garp.refresh_repeat
                one.refresh_us = now_us + item.garp.refresh_us if refreshes else None
        if not follows_another or one.state is MASTER or item.version == 2:
            one.interval_us = wire_us(item)
        if one.state is BACKUP and one.timer_us is not None:
            one.timer_us = max(now_us, one.timer_us + one.down_us() - before_us)
        elif one.state is MASTER:
            one.timer_us = now_us
            old_ones, new_ones = ({a.prefix.address for a in each.addresses} for each in (old, item))
            if old_ones != new_ones:
                one.said.append(("replace", tuple(sorted(old_ones - new_ones)), tuple(sorted(new_ones - old_ones))))
            if new_ones - old_ones:
                one.announce(item.garp.repeat)

    @staticmethod
    def _settle(group: Several, fresh: list[One], now_us: int) -> None:
        leaders = [mate for mate in group.members if mate.state is MASTER]
        others = [mate for mate in group.members if mate.state is not MASTER]
        if not leaders:
            states = {mate.state for mate in group.members}
            if len(states) == 1 and states <= {BACKUP, VrrpState.FAULT}:
                group.reach(states.pop())
        elif all(mate in fresh and not mate.waits for mate in others):
            for mate in others:
                mate.lead(now_us)
            group.reach(MASTER)
        else:
            leaders[0].follow(now_us)
            group.follow(leaders[0], now_us)

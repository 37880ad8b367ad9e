"""The machines of one configuration generation, what they depend on, and the way from one generation to the next.

`World` knows which instances an interface or a script concerns, asks `tracking` for their standing and moves them, in
their sync groups where they have one. A reload keeps every machine whose virtual router is still there: same VRID,
family, interface (keepalived-behaviour 7.9), whatever its name. What the file changed is brought to the running
machine; state, timers, counters and script results stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import SyncGroup, VrrpInstance, VrrpState
from pykeepalived.vrrp.adaptation import adapt
from pykeepalived.vrrp.events import Renamed
from pykeepalived.vrrp.facts import instance_key, interface_trackers
from pykeepalived.vrrp.instance import Instance
from pykeepalived.vrrp.output import Output
from pykeepalived.vrrp.scripts import ScriptTracker
from pykeepalived.vrrp.sync_group import Group
from pykeepalived.vrrp.tracking import Standing, assess, tracked_script_names
from pykeepalived.vrrp.watched import Watched


class World:
    """Instances, groups and scripts of the running generation, and the values of what they track."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.links: dict[str, bool] = {}
        self.sources: dict[str, str | None] = {}
        """Reported source addresses by instance name; a name may be reported before its instance exists."""
        self.tentative: set[str] = set()
        """Instances whose reported source address is still in duplicate address detection."""
        self.gated: set[str] = set()
        """Instances whose interface is not ready yet."""
        self.not_before_us = 0
        self.instances: dict[str, Instance] = {item.name: Instance(item) for item in config.instances}
        self.groups: dict[str, Group] = {}
        self.scripts: dict[str, ScriptTracker] = {}
        self.watched = Watched(config)
        self._by_interface: dict[str, list[Instance]] = {}
        self._by_script: dict[str, list[Instance]] = {}
        self._bind()
        used = frozenset(tracked_script_names(config.instances, config.sync_groups))
        self.scripts = {item.name: ScriptTracker(item, None) for item in config.scripts if item.name in used}

    # ---- who depends on what ----

    def depending_on_interface(self, ifname: str) -> list[Instance]:
        return self._by_interface.get(ifname, [])

    def depending_on_script(self, name: str) -> list[Instance]:
        return self._by_script.get(name, [])

    def depending_on(self, names: Iterable[str]) -> list[Instance]:
        return [self.instances[name] for name in names if name in self.instances]

    def _bind(self) -> None:
        """Couple groups and note dependencies; group states of the same name are kept."""
        states = {group.name: group.state for group in self.groups.values()}
        self.groups = {}
        for instance in self.instances.values():
            instance.group = None
        for item in self.config.sync_groups:
            names = dict.fromkeys(item.members)
            members = [self.instances[name] for name in names if name in self.instances]
            members = [member for member in members if member.group is None]
            if members:
                group = self.groups[item.name] = Group(item, members)
                group.state = states.get(item.name, VrrpState.INIT)
        self._by_interface, self._by_script = {}, {}
        daemon = self.config.globals.sync_daemon
        for instance in self.instances.values():
            instance.sync_daemon = daemon is not None and daemon.instance == instance.name
            group_config = self.group_config(instance)
            tracked = interface_trackers(instance.config) + (group_config.track_interfaces if group_config else ())
            tracked += self.watched.static_of(instance.name)
            for ifname in dict.fromkeys(item.ifname for item in tracked):
                self._by_interface.setdefault(ifname, []).append(instance)
            for name in dict.fromkeys(tracked_script_names([instance.config], [group_config] if group_config else [])):
                self._by_script.setdefault(name, []).append(instance)

    def group_of(self, instance: Instance) -> Group | None:
        return self.groups.get(instance.group.name) if instance.group else None

    def group_config(self, instance: Instance) -> SyncGroup | None:
        group = self.group_of(instance)
        return group.config if group else None

    # ---- judging ----

    def standing(self, instance: Instance) -> Standing:
        config, group = instance.config, self.group_config(instance)
        reported = self.sources.get(instance.name)
        tentative = instance.name in self.tentative
        if not tentative:
            instance.source = reported if config.track_src_ip else config.source or reported
        return assess(
            config,
            group,
            self.links,
            self.scripts,
            instance.source,
            watched=self.watched,
            tentative=tentative,
            gated=instance.name in self.gated,
        )

    def judge(self, instances: Iterable[Instance], now_us: int, out: Output, *, init: bool = False) -> None:
        """Bring instances, or the whole groups that they are in, to where their trackers want them."""
        judged: set[str] = set()
        for instance in instances:
            group = self.group_of(instance)
            if group is None:
                instance.judge(self.standing(instance), now_us, out, init=init)
            elif group.name not in judged:
                judged.add(group.name)
                group.judge([self.standing(member) for member in group.members], now_us, out, init=init)

    def start(self, now_us: int, out: Output, resume: Callable[[], None] = lambda: None) -> None:
        """`resume` puts instances back that go on from an earlier process; all others begin."""
        for script in self.scripts.values():
            script.start(now_us)
            script.run_due(now_us, out)
        for instance in self.instances.values():
            instance.not_before_us = self.not_before_us
        resume()
        for instance in self.instances.values():
            if instance.state is VrrpState.INIT:
                instance.clean(out)
        self.judge(self.instances.values(), now_us, out, init=True)

    def open_gates(self, names: Iterable[str], now_us: int, out: Output) -> None:
        """Let instances start: their interfaces are ready, or nobody waits for them any longer."""
        self.gated -= set(names)
        self.judge(self.depending_on(names), now_us, out, init=True)

    # ---- from one generation to the next ----

    def adopt(self, config: Config, now_us: int, out: Output) -> None:
        """Go over to another configuration."""
        kept, fresh, gone = self._match(config)
        for instance in gone:
            instance.group = None
            instance.delete(now_us, out)
        # Those that are gone leave under their old names, which others may now have.
        out.barrier()
        for instance, item in kept:
            if instance.name != item.name:
                out.put(instance, Renamed(instance.name, item.name))
        self._carry_sources(kept)
        names = {item.name for item in config.instances}
        self.sources = {name: source for name, source in self.sources.items() if name in names}
        self.tentative &= names
        self.gated &= names
        for instance, item in kept:
            adapt(instance, item, now_us, out)
        by_name = {instance.name: instance for instance, _ in kept} | {item.name: Instance(item) for item in fresh}
        self.config = config
        self.watched = Watched(config, self.watched)
        self.instances = {item.name: by_name[item.name] for item in config.instances}
        self._bind()
        self._adopt_scripts(config, now_us, out)
        for group in self.groups.values():
            # Whoever joins a group that an operator holds back is held back with it.
            if any(member.standby for member in group.members):
                for member in group.members:
                    member.standby = True
        new_ones = [self.instances[item.name] for item in fresh]
        for instance in new_ones:
            instance.not_before_us = self.not_before_us
            instance.clean(out)
        self.judge((instance for instance, _ in kept), now_us, out)
        self.judge((instance for instance in new_ones if instance.state is VrrpState.INIT), now_us, out, init=True)
        for group in self.groups.values():
            group.settle([member for member in group.members if member in new_ones], now_us, out)

    def _match(self, config: Config) -> tuple[list[tuple[Instance, VrrpInstance]], list[VrrpInstance], list[Instance]]:
        """Pair old instances with new configurations: of equal keys the one of the same name, else the first."""
        waiting = list(self.instances.values())
        keys = {id(instance): instance_key(instance.config) for instance in waiting}
        by_key: dict[object, list[Instance]] = {}
        for instance in waiting:
            by_key.setdefault(keys[id(instance)], []).append(instance)
        kept: list[tuple[Instance, VrrpInstance]] = []
        fresh: list[VrrpInstance] = []
        for item in config.instances:
            candidates = by_key.get(instance_key(item), [])
            match = next((old for old in candidates if old.name == item.name), candidates[0] if candidates else None)
            if match is None:
                fresh.append(item)
            else:
                candidates.remove(match)
                kept.append((match, item))
        staying = {id(instance) for instance, _ in kept}
        return kept, fresh, [instance for instance in waiting if id(instance) not in staying]

    def _carry_sources(self, kept: list[tuple[Instance, VrrpInstance]]) -> None:
        """A renamed instance keeps its source, unless the edge already reported one under the new name."""
        renamed = {new.name: self.sources.get(old.name) for old, new in kept if old.name != new.name}
        for old, new in kept:
            if old.name != new.name:
                self.sources.pop(old.name, None)
        for name, source in renamed.items():
            self.sources.setdefault(name, source)

    def _adopt_scripts(self, config: Config, now_us: int, out: Output) -> None:
        used = frozenset(tracked_script_names(config.instances, config.sync_groups))
        before, self.scripts = self.scripts, {}
        for item in config.scripts:
            if item.name not in used:
                continue
            old = before.get(item.name)
            if old is not None and old.config.script == item.script:
                self.scripts[item.name] = before.pop(item.name)
                old.adapt(item, now_us, out)
            else:
                script = self.scripts[item.name] = ScriptTracker(item, now_us, holds_instances=False)
                script.run_due(now_us, out)
        for script in before.values():
            script.retire()

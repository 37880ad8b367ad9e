"""What must always hold in a cluster, looked at as it runs.

What must always hold, and the exception that names what did not:

    address     a machine that is awake holds an instance's addresses exactly while it is MASTER
    kernel      what the kernel holds is that, once nothing is left to be tried again
    group       all instances of a sync group are MASTER, or none is
    rivals      two masters that hear each other are not both MASTER longer than one advert needs between them
    notify      the state last told to scripts is the state
    entrance    who becomes MASTER says so on the wire, takes its addresses and announces them
    farewell    a MASTER that is stopped says goodbye
    patience    a backup believes a master that it heard for as long as its timer says; one that just came waits as long
    yield       a master gives way to who is better, and to nobody else
    fault       nobody leads on a dead interface
    steady      a MASTER that is awake is silent for one interval at most
    reload      a reload that changes nothing moves nothing and tells nobody
    second      state, priority and deadline of each instance, and everything that is done, are what `second` thinks
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import VrrpState
from pykeepalived.runtime.vrrp_journal import Entry
from pykeepalived.vrrp import events
from pykeepalived.vrrp.facts import advert_interval_us
from pykeepalived.vrrp.instance import Instance
from tests.simulation.machine import Machine, packed

DELAY_US = (100, 300)


class Broken(AssertionError):
    """An invariant did not hold."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name


def spoken(actions: tuple[events.Action, ...]) -> dict[str, list[tuple[object, ...]]]:
    """What actions do, by whom, in the words of `second`."""
    found: dict[str, list[tuple[object, ...]]] = {}
    for action in actions:
        match action:
            case events.SendAdvert(name, priority):
                found.setdefault(name, []).append(("advert", priority))
            case events.AddAddresses(name):
                found.setdefault(name, []).append(("add",))
            case events.RemoveAddresses(name):
                found.setdefault(name, []).append(("remove",))
            case events.Announce(name, times):
                found.setdefault(name, []).append(("announce", times))
            case events.Notify(kind, name, state, priority):
                who = f"group {name}" if kind is events.NotifyKind.GROUP else name
                found.setdefault(who, []).append(("notify", state, priority))
            case events.RunScript(name):
                found.setdefault(f"script {name}", []).append(("run",))
            case events.ReplaceAddresses(name, removed, added):
                gone, new = (tuple(sorted(item.prefix.address for item in each)) for each in (removed, added))
                found.setdefault(name, []).append(("replace", gone, new))
            case events.Log() | events.AnnounceSource():
                pass
            case _:
                found.setdefault("somebody", []).append((type(action).__name__,))
    return found


def shown(it: Instance) -> tuple[object, ...]:
    """What status and counters show of an instance, in the order of `One.facts`."""
    stats = it.stats
    counts = (stats.advert_rcvd, stats.pri_zero_rcvd, stats.advert_sent, stats.pri_zero_sent)
    transitions = (stats.become_master, stats.release_master, stats.second_master, stats.addr_list_err)
    return (it.master_address, it.master_priority, *counts, *transitions)


class Watch:
    """The invariants of a cluster, and what they have to remember."""

    def __init__(self, configs: list[Config]) -> None:
        self.now_us = 0
        self.loss = 0.0
        self.slowest_us = DELAY_US[1]
        self.believed = True
        """False once a clock was wrong where clocks count: who is heard is then not for the network to say."""
        self.deaf: set[tuple[int, int]] = set()
        """(sender, receiver) pairs that a fault cut."""
        self.transitions = 0
        self.done: Counter[str] = Counter()
        """How often each kind of thing was done, and each kind of fault came."""
        self.told: Counter[str] = Counter()
        """How often scripts were told of each state."""
        self.entries: Counter[tuple[int, str]] = Counter()
        """How often each machine became MASTER of each instance."""
        self.machines = [Machine(number, config) for number, config in enumerate(configs)]
        self.mixed = len({item.advert_interval_us for config in configs for item in config.instances}) > 1
        """Intervals differ, so how long a master is believed depends on whom one heard last; `second` knows."""
        self._leaders: dict[int, set[int]] = {}
        self._rivals: dict[tuple[int, int, int], int] = {}

    def hears(self, receiver: Machine, sender: Machine, ifname: str) -> bool:
        return (
            receiver.alive
            and (sender.number, receiver.number) not in self.deaf
            and sender.links.get(ifname, False)
            and receiver.links.get(ifname, False)
        )

    def _agree(
        self, machine: Machine, actions: tuple[events.Action, ...], names: Iterable[str], event: object = "reload"
    ) -> None:
        """Compare what the router did, and what it means to do next, with the second opinion."""
        second = machine.second
        wanted = second.words()
        if actions or wanted:
            done = spoken(actions)
            self.done.update(str(word[0]) for words in done.values() for word in words)
            if done != wanted:
                who = next(name for name in {**done, **wanted} if done.get(name) != wanted.get(name))
                text = f"{machine.name} {who} did {done.get(who)}, should have done {wanted.get(who)} after {event}"
                raise Broken("second", text)
        instances = machine.router._world.instances
        for name in names:
            it, one = instances[name], second.ones[name]
            if actions and shown(it) != one.facts():
                raise Broken("second", f"{machine.name} {name} shows {shown(it)}, should {one.facts()} after {event}")
            if it.timer_us != one.timer_us or it.state is not one.state or it.priority != one.priority:
                found = (it.state.name, it.priority, it.timer_us)
                text = f"is {found}, should be {(one.state.name, one.priority, one.timer_us)} at {self.now_us}"
                raise Broken("second", f"{machine.name} {name} {text} after {event}")

    def _told(self, machine: Machine, notify: events.Notify, actions: tuple[events.Action, ...]) -> None:
        kind, name, state = notify.kind, notify.name, notify.state
        self.transitions += 1
        self.told[f"{kind.value} {state}"] += 1
        if state in VrrpState.__members__ or state == "STOP":
            self._note_coming(machine, name, f"{kind.value} {name}", state)
            machine.told[f"{kind.value} {name}"] = state
        if state == "MASTER" and kind is events.NotifyKind.INSTANCE:
            self._entered(machine, name, actions)

    def _must_yield(self, machine: Machine, event: events.AdvertReceived) -> bool | None:
        """None: it does not lead, or the advert says nothing about who should."""
        name, advert = event.instance, event.advert
        if name not in machine.leading or advert.priority == 0:
            return None
        ours = machine.router._world.instances[name].priority
        return (advert.priority, packed(advert.source)) > (ours, packed(machine.address))

    def _note_heard(self, machine: Machine, event: events.AdvertReceived) -> None:
        """Whether this advert must keep a backup quiet; a resigning master no longer counts."""
        name, advert = event.instance, event.advert
        if name in machine.leading or name not in machine.instances:
            return
        if advert.priority == 0:
            for noted in (machine.heard, machine.came):
                noted.pop(name, None)
            if name in machine.lower:
                # It may lead from now on; one that is held back goes on counting from where it was.
                machine.lower[name] = (-machine.instances[name].preempt_delay_us, 0)
            return
        config = machine.instances[name]
        # status() costs too much here.
        better = advert.priority >= machine.router._world.instances[name].priority
        if better or config.nopreempt:
            machine.heard[name] = (self.now_us, config.down_timer_adverts * advert.interval_us)
        if better:
            machine.lower.pop(name, None)
        elif config.preempt_delay_us:
            machine.lower[name] = (machine.lower.get(name, (self.now_us, 0))[0], self.now_us)

    def _note_coming(self, machine: Machine, name: str, who: str, state: str) -> None:
        if state == "BACKUP" and machine.told.get(who) in {None, "FAULT"}:
            machine.came[name] = self.now_us
        if state in {"BACKUP", "FAULT"}:
            machine.lower.pop(name, None)
        if state == "FAULT":
            machine.heard.pop(name, None)

    def _entered(self, machine: Machine, name: str, actions: tuple[events.Action, ...]) -> None:
        self.entries[machine.number, name] += 1
        said = any(isinstance(action, events.SendAdvert) and action.instance == name for action in actions)
        taken = any(isinstance(action, events.AddAddresses) and action.instance == name for action in actions)
        shown = any(isinstance(action, events.Announce) and action.instance == name for action in actions)
        if not (said and taken and (shown or not machine.instances[name].garp.repeat)):
            raise Broken("entrance", f"{machine.name} {name}: advert {said}, addresses {taken}, announced {shown}")
        at_us, belief_us = machine.heard.pop(name, (0, 0))
        config, alone = machine.instances[name], name not in machine.grouped
        if self.mixed or config.priority == 255 or config.initial_state is VrrpState.MASTER:
            return
        down_us = config.down_timer_adverts * advert_interval_us(config)
        if belief_us and alone and self.now_us - at_us < belief_us:
            raise Broken("patience", f"{machine.name} {name} leads {self.now_us - at_us} µs after a better one spoke")
        first_us, last_us = machine.lower.pop(name, (-config.preempt_delay_us, 0))
        if alone and self.now_us - first_us < config.preempt_delay_us and self.now_us - last_us < down_us:
            raise Broken("patience", f"{machine.name} {name} did not wait for its preempt delay")
        if alone and self.now_us - machine.came.pop(name, -down_us) < down_us:
            raise Broken("patience", f"{machine.name} {name} leads before its first down timer can have run out")

    def _spoke(self, machine: Machine, name: str, priority: int) -> None:
        if priority == 0:
            machine.goodbyes.add(name)
            machine.spoke.pop(name, None)
            return
        before_us = machine.spoke.get(name) if name in machine.leading else None
        if before_us is not None and self.now_us - before_us > advert_interval_us(machine.instances[name]):
            raise Broken("steady", f"{machine.name} {name} was silent for {self.now_us - before_us} µs")
        machine.spoke[name] = self.now_us

    def _look(self, machine: Machine) -> None:
        """Everything that must hold about one machine."""
        states = {item.name: item.state for item in machine.router.status()}
        leading = frozenset(name for name, state in states.items() if state is VrrpState.MASTER)
        if machine.holding != leading and "STOP" not in machine.told.values():
            raise Broken("address", f"{machine.name} holds {sorted(machine.holding)} and leads {sorted(leading)}")
        self._look_at_kernel(machine, leading)
        for name in leading:
            if not machine.links.get(str(machine.instances[name].interface), False):
                raise Broken("fault", f"{machine.name} leads {name} on a dead interface")
        for group in machine.router.group_status():
            if len({states[name] is VrrpState.MASTER for name in group.members}) > 1:
                raise Broken("group", f"{machine.name} {group.name}: {[states[name].name for name in group.members]}")
        for name, state in states.items():
            told = machine.told.get(f"INSTANCE {name}")
            if told is not None and told not in (state.name, "STOP"):
                raise Broken("notify", f"{machine.name} {name} is {state.name}, scripts were told {told}")
        self._lead(machine, leading)
        machine.leading = leading
        machine.known_states = states

    @staticmethod
    def _look_at_kernel(machine: Machine, leading: frozenset[str]) -> None:
        if machine.starting or machine.hands.keeper.unfinished:
            return
        wanted: set[Entry] = set().union(*(machine.entries[name] for name in leading))
        if machine.kernel.table != wanted:
            text = f"{machine.name} leads {sorted(leading)}, the kernel has {sorted(map(str, machine.kernel.table))}"
            raise Broken("kernel", text)

    def _lead(self, machine: Machine, leading: frozenset[str]) -> None:
        now = {machine.instances[name].vrid for name in leading if name in machine.instances}
        for vrid, leaders in self._leaders.items():
            if vrid not in now and machine.number in leaders:
                leaders.discard(machine.number)
                self._rivals = {key: at for key, at in self._rivals.items() if key[0] != vrid or len(leaders) > 1}
        for vrid in now:
            leaders = self._leaders.setdefault(vrid, set())
            leaders.add(machine.number)
            if len(leaders) > 1:
                for other in leaders - {machine.number}:
                    low, high = sorted((other, machine.number))
                    self._rivals.setdefault((vrid, low, high), self.now_us)

    def _watch_rivals(self) -> None:
        for key, since_us in list(self._rivals.items()):
            vrid, *numbers = key
            if not self._leaders[vrid].issuperset(numbers):
                del self._rivals[key]
                continue
            one, other = (self.machines[number] for number in numbers)
            mine, theirs = (next(i for i in m.config.instances if i.vrid == vrid) for m in (one, other))
            ifname = str(mine.interface)
            if (
                self.loss
                or not self.believed
                or not (self.hears(one, other, ifname) and self.hears(other, one, ifname))
            ):
                self._rivals[key] = self.now_us
                continue
            limit_us = max(advert_interval_us(mine), advert_interval_us(theirs)) + 2 * self.slowest_us
            if self.now_us - since_us > limit_us:
                raise Broken("rivals", f"{one.name} and {other.name} lead {vrid} for {self.now_us - since_us} µs")

    def look_at_all(self) -> None:
        for machine in self.machines:
            if machine.alive and not machine.paused:
                self._look(machine)

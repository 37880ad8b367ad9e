"""A cluster of routers in virtual time: one seed decides everything, and every invariant is looked at as it runs.

Each machine is a real `Router` behind a real `Ladder`. Adverts travel as bytes over segments that lose, delay, double,
reorder and divide them, in one direction if need be. A machine may be paused, killed in the middle of what it wanted to
do, stopped, started again, told to reload; its clock may jump. Nothing waits: time goes to the next packet, deadline or
fault, and only what an event touched is looked at again, so that a simulated hour costs a fraction of a second.

What must always hold, and the exception that names what did not:

    address     a machine that is awake holds an instance's addresses exactly while it is MASTER
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

What must hold once everything works again stands in `plan`.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from enum import Enum

from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import VrrpInstance, VrrpState
from pykeepalived.units import SECOND_US
from pykeepalived.vrrp import events, hmac_trailer
from pykeepalived.vrrp.expectation import expectation
from pykeepalived.vrrp.facts import advert_interval_us, instance_family
from pykeepalived.vrrp.router import Router
from tests.simulation.machine import Machine, build, framed, packed

_SCRIPT_US = 20_000
_AGAIN_US = SECOND_US
_QUIET = (events.SendAdvert, events.Log, events.Announce, events.AnnounceSource, events.RunScript)
DELAY_US = (100, 300)


class Broken(AssertionError):
    """An invariant did not hold."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name


class _Due(Enum):
    TICK = 0
    PACKET = 1
    CALL = 2


class World:
    """Machines on one segment for each interface name."""

    def __init__(self, seed: int, configs: list[Config]) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.now_us = 0
        self.loss = self.doubling = 0.0
        self.slowest_us = DELAY_US[1]
        self.believed = True
        """False once a clock was wrong where clocks count: who is heard is then not for the network to say."""
        self.deaf: set[tuple[int, int]] = set()
        """(sender, receiver) pairs that a fault cut."""
        self.story: list[str] = []
        self.events = 0
        self.transitions = 0
        self.entries: Counter[tuple[int, str]] = Counter()
        """How often each machine became MASTER of each instance."""
        self.machines = [Machine(number, config) for number, config in enumerate(configs)]
        self._queue: list[tuple[int, int, _Due, Machine | Callable[[], None], tuple[str, bytes, Machine] | None]] = []
        self._count = 0
        self._leaders: dict[int, set[int]] = {}
        self._rivals: dict[tuple[int, int, int], int] = {}

    # ── what people and faults do ─────────────────────────────────────────────────────────────────────────────────

    def boot(self, machine: Machine) -> None:
        """Start the daemon."""
        if machine.alive:
            return
        machine.fresh()
        machine.alive, machine.paused, machine.crash_in = True, False, None
        for item in machine.config.instances:
            self._feed(machine, events.SourceAddressChanged(item.name, machine.address))
        for ifname, up in machine.links.items():
            self._feed(machine, events.LinkChanged(ifname, up))
        self._feed(machine, events.Start())

    def kill(self, machine: Machine) -> None:
        """The machine is gone without a word, and its addresses with it."""
        machine.alive = False
        machine.holding.clear()
        machine.leading = frozenset()
        self._lead(machine, machine.leading)

    def stop(self, machine: Machine) -> None:
        if machine.alive and not machine.paused:
            leading, machine.goodbyes = machine.leading, set()
            self._feed(machine, events.Stop())
            if machine.alive and machine.goodbyes != leading:
                raise Broken("farewell", f"{machine.name} led {sorted(leading)}, left {sorted(machine.goodbyes)}")
            if machine.alive and machine.holding:
                raise Broken("address", f"{machine.name} stopped and holds {machine.holding}")
            self.kill(machine)

    def pause(self, machine: Machine) -> None:
        if machine.alive:
            machine.paused = True
            self._lead(machine, frozenset())

    def resume(self, machine: Machine) -> None:
        """It reads what its socket holds before its timers go off, as the real loop does."""
        if not machine.paused:
            return
        machine.paused = False
        machine.spoke = dict.fromkeys(machine.spoke, self.now_us)
        self._lead(machine, machine.leading)
        for ifname, up in machine.links.items():
            self._feed(machine, events.LinkChanged(ifname, up))
        while machine.inbox and machine.alive:
            ifname, packet = machine.inbox.popleft()
            self._feed(machine, machine.ladder.ipv4(packet, ifname, wall_us=self._wall_us(machine)))
        self._wake(machine)

    def link(self, machine: Machine, ifname: str, up: bool) -> None:
        machine.links[ifname] = up
        if machine.alive and not machine.paused:
            self._feed(machine, events.LinkChanged(ifname, up))
            if machine.alive:
                self._look(machine)

    def lose_address(self, machine: Machine) -> None:
        if machine.alive and not machine.paused and machine.leading:
            name = self.chance.choice(sorted(machine.leading))
            item = machine.instances[name]
            address = item.addresses[0].prefix.address
            machine.heard.clear()
            machine.came.clear()
            self._feed(machine, events.AddressLost(name, address, str(item.interface)))
            if machine.alive and name in machine.leading:
                raise Broken("address", f"{machine.name} {name} leads without the address that it lost")
            for each in machine.instances:
                machine.came.pop(each, None)

    def reload(self, machine: Machine, config: Config) -> None:
        if not machine.alive or machine.paused:
            return
        same = config == machine.config
        machine.adopt(config)
        machine.ladder.replace([expectation(item) for item in config.instances])
        actions = machine.router.reload(config, self.now_us)
        if same and (loud := [action for action in actions if not isinstance(action, _QUIET)]):
            raise Broken("reload", f"{machine.name} reloaded the same file and did {loud}")
        self._perform(machine, actions)

    def later(self, at_us: int, call: Callable[[], None]) -> None:
        self._push(at_us, _Due.CALL, call, None)

    # ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, until_us: int) -> None:
        """Let time pass."""
        queue = self._queue
        while queue and queue[0][0] <= until_us:
            at_us, _, due, what, packet = heapq.heappop(queue)
            self.now_us = at_us
            if due is _Due.PACKET:
                assert isinstance(what, Machine) and packet is not None
                self._deliver(what, *packet)
            elif due is _Due.TICK:
                assert isinstance(what, Machine)
                self._tick(what, at_us)
            else:
                assert not isinstance(what, Machine)
                what()
            if self._rivals:
                self._watch_rivals()
        self.now_us = until_us

    def in_flight(self) -> bool:
        """Whether a packet is on its way."""
        return any(due is _Due.PACKET for _, _, due, _, _ in self._queue)

    def _push(
        self, at_us: int, due: _Due, what: Machine | Callable[[], None], packet: tuple[str, bytes, Machine] | None
    ) -> None:
        self._count += 1
        heapq.heappush(self._queue, (at_us, self._count, due, what, packet))

    def _wake(self, machine: Machine) -> None:
        wake_us = machine.router.wake_at()
        if wake_us is not None and (machine.tick_us is None or wake_us < machine.tick_us):
            machine.tick_us = max(wake_us, self.now_us)
            self._push(machine.tick_us, _Due.TICK, machine, None)

    def _tick(self, machine: Machine, at_us: int) -> None:
        if machine.tick_us != at_us:
            return
        machine.tick_us = None
        if not machine.alive or machine.paused:
            return
        wake_us = machine.router.wake_at()
        if wake_us is not None and wake_us <= at_us:
            self._feed(machine, events.Tick())
        else:
            self._wake(machine)

    def _wall_us(self, machine: Machine) -> int:
        return machine.clock_us + self.now_us

    # ── packets ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _send(self, sender: Machine, name: str, priority: int) -> None:
        config = sender.instances.get(name)
        if config is None or not sender.links.get(str(config.interface), False):
            return
        key = (name, priority)
        message = sender.messages.get(key)
        if message is None:
            message = sender.messages[key] = build(config, priority, sender.address)
        ifname, packet = (
            str(config.interface),
            framed(message + self._trailer(sender, config, message), sender.address),
        )
        for receiver in self.machines:
            if receiver is sender or not receiver.alive:
                continue
            if self.loss and self.chance.random() < self.loss:
                continue
            for _ in range(2 if self.doubling and self.chance.random() < self.doubling else 1):
                delay_us = self.chance.randint(DELAY_US[0], self.slowest_us)
                self._push(self.now_us + delay_us, _Due.PACKET, receiver, (ifname, packet, sender))

    def _trailer(self, sender: Machine, config: VrrpInstance, message: bytes) -> bytes:
        if config.auth_hmac is None:
            return b""
        sender.stamp = hmac_trailer.next_sequence(sender.stamp, self._wall_us(sender))
        (key,) = config.auth_hmac.keys
        head = hmac_trailer.head(key.id, sender.stamp)
        digest = hmac_trailer.digest(key.value, instance_family(config), packed(sender.address), message, head)
        return head + digest

    def hears(self, receiver: Machine, sender: Machine, ifname: str) -> bool:
        return (
            receiver.alive
            and (sender.number, receiver.number) not in self.deaf
            and sender.links.get(ifname, False)
            and receiver.links.get(ifname, False)
        )

    def _deliver(self, receiver: Machine, ifname: str, packet: bytes, sender: Machine) -> None:
        if not self.hears(receiver, sender, ifname):
            return
        if receiver.paused:
            receiver.inbox.append((ifname, packet))
        else:
            self._feed(receiver, receiver.ladder.ipv4(packet, ifname, wall_us=self._wall_us(receiver)))

    # ── the machine and what is watched ───────────────────────────────────────────────────────────────────────────

    def _feed(self, machine: Machine, event: events.Event) -> None:
        self.events += 1
        must_yield = None
        if isinstance(event, events.AdvertReceived):
            self._note_heard(machine, event)
            must_yield = self._must_yield(machine, event)
        actions = machine.router.handle(event, self.now_us)
        if actions:
            self._perform(machine, actions)
            if must_yield is not None and machine.alive and must_yield is (event.instance in machine.leading):
                raise Broken("yield", f"{machine.name}: yields {not must_yield} to {event.advert}")
        elif machine.tick_us is None:
            self._wake(machine)

    def _perform(self, machine: Machine, actions: tuple[events.Action, ...]) -> None:
        loud = False
        for action in actions:
            if machine.crash_in is not None:
                machine.crash_in -= 1
                if machine.crash_in < 0:
                    self.kill(machine)
                    return
            match action:
                case events.SendAdvert(name, priority):
                    self._spoke(machine, name, priority)
                    self._send(machine, name, priority)
                case events.RunScript(name):
                    status = 1 if name in machine.failing else 0
                    self.later(self.now_us + _SCRIPT_US, self._answer(machine, machine.router, name, status))
                case events.Log() | events.Announce() | events.AnnounceSource():
                    pass
                case events.AddAddresses(name):
                    loud = True
                    machine.holding.add(name)
                case events.RemoveAddresses(name):
                    loud = True
                    machine.holding.discard(name)
                case events.Notify():
                    loud = True
                    self._told(machine, action, actions)
                case _:
                    loud = True
        if loud:
            self._look(machine)
        self._wake(machine)

    def _told(self, machine: Machine, notify: events.Notify, actions: tuple[events.Action, ...]) -> None:
        kind, name, state = notify.kind, notify.name, notify.state
        self.transitions += 1
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
            for noted in (machine.heard, machine.lower, machine.came):
                noted.pop(name, None)
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
        if not (said and taken and shown):
            raise Broken("entrance", f"{machine.name} {name}: advert {said}, addresses {taken}, announced {shown}")
        at_us, belief_us = machine.heard.pop(name, (0, 0))
        config, alone = machine.instances[name], name not in machine.grouped
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

    def _answer(self, machine: Machine, router: Router, script: str, status: int) -> Callable[[], None]:
        def answer() -> None:
            if machine.alive and machine.router is router:
                if machine.paused:
                    self.later(self.now_us + _AGAIN_US, answer)
                else:
                    self._feed(machine, events.ScriptResult(script, status))

        return answer

    def _look(self, machine: Machine) -> None:
        """Everything that must hold about one machine."""
        states = {item.name: item.state for item in machine.router.status()}
        leading = frozenset(name for name, state in states.items() if state is VrrpState.MASTER)
        if machine.holding != leading and "STOP" not in machine.told.values():
            raise Broken("address", f"{machine.name} holds {sorted(machine.holding)} and leads {sorted(leading)}")
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

"""A cluster of routers in virtual time: one seed decides everything, and every invariant is looked at as it runs.

Each machine is a real `Router` behind a real `Ladder`. Adverts travel as bytes over segments that lose, delay, double,
reorder and divide them, in one direction if need be. A machine may be paused, killed in the middle of what it wanted to
do, stopped, started again, told to reload; its clock may jump. Nothing waits: time goes to the next packet, deadline or
fault, and only what an event touched is looked at again, so that a simulated hour costs a fraction of a second.

What must always hold stands in `watch`, what must hold once everything works again in `plan`.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable
from enum import Enum

from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import VrrpInstance, VrrpState
from pykeepalived.units import SECOND_US
from pykeepalived.vrrp import events, hmac_trailer
from pykeepalived.vrrp.expectation import expectation
from pykeepalived.vrrp.facts import instance_family
from pykeepalived.vrrp.router import Router
from tests.simulation.cluster import signs_of
from tests.simulation.machine import Machine, build, framed, packed
from tests.simulation.watch import DELAY_US, Broken, Watch

_SCRIPT_US = 20_000
_AGAIN_US = SECOND_US
_QUIET = (events.SendAdvert, events.Log, events.Announce, events.AnnounceSource, events.RunScript)
_SLOW = (events.AddAddresses, events.RemoveAddresses, events.ReplaceAddresses)


class _Due(Enum):
    TICK = 0
    PACKET = 1
    CALL = 2


class World(Watch):
    """Machines on one segment for each interface name."""

    def __init__(self, seed: int, configs: list[Config]) -> None:
        self.seed = seed
        super().__init__(configs)
        self.chance = random.Random(seed)
        self.doubling = 0.0
        self.story: list[str] = []
        self.events = 0
        self._queue: list[tuple[int, int, _Due, Machine | Callable[[], None], tuple[str, bytes, Machine] | None]] = []
        self._count = 0

    # ── what people and faults do ─────────────────────────────────────────────────────────────────────────────────

    def boot(self, machine: Machine) -> None:
        """Start the daemon."""
        if machine.alive:
            return
        machine.fresh()
        machine.alive, machine.paused, machine.crash_in = True, False, None
        for item in machine.config.instances:
            self._feed(machine, events.SourceAddressChanged(item.name, machine.address))
        self._surround(machine)
        self._feed(machine, events.Start())

    def _surround(self, machine: Machine) -> None:
        """What the edges report before the start."""
        for ifname, up in machine.links.items():
            self._feed(machine, events.LinkChanged(ifname, up))
        for sign, *_ in signs_of(machine.config, well=True):
            self._feed(machine, sign)

    def die(self, machine: Machine) -> None:
        """The VRRP process is killed, and the parent lives: addresses stay, and what was told counts."""
        machine.states = {item.name: item.state for item in machine.router.status()}
        machine.scripts = {item.name: item.up for item in machine.router.script_status() if item.up is not None}
        machine.alive = False
        machine.leading = frozenset()
        self._lead(machine, machine.leading)

    def succeed(self, machine: Machine) -> None:
        """Another process goes on."""
        if machine.alive:
            return
        told, holding = machine.told, machine.holding
        machine.fresh()
        machine.told, machine.holding = told, holding
        machine.alive, machine.paused, machine.crash_in = True, False, None
        for item in machine.config.instances:
            self._feed(machine, events.SourceAddressChanged(item.name, machine.address))
        self._surround(machine)
        self._feed(machine, events.Start(states=machine.states, scripts=machine.scripts))
        self.done["resumed"] += any(item.state is VrrpState.MASTER for item in machine.router.status())

    def tell(self, machine: Machine, event: events.Event) -> None:
        """Something that the edges report; nobody hears it while the process is away or paused."""
        if machine.alive and not machine.paused:
            self._feed(machine, event)

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
        for item in config.instances:
            if item.name not in machine.instances:
                self._feed(machine, events.SourceAddressChanged(item.name, machine.address))
        machine.adopt(config)
        machine.ladder.replace([expectation(item) for item in config.instances])
        machine.second.reload(config, self.now_us)
        actions = machine.router.reload(config, self.now_us)
        self._agree(machine, actions, machine.second.ones)
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
        window_s = hmac_trailer.time_window_s(config, config.auth_hmac)
        sender.stamp = hmac_trailer.next_sequence(sender.stamp, self._wall_us(sender), window_s)
        (key,) = config.auth_hmac.keys
        head = hmac_trailer.head(key.id, sender.stamp)
        digest = hmac_trailer.digest(key.value, instance_family(config), packed(sender.address), message, head)
        return head + digest

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
        second = machine.second
        if isinstance(event, events.AdvertReceived):
            self._note_heard(machine, event)
            must_yield = self._must_yield(machine, event)
            second.hear(event.instance, event.advert, packed(event.advert.source), self.now_us)
            concerned: Iterable[str] = (event.instance,)
        elif isinstance(event, events.Tick):
            second.tick(self.now_us)
            concerned, second.moved = second.moved, set()
        else:
            second.take(event, self.now_us)
            concerned = second.ones
        actions = machine.router.handle(event, self.now_us)
        self._agree(machine, actions, second.ones if actions else concerned, event)
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
            if machine.slow_us and not machine.paused and any(isinstance(action, _SLOW) for action in actions):
                self.pause(machine)
                self.later(self.now_us + machine.slow_us, lambda: self.resume(machine))
        self._wake(machine)

    def _answer(self, machine: Machine, router: Router, script: str, status: int) -> Callable[[], None]:
        def answer() -> None:
            if machine.alive and machine.router is router:
                if machine.paused:
                    self.later(self.now_us + _AGAIN_US, answer)
                else:
                    self._feed(machine, events.ScriptResult(script, status))

        return answer

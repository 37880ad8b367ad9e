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
from tests.simulation.hands import Hands, placed
from tests.simulation.machine import Machine, build, destination, framed, packed
from tests.simulation.thought import leads_at_once
from tests.simulation.watch import DELAY_US, Broken, Watch

_SCRIPT_US = 20_000
_AGAIN_US = SECOND_US
_SUCCESSOR_US = 50_000
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
        if machine.process_died:
            self.succeed(machine)
            return
        machine.fresh()
        machine.hands = Hands(machine.kernel, None, self._in)
        machine.alive, machine.paused, machine.crash_in = True, False, None
        for item in machine.config.instances:
            self._feed(machine, events.SourceAddressChanged(item.name, machine.address))
        self._surround(machine)
        self._feed(machine, events.Start())

    def _in(self, delay_us: int, call: Callable[[], None]) -> None:
        self.later(self.now_us + delay_us, call)

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
        machine.alive = machine.hands.alive = False
        machine.process_died = True
        machine.leading = frozenset()
        self._lead(machine, machine.leading)

    def succeed(self, machine: Machine) -> None:
        """Another process goes on."""
        if machine.alive or not machine.process_died:
            return
        machine.process_died = False
        told = machine.told
        machine.fresh()
        silent = {f"INSTANCE {item.name}" for item in machine.config.instances if leads_at_once(item)}
        machine.told = {who: state for who, state in told.items() if who not in silent}
        machine.hands = Hands(machine.kernel, machine.hands, self._in)
        machine.alive, machine.paused, machine.crash_in = True, False, None
        machine.starting = True
        for item in machine.config.instances:
            self._feed(machine, events.SourceAddressChanged(item.name, machine.address))
        self._surround(machine)
        self._feed(machine, events.Start(states=machine.states, scripts=machine.scripts))
        machine.starting = False
        if machine.alive:
            machine.hands.take_away_left()
            self._look(machine)
        self.done["resumed"] += any(item.state is VrrpState.MASTER for item in machine.router.status())

    def tell(self, machine: Machine, event: events.Event) -> None:
        """Something that the edges report; nobody hears it while the process is away or paused."""
        if machine.alive and not machine.paused:
            self._feed(machine, event)

    def kill(self, machine: Machine) -> None:
        """The machine is gone without a word, and its addresses with it."""
        machine.alive = machine.hands.alive = machine.process_died = False
        machine.holding.clear()
        machine.kernel.table.clear()
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
            machine.hands.retries.finish()
            if machine.alive and machine.kernel.table and not machine.kernel.trouble:
                raise Broken("kernel", f"{machine.name} stopped and left {machine.kernel.table}")
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
            self._feed(machine, machine.read(packet, ifname, self._wall_us(machine)))
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
            machine.kernel.table.discard(placed(item)[0].entry)
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
        ifname = str(config.interface)
        trailer: bytes | None = None
        for receiver in self.machines:
            if receiver is sender or not receiver.alive:
                continue
            if self.loss and self.chance.random() < self.loss:
                continue
            to = destination(config, sender.address, receiver.address)
            message = sender.messages.get((name, priority, to))
            if message is None:
                message = sender.messages[name, priority, to] = build(config, priority, sender.address, to)
            if trailer is None:
                trailer = self._trailer(sender, config, message)
            packet = framed(message + trailer, sender.address, to)
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
            self._feed(receiver, receiver.read(packet, ifname, self._wall_us(receiver)))

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
        """In the order of `runtime.vrrp_performer`: adverts, one batch of addresses, everything else."""
        changes = [action for action in actions if isinstance(action, _SLOW)]
        others = [action for action in actions if not isinstance(action, (events.SendAdvert, *_SLOW))]
        loud = any(not isinstance(action, _QUIET) for action in actions)
        for action in (each for each in actions if isinstance(each, events.SendAdvert)):
            if self._struck(machine, quiet=not loud):
                return
            self._spoke(machine, action.instance, action.priority)
            self._send(machine, action.instance, action.priority)
        for action in changes:
            if self._struck(machine):
                return
            self._hold(machine, action)
        if changes:
            machine.hands.keeper.flush()
        # From here on a successor begins anew, because nobody knows which scripts were told.
        machine.between = {action.name for action in others if isinstance(action, events.Notify)}
        for action in others:
            if self._struck(machine, quiet=not loud):
                return
            if isinstance(action, events.Notify):
                self._told(machine, action, actions)
            elif isinstance(action, events.RunScript):
                status = 1 if action.script in machine.failing else 0
                self.later(self.now_us + _SCRIPT_US, self._answer(machine, machine.router, action.script, status))
        if loud:
            self._look(machine)
            machine.between.clear()
            if self._struck(machine):
                return
            if machine.slow_us and not machine.paused and changes:
                self.pause(machine)
                self.later(self.now_us + machine.slow_us, lambda: self.resume(machine))
        self._wake(machine)

    @staticmethod
    def _hold(machine: Machine, action: events.Action) -> None:
        keeper = machine.hands.keeper
        match action:
            case events.AddAddresses(name):
                machine.holding.add(name)
                keeper.add(name, placed(machine.instances[name]))
            case events.RemoveAddresses(name):
                machine.holding.discard(name)
                keeper.remove(name)
            case events.ReplaceAddresses(name, removed, added):
                keeper.remove(name, placed(machine.instances[name], removed))
                keeper.add(name, placed(machine.instances[name], added))

    def _struck(self, machine: Machine, *, quiet: bool = False) -> bool:
        """Whether the moment has come at which a fault kills the machine, or only its VRRP process."""
        if machine.moments is not None:
            if len(machine.moments) == machine.dies_at:
                machine.dies_at, machine.crash_in = None, 0
            machine.moments.append(quiet)
        if machine.crash_in is None:
            return False
        machine.crash_in -= 1
        if machine.crash_in >= 0:
            return False
        machine.crash_in = None
        if not machine.only_process:
            self.kill(machine)
            return True
        states, unsure = machine.known_states, machine.between
        self.die(machine)
        # The parent knows what it was told after the batch before this one.
        machine.states = {name: state for name, state in states.items() if name in machine.instances}
        machine.states = {name: state for name, state in machine.states.items() if name not in unsure}
        self.later(self.now_us + _SUCCESSOR_US, lambda: self.succeed(machine))
        return True

    def _answer(self, machine: Machine, router: Router, script: str, status: int) -> Callable[[], None]:
        def answer() -> None:
            if machine.alive and machine.router is router:
                if machine.paused:
                    self.later(self.now_us + _AGAIN_US, answer)
                else:
                    self._feed(machine, events.ScriptResult(script, status))

        return answer

"""BFD sessions in virtual time: pairs of machines, a bad network between them, and each session thought a second time.

What must always hold:

    second      the state, what trackers are told and each packet are what `neighbor` thinks
    pace        the next packet is planned between 75 and 90 per cent of the interval from now, or was planned earlier
    silence     nobody is Up, or Init, longer than the detection time after the last packet
    storm       a session sends no more packets in a second than its timer, ten changes and the polls that it heard
    order       trackers hear of Up and of down in turn
    refusal     what is not for a session, or not to be believed, changes nothing and is counted by its name
    farewell    a session that is taken out of the file says AdminDown until the neighbour must have noticed, and ends

and once everything works again: every session is Up within a few seconds, and stays so.
"""

from __future__ import annotations

import heapq
import random
import struct
from collections import Counter
from collections.abc import Callable

import msgspec

from pykeepalived.bfd.events import Action, Changed, Close, Open, Received, Send, Tick
from pykeepalived.bfd.packet import Control, State
from pykeepalived.bfd.sessions import Sessions
from pykeepalived.model.bfd import BfdInstance
from pykeepalived.units import MILLISECOND_US, SECOND_US
from tests.simulation.junk import encode, junk
from tests.simulation.neighbor import Neighbor
from tests.simulation.watch import Broken

FAULT_KINDS = ("admin", "cut", "doubling", "junk", "kill", "loss", "one-way", "pause", "reload", "slow")

#: No instant of an honest life has so many events.
_AT_ONCE = 10_000


class Node:
    """One machine with its sessions, and what they must be."""

    def __init__(self, number: int, configs: tuple[BfdInstance, ...]) -> None:
        self.number = number
        self.configs = configs
        self.alive = False
        self.paused = False
        self.inbox: list[Received] = []
        self.wake_us: int | None = None
        self.core = Sessions(random.random)
        self.boot()

    def boot(self) -> None:
        self.second: dict[int, Neighbor] = {}
        """By discriminator."""
        self.names: dict[str, int] = {}
        """The discriminators of those in the file."""
        self.told: dict[str, bool] = {}
        self.inbox.clear()
        self.wake_us = None


class SessionTrial:
    """One seed: two machines with up to three sessions, suffered, healed and judged."""

    def __init__(self, seed: int, suffering_s: int | None = None) -> None:
        self.chance = random.Random(f"sessions {seed}")
        self.suffering_s = suffering_s or self.chance.choice((60, 300))
        self.count = self.chance.randint(1, 3)
        self.now_us = 0
        self.events = 0
        self.done: Counter[str] = Counter()
        self.story: list[str] = []
        self.loss = self.doubling = 0.0
        self.slowest_us = 300
        self.deaf: set[int] = set()
        self.nodes = [Node(number, self._configs(number)) for number in (0, 1)]
        self.world = self
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0

    def _configs(self, number: int) -> tuple[BfdInstance, ...]:
        return tuple(self._config(number, item) for item in range(self.count))

    def _config(self, number: int, item: int) -> BfdInstance:
        chance = self.chance
        return BfdInstance(
            name=f"s{item}",
            neighbor=f"10.0.{item}.{2 - number}",
            source=f"10.0.{item}.{number + 1}",
            min_tx_us=chance.choice((10, 50, 300)) * MILLISECOND_US,
            min_rx_us=chance.choice((10, 50, 300)) * MILLISECOND_US,
            idle_tx_us=chance.choice((1, 2)) * SECOND_US,
            multiplier=chance.choice((1, 3, 5)),
            passive=number == 1 and chance.random() < 0.3,
            multihop=item == 2,
            max_hops=None if item else 0,
        )

    def summary(self) -> str:
        return f"{self.count} sessions, {self.suffering_s} s of faults"

    def later(self, delay_us: int, call: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._queue, (self.now_us + delay_us, self._number, call))

    def until(self, end_us: int) -> None:
        same = 0
        while self._queue and self._queue[0][0] <= end_us:
            before_us = self.now_us
            self.now_us, _, call = heapq.heappop(self._queue)
            same = same + 1 if self.now_us == before_us else 0
            if same > _AT_ONCE:
                raise Broken("stuck", f"{same} calls at {self.now_us}, and there is no end")
            call()
        self.now_us = end_us

    def run(self) -> SessionTrial:
        """Raise `Broken` when something does not hold."""
        for node in self.nodes:
            self._boot(node)
        for _ in range(self.suffering_s // 3):
            self.later(self.chance.randint(0, self.suffering_s * SECOND_US), self._fault)
        self.until(self.suffering_s * SECOND_US)
        self.until(self.now_us + 40 * SECOND_US)  # the faults end by themselves
        for node in self.nodes:
            self._boot(node)
            self._configure(node, node.configs)
        self.until(self.now_us + 10 * SECOND_US)
        self._judge()
        before = [session.last_change_us for node in self.nodes for session in node.core.status()]
        self.until(self.now_us + 20 * SECOND_US)
        if before != [session.last_change_us for node in self.nodes for session in node.core.status()]:
            raise Broken("rest", "a session changed though nothing happened")
        self._judge()
        return self

    def _judge(self) -> None:
        for node in self.nodes:
            for status in node.core.status():
                if status.state is not State.UP or not node.core.states()[status.config.name]:
                    raise Broken("liveness", f"{node.number} {status.config.name} is {status.state.name}")
                if status.polling:
                    raise Broken("liveness", f"{node.number} {status.config.name} still polls")

    def _boot(self, node: Node) -> None:
        if not node.alive:
            node.alive, node.paused = True, False
            node.core = Sessions(self.chance.random)
            node.boot()
            self._configure(node, node.configs)

    def _configure(self, node: Node, configs: tuple[BfdInstance, ...]) -> None:
        if not node.alive or node.paused:
            return
        wanted = {config.name: config for config in configs}
        for name, number in list(node.names.items()):
            if name in wanted:
                node.second[number].adapt(wanted[name])
            else:
                node.second[node.names.pop(name)].leave(self.now_us)
        actions = node.core.configure(configs, self.now_us)
        for action in actions:
            if isinstance(action, Open):
                node.second[action.session] = Neighbor(action.config, action.session)
                node.names[action.config.name] = action.session
                node.told[action.config.name] = False
                if not 0 < action.session < 2**32:
                    raise Broken("second", f"discriminator {action.session}")
        if set(node.names) != set(wanted):
            raise Broken("second", f"{set(node.names)} are there, {set(wanted)} are wanted")
        self._do(node, actions, None)

    def _tick(self, node: Node, at_us: int) -> None:
        if node.alive and not node.paused and node.wake_us == at_us:
            node.wake_us = None
            wake_us = node.core.wake_at()
            if wake_us is None or wake_us > self.now_us:
                self._plan(node)
                return
            self.events += 1
            for one in node.second.values():
                one.tick(self.now_us)
            self._do(node, node.core.handle(Tick(), self.now_us), "tick")

    def _take(self, node: Node, event: Received) -> None:
        if not node.alive:
            return
        if node.paused:
            node.inbox.append(event)
            return
        self.events += 1
        before = dict(node.core.refused)
        control = self._for_whom(node, event)
        self._do(node, node.core.handle(event, self.now_us), control)
        new = {name: count - before.get(name, 0) for name, count in node.core.refused.items()}
        refused = [name for name, count in new.items() if count]
        if (control is None) is not bool(refused):
            raise Broken("refusal", f"{event} was refused as {refused}")

    def _for_whom(self, node: Node, event: Received) -> str | None:
        """Who must hear it; None: nobody may."""
        state, flags = State(event.data[1] >> 6), event.data[1]
        multiplier, length, mine, yours, tx_us, rx_us = struct.unpack_from("!BBIIII", event.data, 2)
        if event.data[0] >> 5 != 1 or length != 24 or not multiplier or not mine or flags & 0x05:
            return None
        if not yours and state in (State.INIT, State.UP):
            return None
        places = {
            (one.config.neighbor, one.config.multihop): number
            for number, one in node.second.items()
            if number in node.names.values()
        }
        one = node.second.get(yours or places.get((event.source, event.multihop), 0))
        if one is None or one.state is State.ADMIN_DOWN or one.config.multihop is not event.multihop:
            return None
        if event.ttl < (0 if one.config.multihop else 255):
            return None
        heard = Control(
            state=state,
            poll=bool(flags & 0x20),
            final=bool(flags & 0x10),
            demand=bool(flags & 0x02),
            multiplier=multiplier,
            my_discriminator=mine,
            your_discriminator=yours,
            min_tx_us=tx_us,
            min_rx_us=rx_us,
        )
        one.hear(heard, self.now_us)
        return "packet"

    def _do(self, node: Node, actions: tuple[Action, ...], cause: str | None) -> None:
        sent: dict[int, list[Control]] = {}
        for action in actions:
            self.done[type(action).__name__] += 1
            match action:
                case Send(number, control):
                    sent.setdefault(number, []).append(control)
                    self._send(node, node.second[number].config, control)
                case Changed(name, up):
                    one = node.second.get(node.names.get(name, -1)) or next(
                        each for each in node.second.values() if each.tells and each.config.name == name
                    )
                    if not one.tells or one.tells.pop(0) is not up or node.told.get(name, False) is up:
                        raise Broken("order", f"{node.number} {name} tells {up}")
                    node.told[name] = up
                case Close(number):
                    one = node.second.pop(number)
                    if one.gone_us is None or self.now_us < one.gone_us:
                        raise Broken("farewell", f"{node.number} {one.config.name} is closed too early")
        self._agree(node, sent, cause)
        self._plan(node)

    def _agree(self, node: Node, sent: dict[int, list[Control]], cause: str | None) -> None:
        for number, one in node.second.items():
            session = node.core._by_discriminator[number]
            if one.tells:
                raise Broken("order", f"{node.number} {one.config.name} told nobody of {one.tells}")
            wanted, one.sends = one.sends, []
            found = sent.get(number, [])
            if cause == "tick" and len(found) == len(wanted) + 1:
                # A packet whose time had come: it is the last.
                wanted.append(False)
            if one.too_many(found, self.now_us):
                raise Broken("storm", f"{node.number} {one.config.name} sent {one.sent} packets in a second")
            if [packet.final for packet in found] != wanted:
                raise Broken("second", f"{node.number} {one.config.name} sent {found} after {cause}, not {wanted}")
            if found and found[-1] != one.packet(final=wanted[-1]):
                raise Broken(
                    "second", f"{node.number} {one.config.name} sent {found[-1]}, not {one.packet(final=False)}"
                )
            mine = (session.state, session.expires_us, session.detection_time_us, session.tx_interval_us)
            if mine != (one.state, one.silent_us, one.patience_us, one.interval_us):
                text = f"{one.state, one.silent_us, one.patience_us, one.interval_us}"
                raise Broken("second", f"{node.number} {one.config.name} is {mine}, should be {text} after {cause}")
            self._pace(session.next_send_us, one, f"{node.number} {one.config.name}")
            late = one.silent_us is None or one.silent_us <= self.now_us
            if cause == "tick" and late and one.state in (State.INIT, State.UP):
                raise Broken("silence", f"{node.number} {one.config.name} is {one.state.name} since {one.silent_us}")
            if cause == "tick" and one.gone_us is not None and self.now_us > one.gone_us:
                raise Broken("farewell", f"{node.number} {one.config.name} outlives its farewell")

    def _pace(self, next_us: int | None, one: Neighbor, who: str) -> None:
        before_us, one.planned_us = one.planned_us, next_us
        if not one.speaks():
            return
        if next_us is None:
            raise Broken("pace", f"{who} plans nothing")
        if next_us != before_us and next_us > self.now_us:
            least, most = (self.now_us + one.interval_us * part // 100 for part in (75, 90))
            if not least - 1 <= next_us <= most + 1:
                raise Broken("pace", f"{who} sends in {next_us - self.now_us} of {one.interval_us}")
        if next_us > self.now_us + one.interval_us:
            raise Broken("pace", f"{who} sends only in {next_us - self.now_us} of {one.interval_us}")

    def _plan(self, node: Node) -> None:
        wake_us = node.core.wake_at()
        if wake_us is not None and (node.wake_us is None or wake_us < node.wake_us):
            at_us = node.wake_us = max(wake_us, self.now_us)
            self.later(at_us - self.now_us, lambda: self._tick(node, at_us))

    def _send(self, node: Node, config: BfdInstance, control: Control) -> None:
        other = self.nodes[1 - node.number]
        if node.number in self.deaf or self.chance.random() < self.loss:
            return
        for _ in range(2 if self.chance.random() < self.doubling else 1):
            event = Received(encode(control), str(config.source), 64 if config.multihop else 255, config.multihop)
            self.later(self.chance.randint(100, self.slowest_us), lambda event=event: self._take(other, event))

    def _fault(self) -> None:
        chance = self.chance
        node, kind = chance.choice(self.nodes), chance.choice(FAULT_KINDS)
        self.done[f"fault {kind}"] += 1
        lasts_us = int(chance.choice((0.02, 0.5, 5, 20)) * SECOND_US * chance.random())
        self.story.append(f"{self.now_us / SECOND_US:.3f} {kind} {node.number} for {lasts_us / SECOND_US:.3f}")
        undo = {
            "kill": self._kill,
            "pause": self._pause,
            "cut": lambda _: self._cut({0, 1}),
            "one-way": lambda which: self._cut({which.number}),
            "loss": lambda _: self._noise("loss", chance.uniform(0.1, 0.9), 0.0),
            "doubling": lambda _: self._noise("doubling", 0.5, 0.0),
            "slow": lambda _: self._noise("slowest_us", 80_000, 300),
            "reload": self._reload,
            "admin": self._admin,
            "junk": self._junk,
        }[kind](node)
        self.later(lasts_us, undo)

    def _kill(self, node: Node) -> Callable[[], None]:
        node.alive = False
        return lambda: self._boot(node)

    def _pause(self, node: Node) -> Callable[[], None]:
        node.paused = True

        def resume() -> None:
            node.paused, node.wake_us = False, None
            inbox, node.inbox = node.inbox, []
            for event in inbox:
                self._take(node, event)
            if node.alive:
                self._plan(node)

        return resume

    def _cut(self, numbers: set[int]) -> Callable[[], None]:
        self.deaf |= numbers
        return lambda: self.deaf.difference_update(numbers)

    def _noise(self, word: str, value: float, normal: float) -> Callable[[], None]:
        setattr(self, word, value)
        return lambda: setattr(self, word, normal)

    def _reload(self, node: Node) -> Callable[[], None]:
        """Other intervals and multipliers for the same sessions."""
        others = tuple(
            msgspec.structs.replace(
                self._config(node.number, item), idle_tx_us=config.idle_tx_us, passive=config.passive
            )
            for item, config in enumerate(node.configs)
        )
        self._configure(node, others)
        return lambda: self._configure(node, node.configs)

    def _admin(self, node: Node) -> Callable[[], None]:
        """A session is taken out of the file, and comes back."""
        self._configure(node, node.configs[1:])
        return lambda: self._configure(node, node.configs)

    def _junk(self, node: Node) -> Callable[[], None]:
        """What strangers and broken neighbours send: nothing of it may be believed."""
        chance = self.chance
        config = chance.choice(node.configs)
        number = node.names.get(config.name, 1) if node.alive else 1
        packet, ttl, multihop = junk(chance, number, multihop=config.multihop)
        self._take(node, Received(packet, config.neighbor, ttl, multihop))
        return lambda: None

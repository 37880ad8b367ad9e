"""All sessions of one process: which packet belongs to which, when each is due, and the way to another file."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

from pykeepalived.bfd.events import Action, Close, Event, Log, Open, Received, SessionStatus
from pykeepalived.bfd.packet import Control, Refusal, State, decode
from pykeepalived.bfd.session import Session
from pykeepalived.model.bfd import BfdInstance
from pykeepalived.units import SECOND_US

_DISCRIMINATORS = 2**32 - 1
_LINES_PER_S = 5


class Sessions:
    """`handle(event, now_us)` returns actions in their order; `wake_at()` is the instant for `Tick`.

    `draw` gives random numbers in [0, 1): discriminators that nobody guesses, and the jitter of the packets.
    """

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._by_name: dict[str, Session] = {}
        self._by_neighbor: dict[tuple[str, bool], Session] = {}
        self._by_discriminator: dict[int, Session] = {}
        """Those that leave stand here only."""
        self._heap: list[tuple[int, int, Session]] = []
        self._pushed = 0
        self._lines_second = -1
        self._lines = 0
        self.refused: dict[str, int] = {}
        """Packets that were not used, by `Refusal` value."""

    # ---- configuration ----

    def configure(self, configs: Iterable[BfdInstance], now_us: int) -> tuple[Action, ...]:
        """Have these sessions. One whose addresses are the same keeps its state; one that is gone says AdminDown."""
        wanted = {item.name: item for item in configs}
        actions: list[Action] = []
        for name, session in list(self._by_name.items()):
            config = wanted.get(name)
            if config is None or _identity(config) != _identity(session.config):
                del self._by_name[name]
                self._by_neighbor.pop(_place(session.config), None)
                actions += session.leave(now_us)
                self._schedule(session)
        for name, config in wanted.items():
            known = self._by_name.get(name)
            if known is None:
                session = Session(config, self._discriminator(), now_us, self._draw)
                self._by_name[name] = session
                self._by_discriminator[session.discriminator] = session
                actions.append(Open(session.discriminator, config))
            else:
                known.adapt(config, now_us)
                session = known
            self._by_neighbor[_place(config)] = session
            self._schedule(session)
        self._by_name = {name: self._by_name[name] for name in wanted}
        return tuple(actions)

    def _discriminator(self) -> int:
        number = 1 + int(self._draw() * _DISCRIMINATORS)
        while number in self._by_discriminator or not 0 < number <= _DISCRIMINATORS:
            number = number % _DISCRIMINATORS + 1
        return number

    # ---- what happens ----

    def handle(self, event: Event, now_us: int) -> tuple[Action, ...]:
        """Take one event. Never raises, whatever a packet holds."""
        if isinstance(event, Received):
            return self._receive(event, now_us)
        return self._tick(now_us)

    def wake_at(self) -> int | None:
        while self._heap:
            at_us, _, session = self._heap[0]
            if session.queued_us == at_us and session.deadline_us() == at_us:
                return at_us
            heapq.heappop(self._heap)
            if session.queued_us == at_us:
                session.queued_us = None
                self._schedule(session)
        return None

    def _schedule(self, session: Session) -> None:
        at_us = session.deadline_us()
        if session.discriminator not in self._by_discriminator:
            return
        if at_us is not None and (session.queued_us is None or at_us < session.queued_us):
            session.queued_us = at_us
            self._pushed += 1
            heapq.heappush(self._heap, (at_us, self._pushed, session))

    def _tick(self, now_us: int) -> tuple[Action, ...]:
        actions: list[Action] = []
        due: list[Session] = []
        while (at_us := self.wake_at()) is not None and at_us <= now_us:
            session = heapq.heappop(self._heap)[2]
            session.queued_us = None
            due.append(session)
        for session in due:
            if session.leaves_us is not None and now_us >= session.leaves_us:
                del self._by_discriminator[session.discriminator]
                actions.append(Close(session.discriminator))
                continue
            actions += session.expire(now_us)
            self._schedule(session)
        return tuple(actions)

    def _receive(self, event: Received, now_us: int) -> tuple[Action, ...]:
        control = decode(event.data)
        if isinstance(control, Refusal):
            return self._refuse(control, event, now_us)
        session = self._find(control, event)
        if isinstance(session, Refusal):
            return self._refuse(session, event, now_us)
        refusal = _refused_by(session, control, event)
        if refusal is not None:
            return self._refuse(refusal, event, now_us)
        actions = session.receive(control, now_us)
        self._schedule(session)
        return tuple(actions)

    def _find(self, control: Control, event: Received) -> Session | Refusal:
        """Section 6.3 of RFC 5880: by discriminator, in a first packet by the neighbour's address."""
        if control.your_discriminator:
            return self._by_discriminator.get(control.your_discriminator) or Refusal.UNKNOWN_SESSION
        return self._by_neighbor.get((event.source, event.multihop)) or Refusal.UNKNOWN_NEIGHBOR

    def _refuse(self, refusal: Refusal, event: Received, now_us: int) -> tuple[Action, ...]:
        self.refused[refusal.value] = self.refused.get(refusal.value, 0) + 1
        second = now_us // SECOND_US
        if second != self._lines_second:
            self._lines_second, self._lines = second, 0
        self._lines += 1
        if self._lines > _LINES_PER_S:
            return ()
        if refusal is Refusal.TTL:
            # The one that a configuration can be the reason of.
            return (Log(f"Packet from {event.source} refused: TTL {event.ttl} is too low, see max_hops"),)
        return (Log(f"Packet from {event.source} refused: {refusal.value}", detail=True),)

    # ---- what it looks like ----

    def status(self) -> tuple[SessionStatus, ...]:
        """All sessions in file order."""
        return tuple(session.status() for session in self._by_name.values())

    def states(self) -> dict[str, bool]:
        """What trackers go by: Up, or down on purpose of the neighbour after it was Up."""
        return {name: session.told_up for name, session in self._by_name.items()}


def _refused_by(session: Session, control: Control, event: Received) -> Refusal | None:
    """The rungs that need the session."""
    if session.config.multihop is not event.multihop:
        return Refusal.WRONG_PORT
    if event.ttl < session.config.least_ttl:
        return Refusal.TTL
    if control.authenticated:
        return Refusal.AUTHENTICATED
    if session.state is State.ADMIN_DOWN:
        return Refusal.ADMIN_DOWN
    return None


def _place(config: BfdInstance) -> tuple[str, bool]:
    return config.neighbor, config.multihop


def _identity(config: BfdInstance) -> tuple[object, ...]:
    """What makes a session another one, with another socket."""
    return config.neighbor, config.source, config.multihop, config.sent_ttl

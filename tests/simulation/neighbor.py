"""One BFD session, thought a second time from RFC 5880 sections 6.2, 6.5 and 6.8, for the simulator.

It takes the packets and the passing of time that the session takes, and says in which state it must be, what it tells
trackers, what stands in each packet, and between which instants it must send next.
"""

from __future__ import annotations

from pykeepalived.bfd.packet import Control, State
from pykeepalived.model.bfd import BfdInstance
from pykeepalived.units import SECOND_US

_UP, _INIT, _DOWN, _ADMIN = State.UP, State.INIT, State.DOWN, State.ADMIN_DOWN
_EXPIRED, _BY_NEIGHBOR, _BY_ADMIN = 1, 3, 7


class Neighbor:
    """What the session with one neighbour must be."""

    def __init__(self, config: BfdInstance, number: int) -> None:
        self.config = config
        self.number = number
        self.state = _DOWN
        self.why = 0
        self.theirs = 0
        self.their_state = _DOWN
        self.their_tx_us, self.their_rx_us, self.their_multiplier = 0, 1, 0
        self.their_demand = False
        self.asks = False
        self.tx_us, self.rx_us = config.idle_tx_us, config.min_rx_us
        """What we announce."""
        self.real_tx_us, self.real_rx_us = self.tx_us, self.rx_us
        """What we keep to until the neighbour has confirmed it."""
        self.silent_us: int | None = None
        self.gone_us: int | None = None
        self.up = False
        self.second_us = self.sent = 0
        self.hurries: list[int] = []
        self.sends: list[bool] = []
        """The packets of this event: whether each is a final."""
        self.tells: list[bool] = []
        self.planned_us: int | None = None

    @property
    def interval_us(self) -> int:
        return max(self.real_tx_us, self.their_rx_us)

    @property
    def patience_us(self) -> int:
        return self.their_multiplier * max(self.real_rx_us, self.their_tx_us)

    def speaks(self) -> bool:
        if self.their_rx_us == 0 or (self.config.passive and not self.theirs):
            return False
        return self.asks or not (self.their_demand and self.state is _UP and self.their_state is _UP)

    def hear(self, packet: Control, now_us: int) -> None:
        self.theirs, self.their_state, self.their_demand = packet.my_discriminator, packet.state, packet.demand
        self.their_tx_us, self.their_rx_us = packet.min_tx_us, packet.min_rx_us
        self.their_multiplier = packet.multiplier
        if packet.final and self.asks:
            self.asks, self.real_tx_us, self.real_rx_us = False, self.tx_us, self.rx_us
        match self.state, packet.state:
            case ((State.INIT | State.UP), State.ADMIN_DOWN):
                self._turn(_DOWN, _BY_NEIGHBOR, now_us)
            case State.DOWN, State.DOWN:
                self._turn(_INIT, self.why, now_us)
            case (State.DOWN, State.INIT) | (State.INIT, State.INIT | State.UP):
                self._turn(_UP, 0, now_us)
            case State.UP, State.DOWN:
                self._turn(_DOWN, _BY_NEIGHBOR, now_us)
        self.silent_us = now_us + self.patience_us
        if packet.poll:
            self.sends.append(True)

    def tick(self, now_us: int) -> None:
        """Only what silence does; its own packets are the session's to time."""
        if self.silent_us is not None and self.silent_us <= now_us:
            self.silent_us, self.theirs, self.their_state, self.asks = None, 0, _DOWN, False
            if self.state in (_INIT, _UP):
                self._turn(_DOWN, _EXPIRED, now_us)

    def _turn(self, state: State, why: int, now_us: int) -> None:
        before, self.state, self.why = self.state, state, why
        if state is _UP:
            self.wish(self.config.min_tx_us, self.rx_us)
        elif before is _UP:
            self.wish(self.config.idle_tx_us, self.rx_us)
        # A neighbour that is taken down on purpose has not failed.
        says = state is _UP or (before is _UP and self.their_state is not _ADMIN)
        if says and self.up is not (state is _UP):
            self.up = state is _UP
            self.tells.append(self.up)
        if not self.speaks():
            return
        # Ten changes in a second are sent at once.
        self.hurries = [at_us for at_us in self.hurries if self.hurries[0] + SECOND_US > now_us]
        self.hurries.append(now_us)
        if len(self.hurries) <= 10:
            self.sends.append(False)

    def too_many(self, found: list[Control], now_us: int) -> bool:
        """Whether it has sent more in this second than anything asked for; finals answer polls one by one."""
        if now_us >= self.second_us + SECOND_US:
            self.second_us, self.sent = now_us, 0
        self.sent += sum(not packet.final for packet in found)
        return self.sent > SECOND_US // (10_000 * 3 // 4) + 13

    def wish(self, tx_us: int, rx_us: int) -> None:
        if (tx_us, rx_us) == (self.tx_us, self.rx_us):
            return
        cautious = self.state is _UP
        if not cautious or tx_us < self.real_tx_us:
            self.real_tx_us = tx_us
        if not cautious or rx_us > self.real_rx_us:
            self.real_rx_us = rx_us
        self.tx_us, self.rx_us, self.asks = tx_us, rx_us, self.theirs != 0

    def adapt(self, config: BfdInstance) -> None:
        self.config = config
        self.wish(config.min_tx_us if self.state is _UP else config.idle_tx_us, config.min_rx_us)

    def leave(self, now_us: int) -> None:
        self.gone_us = now_us + (self.config.multiplier * self.interval_us if self.theirs else 0)
        self.silent_us, self.their_demand = None, False
        self._turn(_ADMIN, _BY_ADMIN, now_us)

    def packet(self, *, final: bool) -> Control:
        return Control(
            state=self.state,
            diagnostic=self.why,
            poll=self.asks and not final,
            final=final,
            multiplier=self.config.multiplier,
            my_discriminator=self.number,
            your_discriminator=self.theirs,
            min_tx_us=self.tx_us,
            min_rx_us=self.rx_us,
        )

"""One asynchronous session: the state machine and the timers of RFC 5880 sections 6.2 and 6.8.

    Down ── neighbour Down ──► Init ── neighbour Init or Up ──► Up
    Down ── neighbour Init ──► Up
    Init, Up ── detection time passes ──► Down (1)       Up ── neighbour Down ──► Down (3)
    any ── neighbour AdminDown ──► Down (3)              any ── taken out of the file ──► AdminDown (7)

A session that is not Up sends at most once in `idle_tx`; every pause is cut by 10 to 25 per cent, which fits a
multiplier of 1, too (section 6.8.7). A change of state is sent at once, but not more than ten in a second: where a
network doubles and reorders packets, two sessions that answer each change with one of their own would never stop.
"""

from __future__ import annotations

from collections.abc import Callable

from pykeepalived.bfd.events import Action, Changed, Log, Send, SessionStatus
from pykeepalived.bfd.packet import (
    ADMIN_DOWN,
    NEIGHBOR_DOWN,
    NO_DIAGNOSTIC,
    TIME_EXPIRED,
    Control,
    State,
    diagnostic_words,
)
from pykeepalived.model.bfd import BfdInstance
from pykeepalived.units import MILLISECOND_US, SECOND_US

_CUT_LEAST = 0.10
_CUT_MOST = 0.25
#: Changes of state that are sent at once within a second; later ones wait for the timer.
_HURRIES_PER_S = 10


class Session:
    """Takes packets that the ladder let through. Names of fields are those of section 6.8.1 in other letters."""

    def __init__(self, config: BfdInstance, discriminator: int, now_us: int, draw: Callable[[], float]) -> None:
        self.config = config
        self.discriminator = discriminator
        self._draw = draw
        self.state = State.DOWN
        self.remote_state = State.DOWN
        self.remote_discriminator = 0
        self.diagnostic = NO_DIAGNOSTIC
        self.remote_diagnostic = NO_DIAGNOSTIC
        self.desired_tx_us = config.idle_tx_us
        self.required_rx_us = config.min_rx_us
        self._used_tx_us = self.desired_tx_us
        """A slower wish counts for ourselves only when the neighbour has confirmed it (section 6.8.3)."""
        self._used_rx_us = self.required_rx_us
        """So does a faster demand."""
        self.remote_min_tx_us = 0
        self.remote_min_rx_us = 1
        self.remote_multiplier = 0
        self.remote_demand = False
        self.polling = False
        self.next_send_us: int | None = now_us
        self.expires_us: int | None = None
        self.leaves_us: int | None = None
        """Taken out of the file: until when AdminDown is still sent."""
        self.last_seen_us: int | None = None
        self.last_change_us = now_us
        self.told_up = False
        """What trackers go by. A neighbour that is taken down on purpose has not failed (RFC 5882 section 4.2)."""
        self._hurries = 0
        self._hurries_until_us = now_us
        self.sent = self.received = self.times_up = self.times_expired = 0
        self.queued_us: int | None = None
        """Where it stands in the heap."""

    # ---- timers ----

    @property
    def tx_interval_us(self) -> int:
        return max(self._used_tx_us, self.remote_min_rx_us)

    @property
    def detection_time_us(self) -> int:
        """Section 6.8.4."""
        return self.remote_multiplier * max(self._used_rx_us, self.remote_min_tx_us)

    def deadline_us(self) -> int | None:
        """When it wants to be called next."""
        found = [at for at in (self.next_send_us, self.expires_us, self.leaves_us) if at is not None]
        return min(found, default=None)

    def _may_send(self) -> bool:
        """Section 6.8.7: when periodic packets must not be sent."""
        if self.remote_discriminator == 0 and self.config.passive:
            return False
        if self.remote_min_rx_us == 0:
            return False
        quiet = self.remote_demand and self.state is State.UP and self.remote_state is State.UP
        return not quiet or self.polling

    def _schedule(self, now_us: int) -> None:
        if not self._may_send():
            self.next_send_us = None
            return
        cut = _CUT_LEAST + (_CUT_MOST - _CUT_LEAST) * self._draw()
        self.next_send_us = now_us + max(1, int(self.tx_interval_us * (1 - cut)))

    def _hasten(self, now_us: int) -> None:
        """The interval may have become shorter, or sending allowed, since the next packet was planned."""
        before = self.next_send_us
        self._schedule(now_us)
        if before is not None and self.next_send_us is not None:
            self.next_send_us = min(before, self.next_send_us)

    # ---- what happens ----

    def expire(self, now_us: int) -> list[Action]:
        """Do what is due."""
        actions: list[Action] = []
        if self.expires_us is not None and now_us >= self.expires_us:
            self.expires_us = None
            self._neighbor_is_silent(now_us, actions)
        if self.next_send_us is not None and now_us >= self.next_send_us:
            if self._may_send():
                self._send(actions)
            self._schedule(now_us)
        return actions

    def _neighbor_is_silent(self, now_us: int, actions: list[Action]) -> None:
        elapsed_us = self.detection_time_us
        self.remote_discriminator = 0
        self.remote_state = State.DOWN
        self.polling = False
        if self.state in {State.INIT, State.UP}:
            self.times_expired += 1
            actions.append(Log(f"({self.config.name}) Expired after {elapsed_us / MILLISECOND_US:g} ms"))
            self._enter(State.DOWN, TIME_EXPIRED, now_us, actions)

    def receive(self, control: Control, now_us: int) -> list[Action]:
        """Section 6.8.6 from the point where the session is known."""
        actions: list[Action] = []
        self.received += 1
        self.last_seen_us = now_us
        self.remote_discriminator = control.my_discriminator
        self.remote_state = control.state
        self.remote_diagnostic = control.diagnostic
        self.remote_demand = control.demand
        self.remote_min_tx_us = control.min_tx_us
        self.remote_min_rx_us = control.min_rx_us
        self.remote_multiplier = control.multiplier
        if control.final and self.polling:
            self._polled()
        self._follow(control.state, now_us, actions)
        self.expires_us = now_us + self.detection_time_us
        if control.poll:
            # At once, whatever the timers say, and without moving them (section 6.8.7).
            self._send(actions, final=True)
        self._hasten(now_us)
        return actions

    def _follow(self, remote: State, now_us: int, actions: list[Action]) -> None:
        if remote is State.ADMIN_DOWN:
            if self.state is not State.DOWN:
                self._enter(State.DOWN, NEIGHBOR_DOWN, now_us, actions)
        elif self.state is State.DOWN:
            if remote is State.DOWN:
                self._enter(State.INIT, self.diagnostic, now_us, actions)
            elif remote is State.INIT:
                self._enter(State.UP, NO_DIAGNOSTIC, now_us, actions)
        elif self.state is State.INIT:
            if remote in {State.INIT, State.UP}:
                self._enter(State.UP, NO_DIAGNOSTIC, now_us, actions)
        elif remote is State.DOWN:
            self._enter(State.DOWN, NEIGHBOR_DOWN, now_us, actions)

    def _enter(self, state: State, diagnostic: int, now_us: int, actions: list[Action]) -> None:
        before, self.state, self.diagnostic = self.state, state, diagnostic
        self.last_change_us = now_us
        why = f" ({diagnostic_words(diagnostic)})" if diagnostic and state is not State.INIT else ""
        actions.append(Log(f"({self.config.name}) Entering {state.word} state{why}", detail=state is State.INIT))
        if state is State.UP:
            self.times_up += 1
            self._wish(self.config.min_tx_us, self.required_rx_us)
            self._tell(True, actions)
        elif before is State.UP:
            self._wish(self.config.idle_tx_us, self.required_rx_us)
            if self.remote_state is not State.ADMIN_DOWN:
                self._tell(False, actions)
        if not self._may_send():
            return
        if self._may_hurry(now_us):
            self._send(actions)
            self._schedule(now_us)
        else:
            self._hasten(now_us)

    def _may_hurry(self, now_us: int) -> bool:
        """A second begins with the first change in it."""
        if now_us >= self._hurries_until_us:
            self._hurries, self._hurries_until_us = 0, now_us + SECOND_US
        self._hurries += 1
        return self._hurries <= _HURRIES_PER_S

    def _tell(self, up: bool, actions: list[Action]) -> None:
        if up is not self.told_up:
            self.told_up = up
            actions.append(Changed(self.config.name, up=up))

    # ---- poll sequences ----

    def _wish(self, desired_tx_us: int, required_rx_us: int) -> None:
        """Announce other intervals (sections 6.5 and 6.8.3)."""
        if (desired_tx_us, required_rx_us) == (self.desired_tx_us, self.required_rx_us):
            return
        up = self.state is State.UP
        if not up or desired_tx_us < self._used_tx_us:
            self._used_tx_us = desired_tx_us
        if not up or required_rx_us > self._used_rx_us:
            self._used_rx_us = required_rx_us
        self.desired_tx_us, self.required_rx_us = desired_tx_us, required_rx_us
        self.polling = self.remote_discriminator != 0

    def _polled(self) -> None:
        self.polling = False
        self._used_tx_us, self._used_rx_us = self.desired_tx_us, self.required_rx_us

    # ---- configuration ----

    def adapt(self, config: BfdInstance, now_us: int) -> None:
        """Other intervals, multiplier or passiveness of the same session."""
        self.config = config
        self._wish(config.min_tx_us if self.state is State.UP else config.idle_tx_us, config.min_rx_us)
        self._hasten(now_us)

    def leave(self, now_us: int) -> list[Action]:
        """Taken out of the file: say so for a detection time of the neighbour, then be gone (section 6.8.16)."""
        actions: list[Action] = []
        heard = self.remote_discriminator != 0
        self.leaves_us = now_us + (self.remote_detection_time_us if heard else 0)
        self.expires_us = None
        self.remote_demand = False
        self._enter(State.ADMIN_DOWN, ADMIN_DOWN, now_us, actions)
        return actions

    # ---- what it looks like ----

    @property
    def remote_detection_time_us(self) -> int:
        return self.config.multiplier * self.tx_interval_us

    def _send(self, actions: list[Action], *, final: bool = False) -> None:
        self.sent += 1
        actions.append(Send(self.discriminator, self.control(final=final)))

    def control(self, *, final: bool = False) -> Control:
        """The packet that it would send now. Poll and Final never stand together (section 6.8.7)."""
        return Control(
            state=self.state,
            diagnostic=self.diagnostic,
            poll=self.polling and not final,
            final=final,
            multiplier=self.config.multiplier,
            my_discriminator=self.discriminator,
            your_discriminator=self.remote_discriminator,
            min_tx_us=self.desired_tx_us,
            min_rx_us=self.required_rx_us,
        )

    def status(self) -> SessionStatus:
        return SessionStatus(
            config=self.config,
            state=self.state,
            remote_state=self.remote_state,
            local_discriminator=self.discriminator,
            remote_discriminator=self.remote_discriminator,
            diagnostic=self.diagnostic,
            remote_diagnostic=self.remote_diagnostic,
            polling=self.polling,
            desired_tx_us=self.desired_tx_us,
            required_rx_us=self.required_rx_us,
            remote_min_tx_us=self.remote_min_tx_us,
            remote_min_rx_us=self.remote_min_rx_us,
            remote_multiplier=self.remote_multiplier,
            remote_demand=self.remote_demand,
            tx_interval_us=self.tx_interval_us,
            detection_time_us=self.detection_time_us,
            remote_detection_time_us=self.remote_detection_time_us if self.remote_discriminator else 0,
            last_seen_us=self.last_seen_us,
            last_change_us=self.last_change_us,
            sent=self.sent,
            received=self.received,
            times_up=self.times_up,
            times_expired=self.times_expired,
        )

"""The one timer of the VRRP process, and how an election is met on time.

A process that has slept for a tenth of a second wakes a fifth of a millisecond late, and runs its first instructions at
a third of their speed: what it needs is in no cache. So when the next deadline is that of a BACKUP, which is the moment
that a network without a master waits for, the alarm rings a little early. It hears what lies in the sockets, plays an
election with a router that does not exist, waits awake, hears once more, and lets the router decide a moment before
the deadline as if it were there; what the router wants then waits for the deadline itself, so that the first advert
is neither late by the time that deciding takes nor ever early. That happens once for an election, never for the adverts
of a MASTER or for a BACKUP that hears its master.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pykeepalived.model.common import IpPrefix
from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import AuthType, VirtualAddress, VrrpInstance
from pykeepalived.netio.frames.vrrp import Counters, advert_specs, datagrams
from pykeepalived.reactor import Reactor, Timer
from pykeepalived.runtime.histogram import LATENESS_BOUNDS_US, Histogram
from pykeepalived.units import SECOND_US
from pykeepalived.vrrp import events
from pykeepalived.vrrp.router import Router

#: A timer this late means that the process stood still; what came in meanwhile is heard before the timer counts.
_LATE_US: Final = 10_000
#: How much earlier the alarm rings before an election.
_EARLY_US: Final = 800
#: How long before an election's deadline the router decides: what hearing and deciding take when they are warm.
_AHEAD_US: Final = 60
#: A rehearsal is not worth its time again so soon.
_WARM_US: Final = 5_000


class Alarm:
    """Calls `ring` at the router's deadlines. `listen` feeds the router what waits in the sockets.

    `ring` gets the instant at which the router is to decide: None for now, or an instant that is almost there and that
    everything which follows has to wait for. `sent`: how many adverts have left so far.
    """

    def __init__(
        self,
        reactor: Reactor,
        router: Router,
        *,
        ring: Callable[[int | None], None],
        listen: Callable[[], None],
        sent: Callable[[], int] = lambda: 0,
    ) -> None:
        self._reactor = reactor
        self._router = router
        self._ring = ring
        self._listen = listen
        self._timer: Timer | None = None
        self._due_us: int | None = None
        self._rehearsal: Rehearsal | None = None
        self._warm_until_us = 0
        self._sent = sent
        self.lateness = Histogram(LATENESS_BOUNDS_US)
        """Of each advert that was due: from its time until all that were due with it had been handed to the kernel."""
        # Not now: its advert is scapy's first work.
        reactor.call_soon(self._prepare)

    def _prepare(self) -> None:
        self._rehearsal = Rehearsal()

    def arm(self) -> None:
        """Follow the router's next deadline.

        One that has moved away, as that of a BACKUP does with every advert of its master, is followed when the alarm
        rings: rarely, and then for all instances at once.
        """
        if self._router.look_at() == self._due_us:
            return
        due_us = self._router.wake_at()
        if due_us == self._due_us:
            return
        self.cancel()
        self._due_us = due_us
        if due_us is not None:
            early_us = _EARLY_US if self._router.waits_for_election() else 0
            self._timer = self._reactor.call_at(due_us - early_us, self._on_timer)

    def cancel(self) -> None:
        """Ring no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._due_us = None

    def _on_timer(self) -> None:
        due_us = self._due_us
        self._timer = self._due_us = None
        if due_us is None:
            return
        if self._router.wake_at() != due_us:
            self.arm()
            return
        now_us = self._reactor.now_us()
        if now_us < due_us:
            self._get_ready(now_us)
            while self._reactor.now_us() < due_us - _AHEAD_US:
                pass
            self._listen()
        elif now_us - due_us > _LATE_US or self._router.waits_for_election():
            self._listen()
        if self._router.wake_at() != due_us:
            # A master was heard in the last moment.
            self.cancel()
            self.arm()
            return
        before = self._sent()
        self._ring(due_us if now_us < due_us else None)
        if sent := self._sent() - before:
            self.lateness.observe(max(0, self._reactor.now_us() - due_us), sent)

    def _get_ready(self, now_us: int) -> None:
        self._listen()
        if self._rehearsal is not None and now_us > self._warm_until_us:
            self._rehearsal.play()
            self._warm_until_us = now_us + _WARM_US


class Rehearsal:
    """An election of a router that does not exist: the same code, nothing leaves."""

    def __init__(self) -> None:
        address = VirtualAddress(prefix=IpPrefix("192.0.2.9", 32))
        instance = VrrpInstance(name="rehearsal", vrid=1, interface="none", version=3, addresses=(address,))
        self._router = Router(Config(instances=(instance,)), log_detail=False)
        (self._datagram,) = datagrams(advert_specs(instance, "192.0.2.1", "224.0.0.18"), 100, Counters())
        self._now_us = 0
        self._better = events.AdvertReceived(
            instance.name,
            events.Advert(
                source="192.0.2.2",
                destination="224.0.0.18",
                ttl=255,
                version=3,
                vrid=1,
                priority=254,
                auth_type=AuthType.NONE,
                interval_us=SECOND_US,
                addresses=("192.0.2.9",),
            ),
        )
        for event in (
            events.SourceAddressChanged(instance.name, "192.0.2.1"),
            events.LinkChanged("none", True),
            events.Start(),
        ):
            self._router.handle(event, 0)

    def play(self) -> int:
        """Lose the mastership and win it again; returns how many adverts would have left."""
        self._router.handle(self._better, self._now_us)
        sent = 0
        self._now_us = max(self._now_us, self._router.wake_at() or 0)
        for action in self._router.handle(events.Tick(), self._now_us):
            if isinstance(action, events.SendAdvert):
                self._datagram.advert(action.priority)
                sent += 1
        return sent

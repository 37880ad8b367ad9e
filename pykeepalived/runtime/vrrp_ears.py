"""What the VRRP process hears: sockets on one side, adverts climbing the ladder, events for the router on the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from pykeepalived.model.common import Family
from pykeepalived.model.config import Config
from pykeepalived.netio.links import Monitor
from pykeepalived.netio.sockets import BURST, Place, Received, SocketPool, Wish
from pykeepalived.reactor import HANGUP, READ, Reactor
from pykeepalived.runtime.program import Logger
from pykeepalived.runtime.vrrp_endpoints import Endpoint, wishes
from pykeepalived.runtime.vrrp_suspicions import Suspicions
from pykeepalived.vrrp.events import Event
from pykeepalived.vrrp.expectation import expectation
from pykeepalived.vrrp.receive import Ladder

_LATE_BURSTS: Final = 16
#: Packets lie unread for this long on a busy machine. Longer, and the machine stood still or its clock was set.
_BELIEVED_AGE_US: Final = 100_000


class Ears:
    """Opens the sockets of all instances, reads them when something is there, and feeds what it means."""

    def __init__(
        self,
        reactor: Reactor,
        pool: SocketPool,
        log: Logger,
        feed: Callable[[Sequence[Event], int | None], None],
        endpoints: Callable[[], Iterable[Endpoint]],
        *,
        suspicions: Suspicions,
    ) -> None:
        """`feed` takes events and the instant at which they happened, None for now."""
        self._suspicions = suspicions
        self._reactor = reactor
        self._pool = pool
        self._log = log
        self._feed = feed
        self._endpoints = endpoints
        self._ladder = Ladder()
        self._watched: set[int] = set()
        self._told: set[Place] = set()
        """The sockets that the log tells of."""

    def open(self, monitor: Monitor) -> None:
        """Make the sockets those that the instances need, with the interfaces as they are."""
        for descriptor in self._watched:
            self._reactor.unwatch(descriptor)
        wanted = wishes(self._endpoints(), monitor)
        failed = self._pool.update(wanted)
        for place, reason in failed.items():
            self._log.error(f"VRRP cannot use {place.ifname or place.local}: {reason}")
        receivers = self._pool.receivers()
        for place in receivers.values():
            if place not in self._told:
                self._log.detail(_description(place, wanted[place], self._pool.descriptors(place) or (-1, -1)))
        self._told = {*receivers.values()}
        self._watched = set(receivers)
        for descriptor, place in receivers.items():
            self._reactor.watch(descriptor, READ, partial(self._on_packets, monitor, place))

    def tell_again(self) -> None:
        """The log is to hear of all sockets at the next `open`, as keepalived's does at a reload."""
        self._told = set()

    def expect(self, config: Config, endpoints: Mapping[str, Endpoint]) -> None:
        """Tell the ladder what the instances of this generation accept."""
        counters = {name: endpoint.ah_counter for name, endpoint in endpoints.items()}
        self._suspicions.configure(config)
        self._ladder.replace((expectation(item) for item in config.instances), counters)

    def listen(self) -> None:
        """Hear everything that waits, now."""
        for place in self._pool.receivers().values():
            for _ in range(_LATE_BURSTS):
                now_us = self._reactor.now_us()
                found = self._pool.receive(place)
                if found:
                    self._feed(self._read(place, found), self._arrival_us(place, now_us))
                if len(found) < BURST:
                    break

    def close(self) -> None:
        for descriptor in self._watched:
            self._reactor.unwatch(descriptor)
        self._watched = set()
        self._pool.close()

    def _on_packets(self, monitor: Monitor, place: Place, ready: int) -> None:
        now_us = self._reactor.now_us()
        found = self._pool.receive(place)
        if not found and ready & HANGUP:
            # An error that reading does not clear would wake us for ever; netlink tells when the interface is back.
            self.open(monitor)
            return
        self._feed(self._read(place, found), self._arrival_us(place, now_us))

    def _arrival_us(self, place: Place, now_us: int) -> int:
        """When the last of the packets that were just read came in: the timers of who is heard count from there.

        This process may wake long after. The last, so that no packet counts as older than it is.
        """
        age_us = self._pool.age_us(place)
        if age_us is None or not 0 <= age_us <= _BELIEVED_AGE_US:
            return now_us
        return self._reactor.now_us() - age_us

    def _read(self, place: Place, found: Sequence[Received]) -> list[Event]:
        # Only HMAC's window asks for this clock, in seconds: once for all that came together.
        wall_us, ladder, ifname = time.time_ns() // 1000, self._ladder, place.ifname
        heard: list[Event]
        if place.family is Family.INET:
            heard = [ladder.ipv4(packet.data, ifname, wall_us=wall_us) for packet in found]
        else:
            heard = [
                ladder.ipv6(packet.data, packet.source, packet.destination, packet.hop_limit, ifname, wall_us=wall_us)
                for packet in found
            ]
        if self._suspicions.wanted:
            self._suspicions.look(heard)
        return heard


def _description(place: Place, wish: Wish, descriptors: tuple[int, int]) -> str:
    """A pair of sockets as keepalived's log tells of it, with its odd comma before `unicast`."""
    family = "IPv6" if place.family is Family.INET6 else "IPv4"
    groups = ", ".join(sorted(wish.groups))
    kind = f", unicast, address({place.local})" if place.local else f"multicast, address({groups})"
    return (
        f"VRRP sockpool: [ifindex({wish.ifindex or 0:3d}), family({family}), proto({place.protocol}), "
        f"fd({descriptors[0]},{descriptors[1]}) {kind}]"
    )

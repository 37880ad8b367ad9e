"""Draining: a server gets no new connections (weight 0) and leaves when its connections have ended, or at a deadline.

The core counts; whoever holds it asks the dataplane (`places`) and brings the numbers (`looked`). A drained server
stays out, whatever its checkers say, until `cancel`. Both survive a reload; what the configuration names no more is
forgotten.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

import msgspec

Place = tuple[str, str, int]
"""Service key, address and port of the server."""

#: A connection in its handshake is not counted by IPVS: it must have had the time to be seen.
_QUIET_LOOKS = 2


class Draining(msgspec.Struct):
    """One server on its way out."""

    deadline_us: int
    connections: int | None = None
    """What the last look saw; None: nobody has looked yet."""
    quiet: int = 0
    """Looks in a row that saw none."""


class Ended(msgspec.Struct, frozen=True):
    """A server may leave now. `connections` are those that are cut off (None: nobody has ever looked)."""

    place: Place
    connections: int | None


class Drains:
    """All servers that are being drained, and those that have been."""

    def __init__(self) -> None:
        self.waiting: dict[Place, Draining] = {}
        self.out: set[Place] = set()

    def begin(self, place: Place, deadline_us: int) -> None:
        """Drain a server. One that is being drained gets the new deadline; one that is out stays out."""
        if place in self.out:
            return
        self.waiting.setdefault(place, Draining(deadline_us)).deadline_us = deadline_us

    def cancel(self, place: Place) -> None:
        self.waiting.pop(place, None)
        self.out.discard(place)

    def looked(self, found: Mapping[Place, int], now_us: int) -> list[Ended]:
        """Take the numbers of open connections (a server without one has none); those that may leave."""
        ended: list[Ended] = []
        for place, draining in list(self.waiting.items()):
            draining.connections = found.get(place, 0)
            draining.quiet = 0 if draining.connections else draining.quiet + 1
            if draining.quiet >= _QUIET_LOOKS or now_us >= draining.deadline_us:
                ended.append(self._end(place, draining))
        return ended

    def overdue(self, now_us: int) -> list[Ended]:
        """Those whose deadline has passed, when the dataplane does not answer."""
        late = [(place, item) for place, item in self.waiting.items() if now_us >= item.deadline_us]
        return [self._end(place, item) for place, item in late]

    def keep(self, places: Container[Place]) -> None:
        """Forget what is in no configuration any more."""
        for place in [*self.waiting, *self.out]:
            if place not in places:
                self.cancel(place)

    def _end(self, place: Place, draining: Draining) -> Ended:
        del self.waiting[place]
        self.out.add(place)
        return Ended(place, draining.connections)

"""Adverts and announcements are built before they are needed, a little at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from pykeepalived.reactor import Reactor
from pykeepalived.runtime.vrrp_announcer import Announcer
from pykeepalived.runtime.vrrp_endpoints import Endpoint

#: Time given to it in one turn of the loop.
_TURN_US: Final = 2_000


class Preparation:
    """The endpoints whose packets have to be built."""

    def __init__(self, reactor: Reactor, announcer: Announcer) -> None:
        self._reactor = reactor
        self._announcer = announcer
        self._waiting: deque[Endpoint] = deque()
        self._due = False

    def begin(self, endpoints: Iterable[Endpoint]) -> None:
        """Build these, and none that waited before."""
        self._waiting.clear()
        self.add(endpoints)

    def add(self, endpoints: Iterable[Endpoint]) -> None:
        """Build these too."""
        self._waiting.extend(endpoints)
        self._go_on()

    def close(self) -> None:
        """Build no more."""
        self._waiting.clear()

    def _go_on(self) -> None:
        if self._waiting and not self._due:
            self._due = True
            self._reactor.call_soon(self._some)

    def _some(self) -> None:
        self._due = False
        until_us = self._reactor.now_us() + _TURN_US
        while self._waiting and self._reactor.now_us() < until_us:
            endpoint = self._waiting.popleft()
            endpoint.prepare()
            self._announcer.frames(endpoint.instance.name, endpoint.addresses())
        self._go_on()

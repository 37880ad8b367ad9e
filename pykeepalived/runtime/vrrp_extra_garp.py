"""`garp_extra_if`: announcements that keep switches from forgetting where a virtual MAC address is.

A switch learns an address from what it sends. An interface that sends no adverts (the virtual MAC of an instance with
`vmac_xmit_base`, one that stands on another base) may say nothing for long, so a MASTER announces from it periodically:
its first address, with `all` every address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from pykeepalived.reactor import Reactor, Timer
from pykeepalived.runtime.vrrp_addresses import Placed
from pykeepalived.runtime.vrrp_announcer import Announcer
from pykeepalived.runtime.vrrp_endpoints import Endpoint
from pykeepalived.vrrp.links import advert_link, virtual_links


class ExtraGarp:
    """One timer for each MASTER that has such interfaces."""

    def __init__(self, reactor: Reactor, announcer: Announcer, lookup: Callable[[str], Endpoint | None]) -> None:
        """`lookup` finds an instance of the running configuration by its name."""
        self._reactor = reactor
        self._announcer = announcer
        self._lookup = lookup
        self._timers: dict[str, Timer] = {}

    def start(self, name: str) -> None:
        """The instance has its addresses now."""
        self.stop(name)
        endpoint = self._lookup(name)
        if endpoint is not None and quiet_addresses(endpoint):
            due_us = self._reactor.now_us() + endpoint.instance.garp.extra_if_us
            self._timers[name] = self._reactor.call_at(due_us, partial(self._due, name))

    def stop(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def rename(self, names: Mapping[str, str]) -> None:
        running = [names.get(name, name) for name in self._timers]
        self.close()
        for name in running:
            self.start(name)

    def close(self) -> None:
        for name in list(self._timers):
            self.stop(name)

    def _due(self, name: str) -> None:
        endpoint = self._lookup(name)
        if endpoint is not None:
            self._announcer.send(self._announcer.frames(name, quiet_addresses(endpoint)))
        self.start(name)


def quiet_addresses(endpoint: Endpoint) -> list[Placed]:
    """What is announced: from the virtual interfaces of the instance that send no adverts. Empty: the word is unset."""
    settings = endpoint.instance.garp
    placed = endpoint.addresses()
    if not settings.extra_if_us:
        return []
    own = set(virtual_links(endpoint.instance, [item.address for item in placed])) - {advert_link(endpoint.instance)}
    found = [item for item in placed if item.ifname in own]
    if settings.extra_if_all:
        return found
    first: dict[str, Placed] = {}
    for item in found:
        first.setdefault(item.ifname, item)
    return list(first.values())

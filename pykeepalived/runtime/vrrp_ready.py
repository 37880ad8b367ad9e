"""`vrrp_ready_gate`: tells the router which instances have an interface that works, so that it starts them.

An interface is ready when it has carrier, none of its addresses is in duplicate address detection, the instance has a
source address, and something was heard on it: a switch port that has just come up may pass nothing for half a minute,
and an instance that starts before that would be a second MASTER. The router itself knows how long it waits at most.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from pykeepalived.model.common import Family, family_of
from pykeepalived.model.config import Config
from pykeepalived.netio.links import SCOPE_LINK, KernelAddress, Monitor
from pykeepalived.netio.listening import Listener
from pykeepalived.reactor import Reactor, Timer
from pykeepalived.runtime.program import Logger
from pykeepalived.runtime.vrrp_endpoints import Endpoint
from pykeepalived.vrrp.events import InterfaceReady
from pykeepalived.vrrp.links import own_link

_LOOK_US: Final = 50_000
#: The first probe leaves with the first look that finds carrier, then one in every so many.
_LOOKS_PER_PROBE: Final = 10


class ReadyGate:
    """Looks at the interfaces of a configuration until all are ready or the time is over."""

    def __init__(
        self, reactor: Reactor, monitor: Monitor, log: Logger, tell: Callable[[Sequence[InterfaceReady]], None]
    ) -> None:
        self._reactor = reactor
        self._monitor = monitor
        self._log = log
        self._tell = tell
        self._waiting: dict[str, Endpoint] = {}
        self._listeners: dict[str, Listener] = {}
        self._looks: dict[str, int] = {}
        self._until_us = 0
        self._timer: Timer | None = None

    def start(self, config: Config, endpoints: Iterable[Endpoint]) -> None:
        """Begin to look, when the configuration has a gate."""
        limit_us = config.globals.ready_gate_us
        if limit_us is None:
            return
        self._waiting = {item.instance.name: item for item in endpoints if item.instance.interface is not None}
        self._until_us = self._reactor.now_us() + limit_us
        if self._waiting:
            names = ", ".join(dict.fromkeys(str(item.instance.interface) for item in self._waiting.values()))
            self._log.info(f"Waiting until {names} is ready, at most {limit_us / 1e6:g} s")
            self._look()

    def close(self) -> None:
        self._waiting = {}
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for listener in self._listeners.values():
            listener.close()
        self._listeners = {}

    # ---- looking ----

    def _look(self) -> None:
        self._timer = None
        ready = [name for name, endpoint in self._waiting.items() if self._is_ready(endpoint)]
        for name in ready:
            self._log.info(f"({name}) {self._waiting.pop(name).instance.interface} is ready")
        if self._waiting and self._reactor.now_us() < self._until_us:
            self._timer = self._reactor.call_later(_LOOK_US, self._look)
        else:
            self.close()
        if ready:
            self._tell([InterfaceReady(name) for name in ready])

    def _is_ready(self, endpoint: Endpoint) -> bool:
        base = endpoint.instance.interface
        assert base is not None
        names = {base, own_link(endpoint.instance) or base}
        links = [self._monitor.link(name) for name in names]
        if not all(link is not None and link.up for link in links):
            return False
        # It is asked before the addresses are all ready: what answers now need not be waited for later.
        heard = self._hears(base, endpoint)
        addresses = [item for family in Family for name in names for item in self._monitor.addresses(name, family)]
        tentative = any(item.tentative for item in addresses)
        return heard and not tentative and endpoint.source is not None and not endpoint.tentative

    def _hears(self, ifname: str, endpoint: Endpoint) -> bool:
        try:
            listener = self._listeners.get(ifname)
            if listener is None:
                listener = self._listeners[ifname] = Listener(ifname)
            if not listener.listen():
                looks = self._looks[ifname] = self._looks.get(ifname, 0) + 1
                if looks % _LOOKS_PER_PROBE == 1:
                    self._ask(listener, ifname, endpoint)
            return listener.heard
        except OSError:
            # It went down or away: begin anew with what comes in its place.
            gone = self._listeners.pop(ifname, None)
            if gone is not None:
                gone.close()
            return False

    def _ask(self, listener: Listener, ifname: str, endpoint: Endpoint) -> None:
        first = _usable(self._monitor.addresses(ifname, Family.INET))
        local = [item for item in self._monitor.addresses(ifname, Family.INET6) if item.scope == SCOPE_LINK]
        peers = [item.address for item in endpoint.instance.unicast_peers if family_of(item.address) is Family.INET]
        with contextlib.suppress(BlockingIOError):
            listener.ask(first, _usable(local), peers)


def _usable(addresses: Sequence[KernelAddress]) -> str | None:
    return next((item.address for item in addresses if not item.tentative), None)

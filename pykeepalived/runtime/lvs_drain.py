"""Drains in the checker process: `drain`, `undrain`, `drains` of the control socket, and looks at connections.

SERVICE is a virtual server as the status names it (`[10.0.0.5]:tcp:80`, `FWM 5`, `[group]:0`) or as ADDRESS:PORT;
SERVER likewise, or an address alone when one server has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from pykeepalived.dataplane import Dataplane
from pykeepalived.lvs.drain import Drains, Ended, Place
from pykeepalived.lvs.events import DrainBegan, DrainEnded, LvsEvent
from pykeepalived.lvs.health import ServerHealth
from pykeepalived.lvs.pool import Pool
from pykeepalived.lvs.table import DestinationKey, ServiceKey
from pykeepalived.model.lvs import AddressSelector, RealServer
from pykeepalived.reactor import Reactor, Timer
from pykeepalived.units import MILLISECOND_US, SECOND_US

REASON: Final = "drain"
DEFAULT_TIMEOUT_S: Final = 300
LONGEST_TIMEOUT_S: Final = 7 * 86_400
_LOOK_US: Final = 500 * MILLISECOND_US
#: Looking may take this part of the time, where it is costly (connection tracking of a busy director).
_LOOK_SHARE: Final = 20


class Refused(Exception):
    """A command that cannot be carried out; the text says why."""


class DrainKeeper:
    """`places`: where the table holds a server; `tell` and `show`: what to do with events and changed pools."""

    def __init__(
        self,
        reactor: Reactor,
        pools: Mapping[str, Pool],
        *,
        places: Callable[[Pool, RealServer], list[tuple[ServiceKey, DestinationKey]]],
        tell: Callable[[Iterable[LvsEvent]], None],
        show: Callable[[Pool], None],
    ) -> None:
        self._reactor = reactor
        self._pools = pools
        self._places = places
        self._tell = tell
        self._show = show
        self._drains = Drains()
        self._weights: dict[Place, int] = {}
        """What an operator set, until it is taken back."""
        self._timer: Timer | None = None
        self.dataplane: Dataplane | None = None

    def command(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """`drain`, `undrain`, or `drains` that only looks; the state of the servers meant. Raises Refused."""
        found = find_servers(self._pools, str(arguments.get("service", "")), str(arguments.get("server", "")))
        if name == "drain":
            timeout_s = arguments.get("timeout_s", DEFAULT_TIMEOUT_S)
            if not isinstance(timeout_s, int) or not 0 <= timeout_s <= LONGEST_TIMEOUT_S:
                raise Refused(f"a timeout is a whole number of seconds from 0 to {LONGEST_TIMEOUT_S}")
            for pool, health in found:
                self._begin(pool, health, timeout_s)
        elif name == "undrain":
            for pool, health in found:
                self._cancel(pool, health)
        return {"servers": [self.state(pool, health) for pool, health in found]}

    def state(self, pool: Pool, health: ServerHealth) -> dict[str, Any]:
        """How far a server's drain is: `draining`, `drained` or `serving`."""
        place = _place(pool, health)
        waiting = self._drains.waiting.get(place)
        state = "draining" if waiting else "drained" if place in self._drains.out else "serving"
        return {
            "service": pool.service.name,
            "server": pool.service.server_name(health.server),
            "state": state,
            "connections": waiting.connections if waiting else None,
            "left_us": max(0, waiting.deadline_us - self._reactor.now_us()) if waiting else 0,
        }

    def operator_weight(self, pool: Pool, health: ServerHealth) -> int | None:
        """The weight that an operator gave a server; None: that of the configuration."""
        return self._weights.get(_place(pool, health))

    def weigh(self, pool: Pool, health: ServerHealth, weight: int | None) -> list[LvsEvent]:
        """Give a server another weight until it is taken back (None); one that drains gets it when it is back."""
        place = _place(pool, health)
        if weight is None:
            self._weights.pop(place, None)
        else:
            self._weights[place] = weight
        return [] if place in self._drains.waiting else pool.override_weight(health, weight)

    def reloaded(self) -> None:
        """A reload is done: servers that are gone are forgotten, new ones of an old name are drained as before."""
        if not (self._drains.waiting or self._drains.out or self._weights):
            return
        everybody = {(key, *health.key): (pool, health) for key, pool in self._pools.items() for health in pool.servers}
        self._drains.keep(everybody)
        self._weights = {place: weight for place, weight in self._weights.items() if place in everybody}
        for place, (pool, health) in everybody.items():
            if place in self._drains.waiting and health.weight_override is None:
                self._change(pool, pool.override_weight(health, 0))
            elif place in self._drains.out and REASON not in health.holds:
                self._change(pool, pool.hold(health, REASON, REASON))
            if place in self._weights and health.weight_override is None:
                self._change(pool, pool.override_weight(health, self._weights[place]))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # ---- inside ----

    def _begin(self, pool: Pool, health: ServerHealth, timeout_s: int) -> None:
        place = _place(pool, health)
        if place in self._drains.out:
            return
        fresh = place not in self._drains.waiting
        self._drains.begin(place, self._reactor.now_us() + timeout_s * SECOND_US)
        if fresh:
            began = DrainBegan(pool.service, health.server, timeout_s)
            self._change(pool, [began, *pool.override_weight(health, 0)])
        if self._timer is None:
            self._timer = self._reactor.call_later(_LOOK_US, self._look)

    def _cancel(self, pool: Pool, health: ServerHealth) -> None:
        self._drains.cancel(_place(pool, health))
        events = pool.override_weight(health, self._weights.get(_place(pool, health)))
        if REASON in health.holds:
            events += pool.release(health, REASON)
        self._change(pool, events)

    def _look(self) -> None:
        self._timer = None
        begun_us = self._reactor.now_us()
        try:
            ended = self._drains.looked(self._connections(), begun_us)
        except OSError:
            # It is asked again; the deadline holds whatever it says.
            ended = self._drains.overdue(begun_us)
        for item in ended:
            self._end(item)
        if self._drains.waiting:
            pause_us = max(_LOOK_US, (self._reactor.now_us() - begun_us) * _LOOK_SHARE)
            self._timer = self._reactor.call_later(pause_us, self._look)

    def _connections(self) -> dict[Place, int]:
        where: dict[tuple[ServiceKey, DestinationKey], Place] = {}
        for place in self._drains.waiting:
            for pool, health in self._at(place):
                where.update((spot, place) for spot in self._places(pool, health.server))
        if self.dataplane is None:
            return {}
        found: dict[Place, int] = {}
        for spot, count in self.dataplane.connections(where).items():
            found[where[spot]] = found.get(where[spot], 0) + count
        return found

    def _end(self, ended: Ended) -> None:
        for pool, health in self._at(ended.place):
            left = DrainEnded(pool.service, health.server, ended.connections)
            out = pool.hold(health, REASON, "drained")
            self._change(pool, [left, *out, *pool.override_weight(health, self._weights.get(ended.place))])

    def _change(self, pool: Pool, events: Iterable[LvsEvent]) -> None:
        self._tell(events)
        self._show(pool)

    def _at(self, place: Place) -> list[tuple[Pool, ServerHealth]]:
        pool = self._pools.get(place[0])
        return [] if pool is None else [(pool, item) for item in pool.servers if item.key == place[1:]]


def find_servers(pools: Mapping[str, Pool], service: str, server: str) -> list[tuple[Pool, ServerHealth]]:
    """The real servers meant. An empty SERVICE means every virtual server, an empty SERVER every real server of one.

    Raises Refused.
    """
    near = [pool for pool in pools.values() if not service or service in _service_names(pool)]
    if not near or not (service or server):
        raise Refused(f"no virtual server is called {service[:100]!r}")
    found = [
        (pool, item) for pool in near for item in pool.servers if not server or server in _server_names(pool, item)
    ]
    if not found:
        where = f"virtual server {near[0].service.name} has no" if service else "no virtual server has a"
        raise Refused(f"{where} real server {server[:100]!r}")
    if service and server and len({health.key for _, health in found}) > 1:
        raise Refused(f"several real servers have the address {server[:100]}; write ADDRESS:PORT")
    return found


def _place(pool: Pool, health: ServerHealth) -> Place:
    return (pool.service.key, *health.key)


def _endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _service_names(pool: Pool) -> set[str]:
    selector = pool.service.server.selector
    names = {pool.service.name, pool.service.key}
    if isinstance(selector, AddressSelector):
        names.add(_endpoint(selector.address, selector.port))
    return names


def _server_names(pool: Pool, health: ServerHealth) -> set[str]:
    server = health.server
    return {pool.service.server_name(server), _endpoint(server.address, server.port), server.address}

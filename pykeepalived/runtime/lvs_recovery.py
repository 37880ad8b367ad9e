"""Slow start and flap damping in the checker process: hears what happens to servers, wakes the core, moves weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from pykeepalived.lvs.events import Cause, LvsEvent, ServerDown, ServerUp
from pykeepalived.lvs.health import ServerHealth
from pykeepalived.lvs.names import ServiceRef
from pykeepalived.lvs.pool import Pool
from pykeepalived.lvs.recovery import WHOLE, Due, Place, Recoveries, Share
from pykeepalived.model.lvs import RealServer
from pykeepalived.reactor import Reactor, Timer
from pykeepalived.runtime.program import Logger
from pykeepalived.units import SECOND_US

REASON: Final = "flapping"


class RecoveryKeeper:
    """`tell` and `show`: what to do with events and changed pools."""

    def __init__(
        self,
        reactor: Reactor,
        log: Logger,
        pools: Mapping[str, Pool],
        *,
        tell: Callable[[Iterable[LvsEvent]], None],
        show: Callable[[Pool], None],
    ) -> None:
        self._reactor = reactor
        self._log = log
        self._pools = pools
        self._tell = tell
        self._show = show
        self._core = Recoveries()
        self._timer: Timer | None = None

    def happened(self, event: LvsEvent) -> None:
        """Any event, before its pool is shown, so that a server that returns never stands there with all its weight."""
        if not isinstance(event, ServerUp | ServerDown):
            return
        rule = event.server.recovery
        if rule is None:
            return
        place, now_us = _place(event.service, event.server), self._reactor.now_us()
        if isinstance(event, ServerUp):
            share = self._core.up(place, rule, now_us, fresh=event.cause is not Cause.CHECK)
            self._at(place, lambda pool, health: setattr(health, "share", share))
        elif event.cause is Cause.CHECK and not event.never_up:
            held = self._core.down(place, rule, now_us, by_check=event.checker is not None)
            self._at(place, lambda pool, health: self._left(event, health, held))
        self._arm()

    def checked(self, pool: Pool, health: ServerHealth) -> None:
        """A result of one of a server's checks has been taken."""
        place = _place(pool.service, health.server)
        if health.server.recovery is not None and self._core.is_held(place):
            self._core.checked(place, not health.failed_checks, self._reactor.now_us())
            self._arm()

    def reloaded(self) -> None:
        """A reload is done: rules may be others, servers may be gone."""
        # Most servers have no such rule: the names of all of them would be most of what a reload takes.
        places: dict[Place, ServerHealth] = {
            (key, *item.key): item
            for key, pool in self._pools.items()
            for item in pool.servers
            if item.server.recovery is not None or item.share != WHOLE or REASON in item.holds
        }
        self._core.keep({place for place, item in places.items() if item.server.recovery is not None})
        for place, health in places.items():
            rule = health.server.recovery
            if rule is not None:
                for item in self._core.configure(place, rule):
                    self._carry_out(item)
            elif health.share != WHOLE or REASON in health.holds:
                self._at(place, lambda pool, health: self._give(pool, health, WHOLE))
                self._at(place, self._let_in)
        self._arm()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # ---- inside ----

    def _left(self, event: ServerDown, health: ServerHealth, held: bool) -> None:
        health.share = WHOLE
        rule = event.server.recovery
        if held and rule is not None:
            health.holds.add(REASON)
            name, hold_s = event.service.server_name(event.server), rule.flap_hold_us / SECOND_US
            self._log.error(
                f"Real server {name} of VS {event.service.name} went down {rule.flap_count} times within "
                f"{rule.flap_window_us / SECOND_US:g} s - it stays out until its checks are good for {hold_s:g} s"
            )

    def _wake(self) -> None:
        self._timer = None
        for item in self._core.due(self._reactor.now_us()):
            self._carry_out(item)
        self._arm()

    def _carry_out(self, item: Due) -> None:
        if isinstance(item, Share):
            share = item.share
            self._at(item.place, lambda pool, health: self._give(pool, health, share))
        else:
            self._at(item.place, self._let_in)

    def _give(self, pool: Pool, health: ServerHealth, share: int) -> None:
        before = pool.table_weight(health)
        health.share = share
        if pool.table_weight(health) != before:
            self._show(pool)

    def _let_in(self, pool: Pool, health: ServerHealth) -> None:
        if REASON in health.holds:
            self._tell(pool.release(health, REASON))
            self._show(pool)

    def _at(self, place: Place, act: Callable[[Pool, ServerHealth], None]) -> None:
        pool = self._pools.get(place[0])
        for health in pool.servers if pool is not None else ():
            if health.key == place[1:]:
                assert pool is not None
                act(pool, health)

    def _arm(self) -> None:
        when_us = self._core.wake_at()
        if self._timer is not None and self._timer.when_us == when_us:
            return
        self.close()
        if when_us is not None:
            self._timer = self._reactor.call_at(when_us, self._wake)


def _place(service: ServiceRef, server: RealServer) -> Place:
    return (service.key, server.address, server.port)

"""Real servers that somebody takes out for a while, whatever their checks say: ldirectord's maintenance directory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pykeepalived.lvs.events import LvsEvent
from pykeepalived.lvs.health import ServerHealth
from pykeepalived.lvs.pool import Pool

Place = tuple[str, str, int]
"""Service key, address, port."""


class HoldKeeper:
    """`tell` and `show`: what to do with events and changed pools."""

    def __init__(
        self,
        pools: Mapping[str, Pool],
        *,
        tell: Callable[[Iterable[LvsEvent]], None],
        show: Callable[[Pool], None],
    ) -> None:
        self._pools = pools
        self._tell = tell
        self._show = show

    def hold(self, matches: Iterable[Place], reason: str, text: str) -> None:
        """Take servers out until `release`. Unknown ones are ignored."""
        for pool, health in self._find(matches):
            if reason not in health.holds:
                self._tell(pool.hold(health, reason, text))
                self._show(pool)

    def release(self, matches: Iterable[Place], reason: str) -> None:
        """Take back what `hold` did."""
        for pool, health in self._find(matches):
            if reason in health.holds:
                self._tell(pool.release(health, reason))
                self._show(pool)

    def _find(self, matches: Iterable[Place]) -> Iterable[tuple[Pool, ServerHealth]]:
        for key, address, port in matches:
            pool = self._pools.get(key)
            for health in pool.servers if pool is not None else ():
                if health.key == (address, port):
                    assert pool is not None
                    yield pool, health

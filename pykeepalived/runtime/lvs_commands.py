"""What the checker process does for the control socket: drains, `weight`, `checks`, `explain` of real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from pykeepalived.dataplane import Dataplane
from pykeepalived.lvs.events import LvsEvent
from pykeepalived.lvs.health import CheckHealth, ServerHealth
from pykeepalived.lvs.pool import Pool
from pykeepalived.lvs.table import ServiceKey
from pykeepalived.model.lvs import Protocol
from pykeepalived.runtime.lvs_checks import Asked
from pykeepalived.runtime.lvs_drain import DrainKeeper, Refused, find_servers
from pykeepalived.runtime.lvs_explain import explain_server

#: Reading the kernel's counters of more at a time would hold checks up.
COUNTED_SERVERS: Final = 2000
_PROTOCOLS: Final = {int(protocol): protocol.name.lower() for protocol in Protocol}

Subscriptions = Mapping[CheckHealth, Asked]


class CheckerCommands:
    """`tell` and `show`: what to do with events and changed pools."""

    def __init__(
        self,
        pools: Mapping[str, Pool],
        drains: DrainKeeper,
        *,
        subscriptions: Callable[[], Subscriptions],
        tell: Callable[[Iterable[LvsEvent]], None],
        show: Callable[[Pool], None],
        dataplane: Callable[[], Dataplane | None] = lambda: None,
        keys: Callable[[], Mapping[str, Sequence[ServiceKey]]] = dict,
    ) -> None:
        self._pools = pools
        self._drains = drains
        self._subscriptions = subscriptions
        self._tell = tell
        self._show = show
        self._dataplane = dataplane
        self._keys = keys

    def command(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The answer; `error` says why there is none."""
        try:
            if name in {"drain", "undrain", "drains"}:
                return self._drains.command(name, arguments)
            if name == "counters":
                return self._counters(int(arguments.get("first", 0)), int(arguments.get("servers", COUNTED_SERVERS)))
            found = self._found(arguments)
            if name == "weight":
                self._weigh(found, arguments.get("weight"))
            elif name == "checks-run":
                self._run(found)
            elif name != "explain":
                return {"error": f"unknown command {name!r}"}
        except Refused as refused:
            return {"error": str(refused)}
        return {"servers": [self._explained(pool, health) for pool, health in found]}

    def _counters(self, first: int, room: int) -> dict[str, Any]:
        """What the kernel counts, of some services at a time."""
        dataplane = self._dataplane()
        if dataplane is None:
            return {"error": "no table is kept yet"}
        total = sum(len(pool.servers) for pool in self._pools.values())
        if total > COUNTED_SERVERS and not dataplane.counts_in_parts:
            return {"error": f"{dataplane.name}: the counters of more than {COUNTED_SERVERS} real servers are not read"}
        keys: dict[ServiceKey, None] = {}
        following: int | None = None
        for number, (name, pool) in enumerate(islice(self._pools.items(), first, None), first):
            if room <= 0:
                following = number
                break
            held = self._keys().get(name, ())
            keys.update(dict.fromkeys(held))
            room -= max(1, len(pool.servers) * len(held))
        try:
            found = dataplane.counters(keys)
        except OSError as error:
            return {"error": f"the kernel does not tell its counters: {error.strerror or error}"}
        return {
            "counters": [
                {
                    "protocol": _PROTOCOLS.get(key.protocol, "mark" if key.fwmark else str(key.protocol)),
                    "service": f"{key.fwmark}" if key.fwmark else joined(key.address, key.port),
                    "server": joined(place.address, place.port),
                    **msgspec.structs.asdict(counters),
                }
                for (key, place), counters in sorted(found.items())
            ],
            "next": following,
        }

    def _explained(self, pool: Pool, health: ServerHealth) -> dict[str, Any]:
        return explain_server(
            pool,
            health,
            self._subscriptions(),
            drain=str(self._drains.state(pool, health)["state"]),
            operator_weight=self._drains.operator_weight(pool, health),
        )

    def _found(self, arguments: Mapping[str, Any]) -> list[tuple[Pool, ServerHealth]]:
        return find_servers(self._pools, str(arguments.get("service") or ""), str(arguments.get("server") or ""))

    def _weigh(self, found: Iterable[tuple[Pool, ServerHealth]], weight: int | None) -> None:
        for pool, health in found:
            self._tell(self._drains.weigh(pool, health, weight))
            self._show(pool)

    def _run(self, found: Iterable[tuple[Pool, ServerHealth]]) -> None:
        subscriptions = self._subscriptions()
        for _pool, health in found:
            for check in health.checks:
                subscription = subscriptions.get(check)
                if subscription is not None:
                    subscription.check_now()


def joined(address: str, port: int) -> str:
    """ADDRESS:PORT, with brackets around IPv6."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

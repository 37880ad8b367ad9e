"""What an earlier process left in the kernel, held against what this one wants.

A process that was killed leaves addresses, routes and rules. Those of instances that go on as MASTER stay where they
are; everything else goes before this process says anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pykeepalived.model.vrrp import VrrpState
from pykeepalived.netio import netlink
from pykeepalived.netio.links import Monitor
from pykeepalived.runtime import vrrp_memory
from pykeepalived.runtime.program import Logger
from pykeepalived.runtime.vrrp_addresses import AddressKeeper, Placed
from pykeepalived.runtime.vrrp_generation import Generation, not_owned
from pykeepalived.runtime.vrrp_journal import Entry, Journal, Undo
from pykeepalived.runtime.vrrp_leftovers import bare, take_away
from pykeepalived.runtime.vrrp_route_side import RouteSide


class Inheritance:
    """Takes away what was left and is not wanted. Nothing here raises."""

    def __init__(
        self,
        requests: netlink.Requests,
        monitor: Monitor,
        *,
        journal: Journal,
        keeper: AddressKeeper,
        routes: RouteSide,
        log: Logger,
        memory: Mapping[str, str],
    ) -> None:
        """`memory` is what the process before told the parent (`vrrp_memory`)."""
        self._requests = requests
        self._monitor = monitor
        self._journal = journal
        self._keeper = keeper
        self._routes = routes
        self._log = log
        self._memory = memory

    def at_start(self, now: Generation) -> None:
        """Those of the dead process's list, and those of the file (behaviour section 9)."""
        masters = self._remembered_masters(now)
        staying = [now.endpoints[name] for name in masters]
        owned = {item.entry for item in now.owned()}
        owned |= {placed.entry for endpoint in staying for placed in endpoint.addresses()}
        found = self._journal.leftovers()
        self._routes.remove_leftovers(now.config, [item for item in found if isinstance(item, Undo)], masters)
        listed = [bare(entry) for entry in found if isinstance(entry, Entry) and entry not in owned]
        others = [endpoint for endpoint in now.endpoints.values() if endpoint not in staying]
        self._take_away([*listed, *(item for item in not_owned(others) if item.entry not in owned)])

    def after_start(self, now: Generation, masters: Iterable[str]) -> None:
        """Some cannot go on as MASTER (an interface went down meanwhile): theirs goes now."""
        if not self._memory:
            return
        staying = set(masters)
        lost = [now.endpoints[name] for name in self._remembered_masters(now) if name not in staying]
        self._take_away([item for item in not_owned(lost) if not self._keeper.is_held(item.entry)])

    def at_reload(self, old: Generation, new: Generation) -> None:
        """Addresses of instances that are new and yet have them."""
        running = {endpoint.key for endpoint in old.endpoints.values()}
        fresh = [endpoint for endpoint in new.endpoints.values() if endpoint.key not in running]
        self._take_away([item for item in not_owned(fresh) if not self._keeper.is_held(item.entry)])

    def _remembered_masters(self, now: Generation) -> list[str]:
        """Instances that were MASTER in a process that was killed a moment ago: what they hold may stay."""
        states = vrrp_memory.states_of(self._memory, now.config.instances)
        return [name for name, state in states.items() if state is VrrpState.MASTER]

    def _take_away(self, leftovers: list[Placed]) -> None:
        staying = take_away(self._requests, self._monitor, leftovers, self._log, "an earlier run")
        self._keeper.owe(staying)

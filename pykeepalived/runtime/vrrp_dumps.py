"""The files that a VRRP process writes when it is asked: what is put into them, and since when counters count."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set

from pykeepalived.model.common import Family
from pykeepalived.netio.links import KernelAddress, Monitor
from pykeepalived.netio.sockets import SocketPool
from pykeepalived.runtime import vrrp_data, vrrp_dump
from pykeepalived.runtime.vrrp_addresses import AddressKeeper
from pykeepalived.runtime.vrrp_endpoints import virtual_addresses
from pykeepalived.runtime.vrrp_generation import Generation
from pykeepalived.runtime.vrrp_view import View, counters
from pykeepalived.vrrp.router import Router


class Dumps:
    """One picture of everything (`vrrp_view.View`) for all kinds of files."""

    def __init__(
        self, router: Router, monitor: Monitor, keeper: AddressKeeper, pool: SocketPool, now_us: Callable[[], int]
    ) -> None:
        self._router = router
        self._monitor = monitor
        self._keeper = keeper
        self._pool = pool
        self._now_us = now_us
        self.baseline: dict[str, dict[str, int]] = {}
        """Counters of the instances when they were last cleared, by name."""

    def text(self, kind: str, generation: Generation) -> str | None:
        """The content of the file of this kind; None for a kind that VRRP has nothing for."""
        view = self._view(generation)
        match kind:
            case "data":
                return vrrp_data.data(view)
            case "json":
                return vrrp_dump.json(view)
            case "stats" | "stats_clear":
                text = vrrp_dump.stats(view)
                if kind == "stats_clear":
                    self.baseline = {item.name: counters(item.stats) for item in view.instances}
                return text
            case _:
                return None

    def rename(self, names: Mapping[str, str]) -> None:
        """A reload gave instances other names."""
        if names:
            self.baseline = {names.get(name, name): counts for name, counts in self.baseline.items()}

    def _view(self, generation: Generation) -> View:
        places = {name: endpoint.place for name, endpoint in generation.endpoints.items()}
        descriptors = {place: self._pool.descriptors(place) for place in set(places.values())}
        virtual = virtual_addresses(generation.endpoints.values())
        return View(
            config=generation.config,
            instances=self._router.status(),
            groups=self._router.group_status(),
            scripts=self._router.script_status(),
            processes=self._router.process_status(),
            files=self._router.file_values(),
            links=tuple(self._monitor.links()),
            addresses={link.name: self._own_addresses(link.name, virtual) for link in self._monitor.links()},
            held=self._keeper.entries(),
            places=places,
            descriptors={place: pair for place, pair in descriptors.items() if pair is not None},
            baseline=self.baseline,
            now_us=self._now_us(),
        )

    def _own_addresses(self, ifname: str, virtual: Set[tuple[str, str]]) -> tuple[KernelAddress, ...]:
        found = (*self._monitor.addresses(ifname, Family.INET), *self._monitor.addresses(ifname, Family.INET6))
        return tuple(each for each in found if (ifname, each.address) not in virtual)

"""Routes and rules of one VRRP process: the static ones, the watch over all of them, what earlier processes left."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from pykeepalived.model.config import Config
from pykeepalived.model.routing import VirtualRoute
from pykeepalived.netio import netlink
from pykeepalived.netio.links import LinkUpdate, Monitor, Update
from pykeepalived.netio.route_watch import RouteWatch
from pykeepalived.netio.routes import NoInterface
from pykeepalived.reactor import READ, Reactor
from pykeepalived.runtime.program import Logger
from pykeepalived.runtime.vrrp_addresses import STATIC
from pykeepalived.runtime.vrrp_generation import OWNER_PRIORITY
from pykeepalived.runtime.vrrp_journal import Undo
from pykeepalived.runtime.vrrp_routes import Line, LostLine, RouteKeeper, describe, take_away_lines


class RouteSide:
    """What the VRRP process does about routes and rules besides what its instances want."""

    def __init__(
        self, requests: netlink.Requests, monitor: Monitor, keeper: RouteKeeper, reactor: Reactor, log: Logger
    ) -> None:
        self._requests = requests
        self._monitor = monitor
        self._keeper = keeper
        self._reactor = reactor
        self._log = log
        self._watch: RouteWatch | None = None
        self._static: tuple[Line, ...] = ()

    def configure(self, config: Config, on_change: Callable[[int], None]) -> None:
        """Watch from now on, if this configuration has lines whose loss matters. `on_change` is for the reactor."""
        lines: list[Line] = [*config.static_routes, *config.static_rules]
        for instance in config.instances:
            lines += (*instance.routes, *instance.rules)
        needed = any(line.tracked for line in lines)
        if needed and self._watch is None:
            try:
                self._watch = RouteWatch()
            except OSError as error:
                self._log.error(f"Netlink: cannot watch routes - {error.strerror or error}")
                return
            self._reactor.watch(self._watch.fileno(), READ, on_change)
        elif not needed:
            self._close_watch()

    def close(self) -> None:
        self._close_watch()

    def _close_watch(self) -> None:
        if self._watch is not None:
            self._reactor.unwatch(self._watch.fileno())
            self._watch.close()
            self._watch = None

    # ---- static lines ----

    def set_static(self, config: Config) -> None:
        """Bring static routes and rules to those of a configuration; what stays is left alone."""
        self._static = (*config.static_routes, *config.static_rules)
        self._keeper.replace(STATIC, self._static)
        self._flush()

    def remove_static(self) -> None:
        self._static = ()
        self._keeper.remove(STATIC)
        self._flush()

    def follow_links(self, updates: Iterable[Update]) -> None:
        """Static routes go with their interface, and come back with it."""
        back = {item.name for item in updates if isinstance(item, LinkUpdate) and item.new is not None and item.new.up}
        routes = [line for line in self._static if isinstance(line, VirtualRoute)]
        again = [line for line in routes if line.tracked and line.via.dev in back]
        if again:
            self._keeper.add(STATIC, again)
            self._flush()

    def _flush(self) -> None:
        self._keeper.flush_removals()
        self._keeper.flush_additions()

    # ---- what others take away ----

    def losses(self) -> list[LostLine]:
        """Lines of instances that are gone; static ones are put back at once (keepalived-behaviour section 9)."""
        if self._watch is None:
            return []
        try:
            lost = self._keeper.lost(self._watch)
        except OSError as error:
            self._log.error(f"Netlink: cannot read routes - {error.strerror or error}")
            return []
        static = [item.line for item in lost if item.owner == STATIC and self._usable(item.line)]
        for line in static:
            self._log.info(f"Restoring deleted static {describe(line)}")
        if static:
            self._keeper.add(STATIC, static)
            self._keeper.flush_additions()
        return [item for item in lost if item.owner != STATIC]

    def _usable(self, line: Line) -> bool:
        """A route over an interface that is down waits for it."""
        if not isinstance(line, VirtualRoute) or line.via.dev is None:
            return True
        link = self._monitor.link(line.via.dev)
        return link is not None and link.up

    # ---- what earlier processes left ----

    def remove_leftovers(self, config: Config, listed: Iterable[Undo], masters: Collection[str] = ()) -> None:
        """Lines that a dead process noted, and those of instances that must not have them before an election.

        `masters` go on from that process and keep theirs.
        """
        owned: dict[Undo, None] = {}
        others: dict[Undo, None] = dict.fromkeys(listed)
        for instance in config.instances:
            keeps = instance.priority == OWNER_PRIORITY or instance.name in masters
            undos = owned if keeps else others
            undos.update(dict.fromkeys(self._undos((*instance.rules, *instance.routes))))
        owned.update(dict.fromkeys(self._undos((*config.static_rules, *config.static_routes))))
        take_away_lines(self._requests, [undo for undo in others if undo not in owned], self._log)

    def _undos(self, lines: Iterable[Line]) -> list[Undo]:
        found = []
        for line in lines:
            try:
                found.append(self._keeper.held_of(line).undo)
            except (NoInterface, OSError):
                continue  # without its interface it cannot be there
        return found

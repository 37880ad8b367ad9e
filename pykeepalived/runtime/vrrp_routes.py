"""The routes and rules that we hold: who wanted them, what is written down about them, whether they are still there."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from pykeepalived.model.routing import VirtualRoute, VirtualRule
from pykeepalived.netio import netlink, routes, rules
from pykeepalived.netio.links import Monitor
from pykeepalived.netio.route_watch import RouteKey, RouteWatch, RuleKey, route_key, rule_key
from pykeepalived.runtime.program import Logger
from pykeepalived.runtime.vrrp_journal import Journal, Undo

Line = VirtualRoute | VirtualRule

#: What "it is there already" and "it is not there" look like; the wish is fulfilled all the same.
_TOLERATED_ADD: Final = frozenset({errno.EEXIST})
TOLERATED_REMOVE: Final = frozenset({errno.ESRCH, errno.ENOENT, errno.ENODEV, errno.EADDRNOTAVAIL})


class Held(msgspec.Struct, frozen=True):
    """A line that is in the kernel: how to take it away, and how to find it when it is watched."""

    line: Line
    undo: Undo
    key: RouteKey | RuleKey | None


class LostLine(msgspec.Struct, frozen=True):
    """A route or rule of `owner` that somebody else took away."""

    owner: str
    line: Line


class RouteKeeper:
    """Collects changes and makes them in two batches: removals before addresses go, additions after they have come."""

    def __init__(self, requests: netlink.Requests, monitor: Monitor, journal: Journal, log: Logger) -> None:
        self._requests = requests
        self._monitor = monitor
        self._journal = journal
        self._log = log
        self._held: dict[str, dict[Line, Held]] = {}
        self._removals: list[Held] = []
        self._additions: dict[tuple[str, Line], None] = {}

    # ---- wishes ----

    def add(self, owner: str, lines: Iterable[Line]) -> None:
        """Queue lines to be added by `flush_additions`, routes before rules."""
        wanted = list(lines)
        for kind in (VirtualRoute, VirtualRule):
            self._additions.update({(owner, line): None for line in wanted if isinstance(line, kind)})

    def remove(self, owner: str, lines: Iterable[Line] | None = None) -> None:
        """Queue lines of an owner to be removed by `flush_removals`, all by default, rules before routes."""
        chosen = None if lines is None else set(lines)
        for key in [key for key in self._additions if key[0] == owner and (chosen is None or key[1] in chosen)]:
            del self._additions[key]
        held = self._held.get(owner, {})
        leaving = [item for line, item in held.items() if chosen is None or line in chosen]
        for item in leaving:
            del held[item.line]
        if not held:
            self._held.pop(owner, None)
        for kind in (VirtualRule, VirtualRoute):
            self._removals += [item for item in reversed(leaving) if isinstance(item.line, kind)]

    def replace(self, owner: str, lines: Sequence[Line]) -> None:
        """Bring what an owner has to these lines; what stays is left alone."""
        wanted = set(lines)
        held = self._held.get(owner, {})
        self.remove(owner, [line for line in held if line not in wanted])
        self.add(owner, [line for line in lines if line not in held])

    def rename(self, names: dict[str, str]) -> None:
        """Owners have new names, all at once."""
        self._held = {names.get(owner, owner): held for owner, held in self._held.items()}

    # ---- doing it ----

    def flush_removals(self) -> None:
        removals, self._removals = self._removals, []
        shared = {item.undo for held in self._held.values() for item in held.values()} if removals else set()
        leaving = [item for item in removals if item.undo not in shared]
        if not leaving:
            return
        failed = self._send([(item.undo.kind, 0, item.undo.body) for item in leaving], TOLERATED_REMOVE)
        if failed is None:
            return
        for index, reason in failed.items():
            self._log.error(f"Netlink: cannot remove {describe(leaving[index].line)} - {reason}")
        self._journal.note(removed=[item.undo for index, item in enumerate(leaving) if index not in failed])

    def flush_additions(self) -> None:
        additions, self._additions = self._additions, {}
        requests: list[tuple[int, int, bytes]] = []
        items: list[tuple[str, Held]] = []
        for owner, line in additions:
            try:
                requests.append(self._request(line))
                items.append((owner, self.held_of(line)))
            except routes.NoInterface as error:
                self._log.error(f"Netlink: cannot add {describe(line)} - no interface {error.args[0]}")
            except OSError as error:
                self._log.error(f"Netlink: cannot add {describe(line)} - {error}")
        if not items:
            return
        self._journal.note(added=[item.undo for _, item in items])
        failed = self._send(requests, _TOLERATED_ADD)
        if failed is None:
            return
        for index, reason in failed.items():
            self._log.error(f"Netlink: cannot add {describe(items[index][1].line)} - {reason}")
        self._journal.note(removed=[items[index][1].undo for index in failed])
        for index, (owner, item) in enumerate(items):
            if index not in failed:
                self._held.setdefault(owner, {})[item.line] = item

    def _send(self, requests: list[tuple[int, int, bytes]], tolerated: frozenset[int]) -> dict[int, str] | None:
        """The refused ones with the reason; None when netlink itself failed, which is logged."""
        try:
            failures = self._requests.change(requests)
        except OSError as error:
            self._log.error(f"Netlink: cannot change routes - {error.strerror or error}")
            return None
        return {item.index: item.reason() for item in failures if item.errno not in tolerated}

    def _request(self, line: Line) -> tuple[int, int, bytes]:
        if isinstance(line, VirtualRule):
            return netlink.RTM_NEWRULE, rules.FLAGS, rules.encode(line)
        return netlink.RTM_NEWROUTE, routes.flags(line), routes.encode(line, self._index, self._table(line))

    def held_of(self, line: Line) -> Held:
        """How this line is taken away and found. Raises NoInterface, OSError."""
        if isinstance(line, VirtualRule):
            undo = Undo(netlink.RTM_DELRULE, rules.encode(line))
            return Held(line, undo, rule_key(line) if line.tracked else None)
        table = self._table(line)
        undo = Undo(netlink.RTM_DELROUTE, routes.encode_removal(line, self._index, table))
        return Held(line, undo, route_key(line, self._index, table) if line.tracked else None)

    def _index(self, name: str) -> int | None:
        link = self._monitor.link(name)
        return None if link is None else link.index

    def _table(self, route: VirtualRoute) -> int:
        if route.vrf is None:
            return route.table
        link = self._monitor.link(route.vrf)
        if link is None or link.table is None:
            raise routes.NoInterface(route.vrf)
        return link.table

    # ---- what is there ----

    def watched(self) -> bool:
        """Something is held whose loss matters."""
        return any(item.key is not None for held in self._held.values() for item in held.values())

    def lost(self, watch: RouteWatch) -> list[LostLine]:
        """Held lines that are gone; they are held no longer. Raises OSError."""
        if not watch.suspicious() or not self.watched():
            return []
        present_routes, present_rules = watch.present()
        found: list[LostLine] = []
        for owner, held in self._held.items():
            for item in held.values():
                if item.key is not None and item.key not in present_routes and item.key not in present_rules:
                    found.append(LostLine(owner, item.line))
        for gone in found:
            self._journal.note(removed=[self._held[gone.owner].pop(gone.line).undo])
        return found

    def on_interface(self, owner: str, ifname: str) -> list[VirtualRoute]:
        """Routes of an owner that need this interface."""
        return [line for line in self._held.get(owner, {}) if isinstance(line, VirtualRoute) and _needs(line, ifname)]


def _needs(route: VirtualRoute, ifname: str) -> bool:
    return route.via.dev == ifname or any(way.dev == ifname for way in route.nexthops)


def describe(line: Line) -> str:
    return f"{'rule' if isinstance(line, VirtualRule) else 'route'} {' '.join(line.words)}"


def take_away_lines(requests: netlink.Requests, undos: Sequence[Undo], log: Logger) -> None:
    """Remove routes and rules that may be there. Never raises."""
    if not undos:
        return
    try:
        failures = requests.change([(undo.kind, 0, undo.body) for undo in undos])
    except OSError as error:
        log.error(f"Netlink: cannot remove routes of an earlier run - {error.strerror or error}")
        return
    gone = len(undos) - len(failures)
    if gone:
        log.info(f"Removed {gone} routes and rules left by an earlier run")
    for failure in failures:
        if failure.errno not in TOLERATED_REMOVE:
            log.error(f"Netlink: cannot remove a route or rule of an earlier run - {failure.reason()}")

"""What is done about addresses, routes and rules that another program took away.

Static ones are put back. What an instance held sends it from MASTER to BACKUP for one skew time, as keepalived does, so
that everything comes anew with an election; with `on_loss reinstate` (ours) it is put back and announced on the spot.
A program that takes away what we put back does not have its way for ever, nor do we: beyond a few times a second the
instance does what keepalived does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pykeepalived.netio.links import LinkUpdate, Update
from pykeepalived.runtime.program import Logger
from pykeepalived.runtime.vrrp_addresses import STATIC, AddressKeeper, Lost, Placed
from pykeepalived.runtime.vrrp_announcer import Announcer
from pykeepalived.runtime.vrrp_generation import Generation
from pykeepalived.runtime.vrrp_routes import LostLine, RouteKeeper, describe
from pykeepalived.vrrp.events import AddressLost
from pykeepalived.vrrp.output import Budget

_REINSTATEMENTS_PER_S: Final = 5


class Losses:
    """Judges every loss. Both methods return what the router has to be told."""

    def __init__(self, keeper: AddressKeeper, routes: RouteKeeper, announcer: Announcer, log: Logger) -> None:
        self._keeper = keeper
        self._routes = routes
        self._announcer = announcer
        self._log = log
        self._budgets: dict[str, Budget] = {}

    def of_addresses(self, lost: Iterable[Lost], now: Generation, now_us: int) -> list[AddressLost]:
        told: list[AddressLost] = []
        again: list[tuple[str, Placed]] = []
        for item in lost:
            ifname, address = item.placed.ifname, item.placed.address.prefix.address
            self._log.detail(f"Netlink reflector reports IP {address} removed from {ifname}")
            if item.owner == STATIC or self._reinstates(item.owner, now, now_us):
                again.append((item.owner, item.placed))
            else:
                told.append(AddressLost(item.owner, address, ifname))
        for owner, placed in again:
            self._keeper.add(owner, [placed])
        if again:
            self._keeper.flush()
        for owner, placed in again:
            if owner != STATIC:
                self._log.info(f"({owner}) Put {placed.address.prefix} back on {placed.ifname}")
                self._announcer.send(self._announcer.frames(owner, [placed]))
        return told

    def of_links(self, updates: Iterable[Update]) -> None:
        """Static addresses of interfaces that were made anew are put there again, as keepalived does."""
        names = {item.name for item in updates if isinstance(item, LinkUpdate) and _made_anew(item)}
        again = [placed for placed in self._keeper.held(STATIC) if placed.ifname in names] if names else []
        if again:
            for placed in again:
                self._log.info(f"Restoring static address {placed.address.prefix} on {placed.ifname}")
            self._keeper.add(STATIC, again)
            self._keeper.flush()

    def of_lines(self, lost: Iterable[LostLine], now: Generation, now_us: int) -> list[AddressLost]:
        told: dict[str, AddressLost] = {}
        for item in lost:
            self._log.detail(f"Netlink reflector reports {describe(item.line)} deleted")
            if self._reinstates(item.owner, now, now_us):
                self._log.info(f"({item.owner}) Put {describe(item.line)} back")
                self._routes.add(item.owner, [item.line])
            else:
                told.setdefault(item.owner, AddressLost(item.owner, describe(item.line), ""))
        self._routes.flush_additions()
        return list(told.values())

    def _reinstates(self, owner: str, now: Generation, now_us: int) -> bool:
        endpoint = now.endpoints.get(owner)
        if endpoint is None or endpoint.instance.on_loss != "reinstate":
            return False
        return self._budgets.setdefault(owner, Budget(_REINSTATEMENTS_PER_S)).spend(now_us)


def _made_anew(update: LinkUpdate) -> bool:
    return update.new is not None and (update.old is None or update.old.index != update.new.index)

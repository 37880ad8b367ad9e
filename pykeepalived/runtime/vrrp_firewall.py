"""Keeps the packet filter in step with what the instances hold (see `netio.firewall` for what stands in it).

The tables are made whole at start and whenever virtual MAC interfaces change; an election changes elements of their
sets only. Addresses are blocked before they are put on an interface, and freed after they were taken off.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from pykeepalived.dataplane import DataplaneUnavailable
from pykeepalived.dataplane.libnftables import NftError, Runner, open_runner
from pykeepalived.model.common import Family
from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import VrrpInstance
from pykeepalived.netio.firewall import Blocked, GuardedLink, Shape, element_text, removal_text, table_text
from pykeepalived.netio.firewall_iptables import Directly, Iptables
from pykeepalived.netio.links import SCOPE_LINK, Monitor
from pykeepalived.processes.scripts import Launcher
from pykeepalived.runtime.program import Logger
from pykeepalived.runtime.vrrp_links import Wanted, wanted_links
from pykeepalived.runtime.vrrp_links_journal import LinksJournal, Made
from pykeepalived.vrrp.facts import all_addresses
from pykeepalived.vrrp.links import blocks


def _addresses(instance: VrrpInstance) -> list[Blocked]:
    return [Blocked(item.prefix.address, "") for item in all_addresses(instance)]


class Filter(Protocol):
    """One way to filter. All methods raise OSError when it is refused."""

    def make(self, shape: Shape, blocked: Iterable[Blocked]) -> None:
        """Make everything anew."""
        ...

    def change(self, shape: Shape, changes: Sequence[tuple[bool, Blocked]]) -> None:
        """Block (True) and free addresses."""
        ...

    def remove(self, shape: Shape) -> None: ...

    def close(self) -> None: ...


class Nftables:
    """Two tables of nftables. Raises OSError where nftables does not work."""

    def __init__(self) -> None:
        try:
            self._runner: Runner = open_runner()
        except DataplaneUnavailable as error:
            raise OSError(95, str(error)) from error

    def make(self, shape: Shape, blocked: Iterable[Blocked]) -> None:
        self._run(table_text(shape, blocked))

    def change(self, shape: Shape, changes: Sequence[tuple[bool, Blocked]]) -> None:
        self._run(element_text(shape.settings, changes))

    def remove(self, shape: Shape) -> None:
        self._run(removal_text(shape.settings.table))

    def close(self) -> None:
        self._runner.close()

    def _run(self, text: str) -> None:
        try:
            self._runner.run(text)
        except NftError as error:
            raise OSError(5, str(error)) from error


class Firewall:
    """The filter of all instances."""

    def __init__(
        self, monitor: Monitor, journal: LinksJournal, made: Made, log: Logger, launcher: Launcher | None = None
    ) -> None:
        """`launcher` runs iptables; None: as our own children."""
        self._launcher = launcher or Directly()
        self._monitor = monitor
        self._journal = journal
        self._made = made
        self._log = log
        self._filter: Filter | None = None
        self._shape: Shape | None = None
        self._wanted: dict[str, tuple[Blocked, ...]] = {}
        """By instance."""
        self._blocked: set[Blocked] = set()
        """What the kernel has."""
        self._failed = ""

    def configure(self, config: Config) -> None:
        """Take the shape that the configuration needs; at start this replaces what a killed process left."""
        settings = config.globals.firewall
        links = self._guarded(wanted_links(config))
        addresses = [each for item in config.instances if blocks(item) for each in _addresses(item)]
        families, local = frozenset(each.family for each in addresses), any(each.link_local for each in addresses)
        shape = Shape(settings, families, local, links)
        if shape.empty:
            self._remove()
            return
        if not settings.chosen and self._shape is None:
            self._log.info("use_vmac or no_accept/strict specified, but no firewall configured - using nftables")
        if self._shape is not None and self._shape.settings != settings:
            # Another table, other chains: what stands goes as a whole, and what is wanted comes anew in its place.
            self._remove()
            if self._filter is not None:
                self._filter.close()
                self._filter = None
        self._take(shape)

    def refresh(self, config: Config) -> None:
        """Virtual interfaces or link-local addresses changed: sets that hold indexes are made anew."""
        if self._shape is not None:
            self._take(msgspec.structs.replace(self._shape, links=self._guarded(wanted_links(config))))

    def block(self, owner: str, addresses: Iterable[Blocked]) -> None:
        """What an instance wants blocked from now on; `tighten` does it."""
        self._wanted[owner] = tuple(addresses)

    def free(self, owner: str) -> None:
        """An instance wants nothing blocked any more; `loosen` does it."""
        self._wanted.pop(owner, None)

    def rename(self, names: dict[str, str]) -> None:
        self._wanted = {names.get(owner, owner): found for owner, found in self._wanted.items()}

    def tighten(self) -> None:
        """Before addresses are added: block what is wanted and not yet blocked."""
        self._change([(True, item) for item in sorted(self._all() - self._blocked, key=str)])

    def loosen(self) -> None:
        """After addresses were removed: free what nobody wants blocked."""
        self._change([(False, item) for item in sorted(self._blocked - self._all(), key=str)])

    def close(self, *, release: bool) -> None:
        if release:
            self._remove()
        if self._filter is not None:
            self._filter.close()
            self._filter = None

    # ---- doing ----

    def _all(self) -> set[Blocked]:
        found = {item for items in self._wanted.values() for item in items}
        return {item for item in found if not item.link_local or self._monitor.link(item.ifname) is not None}

    def _guarded(self, wanted: dict[str, Wanted]) -> tuple[GuardedLink, ...]:
        found = []
        for ifname, item in wanted.items():
            if self._monitor.link(ifname) is None or self._monitor.link(item.link.base) is None:
                continue
            local = None
            if item.family is Family.INET6:
                known = self._monitor.addresses(item.link.base, Family.INET6)
                local = next((each.address for each in known if each.scope == SCOPE_LINK), None)
            if item.link.kind == "macvlan":
                found.append(GuardedLink(ifname, item.link.base, item.family, item.link.kind, local))
        return tuple(found)

    def _open(self, shape: Shape) -> Filter:
        if self._filter is None:
            self._filter = Iptables(self._launcher) if shape.settings.chains is not None else Nftables()
        return self._filter

    def _take(self, shape: Shape) -> None:
        wanted = self._all() | self._blocked
        try:
            kept = self._open(shape)
            self._note(shape)
            kept.make(shape, wanted)
        except OSError as error:
            self._say(error)
            return
        self._shape, self._blocked, self._failed = shape, wanted, ""

    def _change(self, changes: Sequence[tuple[bool, Blocked]]) -> None:
        if not changes or self._shape is None or self._filter is None:
            return
        try:
            self._filter.change(self._shape, changes)
            self._failed = ""
        except OSError as error:
            # Somebody else may have taken our tables away: make them anew, with what is wanted now.
            self._blocked = self._all() | {item for add, item in changes if add}
            self._say(error)
            self._take(self._shape)
            return
        for add, item in changes:
            (self._blocked.add if add else self._blocked.discard)(item)

    def _remove(self) -> None:
        if self._shape is None or self._filter is None:
            return
        try:
            self._filter.remove(self._shape)
        except OSError as error:
            self._say(error)
            return
        self._shape, self._blocked = None, set()
        self._made.tables, self._made.iptables = [], []
        self._journal.write(self._made)

    def _note(self, shape: Shape) -> None:
        """Write down what is about to be made, so that it can be removed without us."""
        if shape.settings.chains is not None:
            self._made.iptables = Iptables.undoing(shape)
        elif shape.settings.table not in self._made.tables:
            self._made.tables = [shape.settings.table]
        self._journal.write(self._made)

    def _say(self, error: OSError) -> None:
        text = f"Cannot set up the packet filter - {error.strerror or error}"
        if text != self._failed:
            self._failed = text
            self._log.error(text)


def remove_left(made: Made, log: Logger, launcher: Launcher | None = None) -> None:
    """Remove what a process that died left of the packet filter."""
    try:
        if made.tables:
            runner = open_runner()
            for table in made.tables:
                runner.run(removal_text(table))
            runner.close()
        Iptables(launcher or Directly()).undo(made.iptables)
    except (OSError, DataplaneUnavailable) as error:
        log.error(f"Cannot remove what a killed process left of the packet filter - {error}")

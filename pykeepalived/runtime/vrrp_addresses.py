"""The addresses that we hold: who wanted them, what is written down about them, and whether they are still there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from pykeepalived.model.vrrp import VirtualAddress
from pykeepalived.netio import netlink
from pykeepalived.netio.addresses import AddressChange, apply
from pykeepalived.netio.links import AddressUpdate, Monitor, Update
from pykeepalived.runtime.program import Logger
from pykeepalived.runtime.vrrp_journal import Entry, Journal

#: Owner of `static_ipaddress`.
STATIC = ""


class Placed(msgspec.Struct, frozen=True):
    """An address and the interface where it belongs."""

    ifname: str
    address: VirtualAddress

    @property
    def entry(self) -> Entry:
        # With a peer the kernel lists the peer's prefix length.
        length = (self.address.peer or self.address.prefix).length
        return Entry(self.ifname, self.address.prefix.address, length)


class Lost(msgspec.Struct, frozen=True):
    """An address of `owner` that somebody else took away."""

    owner: str
    placed: Placed


class AddressKeeper:
    """Collects changes, makes them in one batch, and knows what is held.

    Two instances that claim the same address are a fault of the configuration; the last one that added it is its owner,
    and the other one's removal leaves it alone.
    """

    def __init__(self, requests: netlink.Requests, monitor: Monitor, journal: Journal, log: Logger) -> None:
        self._requests = requests
        self._monitor = monitor
        self._journal = journal
        self._log = log
        self._owners: dict[Entry, str] = {}
        self._held: dict[str, dict[Entry, Placed]] = {}
        """By owner, each in the order of adding."""
        self._queue: list[AddressChange] = []
        self._unfinished: dict[Entry, AddressChange] = {}
        """What the kernel refused, or may not have done: the newest wish for each address."""
        self.on_failure: Callable[[], None] = _nothing
        """Called when a flush leaves something unfinished; see `vrrp_retries`."""
        self._overruns = monitor.overruns

    # ---- wishes ----

    def add(self, owner: str, wanted: Iterable[Placed]) -> None:
        """Queue addresses to be added; `flush` does it."""
        for placed in wanted:
            entry = placed.entry
            before = self._owners.get(entry)
            if before is not None and before != owner:
                self._forget(entry, before)
            self._owners[entry] = owner
            self._held.setdefault(owner, {})[entry] = placed
            self._queue.append(AddressChange(True, placed.ifname, placed.address))

    def remove(self, owner: str, unwanted: Iterable[Placed] | None = None) -> None:
        """Queue addresses of an owner to be removed, all of them by default."""
        held = self._held.get(owner, {})
        entries = list(held) if unwanted is None else [item.entry for item in unwanted]
        # Last in, first out: a primary address goes after the secondary ones that would vanish with it.
        for entry in reversed(entries):
            placed = held.get(entry)
            if placed is not None:
                self._forget(entry, owner)
                self._queue.append(AddressChange(False, entry.ifname, placed.address))

    def change_static(self, old: Sequence[VirtualAddress], new: Sequence[VirtualAddress]) -> None:
        """`static_ipaddress` at the start (nothing is old) and at a reload; what stays is not touched."""
        self.remove(STATIC, [Placed(item.dev, item) for item in old if item.dev and item not in new])
        self.add(STATIC, [Placed(item.dev, item) for item in new if item.dev and item not in old])
        self.flush()

    def _forget(self, entry: Entry, owner: str) -> None:
        del self._owners[entry]
        del self._held[owner][entry]
        if not self._held[owner]:
            del self._held[owner]

    def rename(self, names: dict[str, str]) -> None:
        """Owners have new names, all at once."""
        self._held = {names.get(owner, owner): held for owner, held in self._held.items()}
        self._owners = {entry: owner for owner, held in self._held.items() for entry in held}

    def flush(self) -> None:
        """Make the queued changes in one batch; whatever the kernel refuses is named in the log."""
        if not self._queue:
            return
        changes, self._queue = self._queue, []
        self._journal.note(added=[_entry(change) for change in changes if change.add])
        for change in changes:
            self._unfinished.pop(_entry(change), None)
        self._make(changes, self._log.error)
        if self._unfinished:
            self.on_failure()

    def _make(self, changes: Sequence[AddressChange], complain: Callable[[str], None]) -> None:
        """What fails is unfinished from now on."""
        try:
            refused = apply(self._requests, self._index, changes)
        except OSError as error:
            # An answer was lost: some of it may have been done, and all of it may be done twice.
            complain(f"Netlink: cannot change addresses - {error.strerror or error}")
            self._unfinished.update((_entry(change), change) for change in changes)
            return
        for item in refused:
            complain(f"Netlink: cannot {item.change} - {item.reason}")
        failed = {_entry(item.change): item.change for item in refused}
        # Several changes of one address may stand in one batch; the last one counts.
        last = {_entry(change): change for change in changes}
        self._unfinished.update((entry, change) for entry, change in failed.items() if last[entry] == change)
        gone = [_entry(change) for change in changes if not change.add]
        self._journal.note(removed=[entry for entry in gone if entry not in failed and entry not in self._owners])

    # ---- what did not succeed ----

    def owe(self, unwanted: Sequence[Placed]) -> None:
        """Addresses of an earlier process that could not be removed: they are to go as soon as they can."""
        owed = {placed.entry: placed for placed in unwanted if placed.entry not in self._owners}
        if owed:
            self._journal.note(added=owed)
            self._unfinished.update(
                (entry, AddressChange(False, entry.ifname, placed.address)) for entry, placed in owed.items()
            )
            self.on_failure()

    @property
    def unfinished(self) -> bool:
        return bool(self._unfinished)

    def try_again(self) -> list[tuple[str, Placed]]:
        """Make what failed and is still wanted; it is no error of its own if it fails again. Returns what came."""
        unfinished, self._unfinished = self._unfinished, {}
        changes = [change for entry, change in unfinished.items() if change.add is (entry in self._owners)]
        if not changes:
            return []
        self._make(changes, self._log.detail)
        came: list[tuple[str, Placed]] = []
        for change in changes:
            entry = _entry(change)
            if entry not in self._unfinished:
                self._log.info(f"Netlink: {change} succeeded after a failure")
                if change.add:
                    came.append((self._owners[entry], self._held[self._owners[entry]][entry]))
        return came

    def _index(self, ifname: str) -> int | None:
        link = self._monitor.link(ifname)
        return None if link is None else link.index

    # ---- what is there ----

    def held(self, owner: str) -> list[Placed]:
        """What an owner has, in the order of adding."""
        return list(self._held.get(owner, {}).values())

    def is_held(self, entry: Entry) -> bool:
        return entry in self._owners

    def entries(self) -> frozenset[Entry]:
        """Everything that is held."""
        return frozenset(self._owners)

    def lost(self, updates: Sequence[Update]) -> tuple[list[Lost], list[Update]]:
        """Held addresses that are gone, after these changes; and further changes that came to light on the way.

        A report that an address went may be older than our adding it, so a suspicion is checked against the kernel.
        """
        suspects = [entry for entry in map(self._entry_of, updates) if entry is not None and entry in self._owners]
        if self._monitor.overruns != self._overruns:
            self._overruns = self._monitor.overruns
            suspects = list(self._owners)
        if not suspects:
            return [], []
        further = self._monitor.resynchronise()
        lost = [
            Lost(self._owners[entry], self._held[self._owners[entry]][entry])
            for entry in suspects
            if not self._monitor.has_address(entry.ifname, entry.address, entry.length)
        ]
        return lost, further

    def _entry_of(self, update: Update) -> Entry | None:
        if not isinstance(update, AddressUpdate) or update.present:
            return None
        link = self._monitor.link_by_index(update.address.index)
        # An interface that is gone takes its addresses with it; that is a matter of LinkUpdate.
        return None if link is None else Entry(link.name, update.address.address, update.address.length)


def _entry(change: AddressChange) -> Entry:
    return Placed(change.ifname, change.address).entry


def _nothing() -> None:
    pass

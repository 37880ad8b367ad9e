"""What a simulated router's kernel holds, and how it refuses: the real keeper of addresses over a table of our own.

A kernel in trouble refuses some changes (no buffer, no memory, busy), does not answer for a whole batch, or does it and
loses the answer. The keeper, and the attempts that follow a failure, are those of the daemon; only the socket, the list
of interfaces and the timer are made here.
"""

from __future__ import annotations

import errno
import random
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pykeepalived.model.common import IpPrefix
from pykeepalived.model.vrrp import VirtualAddress, VrrpInstance
from pykeepalived.netio import netlink
from pykeepalived.netio.addresses import AddressChange, apply
from pykeepalived.netio.netlink import Failure
from pykeepalived.runtime.vrrp_addresses import AddressKeeper, Placed
from pykeepalived.runtime.vrrp_journal import Entry
from pykeepalived.runtime.vrrp_retries import Retries

TROUBLES = ("refuses", "silent", "answer-lost")
_REASONS = (errno.ENOBUFS, errno.ENOMEM, errno.EBUSY, errno.EAGAIN)
_IFA_LOCAL = 2


class Kernel:
    """The addresses of one machine. Stands for the netlink socket and for the picture of the interfaces."""

    overruns = 0

    def __init__(self, seed: str, interfaces: Iterable[str]) -> None:
        self.chance = random.Random(f"kernel {seed}")
        self.names = sorted(interfaces)
        self.table: set[Entry] = set()
        self.trouble = ""
        self.done: Counter[str] = Counter()

    def link(self, ifname: str) -> Any:
        return _Link(self.names.index(ifname) + 1) if ifname in self.names else None

    def change(self, changes: Sequence[tuple[int, int, bytes]]) -> list[Failure]:
        bad = bool(self.trouble) and self.chance.random() < 0.7
        if bad and self.trouble == "silent":
            self.done["netlink silent"] += 1
            raise OSError(errno.ENOBUFS, "No buffer space available")
        failures = []
        for index, (kind, _, body) in enumerate(changes):
            if bad and self.trouble == "refuses" and self.chance.random() < 0.7:
                self.done["netlink refuses"] += 1
                failures.append(Failure(index, self.chance.choice(_REASONS)))
            elif number := self._do(kind, body):
                failures.append(Failure(index, number))
        if bad and self.trouble == "answer-lost":
            self.done["netlink answer-lost"] += 1
            raise TimeoutError("timed out")
        return failures

    def _do(self, kind: int, body: bytes) -> int:
        """Returns an errno, 0 when it was done."""
        family, length, _, _, index = struct.unpack_from("=BBBBI", body)
        size, name = struct.unpack_from("=HH", body, 8)
        assert name == _IFA_LOCAL
        entry = Entry(self.names[index - 1], socket.inet_ntop(family, body[12 : 8 + size]), length)
        if kind == netlink.RTM_NEWADDR:
            self.table.add(entry)
        elif entry in self.table:
            self.table.remove(entry)
        else:
            return errno.EADDRNOTAVAIL
        return 0


class _Link:
    def __init__(self, index: int) -> None:
        self.index = index


class _List:
    """Of what a process has put into the kernel, as its successor finds it."""

    def __init__(self) -> None:
        self.held: dict[Entry, None] = {}

    def note(self, *, added: Iterable[Entry] = (), removed: Iterable[Entry] = ()) -> None:
        for entry in removed:
            self.held.pop(entry, None)
        self.held.update(dict.fromkeys(added))


class _Quiet:
    def info(self, text: str) -> None:
        pass

    detail = error = info


class _Alarm:
    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None

    def ring(self) -> None:
        if self.call is not None:
            self.call()


class Hands:
    """The process's side: it is made anew with each process, the kernel stays."""

    def __init__(self, kernel: Kernel, before: Hands | None, later: Callable[[int, Callable[[], None]], None]) -> None:
        self._kernel = kernel
        self._later = later
        self._journal = _List()
        if before is not None:
            before.alive = False
            self._journal.note(added=before._journal.held)
        self.alive = True
        self.announced: Counter[str] = Counter()
        anything: Any = kernel
        journal: Any = self._journal
        self.keeper = AddressKeeper(anything, anything, journal, _Quiet())
        self.retries = Retries(self.keeper, self._call_later, self._announce)

    def _call_later(self, delay_us: int, call: Callable[[], None]) -> _Alarm:
        alarm = _Alarm(lambda: call() if self.alive else None)
        self._later(delay_us, alarm.ring)
        return alarm

    def _announce(self, owner: str, placed: list[Placed]) -> None:
        self.announced[owner] += len(placed)

    def take_away_left(self) -> None:
        """What stands in the list and is not held, as `vrrp_inheritance` does it."""
        left = [entry for entry in self._journal.held if not self.keeper.is_held(entry)]
        placed = [Placed(entry.ifname, VirtualAddress(prefix=IpPrefix(entry.address, entry.length))) for entry in left]
        changes = [AddressChange(False, item.ifname, item.address) for item in placed]
        try:
            refused = apply(self._kernel, lambda name: self._kernel.link(name).index, changes)  # type: ignore[arg-type]
        except OSError:
            self.keeper.owe(placed)
            return
        failed = [item.change for item in refused]
        self.keeper.owe([item for item, change in zip(placed, changes, strict=True) if change in failed])
        self._journal.note(
            removed=[item.entry for item, each in zip(placed, changes, strict=True) if each not in failed]
        )


def placed(item: VrrpInstance, addresses: Iterable[VirtualAddress] | None = None) -> list[Placed]:
    """Where an instance's addresses belong."""
    return [Placed(str(item.interface), each) for each in (item.addresses if addresses is None else addresses)]

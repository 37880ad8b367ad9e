"""The least gap between two announcements (`vrrp_garp_interval`, `vrrp_gna_interval`, `garp_group`).

Gratuitous ARP and unsolicited NA have gaps of their own. Interfaces of a garp_group share theirs; every other interface
has the global ones for itself. What may not go out yet waits in the order in which it came, and is dropped when its
instance is no longer MASTER. Without a gap nothing ever waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from pykeepalived.model.vrrp import GarpGroup

#: Waiting announcements of one lane; each instance repeats what it says, so that the oldest ones may be lost.
_LONGEST: Final = 65_536


class Announcement(msgspec.Struct, frozen=True):
    """One frame that wants to leave."""

    owner: str
    ifname: str
    neighbour: bool
    """Unsolicited NA; else gratuitous ARP."""
    frame: bytes
    address: str = ""
    """What it is about, for the log."""


class _Lane:
    __slots__ = ("free_us", "gap_us", "waiting")

    def __init__(self, gap_us: int) -> None:
        self.gap_us = gap_us
        self.free_us = 0
        self.waiting: deque[Announcement] = deque(maxlen=_LONGEST)


class Pacer:
    """Says which announcements leave now and when the next one may."""

    def __init__(self, garp_us: int = 0, gna_us: int = 0, groups: Iterable[GarpGroup] = ()) -> None:
        self._default = (garp_us, gna_us)
        self._groups = {ifname: (number, group) for number, group in enumerate(groups) for ifname in group.interfaces}
        self._lanes: dict[tuple[int | str, bool], _Lane] = {}

    def offer(self, wanted: Sequence[Announcement], now_us: int) -> list[Announcement]:
        """Take announcements in; returns those that leave at once."""
        leaving = []
        for item in wanted:
            lane = self._lane(item)
            if lane is None:
                leaving.append(item)
            elif lane.waiting or now_us < lane.free_us:
                lane.waiting.append(item)
            else:
                lane.free_us = now_us + lane.gap_us
                leaving.append(item)
        return leaving

    def due(self, now_us: int) -> list[Announcement]:
        """Those whose time has come: one of each lane that is free."""
        leaving = []
        for lane in self._lanes.values():
            if lane.waiting and lane.free_us <= now_us:
                lane.free_us = now_us + lane.gap_us
                leaving.append(lane.waiting.popleft())
        return leaving

    def next_us(self) -> int | None:
        """When `due` has something again; None: nothing waits."""
        return min((lane.free_us for lane in self._lanes.values() if lane.waiting), default=None)

    def drop(self, owner: str) -> None:
        """Forget what waits for an instance."""
        for lane in self._lanes.values():
            if lane.waiting:
                lane.waiting = deque((item for item in lane.waiting if item.owner != owner), maxlen=_LONGEST)

    def _lane(self, item: Announcement) -> _Lane | None:
        known = self._groups.get(item.ifname)
        key: tuple[int | str, bool]
        if known is None:
            key, gap_us = (item.ifname, item.neighbour), self._default[item.neighbour]
        else:
            number, group = known
            key = (number, item.neighbour)
            gap_us = group.gna_interval_us if item.neighbour else group.garp_interval_us
        if not gap_us:
            return None
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(gap_us)
        return lane

"""Where the machines put what they want done, and in which order it leaves the router.

Within one instance the order is a promise (keepalived-behaviour 7.6): advert, then addresses, then gratuitous ARP, then
notify. When many instances move in one call their steps are laid side by side: all adverts first, then all addresses,
then all announcements, then all notifies. An advert is what keeps other routers quiet, so none waits behind the
addresses of another instance, and the edge can put all addresses into one netlink batch.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from pykeepalived.vrrp.events import (
    Action,
    AddAddresses,
    Announce,
    AnnounceSource,
    Log,
    Notify,
    RemoveAddresses,
    ReplaceAddresses,
)

#: The earliest phase of an action; anything else goes wherever its lane has got to.
_PHASES: Final[dict[type, int]] = {
    AddAddresses: 1,
    RemoveAddresses: 1,
    ReplaceAddresses: 1,
    Announce: 2,
    AnnounceSource: 2,
    Notify: 3,
}


class Output:
    """Collects the actions of one call. A lane is one machine: what it puts keeps its order."""

    def __init__(self, *, log_detail: bool = True) -> None:
        self.log_detail = log_detail
        """False: detail lines are not even made."""
        self._items: list[tuple[Hashable, Action]] = []
        self._done: tuple[Action, ...] = ()
        self._moved: list[Hashable] = []

    def barrier(self) -> None:
        """Everything that is put from now on comes after everything that was put until now, whatever its phase."""
        self._done += self._in_phases()
        self._items.clear()

    def put(self, lane: Hashable, action: Action) -> None:
        self._items.append((lane, action))

    def moved(self, lane: Hashable) -> None:
        """Something changed in the machine, its deadline perhaps, of which nothing is to be said."""
        self._moved.append(lane)

    def log(self, lane: Hashable, text: str) -> None:
        self._items.append((lane, Log(text)))

    def detail(self, lane: Hashable, text: str) -> None:
        if self.log_detail:
            self._items.append((lane, Log(text, detail=True)))

    def empty(self) -> bool:
        return not self._items and not self._done and not self._moved

    def lanes(self) -> list[Hashable]:
        """What moved or put something since the last barrier, in the order of its first action: repeatable."""
        return list(dict.fromkeys([*(lane for lane, _ in self._items), *self._moved]))

    def actions(self) -> tuple[Action, ...]:
        """Everything, phase by phase; within a phase in the order in which it was put."""
        return self._done + self._in_phases()

    def _in_phases(self) -> tuple[Action, ...]:
        if len(self._items) < 2:
            return tuple(action for _, action in self._items)
        phase_of: dict[Hashable, int] = {}
        phased: list[tuple[int, Action]] = []
        for lane, action in self._items:
            phase = max(phase_of.get(lane, 0), _PHASES.get(type(action), 0))
            phase_of[lane] = phase
            phased.append((phase, action))
        phased.sort(key=_phase)
        return tuple(action for _, action in phased)


def _phase(item: tuple[int, Action]) -> int:
    return item[0]


class Budget:
    """How often something may be done in a second; what exceeds it is left out.

    Bounds what strangers' packets can make us write or send. The window starts with the first use after a quiet second.
    """

    __slots__ = ("_left", "_limit", "_until_us")

    def __init__(self, limit_per_s: int) -> None:
        self._limit = limit_per_s
        self._left = limit_per_s
        self._until_us: int | None = None

    def spend(self, now_us: int) -> bool:
        if self._until_us is None or now_us >= self._until_us:
            self._until_us = now_us + 1_000_000
            self._left = self._limit
        if not self._left:
            return False
        self._left -= 1
        return True

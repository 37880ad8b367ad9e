"""When probes start: in slots, and after a stall of the process as if its time had stood still.

All instants here are on a clock that stands still during a stall: the reactor's, less `stood_us`.

Starts are grouped in slots of 100 ms, finer for pauses under a second: most of the cost of a check is waking up for it
(docs/design.md, decision 9).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from pykeepalived.reactor import Reactor, Timer
from pykeepalived.runtime.subscriptions import NEVER_US, Probe
from pykeepalived.units import MILLISECOND_US, SECOND_US

#: Width of a start slot, for pauses of a second and more.
SLOT_US: Final = 100 * MILLISECOND_US
#: Whoever is this late does not catch up: everything moves, and keeps its distances.
STALL_US: Final = 500 * MILLISECOND_US
#: Probes that one turn of the loop begins.
_PIECE: Final = 512


def slot_of(when_us: int, pause_us: int) -> int:
    """The end of the slot that an instant falls into: no pause gets shorter than asked for."""
    width_us = SLOT_US if pause_us >= SECOND_US else max(pause_us // 20, MILLISECOND_US)
    return -(-when_us // width_us) * width_us


class Slots:
    """The probes that wait for their time. `begin(probe, slot_us)` is called when it has come; slot 0 means "soon"."""

    def __init__(self, reactor: Reactor, begin: Callable[[Probe, int], None]) -> None:
        self._reactor = reactor
        self._begin = begin
        self._slots: dict[int, tuple[Timer, list[Probe]]] = {}
        self._overdue: deque[tuple[int, deque[Probe]]] = deque()
        """Slots that have come and that the present turn of the loop has no time for."""
        self.stood_us = 0
        """How long the clock has stood still in all."""
        self.late_before_us = 0
        """The instant of the last stall: whoever was due before it starts late."""

    def now_us(self) -> int:
        return self._reactor.now_us() - self.stood_us

    def file(self, probe: Probe, due_us: int) -> None:
        """Start it then, and at no other time."""
        if due_us in (probe.slot_us, NEVER_US):
            return
        probe.slot_us = due_us
        slot = self._slots.get(due_us)
        if slot is None:
            self._slots[due_us] = (self._wake(due_us), [probe])
        else:
            slot[1].append(probe)

    def _wake(self, slot_us: int) -> Timer:
        return self._reactor.call_at(slot_us and slot_us + self.stood_us, lambda: self._come(slot_us))

    def spread(self, due_us: int, pause_us: int, probes: int) -> int:
        """A beat for a check whose first start was that of all others, too: the nearest earlier slot with room."""
        room = max(16, probes * SLOT_US * 5 // (pause_us * 4))
        slot_us = due_us
        while slot_us > due_us - pause_us + SLOT_US:
            slot = self._slots.get(slot_us)
            if slot is None or len(slot[1]) < room:
                return slot_us
            slot_us -= SLOT_US
        return due_us

    def clear(self) -> None:
        for timer, _ in self._slots.values():
            timer.cancel()
        self._slots.clear()
        self._overdue.clear()

    def _come(self, slot_us: int) -> None:
        self._overdue.append((slot_us, deque(self._slots.pop(slot_us)[1])))
        if len(self._overdue) == 1:
            self._begin_overdue()

    def _begin_overdue(self) -> None:
        """Begin some of those whose time has come: the loop must still hear and answer meanwhile."""
        if not self._overdue:
            return
        first_us = self._overdue[0][0]
        # Instant 0 means "soon", and nobody is late for it.
        if first_us and self.now_us() - first_us > STALL_US:
            self._stand_still(self.now_us() - first_us)
            return
        room = _PIECE
        while self._overdue and room:
            slot_us, probes = self._overdue[0]
            while probes and room:
                self._start(probes.popleft(), slot_us)
                room -= 1
            if not probes:
                self._overdue.popleft()
        if self._overdue:
            self._reactor.call_soon(self._begin_overdue)

    def _start(self, probe: Probe, slot_us: int) -> None:
        if probe.slot_us == slot_us and not probe.running:
            probe.slot_us = None
            self._begin(probe, slot_us)

    def _stand_still(self, for_us: int) -> None:
        """Starting at once whatever was missed would be a burst that comes again in every round."""
        self.late_before_us = self.now_us()
        self.stood_us += for_us
        for slot_us, probes in self._overdue:
            known = self._slots.get(slot_us)
            self._slots[slot_us] = (known[0] if known else self._wake(slot_us), [*probes, *(known[1] if known else ())])
        self._overdue.clear()
        for slot_us, (timer, filed) in self._slots.items():
            timer.cancel()
            self._slots[slot_us] = (self._wake(slot_us), filed)

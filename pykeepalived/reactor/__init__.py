"""The event loop of the child processes: epoll, one timerfd, a heap of deadlines.

Why our own: an event loop's millisecond rounding would be the largest error in failover (measured: asyncio 1.1 ms,
timerfd 0.13 ms late at the median), and a bare epoll loop costs a third of asyncio per health check (docs/design.md).
Callbacks run to completion and must not block. A callback that raises is reported to `on_error` and the loop goes on.
A handler may be called for a descriptor that is not ready (its number was closed and given out again within one turn),
so handlers read and write without blocking and take "not now" for an answer.
"""

from __future__ import annotations

import contextlib
import ctypes
import heapq
import os
import select
import struct
import time
from collections.abc import Callable
from typing import Final

_CLOCK_MONOTONIC: Final = 1
_TFD_NONBLOCK: Final = 0o4000
_TFD_CLOEXEC: Final = 0o2000000
_TFD_TIMER_ABSTIME: Final = 1
_ITIMERSPEC: Final = struct.Struct("@qqqq")

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
HANGUP: Final = select.EPOLLHUP | select.EPOLLERR

#: Cancelled timers stay in the heap until their turn; when this many are there it is worth looking for them.
_SWEEP_AT_LEAST: Final = 1024

_libc = ctypes.CDLL(None, use_errno=True)


def monotonic_us() -> int:
    """The clock that every deadline of the program is on."""
    return time.monotonic_ns() // 1000


class Timer:
    """A pending call. `cancel` is idempotent; a cancelled timer leaves the heap when its turn comes."""

    __slots__ = ("callback", "when_us")

    def __init__(self, when_us: int, callback: Callable[[], None]) -> None:
        self.when_us = when_us
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class Reactor:
    """Watches descriptors and deadlines. One per process, single-threaded."""

    def __init__(self, on_error: Callable[[BaseException], None] | None = None) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[int, int, Timer]] = []
        self._sequence = 0
        self._sweep_at = _SWEEP_AT_LEAST
        self._armed_us: int | None = None
        self._running = False
        self._on_error = on_error
        self.on_late: Callable[[int], None] | None = None
        """Gets how many microseconds late the earliest timer of a turn was."""
        descriptor = _libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
        if descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._timer_fd: int = descriptor
        # Edge-triggered: an expired timer is never read, only set anew.
        self._epoll.register(self._timer_fd, READ | select.EPOLLET)

    # ---- time ----

    def now_us(self) -> int:
        return monotonic_us()

    def call_at(self, when_us: int, callback: Callable[[], None]) -> Timer:
        """Call once at an instant of `monotonic_us`; an instant in the past means at the next turn of the loop."""
        timer = Timer(when_us, callback)
        self._sequence += 1
        heapq.heappush(self._timers, (when_us, self._sequence, timer))
        if len(self._timers) > self._sweep_at:
            self._sweep()
        return timer

    def call_later(self, delay_us: int, callback: Callable[[], None]) -> Timer:
        return self.call_at(monotonic_us() + delay_us, callback)

    def call_soon(self, callback: Callable[[], None]) -> Timer:
        return self.call_at(0, callback)

    # ---- descriptors ----

    def watch(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        """Call `handler(events)` when the descriptor is ready; watching it again replaces events and handler."""
        if fd in self._handlers:
            try:
                self._epoll.modify(fd, events)
            except FileNotFoundError:  # closed without `unwatch`, and the number is in use again
                self._epoll.register(fd, events)
        else:
            self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def unwatch(self, fd: int) -> None:
        """Stop watching; call before the descriptor is closed. Unknown descriptors are ignored."""
        if self._handlers.pop(fd, None) is not None:
            with contextlib.suppress(OSError):
                self._epoll.unregister(fd)

    def forget(self, fd: int) -> None:
        """As `unwatch` for a descriptor that is closed right after, and of which there is no duplicate.

        Closing takes it out of the set, so no system call is needed here.
        """
        self._handlers.pop(fd, None)

    # ---- the loop ----

    def run(self) -> None:
        """Run until `stop`."""
        self._running = True
        while self._running:
            self.turn()

    def stop(self) -> None:
        self._running = False

    def turn(self, limit_us: int | None = None) -> None:
        """One wait and what came of it; `limit_us` bounds the wait (tests use it)."""
        self._arm(limit_us)
        for fd, events in self._epoll.poll():
            if fd == self._timer_fd:
                self._armed_us = None
                continue
            handler = self._handlers.get(fd)
            # An earlier handler of this turn may have removed it.
            if handler is None:
                continue
            try:
                handler(events)
            except Exception as error:
                self._report(error)
        self._run_due()

    def close(self) -> None:
        self._epoll.close()
        os.close(self._timer_fd)

    def _arm(self, limit_us: int | None) -> None:
        timers = self._timers
        while timers and timers[0][2].callback is None:
            heapq.heappop(timers)
        when_us = timers[0][0] if timers else None
        if limit_us is not None:
            bound_us = monotonic_us() + limit_us
            when_us = bound_us if when_us is None else min(when_us, bound_us)
        if when_us == self._armed_us:
            return
        # Zero would disarm the timer, so an instant in the past becomes the first microsecond of the clock.
        value_us = 0 if when_us is None else max(1, when_us)
        spec = _ITIMERSPEC.pack(0, 0, value_us // 1_000_000, value_us % 1_000_000 * 1000)
        if _libc.timerfd_settime(self._timer_fd, _TFD_TIMER_ABSTIME, spec, None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")
        self._armed_us = when_us

    def _run_due(self) -> None:
        now_us = monotonic_us()
        timers = self._timers
        due: list[Timer] = []
        # Instant 0 means "soon", and nobody is late for it.
        if self.on_late is not None and timers and 0 < timers[0][0] <= now_us:
            self.on_late(now_us - timers[0][0])
        # Collected first: a callback that re-arms itself for "now" waits for the next turn, so no descriptor starves.
        while timers and timers[0][0] <= now_us:
            due.append(heapq.heappop(timers)[2])
        for timer in due:
            callback = timer.callback
            if callback is None:
                continue
            timer.callback = None
            try:
                callback()
            except Exception as error:
                self._report(error)

    def _report(self, error: Exception) -> None:
        """The loop outlives a faulty callback when somebody wants to hear of it."""
        if self._on_error is None:
            raise error
        self._on_error(error)

    def _sweep(self) -> None:
        """Drop cancelled timers, so that a limit armed and cancelled per check does not fill the heap."""
        self._timers = [entry for entry in self._timers if entry[2].callback is not None]
        heapq.heapify(self._timers)
        self._sweep_at = max(_SWEEP_AT_LEAST, 2 * len(self._timers))

"""Is a child still working? The parent asks, and the loop of a child that works answers.

A process that hangs holds its addresses and says nothing, so it is worse than a dead one: after `LIMIT_US` without an
answer it is reported, and the parent kills it and starts another. Time in which it waited for a processor does not
count: on a machine that has no room for it a successor would fare no better, and 4,096 instances that become MASTER at
once need seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from pykeepalived.reactor import Reactor, Timer
from pykeepalived.units import SECOND_US

LIMIT_US: Final = 10 * SECOND_US
_PARTS: Final = 5


def waited_us(pid: int) -> int:
    """How long a process has waited for a processor in all; 0 where the kernel does not tell."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) // 1000
    except (OSError, ValueError, IndexError):
        return 0


class Pulse:
    """Between `start` and `stop`: `ask` several times within the limit, `silent` once when nothing was heard in it."""

    def __init__(
        self,
        reactor: Reactor,
        ask: Callable[[], None],
        silent: Callable[[], None],
        *,
        waited: Callable[[], int] = lambda: 0,
        limit_us: int = LIMIT_US,
    ) -> None:
        """`waited`: microseconds that the child has waited for a processor so far."""
        self._reactor = reactor
        self._ask = ask
        self._silent = silent
        self._waited = waited
        self._waited_us = 0
        self._limit_us = limit_us
        self._period_us = limit_us // _PARTS
        self._heard_us = 0
        self._timer: Timer | None = None

    def start(self) -> None:
        self.stop()
        self._heard_us = self._reactor.now_us()
        self._waited_us = self._waited()
        self._timer = self._reactor.call_later(self._period_us, self._beat)

    def heard(self) -> None:
        """The child has said something."""
        self._heard_us = self._reactor.now_us()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat(self) -> None:
        assert self._timer is not None
        now_us = self._reactor.now_us()
        if now_us - self._timer.when_us > self._period_us:
            # It was us who did not run (a suspended machine, a stopped process): the child gets its time again.
            self._heard_us = now_us
        before_us, self._waited_us = self._waited_us, self._waited()
        self._heard_us = min(now_us, self._heard_us + max(0, self._waited_us - before_us))
        if now_us - self._heard_us >= self._limit_us:
            self._timer = None
            self._silent()
            return
        self._ask()
        self._timer = self._reactor.call_later(self._period_us, self._beat)

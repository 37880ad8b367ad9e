"""Changes of addresses that the kernel refused, or did not answer for, are made again until they are done.

A MASTER without its address is a hole in the network, and a BACKUP that keeps it is a second owner. keepalived tries
once. The kernel's reasons pass (no memory for a moment, a full buffer, an address family that is switched off), so the
wait begins short and grows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from pykeepalived.runtime.vrrp_addresses import AddressKeeper, Placed
from pykeepalived.units import SECOND_US

_FIRST_US: Final = SECOND_US // 10
_LONGEST_US: Final = 10 * SECOND_US
_AT_THE_END: Final = 3


class Alarm(Protocol):
    """A timer that can be called off."""

    def cancel(self) -> None: ...


class Retries:
    """Waits and tries again, and tells the network of addresses that came late."""

    def __init__(
        self,
        keeper: AddressKeeper,
        call_later: Callable[[int, Callable[[], None]], Alarm],
        announce: Callable[[str, list[Placed]], None],
    ) -> None:
        """`announce` sends gratuitous ARP or neighbour advertisements for what an owner has got."""
        self._keeper = keeper
        self._call_later = call_later
        self._announce = announce
        self._delay_us = _FIRST_US
        self._timer: Alarm | None = None
        keeper.on_failure = self._begin

    def _begin(self) -> None:
        self.close()
        self._delay_us = _FIRST_US
        self._timer = self._call_later(self._delay_us, self._again)

    def _again(self) -> None:
        self._timer = None
        for owner, placed in self._keeper.try_again():
            self._announce(owner, [placed])
        if self._keeper.unfinished:
            self._delay_us = min(2 * self._delay_us, _LONGEST_US)
            self._timer = self._call_later(self._delay_us, self._again)

    def finish(self) -> None:
        """The process ends: a few attempts at once, because nobody will come back to it."""
        for _ in range(_AT_THE_END):
            self._keeper.try_again()
        self.close()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

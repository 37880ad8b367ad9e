"""The wait for a channel that is about to end: until nothing is left to send, and not for ever."""

from __future__ import annotations

from collections.abc import Callable

from pykeepalived.reactor import Reactor, Timer


class IdleWait:
    """`give_up` drops what is left when the time is over; then, or with `idle`, who waits is told once."""

    def __init__(self, reactor: Reactor, give_up: Callable[[], None]) -> None:
        self._reactor = reactor
        self._give_up = give_up
        self._done: Callable[[], None] | None = None
        self._limit: Timer | None = None

    def wait(self, limit_us: int, done: Callable[[], None], *, idle_now: bool) -> None:
        """Call `done` once, in a later turn, at the latest after `limit_us`."""
        self._done = done
        self._limit = self._reactor.call_later(limit_us, self._expire)
        if idle_now:
            self._reactor.call_soon(self.idle)

    def idle(self) -> None:
        """Nothing is left to send."""
        done, self._done = self._done, None
        if done is not None:
            self.cancel()
            done()

    def cancel(self) -> None:
        """The time limit is off."""
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _expire(self) -> None:
        self._limit = None
        self._give_up()
        self.idle()

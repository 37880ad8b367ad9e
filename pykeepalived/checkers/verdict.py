"""The verdict machine: what a row of check results means, and when to ask again.

It exists once, for every checker of both languages. A checker answers one conversation with an `Outcome`; this machine
counts, decides whether the server's state changes, and names the earliest start of the next conversation. It holds
no clock: instants are microseconds of one monotonic clock that the caller passes in.

The rules (keepalived-behaviour 11, ldirectord `failurecount`):

- A subscriber starts up or down, as its caller says (alpha and ldirectord's `always` start down).
- Failures in a row are forgiven up to `retry`; the next one takes the server down. Between them the pause is
  `delay_before_retry`, not `delay_loop`.
- The first conversation of a subscriber has no such mercy when `first_failure_counts` is set.
- A server that is down is not retried: one success (or `rise` of them) brings it up again.
- A conversation of several parts, such as HTTP_GET with several urls, says at which part it stopped. Failures count
  in a row only while they stop at the same part, because a part that was passed in between was a success. A success
  of one part alone (`Outcome.partial`) ends the row of failures and changes no state.
"""

from __future__ import annotations

from typing import Final

import msgspec

from pykeepalived.checkers.conversation import Outcome
from pykeepalived.model.checks import CheckTiming

#: No pause is shorter: a file that asks for a zero delay must not turn the engine into a busy loop.
SHORTEST_PAUSE_US: Final = 1_000


class Decision(msgspec.Struct, frozen=True):
    """What one result did."""

    up: bool
    changed: bool
    first: bool
    """The first result of this subscriber."""
    failures: int
    """Failures in a row, this one included; 0 after a success."""
    pause_us: int
    """Time from now to the next start."""


class Verdict:
    """The state of one subscriber of one check."""

    __slots__ = ("_down_pause_us", "_position", "_timing", "failures", "has_run", "successes", "up")

    def __init__(self, timing: CheckTiming, *, initially_up: bool, down_pause_at_least_us: int = 0) -> None:
        """`down_pause_at_least_us`: HTTP_GET never asks a dead server sooner than its delay_before_retry."""
        self._timing = timing
        down_pause_us = timing.delay_loop_us if timing.down_delay_us is None else timing.down_delay_us
        self._down_pause_us = max(down_pause_us, down_pause_at_least_us, SHORTEST_PAUSE_US)
        self._position = 0
        self.up = initially_up
        self.has_run = False
        self.failures = 0
        self.successes = 0

    def first_pause_us(self, fraction: float) -> int:
        """Time to the first conversation; `fraction` in 0..1 is the caller's random number."""
        return int(self._timing.warmup_us * fraction)

    def finished(self, outcome: Outcome) -> Decision:
        """Take the result of one conversation."""
        first = not self.has_run
        self.has_run = True
        return self._success(first, outcome.partial) if outcome.ok else self._failure(first, outcome.position)

    def _success(self, first: bool, partial: bool) -> Decision:
        self.failures = 0
        self._position = 0
        changed = False
        if not self.up and not partial:
            self.successes += 1
            if self.successes >= self._timing.rise:
                self.up = changed = True
        if self.up:
            self.successes = 0
        return Decision(self.up, changed, first, 0, max(self._timing.delay_loop_us, SHORTEST_PAUSE_US))

    def _failure(self, first: bool, position: int) -> Decision:
        self.successes = 0
        if position != self._position:
            self._position = position
            self.failures = 0
        self.failures += 1
        timing = self._timing
        if not self.up:
            return Decision(False, False, first, self.failures, self._down_pause_us)
        if self.failures > timing.retry or (first and timing.first_failure_counts):
            self.up = False
            return Decision(False, True, first, self.failures, self._down_pause_us)
        return Decision(True, False, first, self.failures, max(timing.delay_before_retry_us, SHORTEST_PAUSE_US))

"""A reactor in virtual time and connectors that end as they are told, for the probe engine."""

from __future__ import annotations

import heapq
from collections.abc import Callable

import msgspec

from pykeepalived.checkers.conversation import Conversation, Outcome
from pykeepalived.reactor import Timer


class VirtualReactor:
    """Only time: `run_until` jumps from timer to timer."""

    def __init__(self) -> None:
        self._now_us = 1_000_000_007
        self._heap: list[tuple[int, int, Timer]] = []
        self._count = 0

    def now_us(self) -> int:
        return self._now_us

    def call_at(self, when_us: int, callback: Callable[[], None]) -> Timer:
        timer = Timer(when_us, callback)
        self._count += 1
        heapq.heappush(self._heap, (when_us, self._count, timer))
        return timer

    def call_later(self, delay_us: int, callback: Callable[[], None]) -> Timer:
        return self.call_at(self._now_us + delay_us, callback)

    def call_soon(self, callback: Callable[[], None]) -> Timer:
        return self.call_at(0, callback)

    def run_for(self, duration_us: int) -> None:
        end_us = self._now_us + duration_us
        while self._heap and self._heap[0][0] <= end_us:
            when_us, _, timer = heapq.heappop(self._heap)
            self._now_us = max(self._now_us, when_us)
            if timer.callback is not None:
                timer.callback()
        self._now_us = end_us


class FakeTalk:
    def __init__(self, done: Callable[[Outcome], None]) -> None:
        self.done: Callable[[Outcome], None] | None = done

    def cancel(self) -> None:
        self.done = None


class FakeConnectors:
    """Each conversation takes `latency_us` and ends with `outcome`; 0 means before `perform` returns."""

    def __init__(self, reactor: VirtualReactor) -> None:
        self._reactor = reactor
        self.outcome = Outcome(True, "fine")
        self.repeats = False
        self.latency_us = 1_500
        self.starts_us: list[int] = []
        self.running = 0
        self.most = 0
        self.cancelled: list[FakeTalk] = []

    def perform(self, conversation: Conversation, timeout_us: int, done: Callable[[Outcome], None]) -> FakeTalk:
        conversation.close()
        self.starts_us.append(self._reactor.now_us())
        self.running += 1
        self.most = max(self.most, self.running)
        talk = FakeTalk(done)
        # The same words each time, but not the same object: the engine delivers every one of them.
        outcome = self.outcome if self.repeats else msgspec.structs.replace(self.outcome)

        def end() -> None:
            self.running -= 1
            if talk.done is not None:
                talk.done(outcome)

        if self.latency_us:
            self._reactor.call_later(self.latency_us, end)
        else:
            end()
        return talk

    def close(self) -> None:
        return

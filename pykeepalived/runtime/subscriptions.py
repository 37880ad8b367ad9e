"""What the probe engine keeps: a probe for each question, and for each real server that asks it a subscription.

A probe whose subscribers all heard the same success at the same time, and ask again at the same time, is *steady*: the
same success once more is nothing new to any of them, so it is counted once, at the probe, however many they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from pykeepalived.checkers import registry
from pykeepalived.checkers.conversation import Outcome
from pykeepalived.checkers.verdict import Verdict
from pykeepalived.model.checks import CheckerSpec, CheckQuestion
from pykeepalived.netio.connectors import Talk

#: Due at no time that will come: the schedule of a new subscription begins with the next turn of the loop.
NEVER_US: Final = 1 << 62


class ProbeResult(msgspec.Struct, frozen=True):
    """What one finished check means to one subscriber."""

    up: bool
    changed: bool
    first: bool
    outcome: Outcome
    failures: int
    """Failures in a row, this one included."""
    latency_us: int


Listener = Callable[[ProbeResult], None]


class Subscription:
    """One subscriber's interest in a question. A success that is the same object as the one before is counted and not
    delivered again."""

    __slots__ = (
        "_engine",
        "answers_failed",
        "due_us",
        "heard",
        "key",
        "last",
        "last_ok",
        "on_result",
        "pause_us",
        "probe",
        "spec",
        "verdict",
    )

    def __init__(self, engine: Engine, probe: Probe, key: str, spec: CheckerSpec, verdict: Verdict) -> None:
        self._engine = engine
        self.probe = probe
        self.key = key
        self.spec = spec
        self.verdict = verdict
        self.on_result: Listener | None = None
        self.due_us = NEVER_US
        self.pause_us = 0
        self.heard = 0
        """Answers before the probe was steady."""
        self.answers_failed = 0
        self.last: ProbeResult | None = None
        """The last result that was delivered: the first of a row of equal successes."""
        self.last_ok: Outcome | None = None
        """Its outcome, when it was a success and the server is up: the same once more is nothing new."""

    @property
    def up(self) -> bool:
        return self.verdict.up

    @property
    def answers(self) -> int:
        return self.heard + self.probe.rounds

    @property
    def next_in_us(self) -> int | None:
        """Until its next start; None before the first one is planned."""
        due_us = self.due_us if self.probe.steady is None else self.probe.due_us
        return None if due_us == NEVER_US else max(0, due_us - self._engine.now_us())

    def close(self) -> None:
        """End the interest; no result is delivered afterwards. Idempotent."""
        self._engine.unsubscribe(self)

    def check_now(self) -> None:
        """Ask at the next turn of the loop, whatever the schedule says."""
        if self.on_result is not None:
            self.probe.unsettle()
            self.due_us = 0
            self._engine.schedule(self.probe)

    def status(self) -> dict[str, Any]:
        """JSON-able: state, counts and the last result."""
        return shown(
            self,
            up=self.verdict.up,
            has_run=self.verdict.has_run,
            failures=self.verdict.failures,
            latency_us=self.probe.latency_us,
            shared_with=len(self.probe.subscriptions) - 1,
        )


class Shown(Protocol):
    """What every interest in a check knows of itself, whoever makes the check."""

    key: str
    spec: CheckerSpec
    last: ProbeResult | None

    @property
    def answers(self) -> int: ...

    @property
    def answers_failed(self) -> int: ...


def shown(
    interest: Shown, *, up: bool, has_run: bool, failures: int, latency_us: int = 0, shared_with: int = 0
) -> dict[str, Any]:
    """JSON-able: state, counts and the last result of a check."""
    last = interest.last
    result = None
    if last is not None:
        said = last.outcome
        result = {"ok": said.ok, "reason": said.reason, "text": said.text, "latency_us": latency_us}
    return {
        "key": interest.key,
        "check": interest.spec.question.__struct_config__.tag,
        "up": up,
        "has_run": has_run,
        "failures": failures,
        "answers": interest.answers,
        "answers_failed": interest.answers_failed,
        "last": result,
        "shared_with": shared_with,
    }


class Engine(Protocol):
    """What a subscription asks of the engine."""

    def unsubscribe(self, subscription: Subscription) -> None: ...

    def schedule(self, probe: Probe) -> None: ...

    def now_us(self) -> int: ...


class Probe:
    """One question: its subscriptions, its next start and its running conversation."""

    __slots__ = (
        "due_us",
        "latency_us",
        "limit_us",
        "pause_us",
        "position",
        "question",
        "rounds",
        "running",
        "slot_us",
        "started_us",
        "steady",
        "subscriptions",
        "talk",
    )

    def __init__(self, question: CheckQuestion) -> None:
        self.question = question
        self.limit_us = registry.limit_us(question)
        self.subscriptions: list[Subscription] = []
        self.position = 0
        self.running = False
        self.started_us = 0
        self.latency_us = 0
        """How long the last conversation took."""
        self.slot_us: int | None = None
        """The slot that it is filed in; an entry in any other slot is stale."""
        self.talk: Talk | None = None
        self.steady: Outcome | None = None
        """The success that would be nothing new to any subscriber; then the next three stand for all of them."""
        self.pause_us = 0
        self.due_us = 0
        self.rounds = 0

    def settle(self, outcome: Outcome) -> None:
        """Become steady when all subscribers are in step."""
        first = self.subscriptions[0]
        due_us, pause_us = first.due_us, first.pause_us
        for each in self.subscriptions:
            if each.last_ok is not outcome or each.due_us != due_us or each.pause_us != pause_us:
                return
        self.steady, self.due_us, self.pause_us = outcome, due_us, pause_us

    def unsettle(self) -> None:
        """Give the subscribers their own times and counts again."""
        if self.steady is None:
            return
        self.steady = None
        rounds, self.rounds = self.rounds, 0
        for each in self.subscriptions:
            each.heard += rounds
            each.due_us = self.due_us

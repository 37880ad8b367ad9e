"""The probe engine: asks every question once and tells everybody who wants to know.

A *probe* is one question (`CheckerSpec.question`); a *subscription* is one real server's interest in it, with its own
timing and its own verdict machine. Real servers that stand behind many virtual services ask the same question many
times; the engine starts one conversation and hands its result to each subscription that is due.

Which subscriptions are due: those whose own next start has come, and those whose present pause is at least half over
(or that have not been answered at all). So subscriptions of the same timing fall into step after one round and stay
there, none is answered less often than it asked for, and none is asked twice as often.

Starts are grouped in slots of 100 ms, finer for pauses under a second: most of the cost of a check is waking up for it
(docs/design.md, decision 9). Conversations in flight are limited; further ones wait in order of their start.
"""

from __future__ import annotations

import random as random_module
import resource
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from pykeepalived.checkers import registry
from pykeepalived.checkers.conversation import FailureKind, Note, Outcome
from pykeepalived.checkers.verdict import Verdict
from pykeepalived.model.checks import CheckerSpec, CheckQuestion
from pykeepalived.netio.connectors import Connectors, Talk
from pykeepalived.processes.scripts import ScriptRunner
from pykeepalived.reactor import Reactor
from pykeepalived.runtime.program import Logger
from pykeepalived.units import MILLISECOND_US, SECOND_US

#: Width of a start slot, for pauses of a second and more.
SLOT_US: Final = 100 * MILLISECOND_US
#: A start this long after its slot is late, and counted.
LATE_US: Final = 100 * MILLISECOND_US
#: Descriptors that the process keeps for itself.
_RESERVED_DESCRIPTORS: Final = 128
_LARGEST_IN_FLIGHT: Final = 32768
#: Probes that one turn of the loop begins.
_PIECE: Final = 512
_EXHAUSTED: Final = FailureKind.EXHAUSTED.value


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
        "_probe",
        "answers",
        "answers_failed",
        "due_us",
        "key",
        "last",
        "last_ok",
        "latency_us",
        "on_result",
        "pause_us",
        "spec",
        "verdict",
    )

    def __init__(self, engine: ProbeEngine, probe: Probe, key: str, spec: CheckerSpec, verdict: Verdict) -> None:
        self._engine = engine
        self._probe = probe
        self.key = key
        self.spec = spec
        self.verdict = verdict
        self.on_result: Listener | None = None
        self.due_us = 0
        self.pause_us = 0
        self.answers = 0
        self.answers_failed = 0
        self.latency_us = 0
        self.last: ProbeResult | None = None
        """The last result that was delivered: the first of a row of equal successes."""
        self.last_ok: Outcome | None = None
        """Its outcome, when it was a success and the server is up: the same once more is nothing new."""

    @property
    def up(self) -> bool:
        return self.verdict.up

    def close(self) -> None:
        """End the interest; no result is delivered afterwards. Idempotent."""
        self._engine.unsubscribe(self)

    def check_now(self) -> None:
        """Ask at the next turn of the loop, whatever the schedule says."""
        if self.on_result is not None:
            self.due_us = 0
            self._engine.schedule(self._probe)

    def status(self) -> dict[str, Any]:
        """JSON-able: state, counts and the last result."""
        last = self.last
        return {
            "key": self.key,
            "check": self.spec.question.__struct_config__.tag,
            "up": self.verdict.up,
            "has_run": self.verdict.has_run,
            "failures": self.verdict.failures,
            "answers": self.answers,
            "answers_failed": self.answers_failed,
            "last": None
            if last is None
            else {
                "ok": last.outcome.ok,
                "reason": last.outcome.reason,
                "text": last.outcome.text,
                "latency_us": self.latency_us,
            },
            "shared_with": len(self._probe.subscriptions) - 1,
        }


class Probe:
    """One question: its subscriptions, its next start and its running conversation."""

    __slots__ = ("limit_us", "position", "question", "running", "slot_us", "started_us", "subscriptions", "talk")

    def __init__(self, question: CheckQuestion) -> None:
        self.question = question
        self.limit_us = registry.limit_us(question)
        self.subscriptions: list[Subscription] = []
        self.position = 0
        self.running = False
        self.started_us = 0
        self.slot_us: int | None = None
        """The slot that it is filed in; an entry in any other slot is stale."""
        self.talk: Talk | None = None


class ProbeEngine:
    """All checks of one process."""

    def __init__(self, reactor: Reactor, log: Logger, scripts: ScriptRunner, random: random_module.Random) -> None:
        self._reactor = reactor
        self._log = log
        self._random = random
        self._connectors = Connectors(reactor, scripts, self._note)
        self._probes: dict[CheckQuestion, Probe] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._slots: dict[int, list[Probe]] = {}
        self._waiting: deque[Probe] = deque()
        self._overdue: deque[tuple[Probe, int]] = deque()
        """Probes whose slot has come and that the present turn of the loop has no time for, with their slots."""
        self._waking = False
        self._in_flight = 0
        self.in_flight_limit = in_flight_limit()
        self.every_result = False
        """Deliver equal successes too, for somebody who writes a line for each."""
        self.probes_started = 0
        self.started_late = 0
        self.answers_delivered = 0
        self.not_counted = 0

    # ---- subscriptions ----

    def subscribe(self, key: str, spec: CheckerSpec, on_result: Listener, *, initially_up: bool) -> Subscription:
        """Begin to ask. `key` is unique per subscriber.

        The same key again with an equal spec keeps schedule, counts and state and only changes the listener; with
        another spec it begins anew in the state `initially_up`.
        """
        known = self._subscriptions.get(key)
        if known is not None:
            if known.spec == spec:
                known.on_result = on_result
                return known
            known.close()
        probe = self._probes.get(spec.question)
        if probe is None:
            probe = self._probes[spec.question] = Probe(spec.question)
        verdict = Verdict(
            spec.timing,
            initially_up=initially_up,
            down_pause_at_least_us=registry.down_pause_at_least_us(spec),
        )
        subscription = Subscription(self, probe, key, spec, verdict)
        subscription.on_result = on_result
        subscription.pause_us = verdict.first_pause_us(self._random.random())
        # In the slots of the pauses to come, whatever the warm-up: the first start sets the beat.
        subscription.due_us = self._slot_of(self._reactor.now_us() + subscription.pause_us, spec.timing.delay_loop_us)
        self._subscriptions[key] = subscription
        probe.subscriptions.append(subscription)
        self.schedule(probe)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        if subscription.on_result is None:
            return
        subscription.on_result = None
        if self._subscriptions.get(subscription.key) is subscription:
            del self._subscriptions[subscription.key]
        probe = subscription._probe
        probe.subscriptions.remove(subscription)
        if not probe.subscriptions:
            self._drop(probe)

    def stop(self) -> None:
        """End everything at once; no result is delivered afterwards."""
        for subscription in list(self._subscriptions.values()):
            subscription.close()
        self._slots.clear()
        self._waiting.clear()
        self._overdue.clear()
        self._connectors.close()

    def status(self) -> dict[str, Any]:
        """JSON-able counts of the engine; `probes_started` against `answers_delivered` shows the saving."""
        return {
            "questions": len(self._probes),
            "subscriptions": len(self._subscriptions),
            "in_flight": self._in_flight,
            "in_flight_limit": self.in_flight_limit,
            "waiting": len(self._waiting),
            "probes_started": self.probes_started,
            "started_late": self.started_late,
            "answers_delivered": self.answers_delivered,
            "not_counted": self.not_counted,
        }

    def subscription(self, key: str) -> Subscription | None:
        return self._subscriptions.get(key)

    # ---- the schedule ----

    def schedule(self, probe: Probe) -> None:
        """File a probe under the earliest start that one of its subscriptions asks for."""
        if probe.running or not probe.subscriptions:
            return
        due_us = min(subscription.due_us for subscription in probe.subscriptions)
        if probe.slot_us is not None and probe.slot_us == due_us:
            return
        probe.slot_us = due_us
        slot = self._slots.get(due_us)
        if slot is None:
            self._slots[due_us] = [probe]
            self._reactor.call_at(due_us, lambda: self._begin_slot(due_us))
        else:
            slot.append(probe)

    def _slot_of(self, when_us: int, pause_us: int) -> int:
        """The end of the slot that an instant falls into: no pause gets shorter than asked for."""
        width_us = SLOT_US if pause_us >= SECOND_US else max(pause_us // 20, MILLISECOND_US)
        return -(-when_us // width_us) * width_us

    def _spread(self, due_us: int, pause_us: int) -> int:
        """A beat for a check whose first start was that of all others, too: the nearest earlier slot with room."""
        room = max(16, len(self._subscriptions) * SLOT_US * 5 // (pause_us * 4))
        slot_us = due_us
        while slot_us > due_us - pause_us + SLOT_US:
            if len(self._slots.get(slot_us, ())) < room:
                return slot_us
            slot_us -= SLOT_US
        return due_us

    def _begin_slot(self, slot_us: int) -> None:
        probes = self._slots.pop(slot_us, [])
        if not self._overdue and len(probes) <= _PIECE:
            self._begin(probes, slot_us)
            return
        # After a long start or stall everything is due at once; the loop must still hear and answer meanwhile.
        if not self._overdue:
            self._reactor.call_soon(self._begin_overdue)
        self._overdue.extend((probe, slot_us) for probe in probes)

    def _begin_overdue(self) -> None:
        for _ in range(min(_PIECE, len(self._overdue))):
            probe, slot_us = self._overdue.popleft()
            self._begin((probe,), slot_us)
        if self._overdue:
            self._reactor.call_soon(self._begin_overdue)

    def _begin(self, probes: Iterable[Probe], slot_us: int) -> None:
        for probe in probes:
            if probe.slot_us == slot_us and not probe.running:
                probe.slot_us = None
                if self._in_flight < self.in_flight_limit:
                    self._start(probe, slot_us or self._reactor.now_us())
                else:
                    probe.running = True
                    self._waiting.append(probe)

    # ---- conversations ----

    def _start(self, probe: Probe, slot_us: int) -> None:
        now_us = self._reactor.now_us()
        probe.running = True
        probe.started_us = now_us
        self._in_flight += 1
        self.probes_started += 1
        if now_us - slot_us > LATE_US:
            self.started_late += 1
        recovering = any(not subscription.verdict.up for subscription in probe.subscriptions)
        conversation = registry.converse(probe.question, registry.Start(probe.position, recovering))
        talk = self._connectors.perform(
            conversation, probe.limit_us, lambda outcome: self._finished(probe, slot_us, outcome)
        )
        # A conversation may be over before `perform` returns; then there is nothing to cancel.
        probe.talk = talk if probe.running else None

    def _finished(self, probe: Probe, slot_us: int, outcome: Outcome) -> None:
        now_us = self._reactor.now_us()
        latency_us = now_us - probe.started_us
        probe.running = False
        probe.talk = None
        probe.position = outcome.position
        self._in_flight -= 1
        exhausted = outcome.reason == _EXHAUSTED
        if exhausted:
            self.not_counted += 1
            self._log.error(f"check not counted: {outcome.text}")
        for subscription in tuple(probe.subscriptions):
            pause_us = subscription.pause_us
            if exhausted:
                subscription.due_us = self._slot_of(now_us + SECOND_US, SECOND_US)
            elif subscription.due_us - now_us <= pause_us // 2 or not subscription.verdict.has_run:
                self.answers_delivered += 1
                subscription.answers += 1
                subscription.latency_us = latency_us
                if subscription.last_ok is outcome:
                    # Word for word the success of the time before: nobody needs to hear of it.
                    subscription.due_us = self._next_start(slot_us, now_us, pause_us)
                else:
                    self._deliver(subscription, outcome, latency_us, slot_us, now_us)
        self.schedule(probe)
        if self._waiting and not self._waking:
            # Not from here: a conversation may end while it starts, and thousands may wait.
            self._waking = True
            self._reactor.call_soon(self._start_waiting)

    def _deliver(
        self, subscription: Subscription, outcome: Outcome, latency_us: int, slot_us: int, now_us: int
    ) -> None:
        decision = subscription.verdict.finished(outcome)
        subscription.pause_us = pause_us = decision.pause_us
        # After a failure the pause is counted from the end of the check; a quick one ends in its slot, otherwise each
        # failure would move the next start by a slot.
        if outcome.ok:
            subscription.due_us = self._next_start(slot_us, now_us, pause_us)
        else:
            when_us = (slot_us if now_us - slot_us < SLOT_US else now_us) + pause_us
            subscription.due_us = self._slot_of(when_us, pause_us)
        if decision.first and not subscription.spec.timing.warmup_us and pause_us >= SECOND_US:
            subscription.due_us = self._spread(subscription.due_us, pause_us)
        result = ProbeResult(decision.up, decision.changed, decision.first, outcome, decision.failures, latency_us)
        subscription.last = result
        news_only = outcome.ok and decision.up and not outcome.partial and not self.every_result
        subscription.last_ok = outcome if news_only else None
        if not outcome.ok:
            subscription.answers_failed += 1
        listener = subscription.on_result
        if listener is not None:
            try:
                listener(result)
            except Exception as fault:
                self._log.error(f"defect while a check result was handled: {fault!r}")

    def _next_start(self, slot_us: int, now_us: int, pause_us: int) -> int:
        """A steady row of successes keeps its beat."""
        return self._slot_of(max(slot_us + pause_us, now_us + pause_us // 2), pause_us)

    def _start_waiting(self) -> None:
        self._waking = False
        now_us = self._reactor.now_us()
        while self._waiting and self._in_flight < self.in_flight_limit:
            probe = self._waiting.popleft()
            if probe.subscriptions:
                self._start(probe, now_us)

    def _drop(self, probe: Probe) -> None:
        if self._probes.get(probe.question) is probe:
            del self._probes[probe.question]
        probe.slot_us = None
        if probe.talk is not None:
            probe.talk.cancel()
            probe.talk = None
            probe.running = False
            self._in_flight -= 1

    def _note(self, note: Note) -> None:
        if note.failure:
            self._log.error(note.text)
        else:
            self._log.info(note.text)


def in_flight_limit() -> int:
    """Conversations at a time: what the limit of open descriptors leaves."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _LARGEST_IN_FLIGHT
    return max(16, min(soft - _RESERVED_DESCRIPTORS, _LARGEST_IN_FLIGHT))

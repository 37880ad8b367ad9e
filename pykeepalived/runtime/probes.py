"""The probe engine: asks every question once and tells everybody who wants to know.

A *probe* is one question (`CheckerSpec.question`); a *subscription* is one real server's interest in it, with its own
timing and its own verdict machine. Real servers that stand behind many virtual services ask the same question many
times; the engine starts one conversation and hands its result to each subscription that is due.

Which subscriptions are due: those whose own next start has come, and those whose present pause is at least half over
(or that have not been answered at all). So subscriptions of the same timing fall into step after one round and stay
there, none is answered less often than it asked for, and none is asked twice as often.

When they start is `probe_slots`' business. Conversations in flight are limited; further ones wait in order of their
start.
"""

from __future__ import annotations

import random as random_module
import resource
from collections import deque
from typing import Any, Final

from pykeepalived.checkers import registry
from pykeepalived.checkers.conversation import FailureKind, Note, Outcome
from pykeepalived.checkers.verdict import Verdict
from pykeepalived.model.checks import CheckerSpec, CheckQuestion
from pykeepalived.netio.connectors import Connectors
from pykeepalived.processes.scripts import ScriptRunner
from pykeepalived.reactor import Reactor
from pykeepalived.runtime.histogram import CHECK_BOUNDS_US, Histogram
from pykeepalived.runtime.probe_slots import SLOT_US, Slots, slot_of
from pykeepalived.runtime.program import Logger
from pykeepalived.runtime.subscriptions import Listener, Probe, ProbeResult, Subscription
from pykeepalived.units import MILLISECOND_US, SECOND_US

__all__ = ["SLOT_US", "Listener", "ProbeEngine", "ProbeResult", "Subscription", "in_flight_limit"]

#: A start this long after its slot is late, and counted.
LATE_US: Final = 100 * MILLISECOND_US
#: Descriptors that the process keeps for itself.
_RESERVED_DESCRIPTORS: Final = 128
_LARGEST_IN_FLIGHT: Final = 32768
_EXHAUSTED: Final = FailureKind.EXHAUSTED.value


class ProbeEngine:
    """All checks of one process."""

    def __init__(self, reactor: Reactor, log: Logger, scripts: ScriptRunner, random: random_module.Random) -> None:
        self._reactor = reactor
        self._log = log
        self._random = random
        self._connectors = Connectors(reactor, scripts, self._note)
        self._probes: dict[CheckQuestion, Probe] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._slots = Slots(reactor, self._begin)
        self._fresh: list[Subscription] = []
        """Subscriptions since the last turn: their first pause begins when the loop runs again."""
        self._waiting: deque[Probe] = deque()
        self._waking = False
        self._in_flight = 0
        self.in_flight_limit = in_flight_limit()
        self.every_result = False
        """Deliver equal successes too, for somebody who writes a line for each."""
        self.probes_started = 0
        self.started_late = 0
        """Starts more than 100 ms after their time."""
        self.answers_delivered = 0
        self.probes_saved = 0
        """Answers that needed no conversation of their own."""
        self.not_counted = 0
        self._latencies: dict[str, Histogram] = {}

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
        self._subscriptions[key] = subscription
        probe.unsettle()
        probe.subscriptions.append(subscription)
        if not self._fresh:
            self._reactor.call_soon(self._schedule_fresh)
        self._fresh.append(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        if subscription.on_result is None:
            return
        subscription.on_result = None
        if self._subscriptions.get(subscription.key) is subscription:
            del self._subscriptions[subscription.key]
        probe = subscription.probe
        probe.unsettle()
        probe.subscriptions.remove(subscription)
        if not probe.subscriptions:
            self._drop(probe)

    def stop(self) -> None:
        """End everything at once; no result is delivered afterwards."""
        for subscription in self._subscriptions.values():
            subscription.on_result = None
        self._subscriptions.clear()
        for probe in tuple(self._probes.values()):
            probe.subscriptions.clear()
            self._drop(probe)
        self._slots.clear()
        self._waiting.clear()
        self._connectors.close()

    def read_files_again(self) -> None:
        """Certificates and keys may be others now: the next handshakes read them."""
        self._connectors.tls_contexts.forget_files()

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
            "probes_saved": self.probes_saved,
            "not_counted": self.not_counted,
        }

    def latencies(self) -> dict[str, dict[str, Any]]:
        """How long conversations took, by the kind of check (`runtime.histogram`)."""
        return {kind: histogram.told() for kind, histogram in self._latencies.items()}

    def _latency_of(self, question: CheckQuestion) -> Histogram:
        kind = str(question.__struct_config__.tag)
        histogram = self._latencies.get(kind)
        if histogram is None:
            histogram = self._latencies[kind] = Histogram(CHECK_BOUNDS_US)
        return histogram

    def subscription(self, key: str) -> Subscription | None:
        return self._subscriptions.get(key)

    # ---- the schedule ----

    def now_us(self) -> int:
        """On the clock of the schedule (see `probe_slots`)."""
        return self._slots.now_us()

    def _schedule_fresh(self) -> None:
        fresh, self._fresh = self._fresh, []
        now_us = self._slots.now_us()
        for subscription in fresh:
            if subscription.on_result is not None:
                # In the slots of the pauses to come, whatever the warm-up: the first start sets the beat.
                when_us = now_us + subscription.pause_us
                subscription.due_us = slot_of(when_us, subscription.spec.timing.delay_loop_us)
                self.schedule(subscription.probe)

    def schedule(self, probe: Probe) -> None:
        """File a probe under the earliest start that one of its subscriptions asks for."""
        if probe.running or not probe.subscriptions:
            return
        if probe.steady is not None:
            self._slots.file(probe, probe.due_us)
        else:
            self._slots.file(probe, min(subscription.due_us for subscription in probe.subscriptions))

    def _begin(self, probe: Probe, slot_us: int) -> None:
        if self._in_flight < self.in_flight_limit:
            self._start(probe, slot_us or self._slots.now_us())
        else:
            probe.running = True
            self._waiting.append(probe)

    # ---- conversations ----

    def _start(self, probe: Probe, slot_us: int) -> None:
        probe.running = True
        probe.started_us = self._reactor.now_us()
        self._in_flight += 1
        self.probes_started += 1
        slots = self._slots
        if probe.started_us - slots.stood_us - slot_us > LATE_US or slot_us < slots.late_before_us:
            self.started_late += 1
        recovering = probe.steady is None and any(not each.verdict.up for each in probe.subscriptions)
        conversation = registry.converse(probe.question, registry.Start(probe.position, recovering))
        talk = self._connectors.perform(
            conversation, probe.limit_us, lambda outcome: self._finished(probe, slot_us, outcome)
        )
        # A conversation may be over before `perform` returns; then there is nothing to cancel.
        probe.talk = talk if probe.running else None

    def _finished(self, probe: Probe, slot_us: int, outcome: Outcome) -> None:
        now_us = self._reactor.now_us()
        probe.latency_us = now_us - probe.started_us
        self._latency_of(probe.question).observe(probe.latency_us)
        now_us -= self._slots.stood_us
        probe.running = False
        probe.talk = None
        probe.position = outcome.position
        self._in_flight -= 1
        if probe.steady is outcome:
            probe.rounds += 1
            self.answers_delivered += len(probe.subscriptions)
            self.probes_saved += len(probe.subscriptions) - 1
            probe.due_us = self._next_start(slot_us, now_us, probe.pause_us)
        else:
            probe.unsettle()
            before = self.answers_delivered
            self._answer_all(probe, slot_us, now_us, outcome)
            self.probes_saved += max(0, self.answers_delivered - before - 1)
        self.schedule(probe)
        if self._waiting and not self._waking:
            # Not from here: a conversation may end while it starts, and thousands may wait.
            self._waking = True
            self._reactor.call_soon(self._start_waiting)

    def _answer_all(self, probe: Probe, slot_us: int, now_us: int, outcome: Outcome) -> None:
        """Answer whoever is due, each by its own rules."""
        exhausted = outcome.reason == _EXHAUSTED
        if exhausted:
            self.not_counted += 1
            self._log.error(f"check not counted: {outcome.text}")
        for subscription in tuple(probe.subscriptions):
            pause_us = subscription.pause_us
            if exhausted:
                subscription.due_us = slot_of(now_us + SECOND_US, SECOND_US)
            elif subscription.due_us - now_us <= pause_us // 2 or not subscription.verdict.has_run:
                self.answers_delivered += 1
                subscription.heard += 1
                if subscription.last_ok is outcome:
                    # Word for word the success of the time before: nobody needs to hear of it.
                    subscription.due_us = self._next_start(slot_us, now_us, pause_us)
                else:
                    self._deliver(subscription, outcome, slot_us, now_us)
        if outcome.ok and probe.subscriptions:
            probe.settle(outcome)

    def _deliver(self, subscription: Subscription, outcome: Outcome, slot_us: int, now_us: int) -> None:
        decision = subscription.verdict.finished(outcome)
        subscription.pause_us = pause_us = decision.pause_us
        # After a failure the pause is counted from the end of the check; a quick one ends in its slot, otherwise each
        # failure would move the next start by a slot.
        if outcome.ok:
            subscription.due_us = self._next_start(slot_us, now_us, pause_us)
        else:
            when_us = (slot_us if now_us - slot_us < SLOT_US else now_us) + pause_us
            subscription.due_us = slot_of(when_us, pause_us)
        if decision.first and not subscription.spec.timing.warmup_us and pause_us >= SECOND_US:
            subscription.due_us = self._slots.spread(subscription.due_us, pause_us, len(self._subscriptions))
        latency_us = subscription.probe.latency_us
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
        return slot_of(max(slot_us + pause_us, now_us + pause_us // 2), pause_us)

    def _start_waiting(self) -> None:
        self._waking = False
        now_us = self._slots.now_us()
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

"""The probe engine in virtual time: schedule, sharing, limits, reload."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from pykeepalived.checkers.conversation import Outcome
from pykeepalived.model.checks import CheckerSpec, CheckTiming, HttpCheck, HttpUrl, SocketOptions, TcpCheck
from pykeepalived.reactor import Reactor
from pykeepalived.runtime.probes import SLOT_US, ProbeEngine, ProbeResult, Subscription
from tests.connectors.desk import FakeScripts
from tests.connectors.servers import Server, answer
from tests.connectors.virtual import FakeConnectors, VirtualReactor

SECOND = 1_000_000
FINE, BAD = Outcome(True, "fine"), Outcome(False, "refused", "refused")


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(text)

    detail = error = info


class Bench:
    def __init__(self) -> None:
        self.reactor: Any = VirtualReactor()
        self.log = Log()
        self.engine = ProbeEngine(self.reactor, self.log, FakeScripts(), random.Random(7))
        self.engine._connectors.close()
        self.connectors = FakeConnectors(self.reactor)
        self.engine._connectors = self.connectors  # type: ignore[assignment]
        self.results: dict[str, list[tuple[int, ProbeResult]]] = {}

    def subscribe(self, key: str, spec: CheckerSpec, *, initially_up: bool = True) -> Subscription:
        results = self.results.setdefault(key, [])
        return self.engine.subscribe(
            key, spec, lambda result: results.append((self.reactor.now_us(), result)), initially_up=initially_up
        )

    def pauses(self, key: str) -> list[int]:
        times = [when for when, _ in self.results[key]]
        return [later - earlier for earlier, later in pairwise(times)]


def spec(port: int = 80, **timing: Any) -> CheckerSpec:
    words = {"delay_loop_us": 2 * SECOND, "warmup_us": 2 * SECOND, **timing}
    return CheckerSpec(
        question=TcpCheck(socket=SocketOptions(address="192.0.2.1", port=port)), timing=CheckTiming(**words)
    )


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_same_success_again_is_counted_and_not_delivered(bench: Bench) -> None:
    bench.connectors.repeats = True
    subscription = bench.subscribe("a", spec(warmup_us=0, retry=1, delay_before_retry_us=SECOND))
    bench.reactor.run_for(20 * SECOND)
    assert [result.first for _, result in bench.results["a"]] == [True]
    assert subscription.answers == len(bench.connectors.starts_us) >= 10
    good, bench.connectors.outcome = bench.connectors.outcome, BAD
    bench.reactor.run_for(3 * SECOND)
    bench.connectors.outcome = good
    bench.reactor.run_for(20 * SECOND)
    assert [(result.outcome.ok, result.changed) for _, result in bench.results["a"]] == [
        (True, False), (False, False), (False, True), (True, True)]  # fmt: skip


# ---- schedule ----


def test_a_row_of_successes_keeps_its_beat(bench: Bench) -> None:
    bench.subscribe("a", spec())
    bench.reactor.run_for(60 * SECOND)
    starts = bench.connectors.starts_us
    assert 29 <= len(starts) <= 31
    assert {later - earlier for earlier, later in pairwise(starts)} == {2 * SECOND}
    assert {start % SLOT_US for start in starts} == {0}


def test_first_starts_are_spread_over_the_warmup(bench: Bench) -> None:
    for n in range(400):
        bench.subscribe(str(n), spec(n, warmup_us=10 * SECOND, delay_loop_us=1000 * SECOND))
    began = bench.reactor.now_us()
    bench.reactor.run_for(20 * SECOND)
    delays = [start - began for start in bench.connectors.starts_us]
    assert len(delays) == 400
    assert max(delays) <= 10 * SECOND + SLOT_US
    assert all(sum(n <= delay // SECOND * 5 < n + 10 for delay in delays) >= 60 for n in (0, 10, 20, 30, 40))
    # Grouped: far fewer instants than starts.
    assert len(set(delays)) <= 201


def test_no_warmup_starts_within_a_slot(bench: Bench) -> None:
    bench.subscribe("a", spec(warmup_us=0))
    bench.reactor.run_for(SLOT_US)
    assert len(bench.connectors.starts_us) == 1


def test_short_pauses_have_narrow_slots(bench: Bench) -> None:
    bench.subscribe("a", spec(delay_loop_us=100_000, warmup_us=0))
    bench.reactor.run_for(10 * SECOND)
    assert 94 <= len(bench.connectors.starts_us) <= 101


def test_retries_and_the_pause_of_a_dead_server(bench: Bench) -> None:
    bench.subscribe("a", spec(retry=2, delay_before_retry_us=SECOND, delay_loop_us=10 * SECOND, warmup_us=0))
    bench.reactor.run_for(SECOND)
    bench.connectors.outcome = BAD
    bench.reactor.run_for(59 * SECOND)
    results = [(result.up, result.changed, result.failures) for _, result in bench.results["a"]]
    assert results[:5] == [
        (True, False, 0), (True, False, 1), (True, False, 2), (False, True, 3), (False, False, 4),
    ]  # fmt: skip
    assert bench.pauses("a")[:5] == [10 * SECOND, SECOND, SECOND, 10 * SECOND, 10 * SECOND]


def test_after_a_slow_failure_the_pause_is_counted_from_its_end(bench: Bench) -> None:
    bench.connectors.outcome, bench.connectors.latency_us = BAD, 5 * SECOND
    bench.subscribe("a", spec(warmup_us=0))
    bench.reactor.run_for(30 * SECOND)
    assert all(7 * SECOND <= pause <= 7 * SECOND + SLOT_US for pause in bench.pauses("a"))


def test_a_stopped_clock_is_not_made_up_for(bench: Bench) -> None:
    bench.subscribe("a", spec(warmup_us=0))
    bench.reactor.run_for(SECOND)
    bench.reactor._now_us += 100 * SECOND
    before = len(bench.connectors.starts_us)
    bench.reactor.run_for(10 * SECOND)
    assert len(bench.connectors.starts_us) - before <= 7


def test_after_a_stall_the_checks_keep_their_distances(bench: Bench) -> None:
    """What a stall has delayed is not begun at once: that burst would come again in every round."""
    for n in range(400):
        bench.subscribe(str(n), spec(n, warmup_us=10 * SECOND, delay_loop_us=10 * SECOND))
    bench.reactor.run_for(30 * SECOND)
    bench.reactor._now_us += 4 * SECOND + SLOT_US // 2
    bench.connectors.starts_us.clear()
    bench.reactor.run_for(30 * SECOND)
    starts = bench.connectors.starts_us
    assert 1180 <= len(starts) <= 1220
    assert max(starts.count(start) for start in starts) <= 20
    # Those whose time had come during the stall, and no others, were late.
    assert 100 <= bench.engine.started_late <= 220


def test_a_long_start_does_not_use_up_the_first_pause(bench: Bench) -> None:
    for n in range(400):
        bench.subscribe(str(n), spec(n, warmup_us=4 * SECOND, delay_loop_us=1000 * SECOND))
    bench.reactor._now_us += 20 * SECOND
    bench.reactor.run_for(10 * SECOND)
    starts = bench.connectors.starts_us
    assert (len(starts), bench.engine.started_late) == (400, 0)
    assert max(starts) - min(starts) > 3 * SECOND


def test_check_now(bench: Bench) -> None:
    subscription = bench.subscribe("a", spec(delay_loop_us=1000 * SECOND, warmup_us=0))
    bench.reactor.run_for(SECOND)
    subscription.check_now()
    bench.reactor.run_for(SECOND)
    assert len(bench.results["a"]) == 2
    bench.reactor.run_for(900 * SECOND)
    assert len(bench.results["a"]) == 2
    bench.reactor.run_for(200 * SECOND)
    assert len(bench.results["a"]) == 3


# ---- sharing ----


def test_equal_questions_are_asked_once_and_answered_to_all(bench: Bench) -> None:
    for n in range(10):
        bench.subscribe(str(n), spec())
    bench.reactor.run_for(60 * SECOND)
    status = bench.engine.status()
    assert (status["questions"], status["subscriptions"]) == (1, 10)
    assert 29 <= status["probes_started"] <= 31
    assert status["answers_delivered"] == 10 * status["probes_started"]
    assert all(set(bench.pauses(str(n))) == {2 * SECOND} for n in range(10))


def test_equal_successes_count_for_each_subscriber_and_stop_when_one_leaves(bench: Bench) -> None:
    bench.connectors.repeats = True
    subscriptions = [bench.subscribe(str(n), spec(warmup_us=0)) for n in range(10)]
    bench.reactor.run_for(21 * SECOND)
    assert {each.answers for each in subscriptions} == {bench.engine.probes_started} == {11}
    subscriptions[0].close()
    late = bench.subscribe("late", spec(warmup_us=0))
    bench.reactor.run_for(20 * SECOND)
    assert {each.answers for each in subscriptions[1:]} == {bench.engine.probes_started}
    assert late.answers == bench.engine.probes_started - 11
    assert bench.engine.status()["answers_delivered"] == 10 * bench.engine.probes_started
    assert len(bench.results["1"]) == 1


def test_a_late_subscriber_falls_into_step(bench: Bench) -> None:
    bench.subscribe("a", spec())
    bench.reactor.run_for(61 * SECOND)
    before = bench.engine.probes_started
    bench.subscribe("b", spec(warmup_us=60 * SECOND))
    bench.reactor.run_for(60 * SECOND)
    assert bench.engine.probes_started - before <= 31
    assert len(bench.results["b"]) >= 29


def test_other_timings_share_what_falls_together_and_nobody_is_asked_too_often(bench: Bench) -> None:
    bench.subscribe("fast", spec(delay_loop_us=2 * SECOND))
    bench.subscribe("slow", spec(delay_loop_us=7 * SECOND))
    bench.reactor.run_for(140 * SECOND)
    assert len(bench.results["fast"]) >= 69
    assert all(pause <= 2 * SECOND + SLOT_US for pause in bench.pauses("fast"))
    assert 20 <= len(bench.results["slow"]) <= 40
    assert all(3 * SECOND <= pause <= 7 * SECOND + SLOT_US for pause in bench.pauses("slow"))
    # The slow one cost nothing of its own, or nearly so.
    assert bench.engine.probes_started <= 75


def test_each_subscriber_has_its_own_verdict(bench: Bench) -> None:
    bench.subscribe("strict", spec(retry=0, delay_before_retry_us=SECOND))
    bench.subscribe("patient", spec(retry=3, delay_before_retry_us=SECOND))
    bench.subscribe("alpha", spec(), initially_up=False)
    bench.reactor.run_for(10 * SECOND)
    assert [result.changed for _, result in bench.results["alpha"]][:2] == [True, False]
    bench.connectors.outcome = BAD
    bench.reactor.run_for(2 * SECOND)
    assert bench.results["strict"][-1][1].up is False
    assert bench.results["patient"][-1][1].up is True
    bench.reactor.run_for(10 * SECOND)
    assert bench.results["patient"][-1][1].up is False


def test_other_targets_are_other_questions(bench: Bench) -> None:
    bench.subscribe("a", spec(80))
    bench.subscribe("b", spec(81))
    bench.reactor.run_for(10 * SECOND)
    assert bench.engine.status()["questions"] == 2


def test_a_listeners_defect_robs_nobody(bench: Bench) -> None:
    def broken(result: ProbeResult) -> None:
        raise RuntimeError("oops")

    bench.engine.subscribe("broken", spec(), broken, initially_up=True)
    bench.subscribe("a", spec())
    bench.reactor.run_for(10 * SECOND)
    assert len(bench.results["a"]) >= 4
    assert any("oops" in line for line in bench.log.lines)


# ---- limits ----


@pytest.mark.parametrize("latency_us", [0, 300_000])
def test_conversations_in_flight_are_limited(bench: Bench, latency_us: int) -> None:
    bench.engine.in_flight_limit = 10
    bench.connectors.latency_us = latency_us
    for n in range(2000):
        bench.subscribe(str(n), spec(n, warmup_us=0, delay_loop_us=1000 * SECOND))
    bench.reactor.run_for(100 * SECOND)
    assert bench.connectors.most <= 10
    assert len(bench.connectors.starts_us) == 2000
    assert bench.engine.status()["waiting"] == bench.engine.status()["in_flight"] == 0


def test_what_says_nothing_about_the_server_does_not_count(bench: Bench) -> None:
    bench.subscribe("a", spec(warmup_us=0, retry=0))
    bench.connectors.outcome = Outcome(False, "socket: Too many open files", "no-resources")
    bench.reactor.run_for(10 * SECOND)
    assert bench.results["a"] == []
    assert bench.engine.status()["not_counted"] >= 5
    bench.connectors.outcome = FINE
    bench.reactor.run_for(3 * SECOND)
    assert bench.results["a"][0][1].first is True


# ---- coming and going ----


def test_the_same_key_and_spec_keep_state_and_schedule(bench: Bench) -> None:
    bench.connectors.outcome = BAD
    bench.subscribe("a", spec(warmup_us=0))
    bench.reactor.run_for(11 * SECOND)
    bench.results.clear()
    again = bench.subscribe("a", spec(warmup_us=0))
    assert again.up is False
    bench.reactor.run_for(2 * SECOND)
    [(_, result)] = bench.results["a"]
    assert (result.first, result.changed, result.up) == (False, False, False)


def test_the_same_key_with_another_spec_begins_anew(bench: Bench) -> None:
    first = bench.subscribe("a", spec(80))
    bench.reactor.run_for(10 * SECOND)
    second = bench.subscribe("a", spec(81), initially_up=False)
    assert second is not first
    assert (second.up, bench.engine.status()["questions"]) == (False, 1)
    bench.reactor.run_for(10 * SECOND)
    assert second.answers >= 4
    assert bench.engine.subscription("a") is second


def test_the_last_subscriber_ends_the_conversation(bench: Bench) -> None:
    bench.connectors.latency_us = SECOND
    one, two = bench.subscribe("a", spec(warmup_us=0)), bench.subscribe("b", spec(warmup_us=0))
    bench.reactor.run_for(SLOT_US)
    assert bench.engine.status()["in_flight"] == 1
    one.close()
    one.close()
    assert bench.engine.status()["in_flight"] == 1
    two.close()
    assert bench.engine.status() | {"probes_started": 0, "in_flight_limit": 0} == {
        "questions": 0, "subscriptions": 0, "in_flight": 0, "in_flight_limit": 0, "waiting": 0,
        "probes_started": 0, "answers_delivered": 0, "not_counted": 0, "started_late": 0, "probes_saved": 0,
    }  # fmt: skip
    bench.reactor.run_for(10 * SECOND)
    assert bench.results == {"a": [], "b": []}
    assert len(bench.connectors.starts_us) == 1


def test_a_listener_may_close_everybody(bench: Bench) -> None:
    seen = []

    def greedy(result: ProbeResult) -> None:
        seen.append(result)
        for subscription in subscriptions:
            subscription.close()

    subscriptions = [bench.engine.subscribe(str(n), spec(), greedy, initially_up=True) for n in range(5)]
    bench.reactor.run_for(20 * SECOND)
    assert len(seen) == 1


def test_stop_ends_everything(bench: Bench) -> None:
    bench.connectors.latency_us = SECOND
    for n in range(20):
        bench.subscribe(str(n), spec(n))
    bench.reactor.run_for(SECOND)
    delivered = sum(map(len, bench.results.values()))
    bench.engine.stop()
    bench.reactor.run_for(20 * SECOND)
    assert sum(map(len, bench.results.values())) == delivered
    assert bench.engine.status()["in_flight"] == 0


def test_status_of_a_subscription(bench: Bench) -> None:
    one = bench.subscribe("a", spec(warmup_us=0))
    bench.subscribe("b", spec(warmup_us=0))
    bench.reactor.run_for(SECOND)
    assert one.status() == {
        "key": "a", "check": "tcp", "up": True, "has_run": True, "failures": 0, "answers": 1, "answers_failed": 0,
        "last": {"ok": True, "reason": "", "text": "fine", "latency_us": 1_500}, "shared_with": 1,
    }  # fmt: skip


# ---- with real sockets ----


def test_http_recovers_in_two_steps_over_real_sockets() -> None:
    status = b"200"

    def handler(connection: Any) -> None:
        answer(b"HTTP/1.0 %b X\r\n\r\n" % status)(connection)

    faults: list[BaseException] = []
    reactor = Reactor(faults.append)
    engine = ProbeEngine(reactor, Log(), FakeScripts(), random.Random(1))
    results: list[ProbeResult] = []
    with Server(handler) as server:
        question = HttpCheck(
            socket=SocketOptions(address="127.0.0.1", port=server.port), urls=(HttpUrl(path="/a"), HttpUrl(path="/b"))
        )
        timing = CheckTiming(delay_loop_us=30_000, warmup_us=0, retry=1, delay_before_retry_us=10_000)
        engine.subscribe("a", CheckerSpec(question=question, timing=timing), results.append, initially_up=True)

        def run_to(count: int) -> None:
            turns = 0
            while len(results) < count:
                reactor.turn(20_000)
                turns += 1
                assert turns < 1000

        run_to(1)
        status = b"503"
        run_to(4)
        status = b"200"
        # One that was under way may still bring the old answer.
        while not results[-1].up:
            run_to(len(results) + 1)
            assert len(results) < 20
    engine.stop()
    left = dict(reactor._handlers)
    reactor.close()
    states = [(result.up, result.outcome.ok, result.outcome.partial) for result in results]
    assert states[-2:] == [(False, True, True), (True, True, False)]
    assert [result.changed for result in results].count(True) == 2
    assert not left
    assert not faults


def test_what_is_overdue_at_once_does_not_fill_one_turn(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a long start the loop must hear and answer between the checks that it has missed."""
    for n in range(2000):
        bench.subscribe(str(n), spec(n, warmup_us=0, delay_loop_us=1000 * SECOND))
    bench.connectors.latency_us = SECOND
    begun = [0]
    later = bench.reactor.call_soon

    def call_soon(callback: Any) -> Any:
        begun.append(bench.engine.probes_started)
        return later(callback)

    monkeypatch.setattr(bench.reactor, "call_soon", call_soon)
    bench.reactor.run_for(SECOND // 2)
    assert bench.engine.probes_started == 2000
    assert max(after - before for before, after in pairwise([*begun, 2000])) <= 512

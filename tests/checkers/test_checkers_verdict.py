"""The verdict machine: every rule, and that no row of results leads it astray."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pykeepalived.checkers.conversation import Outcome
from pykeepalived.checkers.verdict import SHORTEST_PAUSE_US, Decision, Verdict
from pykeepalived.model.checks import CheckTiming

OK = Outcome(True, "fine")
BAD = Outcome(False, "refused", "refused")
TIMING = CheckTiming(delay_loop_us=10_000_000, delay_before_retry_us=3_000_000, retry=2, warmup_us=8_000_000)


def run(verdict: Verdict, *outcomes: Outcome) -> list[Decision]:
    return [verdict.finished(outcome) for outcome in outcomes]


def test_failures_are_forgiven_up_to_retry_and_the_next_one_counts() -> None:
    verdict = Verdict(TIMING, initially_up=True)
    steps = run(verdict, OK, BAD, BAD, BAD, BAD)
    assert [(step.up, step.changed, step.failures, step.pause_us) for step in steps] == [
        (True, False, 0, 10_000_000),
        (True, False, 1, 3_000_000),
        (True, False, 2, 3_000_000),
        (False, True, 3, 10_000_000),
        (False, False, 4, 10_000_000),
    ]
    assert [step.first for step in steps] == [True, False, False, False, False]


def test_the_very_first_failure_counts_at_once() -> None:
    [step] = run(Verdict(TIMING, initially_up=True), BAD)
    assert (step.up, step.changed, step.first, step.pause_us) == (False, True, True, 10_000_000)


def test_the_first_failure_is_forgiven_where_the_language_says_so() -> None:
    timing = CheckTiming(retry=1, delay_before_retry_us=2_000_000, first_failure_counts=False)
    steps = run(Verdict(timing, initially_up=True), BAD, BAD)
    assert [(step.up, step.changed, step.pause_us) for step in steps] == [
        (True, False, 2_000_000),
        (False, True, 60_000_000),
    ]


def test_a_dead_server_comes_back_with_one_success() -> None:
    verdict = Verdict(TIMING, initially_up=False)
    steps = run(verdict, BAD, OK, OK)
    assert [(step.up, step.changed) for step in steps] == [(False, False), (True, True), (True, False)]


def test_rise_wants_successes_in_a_row() -> None:
    verdict = Verdict(CheckTiming(rise=3), initially_up=False)
    assert [step.up for step in run(verdict, OK, OK, BAD, OK, OK, OK)] == [False, False, False, False, False, True]


def test_a_success_ends_the_row_of_failures() -> None:
    verdict = Verdict(TIMING, initially_up=True)
    assert all(step.up for step in run(verdict, OK, BAD, BAD, OK, BAD, BAD))


def test_failures_of_different_urls_do_not_add_up() -> None:
    verdict = Verdict(CheckTiming(retry=1), initially_up=True)
    first, second = Outcome(False, "", position=1), Outcome(False, "", position=2)
    assert [step.failures for step in run(verdict, OK, first, second, second)] == [0, 1, 1, 2]
    assert not verdict.up


def test_a_partial_success_brings_nobody_back_but_ends_the_row() -> None:
    verdict = Verdict(TIMING, initially_up=False)
    partial = Outcome(True, "one url", partial=True)
    assert [step.up for step in run(verdict, BAD, partial, partial, OK)] == [False, False, False, True]
    retried = Verdict(TIMING, initially_up=True)
    assert [step.failures for step in run(retried, OK, BAD, partial, BAD)] == [0, 1, 0, 1]


def test_the_pause_of_a_dead_server() -> None:
    assert run(Verdict(CheckTiming(down_delay_us=7_000_000), initially_up=False), BAD)[0].pause_us == 7_000_000
    slow = Verdict(TIMING, initially_up=False, down_pause_at_least_us=30_000_000)
    assert run(slow, BAD)[0].pause_us == 30_000_000


def test_no_pause_is_zero() -> None:
    timing = CheckTiming(delay_loop_us=0, delay_before_retry_us=0, retry=1, first_failure_counts=False)
    steps = run(Verdict(timing, initially_up=True), OK, BAD, BAD)
    assert {step.pause_us for step in steps} == {SHORTEST_PAUSE_US}


def test_warmup_is_a_share_of_the_warmup_time() -> None:
    verdict = Verdict(TIMING, initially_up=True)
    assert [verdict.first_pause_us(fraction) for fraction in (0.0, 0.25, 1.0)] == [0, 2_000_000, 8_000_000]


@given(st.integers(0, 4), st.integers(1, 3), st.booleans(), st.booleans(), st.lists(st.booleans(), max_size=40))
def test_the_machine_agrees_with_counting_by_hand(
    retry: int, rise: int, initially_up: bool, first_counts: bool, results: list[bool]
) -> None:
    verdict = Verdict(CheckTiming(retry=retry, rise=rise, first_failure_counts=first_counts), initially_up=initially_up)
    up = initially_up
    for number, ok in enumerate(results):
        row = next((n for n, other in enumerate(reversed(results[: number + 1])) if other != ok), number + 1)
        before = up
        # A row of successes that began while the server was down counts from where it went down: that was a failure.
        if ok:
            up = up or row >= rise
        elif row > retry or (number == 0 and first_counts):
            up = False
        step = verdict.finished(OK if ok else BAD)
        assert (step.up, step.changed, step.first) == (up, up != before, number == 0)

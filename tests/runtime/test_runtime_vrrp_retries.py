"""Addresses that the kernel refuses for a moment."""

from __future__ import annotations

import pytest

from pykeepalived.model.common import IpPrefix
from pykeepalived.model.vrrp import VirtualAddress
from pykeepalived.runtime.vrrp_addresses import Placed
from tests.simulation.hands import Hands, Kernel

ADDRESS = Placed("eth0", VirtualAddress(prefix=IpPrefix("10.0.0.5", 24)))


class Clock:
    """Timers that ring when they are told to, in their order."""

    def __init__(self) -> None:
        self.waits_us: list[int] = []
        self._calls: list = []

    def later(self, delay_us: int, call) -> None:
        self.waits_us.append(delay_us)
        self._calls.append(call)

    def ring(self) -> None:
        self._calls.pop(0)()


@pytest.fixture(params=["refuses", "silent", "answer-lost"])
def trouble(request) -> str:
    return request.param


def bench() -> tuple[Clock, Kernel, Hands]:
    clock, kernel = Clock(), Kernel("test", ["eth0"])
    kernel.chance.random = lambda: 0.0  # always in trouble
    return clock, kernel, Hands(kernel, None, clock.later)


def test_a_refused_address_is_added_later_and_announced(trouble: str) -> None:
    clock, kernel, hands = bench()
    kernel.trouble = trouble
    hands.keeper.add("V1", [ADDRESS])
    hands.keeper.flush()
    assert hands.keeper.unfinished
    clock.ring()
    assert not hands.announced
    kernel.trouble = ""
    clock.ring()
    assert kernel.table == {ADDRESS.entry}
    assert hands.announced == {"V1": 1}
    assert not hands.keeper.unfinished
    assert len(clock.waits_us) == 2


def test_a_refused_removal_is_made_later(trouble: str) -> None:
    clock, kernel, hands = bench()
    hands.keeper.add("V1", [ADDRESS])
    hands.keeper.flush()
    kernel.trouble = trouble
    hands.keeper.remove("V1")
    hands.keeper.flush()
    kernel.trouble = ""
    clock.ring()
    assert kernel.table == set()
    assert not hands.announced


def test_a_wish_that_changed_meanwhile_is_not_made(trouble: str) -> None:
    """Refused as MASTER, and BACKUP before the next attempt."""
    clock, kernel, hands = bench()
    kernel.trouble = trouble
    hands.keeper.add("V1", [ADDRESS])
    hands.keeper.flush()
    kernel.trouble = ""
    hands.keeper.remove("V1")
    hands.keeper.flush()
    clock.ring()
    assert kernel.table == set()
    assert not hands.keeper.unfinished


def test_the_wait_grows_to_ten_seconds_and_begins_anew() -> None:
    clock, kernel, hands = bench()
    kernel.trouble = "refuses"
    hands.keeper.add("V1", [ADDRESS])
    hands.keeper.flush()
    for _ in range(9):
        clock.ring()
    assert clock.waits_us == [100_000 << n for n in range(7)] + [10_000_000] * 3
    hands.keeper.add("V2", [Placed("eth0", VirtualAddress(prefix=IpPrefix("10.0.0.6", 24)))])
    hands.keeper.flush()
    assert clock.waits_us[-1] == 100_000


def test_who_ends_tries_at_once() -> None:
    _, kernel, hands = bench()
    hands.keeper.add("V1", [ADDRESS])
    hands.keeper.flush()
    kernel.trouble = "answer-lost"
    hands.keeper.remove("V1")
    hands.keeper.flush()
    kernel.trouble = ""
    hands.retries.finish()
    assert kernel.table == set()


def test_what_an_earlier_process_left_goes_when_it_can() -> None:
    clock, kernel, hands = bench()
    hands.keeper.add("V1", [ADDRESS])
    hands.keeper.flush()
    successor = Hands(kernel, hands, clock.later)
    kernel.trouble = "silent"
    successor.take_away_left()
    assert kernel.table == {ADDRESS.entry}
    kernel.trouble = ""
    clock.ring()
    assert kernel.table == set()

"""The alarm of the VRRP process: on time for elections, quiet otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from pykeepalived.reactor import Reactor
from pykeepalived.runtime.vrrp_alarm import Alarm, Rehearsal
from pykeepalived.vrrp import events
from pykeepalived.vrrp.router import Router
from tests.vrrp.playbook import advert, config, instance


class Clock:
    """What the alarm uses of a reactor, in virtual time: each look at the clock takes a microsecond."""

    def __init__(self) -> None:
        self.instant_us = 1_000_000
        self.timers: list[tuple[int, Callable[[], None]]] = []

    def now_us(self) -> int:
        self.instant_us += 1
        return self.instant_us

    def call_at(self, at_us: int, call: Callable[[], None]) -> Entry:
        entry = (at_us, call)
        self.timers.append(entry)
        return Entry(self, entry)

    def call_soon(self, call: Callable[[], None]) -> None:
        call()

    def turn(self, late_us: int) -> None:
        """Sleep until the next timer, and that much longer."""
        at_us, call = self.timers.pop(self.timers.index(min(self.timers, key=lambda timer: timer[0])))
        self.instant_us = max(self.instant_us, at_us + late_us)
        call()


class Entry:
    def __init__(self, clock: Clock, entry: tuple[int, Callable[[], None]]) -> None:
        self._clock, self._entry = clock, entry

    def cancel(self) -> None:
        if self._entry in self._clock.timers:
            self._clock.timers.remove(self._entry)


class Stage:
    """A router of a 100 ms instance; `heard` comes in while the alarm gets ready. The loop wakes `late_us` late."""

    def __init__(self, *heard: events.Event, late_us: int = 100) -> None:
        self.reactor = Clock()
        self.late_us = late_us
        self.router = Router(config(instance(version=3, advert_interval_us=100_000)), log_detail=False)
        self.heard = list(heard)
        self.rings: list[int] = []
        self.decided: list[int] = []
        self.listened = 0
        self.alarm = Alarm(cast("Reactor", self.reactor), self.router, ring=self.ring, listen=self.listen)
        for event in (
            events.LinkChanged("eth0", True),
            events.SourceAddressChanged("A", "10.0.0.1"),
            events.Start(),
        ):
            self.feed(event)

    def feed(self, event: events.Event) -> None:
        self.router.handle(event, self.reactor.now_us())
        self.alarm.arm()

    def ring(self, at_us: int | None) -> None:
        due_us = self.router.wake_at()
        assert due_us is not None
        now_us = self.reactor.now_us()
        assert at_us in {None, due_us}
        self.decided.append(now_us - due_us)
        # The program waits for the instant; what it sends then is never early.
        self.rings.append(max(now_us, at_us or 0) - due_us)
        self.router.handle(events.Tick(), at_us or now_us)
        self.reactor.instant_us = max(now_us, at_us or 0)
        self.alarm.arm()

    def listen(self) -> None:
        self.listened += 1
        while self.heard:
            self.feed(self.heard.pop())

    def run(self, seconds: float) -> None:
        end_us = self.reactor.now_us() + int(seconds * 1_000_000)
        while self.reactor.timers and min(at_us for at_us, _ in self.reactor.timers) < end_us:
            self.reactor.turn(self.late_us)
        self.alarm.cancel()
        assert not self.reactor.timers


def test_an_election_is_met_and_adverts_need_no_early_alarm() -> None:
    stage = Stage()
    assert stage.router.waits_for_election()
    stage.run(0.8)
    assert len(stage.rings) >= 4
    assert all(late_us >= 0 for late_us in stage.rings), "never early"
    assert stage.rings[0] < 10, "awake at the moment of the election"
    assert -100 < stage.decided[0] <= 0, "and has decided a moment before"
    assert min(stage.rings[1:]) >= stage.late_us, "adverts are worth no watch"
    assert stage.listened == 2
    assert not stage.router.waits_for_election()


def test_a_loop_that_stood_still_hears_before_it_elects() -> None:
    stage = Stage(late_us=50_000)
    stage.run(0.8)
    assert stage.listened == len(stage.rings), "what waits is heard before each late ring"


def test_a_master_heard_in_the_last_moment_ends_the_election() -> None:
    stage = Stage(events.AdvertReceived("A", advert(200, version=3, interval_us=40_000_000)))
    stage.run(0.6)
    assert stage.rings == []
    assert stage.router.status()[0].state.name == "BACKUP"


def test_an_election_that_is_met_late_hears_first() -> None:
    heard = events.AdvertReceived("A", advert(200, version=3, interval_us=40_000_000))
    stage = Stage(heard, late_us=2_000)
    stage.run(0.6)
    assert stage.rings == []
    assert stage.listened == 1


def test_a_rehearsal_sends_one_advert_each_time() -> None:
    rehearsal = Rehearsal()
    rehearsal.play()
    assert [rehearsal.play() for _ in range(3)] == [1, 1, 1]


def test_how_late_adverts_leave_is_counted() -> None:
    stage = Stage(late_us=300)
    sent = [0]
    plain = stage.ring

    def ring(at_us: int | None) -> None:
        plain(at_us)
        sent[0] += 1

    stage.alarm = Alarm(
        cast("Reactor", stage.reactor), stage.router, ring=ring, listen=stage.listen, sent=lambda: sent[0]
    )
    stage.alarm.arm()
    stage.run(0.8)
    told = stage.alarm.lateness.told()
    assert sum(told["counts"]) == sent[0] > 3
    late = dict(zip(told["bounds_us"], told["counts"], strict=False))
    assert late[500] >= sent[0] - 1


def test_a_master_that_is_heard_costs_the_alarm_nothing_and_its_silence_is_met_on_time() -> None:
    stage = Stage()
    heard = events.AdvertReceived("A", advert(200, version=3, interval_us=100_000))
    set_anew = set()
    for _ in range(20):
        stage.feed(heard)
        set_anew |= {at_us for at_us, _ in stage.reactor.timers}
        assert len(stage.reactor.timers) == 1
        stage.reactor.instant_us += 10_000
    assert len(set_anew) <= 2, "the timer is not set for each advert"
    assert stage.rings == []
    stage.run(0.8)
    assert 0 <= stage.rings[0] < 10, "awake at the moment of the election"
    assert stage.listened == 2, "once for it, not where the timer had been left"

"""The alarm of the VRRP process: on time for elections, quiet otherwise."""

from __future__ import annotations

from pykeepalived.reactor import Reactor
from pykeepalived.runtime.vrrp_alarm import Alarm, Rehearsal
from pykeepalived.vrrp import events
from pykeepalived.vrrp.router import Router
from tests.vrrp.playbook import advert, config, instance


class Stage:
    """A router of a 100 ms instance on a real loop; `heard` comes in while the alarm gets ready."""

    def __init__(self, *heard: events.Event) -> None:
        self.reactor = Reactor()
        self.router = Router(config(instance(version=3, advert_interval_us=100_000)), log_detail=False)
        self.heard = list(heard)
        self.rings: list[int] = []
        self.listened = 0
        self.alarm = Alarm(self.reactor, self.router, ring=self.ring, listen=self.listen)
        for event in (
            events.LinkChanged("eth0", True),
            events.SourceAddressChanged("A", "10.0.0.1"),
            events.Start(),
        ):
            self.feed(event)

    def feed(self, event: events.Event) -> None:
        self.router.handle(event, self.reactor.now_us())
        self.alarm.arm()

    def ring(self) -> None:
        if self.heard:
            # The alarm came too late on a busy machine: the loop reads what is there before its timers, as always.
            self.listen()
            return
        due_us = self.router.wake_at()
        assert due_us is not None
        self.rings.append(self.reactor.now_us() - due_us)
        self.feed(events.Tick())

    def listen(self) -> None:
        self.listened += 1
        while self.heard:
            self.feed(self.heard.pop())

    def run(self, seconds: float) -> None:
        end_us = self.reactor.now_us() + int(seconds * 1_000_000)
        while self.reactor.now_us() < end_us:
            self.reactor.turn(20_000)
        self.alarm.cancel()
        self.reactor.close()


def test_an_election_is_met_and_adverts_need_no_early_alarm() -> None:
    stage = Stage()
    assert stage.router.waits_for_election()
    stage.run(0.8)
    assert len(stage.rings) >= 4
    assert all(late_us >= 0 for late_us in stage.rings), "never early"
    assert stage.listened == 1 or stage.rings[0] > 200, "only a loop that woke too late does without"
    assert not stage.router.waits_for_election()


def test_a_master_heard_in_the_last_moment_ends_the_election() -> None:
    stage = Stage(events.AdvertReceived("A", advert(200, version=3, interval_us=40_000_000)))
    stage.run(0.6)
    assert stage.rings == []
    assert stage.router.status()[0].state.name == "BACKUP"


def test_a_rehearsal_sends_one_advert_each_time() -> None:
    rehearsal = Rehearsal()
    rehearsal.play()
    assert [rehearsal.play() for _ in range(3)] == [1, 1, 1]

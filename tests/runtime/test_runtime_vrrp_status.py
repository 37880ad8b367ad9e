"""The status of the VRRP process: right after every change, and drawn anew only then."""

from __future__ import annotations

from pykeepalived.netio.links import Link
from pykeepalived.runtime.vrrp_journal import Entry
from pykeepalived.runtime.vrrp_status import StatusBook
from pykeepalived.vrrp import events
from pykeepalived.vrrp.router import Router
from tests.vrrp.playbook import config, instance


class Bench:
    def __init__(self):
        self.config = config(instance("A"), instance("B", 52))
        self.router = Router(self.config, log_detail=False)
        self.until = {}
        self.held = frozenset()
        self.links = [Link(1, "eth0", True, bytes(6), 1500)]
        self.baseline = {}
        self.now_us = 0
        self.book = StatusBook(standby_until=lambda: self.until, held=lambda: self.held, links=lambda: iter(self.links))
        for name in ("A", "B"):
            self.feed(events.SourceAddressChanged(name, "10.0.0.1"))
        self.feed(events.LinkChanged("eth0", True))
        self.feed(events.Start())

    def feed(self, event):
        self.router.handle(event, self.now_us)

    def status(self):
        return self.book.status(self.config, self.router, self.baseline, self.now_us)

    def named(self, name):
        return next(item for item in self.status()["instances"] if item["name"] == name)

    def drawn(self):
        """How many pictures the next status makes anew."""
        before = self.book.drawn
        self.status()
        return self.book.drawn - before


def test_nothing_is_drawn_twice_and_counters_go_on():
    bench = Bench()
    assert bench.drawn() == 2
    assert bench.drawn() == 0
    while bench.named("A")["state"] != "MASTER":
        bench.now_us = max(bench.now_us, bench.router.wake_at())
        bench.feed(events.Tick())
    bench.status()
    sent = bench.named("A")["stats"]["advert_sent"]
    bench.now_us = bench.router.wake_at()
    before = bench.book.drawn
    bench.feed(events.Tick())
    assert bench.named("A")["stats"]["advert_sent"] == sent + 1
    assert bench.book.drawn == before, "an advert is no new picture"


def test_every_change_is_seen():
    bench = Bench()
    bench.status()
    bench.feed(events.LinkChanged("eth0", False))
    assert bench.named("A")["state"] == "FAULT"
    assert bench.named("A")["faults"]
    bench.feed(events.LinkChanged("eth0", True))
    assert bench.named("A")["state"] == "BACKUP"
    bench.until = {"A": 5.0}
    assert bench.named("A")["standby_until"] == 5.0
    assert bench.drawn() == 0
    assert not bench.named("A")["addresses"][0]["set"]
    bench.held = frozenset({Entry("eth0", "10.0.0.51", 24)})
    assert bench.named("A")["addresses"][0]["set"]
    bench.links.append(Link(2, "eth1", False, bytes(6), 1500))
    assert [item["name"] for item in bench.status()["interfaces"]] == ["eth0", "eth1"]
    bench.baseline = {"A": {"advert_rcvd": -3}}
    assert bench.named("A")["stats"]["advert_rcvd"] == 3
    bench.config = config(instance("A", priority=7), instance("B", 52))
    bench.router.reload(bench.config, bench.now_us)
    assert bench.named("A")["base_priority"] == 7

"""The router as a whole: deadlines, phases, robustness, size."""

import itertools
import time

import pytest

from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import SyncGroup, TrackedInterface, TrackedScript, VrrpState
from pykeepalived.vrrp import events
from pykeepalived.vrrp.output import Budget, Output
from pykeepalived.vrrp.router import Router
from tests.vrrp.playbook import Playbook, advert, config, instance, line, script


def test_wake_at_is_exact_after_a_deadline_moved_away():
    book = Playbook(config(instance("A", 51), instance("B", 52, priority=50)))
    book.start()
    assert book.router.wake_at() == 3_609_375
    for second in range(1, 10):
        book.run(second)
        book.hear(200)
        book.hear(200, name="B", vrid=52)
        assert (book.router.look_at() or 0) <= second * 1_000_000 + 3_609_375
        assert book.router.wake_at() == second * 1_000_000 + 3_609_375
        assert book.router.look_at() == book.router.wake_at()


def test_a_tick_before_its_time_does_nothing():
    book = Playbook(config(instance()))
    book.start()
    assert book.feed(events.Tick()) == []
    book.now_us = 3_609_374
    assert book.feed(events.Tick()) == []
    assert book.state() == "BACKUP"


def test_many_deadlines_at_once_leave_phase_by_phase():
    names = [f"I{number}" for number in range(5)]
    book = Playbook(config(*(instance(name, number + 1) for number, name in enumerate(names))))
    book.start()
    kinds = [item.split()[1] for item in book.run(3.7) if "log" not in item]
    assert kinds == ["advert"] * 5 + ["addresses"] * 5 + ["announce"] * 5 + ["notify"] * 5


def test_phases_keep_the_order_within_a_lane():
    out = Output()
    for lane in ("x", "y"):
        out.put(lane, events.Announce(lane, 1))
        out.log(lane, f"{lane} announced")
        out.put(lane, events.SendAdvert(lane, 1))
    assert [line(action) for action in out.actions()] == [
        "announce x x1",
        "log x announced",
        "advert x 1",
        "announce y x1",
        "log y announced",
        "advert y 1",
    ]


def test_a_budget_is_for_one_second():
    budget = Budget(2)
    assert [budget.spend(at) for at in (0, 1, 2, 999_999, 1_000_000)] == [True, True, False, False, True]


def test_packets_before_ticks_prevent_a_needless_election():
    book = Playbook(config(instance()))
    book.start()
    book.now_us = 60_000_000
    book.hear(200)
    assert book.feed(events.Tick()) == []
    assert book.state() == "BACKUP"


# ---- every state and every event ----


def some_events():
    for priority in (0, 1, 99, 100, 101, 255):
        for source in ("10.0.0.0", "10.0.0.1", "10.0.0.2", "", "fe80::1", "nonsense"):
            yield events.AdvertReceived("A", advert(priority, source))
            yield events.AdvertReceived("A", advert(priority, source, version=3, interval_us=10_000, addresses=()))
    for refusal in events.Refusal:
        yield events.PacketRefused("A", refusal, "10.0.0.2", "text")
    for up in (True, False):
        yield events.LinkChanged("eth0", up)
        yield events.LinkChanged("eth1", up)
        yield events.Stop(up)
    for text in ("10.0.0.1", "10.0.0.3", None):
        yield events.SourceAddressChanged("A", text)
    yield events.SourceAddressChanged("A", None, tentative=True)
    yield events.InterfaceReady("A")
    for status in (0, 1, -9, None):
        yield events.ScriptResult("chk", status)
    yield events.AddressLost("A", "10.0.0.51", "eth0")
    yield events.Start()
    yield events.Tick()
    # Things that this generation does not have.
    yield events.AdvertReceived("nobody", advert(100))
    yield events.PacketRefused("nobody", events.Refusal.TTL, "10.0.0.2")
    yield events.SourceAddressChanged("nobody", None)
    yield events.ScriptResult("nobody", 0)
    yield events.AddressLost("nobody", "10.0.0.51", "eth0")


def in_state(state: str, *, grouped: bool, version: int, priority: int) -> Playbook:
    """A router whose instance A is in a state; INIT because of a script, NEW because nothing was started."""
    words = {"version": version, "priority": priority, "track_interfaces": (TrackedInterface("eth1", 10),)}
    if state == "INIT":
        words["track_scripts"] = (TrackedScript("chk"),)
    configuration = config(
        instance("A", 51, **words),
        instance("B", 52, version=version),
        groups=(SyncGroup(name="G", members=("A", "B")),) if grouped else (),
        scripts=(script(),),
    )
    book = Playbook(configuration, links={"eth0": True, "eth1": True})
    if state != "NEW":
        book.start()
    if state == "MASTER":
        book.run(4)
    elif state == "FAULT":
        book.link("eth0", False)
    elif state == "STOP":
        book.stop()
    return book


STATES = ["NEW", "INIT", "BACKUP", "MASTER", "FAULT", "STOP"]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("priority", [100, 255])
def test_every_event_in_every_state_ends_in_a_state_that_makes_sense(state, grouped, version, priority):
    for event in some_events():
        book = in_state(state, grouped=grouped, version=version, priority=priority)
        before = book.state()
        assert before == {"NEW": "INIT"}.get(state, state), state
        book.feed(event)
        check(book)
        if state in {"NEW", "STOP"} and not isinstance(event, events.Start | events.Stop):
            assert book.state() == before
        book.run(book.now_us / 1_000_000 + 10)
        check(book)


@pytest.mark.parametrize("grouped", [False, True])
def test_every_pair_of_events_keeps_the_machine_whole(grouped):
    chosen = list(some_events())[::4]
    for state in ("BACKUP", "MASTER", "FAULT"):
        for first, second in itertools.product(chosen, chosen):
            book = in_state(state, grouped=grouped, version=2, priority=100)
            book.feed(first)
            book.feed(second)
            check(book)


def check(book: Playbook) -> None:
    """What must hold after every event: who waits has a deadline, a group is of one mind about MASTER and FAULT."""
    wake_us = book.router.wake_at()
    for status in book.router.status():
        if status.state in {VrrpState.BACKUP, VrrpState.MASTER}:
            assert wake_us is not None
            assert not status.faults
        if status.state is VrrpState.FAULT:
            assert status.faults
        assert 0 < status.effective_priority <= 255
    for group in book.router.group_status():
        members = {book.status(name).state for name in group.members}
        assert len(members) == 1, members
        assert members == {group.state} or group.state is VrrpState.MASTER, (members, group.state)


# ---- size ----


def test_four_thousand_instances():
    """Start, elect, and hear adverts; the bounds are generous, a quadratic step would exceed them many times."""
    instances = tuple(
        instance(f"I{number}", number % 255 + 1, interface=f"eth{number // 255}", priority=100 + number % 100)
        for number in range(4096)
    )
    router = Router(Config(instances=instances), log_detail=False)
    for number in range(17):
        router.handle(events.LinkChanged(f"eth{number}", True), 0)
    for item in instances:
        router.handle(events.SourceAddressChanged(item.name, "10.0.0.1"), 0)
    began = time.process_time()
    router.handle(events.Start(), 0)
    heard = [events.AdvertReceived(item.name, advert(250, vrid=item.vrid)) for item in instances]
    for second in range(1, 4):
        for event in heard:
            router.handle(event, second * 1_000_000)
        assert router.wake_at() is not None
    for _ in range(2000):
        wake_us = router.wake_at()
        if wake_us > 8_000_000:
            break
        router.handle(events.Tick(), wake_us)
    assert {item.state for item in router.status()} == {VrrpState.MASTER}
    assert time.process_time() - began < 8

"""An operator's standby: a handover with priority 0, nobody leads from it, and the way back; and why it is so."""

from __future__ import annotations

import pytest

from pykeepalived.model.vrrp import SyncGroup, TrackedInterface, TrackedScript
from pykeepalived.vrrp import events
from tests.vrrp.cluster import Cluster
from tests.vrrp.playbook import Playbook, config, instance, script


def standby(*names, on=True):
    return events.Standby(tuple(names), on)


def pair(**words):
    cluster = Cluster()
    cluster.add("one", instance(priority=150, **words))
    cluster.add("other", instance(priority=100, **words))
    return cluster


def test_a_planned_handover_takes_less_than_an_advert_interval():
    cluster = pair()
    cluster.run(10)
    assert cluster.masters() == ["one"]
    cluster.feed(cluster.nodes["one"], standby("A"))
    assert cluster.when("one", "advert A 0")
    cluster.run(11)
    assert cluster.masters() == ["other"]
    # The skew of priority 100 is all that it waits.
    gap_s = cluster.when("other", "notify INSTANCE A MASTER 100")[0] - cluster.when("one", "advert A 0")[0]
    assert gap_s < 0.62


def test_nobody_leads_from_standby_whatever_happens_and_then_it_returns():
    cluster = pair()
    cluster.run(10)
    cluster.feed(cluster.nodes["one"], standby("A"))
    cluster.run(20)
    cluster.kill("other")
    cluster.run(60)
    assert cluster.masters() == []
    cluster.feed(cluster.nodes["one"], standby("A", on=False))
    cluster.run(64)
    assert cluster.masters() == ["one"]


def test_it_preempts_again_after_standby_and_with_nopreempt_it_does_not():
    for words, expected in (({}, ["one"]), ({"nopreempt": True}, ["other"])):
        cluster = pair(**words)
        cluster.run(20)
        first = cluster.masters()[0]
        held = cluster.nodes[first]
        cluster.feed(held, standby("A"))
        cluster.run(30)
        cluster.feed(held, standby("A", on=False))
        cluster.run(40)
        assert cluster.masters() == (expected if first == "one" else [first])


def test_a_sync_group_goes_as_a_whole():
    both = (instance("A"), instance("B", 52))
    play = Playbook(config(*both, groups=(SyncGroup(name="G", members=("A", "B")),))).to_master()
    lines = play.feed(standby("A"))
    assert "advert A 0" in lines
    assert "advert B 0" in lines
    assert "notify GROUP G BACKUP 0" in lines
    assert play.run(60) == []
    assert play.status("B").standby is True
    play.feed(standby("G", on=False))
    play.run(80)
    assert (play.state("A"), play.state("B")) == ("MASTER", "MASTER")


def test_a_reload_keeps_it_and_who_joins_its_group_is_held_too():
    one, two = instance("A"), instance("B", 52)
    play = Playbook(config(one, groups=(SyncGroup(name="G", members=("A",)),))).to_master()
    play.feed(standby("A"))
    play.source("B", "10.0.0.1")
    play.reload(config(instance("A", priority=120), two, groups=(SyncGroup(name="G", members=("A", "B")),)))
    play.run(60)
    assert [(item.standby, item.state.name) for item in play.router.status()] == [(True, "BACKUP")] * 2


def test_before_the_start_it_is_taken_and_an_owner_is_held_back_too():
    play = Playbook(config(instance(priority=255)))
    play.feed(standby("A"))
    play.start()
    play.run(30)
    assert play.state() == "BACKUP"
    play.feed(standby("nobody"))
    play.feed(standby("A", on=False))
    play.run(40)
    assert play.state() == "MASTER"


# ---- why ----


def why(play, name="A"):
    found = play.router.explain(name, play.now_us)
    assert found is not None
    return found


def test_why_a_master_is_one_and_that_there_are_two():
    play = Playbook(config(instance())).to_master()
    assert why(play)["why"] == ["MASTER: no router sends adverts with a priority above 100"]
    play.hear(90)
    found = why(play)
    assert "10.0.0.2 is MASTER too, with priority 90: a second master is on the wire" in found["why"]
    assert found["timer"]["what"] == "sends the next advert"


@pytest.mark.parametrize(
    ("words", "priority", "text"),
    [
        ({}, 150, "not MASTER: 10.0.0.2 is, with priority 150, ours is 100"),
        ({}, 100, "with the same priority 100 and the higher address"),
        ({"nopreempt": True}, 50, "not MASTER: 10.0.0.2 is, with priority 50 below ours (100), and nopreempt"),
        ({"preempt_delay_us": 60_000_000}, 50, "preempt_delay: 59"),
    ],
)  # fmt: skip
def test_why_a_backup_is_one(words, priority, text):
    play = Playbook(config(instance(**words)))
    play.start()
    play.hear(priority)
    play.now_us += 500_000
    found = why(play)
    assert text in found["why"][0]
    assert found["heard"] == [
        {"source": "10.0.0.2", "priority": priority, "age_us": 500_000, "interval_us": 1_000_000, "count": 1}
    ]


def test_the_sum_of_the_priority_and_each_tracker():
    tracked = instance(
        track_interfaces=(TrackedInterface("eth1", -20), TrackedInterface("eth2", 5)),
        track_scripts=(TrackedScript("chk", weight=-30),),
    )
    play = Playbook(config(tracked, scripts=(script(),)), links={"eth0": True, "eth1": False, "eth2": True})
    play.start()
    play.result("chk", 1)
    found = why(play)
    adds = {part["what"]: part["adds"] for part in found["trackers"] if part["adds"]}
    assert adds["interface eth1"] == -20
    assert adds["interface eth2"] == 5
    priority = found["priority"]
    assert priority["base"] + sum(adds.values()) == priority["effective"] == play.status().effective_priority


def test_a_fault_names_what_is_missing_and_standby_says_so():
    play = Playbook(config(instance()), links={"eth0": False})
    play.start()
    assert why(play)["why"] == ["not MASTER: interface eth0 down"]
    play.feed(standby("A"))
    assert (why(play)["state"], len(why(play)["why"])) == ("FAULT", 2)
    play.link("eth0", True)
    found = why(play)
    assert found["state"] == "STANDBY"
    assert found["why"][0].startswith("not MASTER: an operator holds it back")


def test_the_last_refusals_are_kept_and_bounded():
    play = Playbook(config(instance()))
    play.start()
    for number in range(50):
        play.feed(events.PacketRefused("A", events.Refusal.TTL, f"10.0.1.{number}", "wrong"))
        play.hear(50, f"10.0.2.{number}")
    found = why(play)
    assert [item["source"] for item in found["refused"]] == [f"10.0.1.{number}" for number in range(42, 50)]
    assert {item["reason"] for item in found["refused"]} == {events.Refusal.TTL.value}
    assert len(found["heard"]) == 8
    assert play.router.explain("nobody", 0) is None

"""Interfaces and scripts: faults, weights, and when scripts run (keepalived-behaviour 8)."""

import pytest

from pykeepalived.model.routing import VirtualRule
from pykeepalived.model.vrrp import SyncGroup, TrackedInterface, TrackedScript, VirtualRoute
from pykeepalived.vrrp.facts import devices_of_words, interface_trackers
from tests.vrrp.playbook import Playbook, address, column, config, instance, script

CHK = (TrackedScript("chk"),)


def priorities(book):
    return [item.effective_priority for item in book.router.status()]


# ---- interfaces ----


@pytest.mark.parametrize(
    ("weight", "reverse", "up", "priority", "state"),
    [
        (0, False, True, 100, "BACKUP"),
        (0, False, False, 100, "FAULT"),
        (0, True, True, 100, "FAULT"),
        (0, True, False, 100, "BACKUP"),
        (20, False, True, 120, "BACKUP"),
        (20, False, False, 100, "BACKUP"),
        (20, True, True, 80, "BACKUP"),
        (20, True, False, 100, "BACKUP"),
        (-20, False, True, 100, "BACKUP"),
        (-20, False, False, 80, "BACKUP"),
        (-20, True, True, 100, "BACKUP"),
        (-20, True, False, 120, "BACKUP"),
        (254, False, True, 254, "BACKUP"),
        (-254, False, False, 1, "BACKUP"),
    ],
)
def test_what_a_tracked_interface_does(weight, reverse, up, priority, state):
    tracked = instance(track_interfaces=(TrackedInterface("eth1", weight, reverse),))
    book = Playbook(config(tracked), links={"eth0": True, "eth1": up})
    book.start()
    assert (priorities(book), book.state()) == ([priority], state)


@pytest.mark.shows("{vrrp_instance.,global_defs.vrrp_}notify_priority_changes")
def test_a_weight_changes_the_priority_and_the_running_timer():
    book = Playbook(
        config(instance(track_interfaces=(TrackedInterface("eth1", -50),), notify_priority_changes=True)),
        links={"eth0": True, "eth1": True},
    )
    book.start()
    assert book.router.wake_at() == 3_609_375
    book.run(1)
    assert book.link("eth1", False) == column("""
        log Netlink reports eth1 down
        log (A) Changing effective priority from 100 to 50
        notify INSTANCE A BACKUP_PRIORITY 50
    """)
    assert book.router.wake_at() == 3_609_375 + 195_312
    book.run(4)
    assert book.link("eth1", True) == column("""
        log Netlink reports eth1 up
        log (A) Changing effective priority from 50 to 100
        notify INSTANCE A MASTER_PRIORITY 100
    """)
    assert "advert A 100" in book.run(5)[0]


def test_an_owner_never_changes():
    book = Playbook(config(instance(priority=255, track_interfaces=(TrackedInterface("eth1", -50),))))
    book.start()
    assert priorities(book) == [255]


def test_interfaces_that_are_tracked_without_being_named():
    config_ = instance(
        addresses=(
            address("10.0.0.51"),
            address("10.1.0.51", dev="eth1"),
            address("10.2.0.51", dev="eth2", no_track=True),
        ),
        routes=(
            VirtualRoute(words=("10.9.0.0/16", "dev", "eth3")),
            VirtualRoute(words=("0/0", "dev", "x", "no_track")),
        ),
        rules=(VirtualRule(words=("from", "10.9.1.0/24", "iif", "eth5", "oif", "eth6", "table", "9")),),
        track_interfaces=(TrackedInterface("eth4", 5),),
    )
    found = [item.ifname for item in interface_trackers(config_)]
    assert found == ["eth0", "eth1", "eth3", "eth5", "eth6", "eth4"]
    assert devices_of_words(("via", "10.0.0.1", "dev")) == ()
    assert devices_of_words(("10.9.0.0/16", "nexthop", "via", "10.0.0.1", "dev", "eth7")) == ()


def test_a_line_about_the_own_interface_counts_with_dont_track_primary():
    """Seen in 2.2.7 and 2.4.3: a route or rule does, an address does not."""
    route = VirtualRoute(words=("10.9.0.0/16", "via", "10.0.0.9", "dev", "eth0"))
    rule = VirtualRule(words=("from", "10.9.0.0/16", "iif", "eth0", "table", "9"))
    for more, expected in (({"routes": (route,)}, ["eth0"]), ({"rules": (rule,)}, ["eth0"]), ({}, [])):
        own = instance(addresses=(address("10.0.0.51", dev="eth0"),), dont_track_primary=True, **more)
        assert [item.ifname for item in interface_trackers(own)] == expected


@pytest.mark.shows("vrrp_instance.dont_track_primary")
def test_dont_track_primary():
    book = Playbook(config(instance(dont_track_primary=True)), links={"eth0": False})
    book.start()
    assert book.state() == "BACKUP"


def test_a_weight_for_the_own_interface_does_not_make_it_expendable():
    book = Playbook(config(instance(track_interfaces=(TrackedInterface("eth0", -20),))), links={"eth0": False})
    book.start()
    assert book.state() == "FAULT"


def test_two_faults_must_both_go():
    book = Playbook(
        config(instance(track_interfaces=(TrackedInterface("eth1"),))), links={"eth0": True, "eth1": True}
    ).to_master()
    book.link("eth1", False)
    assert book.link("eth0", False) == column("""
        log Netlink reports eth0 down
        log (A): entering FAULT state (interface eth0 down)
    """)
    assert book.status().faults == ("interface eth0 down", "interface eth1 down")
    assert book.link("eth0", True) == ["log Netlink reports eth0 up"]
    assert book.link("eth1", True)[1] == "log (A) Entering BACKUP STATE"


def test_an_interface_that_nothing_depends_on_is_no_news():
    book = Playbook(config(instance()))
    book.start()
    assert book.link("eth9", True) == []
    assert book.link("eth0", True) == []


# ---- scripts ----


def test_instances_wait_for_scripts_that_they_need():
    book = Playbook(config(instance(track_scripts=CHK), scripts=(script(timeout_us=300_000),)))
    assert book.start() == ["run chk 0.3", "addresses A -"]
    assert (book.state(), book.status().faults) == ("INIT", ())
    book.run(0.2)
    assert book.result("chk", 0) == column("""
        log VRRP_Script(chk) succeeded
        log (A) Entering BACKUP STATE
        notify INSTANCE A BACKUP 100
    """)
    assert book.run(1.1) == ["1.000000 run chk 0.3"]


def test_a_first_failure_decides_at_once():
    book = Playbook(config(instance(track_scripts=CHK), scripts=(script(rise=3, fall=3),)))
    book.start()
    assert book.result("chk", 2) == column("""
        log Script `chk` now returning 2
        log VRRP_Script(chk) failed (exited with status 2)
        log (A): entering FAULT state due to script chk
        log (A) Entering FAULT STATE
        notify INSTANCE A FAULT 100
    """)
    assert book.status().faults == ("script chk failed",)


def test_rise_and_fall():
    book = Playbook(config(instance(track_scripts=CHK), scripts=(script(rise=2, fall=3),)))
    book.start()
    book.result("chk", 0)

    def runs(*statuses):
        states = []
        for status in statuses:
            book.run(book.now_us / 1_000_000 + 1)
            book.result("chk", status)
            states.append(book.router.script_status()[0].up)
        return states

    assert runs(1, 1, 0) == [True, True, True]
    assert runs(1, 1, 1) == [True, True, False]
    assert runs(0, 1, 0, 0) == [False, False, False, True]


@pytest.mark.shows("vrrp_script.init_fail")
def test_init_fail_starts_in_fault_and_needs_rise_successes():
    book = Playbook(config(instance(track_scripts=CHK), scripts=(script(rise=2, init_fail=True),)))
    assert book.start()[-1] == "notify INSTANCE A FAULT 100"
    assert book.result("chk", 0) == []
    book.run(1)
    assert book.result("chk", 0)[0] == "log VRRP_Script(chk) succeeded"
    assert book.state() == "BACKUP"


@pytest.mark.parametrize(
    ("weight", "reverse", "fresh", "up", "down"),
    [(10, False, 100, 110, 100), (-10, False, 100, 100, 90), (10, True, 100, 90, 100), (-10, True, 100, 100, 110)],
)
def test_weighted_scripts_add_nothing_until_they_ended(weight, reverse, fresh, up, down):
    book = Playbook(config(instance(track_scripts=CHK), scripts=(script(weight=weight, reverse=reverse),)))
    book.start()
    seen = [priorities(book)]
    book.result("chk", 0)
    seen.append(priorities(book))
    book.run(1)
    book.result("chk", 1)
    seen.append(priorities(book))
    assert seen == [[fresh], [up], [down]]


def test_the_weight_of_the_tracker_wins_over_that_of_the_script():
    tracked = (TrackedScript("chk", weight=-30, reverse=False),)
    book = Playbook(config(instance(track_scripts=tracked), scripts=(script(weight=10, reverse=True),)))
    book.start()
    book.result("chk", 1)
    assert priorities(book) == [70]


def test_a_run_that_still_goes_on_is_not_joined_by_another():
    book = Playbook(config(instance(track_scripts=CHK), scripts=(script(),)))
    book.start()
    assert book.run(1) == ["1.000000 log Track script chk is running, expect idle - skipping run"]
    book.result("chk", 0)
    assert book.run(2) == ["2.000000 run chk 1.0"]
    assert (book.router.script_status()[0].runs, book.router.script_status()[0].skipped) == (2, 1)


def test_a_result_that_nobody_waits_for_changes_nothing():
    book = Playbook(config(instance(track_scripts=CHK), scripts=(script(),)))
    book.start()
    book.result("chk", 0)
    assert book.result("chk", 1) == []
    assert book.result("unknown", 1) == []


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (None, ["log VRRP_Script(chk) timed_out"]),
        (-9, ["log Script `chk` now killed by signal 9", "log VRRP_Script(chk) failed (due to signal 9)"]),
        (1, ["log Script `chk` now returning 1", "log VRRP_Script(chk) failed (exited with status 1)"]),
    ],
)
def test_ways_to_fail(status, said):
    book = Playbook(config(instance(track_scripts=CHK), scripts=(script(),)))
    book.start()
    assert book.result("chk", status)[: len(said)] == said
    assert book.state() == "FAULT"


def test_a_changed_exit_code_is_said_even_when_nothing_follows():
    book = Playbook(config(instance(track_scripts=CHK), scripts=(script(fall=3),)))
    book.start()
    book.result("chk", 0)
    book.run(1)
    assert book.result("chk", 1) == ["log Script `chk` now returning 1"]
    book.run(2)
    assert book.result("chk", 1) == []


def test_scripts_that_nothing_tracks_do_not_run():
    book = Playbook(config(instance(), scripts=(script(),)))
    assert book.start()[0] == "addresses A -"
    assert book.router.script_status() == ()


def test_an_unknown_script_is_ignored():
    book = Playbook(config(instance(track_scripts=(TrackedScript("nobody"),))))
    book.start()
    assert book.state() == "BACKUP"


# ---- in sync groups ----


def grouped(tracking_weight, **words):
    return Playbook(
        config(
            instance("A", 51, track_interfaces=(TrackedInterface("eth1", 10),), track_scripts=CHK),
            instance("B", 52),
            groups=(SyncGroup(name="G", members=("A", "B"), tracking_weight=tracking_weight, **words),),
            scripts=(script(weight=10),),
        ),
        links={"eth0": True, "eth1": True},
    )


def test_members_weights_become_conditions():
    book = grouped(False)
    book.start()
    book.result("chk", 0)
    assert priorities(book) == [100, 100]
    book.link("eth1", False)
    assert (book.state("A"), book.state("B")) == ("FAULT", "FAULT")
    assert book.status("B").faults == ("sync group G",)


def test_members_weights_count_when_asked():
    book = grouped(True)
    book.start()
    book.result("chk", 0)
    assert priorities(book) == [120, 100]
    book.link("eth1", False)
    assert priorities(book) == [110, 100]


def test_weights_of_the_group_go_to_every_member():
    # A tracks eth1 itself, so the group's line is for B alone.
    book = grouped(True, track_interfaces=(TrackedInterface("eth1", 7),))
    book.start()
    assert priorities(book) == [110, 107]

"""From one generation to the next: what is unchanged keeps its state (keepalived-behaviour 7.9)."""

from pykeepalived.model.common import Script
from pykeepalived.model.config import GlobalDefs
from pykeepalived.model.vrrp import (
    GarpSettings,
    SyncGroup,
    TrackedInterface,
    TrackedScript,
    UnicastPeer,
    VirtualRoute,
    VmacSettings,
    VrrpScript,
)
from tests.vrrp.playbook import Playbook, address, column, config, instance, script

ONE_ROUND = GarpSettings(delay_us=0)


def test_nothing_changed():
    book = Playbook(config(instance())).to_master()
    before = book.status()
    assert book.reload(config(instance())) == ["advert A 100"]
    after = book.status()
    assert (after.state, after.last_transition_us) == (before.state, before.last_transition_us)
    assert after.stats.advert_sent == before.stats.advert_sent + 1
    # One more when the reload is done, and the interval from there.
    assert [line for line in book.run(5) if "advert" in line] == ["4.000000 advert A 100", "5.000000 advert A 100"]


def test_a_backup_keeps_its_timer_and_its_master():
    book = Playbook(config(instance()))
    book.start()
    book.run(1)
    book.hear(150)
    assert book.reload(config(instance())) == []
    assert (book.status().master_address, book.status().master_priority) == ("10.0.0.2", 150)
    assert book.router.wake_at() == 4_609_375


def test_only_differing_addresses_move_and_only_new_ones_are_announced():
    before = instance(addresses=(address("10.0.0.51"), address("10.0.0.52")), garp=ONE_ROUND)
    after = instance(
        addresses=(address("10.0.0.52"), address("10.0.0.53")),
        excluded_addresses=(address("10.0.0.54"),),
        garp=ONE_ROUND,
    )
    book = Playbook(config(before)).to_master()
    assert book.reload(config(after)) == column("""
        advert A 100
        log (A) ip address 10.0.0.51/24 dev eth0, no longer exist
        replace A -10.0.0.51 +10.0.0.53 +10.0.0.54
        announce A x5 10.0.0.53 10.0.0.54
    """)
    book.hear(200)
    assert book.reload(config(before)) == []


def test_changed_routes():
    book = Playbook(config(instance())).to_master()
    assert book.reload(config(instance(routes=(VirtualRoute(words=("10.0.0.0/8",)),)))) == column("""
        advert A 100
        replace A routes
    """)


def test_a_new_priority_is_taken_over_and_moves_the_timer():
    book = Playbook(config(instance()))
    book.start()
    assert book.reload(config(instance(priority=200))) == ["log (A) Changing effective priority from 100 to 200"]
    assert book.router.wake_at() == 3_218_750
    assert book.reload(config(instance(priority=50))) == ["log (A) Changing effective priority from 200 to 50"]
    assert book.run(4)[0] == "3.804687 advert A 50"


def test_a_new_interval():
    book = Playbook(config(instance(garp=ONE_ROUND)))
    book.start()
    book.reload(config(instance(advert_interval_us=2_000_000, garp=ONE_ROUND)))
    assert book.router.wake_at() == 6_609_375
    book.run(7)
    book.reload(config(instance(garp=ONE_ROUND)))
    assert book.run(8.1) == ["7.000000 advert A 100", "8.000000 advert A 100"]


def test_an_interval_that_a_version_3_master_told_is_kept():
    book = Playbook(config(instance(version=3)))
    book.start()
    book.hear(150, version=3, interval_us=200_000)
    book.reload(config(instance(version=3, advert_interval_us=3_000_000)))
    assert book.status().master_interval_us == 200_000
    assert book.router.wake_at() == 721_875


def test_a_renamed_instance_keeps_its_state():
    book = Playbook(config(instance("A"))).to_master()
    assert book.reload(config(instance("Z", garp=ONE_ROUND))) == column("""
        renamed A Z
        advert Z 100
    """)
    assert book.state("Z") == "MASTER"
    assert book.status("Z").source == "10.0.0.1"
    assert book.run(5)[0] == "4.000000 advert Z 100"


def test_two_instances_swap_their_names():
    book = Playbook(
        config(instance("A", 51), instance("B", 52)), sources={"A": "10.0.0.1", "B": "10.0.0.2"}
    ).to_master()
    assert book.reload(config(instance("B", 51), instance("A", 52)))[:2] == ["renamed A B", "renamed B A"]
    assert [(item.name, item.vrid, item.source) for item in book.router.status()] == [
        ("B", 51, "10.0.0.1"),
        ("A", 52, "10.0.0.2"),
    ]


def test_a_removed_master_says_goodbye():
    book = Playbook(config(instance("A", 51), instance("B", 52)), detail=True).to_master()
    assert book.reload(config(instance("B", 52))) == column("""
        advert A 0
        -D (A) sent 0 priority
        -D (A) removing VIPs.
        addresses A -
        notify INSTANCE A FAULT 100
        advert B 100
        -D (B) setting VIPs.
    """)
    assert [item.name for item in book.router.status()] == ["B"]


def test_a_name_goes_from_an_instance_that_is_gone_to_one_that_stays():
    one_round = {"garp": ONE_ROUND}
    book = Playbook(config(instance("A", 51, **one_round), instance("B", 52, **one_round))).to_master()
    assert book.reload(config(instance("A", 52, **one_round))) == column("""
        advert A 0
        addresses A -
        notify INSTANCE A FAULT 100
        renamed B A
        advert A 100
    """)


def test_a_removed_instance_with_notify_deleted():
    book = Playbook(config(instance("A", 51, use_deleted_state=True)))
    book.start()
    assert book.reload(config()) == ["notify INSTANCE A DELETED 100"]
    assert book.router.wake_at() is None


def test_a_new_instance_starts_as_at_start():
    book = Playbook(config(instance("A"))).to_master()
    book.source("B", "10.0.0.1")
    assert book.reload(config(instance("A"), instance("B", 52))) == column("""
        advert A 100
        addresses B -
        log (B) Entering BACKUP STATE (init)
        notify INSTANCE B BACKUP 100
    """)
    book.run(8)
    assert book.state("B") == "MASTER"


def test_what_makes_it_another_virtual_router():
    old = instance("A")
    for other in (
        instance("A", 52),
        instance("A", interface="eth1"),
        instance("A", native_ipv6=True, addresses=(address("fe80::51"),)),
        instance("A", vmac=VmacSettings()),
        instance("A", unicast_peers=(UnicastPeer("10.0.0.2"),)),
        instance("A", multicast_group="224.0.0.99"),
    ):
        book = Playbook(config(old), links={"eth0": True, "eth1": True}).to_master()
        assert book.reload(config(other))[0] == "advert A 0"
        assert book.state() == "BACKUP"


def test_peers_and_passwords_are_no_reason_to_leave_master():
    peers = (UnicastPeer("10.0.0.2"), UnicastPeer("10.0.0.3"))
    book = Playbook(config(instance(unicast_peers=peers[:1], source="10.0.0.1"))).to_master()
    assert book.reload(config(instance(unicast_peers=peers, source="10.0.0.1", nopreempt=True))) == ["advert A 100"]


def test_scripts_keep_their_result_and_new_ones_hold_nobody_back():
    tracked = (TrackedScript("chk"),)
    before = config(instance(track_scripts=tracked), scripts=(script(),))
    book = Playbook(before)
    book.start()
    book.result("chk", 0)
    book.run(3.9)
    book.result("chk", 0)
    after = config(
        instance(track_scripts=(*tracked, TrackedScript("new"))),
        scripts=(script(fall=3), script("new", interval_us=9_000_000)),
    )
    assert book.reload(after) == column("""
        advert A 100
        log VRRP_Script(chk) considered successful on reload
        run new 9.0
    """)
    assert book.state() == "MASTER"
    assert book.result("new", 1)[-1] == "notify INSTANCE A FAULT 100"


def test_a_script_with_another_command_is_a_new_script():
    tracked = instance(track_scripts=(TrackedScript("chk"),))
    book = Playbook(config(tracked, scripts=(script(),)))
    book.start()
    book.result("chk", 1)
    other = VrrpScript(name="chk", script=Script(("/bin/other",)))
    assert book.reload(config(tracked, scripts=(other,))) == column("""
        run chk 1.0
        log (A) Entering BACKUP STATE
        notify INSTANCE A BACKUP 100
    """)
    # The old generation's run does not go on in the heap.
    assert [item for item in book.run(3) if "run" in item] == [
        f"{second}.000000 log Track script chk is running, expect idle - skipping run" for second in (1, 2, 3)
    ]


def test_a_new_tracker_may_be_a_fault():
    book = Playbook(config(instance())).to_master()
    lines = book.reload(config(instance(track_interfaces=(TrackedInterface("eth9"),))))
    assert lines[:3] == column("""
        advert A 100
        log (A): entering FAULT state (interface eth9 down)
        log (A) Entering FAULT STATE
    """)
    assert book.reload(config(instance()))[0] == "log (A) Entering BACKUP STATE"


def test_a_master_joins_a_group_with_a_new_instance_and_stays_master():
    book = Playbook(config(instance("A", garp=ONE_ROUND))).to_master()
    book.source("B", "10.0.0.1")
    lines = book.reload(
        config(
            instance("A", garp=ONE_ROUND),
            instance("B", 52, garp=ONE_ROUND),
            groups=(SyncGroup(name="G", members=("A", "B")),),
        )
    )
    assert (book.state("A"), book.state("B")) == ("MASTER", "MASTER")
    assert lines[-1] == "notify GROUP G MASTER 0"


def test_a_master_and_a_backup_in_a_new_group_agree_on_backup():
    book = Playbook(config(instance("A"), instance("B", 52)))
    book.start()
    book.run(2)
    book.hear(200, name="B", vrid=52)
    book.run(4)
    assert (book.state("A"), book.state("B")) == ("MASTER", "BACKUP")
    book.reload(config(instance("A"), instance("B", 52), groups=(SyncGroup(name="G", members=("A", "B")),)))
    assert (book.state("A"), book.state("B")) == ("BACKUP", "BACKUP")
    assert book.router.group_status()[0].state.name == "BACKUP"


def test_a_waiting_instance_does_not_hold_back_running_ones_that_it_is_grouped_with():
    waiting = instance("B", 52, track_scripts=(TrackedScript("chk"),))
    book = Playbook(config(instance("A"), waiting, scripts=(script(),)))
    book.start()
    book.run(2)
    assert (book.state("A"), book.state("B")) == ("BACKUP", "INIT")
    group = SyncGroup(name="G", members=("A", "B"))
    book.reload(config(instance("A"), waiting, groups=(group,), scripts=(script(),)))
    assert (book.state("A"), book.state("B")) == ("BACKUP", "BACKUP")


def test_a_group_that_is_gone_leaves_its_members_as_they_are():
    group = SyncGroup(name="G", members=("A", "B"))
    book = Playbook(config(instance("A"), instance("B", 52), groups=(group,))).to_master()
    book.reload(config(instance("A"), instance("B", 52)))
    book.hear(200)
    assert (book.state("A"), book.state("B")) == ("BACKUP", "MASTER")


def test_an_unchanged_group_says_nothing():
    whole = config(
        instance("A", garp=ONE_ROUND),
        instance("B", 52, garp=ONE_ROUND),
        groups=(SyncGroup(name="G", members=("A", "B")),),
    )
    book = Playbook(whole).to_master()
    assert book.reload(whole) == ["advert A 100", "advert B 100"]


def test_before_the_start_a_reload_only_replaces_the_configuration():
    book = Playbook(config(instance("A")))
    book.source("B", "10.0.0.1")
    assert book.reload(config(instance("B", 52))) == []
    assert book.start()[0] == "addresses B -"
    assert book.state("B") == "BACKUP"


def test_a_startup_delay_still_runs_for_new_instances():
    settings = GlobalDefs(startup_delay_us=10_000_000)
    book = Playbook(config(instance("A"), settings=settings))
    book.start()
    book.source("B", "10.0.0.1")
    book.reload(config(instance("A"), instance("B", 52), settings=settings))
    assert "13.609375 advert B 100" in book.run(14)

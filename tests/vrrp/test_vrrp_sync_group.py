"""Sync groups: coupled machines (keepalived-behaviour 7.8). Orders are those that 2.2.7 shows when it runs."""

from pykeepalived.model.vrrp import GarpSettings, SyncGroup, TrackedScript, VrrpState
from pykeepalived.vrrp import events
from tests.vrrp.playbook import Playbook, address, column, config, instance, script

ONE_ROUND = GarpSettings(delay_us=0)


def pair(**words):
    group = SyncGroup(name="G", members=("A", "B"))
    other = words.pop("other", {})
    scripts = words.pop("scripts", ())
    return Playbook(
        config(
            instance("A", 51, garp=ONE_ROUND, **words),
            instance("B", 52, garp=ONE_ROUND, interface="eth1", **(words | other)),
            groups=(group,),
            scripts=scripts,
        ),
        links={"eth0": True, "eth1": True},
    )


def group_state(book):
    return book.router.group_status()[0].state.name


def states(book):
    return [book.state("A"), book.state("B"), group_state(book)]


def test_at_start_the_group_speaks_first():
    book = pair()
    assert book.start() == column("""
        addresses A -
        addresses B -
        log (A) Entering BACKUP STATE (init)
        log (B) Entering BACKUP STATE (init)
        notify GROUP G BACKUP 0
        notify INSTANCE A BACKUP 100
        notify INSTANCE B BACKUP 100
    """)


def test_all_become_master_in_the_same_moment():
    book = pair()
    book.start()
    assert book.run(3.7) == column("""
        3.609375 advert B 100
        3.609375 log (B) Entering MASTER STATE
        3.609375 log VRRP_Group(G) Syncing instances to MASTER state
        3.609375 advert A 100
        3.609375 log (A) Entering MASTER STATE
        3.609375 addresses B +
        3.609375 addresses A +
        3.609375 announce B x5
        3.609375 announce A x5
        3.609375 notify INSTANCE B MASTER 100
        3.609375 notify INSTANCE A MASTER 100
        3.609375 notify GROUP G MASTER 0
    """)


def test_a_member_that_wants_alone_waits_for_the_others():
    book = pair()
    book.start()
    lines = []
    for second in range(1, 12):
        lines += book.run(second)
        lines += book.hear(200, name="B", vrid=52)
    assert states(book) == ["BACKUP", "BACKUP", "BACKUP"]
    assert book.status("A").wanted is VrrpState.MASTER
    lines = book.run(20)
    # B's timer, restarted at 11 s, decides; A has wanted for long.
    assert lines[0] == "14.609375 advert B 100"
    assert states(book) == ["MASTER", "MASTER", "MASTER"]


def test_a_member_that_hears_a_master_again_no_longer_wants():
    book = pair()
    book.start()
    book.run(3)
    book.hear(200, name="B", vrid=52)
    book.run(4)
    assert book.status("A").wanted is VrrpState.MASTER
    book.hear(200)
    assert book.status("A").wanted is VrrpState.BACKUP


def test_one_that_yields_takes_the_others_along_without_farewell():
    book = pair().to_master()
    assert book.hear(120) == column("""
        log (A) Master received advert from 10.0.0.2 with higher priority 120, ours 100
        advert A 100
        log (A) master set to 10.0.0.2
        log (A) Entering BACKUP STATE
        log VRRP_Group(G) Syncing instances to BACKUP state
        log (B) Entering BACKUP STATE
        addresses A -
        addresses B -
        notify INSTANCE A BACKUP 100
        notify INSTANCE B BACKUP 100
        notify GROUP G BACKUP 0
    """)


def test_a_fault_of_one_is_a_fault_of_all_with_farewells():
    book = pair().to_master()
    assert book.link("eth1", False) == column("""
        log Netlink reports eth1 down
        log (B): entering FAULT state (interface eth1 down)
        log (B) Entering FAULT STATE
        advert B 0
        log VRRP_Group(G) Syncing instances to FAULT state
        log (A) Entering FAULT STATE
        advert A 0
        addresses B -
        addresses A -
        notify INSTANCE B FAULT 100
        notify INSTANCE A FAULT 100
        notify GROUP G FAULT 0
    """)
    assert book.router.group_status()[0].faults == ("interface eth1 down",)
    assert book.link("eth1", True) == column("""
        log Netlink reports eth1 up
        log (B) Entering BACKUP STATE
        log VRRP_Group(G) Syncing instances to BACKUP state
        log (A) Entering BACKUP STATE
        notify INSTANCE B BACKUP 100
        notify INSTANCE A BACKUP 100
        notify GROUP G BACKUP 0
    """)
    book.run(9)
    assert states(book) == ["MASTER", "MASTER", "MASTER"]


def test_both_members_must_be_well_again():
    book = pair().to_master()
    book.link("eth1", False)
    book.link("eth0", False)
    book.link("eth1", True)
    assert states(book) == ["FAULT", "FAULT", "FAULT"]
    book.link("eth0", True)
    assert states(book) == ["BACKUP", "BACKUP", "BACKUP"]


def test_a_lost_address_moves_all_and_the_group_speaks_when_it_is_master_again():
    book = pair().to_master()
    assert book.feed(events.AddressLost("A", "10.0.0.51", "eth0")) == column("""
        log (A) Entering BACKUP STATE
        advert A 0
        log (B) Entering BACKUP STATE
        advert B 0
        addresses A -
        addresses B -
        notify INSTANCE A BACKUP 100
        notify INSTANCE B BACKUP 100
    """)
    said = book.run(4.7)
    assert states(book) == ["MASTER", "MASTER", "MASTER"]
    assert [line.partition(" ")[2] for line in said if "notify GROUP" in line] == ["notify GROUP G MASTER 0"]


def test_a_lower_advert_makes_all_members_announce():
    book = pair().to_master()
    assert book.hear(50) == column("""
        log (A) Received advert from 10.0.0.2 with lower priority 50, ours 100, forcing new election
        advert A 100
        announce A x5
        announce B x5
        notify INSTANCE A MASTER_RX_LOWER_PRI 100
    """)


def test_all_wait_while_one_waits_for_a_script():
    book = pair(other={"track_scripts": (TrackedScript("chk"),)}, scripts=(script(),))
    assert book.start() == ["run chk 1.0", "addresses A -", "addresses B -"]
    assert states(book) == ["INIT", "INIT", "INIT"]
    assert book.result("chk", 0)[-1] == "notify GROUP G BACKUP 0"
    assert states(book) == ["BACKUP", "BACKUP", "BACKUP"]


def test_wished_masters_in_a_group_take_the_full_time():
    book = pair(initial_state=VrrpState.MASTER)
    book.start()
    assert book.run(4)[0].startswith("3.609375")


def test_owners_in_a_group_do_not_wait():
    book = pair(initial_state=VrrpState.MASTER, priority=255)
    book.start()
    book.run(0.1)
    assert states(book) == ["MASTER", "MASTER", "MASTER"]
    book = pair(initial_state=VrrpState.MASTER, priority=255, other={"priority": 100})
    book.start()
    book.run(0.1)
    assert states(book) == ["BACKUP", "BACKUP", "BACKUP"]


def test_stop_names_instances_before_groups():
    assert pair().to_master().stop() == column("""
        advert A 0
        advert B 0
        addresses A -
        addresses B -
        notify INSTANCE A STOP 100
        notify INSTANCE B STOP 100
        notify GROUP G STOP 0
    """)


def test_groups_of_nobody_and_members_that_do_not_exist():
    book = Playbook(
        config(
            instance("A"),
            instance("B", 52, addresses=(address("10.0.0.52"),)),
            groups=(
                SyncGroup(name="nobody", members=("X", "Y")),
                SyncGroup(name="one", members=("A", "X")),
                SyncGroup(name="late", members=("A", "B", "B")),
            ),
        )
    )
    assert [(item.name, item.members) for item in book.router.group_status()] == [("one", ("A",)), ("late", ("B",))]
    book.start()
    book.run(4)
    assert (book.state("A"), book.state("B")) == ("MASTER", "MASTER")

"""One instance, event by event: the exact actions and their order (keepalived-behaviour 7.5 and 7.6)."""

import pytest

from pykeepalived.model.config import GlobalDefs
from pykeepalived.model.lvs import SyncDaemon
from pykeepalived.model.vrrp import GarpSettings, UnicastPeer, VirtualRoute, VirtualRule, VrrpState
from pykeepalived.vrrp import events
from tests.vrrp.playbook import Playbook, address, column, config, instance

ONE_ROUND = GarpSettings(delay_us=0)


def play(**words):
    return Playbook(config(instance(**words)))


# ---- start ----


def test_start_as_backup_then_master_after_master_down_interval():
    book = Playbook(config(instance(excluded_addresses=(address("10.0.0.52"),))), detail=True)
    assert book.start() == column("""
        -D (A) removing VIPs.
        -D (A) removing E-VIPs.
        addresses A -
        log (A) Entering BACKUP STATE (init)
        notify INSTANCE A BACKUP 100
    """)
    assert book.run(8.7) == column("""
        3.609375 -D (A) Receive advertisement timeout
        3.609375 advert A 100
        3.609375 log (A) Entering MASTER STATE
        3.609375 -D (A) setting VIPs.
        3.609375 -D (A) setting E-VIPs.
        3.609375 addresses A +
        3.609375 -D (A) Sending/queueing gratuitous ARPs on eth0 for 10.0.0.51
        3.609375 -D (A) Sending/queueing gratuitous ARPs on eth0 for 10.0.0.52
        3.609375 announce A x5
        3.609375 notify INSTANCE A MASTER 100
        4.609375 advert A 100
        5.609375 advert A 100
        6.609375 advert A 100
        7.609375 advert A 100
        8.609375 advert A 100
        8.609375 -D (A) Sending/queueing gratuitous ARPs on eth0 for 10.0.0.51
        8.609375 -D (A) Sending/queueing gratuitous ARPs on eth0 for 10.0.0.52
        8.609375 announce A x5
    """)


def test_wished_master_waits_one_interval_and_the_smallest_skew():
    book = play(initial_state=VrrpState.MASTER)
    book.start()
    assert book.run(4)[0] == "1.003906 advert A 100"


def test_owner_does_not_wait():
    book = play(initial_state=VrrpState.MASTER, priority=255)
    book.start()
    assert book.run(0.5) == column("""
        0.000001 advert A 255
        0.000001 log (A) Entering MASTER STATE
        0.000001 addresses A +
        0.000001 announce A x5
        0.000001 notify INSTANCE A MASTER 255
    """)


def test_start_on_a_dead_interface_is_fault():
    book = Playbook(config(instance()), links={"eth0": False})
    assert book.start() == column("""
        addresses A -
        log (A): entering FAULT state (interface eth0 down)
        log (A) Entering FAULT STATE (init)
        notify INSTANCE A FAULT 100
    """)
    assert book.start() == []
    assert book.state() == "FAULT"
    assert book.router.wake_at() is None
    assert book.status().faults == ("interface eth0 down",)


def test_an_interface_that_nobody_mentioned_is_down():
    book = Playbook(config(instance(interface="eth7")))
    book.start()
    assert book.status().faults == ("interface eth7 down",)


def test_no_source_address_is_fault_unless_one_is_configured():
    book = Playbook(config(instance(), instance("B", 52, source="10.0.0.9")), sources={"A": None, "B": None})
    book.start()
    assert (book.state("A"), book.state("B")) == ("FAULT", "BACKUP")
    assert book.source("A", "10.0.0.1") == column("""
        log (A) Entering BACKUP STATE
        notify INSTANCE A BACKUP 100
    """)


@pytest.mark.shows("global_defs.vrrp_startup_delay")
def test_startup_delay_ignores_adverts_and_shifts_timers():
    book = Playbook(config(instance(), settings=GlobalDefs(startup_delay_us=10_000_000)))
    assert book.start()[0] == "log Delaying startup for 10 seconds"
    book.run(5)
    assert book.hear(200) == []
    assert book.status().stats.refusals == {"startup-delay": 1}
    assert book.run(13.7)[:2] == column("""
        10.000000 log Delayed start completed
        13.609375 advert A 100
    """)


# ---- BACKUP ----


def test_backup_believes_a_better_or_equal_master():
    book = play()
    book.start()
    assert book.hear(100) == ["log (A) master set to 10.0.0.2"]
    book.run(2)
    assert book.hear(150) == []
    assert book.hear(150, "10.0.0.3") == ["log (A) master changed from 10.0.0.2 to 10.0.0.3"]
    assert book.run(5.6) == []
    assert book.run(5.7)[0] == "5.609375 advert A 100"
    assert book.status().stats.advert_rcvd == 3


def test_backup_discards_a_lower_priority_and_preempts():
    book = play()
    book.start()
    assert book.hear(99) == ["log (A) received lower priority (99) advert from 10.0.0.2 - discarding"]
    assert book.run(4)[0] == "3.609375 advert A 100"


def test_backup_takes_over_after_skew_when_the_master_resigns():
    book = play()
    book.start()
    book.hear(150)
    book.run(1)
    assert book.hear(0) == ["log (A) Backup received priority 0 advertisement"]
    assert book.run(2)[0] == "1.609375 advert A 100"
    assert book.status().stats.pri_zero_rcvd == 1


def test_nopreempt_believes_any_master():
    book = play(nopreempt=True)
    book.start()
    for second in range(1, 20):
        book.run(second)
        book.hear(1)
    assert book.state() == "BACKUP"
    assert book.run(30)[0] == "22.609375 advert A 100"


def test_an_owner_preempts_whatever_was_asked():
    book = play(priority=255, nopreempt=True, preempt_delay_us=60_000_000)
    book.start()
    assert book.hear(254) == ["log (A) received lower priority (254) advert from 10.0.0.2 - discarding"]


def test_preempt_delay_starts_with_the_first_lower_advert():
    book = play(preempt_delay_us=10_000_000)
    book.start()
    lines = []
    for tenth in range(20, 200, 10):
        lines += book.run(tenth / 10)
        lines += [f"{tenth / 10} {item}" for item in book.hear(50)]
        if book.state() == "MASTER":
            break
    assert lines[:3] == column("""
        2.0 log (A) start preempt delay (10.000000 secs left)
        2.0 log (A) master set to 10.0.0.2
        12.0 log (A) received lower priority (50) advert from 10.0.0.2 - discarding
    """)
    assert "14.609375 advert A 100" in lines


def test_an_advert_of_own_priority_stops_the_preempt_delay():
    book = play(preempt_delay_us=3_000_000)
    book.start()
    book.hear(50)
    book.run(2)
    book.hear(100)
    book.run(4)
    assert book.hear(50) == ["log (A) start preempt delay (3.000000 secs left)"]


def test_version_3_adopts_the_masters_interval_and_goes_back_to_its_own():
    book = play(version=3)
    book.start()
    assert book.hear(150, version=3, interval_us=200_000) == column("""
        log (A) master set to 10.0.0.2
        log (A) advertisement interval updated from 1000ms to 200ms by master
    """)
    assert book.status().master_interval_us == 200_000
    assert book.run(1.8)[:3] == column("""
        0.721875 advert A 100
        0.721875 log (A) Entering MASTER STATE
        0.721875 log (A) changing advert interval from 200ms to locally configured 1000ms
    """)
    assert book.run(2)[-1:] == []
    assert book.status().master_interval_us == 1_000_000


# ---- MASTER ----


def test_master_yields_to_a_higher_priority():
    book = Playbook(config(instance(garp=ONE_ROUND)), detail=True).to_master()
    assert book.hear(101) == column("""
        log (A) Master received advert from 10.0.0.2 with higher priority 101, ours 100
        advert A 100
        log (A) master set to 10.0.0.2
        log (A) Entering BACKUP STATE
        -D (A) removing VIPs.
        addresses A -
        notify INSTANCE A BACKUP 100
    """)
    assert book.run(7.6) == []
    assert book.run(7.7)[1] == "7.609375 advert A 100"
    assert book.status().stats.release_master == 1


@pytest.mark.shows("{vrrp_instance.,global_defs.vrrp_}higher_prio_send_advert")
def test_master_shows_itself_once_more_when_asked():
    for asked in (True, None):
        book = play(higher_prio_send_advert=asked).to_master()
        assert book.hear(101)[:2] == column("""
            log (A) Master received advert from 10.0.0.2 with higher priority 101, ours 100
            advert A 100
        """)
    book = play(higher_prio_send_advert=False).to_master()
    assert not any("advert A" in line for line in book.hear(101)[1:])


def test_equal_priority_the_higher_address_wins():
    book = play().to_master()
    assert book.hear(100, "10.0.0.2")[0] == (
        "log (A) Master received advert from 10.0.0.2 with same priority 100 but higher IP address than ours"
    )
    assert book.state() == "BACKUP"
    book = play().to_master()
    assert book.hear(100, "9.255.255.255")[:2] == column("""
        log (A) Received advert from 9.255.255.255 with lower priority 100, ours 100, forcing new election
        advert A 100
    """)
    assert book.state() == "MASTER"


def test_addresses_compare_as_numbers_not_as_text():
    book = Playbook(config(instance()), sources={"A": "10.0.0.10"}).to_master()
    book.hear(100, "10.0.0.9")
    assert book.state() == "MASTER"


def test_equal_priority_from_our_own_address_is_a_warning():
    book = play().to_master()
    assert book.hear(100, "10.0.0.1") == [
        "log (A) WARNING - equal priority advert received from remote host with our IP address."
    ]
    assert book.state() == "MASTER"


def test_master_contradicts_a_lower_priority():
    book = play(garp=GarpSettings(delay_us=0, lower_prio_repeat=3, lower_prio_delay_us=2_000_000)).to_master()
    assert book.hear(50) == column("""
        log (A) Received advert from 10.0.0.2 with lower priority 50, ours 100, forcing new election
        advert A 100
        announce A x3
        notify INSTANCE A MASTER_RX_LOWER_PRI 100
    """)
    assert book.run(6.2) == column("""
        5.000000 advert A 100
        6.000000 advert A 100
        6.000000 announce A x3
    """)


@pytest.mark.shows("{vrrp_instance.,global_defs.vrrp_}lower_prio_no_advert")
def test_lower_prio_no_advert_only_repairs_caches():
    book = play(lower_prio_no_advert=True).to_master()
    assert book.hear(50) == column("""
        log (A) Received advert from 10.0.0.2 with lower priority 50, ours 100
        announce A x5
        notify INSTANCE A MASTER_RX_LOWER_PRI 100
    """)


def test_master_answers_a_resigning_router_at_once():
    book = play(garp=ONE_ROUND).to_master()
    assert book.hear(0) == column("""
        log (A) Master received priority 0 message
        advert A 100
    """)
    assert book.run(5) == ["5.000000 advert A 100"]


def test_a_flood_of_lower_adverts_costs_a_bounded_number_of_answers():
    book = play().to_master()
    lines = [item for _ in range(5000) for item in book.hear(50)]
    assert lines.count("advert A 100") == 20
    assert book.status().stats.advert_rcvd == 5000
    assert len(lines) == 80


def test_garp_refresh():
    book = play(garp=GarpSettings(delay_us=0, refresh_us=2_000_000, refresh_repeat=2))
    book.start()
    assert [item for item in book.run(10) if "announce" in item] == column("""
        3.609375 announce A x5
        5.609375 announce A x2
        7.609375 announce A x2
        9.609375 announce A x2
    """)


def test_pending_announcements_die_with_the_mastership():
    book = play().to_master()
    book.hear(200)
    lines = []
    for second in range(5, 30):
        lines += book.run(second)
        lines += book.hear(200)
    assert not [item for item in lines if "announce" in item]


def test_nothing_to_announce_without_addresses():
    book = play(addresses=())
    book.start()
    assert not [item for item in book.run(10) if "announce" in item]


def test_a_late_timer_is_reported():
    book = play(garp=ONE_ROUND).to_master()
    book.now_us = 4_609_375 + 2_100_000
    assert book.feed(events.Tick()) == column("""
        log (A) VRRP thread timer expired 2.100000 seconds ago
        advert A 100
    """)
    assert book.router.wake_at() == 4_609_375 + 3_100_000


@pytest.mark.shows("vrrp_instance.{timer_expired_backup,thread_timer_expired}")
def test_a_late_timer_makes_backup_when_asked():
    book = play(timer_expired_backup=254, nopreempt=True).to_master()
    book.now_us = 4_609_375 + 2_100_000
    assert book.feed(events.Tick())[1] == "log (A) Entering BACKUP STATE"


def test_routes_and_rules_are_named_and_the_sync_daemon_follows():
    book = Playbook(
        config(
            instance(routes=(VirtualRoute(words=("10.5.0.0/16",)),), rules=(VirtualRule(words=("from", "10.0.0.9")),)),
            settings=GlobalDefs(sync_daemon=SyncDaemon(interface="eth0", instance="A")),
        ),
        detail=True,
    )
    book.start()
    lines = [item.partition(" ")[2] for item in book.run(4)]
    assert lines[2:] == column("""
        log (A) Entering MASTER STATE
        -D (A) setting VIPs.
        -D (A) setting Virtual Routes
        -D (A) setting Virtual Rules
        addresses A +
        -D (A) Sending/queueing gratuitous ARPs on eth0 for 10.0.0.51
        announce A x5
        notify INSTANCE A MASTER 100
        sync-daemon A master
    """)
    assert book.hear(200)[3:] == column("""
        sync-daemon A backup
        log (A) Entering BACKUP STATE
        -D (A) removing Virtual Rules
        -D (A) removing Virtual Routes
        -D (A) removing VIPs.
        addresses A -
        notify INSTANCE A BACKUP 100
    """)


# ---- faults ----


def test_fault_of_a_master_says_goodbye_and_recovery_waits_in_full():
    book = Playbook(config(instance()), detail=True).to_master()
    assert book.link("eth0", False) == column("""
        log Netlink reports eth0 down
        log (A): entering FAULT state (interface eth0 down)
        log (A) Entering FAULT STATE
        advert A 0
        -D (A) sent 0 priority
        -D (A) removing VIPs.
        addresses A -
        notify INSTANCE A FAULT 100
    """)
    assert book.hear(200) == []
    assert book.router.wake_at() is None
    assert book.link("eth0", True) == column("""
        log Netlink reports eth0 up
        log (A) Entering BACKUP STATE
        notify INSTANCE A BACKUP 100
    """)
    assert book.run(8)[1] == "7.609375 advert A 100"


def test_an_owner_back_from_fault_waits_one_interval_and_skew():
    book = play(priority=255).to_master(1)
    book.link("eth0", False)
    book.link("eth0", True)
    assert book.run(3)[0] == "2.003906 advert A 255"


def test_a_unicast_instance_announces_its_source_first():
    book = play(unicast_peers=(UnicastPeer("10.0.0.2"),)).to_master()
    book.link("eth0", False)
    # The lane has reached its announcements, so the log line follows.
    assert book.link("eth0", True)[1:] == column("""
        announce-source A
        log (A) Entering BACKUP STATE
        notify INSTANCE A BACKUP 100
    """)


def test_a_lost_address_starts_over_within_skew():
    book = Playbook(config(instance()), detail=True).to_master()
    assert book.feed(events.AddressLost("A", "10.0.0.51", "eth0")) == column("""
        log (A) Entering BACKUP STATE
        advert A 0
        -D (A) sent 0 priority
        -D (A) removing VIPs.
        addresses A -
        notify INSTANCE A BACKUP 100
    """)
    assert book.run(4.7)[1] == "4.609375 advert A 100"
    book.hear(200)
    assert book.feed(events.AddressLost("A", "10.0.0.51", "eth0")) == []


# ---- stop ----


def test_stop_of_a_master():
    book = Playbook(config(instance(), instance("B", 52)), detail=True).to_master()
    assert book.stop() == column("""
        advert A 0
        -D (A) sent 0 priority
        -D (A) removing VIPs.
        advert B 0
        -D (B) sent 0 priority
        -D (B) removing VIPs.
        addresses A -
        addresses B -
        notify INSTANCE A STOP 100
        notify INSTANCE B STOP 100
    """)
    assert book.router.wake_at() is None
    assert book.hear(200) == []
    assert book.reload(config()) == []


def test_stop_that_leaves_everything_as_it_is():
    book = play().to_master()
    assert book.stop(release=False) == ["notify INSTANCE A STOP 100"]


def test_stop_before_start_says_nothing():
    assert play().stop() == []


# ---- what is only counted and said ----


@pytest.mark.parametrize(
    ("addresses", "said"),
    [
        (("10.0.0.51",), []),
        (("10.0.0.9",), ["log (A) ip address associated with VRID 51 not present in MASTER advert : 10.0.0.51"]),
        (("10.0.0.51", "10.0.0.9"), ["log (A) received an unexpected ip number count 2, expected 1!"]),
        ((), ["log (A) received an unexpected ip number count 0, expected 1!"]),
    ],
)
def test_another_address_list_is_counted_and_the_advert_used(addresses, said):
    book = play()
    book.start()
    assert book.hear(150, addresses=addresses) == [*said, "log (A) master set to 10.0.0.2"]
    assert book.hear(150, addresses=addresses) == []
    assert book.status().stats.addr_list_err == 2 * len(said)


def test_the_order_of_addresses_does_not_matter():
    book = play(addresses=(address("10.0.0.51"), address("10.0.0.52")))
    book.start()
    book.hear(150, addresses=("10.0.0.52", "10.0.0.51"))
    assert book.status().stats.addr_list_err == 0


@pytest.mark.shows("{vrrp_instance.,global_defs.vrrp_}skip_check_adv_addr")
def test_skip_check_adv_addr_looks_only_when_the_sender_changes():
    book = play(skip_check_adv_addr=True)
    book.start()
    for _ in range(3):
        book.hear(150, addresses=("10.0.0.9",))
    assert book.status().stats.addr_list_err == 1


def test_the_other_checksum_form_is_counted_and_said_once_per_sender():
    book = play(version=3)
    book.start()
    words = {"version": 3, "other_checksum_form": True}
    assert book.hear(150, **words)[0] == ("log (A) 10.0.0.2 sends VRRPv3 checksums without pseudo-header, accepted")
    assert book.hear(150, **words) == []
    assert book.status().stats.other_checksum_form == 2


def test_a_refused_packet_is_counted_and_said_once_per_sender():
    book = play()
    book.start()
    refused = events.PacketRefused("A", events.Refusal.TTL, "10.0.0.2", "invalid TTL/HL from 10.0.0.2. …")
    assert book.feed(refused) == ["log (A) invalid TTL/HL from 10.0.0.2. …"]
    assert book.feed(refused) == []
    other = events.PacketRefused("A", events.Refusal.TTL, "10.0.0.3", "invalid TTL/HL from 10.0.0.3. …")
    assert len(book.feed(other)) == 1
    book.run(4)
    assert book.state() == "MASTER"
    assert len(book.feed(other)) == 1
    stats = book.status().stats
    assert (stats.ip_ttl_err, stats.refusals) == (4, {"ttl": 4})


def test_changing_senders_cannot_fill_the_log():
    book = play()
    book.start()
    lines = [
        item
        for number in range(1000)
        for item in book.feed(
            events.PacketRefused("A", events.Refusal.TTL, f"10.1.{number // 256}.{number % 256}", "x")
        )
    ]
    assert len(lines) == 10
    book.now_us += 1_000_000
    assert len(book.feed(events.PacketRefused("A", events.Refusal.TTL, "10.9.9.9", "x"))) == 1


@pytest.mark.parametrize(
    ("refusal", "counter"),
    [
        (events.Refusal.LENGTH, "packet_len_err"),
        (events.Refusal.TTL, "ip_ttl_err"),
        (events.Refusal.TYPE, "invalid_type_rcvd"),
        (events.Refusal.ADVERT_INTERVAL, "advert_interval_err"),
        (events.Refusal.AUTH_TYPE_INVALID, "invalid_authtype"),
        (events.Refusal.AUTH_TYPE_MISMATCH, "authtype_mismatch"),
        (events.Refusal.AUTH_FAILURE, "auth_failure"),
    ],
)
def test_refusals_that_keepalived_json_has_a_counter_for(refusal, counter):
    book = play()
    book.start()
    book.feed(events.PacketRefused("A", refusal, "10.0.0.2"))
    assert getattr(book.status().stats, counter) == 1


@pytest.mark.shows("global_defs.log_unknown_vrids")
def test_unknown_vrids_are_said_only_when_asked():
    refused = events.PacketRefused("", events.Refusal.UNKNOWN_VRID, "10.0.0.2", "Unknown VRID(9) received on …")
    quiet = play()
    assert quiet.feed(refused) == []
    assert quiet.router.unattributed == {"unknown-vrid": 1}
    chatty = Playbook(config(instance(), settings=GlobalDefs(log_unknown_vrids=True)))
    assert [len(chatty.feed(refused)) for _ in range(7)] == [1, 1, 1, 1, 1, 0, 0]


# ---- IPv6 ----


def test_an_ipv6_instance_elects_by_bytes_and_announces_as_neighbour():
    six = instance(version=3, addresses=(address("fe80::51/64"), address("2001:db8::51/64")))
    book = Playbook(config(six), sources={"A": "fe80::a"}, detail=True)
    book.start()
    lines = [item.partition(" ")[2] for item in book.run(3.7)]
    assert "-D (A) Sending/queueing Unsolicited Neighbour Adverts on eth0 for 2001:db8::51" in lines
    assert book.status().family.name == "INET6"
    words = {"version": 3, "addresses": ("fe80::51", "2001:db8::51")}
    book.hear(100, "fe80::9", **words)
    assert book.state() == "MASTER"
    book.hear(100, "fe80::10", **words)
    assert book.state() == "BACKUP"
    assert book.status().stats.addr_list_err == 0


def test_excluded_addresses_of_the_other_family_are_owned_and_not_advertised():
    book = Playbook(config(instance(excluded_addresses=(address("2001:db8::51/64"),))))
    book.start()
    book.hear(150)
    assert book.status().stats.addr_list_err == 0
    assert book.status().family.name == "INET"

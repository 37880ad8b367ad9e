"""RFC 9568 (VRRPv3), with errata 8298 to 8301."""

from __future__ import annotations

from typing import Any

from tests.conformance import plays
from tests.conformance.advert_bytes import fields
from tests.conformance.ledger import Case, Clause, Level, Stage, case
from tests.conformance.plays import good, keeps_quiet, takes_over_despite

SIX = {"ipv6": True}
FIVE = {"advert_interval_us": 1_000_000}


def believed(**bent: Any) -> Case:
    """A case: a BACKUP stays quiet while it hears such adverts."""
    name = "believes " + (" ".join(f"{key}={value}" for key, value in bent.items()) or "a right advert")
    ipv6 = {"ipv6": True} if bent.get("ipv6") else {}

    def run(stage: Stage) -> None:
        assert keeps_quiet(stage, good(stage, **bent), **ipv6)

    return Case(f"9568 {name}", run, dict(ipv6))


def discarded(**bent: Any) -> Case:
    """A case: a BACKUP takes over although it hears such adverts."""
    name = "discards " + " ".join(f"{key}={value!r}" for key, value in bent.items())
    ipv6 = {"ipv6": True} if bent.get("ipv6") else {}

    def run(stage: Stage) -> None:
        assert takes_over_despite(stage, good(stage, **bent), **ipv6)

    return Case(f"9568 {name}", run, dict(ipv6))


def first_advert(stage: Stage) -> bytes:
    for _ in range(120):
        sent = stage.adverts()
        if sent:
            return sent[0]
        stage.wait(0.05)
    raise AssertionError("it sends nothing")


@case()
def sends_ipv4_headers_right(stage: Stage) -> None:
    packet = first_advert(stage)
    assert (packet[8], packet[9], packet[16:20]) == (255, 112, bytes((224, 0, 0, 18)))
    assert packet[12:16] == bytes((10, 9, 0, 1)), "the primary address of the interface"


@case(ipv6=True)
def sends_ipv6_headers_right(stage: Stage) -> None:
    packet = first_advert(stage)
    assert (packet[7], packet[6]) == (255, 112)
    assert packet[8:10] == b"\xfe\x80", "a link-local address"
    assert packet[24:40] == b"\xff\x02" + bytes(13) + b"\x12"


@case()
def sends_fields_right(stage: Stage) -> None:
    _, priority, message = fields(first_advert(stage))
    assert message[0] == 0x31
    assert (priority, message[3]) == (100, 1)
    assert message[4] >> 4 == 0, "reserved"
    assert int.from_bytes(message[4:6], "big") == 20, "centiseconds"
    assert message[8:12] == bytes((10, 9, 1, stage.vrid))


@case(priority=255)
def an_owner_sends_255(stage: Stage) -> None:
    assert fields(first_advert(stage))[1] == 255


@case(priority=254)
def nobody_else_sends_255(stage: Stage) -> None:
    assert fields(first_advert(stage))[1] == 254


@case(priority=255)
def an_owner_starts_as_master(stage: Stage) -> None:
    stage.wait(0.1)
    plays.become_master(stage)
    assert not plays.yields_to(stage, good(stage, 254))


@case()
def others_start_as_backup(stage: Stage) -> None:
    plays.become_backup(stage)
    stage.hear(good(stage))
    stage.wait(0.3)
    assert not plays.priorities(stage)


@case()
def a_silent_master_is_down_after_the_interval(stage: Stage) -> None:
    plays.become_backup(stage)
    stage.hear(good(stage))
    after = plays.takes_over_after(stage, 2 + stage.late_s)
    assert after is not None
    assert 0.66 < after < 1.1 + stage.late_s, after


@case()
def priority_0_makes_the_skew_the_timer(stage: Stage) -> None:
    plays.become_backup(stage)
    stage.hear(good(stage, 0))
    after = plays.takes_over_after(stage, 2)
    assert after is not None
    assert 0.08 < after < 0.45, after


@case()
def a_backup_that_preempts_lets_the_timer_run(stage: Stage) -> None:
    assert takes_over_despite(stage, good(stage, 99))


@case(nopreempt=True)
def without_preemption_a_lower_master_stays(stage: Stage) -> None:
    assert keeps_quiet(stage, good(stage, 99))


@case()
def an_equal_priority_is_believed(stage: Stage) -> None:
    assert keeps_quiet(stage, good(stage, 100))


@case()
def the_masters_interval_is_adopted(stage: Stage) -> None:
    plays.become_backup(stage)
    stage.hear(good(stage, interval=60))
    after = plays.takes_over_after(stage, 5 + stage.late_s)
    assert after is not None
    assert 2.0 < after < 2.7 + stage.late_s, after


@case()
def ones_own_interval_is_sent_by_a_new_master(stage: Stage) -> None:
    plays.become_backup(stage)
    stage.hear(good(stage, interval=60))
    stage.hear(good(stage, 0, interval=60))
    assert int.from_bytes(fields(first_advert(stage))[2][4:6], "big") == 20


@case()
def a_master_yields_to_a_higher_priority(stage: Stage) -> None:
    assert plays.yields_to(stage, good(stage, 101))


@case()
def a_master_does_not_yield_to_a_lower_priority(stage: Stage) -> None:
    assert not plays.yields_to(stage, good(stage, 99))


@case()
def a_master_yields_to_an_equal_priority_of_a_higher_address(stage: Stage) -> None:
    assert plays.yields_to(stage, good(stage, 100, source=plays.HIGHER_SOURCE4))


@case()
def a_master_does_not_yield_to_an_equal_priority_of_a_lower_address(stage: Stage) -> None:
    assert not plays.yields_to(stage, good(stage, 100, source=plays.LOWER_SOURCE4))


@case(**FIVE)
def a_master_answers_a_lower_priority_at_once(stage: Stage) -> None:
    assert plays.answers_at_once(stage, good(stage, 99))


@case(**FIVE, lower_prio_no_advert=True)
def it_does_not_where_the_file_forbids_it(stage: Stage) -> None:
    assert not plays.answers_at_once(stage, good(stage, 99))


@case(**FIVE)
def a_master_answers_priority_0_at_once(stage: Stage) -> None:
    assert plays.answers_at_once(stage, good(stage, 0))


@case(**FIVE)
def a_master_does_not_answer_what_is_no_advert(stage: Stage) -> None:
    assert not plays.answers_at_once(stage, good(stage, 0, ttl=254))


@case()
def a_master_sends_every_interval(stage: Stage) -> None:
    plays.become_master(stage)
    stage.adverts()
    start, count = stage.now(), 0
    while count < 6 and stage.now() < start + 1.4 + stage.late_s:
        stage.wait(0.05)
        count += len(stage.adverts())
    assert count >= 6
    assert stage.now() - start > 0.8, "six intervals, or five and a part of one"


@case()
def a_backup_sends_nothing(stage: Stage) -> None:
    assert keeps_quiet(stage, good(stage))


@case(core=False)
def a_backup_does_not_answer_arp(stage: Stage) -> None:
    plays.become_backup(stage)
    stage.hear(good(stage, interval=4095))
    stage.wait(0.4)
    assert not stage.answers()


@case()
def a_master_answers_arp_and_announces(stage: Stage) -> None:
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.announced()
    assert stage.answers()


@case(core=False, ipv6=True)
def a_backup_does_not_answer_solicitations(stage: Stage) -> None:
    plays.become_backup(stage, ipv6=True)
    stage.hear(good(stage, ipv6=True, interval=4095))
    stage.wait(0.4)
    assert not stage.answers()


@case(ipv6=True)
def a_master_answers_solicitations_and_announces(stage: Stage) -> None:
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.announced()
    assert stage.answers()


@case()
def other_addresses_are_noted_and_used(stage: Stage) -> None:
    assert keeps_quiet(stage, good(stage, addresses=("10.9.77.1", "10.9.77.2")))


@case()
def another_vrid_is_another_router(stage: Stage) -> None:
    assert takes_over_despite(stage, good(stage, vrid=255))


def _row(section: str, level: Level, rule: str, obeys: Case, beside: Case) -> Clause:
    return Clause(
        standard="RFC 9568",
        section=section,
        level=level,
        rule=rule,
        obeys=obeys,
        beside=beside,
    )


M, N, S = Level.MUST, Level.MUST_NOT, Level.SHOULD
CLAUSES: tuple[Clause, ...] = (
    _row(
        "5.1.1.1",
        M,
        "IPv4 adverts come from the interface's primary address",
        sends_ipv4_headers_right,
        sends_ipv6_headers_right,
    ),
    _row("5.1.1.3", M, "IPv4 adverts are sent with TTL 255", sends_ipv4_headers_right, sends_ipv6_headers_right),
    _row("5.1.1.3", M, "An IPv4 advert whose TTL is not 255 is discarded", discarded(ttl=254), believed()),
    _row(
        "5.1.2.1", M, "IPv6 adverts come from a link-local address", sends_ipv6_headers_right, sends_ipv4_headers_right
    ),
    _row("5.1.2.3", M, "IPv6 adverts are sent with hop limit 255", sends_ipv6_headers_right, sends_ipv4_headers_right),
    _row(
        "5.1.2.3",
        M,
        "An IPv6 advert whose hop limit is not 255 is discarded",
        discarded(ipv6=True, ttl=64),
        believed(ipv6=True),
    ),
    _row("5.2.2", M, "A packet of an unknown type is discarded", discarded(kind=2), believed()),
    _row("5.2.3", M, "The VRID tells virtual routers apart", another_vrid_is_another_router, believed()),
    _row("5.2.4", M, "The owner sends priority 255", an_owner_sends_255, nobody_else_sends_255),
    _row("5.2.4", M, "Backups have priorities 1 to 254", nobody_else_sends_255, an_owner_sends_255),
    _row("5.2.5, erratum 8299", M, "An advert without an address is discarded", discarded(count=0), believed()),
    _row("5.2.6", M, "The reserved bits are sent as zero", sends_fields_right, believed(reserved=15)),
    _row("5.2.6", M, "The reserved bits are ignored on receipt", believed(reserved=15), discarded(ttl=1)),
    _row("5.2.7, erratum 8301", M, "An interval of zero is refused", discarded(interval=0), believed(interval=10)),
    _row("5.2.8", M, "A wrong checksum makes an advert be discarded", discarded(checksum=0x1234), believed()),
    _row(
        "5.2.8",
        M,
        "The IPv6 checksum has the pseudo-header",
        discarded(ipv6=True, pseudo=False),
        believed(ipv6=True),
    ),
    _row("5.2.8", M, "The IPv4 checksum covers the message alone", believed(pseudo=False), discarded(checksum=1)),
    _row("6.4.1", M, "An owner starts as Active", an_owner_starts_as_master, others_start_as_backup),
    _row("6.4.1", M, "Anyone else starts as Backup", others_start_as_backup, an_owner_starts_as_master),
    _row(
        "6.4.2",
        N,
        "A Backup answers ARP for the addresses",
        a_backup_does_not_answer_arp,
        a_master_answers_arp_and_announces,
    ),
    _row(
        "6.4.2",
        N,
        "A Backup answers neighbour solicitations",
        a_backup_does_not_answer_solicitations,
        a_master_answers_solicitations_and_announces,
    ),
    _row(
        "6.4.2",
        M,
        "A silent Active router is down after Active_Down_Interval",
        a_silent_master_is_down_after_the_interval,
        a_backup_sends_nothing,
    ),
    _row(
        "6.4.2",
        M,
        "Priority 0 sets the timer to Skew_Time",
        priority_0_makes_the_skew_the_timer,
        a_silent_master_is_down_after_the_interval,
    ),
    _row(
        "6.4.2",
        M,
        "Without preemption any priority restarts the timer",
        without_preemption_a_lower_master_stays,
        a_backup_that_preempts_lets_the_timer_run,
    ),
    _row(
        "6.4.2",
        M,
        "With preemption a lower advert is discarded",
        a_backup_that_preempts_lets_the_timer_run,
        an_equal_priority_is_believed,
    ),
    _row(
        "6.4.2",
        M,
        "The Active router's interval is adopted",
        the_masters_interval_is_adopted,
        ones_own_interval_is_sent_by_a_new_master,
    ),
    _row(
        "6.4.2",
        M,
        "A new Active router sends an advert and announces its IPv4 addresses",
        a_master_answers_arp_and_announces,
        a_backup_does_not_answer_arp,
    ),
    _row(
        "6.4.2",
        M,
        "A new Active router sends an advert and announces its IPv6 addresses",
        a_master_answers_solicitations_and_announces,
        a_backup_does_not_answer_solicitations,
    ),
    _row("6.4.3", M, "The Active router answers ARP", a_master_answers_arp_and_announces, a_backup_does_not_answer_arp),
    _row(
        "6.4.3",
        M,
        "The Active router answers neighbour solicitations",
        a_master_answers_solicitations_and_announces,
        a_backup_does_not_answer_solicitations,
    ),
    _row("6.4.3", M, "It sends an advert every interval", a_master_sends_every_interval, a_backup_sends_nothing),
    _row(
        "6.4.3",
        M,
        "It answers priority 0 with an advert",
        a_master_answers_priority_0_at_once,
        a_master_does_not_answer_what_is_no_advert,
    ),
    _row(
        "6.4.3",
        M,
        "It yields to a higher priority",
        a_master_yields_to_a_higher_priority,
        a_master_does_not_yield_to_a_lower_priority,
    ),
    _row(
        "6.4.3",
        M,
        "It yields to an equal priority of a greater address",
        a_master_yields_to_an_equal_priority_of_a_higher_address,
        a_master_does_not_yield_to_an_equal_priority_of_a_lower_address,
    ),
    _row(
        "6.4.3",
        M,
        "It answers any other advert with one of its own at once",
        a_master_answers_a_lower_priority_at_once,
        it_does_not_where_the_file_forbids_it,
    ),
    _row("7.1", M, "An advert that is too short is discarded", discarded(cut=1), believed()),
    _row("7.1", M, "Another version is discarded", discarded(version=4), believed()),
    _row("7.1", M, "A checksum with the pseudo-header is known too", believed(), discarded(checksum=0)),
    _row(
        "7.1, erratum 8298",
        S,
        "Other addresses are logged and the advert is used",
        other_addresses_are_noted_and_used,
        believed(),
    ),
    _row("7.2", M, "Fields are filled in as configured", sends_fields_right, nobody_else_sends_255),
)

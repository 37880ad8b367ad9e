"""RFC 9568, continued: what a network sees of a virtual router: hardware addresses, packets, the end, the log."""

from __future__ import annotations

from typing import Any

from tests.conformance import packets, plays
from tests.conformance.advert_bytes import BETWEEN4, BETWEEN6, advert_sum, fields
from tests.conformance.ledger import Case, Clause, Level, NotOurs, Stage, case
from tests.conformance.network import BEYOND, OWN4, OWN6
from tests.conformance.plays import good
from tests.conformance.rfc9568 import (
    believed,
    first_advert,
    sends_fields_right,
    sends_ipv4_headers_right,
)
from tests.conformance.stages import WireStage

VIRTUAL: dict[str, Any] = {"use_vmac": True}
STRICT: dict[str, Any] = {"use_vmac": True, "strict": True, "accept": False}
#: How often something is said that should be logged once.
OFTEN = 20


def virtual_mac(stage: Stage, *, ipv6: bool = False) -> str:
    return f"00:00:5e:00:0{2 if ipv6 else 1}:{stage.vrid:02x}"


def wait_as_backup(stage: Stage, **bent: Any) -> None:
    """BACKUP of a router that will not be missed for 40 s."""
    plays.become_backup(stage, **bent)
    stage.hear(good(stage, 254, interval=4095, **bent))
    stage.wait(0.4)


# ---- the checksum and the addresses that are sent (5.2.8, 5.2.9) ----


@case(v3_checksum_as_v2=True)
def the_checksum_covers_the_message_alone(stage: Stage) -> None:
    assert advert_sum(first_advert(stage)) == 0


@case()
def without_the_word_it_has_the_pseudo_header(stage: Stage) -> None:
    packet = first_advert(stage)
    assert advert_sum(packet, BETWEEN4) == 0
    assert advert_sum(packet) != 0


@case(ipv6=True, v3_checksum_as_v2=True)
def the_ipv6_checksum_has_the_pseudo_header_always(stage: Stage) -> None:
    assert advert_sum(first_advert(stage), BETWEEN6) == 0


@case(ipv6=True, more_addresses=("2001:db8:9::%x",))
def the_first_ipv6_address_is_link_local(stage: Stage) -> None:
    message = fields(first_advert(stage))[2]
    assert message[3] == 2
    assert message[8:10] == b"\xfe\x80"
    assert message[24:28] == b"\x20\x01\x0d\xb8"


# ---- hardware addresses (7.2, 8.1.2, 8.2.2) ----


@case(**VIRTUAL)
def adverts_come_from_the_virtual_mac(stage: Stage) -> None:
    first_advert(stage)
    assert stage.advert_macs() == {virtual_mac(stage)}


@case(**VIRTUAL, ipv6=True)
def ipv6_adverts_come_from_the_virtual_mac(stage: Stage) -> None:
    first_advert(stage)
    assert stage.advert_macs() == {virtual_mac(stage, ipv6=True)}


@case()
def without_use_vmac_the_interfaces_own_serves(stage: Stage) -> None:
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.advert_macs() == {stage.own_mac()}
    assert stage.announcement_macs() == {stage.own_mac()}
    assert stage.answer_macs() == {stage.own_mac()}


@case(ipv6=True)
def without_use_vmac_the_interfaces_own_serves_ipv6(stage: Stage) -> None:
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.answer_macs() == {stage.own_mac()}


@case(**VIRTUAL)
def answers_carry_the_virtual_mac(stage: Stage) -> None:
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.answer_macs() == {virtual_mac(stage)}


@case(**VIRTUAL)
def announcements_carry_the_virtual_mac(stage: Stage) -> None:
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.announcement_macs() == {virtual_mac(stage)}


@case(**VIRTUAL, ipv6=True)
def ipv6_answers_and_announcements_carry_the_virtual_mac(stage: Stage) -> None:
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.announcement_macs() == {virtual_mac(stage, ipv6=True)}
    assert stage.answer_macs() == {virtual_mac(stage, ipv6=True)}


@case(**VIRTUAL)
def a_backup_with_a_virtual_mac_answers_nothing(stage: Stage) -> None:
    wait_as_backup(stage)
    assert stage.answer_macs() == set()


@case(core=False, ipv6=True)
def announcements_have_the_flags_of_a_router(stage: Stage) -> None:
    assert isinstance(stage, WireStage)
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.announced()
    assert stage.network.seen.flags[stage.address] == {packets.ROUTER | packets.OVERRIDE}


@case(core=False, ipv6=True)
def answers_have_the_solicited_flag(stage: Stage) -> None:
    """It is no announcement: this flag tells them apart."""
    assert isinstance(stage, WireStage)
    plays.become_master(stage)
    stage.wait(0.3)
    stage.network.seen.flags.pop(stage.address, None)
    assert stage.answers()
    assert not stage.network.seen.flags[stage.address]


@case(**VIRTUAL, ipv6=True)
def link_local_addresses_are_not_made_of_the_virtual_mac(stage: Stage) -> None:
    source = first_advert(stage)[8:24]
    assert source == packets.packed(OWN6)


# ---- packets to the addresses and to the virtual MAC address (6.4.2, 6.4.3, 8.3.1) ----


@case()
def a_backup_accepts_no_packet(stage: Stage) -> None:
    wait_as_backup(stage)
    assert not stage.accepts()


@case(ipv6=True)
def a_backup_accepts_no_ipv6_packet(stage: Stage) -> None:
    wait_as_backup(stage, ipv6=True)
    assert not stage.accepts()


@case()
def a_master_accepts_packets(stage: Stage) -> None:
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.accepts()


@case(ipv6=True)
def a_master_accepts_ipv6_packets(stage: Stage) -> None:
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.accepts()


@case(accept=False)
def a_master_without_accept_mode_accepts_no_packet(stage: Stage) -> None:
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.answers()
    assert not stage.accepts()


@case(accept=False, ipv6=True)
def a_master_without_accept_mode_accepts_no_ipv6_packet(stage: Stage) -> None:
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.answers()
    assert not stage.accepts()


@case(accept=False, priority=255)
def an_owner_accepts_packets_without_accept_mode(stage: Stage) -> None:
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.accepts()


@case(**STRICT)
def a_backup_discards_what_is_sent_to_the_virtual_mac(stage: Stage) -> None:
    wait_as_backup(stage)
    assert not stage.forwards()


@case(**STRICT)
def a_master_forwards_what_is_sent_to_the_virtual_mac(stage: Stage) -> None:
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.forwards()
    plays.become_backup(stage)
    stage.hear(good(stage, 254, interval=200))
    stage.wait(0.2)
    assert not stage.forwards()
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.forwards()


@case(core=False, accept=False)
def packets_to_the_addresses_are_not_sent_on(stage: Stage) -> None:
    """Neither to the other side nor back."""
    assert isinstance(stage, WireStage)
    plays.become_master(stage)
    stage.wait(0.3)
    assert not stage.network.sends_on(stage.address, stage.vrid)


@case(core=False)
def packets_to_others_are_sent_on(stage: Stage) -> None:
    assert isinstance(stage, WireStage)
    plays.become_master(stage)
    assert stage.network.goes_through(BEYOND, stage.network.router_mac, stage.vrid)


@case(core=False)
def adverts_are_not_forwarded(stage: Stage) -> None:
    assert isinstance(stage, WireStage)
    wait_as_backup(stage)
    assert stage.network.nothing_of_vrrp_beyond(stage.vrid)


@case(core=False, ipv6=True)
def a_backup_sends_no_router_advertisement(stage: Stage) -> None:
    assert isinstance(stage, WireStage)
    wait_as_backup(stage, ipv6=True)
    assert not stage.network.router_solicited()


@case(core=False, ipv6=True)
def it_answers_for_its_own_addresses(stage: Stage) -> None:
    """Who hears it not advertise itself can hear that it is there."""
    assert isinstance(stage, WireStage)
    wait_as_backup(stage, ipv6=True)
    assert stage.network.ask(OWN6)
    assert stage.network.ask(OWN4)


# ---- the end (6.4.2, 6.4.3) ----


def resigned(stage: Stage) -> None:
    said = plays.priorities(stage)
    assert 0 in said, f"no advert of priority 0, but {said}"


def silent(stage: Stage) -> None:
    said = plays.priorities(stage)
    assert not said, f"a BACKUP that stops sends {said}"


@case(after=resigned)
def a_master_resigns_when_it_is_stopped(stage: Stage) -> None:
    plays.become_master(stage)


@case(after=resigned, ipv6=True)
def a_master_resigns_by_ipv6_when_it_is_stopped(stage: Stage) -> None:
    plays.become_master(stage)


@case(after=silent)
def a_backup_says_nothing_when_it_is_stopped(stage: Stage) -> None:
    wait_as_backup(stage)


@case(after=silent, ipv6=True)
def a_backup_says_nothing_by_ipv6_when_it_is_stopped(stage: Stage) -> None:
    wait_as_backup(stage, ipv6=True)


# ---- the log (7.1) ----


@case()
def what_is_discarded_is_logged_and_not_each_time(stage: Stage) -> None:
    wait_as_backup(stage)
    for _ in range(OFTEN):
        stage.hear(good(stage, 254, ttl=17))
        stage.wait(0.02)
    stage.wait(0.2)
    assert 1 <= stage.said("17") < OFTEN


@case()
def what_is_used_is_not_logged(stage: Stage) -> None:
    plays.become_backup(stage)
    before = stage.said("")
    for _ in range(OFTEN):
        stage.hear(good(stage, 254))
        stage.wait(0.02)
    assert stage.said("") == before


@case(priority=255)
def an_owner_that_hears_another_router_logs_it(stage: Stage) -> None:
    plays.become_master(stage)
    before = stage.said("")
    stage.hear(good(stage, 100))
    stage.wait(0.3)
    assert stage.said("") > before


@case(priority=254)
def one_that_is_no_owner_does_not(stage: Stage) -> None:
    plays.become_backup(stage)
    before = stage.said("")
    stage.hear(good(stage, 254))
    stage.wait(0.1)
    assert stage.said("") == before


def _row(section: str, level: Level, rule: str, obeys: Case, beside: Case, *note: str) -> Clause:
    return Clause(
        standard="RFC 9568", section=section, level=level, rule=rule, obeys=obeys, beside=beside, note=" ".join(note)
    )


M, N, S = Level.MUST, Level.MUST_NOT, Level.SHOULD
WITH_VMAC = "with `use_vmac`; without it the interface's own, as in keepalived"
CLAUSES: tuple[Clause, ...] = (
    _row("5.1.1.2, 5.1.2.2", N, "Packets to the group are forwarded", adverts_are_not_forwarded,
         packets_to_others_are_sent_on, "the kernel's part"),
    _row("5.2.8", M, "The IPv4 checksum that is sent covers the message alone", the_checksum_covers_the_message_alone,
         without_the_word_it_has_the_pseudo_header,
         "with `v3_checksum_as_v2`; without it as keepalived and FRR, which keepalived 2.2.7 insists on"),
    _row("5.2.8", M, "The IPv6 checksum that is sent has the pseudo-header",
         the_ipv6_checksum_has_the_pseudo_header_always, the_checksum_covers_the_message_alone),
    _row("5.2.9, erratum 8300", M, "The first IPv6 address is link-local", the_first_ipv6_address_is_link_local,
         sends_fields_right, "the order is the file's; another one is a finding of `-t` in strict mode"),
    _row("6.4.1, 6.4.2", M, "Unsolicited neighbour advertisements have R and O set and S clear",
         announcements_have_the_flags_of_a_router, answers_have_the_solicited_flag),
    _row("6.4.2", N, "A Backup sends router advertisements for the router", a_backup_sends_no_router_advertisement,
         it_answers_for_its_own_addresses),
    _row("6.4.2", M, "A Backup discards frames to the virtual MAC", a_backup_discards_what_is_sent_to_the_virtual_mac,
         a_master_forwards_what_is_sent_to_the_virtual_mac,
         "with `strict_mode`: they are not forwarded; without it they are, as keepalived does always"),
    _row("6.4.2", N, "A Backup accepts packets to the IPv4 addresses", a_backup_accepts_no_packet,
         a_master_accepts_packets),
    _row("6.4.2", N, "A Backup accepts packets to the IPv6 addresses", a_backup_accepts_no_ipv6_packet,
         a_master_accepts_ipv6_packets),
    _row("6.4.2", M, "On shutdown a Backup only stops its timer", a_backup_says_nothing_when_it_is_stopped,
         a_master_resigns_when_it_is_stopped),
    _row("6.4.2", M, "The same with IPv6", a_backup_says_nothing_by_ipv6_when_it_is_stopped,
         a_master_resigns_by_ipv6_when_it_is_stopped),
    _row("6.4.3", M, "On shutdown it sends an advert of priority 0", a_master_resigns_when_it_is_stopped,
         a_backup_says_nothing_when_it_is_stopped),
    _row("6.4.3", M, "The same with IPv6", a_master_resigns_by_ipv6_when_it_is_stopped,
         a_backup_says_nothing_by_ipv6_when_it_is_stopped),
    _row("6.4.3", M, "It forwards packets that are sent to the virtual MAC",
         a_master_forwards_what_is_sent_to_the_virtual_mac, a_backup_discards_what_is_sent_to_the_virtual_mac),
    _row("6.4.3", N, "It accepts packets to the IPv4 addresses, unless owner or Accept_Mode",
         a_master_without_accept_mode_accepts_no_packet, an_owner_accepts_packets_without_accept_mode,
         "Accept_Mode is on by default, as in keepalived; `no_accept` and `strict_mode` turn it off"),
    _row("6.4.3", N, "It accepts packets to the IPv6 addresses, unless owner or Accept_Mode",
         a_master_without_accept_mode_accepts_no_ipv6_packet, a_master_accepts_ipv6_packets),
    _row("6.4.3", M, "With Accept_Mode it accepts packets to the addresses", a_master_accepts_packets,
         a_master_without_accept_mode_accepts_no_packet),
    _row("6.4.3", M, "An owner accepts packets to the addresses", an_owner_accepts_packets_without_accept_mode,
         a_master_without_accept_mode_accepts_no_packet),
    _row("7.1", S, "What is discarded is logged, rate-limited", what_is_discarded_is_logged_and_not_each_time,
         what_is_used_is_not_logged),
    _row("7.1, erratum 8298", S, "An owner that hears another router logs it",
         an_owner_that_hears_another_router_logs_it, one_that_is_no_owner_does_not),
    _row("7.2", M, "The source MAC is the virtual MAC (IPv4)", adverts_come_from_the_virtual_mac,
         without_use_vmac_the_interfaces_own_serves, WITH_VMAC),
    _row("7.2", M, "The source MAC is the virtual MAC (IPv6)", ipv6_adverts_come_from_the_virtual_mac,
         without_use_vmac_the_interfaces_own_serves_ipv6, WITH_VMAC),
    _row("7.2", M, "The source address is the interface's", sends_ipv4_headers_right, believed()),
    _row("7.4", Level.SHOULD_NOT, "Link-local addresses are made of the virtual MAC",
         link_local_addresses_are_not_made_of_the_virtual_mac, ipv6_answers_and_announcements_carry_the_virtual_mac),
    _row("8.1.2", M, "ARP answers carry the virtual MAC", answers_carry_the_virtual_mac,
         a_backup_with_a_virtual_mac_answers_nothing, WITH_VMAC),
    _row("8.1.2", S, "Announcements carry the virtual MAC alone", announcements_carry_the_virtual_mac,
         without_use_vmac_the_interfaces_own_serves, WITH_VMAC),
    _row("8.2.2", M, "Neighbour advertisements carry the virtual MAC",
         ipv6_answers_and_announcements_carry_the_virtual_mac, without_use_vmac_the_interfaces_own_serves_ipv6,
         WITH_VMAC),
    _row("8.3.1", Level.SHOULD_NOT, "Packets to the addresses are sent on", packets_to_the_addresses_are_not_sent_on,
         packets_to_others_are_sent_on),
)  # fmt: skip


def _other(section: str, level: Level, rule: str, reason: str) -> NotOurs:
    return NotOurs("RFC 9568", section, level, rule, reason)


_RADVD = "radvd's work, which a notify script starts and stops"
_OPERATOR = "what the administrator decides"
NOT_OURS: tuple[NotOurs, ...] = (
    _other("6.4.3, 8.2.3", M, "The Active router sends router advertisements for the router", _RADVD),
    _other("8.1.1, 8.2.1", S, "Redirects come from the address that the host used, or are turned off",
           "the kernel sends them; its `send_redirects` is the administrator's"),
    _other("8.1.3", M, "Proxy ARP answers carry the virtual MAC",
           "the kernel's `proxy_arp`; it answers from the interface that it is set on"),
    _other("8.2.4", S, "Unsolicited neighbour advertisements are accepted from others",
           "the kernel's neighbour table does that"),
    _other("8.3.2", S, "Priorities of one virtual router differ", _OPERATOR),
    _other("8.4", S, "Versions 2 and 3 are mixed during an upgrade only", _OPERATOR + " (`vrrp_version`)"),
)  # fmt: skip

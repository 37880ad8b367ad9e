"""RFC 3768, continued: hardware addresses, packets to the addresses, the end, and what its section 7.1 has logged."""

from __future__ import annotations

from typing import Any

from tests.conformance import plays
from tests.conformance.advert_bytes import advert_sum
from tests.conformance.ledger import Case, Clause, Level, NotOurs, Stage, case
from tests.conformance.network import BEYOND
from tests.conformance.plays import keeps_quiet, takes_over_despite
from tests.conformance.rfc3768 import (
    TWO,
    believed,
    good,
    v2_a_backup_does_not_answer_arp,
    v2_a_master_answers_arp_and_announces,
    v2_fields,
    v2_password,
)
from tests.conformance.rfc9568 import first_advert
from tests.conformance.rfc9568_network import OFTEN, resigned, silent, virtual_mac
from tests.conformance.stages import WireStage

VIRTUAL: dict[str, Any] = {**TWO, "use_vmac": True}
STRICT: dict[str, Any] = {**VIRTUAL, "strict": True, "accept": False}


def wait_as_backup(stage: Stage) -> None:
    """BACKUP of a router that is missed after more than 3 s."""
    plays.become_backup(stage, **TWO)
    stage.hear(good(stage, 254))
    stage.wait(0.2)


@case(**VIRTUAL)
def v2_adverts_come_from_the_virtual_mac(stage: Stage) -> None:
    assert advert_sum(first_advert(stage)) == 0
    assert stage.advert_macs() == {virtual_mac(stage)}


@case(**VIRTUAL)
def v2_answers_and_announcements_carry_the_virtual_mac(stage: Stage) -> None:
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.announcement_macs() == {virtual_mac(stage)}
    assert stage.answer_macs() == {virtual_mac(stage)}


@case(**TWO)
def v2_without_use_vmac_the_interfaces_own_serves(stage: Stage) -> None:
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.advert_macs() == {stage.own_mac()}
    assert stage.announcement_macs() == {stage.own_mac()}
    assert stage.answer_macs() == {stage.own_mac()}


@case(**TWO)
def v2_a_backup_accepts_no_packet(stage: Stage) -> None:
    wait_as_backup(stage)
    assert not stage.accepts()


@case(**TWO)
def v2_a_master_accepts_packets(stage: Stage) -> None:
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.accepts()


@case(**TWO, accept=False)
def v2_a_master_that_is_no_owner_accepts_no_packet(stage: Stage) -> None:
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.answers()
    assert not stage.accepts()


@case(**TWO, accept=False, priority=255)
def v2_an_owner_accepts_packets(stage: Stage) -> None:
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.accepts()


@case(**STRICT)
def v2_a_backup_discards_what_is_sent_to_the_virtual_mac(stage: Stage) -> None:
    wait_as_backup(stage)
    assert not stage.forwards()


@case(**STRICT)
def v2_a_master_forwards_what_is_sent_to_the_virtual_mac(stage: Stage) -> None:
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.forwards()


@case(core=False, **TWO)
def v2_adverts_are_not_forwarded(stage: Stage) -> None:
    assert isinstance(stage, WireStage)
    wait_as_backup(stage)
    assert stage.network.nothing_of_vrrp_beyond(stage.vrid)


@case(core=False, **TWO)
def v2_packets_to_others_are_sent_on(stage: Stage) -> None:
    assert isinstance(stage, WireStage)
    plays.become_master(stage)
    assert stage.network.goes_through(BEYOND, stage.network.router_mac, stage.vrid)


@case(core=False, accept=False, **TWO)
def v2_packets_to_the_addresses_are_not_sent_on(stage: Stage) -> None:
    assert isinstance(stage, WireStage)
    plays.become_master(stage)
    stage.wait(0.3)
    assert not stage.network.sends_on(stage.address, stage.vrid)


@case(after=resigned, **TWO)
def v2_a_master_resigns_when_it_is_stopped(stage: Stage) -> None:
    plays.become_master(stage)


@case(after=silent, **TWO)
def v2_a_backup_says_nothing_when_it_is_stopped(stage: Stage) -> None:
    wait_as_backup(stage)


@case(**TWO)
def v2_what_is_discarded_is_logged(stage: Stage) -> None:
    wait_as_backup(stage)
    for _ in range(OFTEN):
        stage.hear(good(stage, 254, ttl=17))
        stage.wait(0.02)
    stage.wait(0.2)
    assert stage.said("17") >= 1


@case(**TWO)
def v2_what_is_used_is_not_logged(stage: Stage) -> None:
    plays.become_backup(stage, **TWO)
    before = stage.said("")
    for _ in range(OFTEN):
        stage.hear(good(stage, 254))
        stage.wait(0.02)
    assert stage.said("") == before


@case(**TWO)
def v2_another_vrid_is_another_router(stage: Stage) -> None:
    assert takes_over_despite(stage, good(stage, vrid=255), **TWO)


@case(**TWO)
def v2_other_addresses_are_logged_and_used(stage: Stage) -> None:
    before = stage.said("")
    assert keeps_quiet(stage, good(stage, addresses=("10.9.77.1", "10.9.77.2")), **TWO)
    assert stage.said("") > before


def _row(section: str, level: Level, rule: str, obeys: Case, beside: Case, *note: str) -> Clause:
    return Clause(
        standard="RFC 3768", section=section, level=level, rule=rule, obeys=obeys, beside=beside, note=" ".join(note)
    )


M, N, S = Level.MUST, Level.MUST_NOT, Level.SHOULD
WITH_VMAC = "with `use_vmac`; without it the interface's own, as in keepalived"
CLAUSES: tuple[Clause, ...] = (
    _row("5.2.2", N, "Packets to the group are forwarded", v2_adverts_are_not_forwarded,
         v2_packets_to_others_are_sent_on, "the kernel's part"),
    _row("6.4.2", M, "A Backup discards frames to the virtual MAC",
         v2_a_backup_discards_what_is_sent_to_the_virtual_mac, v2_a_master_forwards_what_is_sent_to_the_virtual_mac,
         "with `strict_mode`: they are not forwarded; without it they are, as keepalived does always"),
    _row("6.4.2", N, "A Backup accepts packets to the addresses", v2_a_backup_accepts_no_packet,
         v2_a_master_accepts_packets),
    _row("6.4.2", M, "On shutdown a Backup only stops its timer", v2_a_backup_says_nothing_when_it_is_stopped,
         v2_a_master_resigns_when_it_is_stopped),
    _row("6.4.3", M, "The Master answers ARP", v2_a_master_answers_arp_and_announces, v2_a_backup_does_not_answer_arp),
    _row("6.4.3", M, "It forwards packets that are sent to the virtual MAC",
         v2_a_master_forwards_what_is_sent_to_the_virtual_mac, v2_a_backup_discards_what_is_sent_to_the_virtual_mac),
    _row("6.4.3", N, "It accepts packets to the addresses, unless it is the owner",
         v2_a_master_that_is_no_owner_accepts_no_packet, v2_an_owner_accepts_packets,
         "with `no_accept` or `strict_mode`; they are accepted otherwise, as in keepalived"),
    _row("6.4.3", M, "An owner accepts packets to the addresses", v2_an_owner_accepts_packets,
         v2_a_master_that_is_no_owner_accepts_no_packet),
    _row("6.4.3", M, "On shutdown it sends an advert of priority 0", v2_a_master_resigns_when_it_is_stopped,
         v2_a_backup_says_nothing_when_it_is_stopped),
    _row("7.1", M, "Adverts of a VRID that is not configured are discarded", v2_another_vrid_is_another_router,
         believed()),
    _row("7.1", S, "What is discarded is logged", v2_what_is_discarded_is_logged, v2_what_is_used_is_not_logged),
    _row("7.1", S, "Other addresses than ours are logged", v2_other_addresses_are_logged_and_used,
         v2_what_is_used_is_not_logged, "and the advert is used, whoever sent it, as in keepalived; the RFC wants it "
         "discarded unless its sender is the owner (docs/compatibility.md)"),
    _row("7.2", M, "The checksum is that of the message", v2_fields, v2_password),
    _row("7.2", M, "The source MAC is the virtual MAC", v2_adverts_come_from_the_virtual_mac,
         v2_without_use_vmac_the_interfaces_own_serves, WITH_VMAC),
    _row("8.2", M, "ARP answers carry the virtual MAC", v2_answers_and_announcements_carry_the_virtual_mac,
         v2_without_use_vmac_the_interfaces_own_serves, WITH_VMAC),
    _row("8.4", Level.SHOULD_NOT, "Packets to the addresses are sent on", v2_packets_to_the_addresses_are_not_sent_on,
         v2_packets_to_others_are_sent_on),
)  # fmt: skip


def _other(section: str, level: Level, rule: str, reason: str) -> NotOurs:
    return NotOurs("RFC 3768", section, level, rule, reason)


NOT_OURS: tuple[NotOurs, ...] = (
    _other("8.1", S, "Redirects come from the address that the host used, or are turned off",
           "the kernel sends them; its `send_redirects` is the administrator's"),
    _other("8.3", M, "Proxy ARP answers carry the virtual MAC",
           "the kernel's `proxy_arp`; it answers from the interface that it is set on"),
    _other("9", S, "Token rings and ATM", "the media are gone; Linux has neither"),
)  # fmt: skip

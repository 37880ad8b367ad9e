"""RFC 9568, continued: owners, Accept_Mode, and what they announce."""

from __future__ import annotations

from tests.conformance import plays
from tests.conformance.ledger import Case, Clause, Level, Stage, case
from tests.conformance.plays import good
from tests.conformance.rfc9568 import (
    a_backup_does_not_answer_arp,
    a_backup_does_not_answer_solicitations,
    a_master_answers_solicitations_and_announces,
    without_preemption_a_lower_master_stays,
)


@case(priority=255)
def an_owner_announces_at_once(stage: Stage) -> None:
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.announced()
    assert stage.answers()


@case(priority=255, ipv6=True)
def an_owner_announces_its_ipv6_addresses_at_once(stage: Stage) -> None:
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.announced()
    assert stage.answers()


@case()
def a_backup_announces_nothing(stage: Stage) -> None:
    plays.become_backup(stage)
    stage.hear(good(stage, interval=4095))
    stage.announced()
    stage.wait(0.6)
    assert not stage.announced()


@case(ipv6=True)
def a_backup_announces_no_ipv6_address(stage: Stage) -> None:
    plays.become_backup(stage, ipv6=True)
    stage.hear(good(stage, ipv6=True, interval=4095))
    stage.announced()
    stage.wait(0.6)
    assert not stage.announced()


@case(priority=255, nopreempt=True)
def an_owner_preempts_whatever_the_word_says(stage: Stage) -> None:
    for _ in range(20):
        stage.hear(good(stage, 254))
        stage.wait(0.05)
    plays.become_master(stage)
    assert not plays.yields_to(stage, good(stage, 254))


@case(ipv6=True, accept=False)
def a_master_that_accepts_nothing_answers_solicitations(stage: Stage) -> None:
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.answers()


@case(accept=False)
def a_master_that_accepts_nothing_answers_arp(stage: Stage) -> None:
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.answers()


def _row(section: str, level: Level, rule: str, obeys: Case, beside: Case) -> Clause:
    return Clause(standard="RFC 9568", section=section, level=level, rule=rule, obeys=obeys, beside=beside)


M, N = Level.MUST, Level.MUST_NOT
CLAUSES: tuple[Clause, ...] = (
    _row("6.1", M, "The owner preempts whatever Preempt_Mode says", an_owner_preempts_whatever_the_word_says,
         without_preemption_a_lower_master_stays),
    _row("6.4.1", M, "An owner announces its IPv4 addresses when it starts", an_owner_announces_at_once,
         a_backup_announces_nothing),
    _row("6.4.1", M, "An owner announces its IPv6 addresses when it starts",
         an_owner_announces_its_ipv6_addresses_at_once, a_backup_announces_no_ipv6_address),
    _row("6.4.2", M, "A new Active router joins the solicited-node groups of its IPv6 addresses",
         a_master_answers_solicitations_and_announces, a_backup_does_not_answer_solicitations),
    _row("6.4.3", N, "Without Accept_Mode it drops neighbour solicitations",
         a_master_that_accepts_nothing_answers_solicitations, a_backup_does_not_answer_solicitations),
    _row("6.4.3", M, "Without Accept_Mode it answers ARP, too", a_master_that_accepts_nothing_answers_arp,
         a_backup_does_not_answer_arp),
)  # fmt: skip

"""RFC 3768 (VRRPv2), and the authentication of RFC 2338 that it took out and keepalived kept."""

from __future__ import annotations

from typing import Any

from pykeepalived.model.vrrp import Authentication, AuthType
from tests.conformance import plays
from tests.conformance.advert_bytes import fields
from tests.conformance.ledger import Case, Clause, Level, Stage, case
from tests.conformance.plays import keeps_quiet, takes_over_despite
from tests.conformance.rfc9568 import first_advert

TWO: dict[str, Any] = {"version": 2}
PASS = {**TWO, "authentication": Authentication(AuthType.PASS, b"secret")}
RIGHT_PASS = {"auth_type": 1, "auth_data": b"secret\0\0"}


def good(stage: Stage, priority: int = 200, **bent: Any) -> bytes:
    return plays.good(stage, priority, **{**TWO, **bent})


def believed(words: dict[str, Any] | None = None, right: dict[str, Any] | None = None, **bent: Any) -> Case:
    right = right or {}
    name = f"3768 believes {sorted(right)} " + " ".join(f"{key}={value}" for key, value in bent.items())

    def run(stage: Stage) -> None:
        assert keeps_quiet(stage, good(stage, **{**right, **bent}), **TWO, **right)

    return Case(name, run, words or TWO)


def discarded(words: dict[str, Any] | None = None, right: dict[str, Any] | None = None, **bent: Any) -> Case:
    right = right or {}
    name = f"3768 discards {sorted(right)} " + " ".join(f"{key}={value}" for key, value in bent.items())

    def run(stage: Stage) -> None:
        assert takes_over_despite(stage, good(stage, **{**right, **bent}), **TWO, **right)

    return Case(name, run, words or TWO)


@case(**TWO)
def v2_fields(stage: Stage) -> None:
    packet = first_advert(stage)
    _, priority, message = fields(packet)
    assert (packet[8], packet[9], packet[16:20]) == (255, 112, bytes((224, 0, 0, 18)))
    assert (message[0], priority, message[3], message[4], message[5]) == (0x21, 100, 1, 0, 1)
    assert message[12:] == bytes(8), "authentication data of type 0 is zero"
    assert int.from_bytes(message, "big") % 0xFFFF == 0, "the checksum covers the message alone"


@case(**PASS)
def v2_password(stage: Stage) -> None:
    message = fields(first_advert(stage))[2]
    assert (message[4], message[12:]) == (1, b"secret\0\0")


@case(**TWO)
def v2_down_interval(stage: Stage) -> None:
    plays.become_backup(stage, **TWO)
    stage.hear(good(stage))
    after = plays.takes_over_after(stage, 6 + stage.late_s)
    assert after is not None
    assert 3.5 < after < 4.1 + stage.late_s, after


@case(**TWO)
def v2_priority_0(stage: Stage) -> None:
    plays.become_backup(stage, **TWO)
    stage.hear(good(stage, 0))
    after = plays.takes_over_after(stage, 3)
    assert after is not None
    assert 0.5 < after < 1.0, after


@case(**TWO)
def v2_yields(stage: Stage) -> None:
    assert plays.yields_to(stage, good(stage, 101), quiet_s=1.4)


@case(**TWO)
def v2_does_not_yield(stage: Stage) -> None:
    assert not plays.yields_to(stage, good(stage, 99), quiet_s=1.4)


@case(**TWO)
def v2_yields_to_the_greater_address(stage: Stage) -> None:
    assert plays.yields_to(stage, good(stage, 100, source=plays.HIGHER_SOURCE4), quiet_s=1.4)


@case(**TWO)
def v2_does_not_yield_to_the_smaller_address(stage: Stage) -> None:
    assert not plays.yields_to(stage, good(stage, 100, source=plays.LOWER_SOURCE4), quiet_s=1.4)


@case(**TWO)
def v2_answers_priority_0(stage: Stage) -> None:
    assert plays.answers_at_once(stage, good(stage, 0))


@case(**TWO)
def v2_does_not_answer_another_router(stage: Stage) -> None:
    assert not plays.answers_at_once(stage, good(stage, 0, vrid=254))


@case(**TWO)
def v2_nopreempt_off(stage: Stage) -> None:
    assert takes_over_despite(stage, good(stage, 99), **TWO)


@case(**TWO, nopreempt=True)
def v2_nopreempt(stage: Stage) -> None:
    assert keeps_quiet(stage, good(stage, 99), **TWO)


@case(**TWO, priority=255)
def v2_an_owner_starts_as_master(stage: Stage) -> None:
    plays.become_master(stage)
    assert fields(first_advert(stage))[1] == 255
    stage.wait(0.3)
    assert stage.announced()
    assert stage.answers()
    assert not plays.yields_to(stage, good(stage, 254), quiet_s=1.4)


@case(**TWO, priority=254)
def v2_nobody_else_sends_255(stage: Stage) -> None:
    assert fields(first_advert(stage))[1] == 254


@case(**TWO)
def v2_others_start_as_backup(stage: Stage) -> None:
    plays.become_backup(stage, **TWO)
    stage.hear(good(stage))
    stage.announced()
    stage.wait(1.5)
    assert not plays.priorities(stage)
    assert not stage.announced()


@case(**TWO)
def v2_a_master_sends_every_interval(stage: Stage) -> None:
    plays.become_master(stage)
    stage.adverts()
    start, count = stage.now(), 0
    while count < 3 and stage.now() < start + 3.4 + stage.late_s:
        stage.wait(0.05)
        count += len(stage.adverts())
    assert count >= 3
    assert stage.now() - start > 1.6, "three intervals, or two and a part of one"


@case(**TWO)
def v2_a_backup_sends_nothing(stage: Stage) -> None:
    assert keeps_quiet(stage, good(stage), **TWO)


@case(**TWO)
def v2_a_master_answers_arp_and_announces(stage: Stage) -> None:
    plays.become_master(stage)
    stage.wait(0.3)
    assert stage.announced()
    assert stage.answers()


@case(core=False, **TWO)
def v2_a_backup_does_not_answer_arp(stage: Stage) -> None:
    plays.become_backup(stage, **TWO)
    stage.hear(good(stage))
    assert not stage.answers()


def _row(section: str, level: Level, rule: str, obeys: Case, beside: Case) -> Clause:
    standard = "RFC 2338" if section.startswith("2338") else "RFC 3768"
    return Clause(
        standard=standard, section=section.removeprefix("2338 "), level=level, rule=rule, obeys=obeys, beside=beside,
    )  # fmt: skip


M, S = Level.MUST, Level.SHOULD
CLAUSES: tuple[Clause, ...] = (
    _row("5.2.3", M, "A packet whose TTL is not 255 is discarded", discarded(ttl=254), believed()),
    _row("5.2.3", M, "Adverts are sent with TTL 255", v2_fields, v2_password),
    _row("5.3.2", M, "A packet of an unknown type is discarded", discarded(kind=3), believed()),
    _row("5.3.6", M, "An unknown or other authentication type is discarded", discarded(auth_type=3), believed()),
    _row("5.3.6", M, "Authentication type 0 is sent", v2_fields, v2_password),
    _row("5.3.8", M, "A wrong checksum makes an advert be discarded", discarded(checksum=0x4321), believed()),
    _row("5.3.10", S, "Authentication data is sent as zero", v2_fields, v2_password),
    _row(
        "5.3.10",
        S,
        "Authentication data is ignored on receipt",
        believed(auth_data=b"anything"),
        discarded(PASS, RIGHT_PASS, auth_data=b"anything"),
    ),
    _row("5.3.4", M, "The owner sends priority 255", v2_an_owner_starts_as_master, v2_nobody_else_sends_255),
    _row(
        "6.4.1", M, "An owner starts as Master and announces", v2_an_owner_starts_as_master, v2_others_start_as_backup
    ),
    _row("6.4.2", M, "A Backup answers no ARP", v2_a_backup_does_not_answer_arp, v2_a_master_answers_arp_and_announces),
    _row(
        "6.4.2",
        M,
        "A new Master announces its addresses",
        v2_a_master_answers_arp_and_announces,
        v2_a_backup_does_not_answer_arp,
    ),
    _row("6.4.3", M, "It sends an advert every interval", v2_a_master_sends_every_interval, v2_a_backup_sends_nothing),
    _row("6.4.2", M, "A silent Master is down after Master_Down_Interval", v2_down_interval, believed()),
    _row("6.4.2", M, "Priority 0 sets the timer to Skew_Time", v2_priority_0, v2_down_interval),
    _row("6.4.2", M, "Without preemption any priority restarts the timer", v2_nopreempt, v2_nopreempt_off),
    _row(
        "6.4.3",
        M,
        "The Master answers priority 0 with an advert",
        v2_answers_priority_0,
        v2_does_not_answer_another_router,
    ),
    _row("6.4.3", M, "The Master yields to a higher priority", v2_yields, v2_does_not_yield),
    _row(
        "6.4.3",
        M,
        "The Master yields to an equal priority of a greater address",
        v2_yields_to_the_greater_address,
        v2_does_not_yield_to_the_smaller_address,
    ),
    _row("7.1", M, "Another version is discarded", discarded(version=3), believed()),
    _row("7.1", M, "An advert that is too short is discarded", discarded(cut=1), believed()),
    _row("7.1", M, "Another interval than ours makes an advert be discarded", discarded(interval=2), believed()),
    _row(
        "2338 5.3.6.2",
        M,
        "A wrong password makes an advert be discarded",
        discarded(PASS, RIGHT_PASS, auth_data=b"secreT\0\0"),
        believed(PASS, RIGHT_PASS),
    ),
    _row(
        "2338 5.3.6.2",
        M,
        "An advert without the password is discarded",
        discarded(PASS, RIGHT_PASS, auth_type=0, auth_data=bytes(8)),
        believed(PASS, RIGHT_PASS),
    ),
)

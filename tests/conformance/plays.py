"""What cases are made of: a stranger that speaks, and what the router under test makes of it."""

from __future__ import annotations

from typing import Any

from tests.conformance.advert_bytes import advert, fields
from tests.conformance.ledger import Stage
from tests.conformance.stages import virtual_address

#: Seconds: the interval of version 3 on the stage, and how long a BACKUP of priority 100 waits for a silent master.
INTERVAL_S = 0.2
DOWN_S = {2: 3.61, 3: 0.73}
_STEP_S = 0.05
#: What is sent this soon after an advert is no regular one, when these come once a second.
_AT_ONCE_S = 0.6
#: A router that is kept waiting may send one advert more before it hears who is better.
_TRIES = 4
#: Between two packets of a stream.
_STREAM_S = 0.1
LOWER_SOURCE4, HIGHER_SOURCE4 = "10.9.0.0", "10.9.0.9"
LOWER_SOURCE6, HIGHER_SOURCE6 = "fe80::0:1:0", "fe80::9"


def good(stage: Stage, priority: int = 200, **bent: Any) -> bytes:
    """A right advert for the stage's virtual router, or one with fields bent."""
    ipv6 = bent.get("ipv6", False)
    addresses = bent.pop("addresses", None) or (virtual_address(stage.vrid, ipv6=ipv6),)
    return advert(bent.pop("vrid", stage.vrid), priority, addresses, **bent)


def priorities(stage: Stage) -> list[int]:
    """Of the adverts that it sent since the last look."""
    return [fields(packet)[1] for packet in stage.adverts()]


def become_backup(stage: Stage, **bent: Any) -> None:
    for _ in range(40):
        stage.hear(good(stage, 254, **bent))
        stage.wait(_STEP_S)
        stage.adverts()
        stage.wait(_STEP_S * 2)
        if not stage.adverts():
            stage.hear(good(stage, 254, **bent))
            return
    raise AssertionError("it does not become BACKUP")


def become_master(stage: Stage, timeout_s: float = 30) -> None:
    for _ in range(int(timeout_s / _STEP_S)):
        if any(priorities(stage)):
            return
        stage.wait(_STEP_S)
    raise AssertionError("it does not become MASTER")


def keeps_quiet(stage: Stage, packet: bytes, **good_words: Any) -> bool:
    """Whether a BACKUP stays BACKUP as long as it hears this packet, instead of taking over."""
    become_backup(stage, **good_words)
    seconds = DOWN_S[good_words.get("version", 3)] * 2 + 1
    for _ in range(int(seconds / _STREAM_S)):
        stage.hear(packet)
        stage.wait(_STREAM_S)
    return not any(priorities(stage))


def takes_over_despite(stage: Stage, packet: bytes, **good_words: Any) -> bool:
    """Whether a BACKUP takes over although it hears this packet all the time."""
    become_backup(stage, **good_words)
    until = stage.now() + DOWN_S[good_words.get("version", 3)] * 2 + 2
    while stage.now() < until:
        stage.hear(packet)
        stage.wait(_STREAM_S)
        if any(priorities(stage)):
            return True
    return False


def yields_to(stage: Stage, packet: bytes, *, quiet_s: float = 0.5) -> bool:
    """Whether a MASTER stops sending when it hears this packet."""
    become_master(stage)
    for _ in range(_TRIES):
        stage.hear(packet)
        stage.wait(_STEP_S)
        stage.adverts()
        stage.wait(quiet_s)
        if not any(priorities(stage)):
            return True
    return False


def answers_at_once(stage: Stage, packet: bytes) -> bool:
    """Whether a MASTER sends an advert before its next one is due; for intervals of a second."""
    become_master(stage)
    stage.hear(packet)
    for _ in range(int(_AT_ONCE_S / _STEP_S)):
        stage.wait(_STEP_S)
        if any(priorities(stage)):
            return True
    return False


def takes_over_after(stage: Stage, limit_s: float) -> float | None:
    """Seconds until it sends as MASTER, None when it does not within the limit."""
    stage.adverts()
    start = stage.now()
    while stage.now() < start + limit_s:
        stage.wait(0.01)
        if any(priorities(stage)):
            return stage.now() - start
    return None

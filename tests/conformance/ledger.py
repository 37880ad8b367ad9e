"""The ledger: one row for each rule of a standard that concerns us, and the cases that hold us to it.

A case is a function of a `Stage`: a router under test and a stranger on its network who can say anything. The same
case runs on the pure core in virtual time, on our whole daemon and on Debian's keepalived in network namespaces, and
asserts what the network can see. Each row has a case that obeys the rule and one beside it that must not trigger it.
`docs/conformance.md` is made from these rows (`python -m tests.conformance.table`).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol

import msgspec


class Level(Enum):
    MUST = "MUST"
    MUST_NOT = "MUST NOT"
    SHOULD = "SHOULD"
    SHOULD_NOT = "SHOULD NOT"


class Stage(Protocol):
    """A router under test with one virtual router, and what a stranger sees and does."""

    vrid: int
    late_s: float
    """How much later than due something may be seen: nothing in virtual time, a lot on a busy machine."""

    def hear(self, packet: bytes) -> None:
        """The stranger sends a packet, from the IP header on."""
        ...

    def wait(self, seconds: float) -> None: ...

    def now(self) -> float:
        """Seconds of the stage's own clock."""
        ...

    def adverts(self) -> list[bytes]:
        """What the router under test sent since the last call, from the IP header on."""
        ...

    def answers(self) -> bool:
        """Whether somebody answers for the virtual address (ARP, neighbour discovery)."""
        ...

    def announced(self) -> bool:
        """Whether the virtual address was announced since the last call (gratuitous ARP, unsolicited NA)."""
        ...

    def own_mac(self) -> str:
        """The hardware address of the router's interface."""
        ...

    def advert_macs(self) -> set[str]:
        """The hardware addresses that adverts came from."""
        ...

    def answer_macs(self) -> set[str]:
        """The hardware addresses that are told to who asks for the virtual address; empty: nobody answers."""
        ...

    def announcement_macs(self) -> set[str]:
        """The hardware addresses that the virtual address was announced with since the last call."""
        ...

    def accepts(self) -> bool:
        """Whether a packet to the virtual address, in a frame to the router, is taken in (a ping is answered)."""
        ...

    def forwards(self) -> bool:
        """Whether a packet in a frame to the virtual MAC address is sent on to the network beyond."""
        ...

    def said(self, text: str) -> int:
        """How many log lines about the virtual router have this text in them."""
        ...


Run = Callable[[Stage], None]


class Case(msgspec.Struct, frozen=True):
    """One experiment with a virtual router of its own."""

    name: str
    run: Run
    instance: dict[str, Any]
    """Words of `VrrpInstance` that differ from the stage's own."""
    core: bool = True
    """False: only a whole network has what it asserts."""
    after: Run | None = None
    """What is to be seen when the router was stopped after `run`."""


class Clause(msgspec.Struct, frozen=True, kw_only=True):
    """One rule."""

    standard: str
    section: str
    level: Level
    rule: str
    """In our words."""
    obeys: Case
    beside: Case
    """What looks alike and must not trigger the rule."""
    note: str = ""
    """What the reader has to know: a word that the rule needs, or how we differ."""


class NotOurs(msgspec.Struct, frozen=True):
    """A rule that a program like this one cannot keep or break."""

    standard: str
    section: str
    level: Level
    rule: str
    reason: str


def case(*, core: bool = True, after: Run | None = None, **instance: Any) -> Callable[[Run], Case]:
    """Make a case of a function; `instance` are the words of its virtual router."""

    def make(run: Run) -> Case:
        return Case(getattr(run, "__name__", "case"), run, instance, core, after)

    return make

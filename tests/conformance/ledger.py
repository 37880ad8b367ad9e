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


Run = Callable[[Stage], None]


class Case(msgspec.Struct, frozen=True):
    """One experiment with a virtual router of its own."""

    name: str
    run: Run
    instance: dict[str, Any]
    """Words of `VrrpInstance` that differ from the stage's own."""
    core: bool = True
    """False: only a whole network has what it asserts."""


class Clause(msgspec.Struct, frozen=True, kw_only=True):
    """One rule."""

    standard: str
    section: str
    level: Level
    rule: str
    """In our words."""
    obeys: Case | None = None
    beside: Case | None = None
    """What looks alike and must not trigger the rule."""
    elsewhere: str = ""
    """Why there is no case: who keeps the rule, or how we differ."""


def case(*, core: bool = True, **instance: Any) -> Callable[[Run], Case]:
    """Make a case of a function; `instance` are the words of its virtual router."""

    def make(run: Run) -> Case:
        return Case(getattr(run, "__name__", "case"), run, instance, core)

    return make

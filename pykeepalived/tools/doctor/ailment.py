"""What the doctor finds: a name, how bad it is, what it means, and the command that mends it."""

from __future__ import annotations

from enum import Enum

import msgspec


class Weight(Enum):
    """`fault`: it will not work. `risk`: it may fail, or is rarely meant. `note`: worth knowing."""

    FAULT = "fault"
    RISK = "risk"
    NOTE = "note"


class Ailment(msgspec.Struct, frozen=True):
    name: str
    weight: Weight
    text: str
    mend: tuple[str, ...] = ()
    """Commands for a shell, or lines of a file after `#`."""


def fault(name: str, text: str, *mend: str) -> Ailment:
    return Ailment(name, Weight.FAULT, text, mend)


def risk(name: str, text: str, *mend: str) -> Ailment:
    return Ailment(name, Weight.RISK, text, mend)


def note(name: str, text: str, *mend: str) -> Ailment:
    return Ailment(name, Weight.NOTE, text, mend)

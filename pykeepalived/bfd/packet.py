"""The control packet (RFC 5880 section 4.1): what it holds, and the ladder that a received one climbs.

A received packet is hostile until the last rung: each refusal has a name, which is counter, log word and test id.
"""

from __future__ import annotations

import struct
from enum import Enum, IntEnum
from typing import Final

import msgspec

VERSION: Final = 1
LENGTH: Final = 24
#: The shortest packet that says it is authenticated (section 6.8.6).
_LENGTH_AUTHENTICATED: Final = 26
_CONTROL: Final = struct.Struct("!BBBBIIIII")
_POLL, _FINAL, _INDEPENDENT, _AUTHENTICATED, _DEMAND, _MULTIPOINT = 0x20, 0x10, 0x08, 0x04, 0x02, 0x01


class State(IntEnum):
    """Session states with their numbers on the wire."""

    ADMIN_DOWN = 0
    DOWN = 1
    INIT = 2
    UP = 3

    @property
    def word(self) -> str:
        return _STATE_WORDS[self]


_STATE_WORDS: Final = {State.ADMIN_DOWN: "AdminDown", State.DOWN: "Down", State.INIT: "Init", State.UP: "Up"}

#: RFC 5880 section 4.1, and 9 of RFC 6428.
_DIAGNOSTICS: Final = (
    "No Diagnostic",
    "Control Detection Time Expired",
    "Echo Function Failed",
    "Neighbor Signaled Session Down",
    "Forwarding Plane Reset",
    "Path Down",
    "Concatenated Path Down",
    "Administratively Down",
    "Reverse Concatenated Path Down",
    "Mis-connectivity Defect",
)
NO_DIAGNOSTIC: Final = 0
TIME_EXPIRED: Final = 1
NEIGHBOR_DOWN: Final = 3
ADMIN_DOWN: Final = 7


def diagnostic_words(number: int) -> str:
    return _DIAGNOSTICS[number] if number < len(_DIAGNOSTICS) else f"Reserved ({number})"


class Refusal(Enum):
    """Why a received packet was not used, in the order of the ladder."""

    SHORT = "short"
    VERSION = "version"
    LENGTH = "length"
    MULTIPLIER = "multiplier-zero"
    MULTIPOINT = "multipoint"
    MY_DISCRIMINATOR = "my-discriminator-zero"
    STATE = "state-without-discriminator"
    UNKNOWN_SESSION = "unknown-session"
    UNKNOWN_NEIGHBOR = "unknown-neighbor"
    WRONG_PORT = "wrong-port"
    TTL = "ttl"
    AUTHENTICATED = "authenticated"
    ADMIN_DOWN = "admin-down"


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """One control packet. Intervals are microseconds on the wire, too."""

    state: State
    diagnostic: int = NO_DIAGNOSTIC
    poll: bool = False
    final: bool = False
    independent: bool = False
    authenticated: bool = False
    demand: bool = False
    multiplier: int
    my_discriminator: int
    your_discriminator: int = 0
    min_tx_us: int
    min_rx_us: int
    min_echo_us: int = 0


def decode(data: bytes) -> Control | Refusal:
    """The rungs of RFC 5880 section 6.8.6 that need no session, in their order. Never raises."""
    if len(data) < LENGTH:
        return Refusal.SHORT
    first, flags, multiplier, length, mine, yours, min_tx_us, min_rx_us, min_echo_us = _CONTROL.unpack_from(data)
    state = State(flags >> 6)
    least = _LENGTH_AUTHENTICATED if flags & _AUTHENTICATED else LENGTH
    rungs = (
        (first >> 5 != VERSION, Refusal.VERSION),
        (not least <= length <= len(data), Refusal.LENGTH),
        (multiplier == 0, Refusal.MULTIPLIER),
        (bool(flags & _MULTIPOINT), Refusal.MULTIPOINT),
        (mine == 0, Refusal.MY_DISCRIMINATOR),
        (yours == 0 and state in {State.INIT, State.UP}, Refusal.STATE),
    )
    for refused, refusal in rungs:
        if refused:
            return refusal
    return Control(
        state=state,
        diagnostic=first & 0x1F,
        poll=bool(flags & _POLL),
        final=bool(flags & _FINAL),
        independent=bool(flags & _INDEPENDENT),
        authenticated=bool(flags & _AUTHENTICATED),
        demand=bool(flags & _DEMAND),
        multiplier=multiplier,
        my_discriminator=mine,
        your_discriminator=yours,
        min_tx_us=min_tx_us,
        min_rx_us=min_rx_us,
        min_echo_us=min_echo_us,
    )

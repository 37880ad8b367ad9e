"""What can happen to BFD sessions, and what they can want done."""

from __future__ import annotations

import msgspec

from pykeepalived.bfd.packet import Control, State
from pykeepalived.model.bfd import BfdInstance

# ---- events ----


class Received(msgspec.Struct, frozen=True):
    """A datagram came in on the port for one hop, or on that for several."""

    data: bytes
    source: str
    ttl: int
    multihop: bool = False


class Tick(msgspec.Struct, frozen=True):
    """The instant of `wake_at()` has come. What is in the sockets goes in before it."""


Event = Received | Tick

# ---- actions ----


class Open(msgspec.Struct, frozen=True):
    """A session needs a socket to send from; `session` is its discriminator, which names it from now on."""

    session: int
    config: BfdInstance


class Close(msgspec.Struct, frozen=True):
    """The session is gone and sends no more."""

    session: int


class Send(msgspec.Struct, frozen=True):
    session: int
    control: Control


class Changed(msgspec.Struct, frozen=True):
    """A session came Up, or left Up."""

    name: str
    up: bool


class Log(msgspec.Struct, frozen=True):
    text: str
    detail: bool = False


Action = Open | Close | Send | Changed | Log


class SessionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What one session looks like from outside."""

    config: BfdInstance
    state: State
    remote_state: State
    local_discriminator: int
    remote_discriminator: int
    diagnostic: int
    remote_diagnostic: int
    polling: bool
    desired_tx_us: int
    """What we announce as Desired Min TX Interval."""
    required_rx_us: int
    remote_min_tx_us: int
    remote_min_rx_us: int
    remote_multiplier: int
    remote_demand: bool
    tx_interval_us: int
    """Time between our packets before jitter."""
    detection_time_us: int
    """Silence after which the session is down; 0: the neighbour was not heard."""
    remote_detection_time_us: int
    last_seen_us: int | None
    last_change_us: int
    sent: int
    received: int
    times_up: int
    times_expired: int

"""What happens to virtual servers and real servers, as values, in the order in which it happens.

The cores return these; a `Voice` (pykeepalived.lvs.voice) turns each into log lines, scripts, FIFO lines and mails in
the words of one dialect. An event says what became of the table (`Effect`), so a voice never looks at the table itself.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from pykeepalived.lvs.names import ServiceRef
from pykeepalived.model.checks import CheckerSpec
from pykeepalived.model.lvs import RealServer, SorryServer


class Cause(Enum):
    """What set an event off."""

    START = "start"
    CHECK = "check"
    RELOAD = "reload"
    STOP = "stop"


class Effect(Enum):
    """What a change of health did to the real server's destination."""

    ADDED = "added"
    """Put into the table."""
    RESTORED = "restored"
    """Was in the table with weight 0, has its weight again (inhibit_on_failure, quiescent)."""
    REMOVED = "removed"
    """Taken out of the table."""
    QUIESCED = "quiesced"
    """Stays in the table with weight 0."""
    NONE = "none"
    """The table stays: the sorry server serves, or nothing was in the table."""


# ---- virtual servers ----


class ServiceAdded(msgspec.Struct, frozen=True):
    """A virtual server was put into the table. `existed`: an earlier run or somebody else had it there already."""

    service: ServiceRef
    cause: Cause
    existed: bool = False


class ServiceChanged(msgspec.Struct, frozen=True):
    """Scheduler, flags or persistence of a virtual server changed (reload, or found different at start)."""

    service: ServiceRef
    cause: Cause


class ServiceLeaving(msgspec.Struct, frozen=True):
    """A virtual server begins to leave; `ServerLeft` for each real server and `ServiceRemoved` follow."""

    service: ServiceRef
    cause: Cause


class ServiceRemoved(msgspec.Struct, frozen=True):
    """A virtual server leaves the table: gone from the configuration (RELOAD), or orderly stop (STOP)."""

    service: ServiceRef
    cause: Cause
    had_quorum: bool = False
    weight: int = 0
    """Sum of the weights of alive servers, as at this instant."""


# ---- real servers ----


class ServerUp(msgspec.Struct, frozen=True):
    """A real server is alive. Cause START: it is assumed to be (not alpha); RELOAD: it is new in the configuration."""

    service: ServiceRef
    server: RealServer
    cause: Cause
    effect: Effect
    weight: int
    """The weight that it has in the table from now on (without Effect.NONE)."""
    checker: CheckerSpec | None = None
    """The check that decided; None when it was not a check."""
    text: str = ""
    """The check's own words (`Outcome.text`)."""


class ServerDown(msgspec.Struct, frozen=True):
    """A real server is not alive. Cause START: alpha, not yet checked."""

    service: ServiceRef
    server: RealServer
    cause: Cause
    effect: Effect
    checker: CheckerSpec | None = None
    text: str = ""
    never_up: bool = False
    """An alpha server whose first check failed: nothing changes, and keepalived tells of it."""


class ServerLeft(msgspec.Struct, frozen=True):
    """A real server is in the configuration no more (RELOAD), or an orderly stop takes it out (STOP)."""

    service: ServiceRef
    server: RealServer
    cause: Cause
    alive: bool
    effect: Effect = Effect.REMOVED
    """REMOVED, or NONE when it was not in the table."""
    with_service: bool = False
    """Its virtual server leaves, too."""


class DestinationPurged(msgspec.Struct, frozen=True):
    """A destination of our service that no configuration names was removed (only where the dialect wants it)."""

    service: ServiceRef
    address: str
    port: int
    cause: Cause


class WeightChanged(msgspec.Struct, frozen=True):
    """The effective weight of a real server changed (dynamic checker, reload, operator)."""

    service: ServiceRef
    server: RealServer
    old: int
    new: int
    alive: bool
    cause: Cause


class DrainBegan(msgspec.Struct, frozen=True):
    """An operator takes a server out: no new connections, and out when the old ones have ended, or in `timeout_s`."""

    service: ServiceRef
    server: RealServer
    timeout_s: int


class DrainEnded(msgspec.Struct, frozen=True):
    """The wait is over; `ServerDown` follows. `connections`: those that are cut off (None: nobody could tell)."""

    service: ServiceRef
    server: RealServer
    connections: int | None


class SoftFailure(msgspec.Struct, frozen=True):
    """A check failed and is forgiven: `failures` of `limit` (the failure number `limit` takes the server down)."""

    service: ServiceRef
    server: RealServer
    checker: CheckerSpec
    failures: int
    limit: int
    text: str


class SoftFailureReset(msgspec.Struct, frozen=True):
    """A check succeeded after forgiven failures."""

    service: ServiceRef
    server: RealServer
    checker: CheckerSpec


class CheckFailed(msgspec.Struct, frozen=True):
    """A check of a server changed from well to failed; `retries` failures before it were forgiven."""

    service: ServiceRef
    server: RealServer
    checker: CheckerSpec
    retries: int
    text: str


class CheckSucceeded(msgspec.Struct, frozen=True):
    """A check of a server changed from failed to well (or was first run, and it was assumed failed)."""

    service: ServiceRef
    server: RealServer
    checker: CheckerSpec
    text: str
    recovered: bool = False
    """It was run before, and failed."""


class CheckChanged(msgspec.Struct, frozen=True):
    """One of several checks of a server changed, and the server did not: another check still decides."""

    service: ServiceRef
    server: RealServer
    checker: CheckerSpec
    up: bool
    alive: bool
    """The server's state, which stays."""
    text: str


class CheckingStarted(msgspec.Struct, frozen=True):
    """A checker of a server begins its work."""

    service: ServiceRef
    server: RealServer
    checker: CheckerSpec


class CheckingSuspended(msgspec.Struct, frozen=True):
    """A checker of a server rests (ha_suspend): the virtual server's address is on another machine."""

    service: ServiceRef
    server: RealServer
    checker: CheckerSpec


# ---- quorum and sorry server ----


class QuorumLost(msgspec.Struct, frozen=True):
    """The weight of alive servers is below quorum − hysteresis, or 0. Cause START: never had a quorum."""

    service: ServiceRef
    weight: int
    cause: Cause


class QuorumBroken(msgspec.Struct, frozen=True):
    """The real servers that a reload takes out carried the quorum; what comes in their place is not looked at yet.

    keepalived tells of this as of a lost quorum, and says nothing when the new servers bring it back at once.
    """

    service: ServiceRef
    weight: int


class QuorumGained(msgspec.Struct, frozen=True):
    """The weight of alive servers reached quorum + hysteresis."""

    service: ServiceRef
    weight: int
    cause: Cause


class SorryAdded(msgspec.Struct, frozen=True):
    """The sorry server (fallback) serves from now on."""

    service: ServiceRef
    sorry: SorryServer
    cause: Cause
    effect: Effect = Effect.ADDED
    """ADDED or, with inhibit, RESTORED."""


class SorryRemoved(msgspec.Struct, frozen=True):
    """The sorry server (fallback) serves no more."""

    service: ServiceRef
    sorry: SorryServer
    cause: Cause
    effect: Effect = Effect.REMOVED
    """REMOVED or, with inhibit, QUIESCED."""


class PoolWithdrawn(msgspec.Struct, frozen=True):
    """Servers that are still alive leave the table: there is no quorum and the sorry server serves."""

    service: ServiceRef
    cause: Cause


class PoolRestored(msgspec.Struct, frozen=True):
    """Alive servers come back into the table in place of the sorry server."""

    service: ServiceRef
    cause: Cause


# ---- the kernel ----


class OperationRefused(msgspec.Struct, frozen=True):
    """The kernel refused an operation; it is tried again. `service` is None when it belongs to no configured one."""

    service: ServiceRef | None
    what: str
    """The operation in words (`add destination [192.168.0.12]:80`)."""
    name: str
    text: str
    attempt: int


class DriftRepaired(msgspec.Struct, frozen=True):
    """The kernel's table differed from ours and was put right."""

    operations: int


LvsEvent = (
    ServiceAdded
    | ServiceChanged
    | ServiceLeaving
    | ServiceRemoved
    | ServerUp
    | ServerDown
    | ServerLeft
    | DestinationPurged
    | WeightChanged
    | DrainBegan
    | DrainEnded
    | SoftFailure
    | SoftFailureReset
    | CheckFailed
    | CheckSucceeded
    | CheckChanged
    | CheckingStarted
    | CheckingSuspended
    | QuorumLost
    | QuorumBroken
    | QuorumGained
    | SorryAdded
    | SorryRemoved
    | PoolWithdrawn
    | PoolRestored
    | OperationRefused
    | DriftRepaired
)

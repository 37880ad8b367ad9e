"""What can happen to a VRRP router, and what it can want done.

`Router.handle(event, now_us)` returns actions in the order in which they must be done; `Router.wake_at()` is the
instant at which `Tick` has to be fed. Nothing here knows a socket, a clock or a log.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import msgspec

from pykeepalived.model.vrrp import AuthType, VirtualAddress, VrrpState


class Refusal(Enum):
    """Why a received packet was not used. The value is counter, log word and test id. Order is the ladder's order."""

    SHORT_IP_HEADER = "short-ip-header"
    NOT_VRRP = "not-vrrp"
    LENGTH = "length"
    TTL = "ttl"
    UNKNOWN_VRID = "unknown-vrid"
    VERSION = "version"
    HMAC_MISSING = "hmac-missing"
    HMAC_MALFORMED = "hmac-malformed"
    HMAC_STALE = "hmac-stale"
    HMAC_UNKNOWN_KEY = "hmac-unknown-key"
    HMAC_INVALID = "hmac-invalid"
    HMAC_REPLAY = "hmac-replay"
    AUTH_TYPE_MISMATCH = "auth-type-mismatch"
    AUTH_TYPE_INVALID = "auth-type-invalid"
    AUTH_FAILURE = "auth-failure"
    AH_MALFORMED = "ah-malformed"
    AH_REPLAY = "ah-replay"
    ADVERT_INTERVAL = "advert-interval"
    TYPE = "type"
    CHECKSUM = "checksum"
    UNICAST_MISMATCH = "unicast-mismatch"
    OWNER_IGNORES = "owner-ignores-adverts"
    NOT_A_PEER = "not-a-peer"
    PEER_TTL = "peer-ttl"
    STARTUP_DELAY = "startup-delay"


class Advert(msgspec.Struct, frozen=True, kw_only=True):
    """A received advert that passed the ladder."""

    source: str
    destination: str
    ttl: int
    version: int
    vrid: int
    priority: int
    auth_type: AuthType = AuthType.NONE
    interval_us: int
    addresses: tuple[str, ...]
    other_checksum_form: bool = False
    """IPv4 v3: the checksum fits the form (with or without pseudo-header) that we do not send."""
    old_checksum: bool = False
    """IPv4 v3 unicast: the checksum is that of keepalived before 1.3.6, with the multicast group in it."""
    clock_skew_s: int = 0
    """`auth_hmac`: how far the sender's clock is off, once that is more than half the time window."""


# ---- events ----


class Start(msgspec.Struct, frozen=True):
    """The edges are ready; trackers' first values are known (`LinkChanged` for every interface came before)."""

    uptime_us: int | None = None
    """How long the machine has been up; None: unknown, and `vrrp_delay_after_boot` is not waited for."""
    states: Mapping[str, VrrpState] = {}
    """MASTER or BACKUP of instances whose process was killed a moment ago: they go on, without a transition."""
    scripts: Mapping[str, bool] = {}
    """Whether scripts were up then."""


class Tick(msgspec.Struct, frozen=True):
    """The instant of `wake_at()` has come."""


class AdvertReceived(msgspec.Struct, frozen=True):
    instance: str
    advert: Advert


class PacketRefused(msgspec.Struct, frozen=True):
    """A packet for this instance was refused on a rung of the ladder (for counters and rate-limited logs)."""

    instance: str
    """Empty when no instance could be found for it."""
    refusal: Refusal
    source: str
    detail: str = ""
    """The log sentence without the `(INSTANCE) ` in front; empty for refusals that are only counted."""


class LinkChanged(msgspec.Struct, frozen=True):
    """An interface is up (IFF_UP and IFF_RUNNING) or not; a missing interface is down."""

    ifname: str
    up: bool


class SourceAddressChanged(msgspec.Struct, frozen=True):
    """The primary address of the instance's interface; None: there is none, which is a fault.

    `tentative`: there is one, and duplicate address detection has not finished (RFC 4862 section 5.4): an instance that
    does not run yet waits for it, one that runs stays what it is.
    """

    instance: str
    address: str | None
    tentative: bool = False


class InterfaceReady(msgspec.Struct, frozen=True):
    """`vrrp_ready_gate`: an instance's interface has carrier and a usable address and hears the network."""

    instance: str


class AddressLost(msgspec.Struct, frozen=True):
    """Somebody else removed one of the instance's addresses while it was MASTER; the edge has logged that."""

    instance: str
    address: str
    ifname: str


class ScriptResult(msgspec.Struct, frozen=True):
    """A vrrp_script run ended. `status` is the exit code, negative for a signal, None for a timeout."""

    script: str
    status: int | None


class FileChanged(msgspec.Struct, frozen=True):
    """A track_file holds this number now; 0 when it is empty, missing or no number. Also told before `Start`."""

    name: str
    value: int


class ProcessCount(msgspec.Struct, frozen=True):
    """So many processes fit a vrrp_track_process now. Also told before `Start`."""

    name: str
    count: int


class BfdChanged(msgspec.Struct, frozen=True):
    """A BFD session is Up, or not. One that was never told of is down."""

    name: str
    up: bool


class Stop(msgspec.Struct, frozen=True):
    """Orderly stop of everything (keepalived-behaviour 7.6). `release` False: leave addresses (-V)."""

    release: bool = True


# ---- actions ----


class NotifyKind(Enum):
    INSTANCE = "INSTANCE"
    GROUP = "GROUP"


class SendAdvert(msgspec.Struct, frozen=True):
    """Send the advert of `instance` now with this priority (0: resigning)."""

    instance: str
    priority: int


class AddAddresses(msgspec.Struct, frozen=True):
    """Put the instance's addresses, excluded ones after the others, and its routes and rules in place."""

    instance: str


class RemoveAddresses(msgspec.Struct, frozen=True):
    """Take the instance's rules, routes and addresses away."""

    instance: str


class ReplaceAddresses(msgspec.Struct, frozen=True):
    """A reload changed what a MASTER owns: remove the first list, then add the second, leave everything else alone.

    Addresses keep the order of the file, excluded ones after the others. `routes_changed` asks the edge to bring the
    instance's routes and rules to those of the new configuration as well.
    """

    instance: str
    removed: tuple[VirtualAddress, ...]
    added: tuple[VirtualAddress, ...]
    routes_changed: bool = False


class Announce(msgspec.Struct, frozen=True):
    """Send gratuitous ARP or unsolicited NA for all addresses of the instance, `repeat` times."""

    instance: str
    repeat: int
    addresses: tuple[str, ...] = ()
    """Only these; empty means all."""


class AnnounceSource(msgspec.Struct, frozen=True):
    """A unicast instance leaves FAULT: send gratuitous ARP for the source address of its adverts, once."""

    instance: str


class UseOldChecksum(msgspec.Struct, frozen=True):
    """A peer of this unicast instance knows only the old checksum; adverts carry it from now on."""

    instance: str


class Renamed(msgspec.Struct, frozen=True):
    """A reload gave a running instance another name; later actions use the new one."""

    old: str
    new: str


class Notify(msgspec.Struct, frozen=True):
    """Tell scripts, FIFOs and mail about a transition. `state` is keepalived's word (`MASTER`, `STOP`, …)."""

    kind: NotifyKind
    name: str
    state: str
    priority: int


class RunScript(msgspec.Struct, frozen=True):
    """Start a vrrp_script; answered by `ScriptResult`."""

    script: str
    timeout_us: int


class SyncDaemonRole(msgspec.Struct, frozen=True):
    """The IPVS sync daemon bound to this instance takes the role of `state`."""

    instance: str
    master: bool


class Log(msgspec.Struct, frozen=True):
    """A log line; `detail` lines appear with -D only."""

    text: str
    detail: bool = False


class Standby(msgspec.Struct, frozen=True):
    """An operator wants these instances (and their sync groups) to be no MASTER, or lets them again."""

    instances: tuple[str, ...]
    """Names of instances or sync groups."""
    on: bool


Event = (
    Start
    | Tick
    | AdvertReceived
    | PacketRefused
    | LinkChanged
    | SourceAddressChanged
    | InterfaceReady
    | AddressLost
    | ScriptResult
    | FileChanged
    | ProcessCount
    | BfdChanged
    | Standby
    | Stop
)
Action = (
    SendAdvert
    | AddAddresses
    | RemoveAddresses
    | ReplaceAddresses
    | Announce
    | AnnounceSource
    | UseOldChecksum
    | Renamed
    | Notify
    | RunScript
    | SyncDaemonRole
    | Log
)

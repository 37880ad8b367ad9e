"""VRRP: instances, sync groups, trackers. Words are keepalived.conf's; defaults are keepalived 2.4.3's."""

from __future__ import annotations

from enum import Enum, IntEnum

import msgspec

from pykeepalived.model.common import IpPrefix, Script
from pykeepalived.model.routing import VirtualRoute, VirtualRule
from pykeepalived.units import SECOND_US


class VrrpState(IntEnum):
    """Instance states with the numbers that keepalived's JSON uses (keepalived-behaviour 5.2)."""

    INIT = 0
    BACKUP = 1
    MASTER = 2
    FAULT = 3
    DELETED = 97
    STOP = 98


class AuthType(IntEnum):
    """VRRPv2 authentication types (RFC 2338 section 5.3.6)."""

    NONE = 0
    PASS = 1
    AH = 2


class Authentication(msgspec.Struct, frozen=True):
    type: AuthType
    password: bytes
    """At most 8 bytes; zero-padded on the wire."""


class HmacKey(msgspec.Struct, frozen=True):
    id: int
    value: bytes


class AuthHmac(msgspec.Struct, frozen=True, kw_only=True):
    keys: tuple[HmacKey, ...]
    active_key: int | None = None
    time_window_s: int | None = None
    anti_replay: str = "time"
    mode: str = "enforce"


#: The kernel's number for a life time without end.
FOREVER_S = 0xFFFFFFFF


class VirtualAddress(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `virtual_ipaddress`, `virtual_ipaddress_excluded` or `static_ipaddress`."""

    prefix: IpPrefix
    dev: str | None = None
    scope: int = 0
    broadcast: str | None = None
    label: str | None = None
    peer: IpPrefix | None = None
    home: bool = False
    dad: bool = False
    """IPv6: look for the address elsewhere before it is used. Nobody waits for that unless `-nodad` takes it away."""
    mngtmpaddr: bool = False
    noprefixroute: bool = False
    autojoin: bool = False
    no_track: bool = False
    preferred_lft_s: int | None = None
    """None: for ever, but an IPv6 /128 deprecated at once; FOREVER_S: for ever in any case."""
    use_vmac: bool = False
    vmac_ifname: str | None = None
    """The virtual MAC interface on `dev` that carries the address (`use_vmac`, `use_vmac_addr`); set at load."""
    track_group: str | None = None


class UnicastPeer(msgspec.Struct, frozen=True):
    address: str
    min_ttl: int = 0
    max_ttl: int = 255


class TrackedInterface(msgspec.Struct, frozen=True):
    """An interface in `track_interface`. Weight 0: down means FAULT."""

    ifname: str
    weight: int = 0
    reverse: bool = False


class TrackedScript(msgspec.Struct, frozen=True):
    """A script in `track_script`; None takes the weight of the script itself."""

    name: str
    weight: int | None = None
    reverse: bool = False


class TrackedFile(msgspec.Struct, frozen=True):
    name: str
    weight: int | None = None
    reverse: bool = False


class TrackedProcess(msgspec.Struct, frozen=True):
    name: str
    weight: int | None = None
    reverse: bool = False


class TrackBfd(msgspec.Struct, frozen=True):
    name: str
    weight: int | None = None
    reverse: bool = False


class GarpGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Interfaces that share the least gaps between announcements (`garp_group`); 0 is no gap."""

    interfaces: tuple[str, ...]
    garp_interval_us: int = 0
    gna_interval_us: int = 0


class GarpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Gratuitous ARP and unsolicited NA: counts and times."""

    delay_us: int = 5 * SECOND_US
    repeat: int = 5
    refresh_us: int = 0
    refresh_repeat: int = 1
    lower_prio_delay_us: int = 5 * SECOND_US
    lower_prio_repeat: int = 5
    extra_if_us: int = 0
    extra_if_all: bool = False


class VmacSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`use_vmac` or `use_ipvlan`."""

    kind: str = "macvlan"
    ifname: str | None = None
    """Given in the file, or found at load (`vmac_prefix`.VRID, another free name if that is taken)."""
    mac: bytes | None = None
    """None: the address that the RFC gives to the VRID."""
    netlink_notify: bool = False
    group: str | None = None
    ipvlan_flags: str | None = None
    source: IpPrefix | None = None


class VrrpInstance(msgspec.Struct, frozen=True, kw_only=True):
    """One virtual router."""

    name: str
    vrid: int
    interface: str | None
    initial_state: VrrpState = VrrpState.BACKUP
    """The wished start state, MASTER or BACKUP."""
    version: int = 2
    priority: int = 100
    advert_interval_us: int = SECOND_US
    source: str | None = None
    """mcast_src_ip or unicast_src_ip; None takes the first address of the interface."""
    multicast_group: str | None = None
    unicast_peers: tuple[UnicastPeer, ...] = ()
    unicast_ttl: int = 255
    unicast_fault_no_peer: bool = False
    unicast_without_peers: bool = False
    """A `unicast_peer` block was given and no peer in it could be used."""
    check_unicast_src: bool = False
    old_unicast_checksum: str | None = None
    addresses: tuple[VirtualAddress, ...] = ()
    excluded_addresses: tuple[VirtualAddress, ...] = ()
    routes: tuple[VirtualRoute, ...] = ()
    rules: tuple[VirtualRule, ...] = ()
    native_ipv6: bool = False
    authentication: Authentication | None = None
    auth_hmac: AuthHmac | None = None
    nopreempt: bool = False
    preempt_delay_us: int = 0
    preempt_after_sync_us: int = 0
    """So long after it became BACKUP, with it the receiver of the connection table, it leaves a lower MASTER alone."""
    down_timer_adverts: int = 3
    garp: GarpSettings = GarpSettings()
    accept: bool = True
    strict: bool = False
    dont_track_primary: bool = False
    track_src_ip: bool = False
    skip_check_adv_addr: bool = False
    lower_prio_no_advert: bool = False
    higher_prio_send_advert: bool | None = None
    """A MASTER that yields to a higher priority says so with one last advert. None, the file does not say: it does, so
    that the winner of a duel announces its addresses again."""
    owner_ignore_adverts: bool = False
    v3_checksum_as_v2: bool = False
    promote_secondaries: bool = False
    on_loss: str = "backup"
    """What the loss of an address, route or rule to another program does: `backup`, or `reinstate` it (ours)."""
    timer_expired_backup: int | None = None
    kernel_rx_buf_size: int | None = None
    vmac: VmacSettings | None = None
    use_vmac_addr: bool = False
    vmac_xmit_base: bool = False
    vrf: str | None = None
    debug: int = 0
    track_interfaces: tuple[TrackedInterface, ...] = ()
    track_scripts: tuple[TrackedScript, ...] = ()
    track_files: tuple[TrackedFile, ...] = ()
    track_processes: tuple[TrackedProcess, ...] = ()
    track_bfds: tuple[TrackBfd, ...] = ()
    notify_master: Script | None = None
    notify_backup: Script | None = None
    notify_fault: Script | None = None
    notify_stop: Script | None = None
    notify_deleted: Script | None = None
    use_deleted_state: bool = False
    """`notify_deleted` was given, with or without a script."""
    notify: Script | None = None
    notify_master_rx_lower_pri: Script | None = None
    notify_priority_changes: bool = False
    smtp_alert: bool = False


class SyncGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Instances that are all MASTER or all not."""

    name: str
    members: tuple[str, ...]
    tracking_weight: bool = False
    track_interfaces: tuple[TrackedInterface, ...] = ()
    track_scripts: tuple[TrackedScript, ...] = ()
    track_files: tuple[TrackedFile, ...] = ()
    track_processes: tuple[TrackedProcess, ...] = ()
    track_bfds: tuple[TrackBfd, ...] = ()
    notify_master: Script | None = None
    notify_backup: Script | None = None
    notify_fault: Script | None = None
    notify_stop: Script | None = None
    notify: Script | None = None
    notify_priority_changes: bool = False
    smtp_alert: bool = False


class VrrpScript(msgspec.Struct, frozen=True, kw_only=True):
    """A periodic health script."""

    name: str
    script: Script
    question: bool = False
    """The words are a question that the VRRP process asks itself (`tcp`, `http`, `unix_socket`); nobody is started."""
    interval_us: int = SECOND_US
    timeout_us: int = 0
    """0: the interval."""
    weight: int = 0
    reverse: bool = False
    rise: int = 1
    fall: int = 1
    init_fail: bool = False


class TrackFile(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    path: str
    weight: int = 1
    reverse: bool = False
    init_value: int | None = None
    init_overwrite: bool = False


class TrackGroup(msgspec.Struct, frozen=True):
    """Instances that are in FAULT while the interface of a static address, route or rule of the group is down."""

    name: str
    instances: tuple[str, ...]


class ParamMatch(Enum):
    NONE = "none"
    EXACT = "exact"
    PARTIAL = "partial"
    INITIAL = "initial"


class TrackProcess(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    process: str
    parameters: tuple[str, ...] = ()
    param_match: ParamMatch = ParamMatch.NONE
    weight: int = 0
    reverse: bool = False
    quorum: int = 1
    quorum_max: int | None = None
    fork_delay_us: int = 0
    terminate_delay_us: int = 0
    full_command: bool = False

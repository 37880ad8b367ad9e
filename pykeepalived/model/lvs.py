"""Virtual servers and real servers, as both dialects say them. IPVS's own table is `pykeepalived.lvs.table`."""

from __future__ import annotations

from enum import Enum, IntEnum

import msgspec

from pykeepalived.model.checks import CheckerSpec
from pykeepalived.model.common import Family, Script


class Protocol(IntEnum):
    """Layer-4 protocol numbers."""

    TCP = 6
    UDP = 17
    SCTP = 132


class ForwardingMethod(Enum):
    """How packets reach a real server: NAT (masquerading), direct routing, IP tunnelling."""

    NAT = "NAT"
    DR = "DR"
    TUN = "TUN"


class TunnelType(Enum):
    IPIP = "ipip"
    GUE = "gue"
    GRE = "gre"


class Forwarding(msgspec.Struct, frozen=True):
    method: ForwardingMethod = ForwardingMethod.NAT
    tunnel_type: TunnelType = TunnelType.IPIP
    tunnel_port: int = 0
    tunnel_checksum: str = "nocsum"
    """nocsum, csum or remcsum."""


class AddressSelector(msgspec.Struct, frozen=True, tag="address"):
    address: str
    port: int


class FwmarkSelector(msgspec.Struct, frozen=True, tag="fwmark"):
    fwmark: int


class GroupSelector(msgspec.Struct, frozen=True, tag="group"):
    name: str


Selector = AddressSelector | FwmarkSelector | GroupSelector


class GroupAddress(msgspec.Struct, frozen=True, tag="address"):
    """`first` to `last` (inclusive, same when there is no range) on one port."""

    first: str
    last: str
    port: int


class GroupFwmark(msgspec.Struct, frozen=True, tag="fwmark"):
    fwmark: int
    family: Family | None = None


class VirtualServerGroup(msgspec.Struct, frozen=True):
    name: str
    entries: tuple[GroupAddress | GroupFwmark, ...] = ()


class RecoveryRule(msgspec.Struct, frozen=True, kw_only=True):
    """What awaits a server that comes back (`slow_start`, `flap_limit`; ours)."""

    slow_start_us: int = 0
    """Its weight grows to its value in this time; 0: it has it at once."""
    flap_count: int = 0
    """So many times down within the window, and it is held out; 0: never."""
    flap_window_us: int = 0
    flap_hold_us: int = 0
    """How long its checks must be good then."""


class RealServer(msgspec.Struct, frozen=True, kw_only=True):
    address: str
    port: int
    weight: int = 1
    forwarding: Forwarding = Forwarding()
    upper_threshold: int = 0
    lower_threshold: int = 0
    inhibit_on_failure: bool = False
    """On failure stay in the table with weight 0 (ldirectord: quiescent)."""
    alpha: bool = False
    """Assumed down until its first success (ldirectord: always)."""
    notify_up: Script | None = None
    notify_down: Script | None = None
    smtp_alert: bool = True
    virtualhost: str | None = None
    snmp_name: str | None = None
    checkers: tuple[CheckerSpec, ...] = ()
    """All must be well for the server to be alive."""
    recovery: RecoveryRule | None = None
    maintenance_names: tuple[str, ...] = ()
    """ldirectord: file names in maintenancedir that take the server out."""
    monitor_words: tuple[str, ...] = ()
    """ldirectord: what its lines in the monitorfile call the check: check with its service or command, protocol,
    address, port, virtualhost, checkport, weight, method, request, receive; empty texts where there is none."""


class SorryServer(msgspec.Struct, frozen=True, kw_only=True):
    """Serves while there is no quorum (ldirectord: fallback)."""

    address: str
    port: int
    forwarding: Forwarding = Forwarding()
    inhibit: bool = False
    weight: int = 1


class MailAlert(msgspec.Struct, frozen=True, kw_only=True):
    """ldirectord's mail settings of one virtual service."""

    recipients: tuple[str, ...] = ()
    frequency_s: int = 0
    states: tuple[str, ...] = ("all",)
    smtp: str | None = None


class VirtualServer(msgspec.Struct, frozen=True, kw_only=True):
    selector: Selector
    protocol: Protocol | None = None
    """None for firewall marks."""
    family: Family | None = None
    """`ip_family`; None: from the address or the real servers, else IPv4."""
    scheduler: str = "wlc"
    scheduler_flags: int = 0
    """IPVS scheduler flags: 1, 2, 4 for flag-1, flag-2, flag-3 (sh-fallback/mh-fallback 1, sh-port/mh-port 2)."""
    one_packet: bool = False
    hashed: bool = False
    persistence_timeout_s: int = 0
    """0: not persistent."""
    persistence_prefix: int | None = None
    """Client grouping as a prefix length; None: /32 or /128."""
    persistence_engine: str | None = None
    forwarding: Forwarding = Forwarding()
    quorum: int = 1
    hysteresis: int = 0
    quorum_up: Script | None = None
    quorum_down: Script | None = None
    sorry_server: SorryServer | None = None
    alpha: bool = False
    omega: bool = False
    inhibit_on_failure: bool = False
    """What its real servers do that say nothing; each of them holds what counts for it."""
    ha_suspend: bool = False
    smtp_alert: bool = False
    virtualhost: str | None = None
    snmp_name: str | None = None
    real_servers: tuple[RealServer, ...] = ()
    cleanstop: bool = True
    """ldirectord: remove the service when the daemon stops."""
    fallback_command: str | None = None
    """ldirectord: shell command run with start|stop VIP:PORT PROTOCOL."""
    monitor_file: str | None = None
    mail: MailAlert | None = None
    service_name: str | None = None
    comment: str | None = None


class SyncDaemon(msgspec.Struct, frozen=True, kw_only=True):
    """`lvs_sync_daemon`: the kernel's connection synchronisation."""

    interface: str
    instance: str | None = None
    sync_id: int | None = None
    max_length: int | None = None
    port: int | None = None
    ttl: int | None = None
    group: str | None = None


class PacketMarks(msgspec.Struct, frozen=True, kw_only=True):
    """`nftables_ipvs` and its like: how nftables marks the packets of virtual server groups."""

    table: str = "keepalived_ipvs"
    """One table of this name in each of the families ip and ip6."""
    priority: int = -1
    """Of its chain."""
    first: int = 1000
    """The first firewall mark; each virtual server of a group takes the next."""
    counters: bool = False
    """Count what the rule marks."""

"""A whole configuration: one immutable generation."""

from __future__ import annotations

from typing import Literal

import msgspec

from pykeepalived.model.agents import AgentSettings
from pykeepalived.model.bfd import BfdInstance
from pykeepalived.model.checks import TlsClient
from pykeepalived.model.common import Script, User
from pykeepalived.model.daemon import DaemonSettings
from pykeepalived.model.defaults import Defaults
from pykeepalived.model.links import FirewallSettings, InterfaceDelay, PolledLink
from pykeepalived.model.lvs import PacketMarks, SyncDaemon, VirtualServer, VirtualServerGroup
from pykeepalived.model.routing import VirtualRoute, VirtualRule
from pykeepalived.model.vrrp import (
    GarpGroup,
    SyncGroup,
    TrackFile,
    TrackGroup,
    TrackProcess,
    VirtualAddress,
    VrrpInstance,
    VrrpScript,
)
from pykeepalived.units import SECOND_US


class MailSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`smtp_*` and `notification_*` of global_defs."""

    server: str | None = None
    """As it was written: an address or a name."""
    address: str | None = None
    """What the name meant when the file was read; None: no server, or its name was unknown then."""
    port: int = 25
    helo_name: str | None = None
    connect_timeout_us: int = 30 * SECOND_US
    sender: str | None = None
    recipients: tuple[str, ...] = ()
    faults: bool = True
    """False: no mails when an instance or group enters FAULT."""
    checks: bool = True
    """Mails also when one of several checkers changes and the real server does not."""
    tls: Literal["off", "starttls", "implicit"] = "off"
    """Without TLS no mail where it is not off: never back to plain text."""
    tls_ca_file: str | None = None
    """None: the system's certificates."""
    tls_verify: bool = True
    """The certificate must be of the server as it was written."""
    user: str | None = None
    """Login; only inside TLS."""
    password: str | None = None


class GlobalDefs(msgspec.Struct, frozen=True, kw_only=True):
    """Daemon-wide settings that have an effect now; every other word of global_defs is in `words`."""

    router_id: str | None = None
    mail: MailSettings = MailSettings()
    script_user: User | None = None
    enable_script_security: bool = False
    multicast_group4: str = "224.0.0.18"
    multicast_group6: str = "ff02::12"
    startup_delay_us: int = 0
    delay_after_boot_us: int = 0
    garp_interval_us: int = 0
    """Least gap between two gratuitous ARP messages on one interface; of unsolicited NA: the next one."""
    gna_interval_us: int = 0
    rx_bufs_policy: str | int | None = None
    """How receive buffers for adverts are sized: "MTU", "ADVERT", a number of bytes, or None for our own size."""
    rx_bufs_multiplier: int = 3
    """How many packets of each instance such a buffer holds."""
    vrrp_netlink_cmd_rcv_bufs: int | None = None
    """Bytes of receive buffers: of the socket by which the VRRP process changes the kernel; None: our own size."""
    vrrp_netlink_cmd_rcv_bufs_force: bool = False
    """Beyond the system's limit."""
    vrrp_netlink_monitor_rcv_bufs: int | None = None
    """Of that by which it hears of links and addresses."""
    vrrp_netlink_monitor_rcv_bufs_force: bool = False
    process_monitor_rcv_bufs: int | None = None
    """Of that by which it hears of processes (`vrrp_track_process`)."""
    process_monitor_rcv_bufs_force: bool = False
    dynamic_interfaces: bool = False
    allow_if_changes: bool = False
    """An interface that comes back may be of another kind."""
    default_interface: str = "eth0"
    """Where `static_ipaddress` lines without `dev` belong."""
    disable_local_igmp: bool = False
    vmac_prefix: str = "vrrp"
    vmac_addr_prefix: str | None = None
    """None: as `vmac_prefix`."""
    ready_gate_us: int | None = None
    """Ours, `vrrp_ready_gate`: an instance starts when its interface is ready, or after this time; None: no gate."""
    firewall: FirewallSettings = FirewallSettings()
    startup_script: Script | None = None
    startup_script_timeout_us: int = 10 * SECOND_US
    shutdown_script: Script | None = None
    shutdown_script_timeout_us: int = 10 * SECOND_US
    child_wait_time_us: int = 5 * SECOND_US
    lvs_flush: bool = False
    lvs_flush_on_stop: str | None = None
    """None, "all" or "VS"."""
    lvs_timeouts: tuple[int, int, int] | None = None
    """tcp, tcpfin, udp in seconds; 0 leaves the kernel's."""
    lvs_dataplane: str = "auto"
    """Ours: auto, ipvs or nftables."""
    lvs_repair_interval_us: int = 60 * SECOND_US
    """Ours: how often the kernel's table is compared with what it should hold; 0: never."""
    lvs_check_workers: int | None = None
    """Ours: processes that make the health checks, 0 to 64; None: by the load. As at start, whatever a reload says."""
    lvs_nftables_masquerade: bool = False
    """Ours: nftables hides clients behind the director's address."""
    lvs_nftables_removed: str = "drain"
    """Ours: what becomes of connections to a removed server with nftables, drain or reset."""
    packet_marks: PacketMarks | None = None
    """`nftables_ipvs`: nftables marks the packets of groups, and one service per mark stands for all; None: not."""
    sync_daemon: SyncDaemon | None = None
    checker_log_all_failures: bool = False
    rs_init_notifies: bool = False
    notify_fifo: str | None = None
    vrrp_notify_fifo: str | None = None
    lvs_notify_fifo: str | None = None
    notify_fifo_script: Script | None = None
    """The programs that read the FIFOs; their path is appended."""
    vrrp_notify_fifo_script: Script | None = None
    lvs_notify_fifo_script: Script | None = None
    instance: str | None = None
    net_namespace: str | None = None
    net_namespace_ipvs: str | None = None
    """Where IPVS is configured; an empty string: the namespace that the daemon was started in."""
    namespace_with_ipsets: bool = False
    use_pid_dir: bool = False
    vrrp_rt_priority: int | None = None
    vrrp_no_swap: bool = False
    vrrp_priority: int | None = None
    checker_rt_priority: int | None = None
    checker_no_swap: bool = False
    checker_priority: int | None = None
    bfd_rt_priority: int | None = None
    bfd_no_swap: bool = False
    bfd_priority: int | None = None
    umask: int | None = None
    daemon: DaemonSettings = DaemonSettings()
    agents: AgentSettings = AgentSettings()
    defaults: Defaults = Defaults()
    log_unknown_vrids: bool = False
    words: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Words that are known, checked and without effect yet, in file order."""


class LdirectordSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What only ldirectord's own program needs from its file."""

    path: str
    logfile: str = "/var/log/ldirectord.log"
    autoreload: bool = False
    callback: str | None = None
    execute: tuple[str, ...] = ()
    supervised: bool = False
    fork: bool = False
    check_interval_us: int = 10 * SECOND_US
    maintenance_dir: str | None = None
    readd_quiescent: bool = False
    mail_sender: str | None = None
    compat_strict: bool = False


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """One generation of everything that was configured."""

    globals: GlobalDefs = GlobalDefs()
    static_addresses: tuple[VirtualAddress, ...] = ()
    static_routes: tuple[VirtualRoute, ...] = ()
    static_rules: tuple[VirtualRule, ...] = ()
    instances: tuple[VrrpInstance, ...] = ()
    sync_groups: tuple[SyncGroup, ...] = ()
    garp_groups: tuple[GarpGroup, ...] = ()
    scripts: tuple[VrrpScript, ...] = ()
    track_files: tuple[TrackFile, ...] = ()
    track_processes: tuple[TrackProcess, ...] = ()
    track_groups: tuple[TrackGroup, ...] = ()
    bfd_instances: tuple[BfdInstance, ...] = ()
    interface_delays: tuple[InterfaceDelay, ...] = ()
    polled_links: tuple[PolledLink, ...] = ()
    poll_all_links: bool = False
    """`linkbeat_use_polling`: every interface is polled."""
    virtual_server_groups: tuple[VirtualServerGroup, ...] = ()
    virtual_servers: tuple[VirtualServer, ...] = ()
    tls_client: TlsClient | None = None
    """The block SSL."""
    ldirectord: LdirectordSettings | None = None
    ldirectord_servers: tuple[VirtualServer, ...] = ()
    """The virtual servers of an ldirectord.cf that stands beside a keepalived.conf, whose own are `virtual_servers`."""
    unowned_blocks: tuple[str, ...] = ()
    """Root blocks that are known and have no effect yet, by name (for example `bfd_instance B1`)."""

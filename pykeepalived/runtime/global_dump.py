"""The section `Global definitions` of every dump file, in the original's words and order (keepalived-behaviour 5.3)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Final

from pykeepalived.model.common import Script
from pykeepalived.model.config import GlobalDefs
from pykeepalived.runtime.process_settings import standing
from pykeepalived.units import SECOND_US

#: What stands there for a number that no word has set.
_UNSET: Final = 4_294_967_295
_BUFFERS: Final = ("vrrp_netlink_cmd", "vrrp_netlink_monitor", "process_monitor")


def global_lines(settings: GlobalDefs, *, vrrp: bool = False) -> Iterator[str]:
    """One ` label = value` a line, without the section's title. Nothing here is a secret.

    `vrrp`: as the VRRP process knows it, which has filled in what the file leaves open.
    """
    yield from _identity(settings)
    yield from _mail(settings)
    yield from _reload(settings, vrrp=vrrp)
    yield from _load_balancing(settings)
    yield from _fifos(settings)
    yield from _vrrp(settings, vrrp=vrrp)
    yield from _processes(settings)
    yield from _rest(settings)


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _script(script: Script) -> str:
    user = f", uid:gid {script.user.uid}:{script.user.gid}" if script.user else ""
    return " ".join(f"'{word}'" for word in script.argv) + user


def _seconds(time_us: int) -> str:
    return f"{time_us / SECOND_US:.6f}".rstrip("0").rstrip(".")


def _identity(settings: GlobalDefs) -> Iterator[str]:
    daemon = settings.daemon
    yield f" Network namespace = {settings.net_namespace or '(default)'}"
    ipvs = settings.net_namespace_ipvs if settings.net_namespace_ipvs is not None else settings.net_namespace
    yield f" Network namespace ipvs = {ipvs or '(main namespace)'}"
    if settings.instance:
        yield f" Instance name = {settings.instance}"
    if settings.use_pid_dir:
        yield " Use pid directory"
    if daemon.process_name:
        yield f" Parent process name = {daemon.process_name}"
    for title, word in (("VRRP", "vrrp"), ("LVS", "checker"), ("BFD", "bfd")):
        if daemon.process_names or getattr(daemon, f"{word}_process_name"):
            yield f" {title} process name = {standing(word, settings).name}"
    if not settings.defaults.use_symlink_paths:
        yield " Replace symlinks in script paths"
    yield f" Router ID = {settings.router_id or socket.gethostname()}"


def _mail(settings: GlobalDefs) -> Iterator[str]:
    mail = settings.mail
    if mail.server:
        yield f" Smtp server = {mail.server}"
        yield f" Smtp server port = {mail.port}"
        yield f" Smtp HELO name = {mail.helo_name or socket.gethostname()}"
        yield f" Smtp server connection timeout = {_seconds(mail.connect_timeout_us)}"
        if mail.tls != "off":
            yield f" Smtp TLS = {mail.tls}, certificate {'verified' if mail.tls_verify else 'not verified'}"
        if mail.user is not None:
            yield f" Smtp user = {mail.user}"
    if mail.sender:
        yield f" Email notification from = {mail.sender}"
    if mail.recipients:
        yield " Email notification to:"
        yield from (f"   {recipient}" for recipient in mail.recipients)
    words = {None: "unset", True: "on", False: "off"}
    for name in ("smtp_alert", "smtp_alert_vrrp", "smtp_alert_checker"):
        yield f" Default {name} = {words[getattr(settings.defaults, name)]}"
    yield f" Checkers log all failures = {_truth(settings.checker_log_all_failures)}"


def _reload(settings: GlobalDefs, *, vrrp: bool) -> Iterator[str]:
    daemon = settings.daemon
    if daemon.reload_check_config is None:
        yield " No test config before reload"
    else:
        yield f" Test config before reload, log to {daemon.reload_check_config or '(default)'}"
    if daemon.reload_time_file:
        yield f" Reload time file = {daemon.reload_time_file}{', repeat' if daemon.reload_repeat else ''}"
    yield f" keep script symlinks = {_truth(settings.defaults.use_symlink_paths)}"
    for title, script, timeout_us in (
        ("Startup", settings.startup_script, settings.startup_script_timeout_us),
        ("Shutdown", settings.shutdown_script, settings.shutdown_script_timeout_us),
    ):
        if script is not None:
            yield f" {title} script = {_script(script)}, timeout {_seconds(timeout_us)}"
    yield f" Dynamic interfaces = {_truth(settings.dynamic_interfaces)}"
    if settings.dynamic_interfaces:
        yield f" Allow interface changes = {_truth(settings.allow_if_changes)}"
    if vrrp:
        yield f" Default interface = {settings.default_interface}"
    yield f" Disable local IGMP = {'yes' if settings.disable_local_igmp else 'no'}"
    yield f" Use VRRPv2 checksum for VRRPv3 IPv4 = {'yes' if settings.defaults.v3_checksum_as_v2 else 'no'}"


def _load_balancing(settings: GlobalDefs) -> Iterator[str]:
    if settings.lvs_timeouts is not None:
        tcp_s, tcpfin_s, udp_s = settings.lvs_timeouts
        yield f" LVS timeouts = tcp {tcp_s}, tcpfin {tcpfin_s}, udp {udp_s}"
    if (sync := settings.sync_daemon) is not None:
        if sync.instance:
            yield f" LVS syncd vrrp name = {sync.instance}"
        yield f" LVS syncd interface = {sync.interface}"
        if sync.sync_id is not None:
            yield f" LVS syncd syncid = {sync.sync_id}"
    yield f" LVS flush = {_truth(settings.lvs_flush)}"
    flush = {None: "disabled", "all": "full", "VS": "VS"}
    yield f" LVS flush on stop = {flush.get(settings.lvs_flush_on_stop, 'disabled')}"


def _fifos(settings: GlobalDefs) -> Iterator[str]:
    user = settings.script_user
    owner = f"{user.uid}:{user.gid}" if user else "0:0"
    for title, name in (("Global", "notify_fifo"), ("VRRP", "vrrp_notify_fifo"), ("LVS", "lvs_notify_fifo")):
        if (path := getattr(settings, name)) is not None:
            yield f" {title} notify fifo = {path}, uid:gid {owner}"
        if (script := getattr(settings, f"{name}_script")) is not None:
            yield f" {title} notify fifo script = {_script(script)}"
    yield f" FIFO write vrrp states on reload = {_truth(settings.daemon.fifo_write_vrrp_states_on_reload)}"


def _vrrp(settings: GlobalDefs, *, vrrp: bool) -> Iterator[str]:
    defaults = settings.defaults
    yield f" VRRP notify priority changes = {_truth(defaults.notify_priority_changes)}"
    yield f" VRRP IPv4 mcast group = {settings.multicast_group4}"
    yield f" VRRP IPv6 mcast group = {settings.multicast_group6}"
    yield f" Gratuitous ARP delay = {_seconds(defaults.garp_delay_us)}"
    yield f" Gratuitous ARP repeat = {defaults.garp_repeat}"
    yield f" Gratuitous ARP refresh timer = {_seconds(defaults.garp_refresh_us)}"
    yield f" Gratuitous ARP refresh repeat = {defaults.garp_refresh_repeat}"
    delay_us, repeat = defaults.garp_lower_prio_delay_us, defaults.garp_lower_prio_repeat
    if vrrp:
        delay_us = defaults.garp_delay_us if delay_us is None else delay_us
        repeat = defaults.garp_repeat if repeat is None else repeat
    yield f" Gratuitous ARP lower priority delay = {_UNSET if delay_us is None else _seconds(delay_us)}"
    yield f" Gratuitous ARP lower priority repeat = {_UNSET if repeat is None else repeat}"
    yield f" Num adverts before down = {defaults.down_timer_adverts}"
    yield f" Gratuitous ARP for each secondary VMAC = {_seconds(defaults.garp_extra_us)}s"
    yield f" Send advert after receive lower priority advert = {_truth(not defaults.lower_prio_no_advert)}"
    yield f" Send advert after receive higher priority advert = {_truth(defaults.higher_prio_send_advert)}"
    yield f" Gratuitous ARP interval = {settings.garp_interval_us / SECOND_US:.6f}"
    yield f" Gratuitous NA interval = {settings.gna_interval_us / SECOND_US:.6f}"
    yield f" VRRP default protocol version = {defaults.version}"
    yield f" nftables with{'' if settings.firewall.counters else 'out'} counters"
    yield f" VRRP check unicast_src = {_truth(defaults.check_unicast_src)}"
    yield f" VRRP skip check advert addresses = {_truth(defaults.skip_check_adv_addr)}"
    yield f" VRRP strict mode = {_truth(defaults.strict)}"


def _processes(settings: GlobalDefs) -> Iterator[str]:
    daemon = settings.daemon
    yield f" Max auto priority = {daemon.max_auto_priority or 0}"
    yield f" Min auto priority delay = {daemon.min_auto_priority_delay} usecs"
    for title, word in (("VRRP", "vrrp"), ("Checker", "checker"), ("BFD", "bfd")):
        wanted = standing(word, settings)
        yield f" {title} process priority = {wanted.nice}"
        yield f" {title} don't swap = {_truth(wanted.no_swap)}"
        yield f" {title} realtime priority = {wanted.rt_priority}"
        if wanted.rt_limit_us is not None:
            yield f" {title} realtime limit = {wanted.rt_limit_us}"


def _rest(settings: GlobalDefs) -> Iterator[str]:
    daemon = settings.daemon
    yield f" Script security {'enabled' if settings.enable_script_security else 'disabled'}"
    user = settings.script_user
    yield f" Default script uid:gid {user.uid}:{user.gid}" if user else " Default script uid:gid 0:0"
    for name in _BUFFERS:
        yield f" {name}_rcv_bufs = {getattr(settings, f'{name}_rcv_bufs') or 0}"
        yield f" {name}_rcv_bufs_force = {int(getattr(settings, f'{name}_rcv_bufs_force'))}"
    for name in ("lvs_netlink_cmd", "lvs_netlink_monitor"):
        yield f" {name}_rcv_bufs = {getattr(daemon, f'{name}_rcv_bufs') or 0}"
        yield f" {name}_rcv_bufs_force = {int(getattr(daemon, f'{name}_rcv_bufs_force'))}"
    yield f" rs_init_notifies = {int(settings.rs_init_notifies)}"
    yield f" no_checker_emails = {int(not settings.mail.checks)}"
    yield f" rx_bufs_multiples = {settings.rx_bufs_multiplier}"
    yield f" umask = 0{0o177 if settings.umask is None else settings.umask:o}"
    if settings.startup_delay_us:
        yield f" vrrp_startup_delay = {_seconds(settings.startup_delay_us)}"
    yield f" json_version {daemon.json_version}"
    for name in ("state", "stats", "json"):
        if (path := getattr(daemon, f"{name}_dump_file")) is not None:
            yield f" {name} dump file {path}"

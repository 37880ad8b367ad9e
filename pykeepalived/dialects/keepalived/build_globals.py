"""global_defs and the single words at the top level: from drafts to `GlobalDefs`."""

from __future__ import annotations

from typing import Any, Final

from pykeepalived.dialects.keepalived.build_links import build_firewall
from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft, Entry
from pykeepalived.dialects.keepalived.scripts import Scripts
from pykeepalived.model import GlobalDefs, MailSettings, SyncDaemon
from pykeepalived.model.agents import AgentSettings
from pykeepalived.model.daemon import DaemonSettings
from pykeepalived.model.defaults import Defaults
from pykeepalived.model.lvs import PacketMarks
from pykeepalived.model.webhook import webhook_place
from pykeepalived.units import SECOND_US

#: Fields that are stored as they were read.
_PLAIN: Final = (
    "router_id", "enable_script_security", "multicast_group4", "multicast_group6", "startup_delay_us",
    "delay_after_boot_us", "garp_interval_us", "gna_interval_us", "rx_bufs_policy", "rx_bufs_multiplier",
    "startup_script_timeout_us", "shutdown_script_timeout_us", "lvs_flush", "lvs_dataplane", "lvs_repair_interval_us",
    "lvs_check_workers", "lvs_nftables_masquerade", "lvs_nftables_removed",
    "checker_log_all_failures", "rs_init_notifies", "vrrp_rt_priority", "vrrp_no_swap", "vrrp_priority",
    "checker_rt_priority", "checker_no_swap", "checker_priority", "bfd_rt_priority", "bfd_no_swap",
    "bfd_priority", "umask", "log_unknown_vrids",
    *(f"{name}_rcv_bufs{end}" for name in ("vrrp_netlink_cmd", "vrrp_netlink_monitor", "process_monitor")
      for end in ("", "_force")),
    "default_interface", "disable_local_igmp", "vmac_prefix", "vmac_addr_prefix",
)  # fmt: skip
#: Long enough for a switch port that learns first (spanning tree: 30 s).
_READY_GATE_US: Final = 45 * SECOND_US
_ROOT_PLAIN: Final = ("instance", "net_namespace", "namespace_with_ipsets", "use_pid_dir", "child_wait_time_us")


def build_globals(context: Context, root: Draft, scripts: Scripts) -> GlobalDefs:
    draft = root.get("globals") or Draft(None)
    taken: dict[str, Any] = {name: draft.values[name] for name in _PLAIN if name in draft.values}
    taken |= {name: root.values[name] for name in _ROOT_PLAIN if name in root.values}
    for name in ("notify_fifo", "vrrp_notify_fifo", "lvs_notify_fifo"):
        if name in draft.values:
            taken[name] = draft.values[name][0]
    for name in ("startup_script", "shutdown_script"):
        taken[name] = scripts.resolve(draft.get(name))
    if "lvs_flush_on_stop" in draft.values:
        taken["lvs_flush_on_stop"] = draft.values["lvs_flush_on_stop"] or "all"
    if "ready_gate" in draft.values:
        taken["ready_gate_us"] = draft.values["ready_gate"] or _READY_GATE_US
    if "nftables_ipvs" in draft.values:
        taken["packet_marks"] = _packet_marks(draft)
    if "net_namespace_ipvs" in root.values:
        taken["net_namespace_ipvs"] = root.values["net_namespace_ipvs"] or ""
    if (timeouts := draft.get("lvs_timeouts")) is not None:
        taken["lvs_timeouts"] = (timeouts.get("tcp", 0), timeouts.get("tcpfin", 0), timeouts.get("udp", 0))
    return GlobalDefs(
        daemon=_daemon(draft),
        agents=_agents(context, draft),
        defaults=_defaults(draft),
        mail=_mail(context, draft),
        script_user=scripts.default_user,
        dynamic_interfaces="dynamic_interfaces" in draft.values,
        allow_if_changes=bool(draft.get("dynamic_interfaces")),
        firewall=build_firewall(draft),
        sync_daemon=_sync_daemon(draft.get("sync_daemon")),
        words=tuple(context.words),
        **taken,
    )


def _daemon(draft: Draft) -> DaemonSettings:
    """Fields and words have the same names; of a word with an optional argument that is not there the empty one."""
    taken = {name: draft.values[name] for name in DaemonSettings.__struct_fields__ if name in draft.values}
    for name, value in taken.items():
        if isinstance(value, list):
            taken[name] = tuple(value)
        elif value is None and name in {"reload_check_config", "reload_file", "metrics_listen"}:
            taken[name] = ""
    return DaemonSettings(**taken)


def _agents(context: Context, draft: Draft) -> AgentSettings:
    """Fields and words have the same names, but `enable_snmp_rfc`, which stands for two."""
    taken = {name: draft.values[name] for name in AgentSettings.__struct_fields__ if name in draft.values}
    if "enable_snmp_rfc" in draft.values:
        taken |= {"enable_snmp_rfcv2": True, "enable_snmp_rfcv3": True}
    if "webhook_url" in taken:
        taken["webhook_url"], taken["webhook_address"] = taken["webhook_url"]
        if "webhook_token" in taken and not webhook_place(taken["webhook_url"]).tls:
            context.error(
                "login-without-tls",
                "webhook_token without https would show the token to the network, events go without it",
                draft.where["webhook_token"],
                help="write https:// in webhook_url",
            )
            del taken["webhook_token"]
    return AgentSettings(**taken)


def _defaults(draft: Draft) -> Defaults:
    """Fields have the names of the draft's; a switch without its word is on."""
    taken = {name: draft.values[name] for name in Defaults.__struct_fields__ if draft.values.get(name) is not None}
    if (extra := draft.get("garp_extra_if")) is not None:
        every, period_us = extra
        taken |= {"garp_extra_all": bool(every), "garp_extra_us": period_us or 0}
    return Defaults(**taken)


def _packet_marks(draft: Draft) -> PacketMarks:
    plain = PacketMarks()
    return PacketMarks(
        table=draft.get("nftables_ipvs") or plain.table,
        priority=draft.get("nftables_ipvs_priority", plain.priority),
        first=draft.get("nftables_ipvs_start_fwmark", plain.first),
        counters="nftables_counters" in draft.values,
    )


def _mail(context: Context, draft: Draft) -> MailSettings:
    server, port, address = draft.get("smtp_server", (None, None, None))
    sender = draft.get("sender")
    taken: dict[str, Any] = {"checks": not draft.get("no_checker_emails", False)}
    if "smtp_connect_timeout_us" in draft.values:
        taken["connect_timeout_us"] = draft.values["smtp_connect_timeout_us"]
    taken |= {
        field: draft.values[f"smtp_{field}"]
        for field in ("tls", "tls_ca_file", "tls_verify", "user", "password")
        if draft.values.get(f"smtp_{field}") is not None
    }
    if "user" in taken and taken.get("tls", "off") == "off":
        context.error(
            "login-without-tls",
            "smtp_user without smtp_tls would show the password to the network, mails go without a login",
            draft.where["smtp_user"],
            help="write `smtp_tls starttls` (port 587) or `smtp_tls implicit` (port 465)",
        )
        del taken["user"]
    return MailSettings(
        server=server,
        port=port or 25,
        address=address,
        helo_name=draft.get("smtp_helo_name"),
        sender=sender[0] if sender else None,
        recipients=tuple(address for address, _, _ in draft.get("recipients", ())),
        faults=draft.get("email_faults", True),
        **taken,
    )


def _sync_daemon(entry: Entry | None) -> SyncDaemon | None:
    if entry is None:
        return None
    return SyncDaemon(
        interface=entry.values["interface"],
        instance=entry.get("instance", entry.get("bare_instance")),
        sync_id=entry.get("sync_id", entry.get("bare_id", entry.get("bare_instance_id"))),
        max_length=entry.get("max_length"),
        port=entry.get("port"),
        ttl=entry.get("ttl"),
        group=entry.get("group"),
    )

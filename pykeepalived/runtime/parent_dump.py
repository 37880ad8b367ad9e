"""The parent's dump file, keepalived_parent.data: the global definitions (keepalived-behaviour 5.3)."""

from __future__ import annotations

from pykeepalived.model.config import GlobalDefs
from pykeepalived.units import SECOND_US


def parent_dump(settings: GlobalDefs) -> str:
    """The section `Global definitions`, one `label = value` a line, in the original's words and order."""
    mail = settings.mail
    lines = ["------< Global definitions >------"]

    def line(label: str, value: object) -> None:
        lines.append(f" {label} = {value}")

    line("Network namespace", settings.net_namespace or "(default)")
    if settings.instance:
        line("Instance name", settings.instance)
    if settings.use_pid_dir:
        lines.append(" Use pid directory")
    if settings.router_id:
        line("Router ID", settings.router_id)
    if mail.server:
        line("Smtp server", mail.server)
        line("Smtp server port", mail.port)
        line("Smtp HELO name", mail.helo_name or "")
        line("Smtp server connection timeout", mail.connect_timeout_us // SECOND_US)
    if mail.sender:
        line("Email notification from", mail.sender)
    for recipient in mail.recipients:
        line("Email notification", recipient)
    line("Checkers log all failures", _truth(settings.checker_log_all_failures))
    line("Dynamic interfaces", _truth(settings.dynamic_interfaces))
    line("LVS flush", _truth(settings.lvs_flush))
    line("LVS flush on stop", settings.lvs_flush_on_stop or "disabled")
    line("VRRP IPv4 mcast group", settings.multicast_group4)
    line("VRRP IPv6 mcast group", settings.multicast_group6)
    line("VRRP process priority", settings.vrrp_priority or 0)
    line("VRRP don't swap", _truth(settings.vrrp_no_swap))
    line("VRRP realtime priority", settings.vrrp_rt_priority or 0)
    line("Checker process priority", settings.checker_priority or 0)
    line("Checker don't swap", _truth(settings.checker_no_swap))
    line("Checker realtime priority", settings.checker_rt_priority or 0)
    lines.append(f" Script security {'enabled' if settings.enable_script_security else 'disabled'}")
    if settings.script_user is not None:
        line("Default script uid:gid", f"{settings.script_user.uid}:{settings.script_user.gid}")
    line("rs_init_notifies", int(settings.rs_init_notifies))
    line("umask", f"{0o177 if settings.umask is None else settings.umask:04o}")
    return "\n".join(lines) + "\n"


def _truth(value: bool) -> str:
    return "true" if value else "false"

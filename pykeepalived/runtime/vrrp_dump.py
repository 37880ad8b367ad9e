"""The status for `keepalivedctl`, keepalived.stats and keepalived.json.

Labels, order and number formats are those that programs already read (keepalived-behaviour section 5).
"""

from __future__ import annotations

import json as json_module
from collections.abc import Iterable
from typing import Any

from pykeepalived.model.common import Family
from pykeepalived.model.vrrp import VrrpInstance, VrrpState
from pykeepalived.netio.links import Link
from pykeepalived.runtime.vrrp_data_routing import route_text, rule_text
from pykeepalived.runtime.vrrp_json_processes import process_objects
from pykeepalived.runtime.vrrp_view import HIDDEN, View, address_texts, number, script_text
from pykeepalived.units import SECOND_US
from pykeepalived.vrrp.status import InstanceStatus, ScriptStatus

# ---- status ----


def trackers_status(view: View) -> dict[str, Any]:
    """Everything in a snapshot for the control socket but instances and interfaces."""
    return {
        "groups": [
            {"name": item.name, "state": item.state.name, "members": list(item.members), "faults": list(item.faults)}
            for item in view.groups
        ],
        "scripts": [_script_status(view, item) for item in view.scripts],
        "files": [
            {"name": item.name, "path": item.path, "value": view.files[item.name]}
            for item in view.config.track_files
            if item.name in view.files
        ],
        "processes": [
            {"name": item.name, "up": item.up, "count": item.count, "waiting": item.waiting} for item in view.processes
        ],
    }


def interfaces_status(links: Iterable[Link]) -> list[dict[str, Any]]:
    return [{"name": link.name, "up": link.up, "mac": link.mac.hex(":")} for link in links]


def instance_status(
    view: View, item: InstanceStatus, instance: VrrpInstance, standby_until: float | None
) -> dict[str, Any]:
    """One instance but for its counters, which `vrrp_status` adds. `standby_until`: when it resumes by itself."""
    return {
        "name": item.name,
        "vrid": item.vrid,
        "interface": item.interface,
        "family": "IPv6" if item.family is Family.INET6 else "IPv4",
        "version": instance.version,
        "state": "STANDBY" if item.standby and item.state is VrrpState.BACKUP else item.state.name,
        "standby": item.standby,
        "standby_until": standby_until,
        "wanted": item.wanted.name,
        "base_priority": item.base_priority,
        "effective_priority": item.effective_priority,
        "master_priority": item.master_priority,
        "master_address": item.master_address,
        "source": item.source,
        "advert_interval_us": instance.advert_interval_us,
        "garp_delay_us": instance.garp.delay_us,
        "master_interval_us": item.master_interval_us,
        "last_transition": round(view.epoch_s(item.last_transition_us), 6),
        "group": item.group,
        "faults": list(item.faults),
        "unicast_peers": [peer.address for peer in instance.unicast_peers],
        "addresses": [
            {
                "address": str(entry.prefix),
                "interface": entry.dev or instance.interface,
                "set": text.endswith(" set"),
                "excluded": number >= len(instance.addresses),
            }
            for number, (entry, text) in enumerate(
                zip(
                    (*instance.addresses, *instance.excluded_addresses),
                    address_texts(view, instance, (*instance.addresses, *instance.excluded_addresses)),
                    strict=True,
                )
            )
        ],
    }


def _script_status(view: View, item: ScriptStatus) -> dict[str, Any]:
    next_s = None if item.next_run_us is None else round((item.next_run_us - view.now_us) / SECOND_US, 3)
    return {
        "name": item.name,
        "up": item.up,
        "last_status": item.last_status,
        "timed_out": item.timed_out,
        "running": item.running,
        "runs": item.runs,
        "skipped": item.skipped,
        "next_run_s": next_s,
    }


# ---- keepalived.stats ----


def stats(view: View) -> str:
    """keepalived.stats (keepalived-behaviour 5.1)."""
    lines: list[str] = []
    for item in view.instances:
        count = view.counters(item)
        lines += [
            f"VRRP Instance: {item.name}",
            "  Advertisements:",
            f"    Received: {count['advert_rcvd']}",
            f"    Sent: {count['advert_sent']}",
            f"  Became master: {count['become_master']}",
            f"  Released master: {count['release_master']}",
            "  Packet Errors:",
            f"    Length: {count['packet_len_err']}",
            f"    TTL: {count['ip_ttl_err']}",
            f"    Invalid Type: {count['invalid_type_rcvd']}",
            f"    Advertisement Interval: {count['advert_interval_err']}",
            f"    Address List: {count['addr_list_err']}",
            "  Authentication Errors:",
            f"    Invalid Type: {count['invalid_authtype']}",
            f"    Type Mismatch: {count['authtype_mismatch']}",
            f"    Failure: {count['auth_failure']}",
            "  Authentication Extension Errors:",
            f"    Missing: {count['auth_ext_missing']}",
            f"    Malformed: {count['auth_ext_malformed']}",
            f"    Unknown Key: {count['auth_ext_unknown_key']}",
            f"    Invalid HMAC: {count['auth_ext_invalid_hmac']}",
            f"    Stale: {count['auth_ext_stale']}",
            f"    Replay: {count['auth_ext_replay']}",
            "  Priority Zero:",
            f"    Received: {count['pri_zero_rcvd']}",
            f"    Sent: {count['pri_zero_sent']}",
        ]
    return "".join(f"{line}\n" for line in lines)


# ---- keepalived.json ----


def json(view: View) -> str | None:
    """keepalived.json, version 1 or 2 (keepalived-behaviour 5.2); None without an instance: no file is written then."""
    configs = view.by_name()
    found = [
        {"data": _json_data(view, item, configs[item.name]), "stats": view.counters(item)} for item in view.instances
    ]
    if not found:
        return None
    whole: Any = found
    if view.config.globals.daemon.json_version == 2:
        whole = {"vrrp": found, "track_process": process_objects(view)}
    return json_module.dumps(whole, separators=(",", ":"), ensure_ascii=False).replace("/", "\\/") + "\n"


def _json_data(view: View, item: InstanceStatus, instance: VrrpInstance) -> dict[str, Any]:
    garp = instance.garp
    found: dict[str, Any] = {
        "iname": item.name,
        "dont_track_primary": int(instance.dont_track_primary),
        "skip_check_adv_addr": int(instance.skip_check_adv_addr),
        "strict_mode": int(instance.strict),
        # Present and empty without a VMAC, as 2.2.7 writes it; readers expect the key.
        "vmac_ifname": (instance.vmac.ifname or "") if instance.vmac else "",
        "ifp_ifname": (instance.vmac.ifname if instance.vmac else None) or item.interface or "",
        "master_priority": item.heard_priority,
        "last_transition": round(view.epoch_s(item.last_transition_us), 6),
        "garp_delay": number(garp.delay_us / SECOND_US),
        "garp_refresh": garp.refresh_us // SECOND_US,
        "garp_rep": garp.repeat,
        "garp_refresh_rep": garp.refresh_repeat,
        "garp_lower_prio_delay": garp.lower_prio_delay_us // SECOND_US,
        "garp_lower_prio_rep": garp.lower_prio_repeat,
        "lower_prio_no_advert": int(instance.lower_prio_no_advert),
        "higher_prio_send_advert": int(instance.higher_prio_send_advert is True),
        "vrid": item.vrid,
        "base_priority": item.base_priority,
        "effective_priority": item.effective_priority,
        "vipset": item.addresses_set,
        "promote_secondaries": instance.promote_secondaries,
        "adver_int": number(instance.advert_interval_us / SECOND_US),
        "master_adver_int": number(item.master_interval_us / SECOND_US),
        "accept": int(instance.accept),
        "nopreempt": instance.nopreempt,
        "preempt_delay": instance.preempt_delay_us // SECOND_US,  # whole seconds, as both versions write it
        "state": int(item.state),
        "wantstate": int(item.wanted),
        "version": instance.version,
        "smtp_alert": instance.smtp_alert,
        "notify_deleted": instance.use_deleted_state,
    }
    scripts = {
        "script_backup": instance.notify_backup,
        "script_master": instance.notify_master,
        "script_fault": instance.notify_fault,
        "script_stop": instance.notify_stop,
        "script_deleted": instance.notify_deleted,
        "script": instance.notify,
        "script_master_rx_lower_pri": instance.notify_master_rx_lower_pri,
    }
    found |= {key: script_text(script) for key, script in scripts.items() if script is not None}
    commands = {script.name: script.script for script in view.config.scripts}
    lists: dict[str, list[str]] = {
        "vips": address_texts(view, instance, instance.addresses),
        "evips": address_texts(view, instance, instance.excluded_addresses),
        "vroutes": [route_text(route) for route in instance.routes],
        "vrules": [rule_text(rule) for rule in instance.rules],
        "track_ifp": [tracker.ifname for tracker in instance.track_interfaces],
        "track_script": [
            script_text(commands[tracker.name]) for tracker in instance.track_scripts if tracker.name in commands
        ],
        "track_process": [tracker.name for tracker in instance.track_processes],
    }
    found |= {key: values for key, values in lists.items() if values}
    found["auth_type"] = int(instance.authentication.type) if instance.authentication else 0
    if instance.authentication:
        found["auth_data"] = HIDDEN
    return found

"""What the VRRP process says about itself: the status for `keepalivedctl`, and keepalived's three dump texts.

Labels, order and number formats are those that programs already read (keepalived-behaviour section 5). A password is
never written out; its place holds `********` as in keepalived 2.4.3.
"""

from __future__ import annotations

import json as json_module
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from pykeepalived.model.common import Family, Script, family_of
from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import TrackedScript, VirtualAddress, VrrpInstance, VrrpState
from pykeepalived.netio.links import Link
from pykeepalived.netio.sockets import Place
from pykeepalived.runtime.vrrp_journal import Entry
from pykeepalived.units import MILLISECOND_US, SECOND_US
from pykeepalived.vrrp.events import GroupStatus, InstanceStats, InstanceStatus, ScriptStatus
from pykeepalived.vrrp.timers import master_down_us

_SCOPES: Final = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
#: Counters of the authentication extension stand between these two in keepalived 2.4.3's JSON.
_EXTENSION: Final = (
    "auth_ext_missing",
    "auth_ext_malformed",
    "auth_ext_unknown_key",
    "auth_ext_invalid_hmac",
    "auth_ext_stale",
    "auth_ext_replay",
)
_COUNTERS: Final = (
    "advert_rcvd",
    "advert_sent",
    "become_master",
    "release_master",
    "packet_len_err",
    "advert_interval_err",
    "ip_ttl_err",
    "invalid_type_rcvd",
    "addr_list_err",
    "invalid_authtype",
    "authtype_mismatch",
    "auth_failure",
    *_EXTENSION,
    "pri_zero_rcvd",
    "pri_zero_sent",
)
_AUTH_WORDS: Final = {0: "none", 1: "SIMPLE_PASSWORD", 2: "IPSEC_AH"}
_HIDDEN: Final = "********"


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is shown, at one instant."""

    config: Config
    instances: tuple[InstanceStatus, ...]
    groups: tuple[GroupStatus, ...]
    scripts: tuple[ScriptStatus, ...]
    links: tuple[Link, ...]
    held: frozenset[Entry]
    places: Mapping[str, Place]
    """Where each instance listens."""
    descriptors: Mapping[Place, tuple[int, int]]
    baseline: Mapping[str, Mapping[str, int]]
    """Counters at the last `stats_clear`."""
    now_us: int

    def by_name(self) -> dict[str, VrrpInstance]:
        return {item.name: item for item in self.config.instances}

    def counters(self, status: InstanceStatus) -> dict[str, int]:
        """The counters of an instance since they were last cleared."""
        before = self.baseline.get(status.name, {})
        return {name: value - before.get(name, 0) for name, value in counters(status.stats).items()}

    def epoch_s(self, instant_us: int) -> float:
        """An instant of the monotonic clock as seconds since 1970."""
        return time.time() - (self.now_us - instant_us) / SECOND_US


def counters(stats: InstanceStats) -> dict[str, int]:
    """All counters by the names of keepalived.json, in its order."""
    return {name: getattr(stats, name, 0) for name in _COUNTERS}


# ---- words that all three share ----


def address_text(address: VirtualAddress, interface: str | None, *, held: bool) -> str:
    """One address as in the dumps: `10.0.0.9/24 brd 10.0.0.255 dev eth0 scope global label eth0:1 set`."""
    family = family_of(address.prefix.address)
    whole = 128 if family is Family.INET6 else 32
    words = [address.prefix.address if address.prefix.length == whole else str(address.prefix)]
    if address.peer is not None:
        words += ["peer", str(address.peer)]
    if address.broadcast is not None:
        words += ["brd", address.broadcast]
    words += ["dev", address.dev or interface or "none", "scope", _SCOPES.get(address.scope, str(address.scope))]
    if address.label is not None:
        words += ["label", address.label]
    if family is Family.INET6:
        words += _lifetime_words(address)
    if held:
        words.append("set")
    return " ".join(words)


def _lifetime_words(address: VirtualAddress) -> list[str]:
    preferred_s = address.preferred_lft_s
    if preferred_s is None:
        return ["deprecated"] if address.prefix.length == 128 else ["preferred_lft", "forever"]
    return ["deprecated"] if preferred_s == 0 else ["preferred_lft", str(preferred_s)]


def _address_texts(view: View, instance: VrrpInstance, addresses: Iterable[VirtualAddress]) -> list[str]:
    found = []
    for item in addresses:
        length = (item.peer or item.prefix).length
        entry = Entry(item.dev or instance.interface or "", item.prefix.address, length)
        found.append(address_text(item, instance.interface, held=entry in view.held))
    return found


def _script_text(script: Script) -> str:
    return " ".join(f"'{word}'" for word in script.argv)


def _number(value: float) -> int | float:
    """Whole numbers without a point, as keepalived's JSON writer prints them."""
    return int(value) if value == int(value) else round(value, 6)


# ---- status ----


def status(view: View) -> dict[str, Any]:
    """The snapshot for the control socket."""
    configs = view.by_name()
    return {
        "instances": [_instance_status(view, item, configs[item.name]) for item in view.instances],
        "groups": [
            {"name": item.name, "state": item.state.name, "members": list(item.members), "faults": list(item.faults)}
            for item in view.groups
        ],
        "scripts": [_script_status(view, item) for item in view.scripts],
        "interfaces": [{"name": link.name, "up": link.up, "mac": link.mac.hex(":")} for link in view.links],
    }


def _instance_status(view: View, item: InstanceStatus, instance: VrrpInstance) -> dict[str, Any]:
    return {
        "name": item.name,
        "vrid": item.vrid,
        "interface": item.interface,
        "family": "IPv6" if item.family is Family.INET6 else "IPv4",
        "version": instance.version,
        "state": item.state.name,
        "wanted": item.wanted.name,
        "base_priority": item.base_priority,
        "effective_priority": item.effective_priority,
        "master_priority": item.master_priority,
        "master_address": item.master_address,
        "source": item.source,
        "advert_interval_us": instance.advert_interval_us,
        "master_interval_us": item.master_interval_us,
        "last_transition": round(view.epoch_s(item.last_transition_us), 6),
        "group": item.group,
        "faults": list(item.faults),
        "unicast_peers": [peer.address for peer in instance.unicast_peers],
        "addresses": [
            {"address": str(entry.prefix), "interface": entry.dev or instance.interface, "set": text.endswith(" set")}
            for entry, text in zip(
                (*instance.addresses, *instance.excluded_addresses),
                _address_texts(view, instance, (*instance.addresses, *instance.excluded_addresses)),
                strict=True,
            )
        ],
        "stats": {**view.counters(item), "refusals": dict(item.stats.refusals)},
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
    """keepalived.json, version 1 (keepalived-behaviour 5.2); None without an instance: no file is written then."""
    configs = view.by_name()
    found = [
        {"data": _json_data(view, item, configs[item.name]), "stats": view.counters(item)} for item in view.instances
    ]
    if not found:
        return None
    return json_module.dumps(found, separators=(",", ":"), ensure_ascii=False).replace("/", "\\/") + "\n"


def _json_data(view: View, item: InstanceStatus, instance: VrrpInstance) -> dict[str, Any]:
    garp = instance.garp
    found: dict[str, Any] = {
        "iname": item.name,
        "dont_track_primary": int(instance.dont_track_primary),
        "skip_check_adv_addr": int(instance.skip_check_adv_addr),
        "strict_mode": int(instance.strict),
        # Present and empty without a VMAC, as 2.2.7 writes it; readers expect the key.
        "vmac_ifname": (instance.vmac.ifname or "") if instance.vmac else "",
        "ifp_ifname": item.interface or "",
        "master_priority": item.master_priority,
        "last_transition": round(view.epoch_s(item.last_transition_us), 6),
        "garp_delay": _number(garp.delay_us / SECOND_US),
        "garp_refresh": garp.refresh_us // SECOND_US,
        "garp_rep": garp.repeat,
        "garp_refresh_rep": garp.refresh_repeat,
        "garp_lower_prio_delay": garp.lower_prio_delay_us // SECOND_US,
        "garp_lower_prio_rep": garp.lower_prio_repeat,
        "lower_prio_no_advert": int(instance.lower_prio_no_advert),
        "higher_prio_send_advert": int(instance.higher_prio_send_advert),
        "vrid": item.vrid,
        "base_priority": item.base_priority,
        "effective_priority": item.effective_priority,
        "vipset": item.addresses_set,
        "promote_secondaries": instance.promote_secondaries,
        "adver_int": _number(instance.advert_interval_us / SECOND_US),
        "master_adver_int": _number(item.master_interval_us / SECOND_US),
        "accept": int(instance.accept),
        "nopreempt": instance.nopreempt,
        "preempt_delay": _number(instance.preempt_delay_us / SECOND_US),
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
    found |= {key: _script_text(script) for key, script in scripts.items() if script is not None}
    commands = {script.name: script.script for script in view.config.scripts}
    lists: dict[str, list[str]] = {
        "vips": _address_texts(view, instance, instance.addresses),
        "evips": _address_texts(view, instance, instance.excluded_addresses),
        "vroutes": [" ".join(route.words) for route in instance.routes],
        "vrules": [" ".join(rule.words) for rule in instance.rules],
        "track_ifp": [tracker.ifname for tracker in instance.track_interfaces],
        "track_script": [
            _script_text(commands[tracker.name]) for tracker in instance.track_scripts if tracker.name in commands
        ],
        "track_process": [tracker.name for tracker in instance.track_processes],
    }
    found |= {key: values for key, values in lists.items() if values}
    found["auth_type"] = int(instance.authentication.type) if instance.authentication else 0
    if instance.authentication:
        found["auth_data"] = _HIDDEN
    return found


# ---- keepalived.data ----


def data(view: View) -> str:
    """The sections of keepalived.data that the VRRP process knows (keepalived-behaviour 5.3)."""
    sections = [
        ("Global definitions", _global_lines(view.config)),
        ("VRRP Topology", _topology_lines(view)),
        ("VRRP Sockpool", _sockpool_lines(view)),
        ("VRRP Sync groups", _group_lines(view)),
        ("VRRP Scripts", _script_lines(view)),
        ("Interfaces", _interface_lines(view.links)),
    ]
    lines: list[str] = []
    for title, found in sections:
        inside = list(found)
        if inside:
            lines += [f"------< {title} >------", *inside]
    return "".join(f"{line}\n" for line in lines)


def _yes(value: bool) -> str:
    return "true" if value else "false"


def _on(value: bool) -> str:
    return "enabled" if value else "disabled"


def _global_lines(config: Config) -> Iterator[str]:
    settings = config.globals
    yield f" Network namespace = {settings.net_namespace or '(default)'}"
    if settings.router_id is not None:
        yield f" Router ID = {settings.router_id}"
    yield f" Dynamic interfaces = {_yes(settings.dynamic_interfaces)}"
    yield f" VRRP IPv4 mcast group = {settings.multicast_group4}"
    yield f" VRRP IPv6 mcast group = {settings.multicast_group6}"
    yield f" Script security {_on(settings.enable_script_security)}"
    if settings.script_user is not None:
        yield f" Default script uid:gid {settings.script_user.uid}:{settings.script_user.gid}"


def _topology_lines(view: View) -> Iterator[str]:
    configs = view.by_name()
    for item in view.instances:
        instance = configs[item.name]
        yield f" VRRP Instance = {item.name}"
        for line in (
            *_state_lines(view, item, instance),
            *_settings_lines(item, instance),
            *_list_lines(view, instance),
            *_tail_lines(view, item, instance),
        ):
            yield f"   {line}"


def _state_lines(view: View, item: InstanceStatus, instance: VrrpInstance) -> Iterator[str]:
    yield f"VRRP Version = {instance.version}"
    if item.family is Family.INET6:
        yield "Using Native IPv6"
    if item.group:
        yield f"Sync group = {item.group}"
    yield f"State = {item.state.name}"
    if instance.unicast_peers:
        yield "Flags:"
        yield "  Using unicast"
    else:
        yield "Flags: none"
    yield f"Wantstate = {item.wanted.name}"
    if item.state is VrrpState.BACKUP and item.master_address:
        yield f"Master router = {item.master_address}"
        yield f"Master priority = {item.master_priority}"
    yield f"Number of interface and track script faults = {len(item.faults)}"
    yield f"Last transition = {_instant(view.epoch_s(item.last_transition_us))}"
    down_us = master_down_us(
        instance.version, item.effective_priority, item.master_interval_us, instance.down_timer_adverts
    )
    yield f"Master down timer = {down_us} usecs"
    yield f"Interface = {item.interface or 'none'}"
    origin = " (from configuration)" if instance.source else ""
    yield f"Using src_ip = {item.source or 'none'}{origin}"


def _instant(epoch_s: float) -> str:
    micro = round(epoch_s * SECOND_US)
    fraction = f"{micro % SECOND_US:06d}"
    words = time.strftime("%a %b %d %H:%M:%S.{} %Y", time.localtime(micro // SECOND_US))
    return f"{micro // SECOND_US}.{fraction} ({words.format(fraction)})"


def _settings_lines(item: InstanceStatus, instance: VrrpInstance) -> Iterator[str]:
    garp = instance.garp
    yield f"Gratuitous ARP delay = {_number(garp.delay_us / SECOND_US)}"
    yield f"Gratuitous ARP repeat = {garp.repeat}"
    yield f"Gratuitous ARP refresh = {garp.refresh_us // SECOND_US}"
    yield f"Gratuitous ARP refresh repeat = {garp.refresh_repeat}"
    yield f"Gratuitous ARP lower priority delay = {_number(garp.lower_prio_delay_us / SECOND_US)}"
    yield f"Gratuitous ARP lower priority repeat = {garp.lower_prio_repeat}"
    yield f"Down timer adverts = {instance.down_timer_adverts}"
    yield f"Send advert after receive lower priority advert = {_yes(not instance.lower_prio_no_advert)}"
    yield f"Send advert after receive higher priority advert = {_yes(instance.higher_prio_send_advert)}"
    yield f"Virtual Router ID = {item.vrid}"
    yield f"Priority = {item.base_priority}"
    yield f"Effective priority = {item.effective_priority}"
    yield f"Total priority = {item.effective_priority}"
    if instance.version == 2:
        yield f"Advert interval = {instance.advert_interval_us // SECOND_US} sec"
    else:
        yield f"Advert interval = {instance.advert_interval_us // MILLISECOND_US} milli-sec"
        if item.master_interval_us != instance.advert_interval_us:
            yield f"Master advert interval = {item.master_interval_us // MILLISECOND_US} milli-sec"
    yield f"Accept = {_on(instance.accept)}"
    yield f"Preempt = {_on(not instance.nopreempt)}"
    if instance.preempt_delay_us:
        yield f"Preempt delay = {_number(instance.preempt_delay_us / SECOND_US)} secs"
    yield f"Promote_secondaries = {_on(instance.promote_secondaries)}"
    if instance.authentication:
        yield f"Authentication type = {_AUTH_WORDS[int(instance.authentication.type)]}"
        yield f"Password = {_HIDDEN}"


def _list_lines(view: View, instance: VrrpInstance) -> Iterator[str]:
    yield from _block(
        f"Tracked interfaces = {len(instance.track_interfaces)} :",
        [f"{tracker.ifname} weight {tracker.weight}" for tracker in instance.track_interfaces],
    )
    yield from _block(
        f"Tracked scripts = {len(instance.track_scripts)} :",
        [_tracked_script(view, item) for item in instance.track_scripts],
    )
    yield from _block(f"Virtual IP ({len(instance.addresses)}):", _address_texts(view, instance, instance.addresses))
    yield from _block("Virtual IP Excluded :", _address_texts(view, instance, instance.excluded_addresses))
    yield from _block("Virtual Routes :", [" ".join(route.words) for route in instance.routes])
    yield from _block("Virtual Rules :", [" ".join(rule.words) for rule in instance.rules])
    if instance.unicast_peers:
        yield f"Unicast TTL = {instance.unicast_ttl}"
        yield f"Check unicast src : {'yes' if instance.check_unicast_src else 'no'}"
        yield from _block(
            "Unicast Peer :",
            [f"{peer.address} min_ttl {peer.min_ttl} max_ttl {peer.max_ttl}" for peer in instance.unicast_peers],
        )


def _tracked_script(view: View, tracked: TrackedScript) -> str:
    weights = {script.name: script.weight for script in view.config.scripts}
    weight = weights.get(tracked.name, 0) if tracked.weight is None else tracked.weight
    return f"{tracked.name} weight {weight}{' reverse' if tracked.reverse else ''}"


def _block(title: str, members: Sequence[str]) -> Iterator[str]:
    if members:
        yield title
        yield from (f"  {member}" for member in members)


def _tail_lines(view: View, item: InstanceStatus, instance: VrrpInstance) -> Iterator[str]:
    place = view.places.get(item.name)
    if place is not None and place in view.descriptors:
        receiving, sending = view.descriptors[place]
        yield f"fd_in {receiving}, fd_out {sending}"
    yield f"Using smtp notification = {'yes' if instance.smtp_alert else 'no'}"
    yield f"Notify deleted = {'Deleted' if instance.use_deleted_state else 'Fault'}"
    titles = (
        ("Backup state transition", instance.notify_backup),
        ("Master state transition", instance.notify_master),
        ("Fault state transition", instance.notify_fault),
        ("Stop state transition", instance.notify_stop),
        ("Deleted state transition", instance.notify_deleted),
        ("Generic state transition", instance.notify),
    )
    for title, script in titles:
        if script is not None:
            owner = f", uid:gid {script.user.uid}:{script.user.gid}" if script.user else ""
            yield f"{title} script = {_script_text(script)}{owner}"
    yield f"Notify priority changes = {_yes(instance.notify_priority_changes)}"


def _sockpool_lines(view: View) -> Iterator[str]:
    members: dict[Place, list[str]] = {}
    vrids = {item.name: item.vrid for item in view.instances}
    for name, place in view.places.items():
        members.setdefault(place, []).append(f"     {name} vrid {vrids.get(name, 0)}")
    for place, lines in members.items():
        if place not in view.descriptors:
            continue
        receiving, sending = view.descriptors[place]
        yield f" fd_in {receiving} fd_out = {sending}"
        yield f"   Interface = {place.ifname or 'any'}"
        yield f"   Family = {'IPv6' if place.family is Family.INET6 else 'IPv4'}"
        yield "   Protocol = VRRP"
        yield "   VRRP instances"
        yield from lines


def _group_lines(view: View) -> Iterator[str]:
    for group in view.groups:
        yield f" VRRP Sync Group = {group.name}, {group.state.name}"
        yield "   VRRP member instances :"
        yield from (f"     {member}" for member in group.members)


def _script_lines(view: View) -> Iterator[str]:
    configs = {script.name: script for script in view.config.scripts}
    for item in view.scripts:
        script = configs[item.name]
        yield f" VRRP Script = {item.name}"
        yield f"   Command = {_script_text(script.script)}"
        yield f"   Interval = {_number(script.interval_us / SECOND_US)} sec"
        yield f"   Timeout = {_number((script.timeout_us or script.interval_us) / SECOND_US)} sec"
        yield f"   Weight = {script.weight}{' reverse' if script.reverse else ''}"
        yield f"   Rise = {script.rise}"
        yield f"   Fall = {script.fall}"
        words = {None: "INIT", True: "GOOD", False: "BAD"}
        yield f"   Status = {words[item.up]}"
        yield f"   State = {'running' if item.running else 'idle'}"


def _interface_lines(links: Iterable[Link]) -> Iterator[str]:
    for link in links:
        yield f" Name = {link.name}"
        yield f"   index = {link.index}"
        if link.mac:
            yield f"   MAC = {link.mac.hex(':')}"
        yield f"   State = {'UP, RUNNING' if link.up else 'DOWN'}"
        yield f"   MTU = {link.mtu}"

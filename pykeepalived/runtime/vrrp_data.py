"""keepalived.data: the sections that the VRRP process knows (keepalived-behaviour 5.3)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from pykeepalived.model.common import Family
from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import TrackedScript, VrrpInstance, VrrpState
from pykeepalived.netio.links import Link
from pykeepalived.netio.sockets import Place
from pykeepalived.runtime import tracker_data
from pykeepalived.runtime.vrrp_view import HIDDEN, View, address_texts, number, script_text
from pykeepalived.units import MILLISECOND_US, SECOND_US
from pykeepalived.vrrp.events import InstanceStatus
from pykeepalived.vrrp.timers import master_down_us

_AUTH_WORDS: Final = {0: "none", 1: "SIMPLE_PASSWORD", 2: "IPSEC_AH"}


def data(view: View) -> str:
    """The sections of keepalived.data that the VRRP process knows (keepalived-behaviour 5.3)."""
    sections = [
        ("Global definitions", _global_lines(view.config)),
        ("VRRP Topology", _topology_lines(view)),
        ("VRRP Sockpool", _sockpool_lines(view)),
        ("VRRP Sync groups", _group_lines(view)),
        ("VRRP Scripts", _script_lines(view)),
        ("VRRP Track files", tracker_data.file_lines(view)),
        ("VRRP Track processes", tracker_data.process_lines(view)),
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
    yield f"Gratuitous ARP delay = {number(garp.delay_us / SECOND_US)}"
    yield f"Gratuitous ARP repeat = {garp.repeat}"
    yield f"Gratuitous ARP refresh = {garp.refresh_us // SECOND_US}"
    yield f"Gratuitous ARP refresh repeat = {garp.refresh_repeat}"
    yield f"Gratuitous ARP lower priority delay = {number(garp.lower_prio_delay_us / SECOND_US)}"
    yield f"Gratuitous ARP lower priority repeat = {garp.lower_prio_repeat}"
    yield f"Down timer adverts = {instance.down_timer_adverts}"
    yield f"Send advert after receive lower priority advert = {_yes(not instance.lower_prio_no_advert)}"
    yield f"Send advert after receive higher priority advert = {_yes(instance.higher_prio_send_advert is True)}"
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
        yield f"Preempt delay = {number(instance.preempt_delay_us / SECOND_US)} secs"
    yield f"Promote_secondaries = {_on(instance.promote_secondaries)}"
    if instance.authentication:
        yield f"Authentication type = {_AUTH_WORDS[int(instance.authentication.type)]}"
        yield f"Password = {HIDDEN}"


def _list_lines(view: View, instance: VrrpInstance) -> Iterator[str]:
    yield from _block(
        f"Tracked interfaces = {len(instance.track_interfaces)} :",
        [f"{tracker.ifname} weight {tracker.weight}" for tracker in instance.track_interfaces],
    )
    yield from _block(
        f"Tracked scripts = {len(instance.track_scripts)} :",
        [_tracked_script(view, item) for item in instance.track_scripts],
    )
    yield from tracker_data.tracked_lines(view, instance)
    yield from _block(f"Virtual IP ({len(instance.addresses)}):", address_texts(view, instance, instance.addresses))
    yield from _block("Virtual IP Excluded :", address_texts(view, instance, instance.excluded_addresses))
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
            yield f"{title} script = {script_text(script)}{owner}"
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
        yield f"   Protocol = {'AH' if place.protocol == 51 else 'VRRP'}"
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
        yield f"   Command = {script_text(script.script)}"
        yield f"   Interval = {number(script.interval_us / SECOND_US)} sec"
        yield f"   Timeout = {number((script.timeout_us or script.interval_us) / SECOND_US)} sec"
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

"""keepalived.data: one vrrp_instance, in the lines and the order of keepalived 2.4.3 (keepalived-behaviour 5.3)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final

from pykeepalived.model.common import Family, Script
from pykeepalived.model.vrrp import SyncGroup, TrackedInterface, TrackedScript, VrrpInstance, VrrpState
from pykeepalived.runtime import tracker_data
from pykeepalived.runtime.vrrp_data_routing import route_text, rule_text
from pykeepalived.runtime.vrrp_view import HIDDEN, View, address_texts, number, script_text
from pykeepalived.units import MILLISECOND_US, SECOND_US
from pykeepalived.vrrp.status import InstanceStatus
from pykeepalived.vrrp.timers import master_down_us

_AUTH_WORDS: Final = {0: "none", 1: "SIMPLE_PASSWORD", 2: "IPSEC_AH"}
_OWNER: Final = 255
_CHECKSUMS: Final = {None: "no", "always": "config"}


def instances(view: View) -> Iterator[str]:
    """All instances in file order."""
    configs = view.by_name()
    for item in view.instances:
        instance = configs[item.name]
        yield f" VRRP Instance = {item.name}"
        for line in (
            *_state_lines(view, item, instance),
            *_place_lines(view, item, instance),
            *_garp_lines(instance),
            *_settings_lines(view, item, instance),
            *_list_lines(view, instance),
            *_tail_lines(view, item, instance),
        ):
            yield f"   {line}"


def _yes(value: bool) -> str:
    return "true" if value else "false"


def _on(value: bool) -> str:
    return "enabled" if value else "disabled"


def _state_lines(view: View, item: InstanceStatus, instance: VrrpInstance) -> Iterator[str]:
    yield f"VRRP Version = {instance.version}"
    if item.family is Family.INET6:
        yield "Using Native IPv6"
    if item.group:
        yield f"Sync group = {item.group}"
    yield f"State = {item.state.name}"
    if item.state is VrrpState.BACKUP:
        yield f"Master router = {item.master_address or '(none)'}"
        yield f"Master priority = {item.master_priority if item.master_address else 0}"
        if instance.version != 2:
            yield f"Master advert interval = {item.master_interval_us // MILLISECOND_US} milli-sec"
    if instance.unicast_peers:
        yield "Flags:"
        yield "  Using unicast"
    elif instance.vmac is not None:
        yield "Flags:"
    else:
        yield "Flags: none"
    yield f"Wantstate = {item.wanted.name}"
    down = [fault for fault in item.faults if fault.startswith("interface ")]
    yield "Number of config faults = 0"
    yield f"Number of tracker faults = {len(item.faults) - len(down)}"
    yield f"Flags of interface faults{':' if down else ' - (none)'}"
    yield from (f"  {fault}" for fault in down)
    waiting = {script.name for script in view.scripts if script.up is None}
    yield f"Number of track scripts init = {sum(each.name in waiting for each in instance.track_scripts)}"
    yield f"Last transition = {_instant(view.epoch_s(item.last_transition_us))}"
    due = "DISABLED" if item.timer_us is None else _instant(view.epoch_s(item.timer_us))
    yield f"Read timeout = {due}"
    down_us = master_down_us(
        instance.version, item.effective_priority, item.master_interval_us, instance.down_timer_adverts
    )
    yield f"Master down timer = {down_us} usecs"


def _instant(epoch_s: float) -> str:
    micro = round(epoch_s * SECOND_US)
    fraction = f"{micro % SECOND_US:06d}"
    words = time.strftime("%a %b %d %H:%M:%S.{} %Y", time.localtime(micro // SECOND_US))
    return f"{micro // SECOND_US}.{fraction} ({words.format(fraction)})"


def _place_lines(view: View, item: InstanceStatus, instance: VrrpInstance) -> Iterator[str]:
    settings, vmac = view.config.globals, instance.vmac
    links = {link.name: link for link in view.links}
    name = item.interface or "none"
    if instance.use_vmac_addr:
        yield "Use VMAC for VIPs on other interfaces"
    if vmac is not None and vmac.ifname is not None:
        up = vmac.ifname in links and links[vmac.ifname].up
        state = f", is_up = {_yes(up)}, xmit_base = {_yes(instance.vmac_xmit_base)}"
        yield f"Use {'VMAC' if vmac.kind == 'macvlan' else 'IPVLAN'}, i/f name {vmac.ifname}{state}"
        if vmac.mac is not None:
            yield f"  MAC = {vmac.mac.hex(':')}"
        kind = "vmac" if vmac.kind == "macvlan" else vmac.kind
        base = ", xmit base i/f" if instance.vmac_xmit_base else ""
        name = f"{vmac.ifname}, {kind} on {instance.interface}{base}"
    yield f"Interface = {name}"
    if instance.dont_track_primary:
        yield "VRRP interface tracking disabled"
    if instance.skip_check_adv_addr:
        yield "Skip checking advert IP addresses"
    if instance.strict:
        yield "Enforcing strict VRRP compliance"
    origin = " (from configuration)" if instance.source else ""
    yield f"Using src_ip = {item.source or 'none'}{origin}"
    if not instance.unicast_peers:
        six = item.family is Family.INET6
        group = instance.multicast_group or (settings.multicast_group6 if six else settings.multicast_group4)
        link = links.get(item.interface or "") if six else None
        yield f"Multicast address {group}{f', ifindex {link.index}' if link else ''}"


def _garp_lines(instance: VrrpInstance) -> Iterator[str]:
    garp = instance.garp
    yield f"Gratuitous ARP delay = {number(garp.delay_us / SECOND_US)}"
    yield f"Gratuitous ARP repeat = {garp.repeat}"
    yield f"Gratuitous ARP refresh = {garp.refresh_us // SECOND_US}"
    yield f"Gratuitous ARP refresh repeat = {garp.refresh_repeat}"
    yield f"Gratuitous ARP lower priority delay = {number(garp.lower_prio_delay_us / SECOND_US)}"
    yield f"Gratuitous ARP lower priority repeat = {garp.lower_prio_repeat}"


def _settings_lines(view: View, item: InstanceStatus, instance: VrrpInstance) -> Iterator[str]:
    yield f"Down timer adverts = {instance.down_timer_adverts}"
    yield f"Send advert after receive lower priority advert = {_yes(not instance.lower_prio_no_advert)}"
    yield f"Send advert after receive higher priority advert = {_yes(instance.higher_prio_send_advert is True)}"
    if instance.priority == _OWNER:
        yield f"Address owner ignores received adverts = {_yes(instance.owner_ignore_adverts)}"
    yield f"Virtual Router ID = {item.vrid}"
    yield f"Priority = {item.base_priority}"
    yield f"Effective priority = {item.effective_priority}"
    yield f"Total priority = {item.effective_priority}"
    if instance.version == 2:
        yield f"Advert interval = {instance.advert_interval_us // SECOND_US} sec"
    else:
        yield f"Advert interval = {instance.advert_interval_us // MILLISECOND_US} milli-sec"
    if item.state is VrrpState.MASTER and item.timer_us is not None:
        sent_us = round(view.epoch_s(item.timer_us - instance.advert_interval_us) * SECOND_US)
        yield f"Last advert sent = {sent_us // SECOND_US}.{sent_us % SECOND_US:06d}"
    yield f"Accept = {_on(instance.accept)}"
    yield f"Preempt = {_on(not instance.nopreempt)}"
    if instance.preempt_delay_us:
        yield f"Preempt delay = {number(instance.preempt_delay_us / SECOND_US)} secs"
    yield f"Promote_secondaries = {_on(instance.promote_secondaries)}"
    yield from _authentication_lines(instance)
    if instance.version == 3 and item.family is Family.INET:
        yield f"VRRPv3 uses VRRPv2 checksum = {_on(instance.v3_checksum_as_v2)}"
    if instance.kernel_rx_buf_size:
        yield f"Kernel rx buffer size = {instance.kernel_rx_buf_size}"
    if instance.debug:
        yield f"Debug level = {instance.debug}"


def _authentication_lines(instance: VrrpInstance) -> Iterator[str]:
    found = instance.authentication
    if instance.version != 2:
        return
    number_of_type = 0 if found is None else int(found.type)
    yield f"Authentication type = {_AUTH_WORDS[number_of_type]}"
    if number_of_type == 1:
        yield f"Password = {HIDDEN}"


def tracked_lines(view: View, item: VrrpInstance | SyncGroup) -> Iterator[str]:
    """The interfaces and scripts that an instance or a group follows."""
    yield from _block("Tracked interfaces :", [_tracked_interface(tracker) for tracker in item.track_interfaces])
    yield from _block("Tracked scripts :", [_tracked_script(view, tracker) for tracker in item.track_scripts])


def _tracked_interface(tracker: TrackedInterface) -> str:
    return f"{tracker.ifname} weight {tracker.weight}{' reverse' if tracker.reverse else ''}"


def _tracked_script(view: View, tracked: TrackedScript) -> str:
    weights = {script.name: script.weight for script in view.config.scripts}
    weight = weights.get(tracked.name, 0) if tracked.weight is None else tracked.weight
    return f"{tracked.name} weight {weight}{' reverse' if tracked.reverse else ''}"


def _list_lines(view: View, instance: VrrpInstance) -> Iterator[str]:
    addresses = instance.addresses
    yield from _block(f"Virtual IP ({len(addresses)}):", address_texts(view, instance, addresses))
    yield from _block("Virtual IP Excluded :", address_texts(view, instance, instance.excluded_addresses))
    if instance.unicast_peers:
        if instance.unicast_ttl and ":" not in instance.unicast_peers[0].address:
            yield f"Unicast TTL = {instance.unicast_ttl}"
        yield f"Check unicast src : {'yes' if instance.check_unicast_src else 'no'}"
        yield from _block(
            "Unicast Peer :",
            [f"{peer.address} min_ttl {peer.min_ttl} max_ttl {peer.max_ttl}" for peer in instance.unicast_peers],
        )
        checksum = instance.old_unicast_checksum
        yield f"Unicast checksum compatibility = {_CHECKSUMS.get(checksum, checksum)}"


def _block(title: str, members: Sequence[str]) -> Iterator[str]:
    if members:
        yield title
        yield from (f"  {member}" for member in members)


def _tail_lines(view: View, item: InstanceStatus, instance: VrrpInstance) -> Iterator[str]:
    place = view.places.get(item.name)
    if place is not None and place in view.descriptors:
        receiving, sending = view.descriptors[place]
        yield f"fd_in {receiving}, fd_out {sending}"
    yield from _block("Virtual Routes :", [route_text(route) for route in instance.routes])
    yield from _block("Virtual Rules :", [rule_text(rule) for rule in instance.rules])
    yield from tracked_lines(view, instance)
    yield from tracker_data.tracked_lines(view, instance)
    yield f"Using smtp notification = {'yes' if instance.smtp_alert else 'no'}"
    yield f"Notify deleted = {'Deleted' if instance.use_deleted_state else 'Fault'}"
    yield from script_lines(instance)
    yield f"Notify priority changes = {_yes(instance.notify_priority_changes)}"


def script_lines(item: VrrpInstance | SyncGroup) -> Iterator[str]:
    """What an instance or a group runs, and as whom."""
    titles: list[tuple[str, Script | None]] = [
        ("Backup state transition", item.notify_backup),
        ("Master state transition", item.notify_master),
        ("Fault state transition", item.notify_fault),
        ("Stop state transition", item.notify_stop),
    ]
    if isinstance(item, VrrpInstance):
        titles.append(("Deleted state transition", item.notify_deleted))
    titles.append(("Generic state transition", item.notify))
    if isinstance(item, VrrpInstance):
        titles.append(("Master rx lower pri state transition", item.notify_master_rx_lower_pri))
    for title, script in titles:
        if script is not None:
            owner = f", uid:gid {script.user.uid}:{script.user.gid}" if script.user else ""
            yield f"{title} script = {script_text(script)}{owner}"

"""keepalived.data: the sections that the VRRP process knows (keepalived-behaviour 5.3)."""

from __future__ import annotations

from collections.abc import Iterator

from pykeepalived.model.common import Family
from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import GarpGroup, VrrpState
from pykeepalived.netio.sockets import Place
from pykeepalived.runtime import tracker_data
from pykeepalived.runtime.global_dump import global_lines
from pykeepalived.runtime.interface_data import interface_lines
from pykeepalived.runtime.vrrp_data_instance import instances, script_lines, tracked_lines
from pykeepalived.runtime.vrrp_data_routing import static_sections
from pykeepalived.runtime.vrrp_view import View, number, script_text
from pykeepalived.units import SECOND_US


def data(view: View) -> str:
    """The sections of keepalived.data that the VRRP process knows (keepalived-behaviour 5.3)."""
    sections = [
        ("Global definitions", global_lines(view.config.globals, vrrp=True)),
        *static_sections(view),
        ("Static Track groups", _track_group_lines(view.config)),
        ("VRRP Topology", instances(view)),
        ("VRRP Sockpool", _sockpool_lines(view)),
        ("VRRP Sync groups", _group_lines(view)),
        ("VRRP Scripts", _script_lines(view)),
        ("VRRP Track files", tracker_data.file_lines(view)),
        ("VRRP Track processes", tracker_data.process_lines(view)),
        ("VRRP Track BFDs", tracker_data.bfd_lines(view)),
        *(("GARP delay group", _garp_group_lines(group)) for group in view.config.garp_groups),
        ("Interfaces", interface_lines(view)),
    ]
    lines: list[str] = []
    for title, found in sections:
        inside = list(found)
        if inside:
            lines += [f"------< {title} >------", *inside]
    return "".join(f"{line}\n" for line in lines)


def _sockpool_lines(view: View) -> Iterator[str]:
    members: dict[Place, list[str]] = {}
    vrids = {item.name: item.vrid for item in view.instances}
    configs, sizes = view.by_name(), dict[Place, int]()
    for name, place in view.places.items():
        sizes[place] = max(sizes.get(place, 0), configs[name].kernel_rx_buf_size or 0)
        members.setdefault(place, []).append(f"     {name} vrid {vrids.get(name, 0)}")
    for place, lines in members.items():
        if place not in view.descriptors:
            continue
        receiving, sending = view.descriptors[place]
        yield f" fd_in {receiving} fd_out = {sending}"
        yield f"   Interface = {place.ifname or 'any'}"
        yield f"   Family = {'IPv6' if place.family is Family.INET6 else 'IPv4'}"
        yield f"   Protocol = {'AH' if place.protocol == 51 else 'VRRP'}"
        yield f"   Type = {'Unicast' if place.local else 'Multicast'}"
        if place.local:
            yield f"   Address = {place.local}"
        yield f"   Rx buf size = {sizes.get(place, 0)}"
        yield "   VRRP instances"
        yield from lines


def _garp_group_lines(group: GarpGroup) -> Iterator[str]:
    for name, interval_us in (("GARP", group.garp_interval_us), ("GNA", group.gna_interval_us)):
        if interval_us:
            yield f" {name} interval = {interval_us / SECOND_US:.6f}"
    yield " Interfaces"
    yield from (f"  {ifname}" for ifname in group.interfaces)


def _track_group_lines(config: Config) -> Iterator[str]:
    for group in config.track_groups:
        yield f" Static Track Group = {group.name}"
        yield "   VRRP member instances :"
        yield from (f"     {name}" for name in group.instances)


def _group_lines(view: View) -> Iterator[str]:
    configs = {group.name: group for group in view.config.sync_groups}
    members = {item.name: item.state for item in view.instances}
    for item in view.groups:
        group = configs[item.name]
        yield f" VRRP Sync Group = {item.name}, {item.state.name}"
        states = [members[name] for name in item.members if name in members]
        yield f"   Num member fault {states.count(VrrpState.FAULT)}, num member init {states.count(VrrpState.INIT)}"
        yield "   VRRP member instances :"
        yield from (f"     {member}" for member in item.members)
        if group.tracking_weight:
            yield "   sync group tracking weight set"
        yield f"   Using smtp notification = {'yes' if group.smtp_alert else 'no'}"
        if group.notify_priority_changes:
            yield "   Notify priority changes = yes"
        yield from (f"   {line}" for line in tracked_lines(view, group))
        yield from (f"   {line}" for line in tracker_data.tracked_lines(view, group))
        yield from (f"   {line}" for line in script_lines(group))


def _script_lines(view: View) -> Iterator[str]:
    configs = {script.name: script for script in view.config.scripts}
    for item in view.scripts:
        script = configs[item.name]
        yield f" VRRP Script = {item.name}"
        yield f"   Command = {script_text(script.script)}"
        yield f"   Interval = {number(script.interval_us / SECOND_US)} sec"
        yield f"   Timeout = {number(script.timeout_us / SECOND_US)} sec"
        yield f"   Weight = {script.weight}{' reverse' if script.reverse else ''}"
        yield f"   Rise = {script.rise}"
        yield f"   Fall = {script.fall}"
        yield f"   Result = {item.count}"
        yield "   Insecure = no"
        yield f"   Init state = {'failed' if script.init_fail else 'INIT' if item.up is None else 'unknown'}"
        yield f"   Status = {'GOOD' if item.up else 'BAD'}"
        if script.script.user is not None:
            yield f"   Script uid:gid = {script.script.user.uid}:{script.script.user.gid}"
        yield "   VRRP instances :"
        yield from (f" {line}" for line in tracker_data.users(view, "track_scripts", script.name, script))
        yield f"   State = {'running' if item.running else 'idle'}"

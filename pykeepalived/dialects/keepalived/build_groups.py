"""vrrp_sync_group: members, their trackers, and what a group changes in its members (keepalived-behaviour 7.8)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from pykeepalived.dialects.keepalived.build_trackers import Trackers
from pykeepalived.dialects.keepalived.context import Context
from pykeepalived.dialects.keepalived.drafts import Draft
from pykeepalived.dialects.keepalived.scripts import Scripts
from pykeepalived.model import SyncGroup, TrackedInterface, TrackedScript, VrrpInstance

_SCRIPTS: Final = ("notify_master", "notify_backup", "notify_fault", "notify_stop", "notify")


def build_groups(
    context: Context, root: Draft, instances: dict[str, VrrpInstance], scripts: Scripts, trackers: Trackers
) -> tuple[SyncGroup, ...]:
    """All groups that have members. `instances` is changed where a group takes weights from a member's trackers."""
    settings = root.get("globals") or Draft(None)
    taken: dict[str, str] = {}
    groups: list[SyncGroup] = []
    declared = {instance.name for instance in root.get("instances", ())}
    for draft in root.get("sync_groups", ()):
        members = _members(context, draft, instances, taken, declared)
        # A name that was refused has its finding; that few are left follows from it.
        all_taken = len(members) == len(draft.get("group", ()))
        if not members:
            if all_taken:
                context.error(
                    "empty-group", f"sync group `{draft.name}` has no members, it is left out", draft.statement, 1
                )
            continue
        if len(members) == 1 and all_taken:
            context.warning(
                "single-member", f"sync group `{draft.name}` has one member only: {members[0]}", draft.statement, 1
            )
        alert = settings.get("smtp_alert_vrrp", settings.get("smtp_alert", False))
        values: dict[str, Any] = {field: scripts.resolve(draft.get(field)) for field in _SCRIPTS}
        values |= trackers.references(draft, f"sync group `{draft.name}`")
        _check_interfaces(context, draft, dynamic="dynamic_interfaces" in settings.values)
        group = SyncGroup(
            name=draft.name,
            members=tuple(members),
            tracking_weight=draft.get("tracking_weight", False),
            smtp_alert=draft.get("smtp_alert", alert),
            notify_priority_changes=draft.get(
                "notify_priority_changes", settings.get("notify_priority_changes", False)
            ),
            **values,
        )
        for name in members:
            _tracked_on_both(context, draft, group, instances[name])
            instances[name] = _with_joint_weights(group, instances[name], trackers)
        if not group.tracking_weight:
            for name in members:
                instances[name] = _without_weights(context, draft, instances[name], trackers)
        if group.notify_priority_changes:
            for name in members:
                instances[name] = msgspec.structs.replace(instances[name], notify_priority_changes=True)
        groups.append(group)
    return tuple(groups)


def _check_interfaces(context: Context, draft: Draft, *, dynamic: bool) -> None:
    known = context.host.interfaces()
    for entry in draft.get("track_interface", ()):
        name = entry.values["name"]
        if known is not None and not dynamic and name not in known:
            context.error(
                "no-such-interface",
                f"sync group `{draft.name}`: there is no interface `{name}`",
                entry.statement,
                entry.places["name"],
                help="with `dynamic_interfaces` in global_defs it may come later",
            )


def _tracked_on_both(context: Context, draft: Draft, group: SyncGroup, instance: VrrpInstance) -> None:
    """What the group tracks, its members track; saying it twice is reported."""
    own = {interface.ifname for interface in instance.track_interfaces} | {instance.interface}
    twice = [("interface", tracked.ifname) for tracked in group.track_interfaces if tracked.ifname in own]
    own_scripts = {reference.name for reference in instance.track_scripts}
    twice += [("script", tracked.name) for tracked in group.track_scripts if tracked.name in own_scripts]
    for kind, name in twice:
        context.warning(
            "tracked-on-both",
            f"sync group `{group.name}` and instance `{instance.name}` both track {kind} `{name}`",
            draft.where[f"track_{kind}"],
            0,
            help="leave one of them out",
        )


def _with_joint_weights(group: SyncGroup, instance: VrrpInstance, trackers: Trackers) -> VrrpInstance:
    """What both track counts once for the member: as a condition if either has it without a weight, else with the
    group's weight (seen in keepalived 2.2.7 and 2.4.3)."""
    theirs = {tracked.ifname: tracked for tracked in group.track_interfaces}
    interfaces = tuple(
        each
        if (other := theirs.get(each.ifname)) is None
        else msgspec.structs.replace(other, weight=other.weight if each.weight else 0)
        for each in instance.track_interfaces
    )
    changed: dict[str, Any] = {"track_interfaces": interfaces}
    for field, owners in (("track_scripts", trackers.scripts), ("track_files", trackers.files)):
        named = {tracked.name: tracked for tracked in getattr(group, field)}
        joint = []
        for each in getattr(instance, field):
            if each.name in named:
                other, owner = named[each.name], owners.get(each.name)
                default = owner.weight if owner else 0
                mine = default if each.weight is None else each.weight
                weight = default if other.weight is None else other.weight
                joint.append(msgspec.structs.replace(other, weight=weight if mine else 0))
            else:
                joint.append(each)
        changed[field] = tuple(joint)
    return msgspec.structs.replace(instance, **changed)


def _members(
    context: Context, draft: Draft, instances: dict[str, VrrpInstance], taken: dict[str, str], declared: set[str]
) -> list[str]:
    members: list[str] = []
    for name, line, index in draft.get("group", ()):
        if name not in instances:
            if name in declared and context.says_more_is_wrong:
                continue  # it was left out, and why was said
            near = context.near(name, list(instances)[:1000])
            context.error(
                "unknown-instance",
                f"sync group `{draft.name}`: there is no instance `{name}`, it is left out",
                line,
                index,
                help=f"did you mean `{near}`?" if near else None,
            )
        elif name in taken:
            context.error(
                "two-groups",
                f"instance `{name}` is in sync group `{taken[name]}` already, `{draft.name}` does without it",
                line,
                index,
            )
        else:
            taken[name] = draft.name
            members.append(name)
    return members


def _without_weights(context: Context, draft: Draft, instance: VrrpInstance, trackers: Trackers) -> VrrpInstance:
    """Weights of members do not count in a group: scripts with one are dropped, interfaces then count as 0."""
    kept: list[TrackedScript] = []
    for reference in instance.track_scripts:
        known = trackers.scripts.get(reference.name)
        weight = reference.weight if reference.weight is not None else (known.weight if known else 0)
        if weight:
            context.warning(
                "weight-in-group",
                f"({instance.name}) track_script `{reference.name}` has a weight, sync group `{draft.name}` ignores it",
                draft.statement,
                1,
                help="write `sync_group_tracking_weight` in the group",
            )
        else:
            kept.append(reference)
    interfaces: list[TrackedInterface] = []
    for tracked in instance.track_interfaces:
        interface = tracked
        if interface.weight:
            context.warning(
                "weight-in-group",
                f"({instance.name}) track_interface `{interface.ifname}` has a weight, in sync group `{draft.name}` "
                "it counts as 0",
                draft.statement,
                1,
                help="write `sync_group_tracking_weight` in the group",
            )
            interface = TrackedInterface(interface.ifname, 0, interface.reverse)
        interfaces.append(interface)
    return msgspec.structs.replace(instance, track_scripts=tuple(kept), track_interfaces=tuple(interfaces))

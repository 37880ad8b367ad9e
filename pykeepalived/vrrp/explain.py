"""Why an instance is MASTER or not: its priority as a sum, each tracker, what it heard, what it waits for, in words.

Everything comes from the machines as they stand; asking changes nothing. Instants are told as distances from `now_us`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pykeepalived.model.vrrp import VrrpState
from pykeepalived.units import SECOND_US, format_seconds
from pykeepalived.vrrp.instance import BACKUP, FAULT, MASTER, Instance
from pykeepalived.vrrp.timers import OWNER, address_order
from pykeepalived.vrrp.tracking import Part, Standing
from pykeepalived.vrrp.world import World


def explain(world: World, name: str, now_us: int) -> dict[str, Any] | None:
    """Everything about one instance, JSON-able; None: there is none of this name."""
    instance = world.instances.get(name)
    if instance is None:
        return None
    standing = world.standing(instance)
    group = world.group_of(instance)
    return {
        "name": instance.name,
        "state": shown_state(instance),
        "since_us": now_us - instance.last_transition_us,
        "why": list(_why(world, instance, standing, now_us)),
        "priority": {
            "base": instance.config.priority,
            "effective": instance.priority,
            "owner": instance.owner,
            "stepped_down": instance.stepped_down,
        },
        "trackers": [_part(part) for part in standing.parts],
        "faults": [fault.words for fault in instance.faults],
        "waits_for": list(standing.waits_for),
        "standby": instance.standby,
        "nopreempt": instance.config.nopreempt,
        "preempt_delay_us": instance.config.preempt_delay_us,
        "group": None
        if group is None
        else {
            "name": group.name,
            "state": group.state.name,
            "members": [
                {"name": item.name, "state": shown_state(item), "wanted": item.wanted.name,
                 "faults": [fault.words for fault in item.faults]}
                for item in group.members
            ],
        },
        "master": {"address": instance.master_address, "priority": instance.master_priority},
        "source": instance.source,
        "heard": [
            {"source": source, "priority": heard.advert.priority, "age_us": now_us - heard.at_us,
             "interval_us": heard.advert.interval_us, "count": heard.count}
            for source, heard in instance.recent.adverts.items()
        ],
        "refused": [
            {"reason": item.reason, "source": item.source, "age_us": now_us - item.at_us, "detail": item.detail}
            for item in instance.recent.refusals
        ],
        "refusals": dict(instance.stats.refusals),
        "timer": _timer(instance, now_us),
    }  # fmt: skip


def shown_state(instance: Instance) -> str:
    """The state's own name while an operator holds the instance back; a FAULT stays one."""
    return "STANDBY" if instance.standby and instance.state is BACKUP else instance.state.name


def _part(part: Part) -> dict[str, Any]:
    return {
        "what": part.what,
        "up": part.up,
        "weight": part.weight,
        "reverse": part.reverse,
        "adds": part.adds,
        "fault": part.fault,
    }


def _timer(instance: Instance, now_us: int) -> dict[str, Any] | None:
    if instance.timer_us is None:
        return None
    if instance.state is MASTER:
        what = "sends the next advert"
    elif instance.standby:
        what = "looks again (standby)"
    else:
        what = "takes over if nothing is heard"
    garp_us = instance.garp.next_us
    return {
        "what": what,
        "in_us": instance.timer_us - now_us,
        "next_announcement_in_us": None if garp_us is None else garp_us - now_us,
    }


def _why(world: World, instance: Instance, standing: Standing, now_us: int) -> Iterator[str]:
    """Sentences, the deciding one first."""
    state = instance.state
    if state is FAULT:
        for fault in instance.faults:
            yield f"not MASTER: {fault.words}"
    elif state is VrrpState.INIT:
        yield from _why_init(world, instance, standing)
    elif state is BACKUP:
        yield from _why_backup(world, instance, now_us)
    elif state is MASTER:
        yield from _why_master(instance, now_us)
    else:
        yield f"the instance is {state.name}"
    if instance.standby and state is not BACKUP:
        yield "an operator holds it back (standby), whatever else changes"


def _why_init(world: World, instance: Instance, standing: Standing) -> Iterator[str]:
    for script in standing.waits_for:
        yield f"has not begun: waits for the first result of script {script}"
    if standing.gated:
        yield "has not begun: its interface is not ready (vrrp_ready_gate)"
    if standing.tentative:
        yield "has not begun: its source address is still in duplicate address detection"
    if world.not_before_us:
        yield "has not begun: the start-up delay runs"


def _why_backup(world: World, instance: Instance, now_us: int) -> Iterator[str]:
    if instance.standby:
        yield "not MASTER: an operator holds it back (standby); `keepalivedctl resume` lets it go"
    yield from _why_it_follows(instance, now_us)
    group = world.group_of(instance)
    for mate in group.members if group else ():
        if mate is instance:
            continue
        if mate.faults:
            words = ", ".join(fault.words for fault in mate.faults)
            yield f"not MASTER: sync group {group.name if group else ''} waits for {mate.name} ({words})"
        elif mate.wanted is not MASTER and instance.wanted is MASTER:
            yield f"not MASTER: sync group {group.name if group else ''} waits for {mate.name}, which hears a master"


def _why_it_follows(instance: Instance, now_us: int) -> Iterator[str]:
    source, theirs, ours = instance.master_address, instance.master_priority, instance.priority
    heard = instance.recent.adverts.get(source) if source else None
    if source is None or heard is None:
        yield "no master is heard"
    elif theirs > ours:
        yield f"not MASTER: {source} is, with priority {theirs}, ours is {ours}"
    elif theirs == ours:
        higher = address_order(source) > address_order(instance.source or "")
        yield (
            f"not MASTER: {source} is, with the same priority {ours} and "
            + ("the higher address" if higher else "it was first; equal priority does not preempt")
        )
    elif instance.config.nopreempt:
        yield f"not MASTER: {source} is, with priority {theirs} below ours ({ours}), and nopreempt lets it stay"
    elif instance.preempt_from_us is not None and now_us < instance.preempt_from_us:
        left = format_seconds(instance.preempt_from_us - now_us)
        yield f"not MASTER yet: {source} is, with priority {theirs} below ours ({ours}), preempt_delay: {left} s left"
    else:
        yield f"{source} is MASTER with priority {theirs} below ours ({ours}): it is about to be replaced"
    last_us = max((item.at_us for item in instance.recent.adverts.values()), default=None)
    if last_us is not None and now_us - last_us > instance.master_down_us() + SECOND_US:
        yield f"the last advert came {format_seconds(now_us - last_us)} s ago"


def _why_master(instance: Instance, now_us: int) -> Iterator[str]:
    if instance.priority == OWNER:
        yield "MASTER: it owns the addresses (priority 255)"
    else:
        yield f"MASTER: no router sends adverts with a priority above {instance.priority}"
    for source, heard in instance.recent.adverts.items():
        advert = heard.advert
        fresh = now_us - heard.at_us < 3 * max(advert.interval_us, instance.own_interval_us())
        if fresh and advert.priority and source != instance.source:
            yield f"{source} is MASTER too, with priority {advert.priority}: a second master is on the wire"

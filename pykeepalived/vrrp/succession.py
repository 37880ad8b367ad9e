"""A process that follows one that was killed goes on where that one stopped.

No transition happens: nobody is notified, nothing is announced, no counter counts. A MASTER says at once that it is
there, so that the others hear nothing but one interval that was a little longer (keepalived has no such thing: its
successor begins in BACKUP and leaves the addresses without an owner for an election).
"""

from __future__ import annotations

from collections.abc import Mapping

from pykeepalived.model.vrrp import VrrpState
from pykeepalived.vrrp.events import AddAddresses, SyncDaemonRole
from pykeepalived.vrrp.instance import BACKUP, MASTER, Instance
from pykeepalived.vrrp.output import Output
from pykeepalived.vrrp.world import World


def take_scripts(world: World, results: Mapping[str, bool]) -> None:
    """Scripts are up or down as they were last, so that no instance waits for a first result."""
    for name, up in results.items():
        script = world.scripts.get(name)
        if script is not None:
            script.resume(up)


def take_instances(world: World, states: Mapping[str, VrrpState], now_us: int, out: Output) -> None:
    """Put instances back where they were; the trackers may still decide otherwise right after.

    The members of a sync group come back together or not at all.
    """
    back = {name: state for name, state in states.items() if name in world.instances and state in {MASTER, BACKUP}}
    back = {name: BACKUP if world.instances[name].standby else state for name, state in back.items()}
    for group in world.groups.values():
        known = {back.get(member.name) for member in group.members}
        if len(known) == 1 and None not in known:
            group.state = back[group.members[0].name]
        else:
            for member in group.members:
                back.pop(member.name, None)
    for name, state in back.items():
        instance = world.instances[name]
        standing = world.standing(instance)
        if not standing.faults and not standing.waits_for and not standing.tentative:
            world.gated.discard(name)
            instance.priority = standing.priority
            _resume(instance, state, now_us, out)


def _resume(instance: Instance, state: VrrpState, now_us: int, out: Output) -> None:
    instance.state = instance.wanted = state
    instance.last_transition_us = now_us
    if state is BACKUP:
        instance.timer_us = now_us + instance.master_down_us()
        return
    instance.master_address = instance.source
    instance.master_priority = instance.priority
    instance.send_advert(out)
    instance.timer_us = now_us + instance.own_interval_us()
    out.put(instance, AddAddresses(instance.name))
    if instance.sync_daemon:
        out.put(instance, SyncDaemonRole(instance.name, True))
    out.log(instance, f"({instance.name}) still MASTER after the process before was killed")

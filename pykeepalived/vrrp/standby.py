"""An operator's standby: the instance hears and tracks, and is not MASTER until it may again.

It is a BACKUP for everybody who knows only the protocol's states (notify scripts, dumps, SNMP): a BACKUP whose down
timer leads nowhere. A MASTER leaves with priority 0, so its peers elect at once (RFC 9568 section 6.4.3, shutdown).
A sync group goes as a whole. While it stands by it believes adverts of any priority, so it knows who is MASTER now;
when it may again, it preempts or not as its configuration says.
"""

from __future__ import annotations

from collections.abc import Iterable

from pykeepalived.vrrp.events import Standby
from pykeepalived.vrrp.instance import BACKUP, MASTER, Instance
from pykeepalived.vrrp.output import Output
from pykeepalived.vrrp.world import World


def take_standby(world: World, event: Standby, now_us: int, out: Output) -> list[Instance]:
    """Follow an operator's wish; the instances that it moved. Unknown names mean nothing."""
    moved = [item for item in with_mates(world, event.instances) if item.standby is not event.on]
    for instance in moved:
        instance.standby = event.on
        (_hold if event.on else _let_go)(instance, now_us, out)
    if event.on:
        for name in dict.fromkeys(item.group.name for item in moved if item.group):
            group = world.groups[name]
            if group.state is MASTER:
                group.left_for_backup(group.members[0], now_us, out)
    return moved


def with_mates(world: World, names: Iterable[str]) -> list[Instance]:
    """The instances, and whoever is in a sync group with one of them, in file order."""
    wanted = {name for name in names if name in world.instances}
    for group in world.groups.values():
        members = {member.name for member in group.members}
        if members & wanted or group.name in set(names):
            wanted |= members
    return [instance for name, instance in world.instances.items() if name in wanted]


def _hold(instance: Instance, now_us: int, out: Output) -> None:
    out.log(instance, f"({instance.name}) Entering STANDBY on an operator's request")
    if instance.state is MASTER:
        instance.become_backup(now_us, out, farewell=True)
    instance.wanted = BACKUP


def _let_go(instance: Instance, now_us: int, out: Output) -> None:
    out.log(instance, f"({instance.name}) Leaving STANDBY on an operator's request")
    if instance.state is BACKUP:
        # From here on the adverts of a router that it may preempt do not hold it back.
        instance.timer_us = max(now_us, instance.not_before_us) + instance.master_down_us()

"""How an instance begins: what it is first, and how long it waits then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pykeepalived.model.vrrp import VrrpState
from pykeepalived.vrrp.timers import OWNER, skew_us

if TYPE_CHECKING:
    from pykeepalived.vrrp.instance import Instance

#: An owner does not wait: it becomes MASTER in the same turn of the loop.
_AT_ONCE_US: Final = 1


def begins_as_master(instance: Instance) -> bool:
    """An owner with `state MASTER` is MASTER first: nobody is told of the moment in which it is BACKUP.

    In a sync group when that is so of all its members; of such a group nothing is said when it begins. Seen by running
    2.2.7 and 2.4.3.
    """
    if instance.group is not None:
        return instance.group.begins_as_master()
    return instance.owner and instance.config.initial_state is VrrpState.MASTER


def first_timer_us(instance: Instance, before: VrrpState) -> int:
    """How long an instance that enters BACKUP from another state waits for a master."""
    config = instance.config
    alone = instance.group is None or instance.group.all_owners()
    if before is VrrpState.INIT and alone:
        if instance.owner:
            return _AT_ONCE_US
        if config.initial_state is VrrpState.MASTER:
            return instance.master_interval_us + skew_us(config.version, OWNER, instance.master_interval_us)
    if before is VrrpState.FAULT and instance.owner and alone:
        return instance.master_interval_us + instance.skew_us()
    return instance.master_down_us()

"""What an instance looks like from outside, for `keepalivedctl`, dumps and JSON."""

from __future__ import annotations

import msgspec

from pykeepalived.vrrp.facts import all_addresses, instance_family
from pykeepalived.vrrp.instance import MASTER, Instance
from pykeepalived.vrrp.status import InstanceStatus


def instance_status(instance: Instance) -> InstanceStatus:
    """A snapshot; its counters do not move any more."""
    return InstanceStatus(
        name=instance.name,
        vrid=instance.config.vrid,
        interface=instance.config.interface,
        family=instance_family(instance.config),
        state=instance.state,
        wanted=instance.wanted,
        base_priority=instance.config.priority,
        effective_priority=instance.priority,
        master_priority=instance.master_priority,
        master_address=instance.master_address,
        last_transition_us=instance.last_transition_us,
        faults=tuple(fault.words for fault in instance.faults),
        stats=msgspec.structs.replace(instance.stats, refusals=dict(instance.stats.refusals)),
        source=instance.source,
        master_interval_us=instance.master_interval_us,
        timer_us=instance.timer_us,
        heard_priority=instance.heard_priority,
        addresses_set=instance.state is MASTER and bool(all_addresses(instance.config)),
        group=instance.group.name if instance.group else None,
        standby=instance.standby,
    )

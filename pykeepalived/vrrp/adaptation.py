"""How a running instance follows a reload without leaving its state (keepalived-behaviour 7.9)."""

from __future__ import annotations

from pykeepalived.model.vrrp import VrrpInstance
from pykeepalived.vrrp.announcing import announce, log_addresses
from pykeepalived.vrrp.events import ReplaceAddresses
from pykeepalived.vrrp.facts import advertised_addresses, all_addresses, instance_family
from pykeepalived.vrrp.instance import BACKUP, MASTER, Instance
from pykeepalived.vrrp.links import address_link
from pykeepalived.vrrp.output import Output


def adapt(instance: Instance, config: VrrpInstance, now_us: int, out: Output) -> None:
    """Follow a reload without leaving the state (keepalived-behaviour 7.9)."""
    old = instance.config
    before_us = instance.master_down_us()
    heard_other = instance.master_interval_us != instance.own_interval_us()
    instance.config = config
    if not instance.owner:
        instance.stepped_down = False
    if instance.state is MASTER:
        # Peers' down timers start anew, however long the edges take for the rest of the reload.
        instance.send_advert(out)
    instance.advertised = advertised_addresses(config)
    instance.reported.clear()
    instance.garp.adapt(config.garp, now_us)
    if instance.state is not MASTER:
        instance.garp.clear()
    if not heard_other or instance.state is MASTER or config.version == 2:
        instance.master_interval_us = instance.own_interval_us()
    if instance.state is BACKUP and instance.timer_us is not None:
        instance.timer_us = max(now_us, instance.timer_us + instance.master_down_us() - before_us)
    elif instance.state is MASTER and instance.timer_us is not None:
        # One more when all is done, and the interval from there: so does the original (seen on the wire with 2.2.7).
        instance.timer_us = now_us
        _replace_addresses(instance, old, out)


def _replace_addresses(instance: Instance, old: VrrpInstance, out: Output) -> None:
    before, after = all_addresses(old), all_addresses(instance.config)
    removed = tuple(item for item in before if item not in after)
    added = tuple(item for item in after if item not in before)
    routes_changed = (old.routes, old.rules) != (instance.config.routes, instance.config.rules)
    for item in removed:
        where = address_link(old, item, instance_family(old))
        out.log(instance, f"({instance.name}) ip address {item.prefix} dev {where}, no longer exist")
    # So does the original, whether anything changed or not.
    log_addresses(instance, "setting", out)
    if removed or added or routes_changed:
        out.put(instance, ReplaceAddresses(instance.name, removed, added, routes_changed))
    if added:
        announce(instance, instance.config.garp.repeat, out, added)

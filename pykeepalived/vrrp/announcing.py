"""What an instance says about its addresses: announcements, and the lines about them in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykeepalived.model.common import Family, family_of
from pykeepalived.model.vrrp import VirtualAddress
from pykeepalived.vrrp.events import Announce
from pykeepalived.vrrp.facts import all_addresses, instance_family
from pykeepalived.vrrp.links import address_link, blocks
from pykeepalived.vrrp.output import Output

if TYPE_CHECKING:
    from pykeepalived.vrrp.instance import Instance


def announce(instance: Instance, repeat: int, out: Output, only: tuple[VirtualAddress, ...] = ()) -> None:
    """Announce all addresses, or only some, `repeat` times."""
    if not repeat or not all_addresses(instance.config):
        return
    if out.log_detail:
        for item in only or all_addresses(instance.config):
            ipv6 = family_of(item.prefix.address) is Family.INET6
            what = "Unsolicited Neighbour Adverts" if ipv6 else "gratuitous ARPs"
            where = address_link(instance.config, item, instance_family(instance.config))
            out.detail(instance, f"({instance.name}) Sending/queueing {what} on {where} for {item.prefix.address}")
    out.put(instance, Announce(instance.name, repeat, tuple(item.prefix.address for item in only)))


def log_addresses(instance: Instance, verb: str, out: Output) -> None:
    if not out.log_detail:
        return
    config = instance.config
    words: list[tuple[object, str]] = [
        (config.addresses, "VIPs."),
        (config.excluded_addresses, "E-VIPs."),
        (config.routes, "Virtual Routes"),
        (config.rules, "Virtual Rules"),
    ]
    filtered = (blocks(config), "firewall drop rule")
    words = [words[3], words[2], words[0], words[1], filtered] if verb == "removing" else [filtered, *words]
    for present, word in words:
        if present:
            out.detail(instance, f"({instance.name}) {verb} {word}")

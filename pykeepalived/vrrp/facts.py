"""What follows from an instance's configuration alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from pykeepalived.model.common import Family, family_of
from pykeepalived.model.routing import VirtualRoute, VirtualRule
from pykeepalived.model.vrrp import TrackedInterface, VirtualAddress, VrrpInstance
from pykeepalived.vrrp.links import virtual_links
from pykeepalived.vrrp.timers import wire_interval_us


class InstanceKey(NamedTuple):
    """What makes two instances of two generations the same virtual router (keepalived-behaviour 7.9)."""

    vrid: int
    family: Family
    interface: str | None
    unicast: bool
    unicast_source: str | None
    vmac: str | None
    multicast_group: str | None


def instance_family(config: VrrpInstance) -> Family:
    """The family that its adverts travel in: said, or that of the peers, the addresses, the source; else IPv4."""
    if config.native_ipv6:
        return Family.INET6
    for address in (
        *(peer.address for peer in config.unicast_peers[:1]),
        *(item.prefix.address for item in config.addresses[:1]),
        *([config.source] if config.source else []),
    ):
        return family_of(address)
    return Family.INET


def instance_key(config: VrrpInstance) -> InstanceKey:
    unicast = is_unicast(config)
    return InstanceKey(
        vrid=config.vrid,
        family=instance_family(config),
        interface=config.interface,
        unicast=unicast,
        unicast_source=config.source if unicast else None,
        vmac=f"{config.vmac.kind} {config.vmac.ifname} {config.vmac.mac!r}" if config.vmac else None,
        multicast_group=None if unicast else config.multicast_group,
    )


def is_unicast(config: VrrpInstance) -> bool:
    return bool(config.unicast_peers)


def advertised_addresses(config: VrrpInstance) -> tuple[str, ...]:
    """The addresses that stand in its adverts: those of its family, in file order, excluded ones never."""
    family = instance_family(config)
    return tuple(item.prefix.address for item in config.addresses if family_of(item.prefix.address) == family)


def all_addresses(config: VrrpInstance) -> tuple[VirtualAddress, ...]:
    """Everything a master puts on an interface, in the order in which it does."""
    return config.addresses + config.excluded_addresses


def advert_interval_us(config: VrrpInstance) -> int:
    """The interval as peers read it in our adverts: rounded the way the wire rounds it."""
    return wire_interval_us(config.version, config.advert_interval_us)


def devices_of_words(words: Sequence[str]) -> tuple[str, ...]:
    """The devices that a route or rule line is about, unless the line says that it is not to be tracked.

    `dev` and `oif` of a route, `iif` and `oif` of a rule; those behind `nexthop` do not count (seen by running 2.2.7
    and 2.4.3).
    """
    if "no_track" in words or "nexthop" in words:
        return ()
    return tuple(dict.fromkeys(following for word, following in pairwise(words) if word in {"dev", "iif", "oif"}))


def interface_trackers(config: VrrpInstance) -> tuple[TrackedInterface, ...]:
    """Interfaces that the instance depends on: its own, those of its addresses, routes and rules, those it names.

    A route or rule that names the own interface makes it count even with dont_track_primary; an address does not.
    The own interface stands beside an explicit line with a weight for it: an instance cannot be MASTER on a dead
    interface, whatever its priority.
    """
    implied: dict[str, None] = {}
    if config.interface and not config.dont_track_primary:
        implied[config.interface] = None
    for ifname in virtual_links(config, all_addresses(config)):
        implied[ifname] = None
    for address in all_addresses(config):
        if address.dev and not address.no_track and address.dev != config.interface:
            implied[address.dev] = None
    lines: tuple[VirtualRoute | VirtualRule, ...] = (*config.routes, *config.rules)
    for line in lines:
        implied |= dict.fromkeys(devices_of_words(line.words))
    return (*(TrackedInterface(ifname) for ifname in implied), *config.track_interfaces)

"""keepalived.data: the section about the interfaces, as far as this program knows what keepalived tells there.

It holds no history of an interface and changes no setting of one that it has not made: the lines about these
(`Seen up`, `Delayed state change`, `NIC …`, `Reset …`, `Original …`) are not written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pykeepalived.model.common import Family
from pykeepalived.netio.links import (
    IFF_BROADCAST,
    IFF_LOOPBACK,
    IFF_MULTICAST,
    IFF_NOARP,
    IFF_POINTOPOINT,
    SCOPE_LINK,
    KernelAddress,
    Link,
)  # fmt: skip
from pykeepalived.runtime.vrrp_view import View

#: Of linux/if_arp.h; what keepalived names.
_HARDWARE: Final = {1: "ETHERNET", 32: "INFINIBAND", 772: "LOOPBACK"}


def interface_lines(view: View) -> Iterator[str]:
    """Every interface of this network namespace."""
    links = {link.index: link for link in view.links}
    for link in view.links:
        yield f" Name = {link.name}"
        yield f"   index = {link.index}"
        yield from _address_lines(view.addresses.get(link.name, ()))
        if any(link.mac):
            yield f"   MAC = {link.mac.hex(':')}"
            if link.broadcast:
                yield f"   MAC broadcast = {link.broadcast.hex(':')}"
        yield f"   State = {_state(link)}{_traits(link)}"
        delay = next((each for each in view.config.interface_delays if each.ifname == link.name), None)
        yield f"   Up debounce timer = {delay.up_us if delay else 0}us"
        yield f"   Down debounce timer = {delay.down_us if delay else 0}us"
        yield f"   Group = {link.group}"
        base = links.get(link.parent or 0)
        if link.kind == "macvlan" and base is not None:
            mode = f" type {link.mode}" if link.mode else ""
            yield f"   VMAC{mode}, underlying interface = {base.name}, state = {_state(base)}"
        yield f"   MTU = {link.mtu}"
        yield f"   HW Type = {_HARDWARE.get(link.hardware, 'UNKNOWN')}"
        yield from _announcement_lines(view, link.name)
        yield from _tracking_lines(view, link.name)


def _address_lines(addresses: Sequence[KernelAddress]) -> Iterator[str]:
    """Where adverts come from: the first IPv4 address, and the link-local one of IPv6."""
    inet = (each.address for each in addresses if each.family is Family.INET)
    inet6 = (each.address for each in addresses if each.family is Family.INET6 and each.scope == SCOPE_LINK)
    yield f"   IPv4 address = {next(inet, '(none)')}"
    yield f"   IPv6 address = {next(inet6, '(none)')}"


def _state(link: Link) -> str:
    return f"{'UP' if link.admin_up or link.up else 'not UP'}, {'RUNNING' if link.up else 'not RUNNING'}"


def _traits(link: Link) -> str:
    found = (
        (not link.flags & IFF_BROADCAST, "no broadcast"),
        (link.flags & IFF_LOOPBACK, "loopback"),
        (link.flags & IFF_POINTOPOINT, "point to point"),
        (link.flags & IFF_NOARP, "no arp"),
        (not link.flags & IFF_MULTICAST, "no multicast"),
    )
    return "".join(f", {text}" for there, text in found if there)


def _announcement_lines(view: View, ifname: str) -> Iterator[str]:
    for group in view.config.garp_groups:
        if ifname in group.interfaces:
            if group.garp_interval_us:
                yield f"   Gratuitous ARP interval {group.garp_interval_us // 1000}ms"
            if group.gna_interval_us:
                yield f"   Gratuitous NA interval {group.gna_interval_us // 1000}ms"


def _tracking_lines(view: View, ifname: str) -> Iterator[str]:
    lines = []
    for item in view.config.instances:
        tracked = next((each for each in item.track_interfaces if each.ifname == ifname), None)
        if tracked is not None:
            lines.append(f"     {item.name}, weight {tracked.weight}{' reverse' if tracked.reverse else ''}")
        elif item.interface == ifname and not item.dont_track_primary:
            lines.append(f"     {item.name}, weight 0")
    if lines:
        yield "   Tracking VRRP instances :"
        yield from lines

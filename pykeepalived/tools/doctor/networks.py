"""Addresses and netmasks that do not fit together."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from pykeepalived.model.config import Config
from pykeepalived.model.lvs import ForwardingMethod
from pykeepalived.model.vrrp import VrrpInstance
from pykeepalived.tools.doctor.ailment import Ailment, fault, risk
from pykeepalived.tools.doctor.machine import Interface, Machine, interfaces_of


def examine(machine: Machine, config: Config) -> Iterator[Ailment]:
    interfaces = interfaces_of(machine)
    virtual = {item.prefix.address for each in config.instances for item in (*each.addresses, *each.excluded_addresses)}
    for instance in config.instances:
        yield from _of_instance(instance, interfaces, virtual)
    yield from _of_servers(config, interfaces)


def _own(found: list[Interface], virtual: set[str], version: int) -> list[Interface]:
    """The interface's own addresses of a family: without virtual ones and link-local ones of IPv6."""
    return [
        item for item in found
        if item.version == version and str(item.ip) not in virtual and not (version == 6 and item.ip.is_link_local)
    ]  # fmt: skip


def _of_instance(
    instance: VrrpInstance, interfaces: dict[str, list[Interface]], virtual: set[str]
) -> Iterator[Ailment]:
    name = instance.interface
    if name is not None and name not in interfaces:
        yield fault("interface-missing", f"{instance.name}: there is no interface {name}", "ip link show")
        return
    for item in instance.addresses:
        ifname = item.dev or name
        address = ipaddress.ip_address(item.prefix.address)
        own = _own(interfaces.get(ifname or "", []), virtual, address.version)
        if not own or ifname is None:
            continue
        if not any(address in near.network for near in own):
            shown = ", ".join(map(str, own))
            same = next((near for near in own if _near(near, address, item.prefix.length)), None)
            mend = (
                f"ip address replace {same.ip}/{item.prefix.length} dev {ifname}"
                if same
                else f"ip address show {ifname}"
            )
            text = (
                f"{instance.name}: {item.prefix} is in no network of {ifname} ({shown}): its netmask or the "
                "address is wrong, and neighbours there cannot be reached with it"
            )
            yield (fault if same else risk)("netmask-differs", text, mend)
    for peer in instance.unicast_peers:
        if instance.source is not None and name is not None:
            yield from _of_peer(instance, peer.address, interfaces[name], virtual)


def _near(own: Interface, address: ipaddress.IPv4Address | ipaddress.IPv6Address, length: int) -> bool:
    """With the prefix length of the virtual address both would be in one network: then it is the netmask."""
    whole = 32 if own.version == 4 else 128
    return length < whole and address in ipaddress.ip_network(f"{own.ip}/{length}", strict=False)


def _of_peer(instance: VrrpInstance, peer: str, found: list[Interface], virtual: set[str]) -> Iterator[Ailment]:
    address = ipaddress.ip_address(peer)
    source = ipaddress.ip_address(instance.source or peer)
    own = next((item for item in _own(found, virtual, address.version) if item.ip == source), None)
    if own is not None and address not in own.network and _near(own, address, 24 if own.version == 4 else 64):
        text = f"{instance.name}: the peer {peer} is outside of {own}: a netmask is wrong here or there"
        yield risk("netmask-of-peer", text, f"ip address show dev {instance.interface}")


def _of_servers(config: Config, interfaces: dict[str, list[Interface]]) -> Iterator[Ailment]:
    """Direct routing needs a network in common."""
    networks = [item.network for found in interfaces.values() for item in found if item.ip != item.network]
    missing: dict[str, None] = {}
    for service in config.virtual_servers:
        for server in service.real_servers:
            if server.forwarding.method is ForwardingMethod.DR:
                address = ipaddress.ip_address(server.address)
                if not any(network.version == address.version and address in network for network in networks):
                    missing[server.address] = None
    for text in missing:
        yield fault(
            "direct-routing-far",
            f"real server {text} (direct routing) is in no network of this machine: a packet cannot get there without "
            "a router in between, so the netmask is wrong, an address is missing, or it should be tunnelled",
            f"ip route get {text}",
        )

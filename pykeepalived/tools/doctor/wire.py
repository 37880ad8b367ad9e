"""What is heard on the wire: other masters with our VRIDs, and who answers ARP requests for a virtual address.

Listening needs CAP_NET_RAW. Nothing but ARP requests is sent, and these only on the interfaces of the configuration.
What comes in is hostile: frames are taken apart by length first, and counted out.
"""

from __future__ import annotations

import ipaddress
import select
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import VrrpInstance
from pykeepalived.tools.doctor.ailment import Ailment, fault, risk
from pykeepalived.tools.doctor.machine import Interface, Machine

_ETH_IP: Final = 0x0800
_ETH_ARP: Final = 0x0806
_VRRP: Final = 112
_ARP: Final = struct.Struct("!HHBBH6s4s6s4s")
_FRAME: Final = 2048
_FRAMES_LIMIT: Final = 50_000
_OUTGOING: Final = 4
_BROADCAST: Final = b"\xff" * 6


class Advert(msgspec.Struct, frozen=True):
    """An IPv4 advert as it was heard."""

    source: str
    vrid: int
    priority: int
    version: int
    addresses: tuple[str, ...]


class Heard(msgspec.Struct, frozen=True):
    """What came in on one interface while we listened."""

    ifname: str
    adverts: tuple[Advert, ...]
    claims: tuple[tuple[str, str], ...]
    """(address, MAC address) of ARP answers, and of announcements."""


def listen(config: Config, machine: Machine, seconds: float) -> list[Heard]:
    """Listen on every interface of the configuration, and ask once for every virtual address. Raises OSError."""
    names = sorted({item.interface for item in config.instances if item.interface})
    present = {link.name: link for link in machine.links()}
    ends: dict[int, tuple[socket.socket, str]] = {}
    poll = select.poll()
    adverts: dict[str, dict[Advert, None]] = {name: {} for name in names}
    claims: dict[str, dict[tuple[str, str], None]] = {name: {} for name in names}
    try:
        for name in names:
            if name not in present:
                continue
            end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            ends[end.fileno()] = (end, name)
            end.bind((name, 3))
            end.setblocking(False)
            poll.register(end, select.POLLIN)
            own = [item for item in machine.addresses(name) if item.version == 4]
            for address in _asked(config, name):
                _ask_arp(end, present[name].mac, own, address)
        until_s = time.monotonic() + seconds
        left = _FRAMES_LIMIT
        while left > 0 and (wait_s := until_s - time.monotonic()) > 0:
            for number, _ in poll.poll(wait_s * 1000):
                end, name = ends[number]
                left -= _take(end, name, adverts[name], claims[name])
    finally:
        for end, _ in ends.values():
            end.close()
    return [Heard(name, tuple(adverts[name]), tuple(claims[name])) for name in names]


def _asked(config: Config, name: str) -> list[str]:
    found = [
        item.prefix.address for instance in config.instances for item in instance.addresses
        if (item.dev or instance.interface) == name and ":" not in item.prefix.address
    ]  # fmt: skip
    return list(dict.fromkeys(found))[:64]


def _ask_arp(end: socket.socket, mac: bytes, own: Sequence[Interface], address: str) -> None:
    """An ARP request from an address of ours; without one a probe (RFC 5227), which changes nobody's cache."""
    source = next((item.ip.packed for item in own if str(item.ip) != address), bytes(4))
    target = ipaddress.IPv4Address(address).packed
    body = _ARP.pack(1, _ETH_IP, 6, 4, 1, mac, source, bytes(6), target)
    end.send(_BROADCAST + mac + struct.pack("!H", _ETH_ARP) + body)


def _take(end: socket.socket, name: str, adverts: dict[Advert, None], claims: dict[tuple[str, str], None]) -> int:
    del name
    try:
        frame, where = end.recvfrom(_FRAME)
    except OSError:
        return 1
    if where[2] == _OUTGOING or len(frame) < 14:
        return 1
    kind = int.from_bytes(frame[12:14], "big")
    if kind == _ETH_IP and (advert := read_advert(frame[14:])) is not None and len(adverts) < 1000:
        adverts[advert] = None
    elif kind == _ETH_ARP and (claim := read_arp(frame[14:])) is not None and len(claims) < 1000:
        claims[claim] = None
    return 1


def read_advert(packet: bytes) -> Advert | None:
    """An IPv4 packet; None: it is no VRRP advert, or one that makes no sense."""
    if len(packet) < 28 or packet[0] >> 4 != 4 or packet[9] != _VRRP:
        return None
    head = (packet[0] & 15) * 4
    body = packet[head:]
    if head < 20 or len(body) < 8 or body[0] & 15 != 1 or body[0] >> 4 not in {2, 3}:
        return None
    count = body[3]
    if len(body) < 8 + 4 * count:
        return None
    addresses = tuple(str(ipaddress.IPv4Address(body[8 + 4 * at : 12 + 4 * at])) for at in range(count))
    return Advert(str(ipaddress.IPv4Address(packet[12:16])), body[1], body[2], body[0] >> 4, addresses)


def read_arp(body: bytes) -> tuple[str, str] | None:
    """The address that the sender claims, with its MAC address; None: it claims none."""
    if len(body) < _ARP.size:
        return None
    hardware, protocol, hardware_length, length, operation, mac, address, _, target = _ARP.unpack_from(body)
    if (hardware, protocol, hardware_length, length) != (1, _ETH_IP, 6, 4) or address == bytes(4):
        return None
    if operation != 2 and address != target:
        return None
    return str(ipaddress.IPv4Address(address)), mac.hex(":")


def examine(machine: Machine, config: Config, heard: list[Heard]) -> Iterator[Ailment]:
    """What the frames mean."""
    macs = {link.mac.hex(":") for link in machine.links()}
    for where in heard:
        ours = [item for item in config.instances if item.interface == where.ifname]
        for instance in ours:
            yield from _of_instance(instance, where, machine)
        yield from _claims(ours, where, macs)


def _of_instance(instance: VrrpInstance, where: Heard, machine: Machine) -> Iterator[Ailment]:
    own_addresses = {item.prefix.address for item in instance.addresses if ":" not in item.prefix.address}
    networks = [item.network for item in machine.addresses(where.ifname) if item.version == 4]
    same = {item.source: item for item in where.adverts if item.vrid == instance.vrid}
    masters = [item for item in same.values() if item.priority]
    for advert in masters:
        others = set(advert.addresses)
        if own_addresses and others and not others & own_addresses:
            yield fault(
                "vrid-taken",
                f"{instance.name}: {advert.source} on {where.ifname} uses VRID {instance.vrid} for other addresses "
                f"({', '.join(sorted(others)[:4])}): two clusters with one VRID disturb each other",
                "# give one of the two clusters another virtual_router_id",
            )
        if advert.version != instance.version:
            text = f"{instance.name}: {advert.source} speaks VRRP version {advert.version}, we speak {instance.version}"
            yield fault("version-differs", text, f"# vrrp_version {advert.version} here, or {instance.version} there")
        source = ipaddress.ip_address(advert.source)
        if networks and not any(source in network for network in networks):
            shown = ", ".join(map(str, networks))
            yield fault(
                "netmask-of-peer",
                f"{instance.name}: {advert.source} sends adverts on {where.ifname}, and no network there holds it "
                f"({shown}): a netmask is wrong here or there",
                f"ip address show dev {where.ifname}",
            )
    if len(masters) > 1:
        names = ", ".join(f"{item.source} (priority {item.priority})" for item in masters)
        text = f"{instance.name}: several masters of VRID {instance.vrid} on {where.ifname}: {names}"
        yield fault("several-masters", text, "# they do not hear each other: multicast, firewall, authentication")


def _claims(ours: list[VrrpInstance], where: Heard, macs: set[str]) -> Iterator[Ailment]:
    """Who says that a virtual address is his: at most one machine may."""
    virtual = {item.prefix.address for instance in ours for item in instance.addresses}
    masters = {item.source for item in where.adverts}
    for address in sorted(virtual):
        found = {mac for claimed, mac in where.claims if claimed == address and mac not in macs}
        # One machine besides us is the master, when a master is heard.
        if len(found) > 1 or (found and not masters):
            names = ", ".join(sorted(found))
            yield (fault if len(found) > 1 else risk)(
                "address-claimed",
                f"{address} is answered for by {names} on {where.ifname}: a real server without arp_ignore, or another "
                "machine with this address",
                "# on that machine: sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2",
            )

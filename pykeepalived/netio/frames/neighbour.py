"""Frames that tell neighbours where an address lives now: gratuitous ARP and unsolicited neighbour advertisement."""

from __future__ import annotations

import socket
from typing import Any, Final

from pykeepalived.model.common import Family, family_of
from pykeepalived.netio.frames import scapy_quietly  # noqa: F401 - must come before any other import of scapy

# isort: split
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

_BROADCAST: Final = "ff:ff:ff:ff:ff:ff"
_ALL_NODES: Final = "ff02::1"
_ALL_NODES_MAC: Final = "33:33:00:00:00:01"
#: Where the sender's and the target's protocol address stand in an Ethernet frame with ARP for IPv4.
_SENDER_ADDRESS: Final = slice(28, 32)
_TARGET_ADDRESS: Final = slice(38, 42)


def gratuitous_arp(mac: bytes, address: str) -> Any:
    """An ARP request for the own address (RFC 5227 section 3), target hardware address broadcast as keepalived does."""
    own = _text(mac)
    return Ether(dst=_BROADCAST, src=own, type=0x0806) / ARP(
        hwtype=1, ptype=0x0800, hwlen=6, plen=4, op=1, hwsrc=own, psrc=address, hwdst=_BROADCAST, pdst=address
    )


def unsolicited_na(mac: bytes, address: str, *, router: bool) -> Any:
    """A neighbour advertisement to all nodes with the override flag (RFC 4861 section 7.2.6)."""
    own = _text(mac)
    return (
        Ether(dst=_ALL_NODES_MAC, src=own, type=0x86DD)
        / IPv6(src=address, dst=_ALL_NODES, hlim=255, tc=0, fl=0)
        / ICMPv6ND_NA(tgt=address, R=int(router), S=0, O=1)
        / ICMPv6NDOptDstLLAddr(lladdr=own)
    )


def arp_request(mac: bytes, source: str, target: str) -> Any:
    """Who has `target` (RFC 826)."""
    own = _text(mac)
    return Ether(dst=_BROADCAST, src=own, type=0x0806) / ARP(
        hwtype=1, ptype=0x0800, hwlen=6, plen=4, op=1, hwsrc=own, psrc=source, hwdst="00:00:00:00:00:00", pdst=target
    )


def echo_to_all_nodes(mac: bytes, source: str) -> Any:
    """An echo request that every IPv6 node of the link answers unless told not to (RFC 4443 section 4.1)."""
    return (
        Ether(dst=_ALL_NODES_MAC, src=_text(mac), type=0x86DD)
        / IPv6(src=source, dst=_ALL_NODES, hlim=1, tc=0, fl=0)
        / ICMPv6EchoRequest(id=0x7670, seq=1)
    )


def _text(mac: bytes) -> str:
    return mac.hex(":")


class AnnouncementCache:
    """Frames that were built, by MAC address, address and router flag.

    scapy builds one gratuitous ARP for every MAC address; those of further addresses differ in eight bytes, which are
    put in. A neighbour advertisement has a checksum and is built for each address.
    """

    #: A machine that changes its MAC address all the time must not fill the memory.
    LIMIT: Final = 65_536

    def __init__(self) -> None:
        self._arp: dict[bytes, bytes] = {}
        self._frames: dict[tuple[bytes, str, bool], bytes] = {}

    def frame(self, mac: bytes, address: str, *, router: bool) -> bytes:
        """The whole frame. `mac` has six bytes."""
        key = (mac, address, router)
        found = self._frames.get(key)
        if found is None:
            if len(self._frames) >= self.LIMIT:
                self._frames.clear()
                self._arp.clear()
            found = self._frames[key] = self._build(mac, address, router)
        return found

    def _build(self, mac: bytes, address: str, router: bool) -> bytes:
        if family_of(address) is Family.INET6:
            return bytes(unsolicited_na(mac, address, router=router))
        template = self._arp.get(mac)
        if template is None:
            template = self._arp[mac] = bytes(gratuitous_arp(mac, address))
        frame = bytearray(template)
        frame[_SENDER_ADDRESS] = frame[_TARGET_ADDRESS] = socket.inet_aton(address)
        return bytes(frame)

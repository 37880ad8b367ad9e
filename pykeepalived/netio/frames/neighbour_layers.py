"""Announcements and questions to neighbours as scapy's layers."""

from __future__ import annotations

from typing import Any, Final

from pykeepalived.netio.frames import scapy_quietly  # must come before any other import of scapy

# isort: split
from scapy.layers.l2 import ARP, Ether

_BROADCAST: Final = "ff:ff:ff:ff:ff:ff"
_ALL_NODES: Final = "ff02::1"
_ALL_NODES_MAC: Final = "33:33:00:00:00:01"


def gratuitous_arp(mac: bytes, address: str) -> Any:
    """An ARP request for the own address (RFC 5227 section 3), target hardware address broadcast as keepalived does."""
    own = _text(mac)
    return Ether(dst=_BROADCAST, src=own, type=0x0806) / ARP(
        hwtype=1, ptype=0x0800, hwlen=6, plen=4, op=1, hwsrc=own, psrc=address, hwdst=_BROADCAST, pdst=address
    )


def unsolicited_na(mac: bytes, address: str, *, router: bool) -> Any:
    """A neighbour advertisement to all nodes with the override flag (RFC 4861 section 7.2.6)."""
    own = _text(mac)
    ipv6 = scapy_quietly.ipv6_layers()
    return (
        Ether(dst=_ALL_NODES_MAC, src=own, type=0x86DD)
        / ipv6.IPv6(src=address, dst=_ALL_NODES, hlim=255, tc=0, fl=0)
        / ipv6.ICMPv6ND_NA(tgt=address, R=int(router), S=0, O=1)
        / ipv6.ICMPv6NDOptDstLLAddr(lladdr=own)
    )


def arp_request(mac: bytes, source: str, target: str) -> Any:
    """Who has `target` (RFC 826)."""
    own = _text(mac)
    return Ether(dst=_BROADCAST, src=own, type=0x0806) / ARP(
        hwtype=1, ptype=0x0800, hwlen=6, plen=4, op=1, hwsrc=own, psrc=source, hwdst="00:00:00:00:00:00", pdst=target
    )


def echo_to_all_nodes(mac: bytes, source: str) -> Any:
    """An echo request that every IPv6 node of the link answers unless told not to (RFC 4443 section 4.1)."""
    ipv6 = scapy_quietly.ipv6_layers()
    return (
        Ether(dst=_ALL_NODES_MAC, src=_text(mac), type=0x86DD)
        / ipv6.IPv6(src=source, dst=_ALL_NODES, hlim=1, tc=0, fl=0)
        / ipv6.ICMPv6EchoRequest(id=0x7670, seq=1)
    )


def _text(mac: bytes) -> str:
    return mac.hex(":")

"""Frames that a stranger sends besides adverts, byte by byte. Nothing of the program is used."""

from __future__ import annotations

import socket
import struct

from tests.conformance.advert_bytes import STRANGER4, STRANGER6, packed

IPV4, IPV6, ARP = b"\x08\x00", b"\x86\xdd", b"\x08\x06"
VRRP = 112
ROUTER_SOLICIT, ROUTER_ADVERT, NEIGHBOUR_SOLICIT, NEIGHBOUR_ADVERT = 133, 134, 135, 136
#: Of a neighbour advertisement.
ROUTER, SOLICITED, OVERRIDE = 0x80, 0x40, 0x20
_ALL_ROUTERS, _SOLICITED_NODE = "ff02::2", packed("ff02::1:ff00:0")[:13]


def mac_text(mac: bytes) -> str:
    return mac.hex(":")


def checksum(data: bytes, more: int = 0) -> bytes:
    """Of the internet; `more` is what a pseudo-header adds."""
    return (-(int.from_bytes(data, "big") + more) % 0xFFFF).to_bytes(2, "big")


def _ipv4(destination: str, protocol: int, body: bytes, mark: int = 0) -> bytes:
    header = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(body), mark, 0, 64, protocol)
    ends = packed(STRANGER4) + packed(destination)
    return header + checksum(header + ends) + ends + body


def _icmp6(destination: str | bytes, kind: int, rest: bytes, hops: int = 255) -> bytes:
    target = packed(destination) if isinstance(destination, str) else destination
    message = bytes((kind, 0)) + rest
    pseudo = int.from_bytes(packed(STRANGER6) + target, "big") + 58 + len(message) + 2
    message = message[:2] + checksum(message, pseudo) + message[2:]
    return struct.pack("!IHBB", 6 << 28, len(message), 58, hops) + packed(STRANGER6) + target + message


def arp_request(own: bytes, address: str) -> bytes:
    head = struct.pack("!HHBBH", 1, 0x800, 6, 4, 1)
    return b"\xff" * 6 + own + ARP + head + own + packed(STRANGER4) + bytes(6) + packed(address)


def neighbour_solicitation(own: bytes, address: str) -> bytes:
    group = _SOLICITED_NODE + packed(address)[13:]
    body = bytes(4) + packed(address) + b"\x01\x01" + own
    return b"\x33\x33" + group[12:] + own + IPV6 + _icmp6(group, NEIGHBOUR_SOLICIT, body)


def router_solicitation(own: bytes) -> bytes:
    return (
        b"\x33\x33"
        + packed(_ALL_ROUTERS)[12:]
        + own
        + IPV6
        + _icmp6(_ALL_ROUTERS, ROUTER_SOLICIT, bytes(4) + b"\x01\x01" + own)
    )


def echo_request(own: bytes, mac: bytes, address: str) -> bytes:
    rest = struct.pack("!HH", 7, 1) + b"conformance!"
    if ":" in address:
        return mac + own + IPV6 + _icmp6(address, 128, rest, 64)
    message = b"\x08\x00" + checksum(b"\x08\x00" + rest) + rest
    return mac + own + IPV4 + _ipv4(address, socket.IPPROTO_ICMP, message)


def datagram(own: bytes, mac: bytes, destination: str, mark: int) -> bytes:
    """UDP without checksum; `mark` is the packet's identification."""
    return mac + own + IPV4 + _ipv4(destination, socket.IPPROTO_UDP, struct.pack("!HHHH", 4000, 4000, 8, 0), mark)

"""Adverts as a stranger makes them, byte by byte, right or wrong as wished. Nothing of the program is used."""

from __future__ import annotations

import ipaddress
import struct

STRANGER4, STRANGER6 = "10.9.0.2", "fe80::2"
GROUP4, GROUP6 = "224.0.0.18", "ff02::12"


def packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def advert(
    vrid: int,
    priority: int,
    addresses: tuple[str, ...],
    *,
    version: int = 3,
    ipv6: bool = False,
    kind: int = 1,
    interval: int | None = None,
    count: int | None = None,
    reserved: int = 0,
    auth_type: int = 0,
    auth_data: bytes = bytes(8),
    checksum: int | None = None,
    pseudo: bool = True,
    ttl: int = 255,
    source: str | None = None,
    protocol: int = 112,
    cut: int = 0,
    behind: bytes = b"",
) -> bytes:
    """From the IP header on. `interval` is in seconds (v2) or centiseconds (v3); `cut` takes bytes off the end."""
    source = source or (STRANGER6 if ipv6 else STRANGER4)
    group = GROUP6 if ipv6 else GROUP4
    interval = interval if interval is not None else (1 if version == 2 else 20)
    number = len(addresses) if count is None else count
    fields = bytes((version << 4 | kind, vrid, priority, number))
    fields += bytes((auth_type, interval)) if version == 2 else struct.pack("!H", reserved << 12 | interval)
    body = b"".join(map(packed, addresses)) + (auth_data if version == 2 else b"")
    message = fields + bytes(2) + body
    total = 0
    if version != 2 and pseudo:
        total = int.from_bytes(packed(source) + packed(group), "big") + 112 + len(message)
    right = -(int.from_bytes(message, "big") + total) % 0xFFFF
    message = fields + struct.pack("!H", right if checksum is None else checksum) + body
    message = message[: len(message) - cut] + behind
    if ipv6:
        header = struct.pack("!IHBB", 6 << 28, len(message), protocol, ttl)
    else:
        header = struct.pack("!BBHHHBBH", 0x45, 0xC0, 20 + len(message), 7, 0, ttl, protocol, 0)
    return header + packed(source) + packed(group) + message


def fields(packet: bytes) -> tuple[int, int, bytes]:
    """VRID, priority and message of an advert, from the IP header on."""
    start = 40 if packet[0] >> 4 == 6 else (packet[0] & 15) * 4
    message = packet[start:]
    return message[1], message[2], message


BETWEEN4 = int.from_bytes(packed("10.9.0.1") + packed(GROUP4), "big")
BETWEEN6 = int.from_bytes(packed("fe80::1") + packed(GROUP6), "big")


def advert_sum(packet: bytes, ends: int | None = None) -> int:
    """0 when the checksum of an advert is right: of the message alone, or with the pseudo-header of these addresses."""
    message = fields(packet)[2]
    more = 0 if ends is None else ends + 112 + len(message)
    return (int.from_bytes(message, "big") + more) % 0xFFFF

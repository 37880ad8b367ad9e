"""Frames that tell neighbours where an address lives now: gratuitous ARP and unsolicited neighbour advertisement.

`neighbour_layers` builds them with scapy, which is imported with the first one: it costs 40 ms.
"""

from __future__ import annotations

import socket
from typing import Final

from pykeepalived.model.common import Family, family_of

#: Where the sender's and the target's protocol address stand in an Ethernet frame with ARP for IPv4.
_SENDER_ADDRESS: Final = slice(28, 32)
_TARGET_ADDRESS: Final = slice(38, 42)


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
        from pykeepalived.netio.frames.neighbour_layers import gratuitous_arp, unsolicited_na  # noqa: PLC0415

        if family_of(address) is Family.INET6:
            return bytes(unsolicited_na(mac, address, router=router))
        template = self._arp.get(mac)
        if template is None:
            template = self._arp[mac] = bytes(gratuitous_arp(mac, address))
        frame = bytearray(template)
        frame[_SENDER_ADDRESS] = frame[_TARGET_ADDRESS] = socket.inet_aton(address)
        return bytes(frame)

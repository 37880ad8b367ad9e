"""The receive ladder: what an advert must be before the state machine hears of it.

Every packet that arrives is hostile until it has climbed all rungs, and an attacker decides how many arrive. So the
checks stand in a fixed order, cheap and general ones first, each refusal has one name (`Refusal`), and nothing here
raises for any bytes. The order is keepalived's (keepalived-behaviour 7.3), which monitoring and counters depend on:

    IP header, protocol, lengths, TTL, VRID, version, HMAC trailer, authentication (v2), interval (v2), type, checksum,
    unicast or multicast, owner, peer, TTL range of the peer

What is tolerated on purpose: bytes behind the expected end (Ethernet padding, a trailer that nobody wants), both forms
of the IPv4 VRRPv3 checksum (RFC 5798 with, RFC 9568 without the pseudo-header; which one came is reported), an
interval that differs from ours in v3 (adopted later), and a list of addresses that differs from ours (counted later).

A master repeats the same advert for days. The ladder remembers adverts that passed, keyed by all the bytes that it
looks at, so a repeated one costs a dictionary look-up and climbs no rung. What may pass only once (AH, HMAC) is never
remembered, nor is what was refused, so every refusal is found and counted anew.

Wire formats: RFC 3768 section 5.1 and RFC 2338 section 5.3.6 (v2), RFC 9568 section 5 (v3).
"""

from __future__ import annotations

import struct
from collections.abc import Hashable, Iterable, Mapping
from typing import Final

from pykeepalived.model.common import Family
from pykeepalived.vrrp.authentication import AH_LENGTH, AhCounter
from pykeepalived.vrrp.events import AdvertReceived, PacketRefused, Refusal
from pykeepalived.vrrp.expectation import Expectation
from pykeepalived.vrrp.rungs import (
    HEADER,
    VRRP,
    Packet,
    Slot,
    address_text,
    advert_of,
    check_authentication,
    check_message,
    check_place,
    check_trailer,
    other_form,
    refuse,
)

_AH: Final = 51
_AUTH_DATA: Final = 8
#: version and length, total length, flags and fragment offset, TTL, protocol, source, destination
_IPV4: Final = struct.Struct("!BxHxxHBBxx4s4s")
#: version and type, VRID, priority, count, then auth type and interval (v2) or 12 bits of interval (v3)
_VRRP_HEADER: Final = struct.Struct("!BBBBBB")
_MULTICAST4: Final = range(224, 240)
#: Remembered adverts for each VRID: a few routers that argue.
_REMEMBERED: Final = 8


class Ladder:
    """Finds the instance that a packet is for and says whether it may hear it."""

    def __init__(self, expectations: Iterable[Expectation] = ()) -> None:
        self._slots: dict[tuple[str | None, int, int], list[Slot]] = {}
        self._passed: dict[Hashable, AdvertReceived] = {}
        self.replace(expectations)

    def replace(self, expectations: Iterable[Expectation], ah_counters: Mapping[str, AhCounter] | None = None) -> None:
        """Expect something else from now on (start, reload).

        `ah_counters`, by instance, are shared with those who send; see `AhCounter`.
        """
        before, self._slots = self._slots, {}
        self._passed.clear()
        for expected in expectations:
            key = (expected.interface, int(expected.family), expected.vrid)
            slot = Slot(expected, (ah_counters or {}).get(expected.instance) or AhCounter())
            for old in before.get(key, ()):
                if old.expected.instance == expected.instance:
                    slot.guard.continue_from(old.guard)
            self._slots.setdefault(key, []).append(slot)

    def ipv4(self, packet: bytes, interface: str | None, *, wall_us: int = 0) -> AdvertReceived | PacketRefused:
        """Read an IPv4 packet with its IP header, as a raw or packet socket delivers it on `interface`.

        `wall_us` is the wall clock, microseconds since 1970; only `auth_hmac` needs it.
        """
        # All but the datagram's number and its header's checksum, which nobody here looks at.
        told = interface, packet[:4] + packet[6:10] + packet[12:]
        known = self._passed.get(told)
        if known is not None:
            return known
        size = len(packet)
        if size < 20:
            return PacketRefused("", Refusal.SHORT_IP_HEADER, "", f"packet of {size} bytes has no whole IP header")
        first, total, fragment, ttl, protocol, source, destination = _IPV4.unpack_from(packet)
        header = (first & 15) * 4
        if first >> 4 != 4 or header < 20 or total < header or size < header:
            return refuse("", Refusal.SHORT_IP_HEADER, source, "IP header from {} is malformed")
        if protocol == _AH:
            start = header + AH_LENGTH
        elif protocol == VRRP:
            start = header
        else:
            return refuse("", Refusal.NOT_VRRP, source, "packet from {} is not VRRP")
        if size < total or fragment & 0x3FFF:
            return refuse("", Refusal.LENGTH, source, "packet from {} is cut off")
        message = packet[start:total]
        return self._climb(
            Packet(
                message,
                source,
                destination,
                ttl,
                destination[0] in _MULTICAST4,
                packet[:start] if start > header else b"",
                wall_us,
            ),
            interface,
            Family.INET,
            told,
        )

    def ipv6(
        self,
        message: bytes,
        source: bytes,
        destination: bytes,
        hop_limit: int,
        interface: str | None,
        *,
        wall_us: int = 0,
    ) -> AdvertReceived | PacketRefused:
        """Read the payload of an IPv6 packet of protocol 112; addresses are their 16 bytes."""
        told = interface, message, source, destination, hop_limit
        known = self._passed.get(told)
        if known is not None:
            return known
        if len(source) != 16 or len(destination) != 16:
            return PacketRefused("", Refusal.SHORT_IP_HEADER, "", "addresses of an IPv6 packet are missing")
        packet = Packet(message, source, destination, hop_limit, destination[0] == 0xFF, wall_us=wall_us)
        return self._climb(packet, interface, Family.INET6, told)

    def _climb(
        self, packet: Packet, interface: str | None, family: Family, told: Hashable
    ) -> AdvertReceived | PacketRefused:
        """`told` is what the packet is remembered by when it passes."""
        message, source = packet.message, packet.source
        if len(message) < HEADER:
            return refuse("", Refusal.LENGTH, source, f"message from {{}} has only {len(message)} bytes")
        slot = self._find(packet, interface, family)
        name = slot.expected.instance if slot else ""
        version_type, vrid, _, count, _, _ = _VRRP_HEADER.unpack_from(message)
        version = version_type >> 4
        needed = HEADER + count * (16 if family is Family.INET6 else 4) + (_AUTH_DATA if version == 2 else 0)
        if version in {2, 3} and (len(message) < needed or (version == 3 and not count)):
            detail = f"message from {{}} has {len(message)} bytes for {count} addresses"
            return refuse(name, Refusal.LENGTH, source, detail)
        if packet.multicast and packet.ttl != 255:
            detail = f"invalid TTL/HL from {{}}. Received {packet.ttl} and expect 255"
            return refuse(name, Refusal.TTL, source, detail)
        if slot is None:
            detail = f"Unknown VRID({vrid}) received on interface({interface}). ignoring..."
            return PacketRefused("", Refusal.UNKNOWN_VRID, address_text(source), detail)
        if version != slot.expected.version:
            detail = f"wrong VRRP version from {{}}. Received {version} and expect {slot.expected.version}"
            return refuse(name, Refusal.VERSION, source, detail)
        packet.message = message[:needed]
        refused = check_trailer(packet, message[needed:], slot) if slot.expected.hmac else None
        refused = refused or check_authentication(packet, slot) or check_message(packet, slot.expected)
        if isinstance(refused, PacketRefused):
            return refused
        refused = check_place(packet, slot.expected)
        if refused is not None:
            return refused
        if packet.sequence is not None:
            slot.guard.take(packet.source, packet.sequence)
        event = AdvertReceived(name, advert_of(packet, slot.expected, other_form=other_form(packet, slot.expected)))
        if not packet.header and slot.expected.hmac is None:
            if len(self._passed) >= _REMEMBERED * len(self._slots):
                self._passed.clear()
            self._passed[told] = event
        return event

    def _find(self, packet: Packet, interface: str | None, family: Family) -> Slot | None:
        vrid = packet.message[1]
        found = self._slots.get((interface, family, vrid)) or self._slots.get((None, family, vrid))
        if not found:
            return None
        if len(found) > 1:
            # The same VRID twice on one interface is only legal when something else tells the two apart.
            return _fitting(found, packet)
        return found[0]


def _fitting(slots: list[Slot], packet: Packet) -> Slot:
    """Of several with one VRID the one that sender and destination of the packet belong to; else the first."""
    source, destination = address_text(packet.source), address_text(packet.destination)
    fitting = [
        slot
        for slot in slots
        if slot.expected.unicast is not packet.multicast and (packet.multicast or source in slot.expected.peers)
    ]
    told = [slot for slot in fitting if slot.expected.destination == destination]
    return [*told, *(slot for slot in fitting if slot.expected.destination is None), *fitting, *slots][0]

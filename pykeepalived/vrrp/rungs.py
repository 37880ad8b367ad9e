"""The rungs of the receive ladder: each looks at one thing and names what is wrong with it, or lets the packet pass.

`receive` has their order. Nothing here raises for any bytes.
"""

from __future__ import annotations

import hmac
from ipaddress import IPv6Address
from typing import Final

import msgspec

from pykeepalived.model.common import Family
from pykeepalived.model.vrrp import AuthType
from pykeepalived.units import CENTISECOND_US, SECOND_US
from pykeepalived.vrrp import hmac_trailer
from pykeepalived.vrrp.authentication import AhCounter, ah_digest_fits, ah_sequence
from pykeepalived.vrrp.events import Advert, PacketRefused, Refusal
from pykeepalived.vrrp.expectation import Expectation

VRRP: Final = 112
HEADER: Final = 8
_ADVERTISEMENT: Final = 1
#: What keepalived before 1.3.6 had for a destination in the checksum of every VRRPv3 advert over IPv4.
OLD_DESTINATION: Final = bytes((224, 0, 0, 18))
_COMPATIBLE: Final = bytes(12)
_MAPPED: Final = bytes(10) + b"\xff\xff"


class Slot:
    """An expectation, and what keeps a packet that fits it from passing twice."""

    __slots__ = ("ah_counter", "expected", "guard")

    def __init__(self, expected: Expectation, ah_counter: AhCounter) -> None:
        self.expected = expected
        self.ah_counter = ah_counter
        self.guard = hmac_trailer.ReplayGuard(len(expected.peers) if expected.unicast else None)


class Packet(msgspec.Struct):
    """What both families have in common once the IP layer is off."""

    message: bytes
    source: bytes
    destination: bytes
    ttl: int
    multicast: bool
    header: bytes = b""
    """IP and AH header, of packets that have an AH header."""
    wall_us: int = 0
    """When it came, in microseconds since 1970."""
    clock_skew_s: int = 0
    old_checksum: bool = False
    sequence: int | None = None
    """Of its HMAC trailer, once that was found right."""


def check_trailer(packet: Packet, behind: bytes, slot: Slot) -> PacketRefused | None:
    """`auth_hmac`: what stands behind the message, in the order of keepalived 2.4.3 (keepalived-behaviour 7.2)."""
    expected, source = slot.expected, packet.source
    name, settings = expected.instance, expected.hmac
    assert settings is not None
    if len(behind) < hmac_trailer.LENGTH:
        if settings.mode != "enforce":
            return None
        return refuse(name, Refusal.HMAC_MISSING, source, "missing authentication trailer from {}")
    found = hmac_trailer.Trailer(behind)
    if not found.well_formed:
        return refuse(name, Refusal.HMAC_MALFORMED, source, "malformed authentication trailer from {}")
    skew_s = abs(packet.wall_us // SECOND_US - found.seconds)
    window_s = expected.hmac_window_s
    if window_s is not None and skew_s > window_s:
        detail = (
            f"stale authentication trailer from {{}}, clock skew {skew_s} sec exceeds window {window_s} sec, "
            "compare the clocks of both routers"
        )
        return refuse(name, Refusal.HMAC_STALE, source, detail)
    key = next((each.value for each in settings.keys if each.id == found.key_id), None)
    if key is None:
        return refuse(name, Refusal.HMAC_UNKNOWN_KEY, source, f"unknown authentication key id {found.key_id} from {{}}")
    if not hmac_trailer.fits(found, key, expected.family, source, packet.message):
        return refuse(name, Refusal.HMAC_INVALID, source, "invalid authentication HMAC from {}")
    if expected.unicast and address_text(source) not in expected.peers:
        return _not_a_peer(name, address_text(source))
    if not slot.guard.is_new(source, found.sequence, packet.wall_us, window_s):
        return refuse(name, Refusal.HMAC_REPLAY, source, "replayed authentication trailer from {}")
    if window_s is not None and 2 * skew_s > window_s:
        packet.clock_skew_s = skew_s
    packet.sequence = found.sequence
    return None


def _not_a_peer(instance: str, source: str) -> PacketRefused:
    return PacketRefused(instance, Refusal.NOT_A_PEER, source, f"unicast source address {source} not a unicast peer")


def check_authentication(packet: Packet, slot: Slot) -> PacketRefused | None:
    """RFC 2338 section 5.3.6. VRRPv3 has no such field; an AH header in front of v3 is as foreign as before v2."""
    expected = slot.expected
    with_ah = bool(packet.header)
    name, source = expected.instance, packet.source
    if with_ah != (expected.auth_type is AuthType.AH):
        detail = "AH header from {} is not expected" if with_ah else "AH header from {} is missing"
        return refuse(name, Refusal.AUTH_TYPE_MISMATCH, source, detail)
    if expected.version != 2:
        return None
    auth_type = packet.message[4]
    if auth_type > AuthType.AH:
        return refuse(name, Refusal.AUTH_TYPE_INVALID, source, f"invalid authentication type {auth_type} from {{}}")
    if auth_type != expected.auth_type:
        detail = f"received authentication type {auth_type} from {{}}, expecting {int(expected.auth_type)}"
        return refuse(name, Refusal.AUTH_TYPE_MISMATCH, source, detail)
    if expected.auth_type is AuthType.PASS and not hmac.compare_digest(packet.message[-8:], expected.password):
        return refuse(name, Refusal.AUTH_FAILURE, source, "received an invalid passwd from {}!")
    if with_ah:
        fits = ah_digest_fits(packet.header, packet.message, expected.password)
        if fits is None:
            return refuse(name, Refusal.AH_MALFORMED, source, "malformed AH header from {}")
        if not fits:
            return refuse(name, Refusal.AUTH_FAILURE, source, "AH digest from {} is wrong")
        sequence, last = ah_sequence(packet.header), slot.ah_counter.value
        if not slot.ah_counter.take(sequence):
            detail = f"AH sequence number {sequence} from {{}} was used already, the last one is {last}"
            return refuse(name, Refusal.AH_REPLAY, source, detail)
    return None


def check_message(packet: Packet, expected: Expectation) -> PacketRefused | None:
    message, name, source = packet.message, expected.instance, packet.source
    interval_us = _interval_us(message, expected.version)
    if interval_us == 0 or (expected.version == 2 and interval_us != expected.interval_us):
        detail = (
            f"advertisement interval mismatch: mine={expected.interval_us // 1000}ms "
            f"received={interval_us // 1000}ms from {{}}"
        )
        return refuse(name, Refusal.ADVERT_INTERVAL, source, detail)
    if message[0] & 15 != _ADVERTISEMENT:
        return refuse(name, Refusal.TYPE, source, f"invalid packet type {message[0] & 15} from {{}}")
    fits = _plain_fits(message, expected) or _pseudo_fits(packet, expected)
    packet.old_checksum = not fits and _old_fits(packet, expected)
    if not fits and not packet.old_checksum:
        return refuse(name, Refusal.CHECKSUM, source, f"invalid VRRPv{expected.version} checksum from {{}}")
    return None


def check_place(packet: Packet, expected: Expectation) -> PacketRefused | None:
    name, source = expected.instance, packet.source
    if packet.multicast == expected.unicast:
        heard = "multicast" if packet.multicast else "unicast"
        return refuse(name, Refusal.UNICAST_MISMATCH, source, f"received {heard} advert from {{}}, not expected here")
    if expected.ignores_adverts:
        return refuse(name, Refusal.OWNER_IGNORES, source, "")
    if expected.unicast and expected.check_peers:
        told = address_text(source)
        limits = expected.peers.get(told)
        if limits is None:
            return _not_a_peer(name, told)
        if not limits[0] <= packet.ttl <= limits[1]:
            detail = f"TTL/HL {packet.ttl} from {told} is not within {limits[0]} to {limits[1]}"
            return PacketRefused(name, Refusal.PEER_TTL, told, detail)
    return None


def _plain_fits(message: bytes, expected: Expectation) -> bool:
    """Whether the checksum fits without a pseudo-header: v2, and IPv4 v3 as RFC 9568 has it.

    The ones' complement sum of 16-bit words is the number modulo 65535, and a right checksum makes it 0.
    """
    return expected.family is Family.INET and int.from_bytes(message, "big") % 0xFFFF == 0


def _pseudo_fits(packet: Packet, expected: Expectation) -> bool:
    """Whether it fits with the pseudo-header: IPv6, and IPv4 v3 as RFC 5798 has it."""
    if expected.version == 2:
        return False
    return _fits_with(packet, packet.destination)


def _old_fits(packet: Packet, expected: Expectation) -> bool:
    """Whether it fits with the multicast group as destination, whatever it was sent to (seen in 2.2.7)."""
    return expected.takes_old_checksum and expected.family is Family.INET and _fits_with(packet, OLD_DESTINATION)


def _fits_with(packet: Packet, destination: bytes) -> bool:
    pseudo = int.from_bytes(packet.source + destination, "big") + VRRP + len(packet.message)
    return (pseudo + int.from_bytes(packet.message, "big")) % 0xFFFF == 0


def other_form(packet: Packet, expected: Expectation) -> bool:
    """Whether only the checksum form that we do not send ourselves fits."""
    if packet.old_checksum or expected.version == 2 or expected.family is Family.INET6:
        return False
    if expected.sends_plain_checksum:
        return not _plain_fits(packet.message, expected)
    return not _pseudo_fits(packet, expected)


def _interval_us(message: bytes, version: int) -> int:
    if version == 2:
        return message[5] * SECOND_US
    return ((message[4] & 15) << 8 | message[5]) * CENTISECOND_US


def advert_of(packet: Packet, expected: Expectation, *, other_form: bool) -> Advert:
    message = packet.message
    width = 16 if expected.family is Family.INET6 else 4
    end = HEADER + message[3] * width
    return Advert(
        source=address_text(packet.source),
        destination=address_text(packet.destination),
        ttl=packet.ttl,
        version=expected.version,
        vrid=message[1],
        priority=message[2],
        auth_type=expected.auth_type,
        interval_us=_interval_us(message, expected.version),
        addresses=tuple(address_text(message[at : at + width]) for at in range(HEADER, end, width)),
        other_checksum_form=other_form,
        old_checksum=packet.old_checksum,
        clock_skew_s=packet.clock_skew_s,
    )


def address_text(address: bytes) -> str:
    if len(address) == 4:
        return ".".join(map(str, address))
    # The model's form is inet_ntop's, which writes mapped and compatible addresses with an IPv4 tail.
    if address.startswith(_MAPPED):
        return "::ffff:" + ".".join(map(str, address[12:]))
    if address.startswith(_COMPATIBLE) and address[12:14] != b"\0\0":
        return "::" + ".".join(map(str, address[12:]))
    return str(IPv6Address(address))


def refuse(instance: str, refusal: Refusal, source: bytes, detail: str) -> PacketRefused:
    """`detail` has `{}` where the sender belongs."""
    told = address_text(source)
    return PacketRefused(instance, refusal, told, detail.replace("{}", told))

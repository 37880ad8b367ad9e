"""The receive ladder: what an advert must be before the state machine hears of it.

Every packet that arrives is hostile until it has climbed all rungs, and an attacker decides how many arrive. So the
checks stand in a fixed order, cheap and general ones first, each refusal has one name (`Refusal`), and nothing here
raises for any bytes. The order is keepalived's (keepalived-behaviour 7.3), which monitoring and counters depend on:

    IP header, protocol, lengths, TTL, VRID, version, HMAC trailer, authentication (v2), interval (v2), type, checksum,
    unicast or multicast, owner, peer, TTL range of the peer

What is tolerated on purpose: bytes behind the expected end (Ethernet padding, a trailer that nobody wants), both forms
of the IPv4 VRRPv3 checksum (RFC 5798 with, RFC 9568 without the pseudo-header; which one came is reported), an
interval that differs from ours in v3 (adopted later), and a list of addresses that differs from ours (counted later).

A master repeats the same advert for days. The ladder remembers the last few adverts that passed, keyed by all the
bytes that it looks at, so a repeated one costs a dictionary look-up.

Wire formats: RFC 3768 section 5.1 and RFC 2338 section 5.3.6 (v2), RFC 9568 section 5 (v3).
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address
from typing import Final

import msgspec

from pykeepalived.model.common import Family
from pykeepalived.model.vrrp import AuthHmac, AuthType, VrrpInstance
from pykeepalived.units import CENTISECOND_US, SECOND_US
from pykeepalived.vrrp import hmac_trailer
from pykeepalived.vrrp.authentication import AH_LENGTH, AhCounter, ah_digest_fits, ah_sequence
from pykeepalived.vrrp.events import Advert, AdvertReceived, PacketRefused, Refusal
from pykeepalived.vrrp.facts import advert_interval_us, instance_family, is_unicast
from pykeepalived.vrrp.links import advert_link
from pykeepalived.vrrp.timers import OWNER

_VRRP: Final = 112
_AH: Final = 51
_ADVERTISEMENT: Final = 1
_HEADER: Final = 8
#: What keepalived before 1.3.6 had for a destination in the checksum of every VRRPv3 advert over IPv4.
OLD_DESTINATION: Final = bytes((224, 0, 0, 18))
_COMPATIBLE: Final = bytes(12)
_MAPPED: Final = bytes(10) + b"\xff\xff"
_AUTH_DATA: Final = 8
#: version and length, total length, flags and fragment offset, TTL, protocol, source, destination
_IPV4: Final = struct.Struct("!BxHxxHBBxx4s4s")
#: version and type, VRID, priority, count, then auth type and interval (v2) or 12 bits of interval (v3)
_VRRP_HEADER: Final = struct.Struct("!BBBBBB")
_MULTICAST4: Final = range(224, 240)
#: Remembered adverts per instance: a few routers that argue.
_REMEMBERED: Final = 8


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """What an instance accepts."""

    instance: str
    vrid: int
    family: Family
    interface: str | None
    """None: any (unicast without an interface)."""
    version: int
    interval_us: int
    auth_type: AuthType = AuthType.NONE
    password: bytes = b"\0" * 8
    unicast: bool = False
    destination: str | None = None
    """Where its adverts go to: the multicast group, or our own unicast address; None: not told."""
    peers: dict[str, tuple[int, int]] = {}
    """Unicast peers with their lowest and highest TTL."""
    check_peers: bool = False
    """Refuse adverts whose source is not a peer, or whose TTL is out of the peer's range."""
    ignores_adverts: bool = False
    sends_plain_checksum: bool = False
    """IPv4 v3: our own adverts carry RFC 9568's checksum, without the pseudo-header."""
    takes_old_checksum: bool = False
    """IPv4 v3 unicast: the checksum of keepalived before 1.3.6 is accepted too."""
    hmac: AuthHmac | None = None
    hmac_window_s: int | None = None
    """How far the clock of a sender may be off; None: that does not count."""


def expectation(config: VrrpInstance) -> Expectation:
    """What the instance of this configuration accepts."""
    authentication = config.authentication if config.version == 2 else None
    return Expectation(
        instance=config.name,
        vrid=config.vrid,
        family=instance_family(config),
        interface=advert_link(config),
        version=config.version,
        interval_us=advert_interval_us(config),
        auth_type=authentication.type if authentication else AuthType.NONE,
        password=(authentication.password if authentication else b"")[:8].ljust(8, b"\0"),
        unicast=is_unicast(config),
        destination=config.source if is_unicast(config) else config.multicast_group,
        peers={peer.address: (peer.min_ttl, peer.max_ttl) for peer in config.unicast_peers},
        check_peers=config.check_unicast_src
        or config.auth_hmac is not None
        or any(peer.min_ttl > 0 or peer.max_ttl < 255 for peer in config.unicast_peers),
        ignores_adverts=config.owner_ignore_adverts and config.priority == OWNER,
        sends_plain_checksum=config.v3_checksum_as_v2,
        takes_old_checksum=is_unicast(config) and config.version == 3 and config.old_unicast_checksum != "never",
        hmac=config.auth_hmac,
        hmac_window_s=hmac_trailer.time_window_s(config, config.auth_hmac) if config.auth_hmac else None,
    )


class _Slot:
    """An expectation and the adverts that lately fitted it."""

    __slots__ = ("ah_counter", "expected", "guard", "passed")

    def __init__(self, expected: Expectation, ah_counter: AhCounter) -> None:
        self.expected = expected
        self.ah_counter = ah_counter
        self.guard = hmac_trailer.ReplayGuard(len(expected.peers) if expected.unicast else None)
        self.passed: dict[bytes, AdvertReceived] = {}


class _Packet(msgspec.Struct):
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


class Ladder:
    """Finds the instance that a packet is for and says whether it may hear it."""

    def __init__(self, expectations: Iterable[Expectation] = ()) -> None:
        self._slots: dict[tuple[str | None, int, int], list[_Slot]] = {}
        self.replace(expectations)

    def replace(self, expectations: Iterable[Expectation], ah_counters: Mapping[str, AhCounter] | None = None) -> None:
        """Expect something else from now on (start, reload).

        `ah_counters`, by instance, are shared with those who send; see `AhCounter`.
        """
        before, self._slots = self._slots, {}
        for expected in expectations:
            key = (expected.interface, int(expected.family), expected.vrid)
            slot = _Slot(expected, (ah_counters or {}).get(expected.instance) or AhCounter())
            for old in before.get(key, ()):
                if old.expected.instance == expected.instance:
                    slot.guard.continue_from(old.guard)
            self._slots.setdefault(key, []).append(slot)

    def ipv4(self, packet: bytes, interface: str | None, *, wall_us: int = 0) -> AdvertReceived | PacketRefused:
        """Read an IPv4 packet with its IP header, as a raw or packet socket delivers it on `interface`.

        `wall_us` is the wall clock, microseconds since 1970; only `auth_hmac` needs it.
        """
        size = len(packet)
        if size < 20:
            return PacketRefused("", Refusal.SHORT_IP_HEADER, "", f"packet of {size} bytes has no whole IP header")
        first, total, fragment, ttl, protocol, source, destination = _IPV4.unpack_from(packet)
        header = (first & 15) * 4
        if first >> 4 != 4 or header < 20 or total < header or size < header:
            return _refuse("", Refusal.SHORT_IP_HEADER, source, "IP header from {} is malformed")
        if protocol == _AH:
            start = header + AH_LENGTH
        elif protocol == _VRRP:
            start = header
        else:
            return _refuse("", Refusal.NOT_VRRP, source, "packet from {} is not VRRP")
        if size < total or fragment & 0x3FFF:
            return _refuse("", Refusal.LENGTH, source, "packet from {} is cut off")
        message = packet[start:total]
        return self._climb(
            _Packet(
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
        if len(source) != 16 or len(destination) != 16:
            return PacketRefused("", Refusal.SHORT_IP_HEADER, "", "addresses of an IPv6 packet are missing")
        packet = _Packet(message, source, destination, hop_limit, destination[0] == 0xFF, wall_us=wall_us)
        return self._climb(packet, interface, Family.INET6)

    def _climb(self, packet: _Packet, interface: str | None, family: Family) -> AdvertReceived | PacketRefused:
        message, source = packet.message, packet.source
        if len(message) < _HEADER:
            return _refuse("", Refusal.LENGTH, source, f"message from {{}} has only {len(message)} bytes")
        slot = self._find(packet, interface, family)
        name = slot.expected.instance if slot else ""
        fingerprint = b""
        if slot and not packet.header and slot.expected.hmac is None:
            fingerprint = b"%b%b%c%b" % (source, packet.destination, packet.ttl & 255, message)
            known = slot.passed.get(fingerprint)
            if known is not None:
                return known
        version_type, vrid, _, count, _, _ = _VRRP_HEADER.unpack_from(message)
        version = version_type >> 4
        needed = _HEADER + count * (16 if family is Family.INET6 else 4) + (_AUTH_DATA if version == 2 else 0)
        if version in {2, 3} and (len(message) < needed or (version == 3 and not count)):
            detail = f"message from {{}} has {len(message)} bytes for {count} addresses"
            return _refuse(name, Refusal.LENGTH, source, detail)
        if packet.multicast and packet.ttl != 255:
            detail = f"invalid TTL/HL from {{}}. Received {packet.ttl} and expect 255"
            return _refuse(name, Refusal.TTL, source, detail)
        if slot is None:
            detail = f"Unknown VRID({vrid}) received on interface({interface}). ignoring..."
            return PacketRefused("", Refusal.UNKNOWN_VRID, _text(source), detail)
        if version != slot.expected.version:
            detail = f"wrong VRRP version from {{}}. Received {version} and expect {slot.expected.version}"
            return _refuse(name, Refusal.VERSION, source, detail)
        packet.message = message[:needed]
        refused = _check_trailer(packet, message[needed:], slot) if slot.expected.hmac else None
        refused = refused or _check_authentication(packet, slot) or _check_message(packet, slot.expected)
        if isinstance(refused, PacketRefused):
            return refused
        refused = _check_place(packet, slot.expected)
        if refused is not None:
            return refused
        if packet.sequence is not None:
            slot.guard.take(packet.source, packet.sequence)
        event = AdvertReceived(name, _advert(packet, slot.expected, other_form=_other_form(packet, slot.expected)))
        if fingerprint:
            if len(slot.passed) >= _REMEMBERED:
                slot.passed.clear()
            slot.passed[fingerprint] = event
        return event

    def _find(self, packet: _Packet, interface: str | None, family: Family) -> _Slot | None:
        vrid = packet.message[1]
        found = self._slots.get((interface, family, vrid)) or self._slots.get((None, family, vrid))
        if not found:
            return None
        if len(found) > 1:
            # The same VRID twice on one interface is only legal when something else tells the two apart.
            return _fitting(found, packet)
        return found[0]


def _fitting(slots: list[_Slot], packet: _Packet) -> _Slot:
    """Of several with one VRID the one that sender and destination of the packet belong to; else the first."""
    source, destination = _text(packet.source), _text(packet.destination)
    fitting = [
        slot
        for slot in slots
        if slot.expected.unicast is not packet.multicast and (packet.multicast or source in slot.expected.peers)
    ]
    told = [slot for slot in fitting if slot.expected.destination == destination]
    return [*told, *(slot for slot in fitting if slot.expected.destination is None), *fitting, *slots][0]


def _check_trailer(packet: _Packet, behind: bytes, slot: _Slot) -> PacketRefused | None:
    """`auth_hmac`: what stands behind the message, in the order of keepalived 2.4.3 (keepalived-behaviour 7.2)."""
    expected, source = slot.expected, packet.source
    name, settings = expected.instance, expected.hmac
    assert settings is not None
    if len(behind) < hmac_trailer.LENGTH:
        if settings.mode != "enforce":
            return None
        return _refuse(name, Refusal.HMAC_MISSING, source, "missing authentication trailer from {}")
    found = hmac_trailer.Trailer(behind)
    if not found.well_formed:
        return _refuse(name, Refusal.HMAC_MALFORMED, source, "malformed authentication trailer from {}")
    skew_s = abs(packet.wall_us // SECOND_US - found.seconds)
    window_s = expected.hmac_window_s
    if window_s is not None and skew_s > window_s:
        detail = (
            f"stale authentication trailer from {{}}, clock skew {skew_s} sec exceeds window {window_s} sec, "
            "compare the clocks of both routers"
        )
        return _refuse(name, Refusal.HMAC_STALE, source, detail)
    key = next((each.value for each in settings.keys if each.id == found.key_id), None)
    if key is None:
        return _refuse(
            name, Refusal.HMAC_UNKNOWN_KEY, source, f"unknown authentication key id {found.key_id} from {{}}"
        )
    if not hmac_trailer.fits(found, key, expected.family, source, packet.message):
        return _refuse(name, Refusal.HMAC_INVALID, source, "invalid authentication HMAC from {}")
    if expected.unicast and _text(source) not in expected.peers:
        return _not_a_peer(name, _text(source))
    if not slot.guard.is_new(source, found.sequence):
        return _refuse(name, Refusal.HMAC_REPLAY, source, "replayed authentication trailer from {}")
    if window_s is not None and 2 * skew_s > window_s:
        packet.clock_skew_s = skew_s
    packet.sequence = found.sequence
    return None


def _not_a_peer(instance: str, source: str) -> PacketRefused:
    return PacketRefused(instance, Refusal.NOT_A_PEER, source, f"unicast source address {source} not a unicast peer")


def _check_authentication(packet: _Packet, slot: _Slot) -> PacketRefused | None:
    """RFC 2338 section 5.3.6. VRRPv3 has no such field; an AH header in front of v3 is as foreign as before v2."""
    expected = slot.expected
    with_ah = bool(packet.header)
    name, source = expected.instance, packet.source
    if with_ah != (expected.auth_type is AuthType.AH):
        detail = "AH header from {} is not expected" if with_ah else "AH header from {} is missing"
        return _refuse(name, Refusal.AUTH_TYPE_MISMATCH, source, detail)
    if expected.version != 2:
        return None
    auth_type = packet.message[4]
    if auth_type > AuthType.AH:
        return _refuse(name, Refusal.AUTH_TYPE_INVALID, source, f"invalid authentication type {auth_type} from {{}}")
    if auth_type != expected.auth_type:
        detail = f"received authentication type {auth_type} from {{}}, expecting {int(expected.auth_type)}"
        return _refuse(name, Refusal.AUTH_TYPE_MISMATCH, source, detail)
    if expected.auth_type is AuthType.PASS and not hmac.compare_digest(packet.message[-8:], expected.password):
        return _refuse(name, Refusal.AUTH_FAILURE, source, "received an invalid passwd from {}!")
    if with_ah:
        fits = ah_digest_fits(packet.header, packet.message, expected.password)
        if fits is None:
            return _refuse(name, Refusal.AH_MALFORMED, source, "malformed AH header from {}")
        if not fits:
            return _refuse(name, Refusal.AUTH_FAILURE, source, "AH digest from {} is wrong")
        sequence, last = ah_sequence(packet.header), slot.ah_counter.value
        if not slot.ah_counter.take(sequence):
            detail = f"AH sequence number {sequence} from {{}} was used already, the last one is {last}"
            return _refuse(name, Refusal.AH_REPLAY, source, detail)
    return None


def _check_message(packet: _Packet, expected: Expectation) -> PacketRefused | None:
    message, name, source = packet.message, expected.instance, packet.source
    interval_us = _interval_us(message, expected.version)
    if interval_us == 0 or (expected.version == 2 and interval_us != expected.interval_us):
        detail = (
            f"advertisement interval mismatch: mine={expected.interval_us // 1000}ms "
            f"received={interval_us // 1000}ms from {{}}"
        )
        return _refuse(name, Refusal.ADVERT_INTERVAL, source, detail)
    if message[0] & 15 != _ADVERTISEMENT:
        return _refuse(name, Refusal.TYPE, source, f"invalid packet type {message[0] & 15} from {{}}")
    fits = _plain_fits(message, expected) or _pseudo_fits(packet, expected)
    packet.old_checksum = not fits and _old_fits(packet, expected)
    if not fits and not packet.old_checksum:
        return _refuse(name, Refusal.CHECKSUM, source, f"invalid VRRPv{expected.version} checksum from {{}}")
    return None


def _check_place(packet: _Packet, expected: Expectation) -> PacketRefused | None:
    name, source = expected.instance, packet.source
    if packet.multicast == expected.unicast:
        heard = "multicast" if packet.multicast else "unicast"
        return _refuse(name, Refusal.UNICAST_MISMATCH, source, f"received {heard} advert from {{}}, not expected here")
    if expected.ignores_adverts:
        return _refuse(name, Refusal.OWNER_IGNORES, source, "")
    if expected.unicast and expected.check_peers:
        text = _text(source)
        limits = expected.peers.get(text)
        if limits is None:
            return _not_a_peer(name, text)
        if not limits[0] <= packet.ttl <= limits[1]:
            detail = f"TTL/HL {packet.ttl} from {text} is not within {limits[0]} to {limits[1]}"
            return PacketRefused(name, Refusal.PEER_TTL, text, detail)
    return None


def _plain_fits(message: bytes, expected: Expectation) -> bool:
    """Whether the checksum fits without a pseudo-header: v2, and IPv4 v3 as RFC 9568 has it.

    The ones' complement sum of 16-bit words is the number modulo 65535, and a right checksum makes it 0.
    """
    return expected.family is Family.INET and int.from_bytes(message, "big") % 0xFFFF == 0


def _pseudo_fits(packet: _Packet, expected: Expectation) -> bool:
    """Whether it fits with the pseudo-header: IPv6, and IPv4 v3 as RFC 5798 has it."""
    if expected.version == 2:
        return False
    return _fits_with(packet, packet.destination)


def _old_fits(packet: _Packet, expected: Expectation) -> bool:
    """Whether it fits with the multicast group as destination, whatever it was sent to (seen in 2.2.7)."""
    return expected.takes_old_checksum and expected.family is Family.INET and _fits_with(packet, OLD_DESTINATION)


def _fits_with(packet: _Packet, destination: bytes) -> bool:
    pseudo = int.from_bytes(packet.source + destination, "big") + _VRRP + len(packet.message)
    return (pseudo + int.from_bytes(packet.message, "big")) % 0xFFFF == 0


def _other_form(packet: _Packet, expected: Expectation) -> bool:
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


def _advert(packet: _Packet, expected: Expectation, *, other_form: bool) -> Advert:
    message = packet.message
    width = 16 if expected.family is Family.INET6 else 4
    end = _HEADER + message[3] * width
    return Advert(
        source=_text(packet.source),
        destination=_text(packet.destination),
        ttl=packet.ttl,
        version=expected.version,
        vrid=message[1],
        priority=message[2],
        auth_type=expected.auth_type,
        interval_us=_interval_us(message, expected.version),
        addresses=tuple(_text(message[at : at + width]) for at in range(_HEADER, end, width)),
        other_checksum_form=other_form,
        old_checksum=packet.old_checksum,
        clock_skew_s=packet.clock_skew_s,
    )


def _text(address: bytes) -> str:
    if len(address) == 4:
        return ".".join(map(str, address))
    # The model's form is inet_ntop's, which writes mapped and compatible addresses with an IPv4 tail.
    if address.startswith(_MAPPED):
        return "::ffff:" + ".".join(map(str, address[12:]))
    if address.startswith(_COMPATIBLE) and address[12:14] != b"\0\0":
        return "::" + ".".join(map(str, address[12:]))
    return str(IPv6Address(address))


def _refuse(instance: str, refusal: Refusal, source: bytes, detail: str) -> PacketRefused:
    """`detail` has `{}` where the sender belongs."""
    text = _text(source)
    return PacketRefused(instance, refusal, text, detail.replace("{}", text))

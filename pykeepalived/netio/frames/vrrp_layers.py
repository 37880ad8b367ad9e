"""Adverts as scapy's layers."""

from __future__ import annotations

import struct
from typing import Any, Final

from pykeepalived.model.common import Family, family_of
from pykeepalived.model.vrrp import AuthType
from pykeepalived.netio.frames import scapy_quietly  # must come before any other import of scapy
from pykeepalived.netio.frames.vrrp import OLD_DESTINATION, PROTOCOL_AH, PROTOCOL_VRRP, AdvertSpec
from pykeepalived.units import CENTISECOND_US, SECOND_US
from pykeepalived.vrrp.authentication import AH_LENGTH

# isort: split
from scapy.fields import (
    BitField,
    ByteEnumField,
    ByteField,
    FieldLenField,
    FieldListField,
    IntField,
    IP6Field,
    IPField,
    LongField,
    ShortField,
    StrFixedLenField,
    XShortField,
)
from scapy.layers.inet import IP, in4_chksum
from scapy.packet import Packet
from scapy.utils import checksum

#: Internetwork control (precedence 6), as keepalived marks its adverts.
_TOS: Final = 0xC0
_U16: Final = struct.Struct("!H")


class VrrpV2(Packet):  # type: ignore[misc]
    """Advertisement of VRRP version 2."""

    name = "VRRPv2"
    fields_desc = [  # noqa: RUF012 - scapy's way of declaring a layer
        BitField("version", 2, 4),
        BitField("type", 1, 4),
        ByteField("vrid", 1),
        ByteField("priority", 100),
        FieldLenField("count", None, count_of="addresses", fmt="B"),
        ByteEnumField("auth_type", 0, {0: "none", 1: "PASS", 2: "AH"}),
        ByteField("interval_s", 1),
        XShortField("chksum", None),
        FieldListField("addresses", [], IPField("", "0.0.0.0"), count_from=lambda packet: packet.count),
        StrFixedLenField("auth_data", bytes(8), 8),
    ]

    def post_build(self, pkt: bytes, pay: bytes) -> bytes:
        if self.chksum is None:
            pkt = pkt[:6] + _U16.pack(checksum(pkt)) + pkt[8:]
        return pkt + pay


class AuthenticationHeader(Packet):  # type: ignore[misc]
    """RFC 4302 section 2, with the 96 bits of HMAC-MD5 that VRRPv2 uses (RFC 2338 section 5.3.6.3)."""

    name = "VRRP AH"
    fields_desc = [  # noqa: RUF012
        ByteField("next_header", 112),
        ByteField("length_words", AH_LENGTH // 4 - 2),
        ShortField("reserved", 0),
        IPField("spi", "0.0.0.0"),
        IntField("sequence", 0),
        StrFixedLenField("digest", bytes(12), 12),
    ]


class VrrpV3(Packet):  # type: ignore[misc]
    """Advertisement of VRRP version 3 over IPv4, checksum with the pseudo-header."""

    name = "VRRPv3"
    fields_desc = [  # noqa: RUF012
        BitField("version", 3, 4),
        BitField("type", 1, 4),
        ByteField("vrid", 1),
        ByteField("priority", 100),
        FieldLenField("count", None, count_of="addresses", fmt="B"),
        BitField("reserved", 0, 4),
        BitField("interval_cs", 100, 12),
        XShortField("chksum", None),
        FieldListField("addresses", [], IPField("", "0.0.0.0"), count_from=lambda packet: packet.count),
    ]

    def post_build(self, pkt: bytes, pay: bytes) -> bytes:
        if self.chksum is None:
            pkt = pkt[:6] + _U16.pack(self.message_checksum(pkt)) + pkt[8:]
        return pkt + pay

    def message_checksum(self, message: bytes) -> int:
        return int(in4_chksum(PROTOCOL_VRRP, self.underlayer, message))


class VrrpV3MessageOnly(VrrpV3):
    """The same with RFC 9568's checksum over IPv4, without the pseudo-header (`v3_checksum_as_v2`)."""

    def message_checksum(self, message: bytes) -> int:
        return int(checksum(message))


class VrrpV3Old(VrrpV3):
    """The same with the checksum of keepalived before 1.3.6, where the multicast group stands in it."""

    def message_checksum(self, message: bytes) -> int:
        return int(in4_chksum(PROTOCOL_VRRP, IP(src=self.underlayer.src, dst=OLD_DESTINATION), message))


class VrrpV3Ipv6(VrrpV3):
    """Advertisement of VRRP version 3 over IPv6."""

    fields_desc = [  # noqa: RUF012
        *VrrpV3.fields_desc[:-1],
        FieldListField("addresses", [], IP6Field("", "::"), count_from=lambda packet: packet.count),
    ]

    def message_checksum(self, message: bytes) -> int:
        return int(scapy_quietly.ipv6_layers().in6_chksum(PROTOCOL_VRRP, self.underlayer, message))


class HmacTrailer(Packet):  # type: ignore[misc]
    """What `auth_hmac` puts behind a message; `Datagram` fills in sequence and digest."""

    name = "VRRP HMAC trailer"
    fields_desc = [  # noqa: RUF012
        ByteField("type", 1),
        ByteField("key_id", 1),
        ShortField("reserved", 0),
        LongField("sequence", 0),
        StrFixedLenField("digest", bytes(16), 16),
    ]


def packet(spec: AdvertSpec, priority: int) -> Any:
    """The whole advert as scapy layers, IP header included."""
    advert = _message(spec, priority)
    return advert if spec.hmac_key_id is None else advert / HmacTrailer(key_id=spec.hmac_key_id)


def _message(spec: AdvertSpec, priority: int) -> Any:
    if family_of(spec.destination) is Family.INET6:
        # The traffic class stays zero, as keepalived leaves it.
        ipv6 = scapy_quietly.ipv6_layers().IPv6
        below = ipv6(src=spec.source, dst=spec.destination, hlim=spec.ttl, nh=PROTOCOL_VRRP, tc=0, fl=0)
        return below / VrrpV3Ipv6(**_v3_fields(spec, priority))
    with_ah = spec.auth_type is AuthType.AH
    protocol = PROTOCOL_AH if with_ah else PROTOCOL_VRRP
    below = IP(src=spec.source, dst=spec.destination, ttl=spec.ttl, tos=_TOS, proto=protocol, id=0, flags=0, frag=0)
    if spec.version == 3:
        layer = VrrpV3MessageOnly if spec.message_only_checksum else VrrpV3Old if spec.old_checksum else VrrpV3
        return below / layer(**_v3_fields(spec, priority))
    if with_ah:
        below = below / AuthenticationHeader(spi=spec.source)
    return below / VrrpV2(
        vrid=spec.vrid,
        priority=priority,
        auth_type=int(spec.auth_type),
        interval_s=spec.interval_us // SECOND_US,
        addresses=list(spec.addresses),
        auth_data=bytes(8) if with_ah else spec.password[:8].ljust(8, b"\0"),
    )


def _v3_fields(spec: AdvertSpec, priority: int) -> dict[str, Any]:
    return {
        "vrid": spec.vrid,
        "priority": priority,
        "interval_cs": spec.interval_us // CENTISECOND_US,
        "addresses": list(spec.addresses),
    }

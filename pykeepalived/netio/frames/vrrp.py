"""VRRP adverts: what they hold, and the bytes that are sent. `vrrp_layers` has them as scapy's layers.

    v2 (RFC 2338 section 5, RFC 3768)             v3 (RFC 9568 section 5)
    +---------+------+----------+---------+      +---------+------+----------+---------+
    | 2 |  1  | VRID | priority | count   |      | 3 |  1  | VRID | priority | count   |
    +---------+------+----------+---------+      +----+----+------+----------+---------+
    | auth type | interval s |  checksum  |      | 0  |  interval cs  |    checksum     |
    +-----------+------------+------------+      +----+---------------+-----------------+
    | addresses …                         |      | addresses …                          |
    | authentication data, 8 bytes, always|      +--------------------------------------+
    +-------------------------------------+

The v2 checksum covers the message. The v3 checksum over IPv6 covers the pseudo-header too; over IPv4 keepalived and FRR
include the pseudo-header, RFC 9568 does not (`v3_checksum_as_v2`).

With authentication type AH an IPSEC authentication header stands between the IP header and the message; how keepalived
computes its digest is told in `vrrp.authentication`.

With `auth_hmac` a trailer stands behind the message; `vrrp.hmac_trailer` tells of it.

scapy builds a datagram, from the IP header on, once for a configuration and source address. `Datagram` keeps the bytes
and changes what varies from one advert to the next: the priority (with its checksum, RFC 1624), the IPv4
identification, with AH or a trailer the sequence number and the digest. The kernel fills in the IPv4 header checksum.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from pykeepalived.model.common import Family, family_of
from pykeepalived.model.vrrp import AuthType, VrrpInstance
from pykeepalived.vrrp import hmac_trailer
from pykeepalived.vrrp.authentication import AH_LENGTH, AhCounter, ah_digest
from pykeepalived.vrrp.facts import advert_interval_us, advertised_addresses, instance_family

PROTOCOL_VRRP: Final = 112
PROTOCOL_AH: Final = 51
#: What every VRRPv3 advert over IPv4 had for a destination in its checksum before keepalived 1.3.6.
OLD_DESTINATION: Final = "224.0.0.18"
_HOPS: Final = 255
_IPV4_HEADER: Final = 20
_IPV6_HEADER: Final = 40
_U16: Final = struct.Struct("!H")
_U32: Final = struct.Struct("!I")


class AdvertSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the bytes of an advert depend on, except its priority."""

    source: str
    destination: str
    vrid: int
    version: int
    interval_us: int
    """As the wire has it: whole seconds in version 2, centiseconds in version 3."""
    addresses: tuple[str, ...]
    ttl: int = _HOPS
    auth_type: AuthType = AuthType.NONE
    password: bytes = b""
    message_only_checksum: bool = False
    old_checksum: bool = False
    hmac_key_id: int | None = None
    """With `auth_hmac`: the key of what is sent; None: no trailer."""
    hmac_key: bytes = b""
    """Empty: there is no such key, and the digest is zero."""
    hmac_window_s: int | None = None
    """How far receivers let our clock be off; None: it does not count."""


def advert_specs(
    instance: VrrpInstance, source: str, group: str, *, old_checksum: bool = False
) -> tuple[AdvertSpec, ...]:
    """One spec for the multicast group, or one for each unicast peer.

    `old_checksum`: a peer knows only the checksum of keepalived before 1.3.6.
    """
    authentication = instance.authentication if instance.version == 2 else None
    hmac = instance.auth_hmac if instance.auth_hmac and instance.auth_hmac.mode != "receive-only" else None
    keys = {key.id: key.value for key in hmac.keys} if hmac else {}
    destinations = tuple(peer.address for peer in instance.unicast_peers) or (group,)
    return tuple(
        AdvertSpec(
            source=source,
            destination=destination,
            vrid=instance.vrid,
            version=instance.version,
            interval_us=advert_interval_us(instance),
            addresses=advertised_addresses(instance),
            ttl=instance.unicast_ttl if instance.unicast_peers else _HOPS,
            auth_type=authentication.type if authentication else AuthType.NONE,
            password=authentication.password if authentication else b"",
            message_only_checksum=instance.v3_checksum_as_v2,
            old_checksum=bool(instance.unicast_peers) and (old_checksum or instance.old_unicast_checksum == "always"),
            hmac_key_id=hmac.active_key if hmac else None,
            hmac_key=keys.get(hmac.active_key or 0, b"") if hmac else b"",
            hmac_window_s=hmac_trailer.time_window_s(instance, hmac) if hmac else None,
        )
        for destination in destinations
    )


def largest_advert(instance: VrrpInstance) -> int:
    """Bytes of an advert of the instance, from the IP header on."""
    addresses = advertised_addresses(instance)
    ipv6 = instance_family(instance) is Family.INET6
    size = _IPV6_HEADER + 16 * len(addresses) if ipv6 else _IPV4_HEADER + 4 * len(addresses)
    size += 8 + (8 if instance.version == 2 else 0)
    with_ah = instance.authentication is not None and instance.authentication.type is AuthType.AH
    return size + (AH_LENGTH if with_ah else 0) + (hmac_trailer.LENGTH if instance.auth_hmac else 0)


class Counters:
    """What counts up from one advert of an instance to the next, whatever is sent and to whom."""

    __slots__ = ("ah", "identification", "stamp", "wall_us")

    def __init__(self, wall_us: Callable[[], int] | None = None) -> None:
        """`wall_us` tells the wall clock, microseconds since 1970."""
        self.identification = 0
        self.ah = AhCounter()
        self.stamp = 0
        self.wall_us = wall_us or _wall_us

    def next_identification(self) -> int:
        # Never zero: the kernel would put a number of its own there (raw(7), IP_HDRINCL).
        self.identification = self.identification % 0xFFFF + 1
        return self.identification

    def next_stamp(self, window_s: int | None) -> int:
        """The sequence of the next trailer; `window_s`: how far receivers let our clock be off."""
        self.stamp = hmac_trailer.next_sequence(self.stamp, self.wall_us(), window_s)
        return self.stamp


def _wall_us() -> int:
    return time.time_ns() // 1000


class Datagram:
    """The bytes of one advert, kept between sends."""

    __slots__ = (
        "_bytes",
        "_counters",
        "_family",
        "_hmac_key",
        "_hmac_key_id",
        "_hmac_window_s",
        "_message",
        "_password",
        "_priority",
        "_source",
        "destination",
    )

    def __init__(self, spec: AdvertSpec, priority: int, counters: Counters) -> None:
        """Lets scapy build the advert."""
        self.destination = spec.destination
        self._family = family_of(spec.destination)
        self._hmac_key_id, self._hmac_key = spec.hmac_key_id, spec.hmac_key
        self._hmac_window_s = spec.hmac_window_s
        self._source = socket.inet_pton(self._family, spec.source)
        self._password = spec.password if spec.auth_type is AuthType.AH else None
        self._message = _IPV4_HEADER if self._family is Family.INET else _IPV6_HEADER
        if self._password is not None:
            self._message += AH_LENGTH
        self._bytes = bytearray(_built(spec, priority))
        self._priority = priority
        self._counters = counters

    def advert(self, priority: int) -> bytearray:
        """The bytes to send next, with this priority and the next numbers. Valid until the next call."""
        if priority != self._priority:
            self._set_priority(priority)
        if self._family is Family.INET:
            _U16.pack_into(self._bytes, 4, self._counters.next_identification())
        if self._password is not None:
            start = self._message
            _U32.pack_into(self._bytes, start - 16, self._counters.ah.next())
            digest = ah_digest(bytes(self._bytes[:start]), bytes(self._bytes[start:]), self._password)
            self._bytes[start - 12 : start] = digest
        if self._hmac_key_id is not None:
            self._sign(self._hmac_key_id)
        return self._bytes

    def _sign(self, key_id: int) -> None:
        """Give the trailer the next sequence and its digest, which stays zero without a key."""
        end = len(self._bytes) - hmac_trailer.LENGTH
        head = hmac_trailer.head(key_id, self._counters.next_stamp(self._hmac_window_s))
        self._bytes[end : end + len(head)] = head
        if self._hmac_key:
            message = bytes(self._bytes[self._message : end])
            self._bytes[-16:] = hmac_trailer.digest(self._hmac_key, self._family, self._source, message, head)

    def _set_priority(self, priority: int) -> None:
        """Change the priority and update the checksum: HC' = ~(~HC + ~m + m'), RFC 1624 section 3."""
        start = self._message
        (before,) = _U16.unpack_from(self._bytes, start + 2)
        (old,) = _U16.unpack_from(self._bytes, start + 6)
        self._bytes[start + 2] = priority
        (after,) = _U16.unpack_from(self._bytes, start + 2)
        total = (~old & 0xFFFF) + (~before & 0xFFFF) + after
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        _U16.pack_into(self._bytes, start + 6, ~total & 0xFFFF)
        self._priority = priority


def _built(spec: AdvertSpec, priority: int) -> bytes:
    from pykeepalived.netio.frames.vrrp_layers import packet  # noqa: PLC0415 (scapy costs 40 ms at its first use)

    return bytes(packet(spec, priority))


def datagrams(specs: Sequence[AdvertSpec], priority: int, counters: Counters) -> tuple[Datagram, ...]:
    """Build one datagram for every destination."""
    return tuple(Datagram(spec, priority, counters) for spec in specs)

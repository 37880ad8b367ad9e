"""The authentication trailer of `auth_hmac`: 28 bytes behind the VRRP message (keepalived-behaviour 7.2).

    +------+--------+----------+---------------------------------------------+----------------+
    | 1    | key id | 0        | sequence: seconds 32, 1/65536 s 16, count 16 | HMAC, 16 bytes |
    +------+--------+----------+---------------------------------------------+----------------+

The HMAC is the first half of HMAC-SHA256 over a pseudo-header (family, VRRP version, VRID, source address), the message
with its checksum read as zero, the trailer without its HMAC, and 16 zero bytes in the HMAC's place. Neither the VRRP
checksum nor the count of addresses knows of the trailer, so that it goes with every version and family.

The sequence is the sender's wall clock as long as that goes on, and one more than the last number otherwise. A receiver
takes a sequence from each sender only once and only rising, and with `anti_replay time` only near its own clock.
"""

from __future__ import annotations

import hmac
import struct
from collections import OrderedDict
from typing import Final

from pykeepalived.model.common import Family
from pykeepalived.model.vrrp import AuthHmac, VrrpInstance
from pykeepalived.units import SECOND_US

LENGTH: Final = 28
_TYPE: Final = 1
_DIGEST: Final = 16
_HEAD: Final = struct.Struct("!BBHQ")
_SEQUENCE_BITS: Final = 64
_SEQUENCES: Final = 1 << _SEQUENCE_BITS
_SHORTEST_WINDOW_S: Final = 5
#: Senders of multicast adverts whose last sequence is remembered; the one that was silent longest makes room.
_MULTICAST_SENDERS: Final = 4


class Trailer:
    """The fields of a received trailer."""

    __slots__ = ("digest", "head", "key_id", "seconds", "sequence", "well_formed")

    def __init__(self, data: bytes) -> None:
        """`data` has LENGTH bytes at least; what follows is not looked at."""
        self.head = data[: _HEAD.size]
        self.digest = data[_HEAD.size : LENGTH]
        kind, self.key_id, reserved, self.sequence = _HEAD.unpack(self.head)
        self.well_formed = kind == _TYPE and reserved == 0
        self.seconds = self.sequence >> 32


def head(key_id: int, sequence: int) -> bytes:
    """The first 12 bytes of a trailer."""
    return _HEAD.pack(_TYPE, key_id, 0, sequence % _SEQUENCES)


def digest(key: bytes, family: Family, source: bytes, message: bytes, trailer_head: bytes) -> bytes:
    """The 16 bytes of HMAC for a message from `source` (4 or 16 bytes, network order)."""
    number = 6 if family is Family.INET6 else 4
    pseudo = bytes((number, message[0] >> 4, message[1], 0)) + source.ljust(16, b"\0")
    text = b"%b%b\0\0%b%b%b" % (pseudo, message[:6], message[8:], trailer_head, bytes(_DIGEST))
    return hmac.digest(key, text, "sha256")[:_DIGEST]


def fits(found: Trailer, key: bytes, family: Family, source: bytes, message: bytes) -> bool:
    """Whether the HMAC of a received trailer is right."""
    return hmac.compare_digest(found.digest, digest(key, family, source, message, found.head))


def clock_sequence(wall_us: int) -> int:
    """An instant of the wall clock (microseconds since 1970) as a sequence number, its count zero."""
    seconds, rest_us = divmod(wall_us, SECOND_US)
    return (seconds << 32 | (rest_us << 16) // SECOND_US << 16) % _SEQUENCES


def next_sequence(last: int, wall_us: int, window_s: int | None = None) -> int:
    """What a sender uses after `last`: its clock, but always more than before.

    Unless its clock was put back so far that its old numbers are ahead of every clock that may be right (receivers let
    `window_s` pass, and so far our own may be off): nobody would believe it until that hour comes again.
    """
    if window_s is not None and is_ahead(last, wall_us, 2 * window_s):
        return clock_sequence(wall_us)
    return max(clock_sequence(wall_us), last + 1)


def is_ahead(sequence: int, wall_us: int, window_s: int) -> bool:
    """Whether a sequence is from a time that has not come yet, for all that clocks may differ."""
    return sequence >> 32 > wall_us // SECOND_US + window_s


def time_window_s(config: VrrpInstance, found: AuthHmac) -> int | None:
    """How far a sender's clock may be off; None: its clock does not count (`anti_replay monotonic`)."""
    if found.anti_replay != "time":
        return None
    if found.time_window_s is not None:
        return found.time_window_s
    return max(3 * config.advert_interval_us // SECOND_US, _SHORTEST_WINDOW_S)


class ReplayGuard:
    """The last sequence of each sender."""

    __slots__ = ("_last", "_limit")

    def __init__(self, peers: int | None) -> None:
        """`peers` is how many unicast peers there are; None: multicast."""
        self._limit = _MULTICAST_SENDERS if peers is None else peers
        self._last: OrderedDict[bytes, int] = OrderedDict()

    def is_new(self, source: bytes, sequence: int, wall_us: int = 0, window_s: int | None = None) -> bool:
        """Whether a sequence is greater than the last one. Numbers are compared as RFC 1982 has it.

        A last one from a time that has not come yet, by more than `window_s`, no longer counts: our clock was put back.
        """
        last = self._last.get(source)
        if last is not None and window_s is not None and is_ahead(last, wall_us, window_s):
            return True
        return last is None or 0 < (sequence - last) % _SEQUENCES < _SEQUENCES // 2

    def take(self, source: bytes, sequence: int) -> None:
        """Remember the sequence of an advert that was used."""
        self._last[source] = sequence
        self._last.move_to_end(source)
        while len(self._last) > self._limit:
            self._last.popitem(last=False)

    def continue_from(self, before: ReplayGuard) -> None:
        """A reload: what was heard before stays heard."""
        self._last = before._last

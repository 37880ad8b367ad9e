"""VRRPv2's authentication header as keepalived has it.

It is HMAC-MD5-96 over the IP header with its TOS and checksum zeroed but the TTL left as it is, the authentication
header with its digest zeroed, and the message (keepalived-behaviour 7.1). RFC 4302 would zero the TTL too.
"""

from __future__ import annotations

import hmac
import struct
from typing import Final

#: Next header, length, reserved, security parameters index, sequence number, 96 bits of digest.
AH_LENGTH: Final = 24
_VRRP: Final = 112
_NUMBERS: Final = 1 << 32
_U32: Final = struct.Struct("!I")
_LENGTH_WORDS: Final = AH_LENGTH // 4 - 2


def ah_digest(header: bytes, message: bytes, password: bytes) -> bytes:
    """The 12 bytes of digest for an IP header followed by an AH header (`header`) and a VRRP message.

    `password` is the configured one, zero-padded to 8 bytes or not; zero padding does not change an HMAC.
    """
    cleared = bytearray(header)
    cleared[1] = 0
    cleared[10:12] = b"\0\0"
    cleared[-12:] = bytes(12)
    return hmac.digest(password, bytes(cleared) + message, "md5")[:12]


def ah_digest_fits(header: bytes, message: bytes, password: bytes) -> bool | None:
    """Whether the digest is right; None: this is not an authentication header of the only form that VRRP has."""
    if len(header) < 20 + AH_LENGTH or header[-AH_LENGTH] != _VRRP or header[1 - AH_LENGTH] != _LENGTH_WORDS:
        return None
    return hmac.compare_digest(header[-12:], ah_digest(header, message, password))


def ah_sequence(header: bytes) -> int:
    """The sequence number of an authentication header that `ah_digest_fits` found well-formed."""
    return int(_U32.unpack_from(header, len(header) - 16)[0])


class AhCounter:
    """The one sequence number of an instance, for what it sends and what it hears (seen by running 2.2.7 and 2.4.3).

    An advert must have a greater number than everything that was heard or sent before, and what is sent continues from
    there. So a router that starts anew hears the number of the others before it speaks, and they go on listening to it.
    Numbers are compared as RFC 1982 has it, since 32 bits end.
    """

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def take(self, sequence: int) -> bool:
        """Whether a received number is new; it then becomes the last one."""
        if self.value and not 0 < (sequence - self.value) % _NUMBERS < _NUMBERS // 2:
            return False
        self.value = sequence
        return True

    def next(self) -> int:
        """The number to send; never 0."""
        self.value = self.value % (_NUMBERS - 1) + 1
        return self.value

"""VRRPv2's authentication header as keepalived has it.

It is HMAC-MD5-96 over the IP header with its TOS and checksum zeroed but the TTL left as it is, the authentication
header with its digest zeroed, and the message (keepalived-behaviour 7.1). RFC 4302 would zero the TTL too.
"""

from __future__ import annotations

import hmac
from typing import Final

#: Next header, length, reserved, security parameters index, sequence number, 96 bits of digest.
AH_LENGTH: Final = 24
_VRRP: Final = 112
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

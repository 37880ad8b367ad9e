"""When a certificate ends, from its DER form: RFC 5280 section 4.1 as far as `validity`, and not a byte further.

The ssl module tells it only of certificates that were verified, and checks look at others too.
"""

from __future__ import annotations

import calendar

_SEQUENCE = 0x30
_VERSION = 0xA0
_UTC_TIME = 0x17
_GENERALIZED_TIME = 0x18


def not_after_s(der: bytes) -> int | None:
    """The end of validity in seconds since 1970; None: this is no certificate."""
    try:
        tag, body, _ = _element(der, 0)
        tag_, tbs, _ = _element(body, 0)
        if (tag, tag_) != (_SEQUENCE, _SEQUENCE):
            return None
        at = 0
        tag, _, after = _element(tbs, at)
        if tag == _VERSION:
            at = after
        for _ in range(3):  # serial number, signature algorithm, issuer
            _, _, at = _element(tbs, at)
        tag, validity, _ = _element(tbs, at)
        if tag != _SEQUENCE:
            return None
        _, _, at = _element(validity, 0)
        tag, text, _ = _element(validity, at)
        return _seconds(tag, text.decode("ascii"))
    except (IndexError, ValueError):
        return None


def _element(data: bytes, at: int) -> tuple[int, bytes, int]:
    """Tag, content and end of the element at an offset. Raises IndexError, ValueError."""
    tag, length = data[at], data[at + 1]
    start = at + 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4:
            raise ValueError("length")
        length = int.from_bytes(data[start : start + count], "big")
        start += count
    if start + length > len(data):
        raise ValueError("truncated")
    return tag, data[start : start + length], start + length


def _seconds(tag: int, text: str) -> int | None:
    """RFC 5280 section 4.1.2.5: always in UTC, always with seconds."""
    if tag == _UTC_TIME and len(text) == 13:
        # Two digits mean 1950 to 2049.
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    elif tag != _GENERALIZED_TIME or len(text) != 15:
        return None
    if not text.endswith("Z"):
        return None
    parts = (text[:4], *(text[at : at + 2] for at in range(4, 14, 2)))
    return calendar.timegm((*(int(part) for part in parts), 0, 0, 0))

"""Time and size units.

Every instant and duration inside the program is an integer number of microseconds on the monotonic clock; the name
of a variable ends in its unit (`_us`, `_ms`, `_s`). Floats appear only where a file or a protocol has them.
"""

from typing import Final

MICROSECONDS: Final = 1_000_000
MILLISECOND_US: Final = 1_000
SECOND_US: Final = 1_000_000
#: The unit of a VRRPv3 interval on the wire (RFC 9568 section 5.2.7).
CENTISECOND_US: Final = 10_000


def seconds(value: float) -> int:
    """Convert seconds to microseconds, rounding to the nearest."""
    return round(value * SECOND_US)


def format_seconds(duration_us: int) -> str:
    """Write a duration as seconds with six places, the way keepalived does in `timer expired` messages."""
    return f"{duration_us // SECOND_US}.{duration_us % SECOND_US:06d}"

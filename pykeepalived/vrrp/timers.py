"""The quantities of RFC 3768 section 6.1 and RFC 9568 section 6.1, in integer microseconds, and the tie-break.

Both RFCs divide by 256 in their own unit (seconds, centiseconds). Here the multiplication comes first and the unit is a
microsecond, so a skew below a centisecond survives: with an advert interval of 10 ms two neighbours in priority still
differ by 39 µs instead of by nothing.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final

from pykeepalived.units import CENTISECOND_US, SECOND_US

#: The priority of the router that owns the addresses (RFC 9568 section 5.2.4).
OWNER: Final = 255
#: The highest priority that a router without the addresses can have.
HIGHEST_BACKUP: Final = 254


def skew_us(version: int, priority: int, interval_us: int) -> int:
    """Skew_Time: what lets the better backup wake first.

    VRRPv2 takes a part of one second whatever the interval; VRRPv3 takes a part of `interval_us`, the interval of the
    current master.
    """
    unit_us = SECOND_US if version == 2 else interval_us
    return (256 - priority) * unit_us // 256


def master_down_us(version: int, priority: int, interval_us: int, adverts: int = 3) -> int:
    """Master_Down_Interval (Active_Down_Interval in RFC 9568): how long a silent master is believed.

    `adverts` is `down_timer_adverts` of keepalived; the RFCs have 3.
    """
    return adverts * interval_us + skew_us(version, priority, interval_us)


def wire_interval_us(version: int, interval_us: int) -> int:
    """An interval as it stands in an advert: whole seconds, at least 1 (v2), or centiseconds, 1 to 4095 (v3)."""
    if version == 2:
        return max(1, interval_us // SECOND_US) * SECOND_US
    return min(4095, max(1, (interval_us + CENTISECOND_US // 2) // CENTISECOND_US)) * CENTISECOND_US


@lru_cache(maxsize=1024)
def address_order(address: str) -> bytes:
    """A key that sorts addresses of one family as the tie-break does: unsigned, network byte order.

    Anything that is no address sorts below all of them, so it never wins.
    """
    try:
        return ipaddress.ip_address(address.partition("%")[0]).packed
    except ValueError:
        return b""

"""Rights of processes (capabilities(7)), and giving up those that are not needed."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Collection
from typing import Final

CHOWN: Final = 0
DAC_OVERRIDE: Final = 1
NET_BIND_SERVICE: Final = 10
NET_ADMIN: Final = 12
NET_RAW: Final = 13
SYS_NICE: Final = 23
SYS_RESOURCE: Final = 24

_VERSION_3: Final = 0x20080522
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4

_libc = ctypes.CDLL(None, use_errno=True)


def permitted() -> int:
    """The permitted set as a bit mask. Raises OSError."""
    header = ctypes.create_string_buffer(struct.pack("=Ii", _VERSION_3, 0))
    data = ctypes.create_string_buffer(24)
    if _libc.capget(header, data) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    low, high = struct.unpack("=4xI4x4xI4x", data.raw[:24])
    return int(low) | int(high) << 32


def keep_only(wanted: Collection[int]) -> None:
    """Give up every right that is not in `wanted`, for good; rights that we do not have stay away. Raises OSError."""
    mask = permitted() & sum(1 << number for number in set(wanted))
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = ctypes.create_string_buffer(struct.pack("=Ii", _VERSION_3, 0))
    data = ctypes.create_string_buffer(struct.pack("=6I", low, low, 0, high, high, 0))
    if _libc.capset(header, data) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

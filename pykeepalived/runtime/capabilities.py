"""Rights of processes (capabilities(7)), and giving up those that are not needed."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Collection
from typing import Final

from pykeepalived.model.config import GlobalDefs

CHOWN: Final = 0
DAC_OVERRIDE: Final = 1
NET_BIND_SERVICE: Final = 10
NET_ADMIN: Final = 12
NET_RAW: Final = 13
KILL: Final = 5
SETGID: Final = 6
SETUID: Final = 7
SYS_ADMIN: Final = 21
SYS_NICE: Final = 23

_VERSION_3: Final = 0x20080522
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4

_libc = ctypes.CDLL(None, use_errno=True)


def of_checkers(settings: GlobalDefs, *, other_namespace: bool) -> set[int]:
    """What the checker process keeps: IPVS or nftables, raw ICMP, low source ports; more only where words need it."""
    wanted = {NET_ADMIN, NET_RAW, NET_BIND_SERVICE}
    if settings.notify_fifo is not None or settings.lvs_notify_fifo is not None:
        wanted |= {CHOWN, DAC_OVERRIDE}
    if settings.script_user is not None or settings.enable_script_security:
        # For a new script runner, should the first one die.
        wanted |= {KILL, SETGID, SETUID}
    if settings.daemon.max_auto_priority or settings.checker_rt_priority or settings.checker_priority:
        wanted.add(SYS_NICE)
    if other_namespace:
        wanted.add(SYS_ADMIN)
    return wanted


def of_bfd(settings: GlobalDefs) -> set[int]:
    """What the BFD process keeps: sockets bound to interfaces with their own hop limits."""
    wanted = {NET_ADMIN, NET_RAW}
    if settings.daemon.max_auto_priority or settings.bfd_rt_priority or settings.bfd_priority:
        wanted.add(SYS_NICE)
    return wanted


def of_agents(settings: GlobalDefs) -> set[int]:
    """What the agents keep: nothing, as they speak over sockets that are open to their user and ask the parent.

    With `enable_snmp_checker` they read the table of virtual servers, which the kernel shows to NET_ADMIN alone.
    """
    return {NET_ADMIN} if settings.agents.enable_snmp_checker else set()


def lacks(wanted: Collection[int], mask: int) -> bool:
    """Whether a permitted set is without something that is wanted."""
    return any(not mask >> number & 1 for number in wanted)


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

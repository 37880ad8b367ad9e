"""What a process is called, for `pidof`, `pgrep`, `killall` and `ps`, and whom it follows into death.

The kernel reads /proc/PID/cmdline from the memory that execve(2) filled, so an interpreter that runs a script shows the
interpreter first. `set_command_line` writes another command line over that memory. The area cannot grow; where
prctl(PR_SET_MM) permits it the kernel is told of the new end, otherwise NUL bytes fill the rest (tools that split the
text then see empty arguments at its end).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_PR_SET_MM: Final = 35
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_MM_ARG_END: Final = 9
_PR_SET_MM_MAP: Final = 14
#: Fields of proc_pid_stat(5), counted from the third, that struct prctl_mm_map has, in its order; -1 is the break.
_MAP_FIELDS: Final = (23, 24, 42, 43, 44, -1, 25, 45, 46, 47, 48)
_ARG_END_PLACE: Final = 8

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, *arguments: int) -> bool:
    words = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    return int(_libc.prctl(ctypes.c_int(option), *words)) == 0


def set_comm(name: str) -> None:
    """Set the name in /proc/PID/comm, which the kernel cuts at 15 bytes."""
    _libc.prctl(ctypes.c_int(_PR_SET_NAME), ctypes.c_char_p(os.fsencode(name)[:15]), 0, 0, 0)


def _memory_fields() -> list[int] | None:
    """The fields of /proc/self/stat from the third on, as numbers (the third, a letter, as 0)."""
    try:
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        return [0, *map(int, fields[1:])]
    except (OSError, ValueError):
        return None


def command_line_area() -> tuple[int, int] | None:
    """First address and end of the memory behind /proc/self/cmdline; None where it cannot be told."""
    fields = _memory_fields()
    if fields is None or len(fields) < 49:
        return None
    start, end = fields[45], fields[46]
    return (start, end) if 0 < start < end else None


def set_command_line(words: Sequence[str]) -> bool:
    """Make /proc/self/cmdline these words. False: the area is unknown or too small, and nothing was changed.

    Words that do not fit are cut at the end of the area, so that the first ones, which tools match, stay whole.
    """
    area = command_line_area()
    if area is None:
        return False
    start, end = area
    size = end - start
    text = b"".join(os.fsencode(word) + b"\0" for word in words)
    if len(text) > size:
        text = text[: size - 1] + b"\0"
    ctypes.memmove(start, text + b"\0" * (size - len(text)), size)
    _move_end(start + len(text))
    return True


def _move_end(end: int) -> None:
    """Tell the kernel where the command line ends now; when it refuses, the padding stays visible."""
    # The short way needs CAP_SYS_RESOURCE, the long one a kernel with checkpoint and restore.
    if _prctl(_PR_SET_MM, _PR_SET_MM_ARG_END, end):
        return
    fields = _memory_fields()
    if fields is None or len(fields) < 49:
        return
    places = [0 if field < 0 else fields[field] for field in _MAP_FIELDS]
    places[_ARG_END_PLACE] = end
    # Then: no change of the auxiliary vector (address and size 0), no change of the executable (descriptor -1).
    layout = (ctypes.c_uint64 * 13)(*places, 0, 0xFFFFFFFF << 32)
    _libc.sbrk.restype = ctypes.c_void_p
    # Last, because memory that Python asks for in between may move it.
    layout[_MAP_FIELDS.index(-1)] = _libc.sbrk(0)
    _libc.prctl(
        ctypes.c_int(_PR_SET_MM), ctypes.c_ulong(_PR_SET_MM_MAP), layout, ctypes.c_ulong(104), ctypes.c_ulong(0)
    )


def no_new_privileges() -> None:
    """From here on neither we nor what we start gains rights from a program file."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def die_with_parent(number: signal.Signals, parent: int) -> bool:
    """Have the kernel send us a signal when our parent ends. False: `parent` has ended already."""
    _prctl(_PR_SET_PDEATHSIG, number)
    return os.getppid() == parent


def close_descriptors(keep: Sequence[int]) -> None:
    """Close every descriptor except standard input, output, error and those in `keep`.

    For a process that was forked without exec: what the parent holds (sockets, locks) must not live on here. Python
    objects that own a closed descriptor must never be finalised afterwards; see `gc.freeze` at the callers.
    """
    low = 3
    for descriptor in sorted(set(keep)):
        if descriptor >= low:
            os.closerange(low, descriptor)
            low = descriptor + 1
    with contextlib.suppress(OSError):
        os.closerange(low, max(low, _highest_descriptor() + 1))


def _highest_descriptor() -> int:
    try:
        return max(int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208
    except (OSError, ValueError):
        return os.sysconf("SC_OPEN_MAX")

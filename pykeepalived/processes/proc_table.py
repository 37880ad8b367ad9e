"""Which processes of this machine a vrrp_track_process means, read from /proc.

Without parameters the name that the kernel keeps (/proc/PID/comm, 15 bytes) is compared; with parameters, `param_match`
or `full_command` the command line (keepalived-behaviour 8).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from pykeepalived.model.vrrp import ParamMatch, TrackProcess

_COMM_BYTES = 15
_COMMAND_BYTES = 64 * 1024
_DEAD = {b"Z", b"X", b"x"}


def by_command_line(config: TrackProcess) -> bool:
    return config.full_command or bool(config.parameters)


def fits(config: TrackProcess, comm: bytes, words: list[bytes]) -> bool:
    """Whether a process of this name and command line is one of those that are counted."""
    if not by_command_line(config):
        return comm == os.fsencode(config.process)[:_COMM_BYTES]
    if not words or words[0] != os.fsencode(config.process):
        return False
    wanted = [os.fsencode(word) for word in config.parameters]
    given = words[1:]
    match config.param_match:
        case ParamMatch.NONE:
            return True
        case ParamMatch.EXACT:
            return given == wanted
        case ParamMatch.INITIAL:
            return given[: len(wanted)] == wanted
        case ParamMatch.PARTIAL:
            last = len(wanted) - 1
            return not wanted or (
                len(given) > last and given[:last] == wanted[:last] and given[last].startswith(wanted[last])
            )


def _read(path: str, limit: int) -> bytes:
    """The beginning of a file of /proc; empty when the process is gone or not ours to see."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, limit)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def comm_of(pid: int) -> bytes:
    return _read(f"/proc/{pid}/comm", 64).rstrip(b"\n")


def command_line_of(pid: int) -> list[bytes]:
    text = _read(f"/proc/{pid}/cmdline", _COMMAND_BYTES)
    return text.removesuffix(b"\0").split(b"\0") if text else []


def is_dead(pid: int) -> bool:
    """It has ended, and perhaps its parent has not asked for it yet."""
    fields = _read(f"/proc/{pid}/stat", 512).rpartition(b")")[2].split()
    return not fields or fields[0] in _DEAD


def all_pids() -> Iterator[int]:
    try:
        names = os.listdir("/proc")  # noqa: PTH208
    except OSError:
        return
    yield from (int(name) for name in names if name.isdigit())

"""Tell systemd how we are (sd_notify(3)): one datagram to the socket that it named in our environment."""

from __future__ import annotations

import contextlib
import os
import socket

_path: str | None = None


def take_socket() -> None:
    """Remember the socket and take it out of the environment: neither children nor scripts may speak for us."""
    global _path
    _path = os.environ.pop("NOTIFY_SOCKET", None)


def watchdog_period_us() -> int | None:
    """How often systemd wants to hear `WATCHDOG=1`: half of what it asks for (sd_watchdog_enabled(3)); None: never.

    The words are taken out of the environment: scripts must not speak for us.
    """
    limit, pid = os.environ.pop("WATCHDOG_USEC", ""), os.environ.pop("WATCHDOG_PID", "")
    if not limit.isdecimal() or int(limit) <= 0 or (pid and pid != str(os.getpid())):
        return None
    return max(1, int(limit) // 2)


def notify(*lines: str) -> None:
    """Send lines such as `READY=1`; without a systemd that asked for them nothing happens."""
    if not _path or _path[0] not in "/@":
        return
    address = "\0" + _path[1:] if _path[0] == "@" else _path
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.setblocking(False)
        channel.sendto("\n".join(lines).encode(), address)

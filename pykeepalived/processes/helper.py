"""Helper processes: forked without exec, spoken to over one SOCK_SEQPACKET socket, and gone when their starter is.

helper = fork(main, send_buffer=…)      in the starter
settle(channel)                         first of all in `main`, which never returns
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from pykeepalived.processes import names


class Helper(NamedTuple):
    """Our side of it. The channel does not block."""

    pid: int
    channel: socket.socket


def fork(main: Callable[[socket.socket], NoReturn], *, send_buffer: int) -> Helper:
    """Start one; `send_buffer` in bytes holds for both directions. Raises OSError when the system has no room."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        for end in (near, far):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        near.setblocking(False)
        # No signal may find the child with our handlers: all are blocked until it has set up its own.
        old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                main(far)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, old_mask)
    except OSError:
        near.close()
        raise
    finally:
        far.close()
    return Helper(pid, near)


def settle(channel: socket.socket, keep: tuple[int, ...] = (0, 1, 2)) -> None:
    """Become a process of its own: no descriptors, handlers or garbage of the starter's, and no life without it."""
    # The starter's objects are of no use here, and collecting them would only copy their pages.
    gc.freeze()
    names.close_descriptors([*keep, channel.fileno()])
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    # What is sent to the whole group is for the starter; its end is ours.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    for real_time in range(signal.SIGRTMIN, signal.SIGRTMAX + 1):
        signal.signal(real_time, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    names.die_with_parent(signal.SIGKILL, os.getppid())

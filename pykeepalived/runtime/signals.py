"""Signals as events of the loop, through signalfd(2).

The signals are blocked and stay blocked, so none is ever lost or runs between two lines of code, and one that comes
before the loop runs waits for it. Unlike handlers with a wake-up pipe, nothing of this is shared over a fork: a signal
that reaches a child before it has set itself up is that child's, and waits.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import struct
from collections.abc import Callable, Iterable
from typing import Final

from pykeepalived.reactor import READ, Reactor

_SFD_NONBLOCK: Final = 0o4000
_SFD_CLOEXEC: Final = 0o2000000
_SIGINFO_SIZE: Final = 128
_SIGSET_SIZE: Final = 128

_libc = ctypes.CDLL(None, use_errno=True)

STATS_CLEAR: Final = signal.SIGRTMAX - 1
JSON: Final = signal.SIGRTMIN + 2

#: What `--signum` answers (keepalived-behaviour 2).
FUNCTIONS: Final = {
    "STOP": int(signal.SIGTERM),
    "RELOAD": int(signal.SIGHUP),
    "DATA": int(signal.SIGUSR1),
    "STATS": int(signal.SIGUSR2),
    "STATS_CLEAR": STATS_CLEAR,
    "JSON": JSON,
}
#: Which dump a signal asks for; the words are those of `Program.dump`.
DUMPS: Final = {
    int(signal.SIGUSR1): "data",
    int(signal.SIGUSR2): "stats",
    STATS_CLEAR: "stats_clear",
    JSON: "json",
}
#: How a process that writes such a file says so in the log, as keepalived does: NAME is the process's own word.
DUMP_MESSAGES: Final = {
    "data": "Printing {name} data for process({pid}) on signal",
    "stats": "Printing {name} stats for process({pid}) on signal",
    "stats_clear": "Printing and clearing {name} stats for process({pid}) on signal",
    "json": "Printing {name} as json for process({pid}) on signal",
}
#: Everything that a daemon process reacts to.
HANDLED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, *DUMPS)


def block(numbers: Iterable[int] = HANDLED) -> None:
    """Let these signals wait until somebody reads them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)


class SignalWatcher:
    """Calls `handler(number)` on the reactor for each blocked signal that arrives."""

    def __init__(self, reactor: Reactor, handler: Callable[[int], None], numbers: Iterable[int] = HANDLED) -> None:
        numbers = tuple(int(number) for number in numbers)
        block(numbers)
        bits = 0
        for number in numbers:
            bits |= 1 << (number - 1)
        mask = ctypes.create_string_buffer(bits.to_bytes(_SIGSET_SIZE, "little"), _SIGSET_SIZE)
        descriptor = _libc.signalfd(-1, mask, _SFD_NONBLOCK | _SFD_CLOEXEC)
        if descriptor < 0:
            raise OSError(ctypes.get_errno(), "signalfd")
        self._fd: int = descriptor
        self._reactor = reactor
        self._handler = handler
        reactor.watch(self._fd, READ, self._readable)

    def close(self) -> None:
        self._reactor.unwatch(self._fd)
        os.close(self._fd)

    def _readable(self, _events: int) -> None:
        data = b""
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._fd, 16 * _SIGINFO_SIZE)
        for start in range(0, len(data), _SIGINFO_SIZE):
            self._handler(struct.unpack_from("@I", data, start)[0])

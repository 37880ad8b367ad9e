"""What notify scripts write: the last of it is kept, and all of it goes where our own output goes.

A script may start a daemon that keeps its output for years. So its end is nobody's condition, and we stay, when
everything else is over, until the last one that writes has let go: without a reader it would die of SIGPIPE. Where our
output takes nothing more, we read nothing more, and the writer waits as it would have waited for that place itself.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pykeepalived.reactor import READ, Reactor
from pykeepalived.units import MILLISECOND_US

#: What is moved in one step: a pipe that is ready takes so much without waiting (PIPE_BUF).
_PIECE: Final = 4096
#: Steps until the others have a turn.
_STEPS: Final = 16
_FULL_PAUSE_US: Final = 50 * MILLISECOND_US
#: Holders of output that may be served at a time; scripts beyond it write to our output directly, and nothing is kept.
RELAYS_LIMIT: Final = 512


class _Drain:
    """Where it all goes: our standard output, which is our standard error too."""

    def __init__(self) -> None:
        self.usable = False
        self._socket: socket.socket | None = None
        self._nowhere = False
        self._rest = b""
        with contextlib.suppress(OSError):
            out, error = os.fstat(1), os.fstat(2)
            # Told apart they stay apart, and a terminal stays one: there, scripts write to them directly.
            same = (out.st_dev, out.st_ino, out.st_rdev) == (error.st_dev, error.st_ino, error.st_rdev)
            self.usable = same and not os.isatty(1)
            self._nowhere = stat.S_ISCHR(out.st_mode) and out.st_rdev == Path(os.devnull).stat().st_rdev
            if stat.S_ISSOCK(out.st_mode):
                self._socket = socket.socket(fileno=os.dup(1))

    def ready(self) -> bool:
        """Whether it takes a piece now. What is broken takes everything: there is nobody to wait for."""
        if self._nowhere:
            return True
        if self._rest:
            self.write(b"")
        poll = select.poll()
        poll.register(1, select.POLLOUT)
        return not self._rest and bool(poll.poll(0))

    def write(self, data: bytes) -> None:
        """Only when ready."""
        if self._nowhere:
            return
        data = self._rest + data
        try:
            if self._socket is not None:
                count = self._socket.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            else:
                count = os.write(1, data)
        except BlockingIOError:
            count = 0
        except OSError:
            count = len(data)
        self._rest = data[count:]


class Relay:
    """The output of one script."""

    def __init__(self, relays: Relays, descriptor: int) -> None:
        self._relays = relays
        self._fd = descriptor
        self._kept = b""
        self._keeps = True

    def said(self) -> bytes:
        """The last of what it wrote until now, with what still waits. What comes later is passed on and not kept."""
        self._move()
        self._keeps = False
        kept, self._kept = self._kept, b""
        return kept

    def close(self) -> None:
        if self._fd >= 0:
            self._relays.reactor.unwatch(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._relays.closed(self)

    def watch(self) -> None:
        if self._fd >= 0:
            self._relays.reactor.watch(self._fd, READ, lambda _events: self._move())

    def _move(self) -> None:
        for _ in range(_STEPS):
            if self._fd < 0:
                return
            if not self._relays.drain.ready():
                self._relays.reactor.unwatch(self._fd)
                self._relays.reactor.call_later(_FULL_PAUSE_US, self.watch)
                return
            try:
                data = os.read(self._fd, _PIECE)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.close()
                return
            if self._keeps:
                self._kept = (self._kept + data)[-self._relays.limit :]
            self._relays.drain.write(data)


class Relays:
    """All that is written by scripts. `limit`: bytes kept of each. `ended` is called when a holder has let go."""

    def __init__(self, reactor: Reactor, limit: int, ended: Callable[[], None]) -> None:
        self.reactor = reactor
        self.limit = limit
        self.ended = ended
        self.drain = _Drain()
        self._open: set[Relay] = set()

    def open(self) -> tuple[Relay, int] | None:
        """A relay and the end to write to, which the caller closes. Raises OSError.

        None: scripts write to our output themselves.
        """
        if not self.drain.usable or len(self._open) >= RELAYS_LIMIT:
            return None
        near, far = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(far, True)
        relay = Relay(self, near)
        self._open.add(relay)
        relay.watch()
        return relay, far

    def held(self) -> bool:
        """Somebody may still write."""
        return bool(self._open)

    def closed(self, relay: Relay) -> None:
        self._open.discard(relay)
        self.ended()

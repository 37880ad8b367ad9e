"""Takes in those who connect to a listening socket, a few at a time; rests while there is no descriptor for more."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final

from pykeepalived.reactor import READ, Reactor
from pykeepalived.units import MILLISECOND_US

#: Without a descriptor newcomers wait in the kernel for so long.
_PAUSE_US: Final = 100 * MILLISECOND_US
_AT_ONCE: Final = 32


class Acceptor:
    """Owns a listening socket that does not block; `take` gets each connection."""

    def __init__(self, reactor: Reactor, listener: socket.socket, take: Callable[[socket.socket], None]) -> None:
        self._reactor = reactor
        self._listener = listener
        self._take = take
        reactor.watch(listener.fileno(), READ, self._accept)

    def close(self) -> None:
        """Stop listening."""
        self._reactor.unwatch(self._listener.fileno())
        self._listener.close()

    def _accept(self, _events: int) -> None:
        for _ in range(_AT_ONCE):
            if self._listener.fileno() < 0:
                return
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:
                self._reactor.watch(self._listener.fileno(), 0, self._accept)
                self._reactor.call_later(_PAUSE_US, self._again)
                return
            self._take(connection)

    def _again(self) -> None:
        if self._listener.fileno() >= 0:
            self._reactor.watch(self._listener.fileno(), READ, self._accept)

"""One TCP connection of a client, with TLS where wanted: never waits, tells its owner what happened, keeps no clock.

The owner bounds time (timers that end in `close`) and what it reads (`received` gets at most 16 KiB at a time).
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Final

import msgspec

from pykeepalived.reactor import READ, WRITE, Reactor

if TYPE_CHECKING:
    import ssl

    from pykeepalived.notify.tls import TlsSocket

__all__ = ["Connection", "Ended", "TlsError", "TlsOptions"]

_READ_SIZE: Final = 16384


class Ended(Enum):
    """Why a connection is over; `close` by the owner is no reason."""

    BAD_ADDRESS = "bad-address"
    CONNECT = "connect"
    TLS = "tls"
    CLOSED = "closed"


class TlsOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a server shows who it is."""

    name: str
    """The name or address that its certificate must have; also sent as SNI."""
    ca_file: str | None = None
    """Certificates to trust, as PEM; None: the system's."""
    verify: bool = True


class TlsError(Exception):
    """The settings of TLS cannot be used: a file that is not there or holds no certificate."""


class Connection:
    """Connects at once on `start`. After `ended` or `close` nothing is called any more."""

    def __init__(
        self,
        reactor: Reactor,
        *,
        opened: Callable[[], None],
        received: Callable[[bytes], None],
        ended: Callable[[Ended, str], None],
    ) -> None:
        self._reactor = reactor
        self._opened = opened
        self._received = received
        self._ended = ended
        self._socket: socket.socket | TlsSocket | None = None
        self._tls: TlsSocket | None = None
        self._to_send = b""
        self._handshakes = False
        self.connected = False
        """TCP is; TLS perhaps not yet."""

    def start(self, address: str, port: int) -> None:
        """`address`: IPv4 or IPv6, no name. A failure is told by `ended` at once."""
        try:
            family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
        except ValueError:
            self._end(Ended.BAD_ADDRESS, "not an address")
            return
        try:
            self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            number = self._socket.connect_ex((address, port))
        except OSError as error:
            number = error.errno or errno.EIO
        if self._socket is None or number not in {0, errno.EINPROGRESS}:
            self._end(Ended.CONNECT, os.strerror(number))
            return
        self._reactor.watch(self._socket.fileno(), WRITE, self._ready)

    def start_tls(self, options: TlsOptions, context: ssl.SSLContext | None = None) -> None:
        """Begin the handshake; `opened` is called (again) when it is done. Only when connected.

        `context`: of these options, made before; making one reads files.
        """
        from pykeepalived.notify import tls  # noqa: PLC0415

        if not isinstance(self._socket, socket.socket):
            return
        # Watched again with the first step of the handshake; should TLS refuse, the descriptor is closed.
        self._reactor.unwatch(self._socket.fileno())
        try:
            self._tls = tls.TlsSocket(self._socket, context or tls.tls_context(options), options.name)
        except TlsError as error:
            self._socket.close()
            self._socket = None
            self._end(Ended.TLS, str(error))
            return
        self._socket = self._tls
        self._handshakes = True
        self._shake_hands()

    def send(self, data: bytes) -> None:
        self._to_send += data
        if not self._handshakes:
            self._write()

    def close(self) -> None:
        """What is not sent yet stays unsent; no close-notify is waited for."""
        if self._socket is not None:
            self._reactor.unwatch(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _ready(self, events: int) -> None:
        if self._socket is None:
            return
        if not self.connected:
            assert isinstance(self._socket, socket.socket)
            number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number:
                self._end(Ended.CONNECT, os.strerror(number))
                return
            self.connected = True
            self._watch()
            self._opened()
        elif self._handshakes:
            self._shake_hands()
        else:
            if events & ~WRITE or self._wants_write:
                self._read()
            self._write()

    def _shake_hands(self) -> None:
        assert self._tls is not None
        try:
            done = self._tls.handshake()
        except TlsError as error:
            self._end(Ended.TLS, str(error))
            return
        self._handshakes = not done
        self._watch()
        if done:
            self._opened()
            self._write()

    def _read(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(_READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            self._received(data)
        else:
            self._end(Ended.CLOSED, "closed")

    def _write(self) -> None:
        if self._socket is None:
            return
        if self._to_send:
            try:
                self._to_send = self._to_send[self._socket.send(self._to_send) :]
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                self._end(Ended.CLOSED, "closed")
                return
        self._watch()

    @property
    def _wants_write(self) -> bool:
        """TLS cannot go on before something is sent."""
        return self._tls is not None and self._tls.wants_write

    def _watch(self) -> None:
        if self._socket is not None:
            wanted = self._wants_write or (bool(self._to_send) and not self._handshakes)
            self._reactor.watch(self._socket.fileno(), READ | WRITE if wanted else READ, self._ready)

    def _end(self, reason: Ended, text: str) -> None:
        self.close()
        self._ended(reason, text)

"""A port for the one connection that a server opens to us: FTP's active mode (RFC 959 section 5.2)."""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Callable

from pykeepalived.netio.connectors.sockets import failure
from pykeepalived.netio.connectors.stream import Stream
from pykeepalived.reactor import Reactor


class Listener:
    """Listens on our side of a connection for its other side alone; who else connects is dropped."""

    def __init__(self, reactor: Reactor, like: socket.socket) -> None:
        """`like`: the connection whose server may connect. Raises ConversationError."""
        self._reactor = reactor
        self._accepted: Callable[[Stream], None] | None = None
        self._sock = socket.socket(like.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            own = like.getsockname()
            self._server = like.getpeername()[0]
            self._sock.bind((own[0], 0, *own[2:]))
            self._sock.listen(4)
            self.name = f"{own[0].partition('%')[0]} {self._sock.getsockname()[1]}".encode()
        except OSError as error:
            self._sock.close()
            raise failure(error.errno or errno.EIO, "listen") from None

    def accept(self, accepted: Callable[[Stream], None]) -> None:
        """`accepted` is called once, with the server's connection, unless `close` comes first."""
        self._accepted = accepted
        self._reactor.watch(self._sock.fileno(), select.EPOLLIN, self._ready)

    def close(self) -> None:
        if self._sock.fileno() < 0:
            return
        if self._accepted is not None:
            self._reactor.unwatch(self._sock.fileno())
            self._accepted = None
        self._sock.close()

    def _ready(self, _events: int) -> None:
        try:
            sock, peer = self._sock.accept()
        except OSError:
            return
        accepted = self._accepted
        if peer[0] != self._server or accepted is None:
            sock.close()
            return
        self.close()
        accepted(Stream.adopt(sock))

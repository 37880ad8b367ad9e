"""One UDP datagram out, and what comes back: an answer, an ICMP error, or silence."""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Callable
from typing import Final

from pykeepalived.checkers.conversation import ConversationError, Exchange
from pykeepalived.netio.connectors.sockets import failure, open_socket, target
from pykeepalived.reactor import Reactor

#: A connected UDP socket hides host-unreachable and the like unless it is asked for them (ip(7), ipv6(7)).
_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_LARGEST_DATAGRAM: Final = 65535

Settled = Callable[[bytes | None, ConversationError | None], None]


class DatagramExchange:
    """A question on its own socket; `settled` is called once, unless `close` comes first."""

    __slots__ = ("_fd", "_reactor", "_settled", "_sock", "_timer")

    def __init__(self, reactor: Reactor, command: Exchange, settled: Settled) -> None:
        """Send the datagram; raises ConversationError when that fails at once."""
        self._reactor = reactor
        self._settled = settled
        self._sock = sock = open_socket(command.options, socket.SOCK_DGRAM)
        try:
            family, address = target(command.options)
            if family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            sock.connect(address)
            sock.send(command.data)
        except OSError as error:
            sock.close()
            raise failure(error.errno or errno.EIO, "send") from None
        except ConversationError:
            sock.close()
            raise
        self._fd = sock.fileno()
        self._timer = reactor.call_later(command.timeout_us, self._silence)
        reactor.watch(self._fd, select.EPOLLIN, self._ready)

    def close(self) -> None:
        self._timer.cancel()
        if self._sock.fileno() >= 0:
            self._reactor.unwatch(self._fd)
            self._sock.close()

    def _ready(self, events: int) -> None:
        try:
            data = self._sock.recv(_LARGEST_DATAGRAM)
        except BlockingIOError:
            return
        except OSError as error:
            self.close()
            self._settled(None, failure(error.errno or errno.EIO, "answer"))
            return
        self.close()
        self._settled(data, None)

    def _silence(self) -> None:
        self.close()
        self._settled(None, None)

"""A non-blocking TCP stream, edge-triggered.

One registration with epoll serves the whole life of the stream: readiness is remembered in `readable` and `writable`
until a system call says that it is used up, so no call is made only to learn that it would block. Reads shorter than
asked for use readiness up too (epoll(7)), unless the peer has already closed: then the end is still to be read, and is
known without another call.
"""

from __future__ import annotations

import errno
import select
import socket
from typing import Final

from pykeepalived.checkers.conversation import ConversationError, FailureKind
from pykeepalived.model.checks import SocketOptions
from pykeepalived.netio.connectors.sockets import abort_on_close, failure, open_socket, target

#: Everything that a stream wants to know, once.
EVENTS: Final = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
_READ_EVENTS: Final = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_FAULT_EVENTS: Final = select.EPOLLHUP | select.EPOLLERR
_WRITE_EVENTS: Final = select.EPOLLOUT | _FAULT_EVENTS


class Stream:
    """A connected or connecting TCP socket."""

    __slots__ = ("connected", "ended", "faulted", "fd", "half_closed", "place", "readable", "sock", "writable")

    def __init__(self, options: SocketOptions) -> None:
        """Begin to connect; raises ConversationError when it fails at once."""
        self.place: SocketOptions | None = options
        self.sock = sock = open_socket(options, socket.SOCK_STREAM)
        self.fd = sock.fileno()
        self.connected = self.readable = self.writable = self.half_closed = self.faulted = self.ended = False
        address = (options.address, options.port) if ":" not in options.address else target(options)[1]
        number = sock.connect_ex(address)
        if number and number != errno.EINPROGRESS:
            sock.close()
            raise failure(number, "connect")

    @classmethod
    def adopt(cls, sock: socket.socket) -> Stream:
        """A stream of a connection that the server has opened to us."""
        stream = object.__new__(cls)
        sock.setblocking(False)
        stream.place = None
        stream.sock, stream.fd = sock, sock.fileno()
        stream.connected = stream.writable = True
        stream.readable = stream.half_closed = stream.faulted = stream.ended = False
        return stream

    def note(self, events: int) -> None:
        """Remember what epoll said."""
        if events & _READ_EVENTS:
            self.readable = True
            if events & _FAULT_EVENTS:
                # The error, for example a reset, is still to be read: no end that a short read could stand for.
                self.faulted = True
            elif events & select.EPOLLRDHUP:
                self.half_closed = True
        if events & _WRITE_EVENTS:
            self.writable = True
        if not self.connected and self.writable:
            if events & _FAULT_EVENTS:
                number = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                raise failure(number or errno.ECONNREFUSED, "connect")
            self.connected = True

    def read(self, limit: int) -> bytes | None:
        """At most `limit` bytes; b"" at the end; None when there is nothing yet. Raises ConversationError."""
        if self.ended:
            return b""
        if not self.readable:
            return None
        try:
            data = self.sock.recv(limit)
        except BlockingIOError:
            self.readable = False
            return None
        except OSError as error:
            self.ended = True
            raise failure(error.errno or errno.EIO, "receive") from None
        if not data:
            self.ended = True
        elif len(data) < limit:
            if self.half_closed and not self.faulted:
                self.ended = True
            else:
                self.readable = self.faulted
        return data

    def write(self, data: bytes | memoryview) -> int:
        """Send what the kernel takes; the number of bytes taken. Raises ConversationError."""
        if not self.writable:
            return 0
        try:
            count = self.sock.send(data, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            count = 0
        except OSError as error:
            raise failure(error.errno or errno.EIO, "send") from None
        if count < len(data):
            self.writable = False
        return count

    def shutdown_sending(self) -> None:
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise failure(error.errno or errno.EIO, "shutdown") from None

    def close(self) -> None:
        """Release the descriptor at once. A peer that closed first gets an ordinary FIN, any other an RST."""
        if not self.ended:
            abort_on_close(self.sock)
        self.sock.close()


def closed_early(doing: str) -> ConversationError:
    return ConversationError(FailureKind.CLOSED, f"connection closed while {doing}")

"""Opening sockets the way a check asks for, and naming what went wrong."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Final

from pykeepalived.checkers.conversation import ConversationError, FailureKind
from pykeepalived.model.checks import SocketOptions

#: First characters of fe80::/10 in canonical text.
_LINK_LOCAL: Final = ("fe8", "fe9", "fea", "feb")
_ABORT_ON_CLOSE: Final = struct.pack("ii", 1, 0)

_KINDS: Final = {
    errno.ECONNREFUSED: FailureKind.REFUSED,
    errno.ENETUNREACH: FailureKind.UNREACHABLE,
    errno.EHOSTUNREACH: FailureKind.UNREACHABLE,
    errno.ENETDOWN: FailureKind.UNREACHABLE,
    errno.EHOSTDOWN: FailureKind.UNREACHABLE,
    errno.ECONNRESET: FailureKind.RESET,
    errno.ECONNABORTED: FailureKind.RESET,
    errno.EPIPE: FailureKind.RESET,
    errno.ETIMEDOUT: FailureKind.TIMEOUT,
    errno.EMFILE: FailureKind.EXHAUSTED,
    errno.ENFILE: FailureKind.EXHAUSTED,
    errno.ENOMEM: FailureKind.EXHAUSTED,
    errno.ENOBUFS: FailureKind.EXHAUSTED,
}


def failure(number: int, doing: str) -> ConversationError:
    """The error of a conversation for an errno; `doing` is what was tried, for example `connect`."""
    return ConversationError(_KINDS.get(number, FailureKind.LOCAL), f"{doing}: {os.strerror(number)}")


def target(options: SocketOptions) -> tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]:
    """Family and socket address. A link-local target takes its scope from `bind_interface`."""
    address = options.address
    if ":" not in address:
        return socket.AF_INET, (address, options.port)
    scope = 0
    if options.bind_interface is not None and address.lower().startswith(_LINK_LOCAL):
        scope = _interface_index(options.bind_interface)
    return socket.AF_INET6, (address, options.port, 0, scope)


def prepare(sock: socket.socket, options: SocketOptions) -> None:
    """Mark and bind as the options say; raises ConversationError."""
    try:
        if options.fwmark:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, options.fwmark)
        if options.bind_interface is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, options.bind_interface.encode() + b"\0")
        if options.bind_address is not None or options.bind_port:
            if options.bind_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _bind(sock, options)
    except OSError as error:
        raise failure(error.errno or errno.EIO, "bind") from None


def needs_preparation(options: SocketOptions) -> bool:
    return bool(
        options.fwmark or options.bind_port or options.bind_interface is not None or options.bind_address is not None
    )


def _bind(sock: socket.socket, options: SocketOptions) -> None:
    if sock.family == socket.AF_INET:
        sock.bind((options.bind_address or "0.0.0.0", options.bind_port))
        return
    address = options.bind_address or "::"
    scope = 0
    if options.bind_interface is not None and address.lower().startswith(_LINK_LOCAL):
        scope = _interface_index(options.bind_interface)
    sock.bind((address, options.bind_port, 0, scope))


def open_socket(options: SocketOptions, kind: int) -> socket.socket:
    """A non-blocking socket towards the target, prepared but not connected; raises ConversationError."""
    family = socket.AF_INET6 if ":" in options.address else socket.AF_INET
    try:
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    except OSError as error:
        raise failure(error.errno or errno.EIO, "socket") from None
    if needs_preparation(options):
        try:
            prepare(sock, options)
        except ConversationError:
            sock.close()
            raise
    return sock


def abort_on_close(sock: socket.socket) -> None:
    """Close with RST: we close first, and thousands of checks a second must not leave thousands of TIME_WAITs."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT_ON_CLOSE)


def _interface_index(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError:
        raise ConversationError(FailureKind.LOCAL, f"interface {name} does not exist") from None

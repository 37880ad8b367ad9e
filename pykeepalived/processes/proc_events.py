"""The kernel's news of processes: fork, exec, exit and change of name (proc connector, cn_proc.h).

The connector lives in the first network namespace of the machine. A daemon that runs in another one goes there for the
instant in which the socket is made, where it may. Whether the kernel sends anything is known when it confirms: in a
process or user namespace of its own a listener is neither refused nor served.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterator
from enum import Enum
from typing import Final

import msgspec

from pykeepalived.reactor.buffers import follow_words

_NETLINK_CONNECTOR: Final = 11
_CN_IDX_PROC: Final = 1
_LISTEN: Final = 1
_NLMSG_DONE: Final = 3
_NLMSG_HEADER: Final = struct.Struct("=IHHII")
_CN_HEADER: Final = struct.Struct("=IIIIHH")
_EVENT_HEADER: Final = struct.Struct("=IIQ")
_FOUR: Final = struct.Struct("=IIII")
_CLONE_NEWNET: Final = 0x40000000
_RECEIVE_BUFFER: Final = 1 << 20
_MESSAGE_BYTES: Final = 4096
#: Messages read per wake-up: a storm of forks must not keep adverts waiting.
BURST: Final = 256

_libc = ctypes.CDLL(None, use_errno=True)


class Kind(Enum):
    CONFIRMED = 0
    """The kernel has taken us for a listener; `pid` is its error number, 0 for none."""
    FORK = 1
    """`pid` was born of `parent`."""
    EXEC = 2
    COMM = 0x200
    EXIT = 0x80000000


class News(msgspec.Struct, frozen=True):
    kind: Kind
    pid: int
    parent: int = 0


class Overrun(Exception):
    """The kernel had more to tell than we could take: what is known has to be read anew."""


def parse(message: bytes) -> News | None:
    """One message of the connector; None for news of threads and anything else that does not count."""
    if len(message) < _NLMSG_HEADER.size + _CN_HEADER.size + _EVENT_HEADER.size + _FOUR.size:
        return None
    index, value, *_ = _CN_HEADER.unpack_from(message, _NLMSG_HEADER.size)
    if (index, value) != (_CN_IDX_PROC, 1):
        return None
    offset = _NLMSG_HEADER.size + _CN_HEADER.size
    (what, _, _) = _EVENT_HEADER.unpack_from(message, offset)
    first, second, third, fourth = _FOUR.unpack_from(message, offset + _EVENT_HEADER.size)
    if what == Kind.CONFIRMED.value:
        return News(Kind.CONFIRMED, first)
    if what == Kind.FORK.value:
        # Parent and its thread group, child and its thread group; a thread shares the group of its maker.
        return News(Kind.FORK, third, second) if third == fourth else None
    if what in {Kind.EXEC.value, Kind.COMM.value, Kind.EXIT.value} and first == second:
        return News(Kind(what), first)
    return None


def _make_socket() -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _NETLINK_CONNECTOR)
    try:
        sock.bind((0, _CN_IDX_PROC))
        body = struct.pack("=I", _LISTEN)
        order = _CN_HEADER.pack(_CN_IDX_PROC, 1, 0, 0, len(body), 0) + body
        sock.send(_NLMSG_HEADER.pack(_NLMSG_HEADER.size + len(order), _NLMSG_DONE, 0, 0, 0) + order)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _make_socket_in_first_namespace() -> socket.socket:
    here = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        first = os.open("/proc/1/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(first)
        finally:
            os.close(first)
        try:
            return _make_socket()
        finally:
            _enter(here)
    finally:
        os.close(here)


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class ProcessNews:
    """The connector's socket. Raises OSError when there is none to be had."""

    def __init__(self) -> None:
        try:
            self._socket = _make_socket()
        except OSError as error:
            # Nobody is there in a network namespace other than the first.
            if error.errno not in {errno.ECONNREFUSED, errno.EPROTONOSUPPORT}:
                raise
            self._socket = _make_socket_in_first_namespace()

    def fileno(self) -> int:
        return self._socket.fileno()

    def set_buffer(self, size: int | None, *, force: bool) -> None:
        """`process_monitor_rcv_bufs`: bytes, None for our own size; see `reactor.buffers`."""
        follow_words(self._socket, _RECEIVE_BUFFER, size, force=force)

    def read(self) -> Iterator[News]:
        """What came in, at most `BURST` messages. Raises Overrun."""
        for _ in range(BURST):
            try:
                message, sender = self._socket.recvfrom(_MESSAGE_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    raise Overrun from None
                raise
            # Port 0 is the kernel; other processes could write to us, too.
            if sender[0] == 0 and (news := parse(message)) is not None:
                yield news

    def close(self) -> None:
        self._socket.close()

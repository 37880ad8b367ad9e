"""ICMP echo (RFC 792, RFC 4443 section 4): one socket for all pending echoes that leave the same way.

A datagram ICMP socket is used where the system allows it (`net.ipv4.ping_group_range`); else a raw one, whose kernel
filter lets only echo replies through. A reply counts when it comes from the address that was asked, with our
identifier and the pending sequence number.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
from collections.abc import Callable
from typing import Final

from pykeepalived.checkers.conversation import ConversationError, Echo, FailureKind
from pykeepalived.model.checks import SocketOptions
from pykeepalived.netio.connectors.sockets import failure, prepare, target
from pykeepalived.reactor import Reactor, Timer

_SOL_RAW: Final = 255
_ICMP_FILTER: Final = 1  # linux/icmp.h
_ICMP6_FILTER: Final = 1  # RFC 3542 section 3.2
_ECHO_REPLY: Final = 0
_ECHO_REQUEST: Final = 8
_ECHO_REPLY6: Final = 129
_ECHO_REQUEST6: Final = 128
_HEADER: Final = struct.Struct("!BBHHH")
_LARGEST: Final = 65535
#: Datagrams read in one turn of the loop.
_READS: Final = 64

Settled = Callable[[bool | None, ConversationError | None], None]
_Way = tuple[int, str | None, str | None, int]


class EchoHub:
    """All pending echoes."""

    def __init__(self, reactor: Reactor, filler: Callable[[int], bytes]) -> None:
        """`filler(size)`: the payload of a request."""
        self._reactor = reactor
        self._filler = filler
        self._sequence = 0
        self._ways: dict[_Way, _Way4 | _Way6] = {}

    def ask(self, command: Echo, settled: Settled) -> Callable[[], object]:
        """Send one request; `settled(True)` on the reply, `settled(False)` at `timeout_us`. Returns the canceller."""
        options = command.options
        family, address = target(options)
        key = (int(family), options.bind_address, options.bind_interface, options.fwmark)
        way = self._ways.get(key)
        if way is None:
            kind = _Way4 if family == socket.AF_INET else _Way6
            way = self._ways[key] = kind(self._reactor, options, lambda: self._ways.pop(key, None))
        self._sequence = self._sequence + 1 & 0xFFFF
        return way.ask(address, self._sequence, self._filler(command.payload_size), command.timeout_us, settled)

    def close(self) -> None:
        for way in list(self._ways.values()):
            way.close()


class _Pending:
    __slots__ = ("settled", "timer")

    def __init__(self, settled: Settled, timer: Timer) -> None:
        self.settled = settled
        self.timer = timer


class _Way4:
    """One socket; closed with its last pending echo."""

    _family: int = socket.AF_INET
    _protocol: int = socket.IPPROTO_ICMP
    _request: int = _ECHO_REQUEST
    _reply: int = _ECHO_REPLY

    def __init__(self, reactor: Reactor, options: SocketOptions, closed: Callable[[], object]) -> None:
        self._reactor = reactor
        self._closed = closed
        self._pending: dict[tuple[str, int], _Pending] = {}
        self._sock, self._raw = self._open(options)
        self._identifier = self._sock.fileno() + 0x4B00 & 0xFFFF
        reactor.watch(self._sock.fileno(), select.EPOLLIN, self._ready)

    def ask(
        self,
        address: tuple[str, int] | tuple[str, int, int, int],
        sequence: int,
        payload: bytes,
        timeout_us: int,
        settled: Settled,
    ) -> Callable[[], object]:
        key = (address[0], sequence)
        if key in self._pending:
            raise ConversationError(FailureKind.EXHAUSTED, "too many echo requests are pending")
        packet = self._packet(sequence, payload)
        try:
            self._sock.sendto(packet, (address[0], 0, *address[2:]))
        except OSError as error:
            self._close_if_idle()
            raise failure(error.errno or errno.EIO, "send") from None
        timer = self._reactor.call_later(timeout_us, lambda: self._end(key, False))
        self._pending[key] = _Pending(settled, timer)
        return lambda: self._forget(key)

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            self._reactor.unwatch(self._sock.fileno())
            self._sock.close()
            self._closed()

    def _open(self, options: SocketOptions) -> tuple[socket.socket, bool]:
        try:
            try:
                sock = socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, self._protocol)
                raw = False
            except PermissionError:
                sock = socket.socket(self._family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, self._protocol)
                raw = True
                self._filter(sock)
        except OSError as error:
            raise failure(error.errno or errno.EIO, "ICMP socket") from None
        try:
            prepare(sock, options)
        except ConversationError:
            sock.close()
            raise
        return sock, raw

    def _filter(self, sock: socket.socket) -> None:
        sock.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", ~(1 << _ECHO_REPLY) & 0xFFFFFFFF))

    def _packet(self, sequence: int, payload: bytes) -> bytes:
        bare = _HEADER.pack(self._request, 0, 0, self._identifier, sequence) + payload
        return _HEADER.pack(self._request, 0, _checksum(bare), self._identifier, sequence) + payload

    def _message(self, data: bytes) -> bytes:
        """The ICMP message in what a socket delivers: raw IPv4 sockets put the IP header before it."""
        return data[(data[0] & 15) * 4 :] if self._raw and data else data

    def _ready(self, events: int) -> None:
        for _ in range(_READS):
            try:
                data, source = self._sock.recvfrom(_LARGEST)
            except OSError:
                return
            message = self._message(data)
            if len(message) < _HEADER.size:
                continue
            kind, _, _, identifier, sequence = _HEADER.unpack_from(message)
            if kind == self._reply and (not self._raw or identifier == self._identifier):
                self._end((source[0].partition("%")[0], sequence), True)
            if self._sock.fileno() < 0:
                return

    def _end(self, key: tuple[str, int], answered: bool) -> None:
        pending = self._forget(key)
        if pending is not None:
            pending.settled(answered, None)

    def _forget(self, key: tuple[str, int]) -> _Pending | None:
        pending = self._pending.pop(key, None)
        if pending is not None:
            pending.timer.cancel()
            self._close_if_idle()
        return pending

    def _close_if_idle(self) -> None:
        if not self._pending:
            self.close()


class _Way6(_Way4):
    _family = socket.AF_INET6
    _protocol = socket.IPPROTO_ICMPV6
    _request = _ECHO_REQUEST6
    _reply = _ECHO_REPLY6

    def _filter(self, sock: socket.socket) -> None:
        words = [0xFFFFFFFF] * 8
        words[_ECHO_REPLY6 >> 5] &= ~(1 << (_ECHO_REPLY6 & 31))
        sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack("=8I", *words))

    def _packet(self, sequence: int, payload: bytes) -> bytes:
        # The kernel fills in the ICMPv6 checksum (RFC 3542 section 3.1).
        return _HEADER.pack(self._request, 0, 0, self._identifier, sequence) + payload

    def _message(self, data: bytes) -> bytes:
        return data


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF

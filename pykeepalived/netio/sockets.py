"""Raw sockets for VRRP: one to receive and one to send for every interface and family, shared by all instances there.

A receiving socket is bound to its interface and joins the groups of the instances on it; it hears only groups that it
joined itself (IP_MULTICAST_ALL off). A sending socket has protocol IPPROTO_RAW: what we send carries its own IP header,
and such a socket never receives. Multicast loop is off on it. An instance without an interface (unicast only) uses a
pair that is bound to its source address instead.

The pool is told what is wanted and opens and closes the difference, so that start, reload and an interface that came
back under another index are one path.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import time
from collections.abc import Mapping, Set
from typing import Final

import msgspec

from pykeepalived.model.common import Family
from pykeepalived.reactor.buffers import set_receive_buffer

_PROTOCOL_VRRP: Final = 112
_SO_PRIORITY: Final = 12
_TC_PRIO_CONTROL: Final = 7
_IP_MULTICAST_ALL: Final = 49
_IPV6_MULTICAST_ALL: Final = 29
#: When the packet came in that was read last. Asking once makes the kernel note it from then on.
_SIOCGSTAMPNS: Final = 0x8907
_TIMESPEC: Final = struct.Struct("@ll")

_RECEIVE_BUFFER: Final = 1 << 20
#: Larger than the largest advert (255 IPv6 addresses: 4,088 bytes); a longer packet arrives cut and fails its length.
_PACKET_BYTES: Final = 8192
_ANCILLARY_BYTES: Final = 256
#: Packets read per socket and wake-up: a flood on one interface must not keep timers and other interfaces waiting.
BURST: Final = 64


class Place(msgspec.Struct, frozen=True):
    """Where a pair of sockets stands. Exactly one of `ifname` and `local` is set."""

    ifname: str | None
    family: Family
    local: str | None = None
    protocol: int = _PROTOCOL_VRRP
    """Of the packets that are heard: 112, or 51 where the instances use AH."""


class Wish(msgspec.Struct, frozen=True):
    """What is wanted at a place: the interface's index (None: no interface) and the groups to join."""

    ifindex: int | None
    groups: frozenset[str] = frozenset()
    receive_buffer: int = _RECEIVE_BUFFER


class Received(msgspec.Struct, frozen=True):
    """A packet as it came in. IPv4: `data` begins with the IP header, and the other fields say nothing.

    IPv6: the kernel took the header off; what it tells of it stands in the other fields, addresses as 16 bytes.
    """

    data: bytes
    source: bytes = b""
    destination: bytes = b""
    hop_limit: int = -1


class _Pair:
    """The two sockets of a place."""

    def __init__(self, place: Place, wish: Wish) -> None:
        self.place = place
        self.ifindex = wish.ifindex
        self.groups: set[str] = set()
        with contextlib.ExitStack() as undo:
            self.receiver = undo.enter_context(contextlib.closing(_receiver(place, wish)))
            self.sender = undo.enter_context(contextlib.closing(_sender(place, wish)))
            self.join(wish.groups)
            undo.pop_all()

    def join(self, groups: Set[str]) -> None:
        """Make the joined groups these. Raises OSError."""
        for group in sorted(self.groups - groups):
            with contextlib.suppress(OSError):  # the interface may be gone, and the membership with it
                self._membership(group, join=False)
            self.groups.discard(group)
        for group in sorted(groups - self.groups):
            self._membership(group, join=True)
            self.groups.add(group)

    def _membership(self, group: str, *, join: bool) -> None:
        index = self.ifindex or 0
        address = socket.inet_pton(self.place.family, group)
        if self.place.family is Family.INET:
            option = socket.IP_ADD_MEMBERSHIP if join else socket.IP_DROP_MEMBERSHIP
            self.receiver.setsockopt(socket.IPPROTO_IP, option, struct.pack("=4s4si", address, bytes(4), index))
        else:
            option = socket.IPV6_JOIN_GROUP if join else socket.IPV6_LEAVE_GROUP
            self.receiver.setsockopt(socket.IPPROTO_IPV6, option, struct.pack("=16si", address, index))

    def close(self) -> None:
        self.receiver.close()
        self.sender.close()


def _raw(place: Place, protocol: int) -> socket.socket:
    sock = socket.socket(place.family, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol)
    try:
        if place.ifname is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, place.ifname.encode() + b"\0")
    except OSError:
        sock.close()
        raise
    return sock


def _receiver(place: Place, wish: Wish) -> socket.socket:
    sock = _raw(place, place.protocol)
    try:
        set_receive_buffer(sock, wish.receive_buffer)
        if place.family is Family.INET:
            sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        else:
            with contextlib.suppress(OSError):  # Linux before 4.20 knows it for IPv4 only
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        if place.local is not None:
            sock.bind((place.local, 0))
        _stamp_us(sock)
    except OSError:
        sock.close()
        raise
    return sock


def _stamp_us(sock: socket.socket) -> int | None:
    """The wall clock when the kernel took in what was read last; None: it has not noted it."""
    try:
        seconds, nanoseconds = _TIMESPEC.unpack(fcntl.ioctl(sock.fileno(), _SIOCGSTAMPNS, bytes(_TIMESPEC.size)))
    except OSError:
        return None
    return int(seconds) * 1_000_000 + int(nanoseconds) // 1000


def _sender(place: Place, wish: Wish) -> socket.socket:
    sock = _raw(place, socket.IPPROTO_RAW)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_PRIORITY, _TC_PRIO_CONTROL)
        # Nothing arrives at this socket; the kernel need not keep room for it.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
        index = wish.ifindex or 0
        if place.family is Family.INET:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=4s4si", bytes(4), bytes(4), index))
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
            if index:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    except OSError:
        sock.close()
        raise
    return sock


class SocketPool:
    """All VRRP sockets of the process."""

    def __init__(self) -> None:
        self._pairs: dict[Place, _Pair] = {}

    def update(self, wanted: Mapping[Place, Wish]) -> dict[Place, str]:
        """Open, keep and close sockets until they are what is wanted. Returns reasons for places that failed.

        A place whose interface has another index than before gets new sockets. Before closing, `closing` descriptors
        must be unwatched: compare `receivers()` before and after.
        """
        failed: dict[Place, str] = {}
        for place, pair in list(self._pairs.items()):
            wish = wanted.get(place)
            if wish is None or wish.ifindex != pair.ifindex:
                pair.close()
                del self._pairs[place]
        for place, wish in wanted.items():
            try:
                if place in self._pairs:
                    self._pairs[place].join(wish.groups)
                else:
                    self._pairs[place] = _Pair(place, wish)
            except OSError as error:
                failed[place] = error.strerror or str(error)
        return failed

    def receivers(self) -> dict[int, Place]:
        """Descriptors to watch for reading."""
        return {pair.receiver.fileno(): place for place, pair in self._pairs.items()}

    def descriptors(self, place: Place) -> tuple[int, int] | None:
        """Receiving and sending descriptor, for `keepalived.data`."""
        pair = self._pairs.get(place)
        return None if pair is None else (pair.receiver.fileno(), pair.sender.fileno())

    def receive(self, place: Place) -> list[Received]:
        """Packets that wait at a place, at most BURST of them."""
        pair = self._pairs.get(place)
        found: list[Received] = []
        if pair is None:
            return found
        receiver = pair.receiver
        ipv4 = place.family is Family.INET
        for _ in range(BURST):
            try:
                if ipv4:
                    found.append(Received(receiver.recv(_PACKET_BYTES)))
                else:
                    data, ancillary, _, address = receiver.recvmsg(_PACKET_BYTES, _ANCILLARY_BYTES)
                    found.append(_received6(data, ancillary, str(address[0])))
            except OSError:
                # EAGAIN: no more. Anything else (ENETDOWN when the interface goes) is one packet less; netlink tells.
                break
        return found

    def age_us(self, place: Place) -> int | None:
        """How long ago the packet that was read last came in; None: unknown.

        It is told by the wall clock: whoever sets that makes it wrong once, and perhaps negative.
        """
        pair = self._pairs.get(place)
        stamp_us = None if pair is None else _stamp_us(pair.receiver)
        return None if stamp_us is None else time.time_ns() // 1000 - stamp_us

    def send(self, place: Place, datagram: bytes | bytearray, destination: str) -> None:
        """Send a datagram with its IP header. Raises OSError; ENODEV when there is no socket at the place."""
        pair = self._pairs.get(place)
        if pair is None:
            raise OSError(19, "no socket on the interface")
        if place.family is Family.INET:
            pair.sender.sendto(datagram, (destination, 0))
        else:
            pair.sender.sendto(datagram, (destination, 0, 0, pair.ifindex or 0))

    def close(self) -> None:
        for pair in self._pairs.values():
            pair.close()
        self._pairs.clear()


def _received6(data: bytes, ancillary: list[tuple[int, int, bytes]], address: str) -> Received:
    destination, hop_limit = b"", -1
    for level, kind, value in ancillary:
        if level != socket.IPPROTO_IPV6:
            continue
        if kind == socket.IPV6_PKTINFO and len(value) >= 16:
            destination = bytes(value[:16])
        elif kind == socket.IPV6_HOPLIMIT and len(value) == 4:
            (hop_limit,) = struct.unpack("=i", value)
    return Received(data, socket.inet_pton(socket.AF_INET6, address.split("%", 1)[0]), destination, hop_limit)

"""UDP sockets of BFD: one to receive for each family and port, one to send for each session (RFC 5881 section 4)."""

from __future__ import annotations

import ctypes
import errno
import random
import socket
import struct
from collections.abc import Iterator
from typing import Final

import msgspec

from pykeepalived.model.bfd import BfdInstance
from pykeepalived.model.common import Family, family_of

PORT_SINGLE_HOP: Final = 3784
PORT_MULTIHOP: Final = 4784
#: Source ports (RFC 5881 section 4).
_LOWEST_PORT: Final = 49152
_HIGHEST_PORT: Final = 65535
_PORT_TRIES: Final = 64
#: Longer than any control packet; what is cut off fails the length check.
_PACKET_BYTES: Final = 512
_ANCILLARY_BYTES: Final = 128
#: Packets read per socket and wake-up.
BURST: Final = 64
_RECEIVE_BUFFER: Final = 1 << 18
_TOS_NETWORK_CONTROL: Final = 0xC0
_IP_RECVTTL: Final = 12
_IPV6_RECVHOPLIMIT: Final = 51
_IPV6_HOPLIMIT: Final = 52


#: Where a classic BPF program finds the IP header of a packet on a UDP socket (linux/filter.h, SKF_NET_OFF).
_NETWORK_HEADER: Final = 0xFFF00000
#: A random number (SKF_AD_OFF + SKF_AD_RANDOM).
_RANDOM: Final = 0xFFFFF038
#: A power of two.
_SHOWN: Final = 64
_IPV4_TTL: Final = 8
_IPV6_HOP_LIMIT: Final = 7
_SO_ATTACH_FILTER: Final = 26
_LOAD_BYTE: Final = 0x30
_LOAD_WORD: Final = 0x20
_AND: Final = 0x54
_JUMP_IF_EQUAL: Final = 0x15
_JUMP_IF_LEAST: Final = 0x35
_RETURN: Final = 0x06


class Place(msgspec.Struct, frozen=True):
    """What one receiving socket is for."""

    family: Family
    multihop: bool

    @property
    def port(self) -> int:
        return PORT_MULTIHOP if self.multihop else PORT_SINGLE_HOP


class Datagram(msgspec.Struct, frozen=True):
    data: bytes
    source: str
    ttl: int
    """0: the kernel did not say."""


def place_of(config: BfdInstance) -> Place:
    return Place(family_of(config.neighbor), config.multihop)


def open_receiver(place: Place) -> socket.socket:
    """Raises OSError, for example when another BFD daemon has the port."""
    sock = socket.socket(place.family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        if place.family is Family.INET:
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
            sock.bind(("0.0.0.0", place.port))
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVHOPLIMIT, 1)
            sock.bind(("::", place.port))
    except OSError:
        sock.close()
        raise
    return sock


def drop_low_ttls(sock: socket.socket, family: Family, least_ttl: int) -> None:
    """Have the kernel drop what comes with a lower TTL before it takes room in the socket's buffer.

    Strangers beyond a router cannot send packets of TTL 255 (RFC 5881 section 5), so not even a flood of theirs keeps
    the packets of the neighbour out. One of `_SHOWN` low ones is let through: it is refused, counted and logged, and
    shows a neighbour with more routers in between than `max_hops`. With a least TTL of 0 all get in. Raises OSError.
    """
    offset = _NETWORK_HEADER + (_IPV4_TTL if family is Family.INET else _IPV6_HOP_LIMIT)
    program = [
        (_LOAD_BYTE, 0, 0, offset),
        (_JUMP_IF_LEAST, 3, 0, least_ttl),
        (_LOAD_WORD, 0, 0, _RANDOM),
        (_AND, 0, 0, _SHOWN - 1),
        (_JUMP_IF_EQUAL, 0, 1, 0),
        (_RETURN, 0, 0, 0xFFFF),
        (_RETURN, 0, 0, 0),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(code)))


def read(sock: socket.socket) -> Iterator[Datagram]:
    """What came in, at most `BURST` datagrams."""
    for _ in range(BURST):
        try:
            data, ancillary, _, source = sock.recvmsg(_PACKET_BYTES, _ANCILLARY_BYTES)
        except BlockingIOError:
            return
        except OSError:
            # An ICMP error of an earlier packet; reading has cleared it.
            continue
        ttl = 0
        for level, kind, value in ancillary:
            wanted = {(socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IPV6, _IPV6_HOPLIMIT)}
            if (level, kind) in wanted and len(value) >= 4:
                ttl = struct.unpack_from("=i", value)[0]
        yield Datagram(data, source[0].partition("%")[0], ttl)


def open_sender(config: BfdInstance) -> socket.socket:
    """A socket with a source port of its own. Raises OSError, for example while the source address is not there."""
    family = family_of(config.neighbor)
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        # Nothing is expected here.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
        if family is Family.INET:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, config.sent_ttl)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _TOS_NETWORK_CONTROL)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, config.sent_ttl)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _TOS_NETWORK_CONTROL)
        _bind(sock, config.source or ("0.0.0.0" if family is Family.INET else "::"))
    except OSError:
        sock.close()
        raise
    return sock


def _bind(sock: socket.socket, address: str) -> None:
    for _ in range(_PORT_TRIES):
        try:
            sock.bind((address, random.randint(_LOWEST_PORT, _HIGHEST_PORT)))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return
    raise OSError(errno.EADDRINUSE, "no free source port")


def send(sock: socket.socket, config: BfdInstance, data: bytes) -> None:
    """Raises OSError when the packet could not leave."""
    sock.sendto(data, (config.neighbor, place_of(config).port))

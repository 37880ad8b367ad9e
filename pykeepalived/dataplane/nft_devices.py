"""Which interface leads to an address, and on which interfaces packets come in. For direct routing."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct

from pykeepalived.model.common import Family, family_of

_GET_ROUTE, _NEW_ROUTE, _ERROR = 26, 24, 2
_DESTINATION, _OUTPUT = 1, 4
_LIMIT_S = 2.0


def entrances() -> list[tuple[int, str]]:
    """Interfaces of this network namespace on which packets come in (number, name), loopback aside. Raises OSError."""
    return [(number, name) for number, name in socket.if_nameindex() if name != "lo"]


def towards(address: str) -> int:
    """The index of the interface that the kernel's routes name for an address. Raises OSError when there is none."""
    number = socket.AF_INET6 if family_of(address) is Family.INET6 else socket.AF_INET
    packed = socket.inet_pton(number, address)
    body = struct.pack("=BBBBBBBBI", number, len(packed) * 8, 0, 0, 0, 0, 0, 0, 0)
    body += struct.pack("=HH", 4 + len(packed), _DESTINATION) + packed
    with contextlib.closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)) as opened:
        opened.settimeout(_LIMIT_S)
        opened.bind((0, 0))
        opened.send(struct.pack("=IHHII", 16 + len(body), _GET_ROUTE, 1, 1, 0) + body)
        data = opened.recv(8192)
    kind = struct.unpack_from("=H", data, 4)[0]
    if kind == _ERROR:
        code = -struct.unpack_from("=i", data, 16)[0]
        raise OSError(code, f"{os.strerror(code)}: {address}")
    at = 16 + 12
    while kind == _NEW_ROUTE and at + 4 <= len(data):
        length, attribute = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        if attribute == _OUTPUT:
            return int(struct.unpack_from("=I", data, at + 4)[0])
        at += length + (-length % 4)
    raise OSError(errno.ENETUNREACH, f"no interface leads to {address}")

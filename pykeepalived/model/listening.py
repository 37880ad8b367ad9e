"""Where the metrics server listens, as a configuration has it: ADDRESS[:PORT] or the path of a unix socket."""

from __future__ import annotations

import ipaddress
from typing import Final

import msgspec

#: That of the exporter whose names the metrics have.
DEFAULT_PORT: Final = 9165
LOOPBACK: Final = "127.0.0.1"
_LONGEST_PATH: Final = 107
_HIGHEST_PORT: Final = 65535


class ListenPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Either `path` or `address` and `port`."""

    path: str | None = None
    address: str = LOOPBACK
    port: int = DEFAULT_PORT

    @property
    def is_loopback(self) -> bool:
        return self.path is None and ipaddress.ip_address(self.address).is_loopback


def listen_place(text: str) -> ListenPlace:
    """Read one; an empty text is the usual port on loopback. Raises ValueError, whose text says what is wrong."""
    if not text:
        return ListenPlace()
    if text.startswith("/"):
        if len(text.encode()) > _LONGEST_PATH:
            raise ValueError(f"the path of a unix socket has at most {_LONGEST_PATH} bytes")
        return ListenPlace(path=text)
    if text.isdecimal():
        return ListenPlace(port=_port(text))
    host, port = text, ""
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError(f"`{text}` is not [ADDRESS]:PORT")
        port = rest[1:]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        raise ValueError(f"`{host}` is neither an address nor the path of a socket") from None
    return ListenPlace(address=address, port=_port(port) if port else DEFAULT_PORT)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(_HIGHEST_PORT))):
        raise ValueError(f"`{text}` is not a port")
    if not 0 < int(text) <= _HIGHEST_PORT:
        raise ValueError(f"a port is 1 to {_HIGHEST_PORT}")
    return int(text)

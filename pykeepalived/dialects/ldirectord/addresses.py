"""Addresses, ports and forwarding methods as ldirectord.cf writes them (ldirectord-behaviour 1.1)."""

from __future__ import annotations

import re
import socket
from typing import Final

import msgspec

from pykeepalived.dialects.ldirectord.host import Host
from pykeepalived.model.common import Family
from pykeepalived.model.lvs import Forwarding, ForwardingMethod

METHODS: Final = {
    "gate": Forwarding(ForwardingMethod.DR),
    "masq": Forwarding(ForwardingMethod.NAT),
    "ipip": Forwarding(ForwardingMethod.TUN),
}

#: A range of more servers than this is a slip of the pen; the kernel's table and the checks would drown in it.
MOST_SERVERS_OF_A_RANGE: Final = 65_536

BRACKETS: Final = "write an IPv6 address in brackets: [2001:db8::1]:80"

_HEADER4: Final = re.compile(r"(?P<host>[0-9A-Za-z.-]+):(?P<port>[0-9A-Za-z-]+)")
_HEADER6: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.-]+):(?P<port>[0-9A-Za-z-]+)")
_MARK: Final = re.compile(r"[0-9]+")
_REAL: Final = re.compile(
    r"(?P<first>\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.-]+)(?:->(?P<last>\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.-]+))?"
    r"(?::(?P<port>[0-9A-Za-z-]+))?[ \r\f\v]+(?P<rest>.*)",
    re.DOTALL,
)
_FALLBACK: Final = re.compile(r"(?P<where>\S*)\s*(?P<method>.*)", re.DOTALL)


class AddressError(Exception):
    """What is wrong with an address, a port or a range; places count within the value."""

    def __init__(self, id_: str, text: str, start: int, end: int, help_text: str | None = None) -> None:
        super().__init__(text)
        self.id = id_
        self.text = text
        self.start = start
        self.end = end
        self.help = help_text


class Resolver:
    """A host that remembers its answers for the length of one load: a name is asked for once."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._addresses: dict[tuple[str, Family], str | None] = {}

    def address(self, name: str, family: Family) -> str | None:
        """Canonical text of a literal or of the first answer; brackets around an IPv6 literal belong to it."""
        key = (name, family)
        if key not in self._addresses:
            self._addresses[key] = self._look_up(name, family)
        return self._addresses[key]

    def _look_up(self, name: str, family: Family) -> str | None:
        bracketed = name.startswith("[") and name.endswith("]")
        if family is Family.INET and bracketed:
            return None
        bare = name[1:-1] if bracketed else name
        try:
            return socket.inet_ntop(int(family), socket.inet_pton(int(family), bare))
        except (OSError, ValueError):
            return None if bracketed else self.host.resolve(bare, family)

    def port(self, text: str, protocol: str | None) -> int | None:
        """A number from 0 to 65535, or a service name of the protocol (None: of any)."""
        if text.isdecimal():
            value = int(text) if len(text) <= 9 else 65_536
            return value if value <= 65_535 else None
        return self.host.service_port(text, protocol)


class Header(msgspec.Struct, frozen=True):
    """What a `virtual=` line says: an address with a port, or a mark."""

    family: Family
    host: str = ""
    port_text: str = ""
    mark: int | None = None
    host_start: int = 0
    host_end: int = 0
    port_end: int = 0
    """The port ends here; it starts one after `host_end`."""
    end: int = 0
    """What follows is not looked at."""


def read_header(value: str, family: Family) -> Header:
    """Raises AddressError."""
    match = (_HEADER6 if family is Family.INET6 else _HEADER4).match(value)
    if match:
        return Header(
            family,
            host=match["host"],
            port_text=match["port"],
            host_start=match.start("host"),
            host_end=match.end("host"),
            port_end=match.end("port"),
            end=match.end(),
        )
    mark = _MARK.match(value)
    if mark:
        if len(mark[0]) > 10 or int(mark[0]) > 0xFFFFFFFF:
            raise AddressError("bad-mark", "a firewall mark is at most 4294967295", 0, mark.end())
        return Header(family, mark=int(mark[0]), end=mark.end())
    if family is Family.INET and value.startswith("["):
        raise AddressError("wrong-family", "`virtual` takes no IPv6 address", 0, len(value), "write `virtual6`")
    form = "[ADDRESS]:PORT" if family is Family.INET6 else "ADDRESS:PORT"
    help_text = BRACKETS if family is Family.INET6 and value.count(":") > 1 and not value.startswith("[") else None
    raise AddressError(
        "bad-address", f"a virtual service is {form} or a firewall mark", 0, len(value.rstrip()), help_text
    )


class RealAddress(msgspec.Struct, frozen=True):
    """The address part of a `real=` line, still as text."""

    first: str
    last: str | None
    port_text: str
    start: int
    """Where the address starts: what stands before is dropped, as ldirectord does."""
    address_end: int
    rest: str
    rest_start: int


def read_real_address(value: str) -> RealAddress:
    """Raises AddressError."""
    match = _REAL.search(value)
    if match is None:
        if re.fullmatch(r"\S+", value.strip()):
            end = len(value.rstrip())
            raise AddressError("missing-method", "gate, masq or ipip must follow the address", end, end + 1)
        raise AddressError("bad-address", "a real server is ADDRESS:PORT and then gate, masq or ipip", 0, len(value))
    return RealAddress(
        first=match["first"],
        last=match["last"],
        port_text=match["port"] or "",
        start=match.start(),
        address_end=match.end("port") if match["port"] else match.end("last" if match["last"] else "first"),
        rest=match["rest"],
        rest_start=match.start("rest"),
    )


def addresses_of(real: RealAddress, family: Family, resolver: Resolver) -> list[str]:
    """All addresses of the line, in order. Raises AddressError."""
    start, end = real.start, real.address_end
    if real.last is not None and family is Family.INET6:
        raise AddressError("range-of-ipv6", "a range takes IPv4 addresses only", start, end)
    first = resolver.address(real.first, family)
    if first is None:
        raise AddressError(
            "unknown-host", f"no {_word(family)} address for `{real.first}`", start, start + len(real.first)
        )
    if real.last is None:
        return [first]
    last_start = start + len(real.first) + 2
    last = resolver.address(real.last, family)
    if last is None:
        raise AddressError(
            "unknown-host", f"no IPv4 address for `{real.last}`", last_start, last_start + len(real.last)
        )
    low, high = (int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big") for text in (first, last))
    if low > high:
        raise AddressError("bad-range", f"the range ends at {last}, before its start", start, end, "swap its ends")
    if high - low >= MOST_SERVERS_OF_A_RANGE:
        raise AddressError("bad-range", f"a range of {high - low + 1} real servers is too long", start, end)
    return [socket.inet_ntop(socket.AF_INET, number.to_bytes(4, "big")) for number in range(low, high + 1)]


def _word(family: Family) -> str:
    return "IPv6" if family is Family.INET6 else "IPv4"


class Fallback(msgspec.Struct, frozen=True):
    """A fallback server; `port` None takes the port of each virtual service."""

    address: str
    port: int | None
    forwarding: Forwarding


def read_fallback(value: str, family: Family, protocols: tuple[str, ...], resolver: Resolver) -> Fallback | None:
    """HOST[:PORT] [METHOD]; a service name must exist for all of `protocols`. None: empty. Raises AddressError."""
    match = _FALLBACK.match(value)
    where, method = (match["where"], match["method"].strip()) if match else ("", "")
    if not where:
        return None
    forwarding = METHODS.get(method or "gate")
    if forwarding is None:
        start = match.start("method") if match else 0
        raise AddressError("bad-method", f"gate, masq or ipip, not `{method}`", start, start + len(method))
    host, port_text = where, ""
    if not where.endswith("]"):
        head, colon, tail = where.rpartition(":")
        if colon and tail and re.fullmatch(r"[0-9A-Za-z-]+", tail):
            host, port_text = head, tail
    address = resolver.address(host, family)
    if address is None:
        help_text = BRACKETS if family is Family.INET6 and ":" in host and not host.startswith("[") else None
        raise AddressError("unknown-host", f"no {_word(family)} address for `{host}`", 0, len(host), help_text)
    port: int | None = None
    if port_text:
        ports = [resolver.port(port_text, protocol) for protocol in protocols]
        port = ports[0]
        if None in ports:
            both = f" for {' and '.join(protocols)}" if len(protocols) > 1 else ""
            help_text = "write the port as a number" if not port_text.isdecimal() else None
            start = len(host) + 1
            raise AddressError("bad-port", f"no port `{port_text}`{both}", start, start + len(port_text), help_text)
    return Fallback(address, port, forwarding)

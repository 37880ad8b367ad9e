"""The output of `ipvsadm -S` (with or without -n) as a model (migration-facts 4)."""

from __future__ import annotations

import shlex
import socket
from typing import Final

import msgspec

from pykeepalived.dialects.keepalived.readers import canonical_address
from pykeepalived.dialects.keepalived.tables.lvs import SCHEDULERS
from pykeepalived.model import (
    AddressSelector,
    Config,
    Family,
    Forwarding,
    ForwardingMethod,
    FwmarkSelector,
    Protocol,
    RealServer,
    Selector,
    TunnelType,
    VirtualServer,
    family_of,
)
from pykeepalived.tools.convert.from_ldirectord import label_of
from pykeepalived.tools.convert.result import NotConvertible, Notes

_PROTOCOLS: Final = {"-t": Protocol.TCP, "-u": Protocol.UDP, "--sctp-service": Protocol.SCTP}
_LONG: Final = {
    "--add-service": "-A", "--add-server": "-a", "--tcp-service": "-t", "--udp-service": "-u",
    "--fwmark-service": "-f", "--ipv6": "-6", "--scheduler": "-s", "--persistent": "-p", "--netmask": "-M",
    "--ops": "-o", "--sched-flags": "-b", "--real-server": "-r", "--gatewaying": "-g", "--ipip": "-i",
    "--masquerading": "-m", "--weight": "-w", "--u-threshold": "-x", "--l-threshold": "-y",
}  # fmt: skip
_METHODS: Final = {"-g": ForwardingMethod.DR, "-i": ForwardingMethod.TUN, "-m": ForwardingMethod.NAT}
_FLAGS: Final = {"-o": "ops", "-6": "six"}
_CHECKSUMS: Final = {"--tun-nocsum": "nocsum", "--tun-csum": "csum", "--tun-remcsum": "remcsum"}
_FLAG_BITS: Final = {
    "flag-1": 1, "flag-2": 2, "flag-3": 4, "sh-fallback": 1, "sh-port": 2, "mh-fallback": 1, "mh-port": 2,
}  # fmt: skip
_PERSISTENT_S: Final = 360
_Key = tuple[Selector, Protocol | None, Family]


class _Line:
    """The options of one line."""

    def __init__(self, number: int, words: list[str]) -> None:
        self.number = number
        self.options: dict[str, str] = {}
        self.method: ForwardingMethod = ForwardingMethod.DR
        words = [_LONG.get(word.split("=", 1)[0], word) for word in words]
        index = 0
        while index < len(words):
            word = words[index]
            follows = words[index + 1] if index + 1 < len(words) else None
            if word in _METHODS:
                self.method = _METHODS[word]
            elif word in ("-A", "-a", "-n", *_FLAGS, *_CHECKSUMS):
                self.options[word] = ""
            elif word == "-p" and (follows is None or not follows.isdigit()):
                self.options[word] = str(_PERSISTENT_S)
            elif word.startswith("-") and follows is not None:
                self.options[word] = follows
                index += 1
            else:
                raise NotConvertible(f"line {number}: `{word}` makes no sense")
            index += 1

    def number_of(self, option: str, default: int, most: int = 2**31 - 1) -> int:
        text = self.options.get(option, str(default))
        if not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) > most:
            raise NotConvertible(f"line {self.number}: `{option} {text}` is no number up to {most}")
        return int(text)


def _endpoint(text: str, number: int, protocol: str | None, default_port: int = 0) -> tuple[str, int]:
    head, port_text = text, ""
    if text.startswith("["):
        head, _, rest = text[1:].partition("]")
        port_text = rest.removeprefix(":")
    elif text.count(":") == 1:
        head, _, port_text = text.partition(":")
    address = canonical_address(head)
    if address is None:
        raise NotConvertible(f"line {number}: `{head}` is no address; save the table with `ipvsadm -S -n`")
    if not port_text:
        return address, default_port
    if port_text.isascii() and port_text.isdigit() and int(port_text[:6]) <= 65535:
        return address, int(port_text)
    try:
        return address, socket.getservbyname(port_text, protocol) if protocol else socket.getservbyname(port_text)
    except (OSError, ValueError):
        raise NotConvertible(f"line {number}: no port `{port_text}`") from None


def _key(line: _Line) -> _Key:
    for option, protocol in _PROTOCOLS.items():
        if option in line.options:
            address, port = _endpoint(line.options[option], line.number, protocol.name.lower())
            return AddressSelector(address, port), protocol, family_of(address)
    if "-f" in line.options:
        family = Family.INET6 if "-6" in line.options else Family.INET
        return FwmarkSelector(line.number_of("-f", 0, 2**32 - 1)), None, family
    raise NotConvertible(f"line {line.number}: no service, -t, -u, -f or --sctp-service")


def read(text: str, notes: Notes) -> Config:
    """Raises NotConvertible."""
    services: dict[_Key, VirtualServer] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        try:
            words = shlex.split(raw, comments=True)
        except ValueError as error:
            raise NotConvertible(f"line {number}: {error}") from None
        words = words[1:] if words[:1] == ["ipvsadm"] else words
        if not words:
            continue
        line = _Line(number, words)
        if not {"-A", "-a"} & line.options.keys():
            notes.add(f"line {number}: `{words[0]}` is neither -A nor -a and is left out")
            continue
        key = _key(line)
        if "-A" in line.options:
            services[key] = _service(line, key, notes)
        elif key not in services:
            raise NotConvertible(f"line {number}: a server of a service that no line before it adds")
        else:
            services[key] = _with_server(services[key], line, notes)
    empty = [key for key, service in services.items() if not service.real_servers]
    for key in empty:
        notes.add(f"the service {label_of(services[key])} has no real server and is left out")
        del services[key]
    if services:
        notes.add("a table of IPVS holds no checks: write a checker into each real_server, else nobody sees it die")
    return Config(virtual_servers=tuple(services.values()))


def _service(line: _Line, key: _Key, notes: Notes) -> VirtualServer:
    options = line.options
    scheduler = options.get("-s", "wlc")
    if scheduler not in SCHEDULERS:
        notes.add(f"line {line.number}: keepalived has no scheduler {scheduler}, wlc is written")
        scheduler = "wlc"
    flags = 0
    for word in options.get("-b", "").split(","):
        if word in _FLAG_BITS:
            flags |= _FLAG_BITS[word]
        elif word:
            notes.add(f"line {line.number}: unknown scheduler flag {word}")
    known = {"-A", "-s", "-p", "-M", "-b", "-o", "-6", "--pe", "-f", "-n", *_PROTOCOLS}
    _unknown_options(line, known, notes)
    selector, protocol, family = key
    timeout_s = line.number_of("-p", 0)
    if "-M" in options and not timeout_s:
        notes.add(f"line {line.number}: -M {options['-M']} means nothing without -p and is left out")
    return VirtualServer(
        selector=selector,
        protocol=protocol,
        family=family,
        scheduler=scheduler,
        scheduler_flags=flags,
        one_packet="-o" in options,
        persistence_timeout_s=timeout_s,
        persistence_prefix=_prefix(options["-M"], line.number) if "-M" in options and timeout_s else None,
        persistence_engine=options.get("--pe"),
    )


def _unknown_options(line: _Line, known: set[str], notes: Notes) -> None:
    for option, text in line.options.items():
        if option not in known:
            notes.add(f"line {line.number}: {option} {text} has no equivalent")


def _prefix(text: str, number: int) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text[:4]) <= 128:
        return int(text)
    address = canonical_address(text)
    bits = "".join(f"{int(part):08b}" for part in address.split(".")) if address and ":" not in address else "01"
    if "01" in bits:
        raise NotConvertible(f"line {number}: `{text}` is no netmask")
    return bits.count("1")


def _with_server(service: VirtualServer, line: _Line, notes: Notes) -> VirtualServer:
    options = line.options
    if "-r" not in options:
        raise NotConvertible(f"line {line.number}: no real server, -r")
    own = service.selector.port if isinstance(service.selector, AddressSelector) else 0
    protocol = service.protocol.name.lower() if service.protocol else None
    address, port = _endpoint(options["-r"], line.number, protocol, own)
    known = {"-a", "-r", "-w", "-x", "-y", "-6", "-n", "-f", "--tun-type", "--tun-port", *_CHECKSUMS, *_PROTOCOLS}
    _unknown_options(line, known, notes)
    forwarding = Forwarding(line.method)
    if line.method is ForwardingMethod.TUN and options.get("--tun-type", "ipip") in ("gue", "gre"):
        kind = TunnelType(options["--tun-type"])
        checksum = next((word for option, word in _CHECKSUMS.items() if option in options), "nocsum")
        forwarding = Forwarding(line.method, kind, line.number_of("--tun-port", 0, 65535), checksum)
    server = RealServer(
        address=address,
        port=port if line.method is ForwardingMethod.NAT else own,
        weight=line.number_of("-w", 1),
        forwarding=forwarding,
        upper_threshold=line.number_of("-x", 0),
        lower_threshold=line.number_of("-y", 0),
    )
    servers = (*service.real_servers, server)
    return msgspec.structs.replace(service, real_servers=servers, forwarding=servers[0].forwarding)

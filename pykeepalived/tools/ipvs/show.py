"""The kernel's table as ipvsadm prints it, byte for byte (compared in the test kernel). Addresses stay numbers."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from typing import Final

from pykeepalived.dataplane.ipvs_listing import ListedDaemon
from pykeepalived.dataplane.listing import ListedConnection, ListedDestination, ListedService, Traffic
from pykeepalived.lvs.table import ServiceKey
from pykeepalived.model.common import Family, family_of
from pykeepalived.model.lvs import Forwarding, ForwardingMethod, TunnelType
from pykeepalived.tools.ipvs.words import FLAG_NAMES, PLAIN_FLAGS, Words

_PROTOCOLS: Final = {6: ("TCP", "-t"), 17: ("UDP", "-u"), 132: ("SCTP", "--sctp-service")}
_METHODS: Final = {ForwardingMethod.NAT: "Masq", ForwardingMethod.DR: "Route", ForwardingMethod.TUN: "Tunnel"}
_OPTIONS: Final = {ForwardingMethod.NAT: "-m", ForwardingMethod.DR: "-g", ForwardingMethod.TUN: "-i"}
_CHECKSUMS: Final = {"nocsum": "-c", "csum": "+c", "remcsum": "r+c"}
#: Up to here a number is written as it is; then in these steps.
_LARGE: Final = ((10**8, 1, ""), (10**9, 10**3, "K"), (10**11, 10**6, "M"), (10**14, 10**9, "G"))


def in_order(services: Iterable[ListedService]) -> list[ListedService]:
    """By mark, family, protocol, address and port; destinations by family, address and port."""
    return sorted(services, key=lambda item: _service_order(item.key))


def _service_order(key: ServiceKey) -> tuple[int, int, int, bytes, int]:
    return (key.fwmark, int(key.family), key.protocol, _packed(key.address) if key.address else b"", key.port)


def _destinations(service: ListedService, words: Words) -> Iterable[ListedDestination]:
    if "--nosort" in words:
        return service.destinations
    return sorted(
        service.destinations,
        key=lambda item: (int(family_of(item.key.address)), _packed(item.key.address), item.key.port),
    )


def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def table(services: Iterable[ListedService], words: Words, head: str) -> Iterator[str]:
    """The lines of -L. `head`: the line about the kernel, empty when one service is asked for."""
    if head:
        yield head
    yield from _heads(words)
    for item in services:
        yield _service_line(item, words)
        for destination in _destinations(item, words):
            yield f"  -> {_endpoint(destination.key.address, destination.key.port):<28}" + _columns(destination, words)


def _heads(words: Words) -> Iterator[str]:
    remote = "  -> RemoteAddress:Port"
    if "--stats" in words:
        yield "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes"
        yield remote
    elif "--rate" in words:
        yield "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS"
        yield remote
    elif "--thresholds" in words:
        yield "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn "
        yield remote
    elif "--persistent-conn" in words:
        yield "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn "
        yield remote
    else:
        yield "Prot LocalAddress:Port Scheduler Flags"
        tunnel = "TunnelInfo    " if "--tun-info" in words else ""
        yield f"{remote}           Forward {tunnel}Weight ActiveConn InActConn"


def _service_line(item: ListedService, words: Words) -> str:
    name = _name(item.key)
    if "--stats" in words or "--rate" in words:
        return f"{name:<33}" + _traffic(item.traffic, words)
    service = item.service
    text = f"{name} {service.scheduler}"
    if service.scheduler_flags:
        text += f" ({_flags(item)})"
    if service.persistence_timeout_s:
        text += f" persistent {service.persistence_timeout_s}"
        if (mask := _mask(item)) is not None:
            text += f" mask {mask}"
        if service.persistence_engine:
            text += f" pe {service.persistence_engine}"
    return text + (" ops" if service.one_packet else "")


def _name(key: ServiceKey) -> str:
    if key.fwmark:
        return f"FWM  {key.fwmark}" + (" IPv6" if key.family is Family.INET6 else "")
    return f"{_PROTOCOLS[key.protocol][0]:<4} {_endpoint(key.address, key.port)}"


def _endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _flags(item: ListedService) -> str:
    names = FLAG_NAMES.get(item.service.scheduler, PLAIN_FLAGS)
    return ",".join(name for bit, name in enumerate(names) if item.service.scheduler_flags >> bit & 1)


def _mask(item: ListedService) -> str | None:
    prefix = item.service.persistence_prefix
    whole = 128 if item.key.family is Family.INET6 else 32
    if prefix is None or prefix == whole:
        return None
    if whole == 128:
        return str(prefix)
    return socket.inet_ntoa(((0xFFFFFFFF << (32 - prefix)) & 0xFFFFFFFF).to_bytes(4, "big"))


def _columns(item: ListedDestination, words: Words) -> str:
    found, counters = item.destination, item.counters
    connections = f"{counters.active_connections:<10} {counters.inactive_connections:<10}"
    if "--stats" in words or "--rate" in words:
        return _traffic(item.traffic, words)
    if "--thresholds" in words:
        return f" {found.upper_threshold:<10} {found.lower_threshold:<10} {connections}"
    if "--persistent-conn" in words:
        return f" {found.weight:<9} {counters.persistent_connections:<11} {connections}"
    tunnel = f"{_tunnel(found.forwarding):<13} " if "--tun-info" in words else ""
    return f" {_METHODS[found.forwarding.method]:<7} {tunnel}{found.weight:<6} {connections}"


def _tunnel(forwarding: Forwarding) -> str:
    if forwarding.method is not ForwardingMethod.TUN:
        return "n/a"
    kind: str = forwarding.tunnel_type.value
    if forwarding.tunnel_type is TunnelType.IPIP:
        return kind
    port = f":{forwarding.tunnel_port}" if forwarding.tunnel_type is TunnelType.GUE else ""
    return f"{kind}{port}:{_CHECKSUMS[forwarding.tunnel_checksum]}"


def _traffic(traffic: Traffic, words: Words) -> str:
    values = traffic.rates if "--rate" in words else traffic.totals
    return "".join(_number(value, exact="--exact" in words) for value in values)


def _number(value: int, *, exact: bool) -> str:
    if exact:
        return f"{value:>9}" if value < 10**8 else f" {value}"
    for limit, divisor, suffix in _LARGE:
        if value < limit:
            return f"{value // divisor:>{9 - len(suffix)}}{suffix}"
    return f"{value // 10**12:>8}T"


def saved(services: Iterable[ListedService], words: Words) -> Iterator[str]:
    """The lines of -S."""
    for item in services:
        key = item.key
        if key.fwmark:
            named = f"-f {key.fwmark}" + (" -6" if key.family is Family.INET6 else "")
        else:
            named = f"{_PROTOCOLS[key.protocol][1]} {_endpoint(key.address, key.port)}"
        service = item.service
        line = f"-A {named} -s {service.scheduler}"
        if service.persistence_timeout_s:
            line += f" -p {service.persistence_timeout_s}"
            if (mask := _mask(item)) is not None:
                line += f" -M {mask}"
            if service.persistence_engine:
                line += f" --pe {service.persistence_engine}"
        line += " -o" if service.one_packet else ""
        yield line + (f" -b {_flags(item)}" if service.scheduler_flags else "")
        for destination in _destinations(item, words):
            yield f"-a {named} " + _saved_destination(destination)


def _saved_destination(item: ListedDestination) -> str:
    forwarding = item.destination.forwarding
    endpoint = _endpoint(item.key.address, item.key.port)
    line = f"-r {endpoint} {_OPTIONS[forwarding.method]} -w {item.destination.weight}"
    if forwarding.method is ForwardingMethod.TUN:
        line += f" --tun-type {forwarding.tunnel_type.value}"
        if forwarding.tunnel_type is TunnelType.GUE:
            line += f" --tun-port {forwarding.tunnel_port}"
        if forwarding.tunnel_type is not TunnelType.IPIP:
            line += f" --tun-{forwarding.tunnel_checksum}"
    return line


def ipvs_connections(lines: Iterable[str]) -> Iterator[ListedConnection]:
    """The lines of /proc/net/ip_vs_conn."""
    for line in lines:
        words = line.split()
        if len(words) < 9 or not words[8].isdigit():
            continue
        source, virtual, destination = (_hex_endpoint(words[place], words[place + 1]) for place in (1, 3, 5))
        engine = (words[9], words[10]) if len(words) > 10 else None
        yield ListedConnection(words[0], int(words[8]), words[7], *source, *virtual, *destination, engine)


def connections(found: Iterable[ListedConnection], *, engines: bool = False) -> Iterator[str]:
    """The lines of -Lc. `engines`: with what persistence engines remember."""
    yield "IPVS connection entries"
    head = "pro expire state       source             virtual            destination"
    yield head + ("        pe name          pe_data" if engines else "")
    for item in found:
        source, virtual, destination = (
            _endpoint(item.caller, item.caller_port),
            _endpoint(item.called, item.called_port),
            _endpoint(item.answers, item.answers_port),
        )
        time = f"{item.expires_s // 60:02}:{item.expires_s % 60:02}"
        shown = f"{item.protocol:<3} {time:<6} {item.state:<11} {source:<18} {virtual:<18} {destination}"
        if engines and item.engine is not None:
            shown = f"{shown:<{len(shown) - len(destination) + 16}} {item.engine[0]:<18} {item.engine[1]}"
        yield shown


def _hex_endpoint(address: str, port: str) -> tuple[str, int]:
    if len(address) == 8:
        return socket.inet_ntoa(bytes.fromhex(address)), int(port, 16)
    inner = socket.inet_pton(socket.AF_INET6, address.strip("[]"))
    return socket.inet_ntop(socket.AF_INET6, inner), int(port, 16)


def daemon(item: ListedDaemon) -> str:
    role = "master" if item.master else "backup"
    return (
        f"{role} sync daemon (mcast={item.interface}, syncid={item.sync_id}, maxlen={item.max_length}, "
        f"group={item.group}, port={item.port}, ttl={item.ttl})"
    )

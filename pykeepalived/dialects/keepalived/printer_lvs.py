"""Virtual servers, real servers and groups, as keepalived.conf writes them."""

from __future__ import annotations

import socket
from typing import Final

from pykeepalived.dialects.keepalived.printer_checks import (
    BORROWERS,
    Inherited,
    borrowed_timing,
    checker,
    kind_of,
)
from pykeepalived.dialects.keepalived.printer_text import Writer, decimal, word
from pykeepalived.model import (
    AddressSelector,
    Family,
    Forwarding,
    ForwardingMethod,
    FwmarkSelector,
    GroupAddress,
    GroupSelector,
    RealServer,
    RecoveryRule,
    Selector,
    SorryServer,
    TunnelType,
    VirtualServer,
    VirtualServerGroup,
    family_of,
)
from pykeepalived.units import SECOND_US

_FLAGS: Final = {1: "flag-1", 2: "flag-2", 4: "flag-3"}
_HASH_FLAGS: Final = {1: "fallback", 2: "port"}
_FAMILIES: Final = {Family.INET: "inet", Family.INET6: "inet6"}


def virtual_server_group(writer: Writer, group: VirtualServerGroup) -> None:
    with writer.block("virtual_server_group", group.name):
        for entry in group.entries:
            if isinstance(entry, GroupAddress):
                port = f" {entry.port}" if entry.port else ""
                writer.raw(f"{_range(entry.first, entry.last)}{port}")
            else:
                family = f" {_FAMILIES[entry.family]}" if entry.family is not None else ""
                writer.raw(f"fwmark {entry.fwmark}{family}")


def _range(first: str, last: str) -> str:
    if first == last:
        return first
    if ":" not in first:
        return f"{first}-{last.rpartition('.')[2]}"
    return f"{first}-{int.from_bytes(socket.inet_pton(socket.AF_INET6, last)[-2:], 'big'):x}"


def forwarding_words(found: Forwarding) -> str:
    """Method and tunnel words behind `lb_kind` and its like."""
    parts = [found.method.value]
    if found.method is ForwardingMethod.TUN:
        if found.tunnel_type is not TunnelType.IPIP:
            parts.append(f"type {found.tunnel_type.value}")
        if found.tunnel_port:
            parts.append(f"port {found.tunnel_port}")
        if found.tunnel_checksum != "nocsum":
            parts.append(found.tunnel_checksum)
    return " ".join(parts)


def _head(selector: Selector) -> tuple[object, ...]:
    if isinstance(selector, FwmarkSelector):
        return ("fwmark", selector.fwmark)
    if isinstance(selector, GroupSelector):
        return ("group", selector.name)
    return (selector.address, selector.port) if selector.port else (selector.address,)


def virtual_server(writer: Writer, found: VirtualServer, *, log_all: bool) -> None:
    """`log_all`: what global_defs says about checker_log_all_failures."""
    with writer.block("virtual_server", *_head(found.selector)):
        inherited = _common_times(writer, found)
        if not isinstance(found.selector, AddressSelector) and found.family is not None:
            writer.line("ip_family", _FAMILIES[found.family])
        writer.line("lb_algo", found.scheduler)
        _scheduler_flags(writer, found)
        writer.raw(f"lb_kind {forwarding_words(found.forwarding)}")
        if found.protocol is not None:
            writer.line("protocol", found.protocol.name)
        writer.flag("hashed", found.hashed)
        writer.flag("ops", found.one_packet)
        _persistence(writer, found)
        writer.value("quorum", found.quorum, 1)
        writer.value("hysteresis", found.hysteresis, 0)
        writer.script("quorum_up", found.quorum_up)
        writer.script("quorum_down", found.quorum_down)
        writer.flag("alpha", found.alpha)
        writer.flag("omega", found.omega)
        writer.flag("inhibit_on_failure", found.inhibit_on_failure)
        writer.flag("ha_suspend", found.ha_suspend)
        writer.switch("smtp_alert", found.smtp_alert)
        writer.value("virtualhost", found.virtualhost)
        writer.value("snmp_name", found.snmp_name)
        if found.sorry_server is not None:
            _sorry(writer, found, found.sorry_server)
        for server in found.real_servers:
            real_server(writer, server, found, inherited, log_all=log_all)


def _common_times(writer: Writer, found: VirtualServer) -> Inherited:
    """A delay_loop that all checkers share stands once, in the virtual server."""
    delays = {spec.timing.delay_loop_us for server in found.real_servers for spec in server.checkers}
    if len(delays) != 1:
        return {}
    (delay_us,) = delays
    writer.seconds("delay_loop", delay_us, 60 * SECOND_US)
    return {"delay_loop_us": delay_us}


def _scheduler_flags(writer: Writer, found: VirtualServer) -> None:
    for bit, plain in _FLAGS.items():
        if found.scheduler_flags & bit:
            named = found.scheduler in ("sh", "mh") and bit in _HASH_FLAGS
            writer.line(f"{found.scheduler}-{_HASH_FLAGS[bit]}" if named else plain)


def _persistence(writer: Writer, found: VirtualServer) -> None:
    if found.persistence_timeout_s or writer.everything:
        if found.persistence_timeout_s:
            writer.line("persistence_timeout", found.persistence_timeout_s)
        else:
            writer.raw("# persistence_timeout: off")
    if found.persistence_prefix is not None:
        writer.line("persistence_granularity", _granularity(found, found.persistence_prefix))
    writer.value("persistence_engine", found.persistence_engine)


def _granularity(found: VirtualServer, length: int) -> str:
    family = found.family
    if isinstance(found.selector, AddressSelector):
        family = family_of(found.selector.address)
    elif family is None and found.real_servers:
        family = family_of(found.real_servers[0].address)
    if family is Family.INET6 or length > 32:
        return str(length)
    mask = (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF
    return socket.inet_ntop(socket.AF_INET, mask.to_bytes(4, "big"))


def _sorry(writer: Writer, service: VirtualServer, found: SorryServer) -> None:
    writer.line("sorry_server", found.address, *_port_word(found.port, service))
    writer.flag("sorry_server_inhibit", found.inhibit)
    if found.forwarding != service.forwarding or writer.everything:
        writer.raw(f"sorry_server_lvs_method {forwarding_words(found.forwarding)}")


def _port_word(port: int, service: VirtualServer) -> tuple[int, ...]:
    """Without a port that of the service is taken, so 0 is written where the service has another."""
    standard = service.selector.port if isinstance(service.selector, AddressSelector) else 0
    return (port,) if port or standard else ()


def _recovery(writer: Writer, rule: RecoveryRule | None) -> None:
    if rule is None:
        return
    if rule.slow_start_us:
        writer.seconds("slow_start", rule.slow_start_us)
    if rule.flap_count:
        writer.line("flap_limit", rule.flap_count, decimal(rule.flap_window_us), decimal(rule.flap_hold_us))


def real_server(
    writer: Writer, found: RealServer, service: VirtualServer, inherited: Inherited, *, log_all: bool
) -> None:
    with writer.block("real_server", found.address, *_port_word(found.port, service)):
        writer.line("weight", found.weight)
        if found.forwarding != service.forwarding or writer.everything:
            writer.raw(f"lvs_method {forwarding_words(found.forwarding)}")
        writer.value("uthreshold", found.upper_threshold, 0)
        writer.value("lthreshold", found.lower_threshold, 0)
        writer.switch("inhibit_on_failure", found.inhibit_on_failure, service.inhibit_on_failure)
        writer.switch("alpha", found.alpha, service.alpha)
        writer.switch("smtp_alert", found.smtp_alert, True)
        if found.virtualhost != service.virtualhost and found.virtualhost is not None:
            writer.raw(f"virtualhost {word(found.virtualhost)}")
        writer.value("snmp_name", found.snmp_name)
        writer.script("notify_up", found.notify_up)
        writer.script("notify_down", found.notify_down)
        _recovery(writer, found.recovery)
        borrower = next((spec for spec in found.checkers if isinstance(spec.question, BORROWERS)), None)
        if borrower is not None:
            inherited = borrowed_timing(writer, borrower, kind_of(borrower.question) or "FILE_CHECK", inherited)
        for spec in found.checkers:
            checker(writer, spec, found, inherited, log_all=log_all)

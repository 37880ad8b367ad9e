"""The model of a keepalived.conf in the words of an ldirectord.cf. What is left over, the printer lists."""

from __future__ import annotations

import socket as sockets
from collections.abc import Iterator
from typing import Final

import msgspec

from pykeepalived.model import (
    AddressSelector,
    CheckerSpec,
    Config,
    DnsCheck,
    ExternalCheck,
    FwmarkSelector,
    GroupAddress,
    GroupSelector,
    HttpCheck,
    MiscCheck,
    NegotiateCheck,
    PingCheck,
    RealServer,
    Selector,
    SmtpCheck,
    VirtualServer,
    VirtualServerGroup,
)
from pykeepalived.model.checks import CheckQuestion
from pykeepalived.tools.convert.from_ldirectord import label_of
from pykeepalived.tools.convert.result import Notes
from pykeepalived.tools.convert.unsaid import unsaid_of_check, unsaid_of_timing

_MOST_OF_A_GROUP: Final = 1024
replace = msgspec.structs.replace


def to_ldirectord(config: Config, notes: Notes) -> Config:
    """Checks become the checks of sections; groups become one section for each of their addresses and marks."""
    groups = {group.name: group for group in config.virtual_server_groups}
    services = [one for service in config.virtual_servers for one in _ungrouped(service, groups, notes)]
    used = {service.selector for service in config.virtual_servers}
    for name in groups:
        if GroupSelector(name) not in used:
            notes.add(f"virtual_server_group {name}")
    if any(not server.alpha for service in services for server in service.real_servers):
        notes.add("every real server waits for its first good check")
    converted = tuple(_service(service, notes) for service in services)
    return replace(config, virtual_servers=converted, virtual_server_groups=())


def _ungrouped(service: VirtualServer, groups: dict[str, VirtualServerGroup], notes: Notes) -> Iterator[VirtualServer]:
    if not isinstance(service.selector, GroupSelector):
        yield service
        return
    group = groups.get(service.selector.name)
    selectors: list[tuple[Selector, bool]] = []
    for entry in group.entries if group else ():
        if isinstance(entry, GroupAddress):
            selectors += [(AddressSelector(address, entry.port), True) for address in _between(entry)]
        else:
            selectors.append((FwmarkSelector(entry.fwmark), False))
    notes.add(f"group {service.selector.name} becomes {min(len(selectors), _MOST_OF_A_GROUP)} sections of its own")
    if len(selectors) > _MOST_OF_A_GROUP:
        notes.add(f"group {service.selector.name}: only its first {_MOST_OF_A_GROUP} addresses are written")
    for selector, addressed in selectors[:_MOST_OF_A_GROUP]:
        yield replace(service, selector=selector, protocol=service.protocol if addressed else None)


def _between(entry: GroupAddress) -> Iterator[str]:
    family = sockets.AF_INET6 if ":" in entry.first else sockets.AF_INET
    low, high = (int.from_bytes(sockets.inet_pton(family, text), "big") for text in (entry.first, entry.last))
    size = 16 if family == sockets.AF_INET6 else 4
    for number in range(low, min(high, low + 65_535) + 1):
        yield sockets.inet_ntop(family, number.to_bytes(size, "big"))


def _service(found: VirtualServer, notes: Notes) -> VirtualServer:
    servers = tuple(_server(server, found, notes) for server in found.real_servers)
    return replace(found, alpha=True, real_servers=servers, virtualhost=_virtualhost(found, servers, notes))


def _virtualhost(found: VirtualServer, servers: tuple[RealServer, ...], notes: Notes) -> str | None:
    """A section has one name for all of its HTTP checks."""
    asked = {
        spec.question.virtualhost or server.virtualhost or found.virtualhost
        for server in servers
        for spec in server.checkers[:1]
        if isinstance(spec.question, NegotiateCheck) and spec.question.service in ("http", "https")
    }
    if len(asked) == 1:
        return asked.pop()
    for name in sorted(name for name in asked if name not in (None, found.virtualhost)):
        notes.add(f"{label_of(found)}: virtualhost {name} of some of the checks only")
    return found.virtualhost


def _server(found: RealServer, service: VirtualServer, notes: Notes) -> RealServer:
    return replace(
        found,
        alpha=True,
        checkers=tuple(_spec(spec, found, service, notes) for spec in found.checkers),
    )


def _spec(spec: CheckerSpec, server: RealServer, service: VirtualServer, notes: Notes) -> CheckerSpec:
    timing = spec.timing
    for what in (*unsaid_of_timing(timing), *unsaid_of_check(spec.question)):
        notes.add(f"{label_of(service)}: {what}")
    return CheckerSpec(
        question=_question(spec.question, server, service, notes),
        timing=replace(timing, alpha=True, first_failure_counts=False, warmup_us=0,
                       delay_before_retry_us=timing.delay_loop_us),
    )  # fmt: skip


def _question(found: CheckQuestion, server: RealServer, service: VirtualServer, notes: Notes) -> CheckQuestion:
    label = label_of(service)
    if isinstance(found, HttpCheck):
        return _http(found, label, notes)
    if isinstance(found, SmtpCheck):
        return NegotiateCheck(socket=found.socket, service="smtp", connect_timeout_us=found.socket.timeout_us)
    if isinstance(found, DnsCheck):
        notes.add(f"{label}: DNS_CHECK of type {found.type}: a check of service dns asks for an address")
        name = found.name if found.name != "." else ""
        return NegotiateCheck(
            socket=found.socket, service="dns", request=f"/{name}", connect_timeout_us=found.socket.timeout_us
        )
    if isinstance(found, MiscCheck):
        return _external(found, server, service, label, notes)
    if isinstance(found, PingCheck) and found.socket.address != server.address:
        notes.add(f"{label}: the check of {server.address} pings {found.socket.address}")
    return found


def _external(found: MiscCheck, server: RealServer, service: VirtualServer, label: str, notes: Notes) -> ExternalCheck:
    notes.add(f"{label}: checkcommand gets four more arguments: virtual address and port, real address and port")
    if found.dynamic:
        notes.add(f"{label}: misc_dynamic: exit codes do not set weights")
    selector = service.selector
    if isinstance(selector, AddressSelector):
        head = (selector.address, str(selector.port))
    else:
        head = (str(selector.fwmark) if isinstance(selector, FwmarkSelector) else "", "0")
    return ExternalCheck(
        command=" ".join(found.script.argv),
        arguments=(*head, server.address, str(server.port)),
        timeout_us=found.timeout_us,
    )


def _http(found: HttpCheck, label: str, notes: Notes) -> NegotiateCheck:
    url = found.urls[0]
    if len(found.urls) > 1:
        notes.add(f"{label}: only the first of {len(found.urls)} urls is asked for")
    return NegotiateCheck(
        socket=found.socket,
        service="https" if found.tls else "http",
        request=url.path,
        receive=url.regex or "",
        virtualhost=url.virtualhost or found.virtualhost,
        connect_timeout_us=found.socket.timeout_us,
    )

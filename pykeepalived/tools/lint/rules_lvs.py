"""Combinations of words about virtual servers that are allowed and hardly ever meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pykeepalived.diagnostics import Diagnostic
from pykeepalived.dialects.keepalived.printer_text import decimal
from pykeepalived.lvs.desired import service_keys
from pykeepalived.model import (
    AddressSelector,
    ForwardingMethod,
    FwmarkSelector,
    MiscCheck,
    Protocol,
    SocketOptions,
    VirtualServer,
    family_of,
)
from pykeepalived.model.common import Family
from pykeepalived.tools.lint.rules import Subject, rule, warning

_WIDE: Final = {Family.INET: 16, Family.INET6: 32}


def label_of(service: VirtualServer) -> str:
    selector = service.selector
    if isinstance(selector, AddressSelector):
        host = f"[{selector.address}]" if ":" in selector.address else selector.address
        return f"{host}:{selector.port}"
    return f"fwmark {selector.fwmark}" if isinstance(selector, FwmarkSelector) else f"group {selector.name}"


@rule("no-checkers", "real servers that nobody checks")
def _no_checkers(subject: Subject) -> Iterator[Diagnostic]:
    for index, service in enumerate(subject.config.virtual_servers):
        bare = [number for number, server in enumerate(service.real_servers) if not server.checkers]
        if bare:
            first = service.real_servers[bare[0]]
            more = f" and {len(bare) - 1} more" if len(bare) > 1 else ""
            yield warning(
                "no-checkers",
                f"virtual server {label_of(service)}: {first.address}{more} has no checker, so its death goes "
                "unnoticed",
                subject.places.server(index, bare[0]),
                "write a checker, for example `TCP_CHECK { connect_timeout 3 }`",
            )


@rule("interval-below-timeout", "checks that last longer than their interval")
def _interval(subject: Subject) -> Iterator[Diagnostic]:
    for index, service in enumerate(subject.config.virtual_servers):
        for number, server in enumerate(service.real_servers):
            for spec in server.checkers:
                socket: SocketOptions | None = getattr(spec.question, "socket", None)
                limit_us = socket.timeout_us if socket is not None else 0
                if isinstance(spec.question, MiscCheck):
                    limit_us = spec.question.timeout_us
                if limit_us > spec.timing.delay_loop_us and spec.timing.first_failure_counts:
                    yield warning(
                        "interval-below-timeout",
                        f"virtual server {label_of(service)}: {server.address} is checked every "
                        f"{decimal(spec.timing.delay_loop_us)} s with a limit of {decimal(limit_us)} s",
                        subject.places.server(index, number, "connect_timeout", "misc_timeout"),
                        "write a limit below `delay_loop`",
                    )
                    break


@rule("sorry-is-real", "a sorry server that is one of the real servers")
def _sorry(subject: Subject) -> Iterator[Diagnostic]:
    for index, service in enumerate(subject.config.virtual_servers):
        sorry = service.sorry_server
        if sorry is None:
            continue
        if any((server.address, server.port) == (sorry.address, sorry.port) for server in service.real_servers):
            yield warning(
                "sorry-is-real",
                f"virtual server {label_of(service)}: the sorry server {sorry.address}:{sorry.port} is a real server "
                "too, and is dead when it is needed",
                subject.places.service(index, "sorry_server", "fallback"),
                "take another machine, or leave it out",
            )
        selector = service.selector
        if isinstance(selector, AddressSelector) and sorry.address == selector.address:
            yield warning(
                "sorry-is-real",
                f"virtual server {label_of(service)}: the sorry server has the address of the service itself",
                subject.places.service(index, "sorry_server", "fallback"),
                "write an address of its own",
            )


@rule("real-is-virtual", "a real server that is the virtual server")
def _real_is_virtual(subject: Subject) -> Iterator[Diagnostic]:
    for index, service in enumerate(subject.config.virtual_servers):
        if not isinstance(service.selector, AddressSelector):
            continue
        for number, server in enumerate(service.real_servers):
            if (server.address, server.port) == (service.selector.address, service.selector.port):
                yield warning(
                    "real-is-virtual",
                    f"virtual server {label_of(service)}: the real server has the address and port of the service",
                    subject.places.server(index, number),
                    "write the address that the server has on its own network",
                )


@rule("server-twice", "one machine that is a real server more than once")
def _twice(subject: Subject) -> Iterator[Diagnostic]:
    for index, service in enumerate(subject.config.virtual_servers):
        seen: set[str] = set()
        for number, server in enumerate(service.real_servers):
            if server.address in seen:
                yield warning(
                    "server-twice",
                    f"virtual server {label_of(service)}: {server.address} stands for two real servers, on different "
                    "ports",
                    subject.places.server(index, number),
                    note=True,
                )
            seen.add(server.address)


@rule("persistence-granularity", "persistence that lumps together too many clients")
def _granularity(subject: Subject) -> Iterator[Diagnostic]:
    for index, service in enumerate(subject.config.virtual_servers):
        length = service.persistence_prefix
        if length is None:
            continue
        selector = service.selector
        family = family_of(selector.address) if isinstance(selector, AddressSelector) else service.family
        if length < _WIDE[family or Family.INET]:
            yield warning(
                "persistence-granularity",
                f"virtual server {label_of(service)}: all clients of a /{length} network go to one real server",
                subject.places.service(index, "persistence_granularity", "netmask"),
                "write a longer mask, for example 255.255.255.0",
            )


@rule("inhibit-with-persistence", "a dead server that keeps its persistent clients")
def _inhibit(subject: Subject) -> Iterator[Diagnostic]:
    for index, service in enumerate(subject.config.virtual_servers):
        if not service.persistence_timeout_s:
            continue
        for number, server in enumerate(service.real_servers):
            if server.inhibit_on_failure and server.checkers:
                yield warning(
                    "inhibit-with-persistence",
                    f"virtual server {label_of(service)}: {server.address} stays in the table when it is dead, and "
                    "its persistent clients still go there",
                    subject.places.server(index, number, "inhibit_on_failure", "quiescent"),
                    "set net.ipv4.vs.expire_quiescent_template=1, or let dead servers be removed",
                )
                break


@rule("all-weights-zero", "no real server may get a connection")
def _weightless(subject: Subject) -> Iterator[Diagnostic]:
    for index, service in enumerate(subject.config.virtual_servers):
        if service.real_servers and not any(server.weight for server in service.real_servers):
            yield warning(
                "all-weights-zero",
                f"virtual server {label_of(service)}: all weights are 0, so no client is served",
                subject.places.service(index),
                "give one real server a weight",
            )


@rule("quorum-of-all", "a quorum that no failure may touch")
def _quorum(subject: Subject) -> Iterator[Diagnostic]:
    for index, service in enumerate(subject.config.virtual_servers):
        weights = [server.weight for server in service.real_servers if server.weight]
        if len(weights) > 1 and service.quorum > sum(weights) - min(weights):
            yield warning(
                "quorum-of-all",
                f"virtual server {label_of(service)}: the failure of any real server loses the quorum of "
                f"{service.quorum}, out of {sum(weights)}",
                subject.places.service(index, "quorum"),
                "write a lower quorum",
            )


@rule("mixed-forwarding", "direct routing and NAT beside each other")
def _mixed(subject: Subject) -> Iterator[Diagnostic]:
    for index, service in enumerate(subject.config.virtual_servers):
        methods = {server.forwarding.method for server in service.real_servers}
        if ForwardingMethod.NAT in methods and len(methods) > 1:
            yield warning(
                "mixed-forwarding",
                f"virtual server {label_of(service)}: some answers must pass this director, others must not",
                subject.places.service(index, "lb_kind"),
                note=True,
            )


@rule("udp-without-check", "a check over TCP of a service over UDP")
def _udp(subject: Subject) -> Iterator[Diagnostic]:
    for index, service in enumerate(subject.config.virtual_servers):
        if service.protocol is not Protocol.UDP:
            continue
        for number, server in enumerate(service.real_servers):
            tags = {spec.question.__struct_config__.tag for spec in server.checkers}
            if tags and tags <= {"tcp", "http", "smtp"}:
                yield warning(
                    "udp-without-check",
                    f"virtual server {label_of(service)}: the service is UDP and {server.address} is checked over TCP",
                    subject.places.server(index, number),
                    "write `protocol TCP`, or a UDP_CHECK, DNS_CHECK or MISC_CHECK",
                )
                break


@rule("sync-daemon-mixed-families", "a sync daemon beside tunnels to servers of the other family")
def _sync_daemon_families(subject: Subject) -> Iterator[Diagnostic]:
    config = subject.config
    if config.globals.sync_daemon is None:
        return
    for index, service in enumerate(config.virtual_servers):
        families = {key.family for key in service_keys(service, config.virtual_server_groups)}
        for number, server in enumerate(service.real_servers):
            if families - {family_of(server.address)} and server.forwarding.method is ForwardingMethod.TUN:
                yield warning(
                    "sync-daemon-mixed-families",
                    f"virtual server {label_of(service)}: the kernel takes no server of the other family "
                    f"({server.address}) while a sync daemon runs",
                    subject.places.server(index, number),
                    "leave `lvs_sync_daemon` out, or give the service servers of its own family only",
                )
                break

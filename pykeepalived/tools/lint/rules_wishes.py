"""Combinations that users met late: a switch back before connections are known, hidden names, open passwords."""

from __future__ import annotations

from collections.abc import Iterator

from pykeepalived.diagnostics import Diagnostic
from pykeepalived.model import HttpCheck
from pykeepalived.model.common import Family, family_of
from pykeepalived.model.vrrp import AuthType
from pykeepalived.tools.lint.rules import Subject, rule, warning
from pykeepalived.tools.lint.rules_lvs import label_of

_OWNER = 255


@rule("preempt-before-sync", "a router that takes over before it knows the connections")
def _before_sync(subject: Subject) -> Iterator[Diagnostic]:
    daemon = subject.config.globals.sync_daemon
    if daemon is None:
        return
    for found in subject.config.instances:
        if found.name != daemon.instance or found.nopreempt or found.priority == _OWNER:
            continue
        if not found.preempt_delay_us and not found.preempt_after_sync_us:
            yield warning(
                "preempt-before-sync",
                f"({found.name}) after its return it takes over before the sync daemon has filled its connection "
                "table, and open connections break",
                subject.places.word("lvs_sync_daemon"),
                f"write `preempt_after_sync 30` into {found.name}, or `nopreempt`",
            )


@rule("tls-without-name", "a check over TLS that hides the name it asks for")
def _without_name(subject: Subject) -> Iterator[Diagnostic]:
    for index, service in enumerate(subject.config.virtual_servers):
        for number, server in enumerate(service.real_servers):
            for spec in server.checkers:
                question = spec.question
                if not isinstance(question, HttpCheck) or not question.tls:
                    continue
                names = [name for name in (question.virtualhost, *(url.virtualhost for url in question.urls)) if name]
                if names and not question.enable_sni and question.sni_name is None:
                    yield warning(
                        "tls-without-name",
                        f"virtual server {label_of(service)}: the check asks {server.address} for {names[0]} and does "
                        "not say so in the handshake; a server with several names answers for another",
                        subject.places.server(index, number, "SSL_GET"),
                        "write `enable_sni` into SSL_GET",
                    )
                    break


@rule("password-readable", "a password that everybody on the way can read and use")
def _readable(subject: Subject) -> Iterator[Diagnostic]:
    for found in subject.config.instances:
        authentication = found.authentication
        if authentication is None or authentication.type is not AuthType.PASS or found.version != 2:
            continue
        if found.unicast_peers and found.auth_hmac is None:
            yield warning(
                "password-readable",
                f"({found.name}) adverts to peers carry the password as it is: who reads one can send others",
                subject.places.named("vrrp_instance", found.name, "authentication"),
                "write `auth_hmac` where all routers know it, and let a packet filter take adverts of the peers only",
                note=True,
            )


@rule("ipv6-not-link-local", "an IPv6 router whose first address is not link-local")
def _not_link_local(subject: Subject) -> Iterator[Diagnostic]:
    for found in subject.config.instances:
        if not found.addresses or family_of(found.addresses[0].prefix.address) is not Family.INET6:
            continue
        first = found.addresses[0].prefix.address
        if not first.lower().startswith(("fe8", "fe9", "fea", "feb")):
            yield warning(
                "ipv6-not-link-local",
                f"({found.name}) the first IPv6 address is {first}; the standard wants a link-local one there "
                "(RFC 9568 section 5.2.9), which is the hosts' gateway, and strict routers discard the adverts",
                subject.places.named("vrrp_instance", found.name, "virtual_ipaddress"),
                f"begin `virtual_ipaddress` with an address like fe80::{found.vrid:x}/64",
            )

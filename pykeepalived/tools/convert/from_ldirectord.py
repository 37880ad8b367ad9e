"""The model of an ldirectord.cf in words of keepalived.conf (migration-facts 2)."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import msgspec

from pykeepalived.dialects.keepalived.tables.lvs import SCHEDULERS
from pykeepalived.model import (
    AddressSelector,
    CheckerSpec,
    Config,
    DnsCheck,
    ExternalCheck,
    ForwardingMethod,
    FwmarkSelector,
    GlobalDefs,
    HttpCheck,
    HttpUrl,
    LdirectordSettings,
    MailSettings,
    MiscCheck,
    NegotiateCheck,
    OffCheck,
    OnCheck,
    PingCheck,
    RealServer,
    Script,
    SmtpCheck,
    SocketOptions,
    TcpCheck,
    VirtualServer,
)
from pykeepalived.model.checks import CheckQuestion
from pykeepalived.tools.convert.result import ROOT, Notes, with_script_security
from pykeepalived.units import SECOND_US

_UDP_SERVICES: Final = frozenset({"radius", "sip", "dns"})
replace = msgspec.structs.replace


def label_of(service: VirtualServer) -> str:
    selector = service.selector
    if isinstance(selector, AddressSelector):
        return f"{selector.address}:{selector.port}"
    return f"fwmark {selector.fwmark}" if isinstance(selector, FwmarkSelector) else f"group {selector.name}"


def to_keepalived(config: Config, notes: Notes) -> Config:
    """The same services as keepalived.conf can say them."""
    if config.ldirectord is not None:
        _settings(config.ldirectord, notes)
    services = tuple(_service(service, notes) for service in config.virtual_servers if _has_servers(service, notes))
    settings = replace(GlobalDefs(), mail=_mail(config, notes))
    scripts = [script for service in services for script in (service.quorum_up, service.quorum_down)]
    scripts += [
        spec.question.script
        for service in services
        for server in service.real_servers
        for spec in server.checkers
        if isinstance(spec.question, MiscCheck)
    ]
    return Config(globals=with_script_security(settings, scripts, notes), virtual_servers=services)


def _settings(found: LdirectordSettings, notes: Notes) -> None:
    plain = LdirectordSettings(path=found.path)
    for name, given, text in (
        ("autoreload", found.autoreload, "send SIGHUP after a change"),
        ("callback", found.callback, "no program is told of a change of the file"),
        ("execute", found.execute, "convert the further files too, and include them"),
        ("maintenancedir", found.maintenance_dir, "take servers out by weight 0 and a reload, or by a FILE_CHECK"),
        ("readdquiescent", found.readd_quiescent, "inhibit_on_failure does the same as far as there is an equivalent"),
        ("supervised", found.supervised, "start the program with -n"),
    ):
        if given:
            notes.add(f"{name}: {text}")
    if found.logfile != plain.logfile:
        notes.add(f"logfile {found.logfile}: log lines go to syslog, see the options -S and -g")


def _mail(config: Config, notes: Notes) -> MailSettings:
    alerts = [service.mail for service in config.virtual_servers if service.mail is not None]
    if not alerts:
        return MailSettings()
    recipients = tuple(dict.fromkeys(address for alert in alerts for address in alert.recipients))
    if len({alert.recipients for alert in alerts}) > 1:
        notes.add("emailalert differs between services: all recipients get all mails")
    if any(alert.frequency_s for alert in alerts):
        notes.add("emailalertfreq: mails are not repeated")
    if any(alert.states != ("all",) for alert in alerts):
        notes.add("emailalertstatus: mails are sent in every phase")
    servers = [alert.smtp for alert in alerts if alert.smtp]
    if not servers:
        notes.add("mails went through the local sendmail: smtp_server 127.0.0.1 is written")
    sender = config.ldirectord.mail_sender if config.ldirectord else None
    return MailSettings(server=servers[0] if servers else "127.0.0.1", sender=sender, recipients=recipients)


def _service(found: VirtualServer, notes: Notes) -> VirtualServer:
    label = label_of(found)
    for name, given in (
        ("cleanstop=no", not found.cleanstop), ("monitorfile", found.monitor_file),
        ("servicename", found.service_name), ("comment", found.comment),
    ):  # fmt: skip
        if given:
            more = ": start the program with -I" if name == "cleanstop=no" else ""
            notes.add(f"{label}: {name}{more or ' has no equivalent'}")
    scheduler = found.scheduler
    if scheduler not in SCHEDULERS:
        notes.add(f"{label}: scheduler {scheduler} is unknown, wlc is written")
        scheduler = "wlc"
    prefix = found.persistence_prefix
    if prefix is not None and not found.persistence_timeout_s:
        notes.add(f"{label}: netmask without persistent has no effect and is left out")
        prefix = None
    timeout_s = found.persistence_timeout_s
    if isinstance(found.selector, AddressSelector) and not found.selector.port and not timeout_s:
        notes.add(f"{label}: all ports need persistence, 360 s are written")
        timeout_s = 360
    servers = tuple(_server(server, found, notes) for server in found.real_servers)
    return replace(
        found,
        alpha=any(server.alpha for server in servers),
        forwarding=servers[0].forwarding if servers else found.forwarding,
        scheduler=scheduler,
        persistence_prefix=prefix,
        persistence_timeout_s=timeout_s,
        real_servers=servers,
        smtp_alert=found.mail is not None,
        cleanstop=True,
        monitor_file=None,
        service_name=None,
        comment=None,
        mail=None,
        fallback_command=None,
        quorum_up=_quorum_script(found, "stop"),
        quorum_down=_quorum_script(found, "start"),
    )


def _has_servers(found: VirtualServer, notes: Notes) -> bool:
    if not found.real_servers:
        notes.add(f"{label_of(found)}: a service without real servers is left out")
    return bool(found.real_servers)


def _quorum_script(found: VirtualServer, word: str) -> Script | None:
    """fallbackcommand runs through a shell with start, when the last server is gone, or stop."""
    if found.fallback_command is None:
        return None
    protocol = found.protocol.name.lower() if found.protocol is not None else "fwm"
    selector = found.selector
    where = str(selector.fwmark) if isinstance(selector, FwmarkSelector) else label_of(found)
    return Script(("/bin/sh", "-c", f"{found.fallback_command} {word} {where} {protocol}"), ROOT)


def _server(found: RealServer, service: VirtualServer, notes: Notes) -> RealServer:
    own = service.selector.port if isinstance(service.selector, AddressSelector) else 0
    port = found.port if found.forwarding.method is ForwardingMethod.NAT else own
    checkers: list[CheckerSpec] = []
    for spec in found.checkers:
        if isinstance(spec.question, OffCheck):
            notes.add(f"{label_of(service)}: checktype off: a check that always fails is written")
        question = _question(spec.question, found, service, notes)
        if question is not None:
            timing = replace(spec.timing, first_failure_counts=True)
            checkers.append(CheckerSpec(question=question, timing=timing))
    alpha = found.alpha and bool(checkers)
    return replace(found, port=port, checkers=tuple(checkers), maintenance_names=(), alpha=alpha)


def _question(found: CheckQuestion, server: RealServer, service: VirtualServer, notes: Notes) -> CheckQuestion | None:
    label = label_of(service)
    if isinstance(found, OnCheck):
        return None
    if isinstance(found, OffCheck):
        return MiscCheck(script=Script(("/bin/sh", "-c", "exit 1"), ROOT), timeout_us=SECOND_US)
    if isinstance(found, PingCheck):
        if found.attempts > 1:
            notes.add(f"{label}: checkcount {found.attempts}: PING_CHECK asks once, see retry")
        return PingCheck(socket=replace(found.socket, port=server.port))
    if isinstance(found, ExternalCheck):
        if found.perl:
            notes.add(f"{label}: external-perl ran inside ldirectord; MISC_CHECK runs it as a program of its own")
        return MiscCheck(script=Script((*found.command.split(), *found.arguments), ROOT), timeout_us=found.timeout_us)
    return _negotiate(found, label, notes) if isinstance(found, NegotiateCheck) else found


def _negotiate(found: NegotiateCheck, label: str, notes: Notes) -> CheckQuestion:
    service = found.service
    if found.connects_between:
        notes.add(f"{label}: checktype {found.connects_between}: every check is a whole one")
    if found.connect_timeout_us != found.socket.timeout_us and found.connects_between:
        notes.add(f"{label}: checktimeout: the limit of negotiate counts")
    for name, text in (("login", found.login), ("database", found.database), ("secret", found.secret)):
        if text and service in ("http", "https", "smtp", "submission", "dns"):
            notes.add(f"{label}: {name} has no equivalent")
    if service in ("http", "https"):
        return _http(found, label, notes)
    if service in ("smtp", "submission"):
        return SmtpCheck(socket=found.socket, helo_name="")
    if service == "dns":
        if found.receive:
            notes.add(f"{label}: receive: DNS_CHECK takes any answer")
        return DnsCheck(socket=found.socket, type="A", name=found.request.lstrip("/") or ".")
    return _unknown(found, label, notes)


def _unknown(found: NegotiateCheck, label: str, notes: Notes) -> CheckQuestion:
    if found.service in _UDP_SERVICES and found.protocol == "udp":
        notes.add(f"{label}: a check of service {found.service} has no equivalent, PING_CHECK is written")
        return PingCheck(socket=found.socket)
    notes.add(
        f"{label}: a check of service {found.service} has no equivalent, TCP_CHECK is written; MISC_CHECK can run a "
        "program that does it"
    )
    return TcpCheck(socket=found.socket)


def _http(found: NegotiateCheck, label: str, notes: Notes) -> CheckQuestion:
    if found.httpmethod != "GET":
        notes.add(f"{label}: httpmethod {found.httpmethod}: GET is used")
    path, host = found.request, found.virtualhost
    if "://" in path:
        parts = urlsplit(path)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        host = host or parts.hostname
    url = HttpUrl(path=path or "/", regex=found.receive or None, virtualhost=host)
    socket: SocketOptions = found.socket
    secure = found.service == "https"
    return HttpCheck(socket=socket, urls=(url,), tls=secure, enable_sni=secure, virtualhost=found.virtualhost)

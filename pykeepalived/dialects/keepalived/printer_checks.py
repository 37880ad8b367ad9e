"""Checkers of a real server, as keepalived.conf writes them."""

from __future__ import annotations

from typing import Any, Final

from pykeepalived.dialects.keepalived.build_checks import RETRIES
from pykeepalived.dialects.keepalived.printer_text import Writer, decimal, pattern
from pykeepalived.model import (
    BfdCheck,
    CheckerSpec,
    DnsCheck,
    FileCheck,
    GrpcCheck,
    HttpCheck,
    HttpUrl,
    MiscCheck,
    PingCheck,
    RealServer,
    SmtpCheck,
    SocketOptions,
    TcpCheck,
    UdpCheck,
)
from pykeepalived.units import SECOND_US

_KINDS: Final[dict[type, str]] = {
    TcpCheck: "TCP_CHECK",
    SmtpCheck: "SMTP_CHECK",
    DnsCheck: "DNS_CHECK",
    MiscCheck: "MISC_CHECK",
    UdpCheck: "UDP_CHECK",
    PingCheck: "PING_CHECK",
    GrpcCheck: "GRPC_CHECK",
    FileCheck: "FILE_CHECK",
    BfdCheck: "BFD_CHECK",
}
#: Checkers without timing words of their own: theirs stand in the real server.
BORROWERS: Final = (FileCheck, BfdCheck)
#: What a level above has said, by model field.
Inherited = dict[str, Any]


def kind_of(question: object) -> str | None:
    """The keyword of a question; None: keepalived.conf has none."""
    if isinstance(question, HttpCheck):
        return "SSL_GET" if question.tls else "HTTP_GET"
    return _KINDS.get(type(question))


def timing(writer: Writer, spec: CheckerSpec, kind: str, inherited: Inherited, *, alpha: bool, log_all: bool) -> None:
    """When a check runs, as far as it differs from what `inherited` and the built-in values give."""
    found = spec.timing
    retries, pause_us = RETRIES[kind]
    above_us = inherited.get("delay_loop_us", 60 * SECOND_US)
    writer.seconds("delay_loop", found.delay_loop_us, above_us)
    writer.seconds("warmup", found.warmup_us, inherited.get("warmup_us", found.delay_loop_us))
    writer.value("retry", found.retry, inherited.get("retry", retries))
    pause_us = found.delay_loop_us if pause_us is None else pause_us
    writer.seconds("delay_before_retry", found.delay_before_retry_us, inherited.get("delay_before_retry_us", pause_us))
    if kind != "FILE_CHECK":
        writer.switch("alpha", found.alpha, alpha)
    writer.switch("log_all_failures", found.log_all_failures, log_all)


def borrowed_timing(writer: Writer, spec: CheckerSpec, kind: str, inherited: Inherited) -> Inherited:
    """The words in a real server that give a FILE_CHECK or BFD_CHECK its times; what is inherited from now on."""
    found = spec.timing
    given = dict(inherited)
    retries, pause_us = RETRIES[kind]
    if found.delay_loop_us != inherited.get("delay_loop_us", 60 * SECOND_US):
        given["delay_loop_us"] = found.delay_loop_us
        writer.seconds("delay_loop", found.delay_loop_us)
    if found.warmup_us != found.delay_loop_us:
        given["warmup_us"] = found.warmup_us
        writer.seconds("warmup", found.warmup_us)
    if found.retry != retries:
        given["retry"] = found.retry
        writer.line("retry", found.retry)
    if found.delay_before_retry_us != pause_us:
        given["delay_before_retry_us"] = found.delay_before_retry_us
        writer.seconds("delay_before_retry", found.delay_before_retry_us)
    return given


def checker(writer: Writer, spec: CheckerSpec, server: RealServer, inherited: Inherited, *, log_all: bool) -> None:
    """One checker block; a question that keepalived.conf has no word for is listed."""
    question = spec.question
    kind = kind_of(question)
    if kind is None:
        writer.cannot(f"check `{question.__struct_config__.tag}` of {server.address}:{server.port}")
        return
    with writer.block(kind):
        socket: SocketOptions | None = getattr(question, "socket", None)
        if socket is not None:
            _socket(writer, socket, server, isinstance(question, PingCheck))
        if isinstance(question, FileCheck):
            _file(writer, question)
            return
        if isinstance(question, BfdCheck):
            writer.line("name", question.name)
            writer.switch("alpha", spec.timing.alpha, server.alpha)
            return
        timing(writer, spec, kind, inherited, alpha=server.alpha, log_all=log_all)
        if isinstance(question, HttpCheck):
            _http(writer, question, server)
        elif isinstance(question, TcpCheck):
            writer.value("send", question.send)
            writer.value("expect", question.expect)
        elif isinstance(question, GrpcCheck):
            _grpc(writer, question, server)
        elif isinstance(question, SmtpCheck):
            # Empty: what global_defs says, or the name of the host.
            writer.value("helo_name", question.helo_name or None)
        elif isinstance(question, DnsCheck):
            writer.value("type", question.type, "SOA")
            writer.value("name", question.name, ".")
        elif isinstance(question, UdpCheck):
            _udp(writer, question)
        elif isinstance(question, MiscCheck):
            _misc(writer, question, spec.timing.delay_loop_us)


def _socket(writer: Writer, found: SocketOptions, server: RealServer, pings: bool) -> None:
    if found.address != server.address or writer.everything:
        writer.line("connect_ip", found.address)
    if (found.port and not pings and (found.port != server.port or writer.everything)) or (
        pings and found.port not in (0, server.port)
    ):
        writer.line("connect_port", found.port)
    writer.value("bindto", found.bind_address)
    if found.bind_port:
        writer.line("bind_port", found.bind_port)
    writer.value("bind_if", found.bind_interface)
    writer.seconds("connect_timeout", found.timeout_us, 5 * SECOND_US)
    writer.value("fwmark", found.fwmark, 0)


def _file(writer: Writer, found: FileCheck) -> None:
    writer.line("track_file", found.track_file)
    if found.weight is not None:
        writer.line("weight", found.weight, *(("reverse",) if found.reverse else ()))


def _misc(writer: Writer, found: MiscCheck, delay_loop_us: int) -> None:
    writer.script("misc_path", found.script, with_user=False)
    users = writer.user_words(found.script.user)
    if users:
        writer.line("user", *users)
    if found.timeout_us != delay_loop_us or (writer.everything and not found.timeout_us % SECOND_US):
        if found.timeout_us % SECOND_US:
            writer.cannot(f"misc_timeout {decimal(found.timeout_us)}: whole seconds only")
        else:
            writer.seconds("misc_timeout", found.timeout_us)
    writer.flag("misc_dynamic", found.dynamic)


def _udp(writer: Writer, found: UdpCheck) -> None:
    if found.payload:
        writer.line("payload", found.payload.hex())
    elif found.payload is not None:
        writer.cannot("UDP_CHECK with an empty payload")
    if found.require_reply:
        digits = "".join(
            digit if mask != "0" else "x" for digit, mask in zip(found.reply.hex(), found.reply_mask.hex(), strict=True)
        )
        writer.line("require_reply", *((digits,) if digits else ()))
    writer.value("min_reply_length", found.min_reply_length, 0)
    writer.value("max_reply_length", found.max_reply_length, 255)


def _grpc(writer: Writer, found: GrpcCheck, server: RealServer) -> None:
    writer.value("service", found.service, "")
    if found.virtualhost != server.virtualhost:
        writer.value("virtualhost", found.virtualhost)
    writer.switch("tls", found.tls)
    writer.value("sni_name", found.sni_name)
    writer.switch("verify", found.verify)
    writer.value("certificate_days", found.certificate_days, 0)


def _http(writer: Writer, found: HttpCheck, server: RealServer) -> None:
    if found.virtualhost != server.virtualhost:
        writer.value("virtualhost", found.virtualhost)
    writer.value("http_protocol", found.protocol, "1.0")
    if found.sni_name is None:
        writer.switch("enable_sni", found.enable_sni)
    writer.value("sni_name", found.sni_name)
    writer.switch("fast_recovery", found.fast_recovery)
    if found.tls:
        writer.switch("tls_compliant", found.tls_compliant)
        writer.switch("verify", found.verify)
        writer.value("certificate_days", found.certificate_days, 0)
    for url in found.urls:
        with writer.block("url"):
            _url(writer, url)


def _url(writer: Writer, found: HttpUrl) -> None:
    writer.line("path", found.path)
    if found.json is not None:
        writer.line("json", *found.json)
    writer.value("digest", found.digest)
    if not found.status_codes:
        writer.cannot(f"url {found.path}: no status code is a good one")
    elif found.status_codes != HttpUrl(path="").status_codes or writer.everything:
        ranges = (str(low) if low == high else f"{low}-{high}" for low, high in found.status_codes)
        writer.line("status_code", *ranges)
    writer.value("virtualhost", found.virtualhost)
    if found.regex is not None:
        writer.raw(f"regex {pattern(found.regex)}")
    writer.flag("regex_no_match", found.regex_no_match)
    if found.regex_options:
        writer.line("regex_options", *found.regex_options)
    if found.regex_min_offset:
        writer.line("regex_min_offset", found.regex_min_offset)
    writer.value("regex_max_offset", found.regex_max_offset)
    if found.regex_stack is not None:
        writer.line("regex_stack", *found.regex_stack)
    if found.tls_compliant is not None:
        writer.switch("tls_compliant", found.tls_compliant, not found.tls_compliant)

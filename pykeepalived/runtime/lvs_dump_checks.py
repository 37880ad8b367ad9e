"""keepalived_check.data: one checker of one real server, in the labels and the order of keepalived 2.4.3."""

from __future__ import annotations

from collections.abc import Iterator

from pykeepalived.lvs.health import CheckHealth, ServerHealth
from pykeepalived.lvs.pool import Pool
from pykeepalived.model.checks import (
    BfdCheck,
    CheckTiming,
    DnsCheck,
    FileCheck,
    GrpcCheck,
    HttpCheck,
    HttpUrl,
    MiscCheck,
    PingCheck,
    SmtpCheck,
    SocketOptions,
    TcpCheck,
    UdpCheck,
)
from pykeepalived.model.config import Config
from pykeepalived.runtime.lvs_checks import Asked
from pykeepalived.units import SECOND_US

_KINDS = {
    TcpCheck: "TCP_CHECK",
    SmtpCheck: "SMTP_CHECK",
    UdpCheck: "UDP_CHECK",
    MiscCheck: "MISC_CHECK",
    DnsCheck: "DNS_CHECK",
    PingCheck: "PING_CHECK",
    GrpcCheck: "GRPC_CHECK",
    FileCheck: "FILE_CHECK",
    BfdCheck: "BFD_CHECK",
}


def check_lines(pool: Pool, health: ServerHealth, check: CheckHealth, subscription: Asked | None) -> Iterator[str]:
    """What is asked, when, and what came of it so far."""
    question = check.spec.question
    yield f" {pool.service.name} -> {pool.service.server_name(health.server)}"
    yield "   Enabled = yes"
    yield f"   Up = {_yes(check.up)}"
    yield f"   Has run = {_yes(check.checked)}"
    yield f"   Current weight = {check.weight_change}"
    if not isinstance(question, FileCheck | BfdCheck):
        yield from _timing_lines(check)
    yield f"   Log all failures = {_yes(check.spec.timing.log_all_failures)}"
    socket = getattr(question, "socket", None)
    if isinstance(socket, SocketOptions):
        yield from _connection_lines(socket)
    if isinstance(question, HttpCheck):
        yield from _http_lines(question, health.server.virtualhost)
    else:
        tag = str(type(question).__struct_config__.tag)
        yield f"   Keepalive method = {_KINDS.get(type(question), tag.upper())}"
        yield from _other_lines(question, check.spec.timing)
    if subscription is not None and subscription.last is not None:
        yield f"   Last result = {subscription.last.outcome.text}"


def followed_lines(config: Config, health: ServerHealth) -> Iterator[str]:
    """The track files and BFD sessions that a real server goes by, in its own section."""
    weights = {item.name: item.weight for item in config.track_files}
    questions = [check.spec.question for check in health.checks]
    files = [item for item in questions if isinstance(item, FileCheck)]
    if files:
        yield "   Tracked Files"
    for item in files:
        weight = weights.get(item.track_file, 0) if item.weight is None else item.weight
        yield f"     {item.track_file}, weight {weight}{' reverse' if item.reverse else ''}"
    sessions = [item for item in questions if isinstance(item, BfdCheck)]
    if sessions:
        yield "   Tracked BFDs"
        yield from (f"     {item.name}" for item in sessions)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _set(value: bool | None) -> str:
    return "set" if value else "unset"


def _timing_lines(check: CheckHealth) -> Iterator[str]:
    timing = check.spec.timing
    yield f"   Alpha = {_yes(timing.alpha)}"
    yield f"   Delay loop = {timing.delay_loop_us} us"
    yield f"   Warmup = {timing.warmup_us} us"
    yield f"   Retries = {timing.retry}"
    yield f"   Delay before retry = {timing.delay_before_retry_us} us"
    yield f"   Retries iterations = {check.failures}"


def _connection_lines(socket: SocketOptions) -> Iterator[str]:
    yield "   Connection"
    yield f"     Dest = [{socket.address}]:{socket.port}"
    if socket.bind_address is not None or socket.bind_port:
        yield f"     Bind to = [{socket.bind_address or ''}]:{socket.bind_port}"
    if socket.bind_interface is not None:
        yield f"     Bind i/f = {socket.bind_interface}"
    if socket.fwmark:
        yield f"     Mark = {socket.fwmark}"
    yield f"     Timeout = {socket.timeout_us / SECOND_US:.6f}"


def _http_lines(question: HttpCheck, of_server: str | None) -> Iterator[str]:
    method = "SSL_GET" if question.tls else "HTTP_GET"
    yield f"   Keepalive method = {method}, http protocol {question.protocol}"
    if question.virtualhost not in (None, of_server):
        yield f"   Virtualhost = {question.virtualhost}"
    yield f"   Enable SNI {_set(question.enable_sni)}"
    if question.sni_name is not None:
        yield f"   SNI name = {question.sni_name}"
    yield f"   Fast recovery {_set(question.fast_recovery)}"
    if question.tls:
        yield f"   tls_compliant {_set(question.tls_compliant)}"
    for url in question.urls:
        yield from _url_lines(url)


def _url_lines(url: HttpUrl) -> Iterator[str]:
    yield f"   Checked url = {url.path}"
    if url.digest is not None:
        yield f"     digest = {url.digest}"
    yield f"     tls_compliant {_set(url.tls_compliant)}"
    yield "     HTTP Status Code(s)"
    yield from (f"       {first}" if first == last else f"       {first}-{last}" for first, last in url.status_codes)
    if url.virtualhost is not None:
        yield f"     Virtual host = {url.virtualhost}"
    if url.regex is not None:
        yield f'     Regex = "{url.regex}"'
        if url.regex_no_match:
            yield "     Regex no match"
        if url.regex_min_offset or url.regex_max_offset is not None:
            yield f"     Regex min offset = {url.regex_min_offset}, max_offset = {url.regex_max_offset or 0}"
        yield " ".join(["     Regex options:", *url.regex_options])


def _other_lines(question: object, timing: CheckTiming) -> Iterator[str]:
    match question:
        case SmtpCheck(helo_name=helo):
            yield f"   helo = {helo}"
        case MiscCheck():
            words = " ".join(f"'{word}'" for word in question.script.argv)
            yield f"   script = {words}"
            # 0: as long as until the next run.
            limit_us = 0 if question.timeout_us == timing.delay_loop_us else question.timeout_us
            yield f"   timeout = {limit_us // SECOND_US}"
            yield f"   dynamic = {'YES' if question.dynamic else 'NO'}"
            if question.script.user is not None:
                yield f"   uid:gid = {question.script.user.uid}:{question.script.user.gid}"
        case DnsCheck(type=kind, name=name):
            yield f"   Type = {kind}"
            yield f"   Name = {'' if name == '.' else name}"
        case GrpcCheck(service=name, tls=tls):
            yield f"   Service = {name}"
            yield f"   TLS = {_yes(tls)}"
        case UdpCheck():
            yield from _udp_lines(question)
        case FileCheck(track_file=name):
            yield f"     Tracked file = {name}"
        case BfdCheck(name=name):
            yield f"   Name = {name}"
            yield f"   Alpha is {'ON' if timing.alpha else 'OFF'}"
        case _:
            return


def _udp_lines(question: UdpCheck) -> Iterator[str]:
    yield "   Payload specified = no" if question.payload is None else f"   Payload len = {len(question.payload)}"
    yield f"   Require reply = {_yes(question.require_reply)}"
    if question.require_reply:
        yield f"     Min reply length = {question.min_reply_length}"
        yield f"     Max reply length = {question.max_reply_length}"
        if question.reply:
            yield f"     Reply data len = {len(question.reply)}"
            yield f"     Reply data mask = {_yes(bool(question.reply_mask))}"

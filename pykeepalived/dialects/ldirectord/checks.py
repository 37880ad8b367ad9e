"""From a section and one of its real servers to the question that is asked of the server, and when."""

from __future__ import annotations

from typing import Final

import msgspec

from pykeepalived.dialects.ldirectord.services import LIMITED_BY_CHECKTIMEOUT, SERVICE_PORTS, WITH_TLS
from pykeepalived.model.checks import (
    CheckerSpec,
    CheckQuestion,
    CheckTiming,
    ExternalCheck,
    NegotiateCheck,
    OffCheck,
    OnCheck,
    PingCheck,
    SocketOptions,
    TcpCheck,
    TlsOptions,
)
from pykeepalived.model.lvs import ForwardingMethod, Protocol, RealServer
from pykeepalived.units import SECOND_US

#: ldirectord's echo requests carry this many bytes.
_PING_PAYLOAD = 64

METHOD_NAMES: Final = {ForwardingMethod.DR: "gate", ForwardingMethod.NAT: "masq", ForwardingMethod.TUN: "ipip"}


class CheckSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The effective check settings of one section, every default resolved."""

    check_type: str | int
    service: str
    protocol: Protocol | None
    check_port: int | None
    check_timeout_s: int
    negotiate_timeout_s: int
    check_count: int
    failure_count: int
    interval_s: int
    request: str | None
    receive: str
    virtualhost: str | None
    httpmethod: str
    login: str
    password: str
    database: str
    secret: str
    command: str
    virtual_address: str
    """First argument of external checks: the address, or the mark."""
    virtual_port: int
    """Second argument; 0 for marks."""
    tls: TlsOptions = TlsOptions()
    service_written: bool = True
    """`service=` stands in the section; else the port told."""
    monitored: bool = False
    """There is a monitorfile."""
    strict: bool = False
    """compat=strict"""


def check_port(settings: CheckSettings, port: int) -> int:
    """`checkport`, else the real server's own port, else the service's (ldirectord-behaviour 4).

    Where ldirectord has no port at all the one of the virtual service is taken; 0: a mark has none.
    """
    return settings.check_port or port or SERVICE_PORTS.get(settings.service) or settings.virtual_port


def effective_request(settings: CheckSettings, own: str | None) -> str:
    """The request with a slash in front; one of the server itself that holds a whole URL stays as it is.

    An http_proxy request is a whole URL too, so nothing is put in front of it.
    """
    text = settings.request if own is None else own
    if not text:
        return "/"
    if own is not None and f"{settings.service}://" in own:
        return own
    if settings.service == "http_proxy" and "://" in text:
        return text
    return text if text.startswith("/") else f"/{text}"


def _shown_request(settings: CheckSettings, own: str | None) -> str:
    """As `effective_request`; what a proxy is asked for has a slash in front where ldirectord shows it."""
    request = effective_request(settings, own)
    return f"/{request}" if settings.service == "http_proxy" and not request.startswith("/") else request


def checker_for(
    settings: CheckSettings, address: str, port: int, request: str | None, receive: str | None
) -> CheckerSpec:
    """The one checker of a real server; `port` is the real server's own, before the kernel's port takes its place."""
    timing = CheckTiming(
        delay_loop_us=settings.interval_s * SECOND_US,
        warmup_us=0,
        retry=settings.failure_count - 1,
        delay_before_retry_us=settings.interval_s * SECOND_US,
        alpha=True,
        first_failure_counts=False,
    )
    return CheckerSpec(question=_question(settings, address, port, request, receive), timing=timing)


def _question(
    settings: CheckSettings, address: str, port: int, request: str | None, receive: str | None
) -> CheckQuestion:
    kind = settings.check_type
    target = SocketOptions(
        address=address, port=check_port(settings, port), timeout_us=settings.check_timeout_s * SECOND_US
    )
    if kind == "on":
        return OnCheck()
    if kind == "off":
        return OffCheck()
    if kind in {"external", "external-perl"}:
        # Scripts get IPv6 addresses as ldirectord writes them everywhere: in brackets.
        virtual_host, host = (f"[{each}]" if ":" in each else each for each in (settings.virtual_address, address))
        words = (virtual_host, str(settings.virtual_port), host, str(port))
        return ExternalCheck(
            command=settings.command,
            arguments=words,
            timeout_us=settings.check_timeout_s * SECOND_US,
            perl=kind == "external-perl",
            strict=settings.strict,
        )
    if kind == "ping" or (kind == "connect" and settings.protocol is Protocol.UDP):
        return PingCheck(
            socket=msgspec.structs.replace(target, port=0), attempts=settings.check_count, payload_size=_PING_PAYLOAD
        )
    if kind == "connect":
        return TcpCheck(socket=target) if target.port else OffCheck()
    if settings.service == "none" and not isinstance(kind, int):
        return _unnamed(settings, target)
    return _negotiate(settings, target, request, receive)


def _unnamed(settings: CheckSettings, target: SocketOptions) -> CheckQuestion:
    """No service is written and the port tells none: ldirectord asks nobody and the server never dies.

    Here its port must accept a connection, or its host answer a ping for UDP. `service=none` still asks nobody, and
    so does a firewall mark without a `service`: it may stand for any port and protocol.
    """
    if settings.service_written or settings.strict or settings.protocol is None or not target.port:
        return OnCheck()
    if settings.protocol is Protocol.UDP:
        return PingCheck(
            socket=msgspec.structs.replace(target, port=0), attempts=settings.check_count, payload_size=_PING_PAYLOAD
        )
    return TcpCheck(socket=target)


def _negotiate(
    settings: CheckSettings, target: SocketOptions, request: str | None, receive: str | None
) -> NegotiateCheck:
    limit_s = settings.negotiate_timeout_s
    if settings.service in LIMITED_BY_CHECKTIMEOUT:
        limit_s = settings.check_timeout_s
    return NegotiateCheck(
        socket=msgspec.structs.replace(target, timeout_us=limit_s * SECOND_US),
        service=settings.service,
        protocol="udp" if settings.protocol is Protocol.UDP else "tcp",
        request=effective_request(settings, request),
        receive=settings.receive if receive is None else receive,
        virtualhost=settings.virtualhost,
        httpmethod=settings.httpmethod,
        login=settings.login,
        password=settings.password,
        database=settings.database,
        secret=settings.secret,
        connects_between=settings.check_type if isinstance(settings.check_type, int) else 0,
        connect_timeout_us=settings.check_timeout_s * SECOND_US,
        tls=settings.tls if settings.service in WITH_TLS else TlsOptions(),
        strict=settings.strict,
    )


def monitor_words(
    settings: CheckSettings, server: RealServer, request: str | None, receive: str | None
) -> tuple[str, ...]:
    """What ldirectord's lines in the monitorfile call a check (ldirectord-behaviour 7.2)."""
    kind = settings.check_type
    words = {"negotiate": f"negotiate:{settings.service}", "external": f"external:{settings.command}"}
    if settings.service == "none" and not settings.service_written and not settings.strict:
        words["negotiate"] = "connect"
    words["external-perl"] = f"external-perl:{settings.command}"
    return (
        f"combined:{settings.service}" if isinstance(kind, int) else words.get(kind, kind),
        settings.protocol.name.lower() if settings.protocol else "fwm",
        f"[{server.address}]" if ":" in server.address else server.address,
        str(server.port),
        settings.virtualhost or "",
        str(settings.check_port or ""),
        str(server.weight),
        METHOD_NAMES[server.forwarding.method],
        _shown_request(settings, request),
        settings.receive if receive is None else receive,
    )

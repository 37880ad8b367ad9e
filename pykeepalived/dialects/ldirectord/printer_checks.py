"""The one check of a section, from the checkers of its real servers; what differs goes to their lines."""

from __future__ import annotations

from typing import Final

import msgspec

from pykeepalived.dialects.ldirectord.services import LIMITED_BY_CHECKTIMEOUT, SERVICE_OF_PORT, SERVICE_PORTS
from pykeepalived.model import (
    AddressSelector,
    CheckerSpec,
    ExternalCheck,
    NegotiateCheck,
    OffCheck,
    OnCheck,
    PingCheck,
    RealServer,
    TcpCheck,
    VirtualServer,
)

#: Services whose checks have a login of their own once `service` is written.
_WITH_LOGIN: Final = frozenset({"ftp", "sip"})
Key = tuple[str, int]


class SectionCheck(msgspec.Struct):
    """What the lines of a section say about checks."""

    directives: list[tuple[str, str, str | None]] = []
    """Name, text and the default that need not be written."""
    times: list[tuple[str, int]] = []
    """Name and duration in microseconds."""
    ports: dict[Key, int] = {}
    """The port on a server's line; 0: none."""
    pairs: dict[Key, tuple[str, str]] = {}
    """Request and receive on a server's line."""


def _key(server: RealServer) -> Key:
    return server.address, server.port


def check_of_section(found: VirtualServer) -> tuple[SectionCheck, list[str]]:
    """The check, and in words what a section has no words for."""
    check = SectionCheck(ports={_key(server): server.port for server in found.real_servers})
    problems: list[str] = []
    specs: dict[Key, CheckerSpec] = {}
    for server in found.real_servers:
        if not server.checkers:
            problems.append(f"{server.address} has no check; ldirectord.cf then takes it as always up")
            continue
        if len(server.checkers) > 1:
            problems.append(f"{server.address} has {len(server.checkers)} checks, the first one stays")
        specs[_key(server)] = server.checkers[0]
    first = next(iter(specs.values()), None)
    if first is None:
        check.directives.append(("checktype", "on", "negotiate"))
        return check, problems
    kinds = {type(spec.question) for spec in specs.values()}
    dead = [key for key, spec in specs.items() if isinstance(spec.question, OffCheck)]
    if kinds == {TcpCheck, OffCheck} and not any(port for _, port in dead):
        # A connect check of a firewall mark: servers without a port are dead.
        first = next(spec for spec in specs.values() if isinstance(spec.question, TcpCheck))
    elif len(kinds) > 1:
        problems.append("checks of several kinds in one section, the first one stays")
    _kind(check, found, first, specs, problems)
    _monitored(check, found, first)
    retries = {spec.timing.retry for spec in specs.values()}
    if len(retries) > 1:
        problems.append("retries that differ within a section, the first one stays")
    check.directives.append(("failurecount", str(first.timing.retry + 1), "1"))
    return check, problems


def _kind(
    check: SectionCheck, found: VirtualServer, first: CheckerSpec, specs: dict[Key, CheckerSpec], problems: list[str]
) -> None:
    question = first.question
    if isinstance(question, NegotiateCheck):
        _negotiate(check, found, question, specs, problems)
    elif isinstance(question, TcpCheck):
        check.directives.append(("checktype", "connect", None))
        check.times.append(("checktimeout", question.socket.timeout_us))
        # `service` means nothing to a connect check but the port of servers that have none.
        odd = {port for key, spec in specs.items() if (port := _port_of(spec)) is not None and port != key[1]}
        service = SERVICE_OF_PORT.get(min(odd), "none") if len(odd) == 1 else "none"
        if service != "none" and (len({_port_of(spec) for spec in specs.values()}) > 1 or _unnamed(found, min(odd))):
            check.directives.append(("service", service, None))
        _ports(check, found, service, specs, problems)
    elif isinstance(question, PingCheck):
        # A connect check of a UDP service pings.
        check.directives += [("checktype", _called(found) or "ping", None), ("checkcount", str(question.attempts), "1")]
        check.times.append(("checktimeout", question.socket.timeout_us))
    elif isinstance(question, ExternalCheck):
        check.directives.append(("checktype", "external-perl" if question.perl else "external", None))
        check.directives.append(("checkcommand", question.command, None))
        check.times.append(("checktimeout", question.timeout_us))
        for key, spec in specs.items():
            if isinstance(spec.question, ExternalCheck):
                check.ports[key] = int(spec.question.arguments[3])
    elif isinstance(question, OnCheck | OffCheck):
        _constant(check, found, isinstance(question, OnCheck))
    else:
        problems.append(f"check `{question.__struct_config__.tag}`")
        check.directives.append(("checktype", "on", None))


def _called(found: VirtualServer) -> str:
    """What the monitorfile calls the kind of check, without service or command; empty: there is no monitorfile."""
    return next(
        (server.monitor_words[0].partition(":")[0] for server in found.real_servers if server.monitor_words), ""
    )


def _constant(check: SectionCheck, found: VirtualServer, up: bool) -> None:
    """A check that asks nobody: `on`, `off`, or what comes to the same and is called otherwise in the monitorfile."""
    called = _called(found)
    if up and called == "negotiate":
        check.directives.append(("service", "none", None))
    if up and called == "connect":
        # No service is written, and nothing tells one.
        called = "negotiate"
    check.directives.append(("checktype", called or ("on" if up else "off"), None))


def _monitored(check: SectionCheck, found: VirtualServer, first: CheckerSpec) -> None:
    """Directives that mean nothing to the check and stand in the monitorfile all the same."""
    words = {_key(server): server.monitor_words for server in found.real_servers if server.monitor_words}
    if not words:
        return
    ports = {given[5] for given in words.values()}
    if ports != {""} and not any(name == "checkport" for name, _, _ in check.directives):
        check.directives.append(("checkport", ports.pop(), None))
    if isinstance(first.question, NegotiateCheck):
        return
    asked = {given[8:] for given in words.values()}
    request, receive = next(iter(asked))
    if len(asked) == 1 and request.startswith("/"):
        check.directives.append(("request", f'"{request}"', '"/"'))
        check.directives += [("receive", f'"{receive}"', None)] if receive else []
        return
    check.pairs = {key: (given[8], given[9]) for key, given in words.items()}
    told = next((name for name in SERVICE_PORTS for asks, _ in asked if asks[0] != "/" and f"{name}://" in asks), None)
    if told is not None and not any(name == "service" for name, _, _ in check.directives):
        # Only to its own service a whole address is one.
        check.directives.append(("service", told, None))


def _negotiate(
    check: SectionCheck,
    found: VirtualServer,
    first: NegotiateCheck,
    specs: dict[Key, CheckerSpec],
    problems: list[str],
) -> None:
    port = found.selector.port if isinstance(found.selector, AddressSelector) else 0
    by_port = SERVICE_OF_PORT.get(port) == first.service
    # Written out, ftp and sip get a login; without one the port must have told the service.
    if not (by_port and (first.service not in _WITH_LOGIN or not first.login)):
        check.directives.append(("service", first.service, None))
    kind = str(first.connects_between) if first.connects_between else "negotiate"
    check.directives.append(("checktype", kind, None))
    questions = {key: spec.question for key, spec in specs.items() if isinstance(spec.question, NegotiateCheck)}
    asked = {(question.request, question.receive) for question in questions.values()}
    plain = first.request.startswith("/") or (first.service == "http_proxy" and "://" in first.request)
    if len(asked) == 1 and plain:
        check.directives.append(("request", f'"{first.request}"', '"/"'))
        if first.receive:
            check.directives.append(("receive", f'"{first.receive}"', None))
    else:
        check.pairs = {key: (question.request, question.receive) for key, question in questions.items()}
    check.directives.append(("httpmethod", first.httpmethod, "GET"))
    for name, text in (
        ("login", first.login), ("passwd", first.password), ("database", first.database), ("secret", first.secret),
    ):  # fmt: skip
        if text:
            check.directives.append((name, f'"{text}"', None))
    tls = first.tls
    check.directives.append(("tlsverify", "yes" if tls.verify else "no", "no"))
    for name, path in (
        ("tlsca", tls.ca_file), ("tlscert", tls.certificate_file), ("tlskey", tls.key_file),
        ("tlsservername", tls.server_name),
    ):  # fmt: skip
        if path:
            check.directives.append((name, f'"{path}"', None))
    check.times.append(("checktimeout", first.connect_timeout_us))
    if first.service not in LIMITED_BY_CHECKTIMEOUT:
        check.times.append(("negotiatetimeout", first.socket.timeout_us))
    _ports(check, found, first.service, specs, problems)


def _port_of(spec: CheckerSpec) -> int | None:
    """Where a check connects; None: it does not."""
    return spec.question.socket.port if isinstance(spec.question, NegotiateCheck | TcpCheck) else None


def _unnamed(found: VirtualServer, port: int) -> bool:
    """The words for the monitorfile, which hold a written `checkport`, do not hold this one."""
    return any(server.monitor_words and server.monitor_words[5] != str(port) for server in found.real_servers)


def _ports(
    check: SectionCheck, found: VirtualServer, service: str, specs: dict[Key, CheckerSpec], problems: list[str]
) -> None:
    """Where the checks connect: the server's own port, one `checkport` for all, or no port on the server's line."""
    wanted = {key: port for key, spec in specs.items() if (port := _port_of(spec)) is not None}
    for key, spec in specs.items():
        if isinstance(spec.question, NegotiateCheck | TcpCheck) and spec.question.socket.address != key[0]:
            problems.append(f"the check of {key[0]} connects to {spec.question.socket.address}")
    if all(port == key[1] for key, port in wanted.items()):
        return
    own = found.selector.port if isinstance(found.selector, AddressSelector) else 0
    if len(set(wanted.values())) == 1 and not _unnamed(found, next(iter(wanted.values()))):
        check.directives.append(("checkport", str(next(iter(wanted.values()))), None))
        return
    for key, port in wanted.items():
        if port == key[1]:
            continue
        if key[1] == own and port == (SERVICE_PORTS.get(service) or own):
            check.ports[key] = 0
        else:
            problems.append(f"the check of {key[0]} connects to port {port}")

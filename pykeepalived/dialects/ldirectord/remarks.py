"""Traps: what ldirectord takes without a word and what hardly anybody means. All of it is taken here too, and said."""

from __future__ import annotations

from typing import Final

from pykeepalived.checkers.registry import unavailable
from pykeepalived.diagnostics import Label, Severity, Span
from pykeepalived.dialects.ldirectord.addresses import Header, RealAddress
from pykeepalived.dialects.ldirectord.readers import near_word
from pykeepalived.dialects.ldirectord.realline import RealOptions
from pykeepalived.dialects.ldirectord.report import Reporter, quote
from pykeepalived.dialects.ldirectord.scan import Statement
from pykeepalived.dialects.ldirectord.services import DATABASES, IGNORES_RECEIVE
from pykeepalived.dialects.ldirectord.values import Found, Places, Values
from pykeepalived.model.checks import NegotiateCheck, OffCheck
from pykeepalived.model.lvs import FwmarkSelector, Protocol, RealServer, VirtualServer
from pykeepalived.patterns import PatternError, compile_pattern

_SCHEDULERS: Final = frozenset(
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf", "twos"]
)


def on_header(places: Places, statement: Statement, header: Header) -> None:
    value, report = statement.value, places.report
    rest = value[header.end :]
    if header.mark is not None and rest[:1] in {".", ":"}:
        dotted = value[: len(value) - len(value.lstrip("0123456789."))]
        report.warning(
            "address-as-mark",
            f"an address without a port is read as firewall mark {header.mark}",
            places.value(statement, 0, len(value.rstrip())),
            help_text=f"write `{statement.name}={dotted}:PORT`",
        )
    elif rest.strip() and not rest.lstrip().startswith("#"):
        text = f"`{quote(rest)}` is not looked at"
        report.warning("ignored-text", text, places.value(statement, header.end, len(value.rstrip())))
    if header.mark == 0:
        report.warning("mark-zero", "no packet has the firewall mark 0", places.value(statement, 0, header.end))


def on_real_line(
    places: Places, statement: Statement, address: RealAddress, options: RealOptions, ports: tuple[int, int]
) -> None:
    """`ports`: the real server's own and the virtual service's, 0 for none."""
    report = places.report
    port, service_port = ports
    if address.start > 0:
        report.warning(
            "floating-address",
            f"`{quote(address.first)}` is taken as the address, what stands before it is dropped",
            places.value(statement, 0, address.address_end),
        )
    if not service_port:
        return
    end = address.address_end
    if options.method == "masq" and not port:
        text = f"no port: the port {service_port} of the virtual service is taken"
        report.warning("real-without-port", text, places.value(statement, address.start, end))
    elif options.method != "masq" and port not in {0, service_port}:
        report.warning(
            "port-not-translated",
            f"{options.method} keeps the port of the virtual service: {port} is only where checks connect to",
            places.value(statement, end - len(address.port_text), end),
        )


def on_duplicate_real(places: Places, statement: Statement, first: Statement, server: RealServer) -> None:
    places.report.add(
        Severity.WARNING,
        "duplicate-real-server",
        f"{server.address}:{server.port} stands in this section already, this line is not used",
        places.value(statement),
        secondary=(Label(places.value(first), "first here"),),
    )


def on_global_fallback_of_mark(report: Reporter, places: Places, header: Statement, name: str) -> None:
    report.warning(
        "fallback-of-mark",
        f"the global `{name}` does not count for a firewall mark",
        places.value(header),
        help_text=f"write `{name}` into the section",
    )


def on_unknown_flag(report: Reporter, places: Places, found: Found, word: str, known: tuple[str, ...]) -> None:
    text = f"`{quote(word)}` is no flag of a scheduler and is not used"
    report.warning("unknown-flag", text, places.value(found.statement), help_text=near_word(word, known))


def on_section(report: Reporter, places: Places, values: Values, header: Statement, server: VirtualServer) -> None:
    """Everything that shows only when the section is complete."""
    ends_file = header.line == len(report.lines)  # an error of its own
    if not server.real_servers and not values.all("real", "real6") and not ends_file:
        report.warning("no-real-server", "a virtual service without a real server", places.value(header))
    scheduler = values.get("scheduler")
    if scheduler and scheduler.value not in _SCHEDULERS:
        text = f"`{scheduler.value}` is no scheduler of Linux"
        help_text = near_word(scheduler.value, sorted(_SCHEDULERS))
        report.warning("unknown-scheduler", text, places.value(scheduler.statement), help_text=help_text)
    persistent, netmask = values.get("persistent"), values.get("netmask")
    if persistent and not persistent.value:
        text = "0 seconds: the service is not persistent"
        report.warning("persistent-zero", text, places.value(persistent.statement))
    if netmask and not server.persistence_timeout_s and server.persistence_prefix is not None:
        text = "`netmask` counts together with `persistent` only"
        report.warning("netmask-without-persistent", text, places.name(netmask.statement))
    ops = values.get("ops")
    if ops and ops.value and server.protocol is not Protocol.UDP:
        report.warning("ops-without-udp", "`ops` counts for UDP only", places.name(ops.statement))
    port_zero = not isinstance(server.selector, FwmarkSelector) and getattr(server.selector, "port", 1) == 0
    if port_zero and not server.persistence_timeout_s:
        text = "port 0 stands for all ports and needs `persistent`"
        report.warning("port-zero", text, places.value(header))
    _on_checks(report, places, values, header, server)


def _on_checks(report: Reporter, places: Places, values: Values, header: Statement, server: VirtualServer) -> None:
    questions = [spec.question for real in server.real_servers for spec in real.checkers]
    if not questions:
        return
    question = questions[0]
    reason = unavailable(question)
    service = values.get("service")
    place = places.value((service or values.get("checktype") or Found("", header)).statement)
    if reason is not None:
        what = f"service {question.service}" if isinstance(question, NegotiateCheck) else "this check type"
        text = f"checks of {what} are known and have no effect yet: the real servers count as dead"
        report.warning("no-effect-yet", text, place)
    check_type = values.get("checktype")
    if isinstance(question, OffCheck) and check_type and check_type.value == "connect":
        text = "nothing to connect to: no port, so the real servers count as dead"
        report.warning("no-check-port", text, places.value(check_type.statement), help_text="write `checkport`")
    if isinstance(question, NegotiateCheck):
        _on_negotiate(report, places, values, question, place)


def _on_negotiate(
    report: Reporter, places: Places, values: Values, question: NegotiateCheck, place_of_service: Span
) -> None:
    receive = values.get("receive")
    service = question.service
    if receive and service in IGNORES_RECEIVE:
        text = f"a check of {service} does not look at `receive`"
        report.warning("receive-not-used", text, places.name(receive.statement))
    elif receive:
        problem = pattern_problem(str(receive.value))
        if problem:
            text = f"not a regular expression, so no answer can match: {problem}"
            report.warning("bad-pattern", text, places.value(receive.statement))
    never_fails = None
    if question.strict and service in {"pop", "pops"} and not question.login:
        never_fails = "without `login` the result of a pop check is not tested: the real servers never die"
    elif question.strict and service == "ftp" and not question.receive:
        never_fails = "without `receive` the result of an ftp check is not tested: the real servers never die"
    if never_fails:
        report.warning("check-never-fails", never_fails, place_of_service)
    if service in DATABASES and (not question.login or values.get("request") is None):
        text = f"a check of {service} needs `login` and `request`: without them the real servers count as dead"
        report.warning("check-incomplete", text, place_of_service)


def pattern_problem(pattern: str) -> str | None:
    """Why a pattern cannot be searched for, or None."""
    compiled = compile_pattern(pattern.encode("utf-8", "surrogateescape"))
    return compiled.message if isinstance(compiled, PatternError) else None

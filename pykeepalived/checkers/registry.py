"""Every check there is: how to hold its conversation and how long that may take.

The list is explicit. A question that is not in it, and a service of ldirectord that is not in `negotiate.SERVICES`, is
a conversation that fails with the reason `not-available`; `unavailable` tells a loader so beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from pykeepalived.checkers.constant import not_available, off, on
from pykeepalived.checkers.conversation import Conversation
from pykeepalived.checkers.dns import dns
from pykeepalived.checkers.grpc import grpc
from pykeepalived.checkers.http import http, http_limit_us
from pykeepalived.checkers.http import unavailable as http_unavailable
from pykeepalived.checkers.http2 import unavailable as http2_unavailable
from pykeepalived.checkers.misc import PROGRAM_GRACE_US, external, misc
from pykeepalived.checkers.negotiate import negotiate, negotiate_limit_us
from pykeepalived.checkers.negotiate import unavailable as negotiate_unavailable
from pykeepalived.checkers.ping import ping, ping_limit_us
from pykeepalived.checkers.smtp import smtp
from pykeepalived.checkers.tcp import tcp
from pykeepalived.checkers.udp import udp
from pykeepalived.model.checks import (
    CheckerSpec,
    CheckQuestion,
    DnsCheck,
    ExternalCheck,
    GrpcCheck,
    HttpCheck,
    MiscCheck,
    NegotiateCheck,
    OffCheck,
    OnCheck,
    PingCheck,
    SmtpCheck,
    TcpCheck,
    UdpCheck,
)
from pykeepalived.units import SECOND_US


class Start(NamedTuple):
    """Where a conversation of a question begins."""

    position: int = 0
    """`Outcome.position` of the conversation before; 0 at first."""
    recovering: bool = False
    """Somebody who asks holds the server for down."""


class Checker(NamedTuple):
    """One row of the list."""

    converse: Callable[[Any, Start], Conversation]
    limit_us: Callable[[Any], int]


def _socket_limit(question: Any) -> int:
    limit_us: int = question.socket.timeout_us
    return limit_us


def _program_limit(question: MiscCheck | ExternalCheck) -> int:
    return question.timeout_us + PROGRAM_GRACE_US


def _no_time(question: object) -> int:
    return SECOND_US


CHECKERS: Final[dict[type[CheckQuestion], Checker]] = {
    HttpCheck: Checker(lambda check, start: http(check, start.position, start.recovering), http_limit_us),
    GrpcCheck: Checker(lambda check, start: grpc(check), _socket_limit),
    TcpCheck: Checker(lambda check, start: tcp(check), _socket_limit),
    SmtpCheck: Checker(lambda check, start: smtp(check), _socket_limit),
    UdpCheck: Checker(lambda check, start: udp(check), lambda check: _socket_limit(check) + SECOND_US),
    PingCheck: Checker(lambda check, start: ping(check), lambda check: ping_limit_us(check) + SECOND_US),
    MiscCheck: Checker(lambda check, start: misc(check), _program_limit),
    ExternalCheck: Checker(lambda check, start: external(check), _program_limit),
    DnsCheck: Checker(lambda check, start: dns(check), lambda check: _socket_limit(check) + SECOND_US),
    NegotiateCheck: Checker(lambda check, start: negotiate(check, start.position), negotiate_limit_us),
    OnCheck: Checker(lambda check, start: on(), _no_time),
    OffCheck: Checker(lambda check, start: off(), _no_time),
}


def unavailable(question: CheckQuestion) -> str | None:
    """Why this check cannot be made by a conversation, or None when it can."""
    if type(question) not in CHECKERS:
        return f"{question.__struct_config__.tag} check is not asked by conversation"
    if isinstance(question, HttpCheck):
        return http_unavailable(question)
    if isinstance(question, GrpcCheck):
        return http2_unavailable()
    if isinstance(question, NegotiateCheck):
        return negotiate_unavailable(question)
    return None


def converse(question: CheckQuestion, start: Start = Start()) -> Conversation:  # noqa: B008 - immutable
    """The conversation that answers a question. Never raises."""
    checker = CHECKERS.get(type(question))
    if checker is None:
        return not_available(f"{question.__struct_config__.tag} check is not asked by conversation")
    return checker.converse(question, start)


def limit_us(question: CheckQuestion) -> int:
    """The longest that a conversation of this question may take as a whole."""
    checker = CHECKERS.get(type(question))
    return SECOND_US if checker is None else checker.limit_us(question)


def down_pause_at_least_us(spec: CheckerSpec) -> int:
    """HTTP_GET pauses max(delay_before_retry, delay_loop) while the server is down (keepalived-behaviour 11.1)."""
    return spec.timing.delay_before_retry_us if isinstance(spec.question, HttpCheck) else 0

"""ldirectord's `negotiate`: one row per service (ldirectord-behaviour 5), and `N`, which mixes in plain connects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from pykeepalived.checkers.constant import not_available, on
from pykeepalived.checkers.conversation import Connect, Conversation, Outcome
from pykeepalived.checkers.negotiate_client import ldap, radius, sql
from pykeepalived.checkers.negotiate_dns import dns_lookup
from pykeepalived.checkers.negotiate_ftp import ftp
from pykeepalived.checkers.negotiate_http import web
from pykeepalived.checkers.negotiate_mail import IMAP_PAUSE_US, imap, mail, pop
from pykeepalived.checkers.negotiate_text import nntp, simpletcp, sip
from pykeepalived.model.checks import NegotiateCheck

SERVICES: Final[dict[str, Callable[[NegotiateCheck], Conversation]]] = {
    "http": web,
    "https": web,
    "http_proxy": web,
    "ftp": ftp,
    "smtp": mail,
    "submission": mail,
    "pop": pop,
    "pops": pop,
    "imap": imap,
    "imaps": imap,
    "nntp": nntp,
    "simpletcp": simpletcp,
    "sip": sip,
    "dns": dns_lookup,
    "none": lambda check: on(),
    "mysql": sql,
    "pgsql": sql,
    "oracle": sql,
    "ldap": ldap,
    "ldaps": ldap,
    "radius": radius,
}


def unavailable(check: NegotiateCheck) -> str | None:
    """Why the service cannot be checked here, or None."""
    if check.service not in SERVICES:
        return f"negotiate check of service {check.service} is not available"
    return None


def negotiate_limit_us(check: NegotiateCheck) -> int:
    """The limit of one check as a whole; the second attempt of a strict imap check comes on top of the first."""
    second = check.strict and check.service in {"imap", "imaps"}
    return check.socket.timeout_us + (IMAP_PAUSE_US + check.socket.timeout_us if second else 0)


def negotiate(check: NegotiateCheck, position: int) -> Conversation:
    """One check; `position` counts the plain connects that are still to come before the next negotiation.

    A failed connect makes the next check negotiate, and a failed negotiation is repeated.
    """
    if position > 0:
        return _connect(check, position)
    conversation = SERVICES.get(check.service)
    if conversation is None:
        return not_available(f"negotiate check of service {check.service} is not available")
    return _negotiate(check, conversation(check))


def _connect(check: NegotiateCheck, position: int) -> Conversation:
    yield Connect(options=check.socket, timeout_us=check.connect_timeout_us)
    return Outcome(True, "TCP connection success", position=position - 1)


def _negotiate(check: NegotiateCheck, conversation: Conversation) -> Conversation:
    outcome = yield from conversation
    if outcome.ok and check.connects_between:
        return msgspec.structs.replace(outcome, position=check.connects_between)
    return outcome

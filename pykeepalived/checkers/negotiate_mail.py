"""ldirectord's smtp, submission, pop, pops, imap and imaps."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator

from pykeepalived.checkers.conversation import (
    Command,
    Connect,
    Conversation,
    ConversationError,
    FailureKind,
    Outcome,
    Pause,
    Reply,
    Send,
)
from pykeepalived.checkers.dialogue import ask, line, quote, read_line, read_reply, start_tls
from pykeepalived.model.checks import NegotiateCheck
from pykeepalived.units import SECOND_US

_HELLO = "localhost.localdomain"
_TIMESTAMP = re.compile(rb"<[^<>\s]{1,512}>")
#: Before a second attempt, as ldirectord's client makes one.
IMAP_PAUSE_US = 5 * SECOND_US
_UNTESTED = Outcome(True, "no login is configured, so the result is not tested", "untested")


def mail(check: NegotiateCheck) -> Conversation:
    """smtp, submission: greeting 2xx, EHLO or HELO accepted, QUIT."""
    yield Connect(options=check.socket)
    code, text = yield from read_reply("greeting")
    if code // 100 != 2:
        return Outcome(False, f"greeting is {code} {quote(text)}", "smtp-status")
    code, text = yield from ask(f"EHLO {_HELLO}")
    if code // 100 != 2:
        code, text = yield from ask(f"HELO {_HELLO}")
        if code // 100 != 2:
            return Outcome(False, f"answer to HELO is {code} {quote(text)}", "smtp-status")
    yield Send(line("QUIT"))
    return Outcome(True, "SMTP server succeed")


def pop(check: NegotiateCheck) -> Conversation:
    """pop, pops: with a login, authentication must succeed; without one the greeting must be well (RFC 1939).

    ldirectord tests nothing without a login: any answer is success, even none (compat=strict).
    """
    if check.login:
        return (yield from _pop_login(check))
    try:
        greeting = yield from _pop_greeting(check)
    except ConversationError as error:
        if not check.strict:
            raise
        return Outcome(True, f"{_UNTESTED.text} ({error.text})", _UNTESTED.reason)
    if check.strict:
        yield Send(line("QUIT"))
        return _UNTESTED
    if not greeting.startswith(b"+OK"):
        return Outcome(False, f"greeting is {quote(greeting)}", "pop-status")
    yield Send(line("QUIT"))
    return Outcome(True, f"greeting is {quote(greeting)}")


def _pop_greeting(check: NegotiateCheck) -> Generator[Command, Reply, bytes]:
    yield Connect(options=check.socket)
    if check.service == "pops":
        yield start_tls(check.tls)
    return (yield from read_line("greeting"))


def _pop_login(check: NegotiateCheck) -> Conversation:
    greeting = yield from _pop_greeting(check)
    if not greeting.startswith(b"+OK"):
        return Outcome(False, f"greeting is {quote(greeting)}", "pop-status")
    stamp = _TIMESTAMP.search(greeting)
    if stamp is not None:
        # APOP, RFC 1939 section 7.
        secret = stamp[0] + check.password.encode("utf-8", "surrogateescape")
        digest = hashlib.md5(secret, usedforsecurity=False).hexdigest()
        yield Send(line(f"APOP {check.login} {digest}"))
        if (yield from read_line("APOP")).startswith(b"+OK"):
            yield Send(line("QUIT"))
            return Outcome(True, "logged in")
    yield Send(line(f"USER {check.login}"))
    answer = yield from read_line("USER")
    if answer.startswith(b"+OK"):
        yield Send(line(f"PASS {check.password}"))
        answer = yield from read_line("PASS")
    if not answer.startswith(b"+OK"):
        return Outcome(False, f"login refused: {quote(answer)}", "login")
    yield Send(line("QUIT"))
    return Outcome(True, "logged in")


def imap(check: NegotiateCheck) -> Conversation:
    """imap, imaps: a good greeting, and with a login an accepted LOGIN (RFC 3501 sections 6.2.3 and 7.1).

    ldirectord takes any greeting, and tries a connection that failed once more after a pause (compat=strict).
    """
    greeting = yield from _imap_greeting(check)
    if not check.strict and not greeting.upper().startswith((b"* OK", b"* PREAUTH")):
        return Outcome(False, f"greeting is {quote(greeting)}", "imap-status")
    if not check.login:
        yield Send(line("0 LOGOUT"))
        return Outcome(True, f"greeting is {quote(greeting)}")
    yield Send(line(f"0 LOGIN {_quoted(check.login)} {_quoted(check.password)}"))
    # Untagged lines may come before the answer; a server that sends nothing else ends at the check's time limit.
    while True:
        answer = yield from read_line("LOGIN")
        if answer.startswith(b"0 "):
            break
    if not answer.upper().startswith(b"0 OK"):
        return Outcome(False, f"login refused: {quote(answer)}", "login")
    yield Send(line("1 LOGOUT"))
    return Outcome(True, "logged in")


def _imap_greeting(check: NegotiateCheck) -> Generator[Command, Reply, bytes]:
    try:
        yield Connect(options=check.socket)
    except ConversationError as error:
        if not check.strict or error.kind is FailureKind.TIMEOUT:
            raise
        yield Pause(IMAP_PAUSE_US)
        yield Connect(options=check.socket)
    if check.service == "imaps":
        yield start_tls(check.tls)
    return (yield from read_line("greeting"))


def _quoted(text: str) -> str:
    """A quoted string (RFC 3501 section 9)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

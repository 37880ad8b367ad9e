"""ldirectord's ftp: log in, fetch one file, match it. With `receive` only the file counts, as in ldirectord.

Without `receive` ldirectord's check cannot fail. Here the login must be accepted, and so must the file when `request`
names one; compat=strict brings the old way back.

Passive mode, and active mode where the server refuses it. A data connection goes to the server that is being checked,
whatever address its answer names, and comes from nobody else: a hostile server must not be able to aim our connections
at somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Generator

import msgspec

from pykeepalived.checkers.conversation import (
    Accept,
    Command,
    Connect,
    Conversation,
    ConversationError,
    FailureKind,
    Listen,
    Outcome,
    Receive,
    Reply,
    Send,
    Swap,
)
from pykeepalived.checkers.dialogue import ask, line, quote, read_reply
from pykeepalived.checkers.receive import ReceiveSearch
from pykeepalived.model.checks import NegotiateCheck

_PASV = re.compile(rb"\d+,\d+,\d+,\d+,(\d{1,3}),(\d{1,3})")
_EPSV = re.compile(rb"\(([!-~])\1\1(\d{1,5})\1\)")
_UNTESTED = "receive is empty, so the result is not tested"


def ftp(check: NegotiateCheck) -> Conversation:
    """The service's conversation (ldirectord-behaviour 5)."""
    untested = check.strict and not check.receive
    try:
        outcome = yield from _session(check)
    except ConversationError as error:
        if not untested:
            raise
        return Outcome(True, f"{_UNTESTED} ({error.text})", "untested")
    return Outcome(True, _UNTESTED, "untested") if untested else outcome


def _session(check: NegotiateCheck) -> Conversation:
    yield Connect(options=check.socket)
    code, text = yield from read_reply("greeting")
    if code // 100 != 2:
        return Outcome(False, f"greeting is {code} {quote(text)}", "ftp-status")
    code, text = yield from ask(f"USER {check.login or 'anonymous'}")
    if code == 331:
        code, text = yield from ask(f"PASS {check.password or 'anonymous@'}", "PASS")
    if not check.receive:
        if code // 100 != 2:
            return Outcome(False, f"login refused: {code} {quote(text)}", "login")
        if not check.request.strip("/"):
            yield Send(line("QUIT"))
            return Outcome(True, "logged in")
    yield from ask("CWD /")
    yield from ask("TYPE I")
    return (yield from _fetch(check))


def _fetch(check: NegotiateCheck) -> Conversation:
    port = yield from _passive_port(":" in check.socket.address)
    if port:
        yield Swap()
        yield Connect(options=msgspec.structs.replace(check.socket, port=port, bind_port=0))
        yield Swap()
    else:
        yield from _active_port(":" in check.socket.address)
    yield Send(line(f"RETR {check.request}"))
    code, text = yield from read_reply("RETR")
    if code // 100 != 1:
        return Outcome(False, f"answer to RETR is {code} {quote(text)}", "ftp-status")
    if not port:
        yield Accept()
    yield Swap()
    outcome = yield from _file(check)
    yield Swap()
    yield Send(line("QUIT"))
    return outcome


def _active_port(ipv6: bool) -> Generator[Command, Reply, None]:
    """PORT (RFC 959), or EPRT (RFC 2428) where the address is IPv6."""
    name = yield Listen()
    assert isinstance(name, bytes)
    address, port = name.decode("ascii").split()
    number = int(port)
    comma_form = f"{address.replace('.', ',')},{number >> 8},{number & 255}"
    code, text = yield from ask(f"EPRT |2|{address}|{port}|" if ipv6 else f"PORT {comma_form}")
    if code // 100 != 2:
        raise ConversationError(FailureKind.CLOSED, f"neither passive nor active mode: {code} {quote(text)}")


def _passive_port(ipv6: bool) -> Generator[Command, Reply, int]:
    """PASV (RFC 959), or EPSV (RFC 2428) where the address is IPv6. 0: the server does not want to."""
    code, text = yield from ask("EPSV" if ipv6 else "PASV")
    if ipv6:
        found = _EPSV.search(text)
        port = int(found[2]) if found else 0
    else:
        found = _PASV.search(text)
        port = int(found[1]) * 256 + int(found[2]) if found else 0
    return port if code // 100 == 2 and 0 < port < 65536 else 0


def _file(check: NegotiateCheck) -> Conversation:
    search = ReceiveSearch(check.receive)
    while True:
        data = yield Receive()
        assert isinstance(data, bytes)
        if not data:
            return (yield from search.judge())
        failure = yield from search.take(data)
        if failure is not None:
            return failure

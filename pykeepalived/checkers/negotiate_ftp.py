"""ldirectord's ftp: log in, fetch one file, match it. Only the file counts; the steps before it are not judged.

Passive mode only. The data connection goes to the server that is being checked, whatever address its answer names: a
hostile server must not be able to aim our connections at somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Generator

import msgspec

from pykeepalived.checkers.conversation import (
    Command,
    Connect,
    Conversation,
    ConversationError,
    FailureKind,
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
    """An empty receive matches whatever happens: always up (ldirectord-behaviour 5)."""
    try:
        outcome = yield from _fetch(check)
    except ConversationError as error:
        if check.receive:
            raise
        return Outcome(True, f"{_UNTESTED} ({error.text})", "untested")
    return outcome if check.receive else Outcome(True, _UNTESTED, "untested")


def _fetch(check: NegotiateCheck) -> Conversation:
    yield Connect(options=check.socket)
    code, text = yield from read_reply("greeting")
    if code // 100 != 2:
        return Outcome(False, f"greeting is {code} {quote(text)}", "ftp-status")
    code, _ = yield from ask(f"USER {check.login or 'anonymous'}")
    if code == 331:
        yield from ask(f"PASS {check.password or 'anonymous@'}", "PASS")
    yield from ask("CWD /")
    yield from ask("TYPE I")
    port = yield from _passive_port(":" in check.socket.address)
    yield Swap()
    yield Connect(options=msgspec.structs.replace(check.socket, port=port, bind_port=0))
    yield Swap()
    yield Send(line(f"RETR {check.request}"))
    code, text = yield from read_reply("RETR")
    if code // 100 != 1:
        return Outcome(False, f"answer to RETR is {code} {quote(text)}", "ftp-status")
    yield Swap()
    outcome = yield from _file(check)
    yield Swap()
    yield Send(line("QUIT"))
    return outcome


def _passive_port(ipv6: bool) -> Generator[Command, Reply, int]:
    """PASV (RFC 959), or EPSV (RFC 2428) where the address is IPv6."""
    code, text = yield from ask("EPSV" if ipv6 else "PASV")
    if ipv6:
        found = _EPSV.search(text)
        port = int(found[2]) if found else 0
    else:
        found = _PASV.search(text)
        port = int(found[1]) * 256 + int(found[2]) if found else 0
    if code // 100 != 2 or not 0 < port < 65536:
        raise ConversationError(FailureKind.CLOSED, f"no passive mode: {code} {quote(text)}")
    return port


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

"""ldirectord's simpletcp, nntp and sip: little more than a line out and a line in."""

from __future__ import annotations

from collections.abc import Generator

from pykeepalived.checkers.conversation import (
    Command,
    Connect,
    Conversation,
    Exchange,
    Outcome,
    RandomBytes,
    Receive,
    ReceiveLine,
    Reply,
    Send,
    ShutdownSending,
)
from pykeepalived.checkers.dialogue import quote
from pykeepalived.checkers.receive import text_matches
from pykeepalived.model.checks import NegotiateCheck


def simpletcp(check: NegotiateCheck) -> Conversation:
    r"""Send the request (first slash dropped, `\n` as a newline), stop sending, and match one line of the answer."""
    request = check.request.removeprefix("/").replace("\\n", "\n").encode("utf-8", "surrogateescape")
    if check.protocol == "udp":
        answer = yield from _exchange(check, request)
        lines = (answer or b"").splitlines(keepends=True)
        return (yield from _any_line(check, lines)) if answer else Outcome(False, "no answer", "timeout")
    yield Connect(options=check.socket)
    yield Send(request)
    yield ShutdownSending()
    outcome = Outcome(False, "no answer", "closed")
    while not outcome.ok:
        line = yield ReceiveLine(65536)
        assert isinstance(line, bytes)
        if not line:
            break
        outcome = yield from text_matches(check.receive, line)
    return outcome


def _any_line(check: NegotiateCheck, lines: list[bytes]) -> Conversation:
    outcome = Outcome(False, "Response mismatch", "receive")
    for line in lines:
        outcome = yield from text_matches(check.receive, line)
        if outcome.ok:
            break
    return outcome


def nntp(check: NegotiateCheck) -> Conversation:
    """The greeting's first byte is a `2`."""
    yield Connect(options=check.socket)
    data = yield Receive(512)
    assert isinstance(data, bytes)
    if not data:
        return Outcome(False, "connection closed before the greeting", "closed")
    return Outcome(True, "greeting") if data[:1] == b"2" else Outcome(False, f"greeting is {quote(data)}", "status")


def sip(check: NegotiateCheck) -> Conversation:
    """OPTIONS answered with 200 (RFC 3261 section 11)."""
    unique = yield RandomBytes(12)
    assert isinstance(unique, bytes)
    host = f"[{check.socket.address}]" if ":" in check.socket.address else check.socket.address
    text = (
        f"OPTIONS sip:{check.login} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {host};branch=z9hG4bKhjhs8ass877\r\n"
        "Max-Forwards: 70\r\n"
        f"To: <sip:{check.login}>\r\n"
        f"From: <sip:{check.login}>;tag=1928301774\r\n"
        f"Call-ID: {unique.hex()}\r\n"
        "CSeq: 63104 OPTIONS\r\n"
        f"Contact: <sip:{check.login}>\r\n"
        "Accept: application/sdp\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode("utf-8", "surrogateescape")
    if check.protocol == "tcp":
        yield Connect(options=check.socket)
        yield Send(text)
        line = yield ReceiveLine()
        assert isinstance(line, bytes)
    else:
        line = (yield from _exchange(check, text)) or b""
    if not line:
        return Outcome(False, "no answer", "closed" if check.protocol == "tcp" else "timeout")
    first, _, _ = line.partition(b"\r")
    ok = first.startswith(b"SIP/2.0 200 OK")
    return Outcome(ok, f"answer is {quote(first)}", "" if ok else "status")


def _exchange(check: NegotiateCheck, data: bytes) -> Generator[Command, Reply, bytes | None]:
    answer = yield Exchange(options=check.socket, data=data, timeout_us=check.socket.timeout_us)
    return answer if isinstance(answer, bytes) else None

"""ldirectord's dns: a name is asked for, and an address (or for an address its name) must match `receive`."""

from __future__ import annotations

import ipaddress
from collections.abc import Generator

from pykeepalived.checkers.conversation import (
    Command,
    Connect,
    Conversation,
    Exchange,
    Outcome,
    RandomBytes,
    Receive,
    Reply,
    Send,
)
from pykeepalived.checkers.dns import TYPES, query, read_name, records, response_code
from pykeepalived.checkers.receive import text_matches
from pykeepalived.model.checks import NegotiateCheck

_LARGEST_MESSAGE = 65535


def dns_lookup(check: NegotiateCheck) -> Conversation:
    """An empty receive never matches (ldirectord-behaviour 5)."""
    raw = yield RandomBytes(2)
    assert isinstance(raw, bytes)
    identifier = int.from_bytes(raw, "big")
    name, kind = _question(check.request.removeprefix("/"))
    message = query(identifier, name, TYPES[kind])
    if message is None:
        return Outcome(False, f"no query can be made for {name}", "bad-query")
    answer = yield from _ask(check, message)
    if not answer or response_code(answer, identifier) != 0:
        return Outcome(False, "Connection timed out", "timeout" if answer is None else "no-answer")
    texts = _answers(answer)
    if not texts:
        return Outcome(False, "Connection timed out", "no-answer")
    if check.receive:
        for text in texts:
            if (yield from text_matches(check.receive, text.encode("latin-1"))).ok:
                return Outcome(True, "Success")
    return Outcome(False, "Response mismatch", "receive")


def _question(request: str) -> tuple[str, str]:
    try:
        return ipaddress.ip_address(request).reverse_pointer, "PTR"
    except ValueError:
        return request, "A"


def _ask(check: NegotiateCheck, message: bytes) -> Generator[Command, Reply, bytes | None]:
    if check.protocol != "tcp":
        answer = yield Exchange(options=check.socket, data=message, timeout_us=check.socket.timeout_us)
        return answer if isinstance(answer, bytes) else None
    yield Connect(options=check.socket)
    yield Send(len(message).to_bytes(2, "big") + message)
    data = b""
    while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
        piece = yield Receive(_LARGEST_MESSAGE)
        assert isinstance(piece, bytes)
        if not piece:
            return b""
        data += piece
    return data[2 : 2 + int.from_bytes(data[:2], "big")]


def _answers(answer: bytes) -> list[str]:
    """Addresses and names of the answer section."""
    texts: list[str] = []
    for record in records(answer):
        if record.type == TYPES["A"] and record.length == 4:
            place = record.data_offset
            texts.append(str(ipaddress.IPv4Address(answer[place : place + 4])))
        elif record.type == TYPES["PTR"]:
            name = read_name(answer, record.data_offset)
            if name:
                texts.append(name)
    return texts

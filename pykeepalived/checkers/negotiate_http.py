"""ldirectord's http, https and http_proxy: HTTP/1.1, redirects followed, the final answer counts.

Up means a final status of 2xx and, when `receive` is set, a body that it matches. The body is searched as it was sent,
without its chunks' framing and without undoing any compression.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Generator
from typing import Final, NamedTuple
from urllib.parse import urljoin, urlsplit

import msgspec

from pykeepalived.checkers.chunked import Chunks
from pykeepalived.checkers.conversation import (
    Command,
    Connect,
    Conversation,
    ConversationError,
    FailureKind,
    Outcome,
    Receive,
    Reply,
    Resolve,
    Send,
)
from pykeepalived.checkers.dialogue import start_tls
from pykeepalived.checkers.http import Judgement
from pykeepalived.checkers.http_message import Head, host_and_port, receive_head, status_of
from pykeepalived.checkers.receive import ReceiveSearch
from pykeepalived.model.checks import NegotiateCheck, SocketOptions

#: As many redirects as ldirectord's client follows.
REDIRECTS: Final = 7
#: Interim answers (1xx) before the real one.
_INTERIM: Final = 4
_LONGEST_URL: Final = 8192
_HEADER: Final = re.compile(rb"^([!-9;-~]+)[ \t]*:[ \t]*(.*?)[ \t]*\r?$", re.MULTILINE)
_PORTS: Final = {"http": 80, "https": 443}


class _Target(NamedTuple):
    """Where one request goes."""

    url: str
    host_header: str
    options: SocketOptions | None
    """None: the host of the url has to be looked up."""
    tls: bool
    request_target: str


def web(check: NegotiateCheck) -> Conversation:
    """The service's conversation. What fails before an answer is worded as ldirectord's client words it."""
    try:
        return (yield from _ask(check))
    except ConversationError as error:
        if error.kind is FailureKind.TIMEOUT:
            return Outcome(False, "500 Timeout Alarm", error.kind.value)
        step, _, reason = error.text.rpartition(": ")
        if step not in {"connect", "TLS handshake", "TLS handshake: certificate verify failed"}:
            raise
        where = host_and_port(check.socket.address, check.socket.port)
        reason = "certificate verify failed" if "certificate verify failed" in error.text else reason
        return Outcome(False, f"500 Can't connect to {where} ({reason})", error.kind.value)


def _ask(check: NegotiateCheck) -> Conversation:
    target = _first_target(check)
    for _ in range(REDIRECTS + 1):
        if target is None:
            return Outcome(False, "request is no http or https URL", "bad-url")
        yield Connect(options=(yield from _address(target, check)))
        if target.tls:
            yield start_tls(check.tls, _server_name(target.url))
        yield Send(_request(check.httpmethod, target, strict=check.strict))
        head = yield from _final_head()
        if head is None:
            return Outcome(False, "500 Server closed connection without sending any data back", "no-data")
        status = status_of(head.raw)
        headers = _headers(head.raw)
        location = headers.get(b"location")
        if status not in {301, 302, 303, 307, 308} or location is None:
            return (yield from _judge(check, status, head, headers))
        target = _target(location[:_LONGEST_URL].decode("latin-1"), base=target.url)
    return Outcome(False, f"more than {REDIRECTS} redirects", "redirects")


def _judge(check: NegotiateCheck, status: int | None, head: Head, headers: dict[bytes, bytes]) -> Conversation:
    line = head.raw.partition(b"\r")[0].partition(b" ")[2][:80].decode("latin-1")
    if status is None or not 200 <= status <= 299:
        return Outcome(False, line, "status-code")
    search = ReceiveSearch(check.receive)
    failure = None if check.httpmethod == "HEAD" or status == 204 else (yield from _body(head, headers, search))
    outcome = failure or (yield from search.judge())
    return msgspec.structs.replace(outcome, text=line) if outcome.ok else outcome


def _body(head: Head, headers: dict[bytes, bytes], search: ReceiveSearch) -> Judgement:
    """Read the body to its end and search it."""
    chunks = Chunks() if b"chunked" in headers.get(b"transfer-encoding", b"").lower() else None
    length = headers.get(b"content-length", b"")
    missing = int(length[:18]) if chunks is None and length.isdigit() else None
    data = head.rest
    while True:
        if missing is not None:
            data = data[:missing]
            missing -= len(data)
        for piece in chunks.feed(data) if chunks is not None else (data,):
            failure = yield from search.take(piece)
            if failure is not None:
                return failure
        if missing == 0 or (chunks is not None and chunks.ended):
            return None
        reply = yield Receive()
        assert isinstance(reply, bytes)
        if not reply:
            return None
        data = reply


def _final_head() -> Generator[Command, Reply, Head | None]:
    head = yield from receive_head()
    for _ in range(_INTERIM):
        if head is None or (status_of(head.raw) or 0) // 100 != 1:
            break
        head = yield from receive_head(head.rest)
    return head


def _headers(raw: bytes) -> dict[bytes, bytes]:
    """Header fields by lower-case name; of several the first counts."""
    fields: dict[bytes, bytes] = {}
    for name, value in _HEADER.findall(raw):
        fields.setdefault(name.lower(), value)
    return fields


def _first_target(check: NegotiateCheck) -> _Target | None:
    here = host_and_port(check.socket.address, check.socket.port)
    scheme = "https" if check.service == "https" else "http"
    if check.service == "http_proxy":
        target = _target(check.request.removeprefix("/"))
        if target is None:
            return None
        # The proxy is asked in plain text for the whole URL.
        return target._replace(options=check.socket, tls=False, request_target=target.url)
    if f"{scheme}://" in check.request:
        target = _target(check.request.removeprefix("/"))
        return target and target._replace(host_header=check.virtualhost or target.host_header)
    return _Target(
        f"{scheme}://{here}{check.request}", check.virtualhost or here, check.socket, scheme == "https", check.request
    )


def _target(url: str, base: str = "") -> _Target | None:
    """Where a URL, relative to `base`, leads; None when it is not one of http or https."""
    try:
        url = urljoin(base, url)
        parts = urlsplit(url)
        usable = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    if not usable:
        return None
    path = parts.path or "/"
    query = f"?{parts.query}" if parts.query else ""
    authority = parts.netloc.rpartition("@")[2]
    return _Target(url, authority, None, parts.scheme == "https", f"{path}{query}")


def _server_name(url: str) -> str | None:
    """The TLS name: a host name, never an address, and never the virtualhost (ldirectord-behaviour 5)."""
    host = urlsplit(url).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host
    return None


def _address(target: _Target, check: NegotiateCheck) -> Generator[Command, Reply, SocketOptions]:
    """The socket options of a target: a redirect may lead to any host."""
    if target.options is not None:
        return target.options
    parts = urlsplit(target.url)
    answer = yield Resolve(parts.hostname or "")
    assert isinstance(answer, bytes)
    port = parts.port or _PORTS[parts.scheme]
    return msgspec.structs.replace(check.socket, address=answer.decode("ascii"), port=port)


def _request(method: str, target: _Target, *, strict: bool = False) -> bytes:
    # ldirectord's client offers transfer codings that hardly any server has.
    offer = "TE: deflate,gzip;q=0.3\r\nConnection: TE, close" if strict else "Connection: close"
    path = re.sub(r"[\x00-\x20\x7f]", lambda found: f"%{ord(found[0]):02X}", target.request_target)
    host = re.sub(r"[\x00-\x20\x7f]", "", target.host_header)
    text = f"{method} {path} HTTP/1.1\r\n{offer}\r\nHost: {host}\r\nUser-Agent: libwww-perl/6.68\r\n\r\n"
    return text.encode("utf-8", "surrogateescape")

"""HTTP_GET and SSL_GET (keepalived-behaviour 11.1).

One conversation visits the urls in turn, each over its own connection, and stops at the first that fails; the outcome's
`position` is that url's number, from 1. The next conversation begins there:

- a server that is held for up is being retried: the failed url and those behind it;
- a server that is held for down: the failed url alone. Once it works, all are asked at the next start, and their
  success brings the server up. With `fast_recovery` that is one conversation.

(Seen with keepalived 2.2.7: without `fast_recovery` a server with one url needs two successes to come back.)

The body is hashed and searched as it streams in; of the page itself nothing is kept beyond the piece in hand (and what
a regular expression that has begun to match still needs).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Sequence
from functools import lru_cache
from typing import Any, Final

from pykeepalived.checkers import http2, json_value
from pykeepalived.checkers.conversation import (
    Command,
    Connect,
    Conversation,
    ConversationError,
    GiveWay,
    Outcome,
    Receive,
    Reply,
    Send,
    StageLimit,
    StartTls,
)
from pykeepalived.checkers.http_message import PIECE, announced_length, host_and_port, receive_head, status_of
from pykeepalived.model.checks import HttpCheck, HttpUrl, TlsClient
from pykeepalived.patterns import Pattern, PatternError, Search, Steps, Trouble, compile_pattern

_STATUS_PASSED = Outcome(True, "HTTP status code success", "status-code")
_DIGEST_PASSED = Outcome(True, "MD5 digest success", "digest")
_REGEX_PASSED = Outcome(True, "Regex match success", "regex")

#: `http_protocol` of HTTP/2 (ours).
HTTP2: Final = "2"
#: Looks at a piece of a body; an outcome ends the reading.
Judgement = Generator[Command, Reply, Outcome | None]


def http(check: HttpCheck, position: int, recovering: bool) -> Conversation:
    """The conversation of HTTP_GET and SSL_GET; `position` and `recovering` as in `registry.Start`."""
    urls = check.urls
    outcome = Outcome(False, "no url is configured", "no-url")
    several = len(urls) > 1
    for number in _order(len(urls), position, recovering, check.fast_recovery):
        if several:
            yield StageLimit(check.socket.timeout_us)
        try:
            outcome = yield from fetch(check, urls[number])
        except ConversationError as error:
            return Outcome(False, f"{error.text} url({number + 1})", error.kind.value, position=number + 1)
        if not outcome.ok:
            return Outcome(False, f"{outcome.text} url({number + 1})", outcome.reason, position=number + 1)
    if recovering and not check.fast_recovery and 0 < position <= len(urls):
        return Outcome(True, outcome.text, outcome.reason, partial=True)
    return outcome


def _order(count: int, position: int, recovering: bool, fast_recovery: bool) -> Sequence[int]:
    if not 0 < position <= count:
        return range(count)
    failed = position - 1
    if not recovering:
        return range(failed, count)
    return (failed, *(number for number in range(count) if number != failed)) if fast_recovery else (failed,)


def _start_tls(check: HttpCheck, url: HttpUrl, compliant: bool) -> StartTls:
    client = check.client or TlsClient()
    return StartTls(
        server_name=server_name(check, url),
        verify=check.verify,
        check_name=check.sni_name is not None,
        valid_days=check.certificate_days,
        # A stream of HTTP/2 has an end of its own.
        require_close_notify=compliant and check.protocol != HTTP2,
        alpn=http2.ALPN if check.protocol == HTTP2 else (),
        ca_file=client.ca,
        certificate_file=client.certificate,
        key_file=client.key,
        key_password=client.password,
    )


def fetch(check: HttpCheck, url: HttpUrl) -> Conversation:
    """One url over one connection."""
    yield Connect(options=check.socket)
    compliant = check.tls_compliant if url.tls_compliant is None else url.tls_compliant
    if check.tls:
        yield _start_tls(check, url, compliant)
    if check.protocol == HTTP2:
        return (yield from _fetch_http2(check, url))
    yield Send(request(check, url))
    head = yield from receive_head()
    if head is None:
        return Outcome(False, "no data received from remote webserver", "no-data")
    status = status_of(head.raw)
    if not _is_good(url, status):
        return Outcome(False, f"HTTP status code error: {status}", "status-code")
    body = Judged(url, len(head.raw)) if _looks_at_body(url) else None
    failure = yield from read_body(
        head.rest, announced_length(head), None if body is None else body.take, to_end=check.tls and compliant
    )
    if failure is not None:
        return failure
    return _STATUS_PASSED if body is None else (yield from body.judge())


def _is_good(url: HttpUrl, status: int | None) -> bool:
    return status is not None and any(first <= status <= last for first, last in url.status_codes)


def _looks_at_body(url: HttpUrl) -> bool:
    return url.digest is not None or url.regex is not None or url.json is not None


def _fetch_http2(check: HttpCheck, url: HttpUrl) -> Conversation:
    """Over HTTP/2 the head comes first too, but the status is judged at the end: an answer that nobody wants to see is
    short. Offsets of a regular expression count from the first byte of the body, as a head has no bytes of its own."""
    body = Judged(url, 0) if _looks_at_body(url) else None
    headers = (
        (b":method", b"GET"),
        (b":scheme", b"https" if check.tls else b"http"),
        (b":authority", _host(check, url).encode("utf-8", "surrogateescape")),
        (b":path", url.path.encode("utf-8", "surrogateescape")),
        (b"user-agent", b"KeepAliveClient"),
    )
    answer = yield from http2.exchange(headers, b"", _pass_over if body is None else body.take)
    if isinstance(answer, Outcome):
        return answer
    if not _is_good(url, answer.status):
        return Outcome(False, f"HTTP status code error: {answer.status}", "status-code")
    return _STATUS_PASSED if body is None else (yield from body.judge())


def _pass_over(data: bytes) -> Judgement:
    yield from ()
    return None


def _host(check: HttpCheck, url: HttpUrl) -> str:
    return url.virtualhost or check.virtualhost or host_and_port(check.socket.address, check.socket.port)


def request(check: HttpCheck, url: HttpUrl) -> bytes:
    """The request's bytes, in HTTP/1."""
    host = _host(check, url)
    connection = "" if check.protocol == "1.0" else "Connection: close\r\n"
    version = "1.1" if check.protocol == "1.1" else "1.0"
    text = f"GET {url.path} HTTP/{version}\r\nUser-Agent: KeepAliveClient\r\n{connection}Host: {host}\r\n\r\n"
    return text.encode("utf-8", "surrogateescape")


def server_name(check: HttpCheck, url: HttpUrl) -> str | None:
    """The TLS server name: only when asked for, then sni_name before the url's and the checker's virtualhost."""
    if check.sni_name is not None:
        return check.sni_name
    return (url.virtualhost or check.virtualhost) if check.enable_sni else None


def read_body(
    rest: bytes,
    length: int | None,
    take: Callable[[bytes], Judgement] | None,
    *,
    to_end: bool = False,
    piece: int = PIECE,
) -> Judgement:
    """Feed the body to `take`, up to its announced length or the end of the stream.

    A length that is never reached is no failure (the original only logs it). `to_end` goes on to the end of the stream
    after the announced length, which shows how TLS was closed. At most `piece` bytes are read at a time.
    """
    missing = length
    data = rest
    while True:
        if data:
            wanted = data if missing is None else data[:missing]
            if missing is not None:
                missing -= len(wanted)
            if take is not None:
                failure = yield from take(wanted)
                if failure is not None:
                    return failure
        if missing == 0 and not to_end:
            return None
        reply = yield Receive(piece)
        assert isinstance(reply, bytes)
        if not reply:
            return None
        data = reply


class Judged:
    """Digest and regular expression.

    The offsets of a regular expression count from the first byte of the answer, head included (seen with 2.2.7 and
    2.4.3); only the body is searched.
    """

    def __init__(self, url: HttpUrl, head_size: int) -> None:
        self._url = url
        self._document = bytearray()
        self._md5: Any = None if url.digest is None else hashlib.md5(usedforsecurity=False)
        self._search: Search | None = None
        self._found = False
        self._error: PatternError | None = None
        if url.regex is not None:
            pattern = compiled(url.regex, url.regex_options, url.regex_stack)
            if isinstance(pattern, PatternError):
                self._error = pattern
            elif url.regex_max_offset is None or url.regex_max_offset >= head_size:
                last = None if url.regex_max_offset is None else url.regex_max_offset - head_size
                self._search = Search(pattern, first_start=max(0, url.regex_min_offset - head_size), last_start=last)

    def take(self, data: bytes) -> Judgement:
        if self._md5 is not None:
            self._md5.update(data)
        if self._url.json is not None and len(self._document) <= json_value.BODY_LIMIT:
            self._document += data[: json_value.BODY_LIMIT + 1]
        if self._search is None or self._found:
            return None
        return (yield from self._run(self._search.feed(data)))

    def judge(self) -> Conversation:
        url = self._url
        if self._md5 is not None and self._md5.hexdigest() != url.digest:
            return Outcome(False, "MD5 digest error", "digest")
        if url.json is not None:
            outcome = json_value.judge(bytes(self._document), *url.json)
            if not outcome.ok or url.regex is None:
                return outcome
        if url.regex is None:
            return _DIGEST_PASSED
        if self._error is not None:
            return Outcome(False, f"regex: {self._error.message}", "bad-pattern")
        if self._search is not None and not self._found:
            failure = yield from self._run(self._search.finish())
            if failure is not None:
                return failure
        if self._found == url.regex_no_match:
            return Outcome(False, "Regex match failed", "regex")
        return _REGEX_PASSED

    def _run(self, steps: Steps) -> Judgement:
        answer = yield from run_search(steps)
        if isinstance(answer, Trouble):
            return Outcome(False, f"regex: {answer.value}", answer.value)
        self._found = answer
        return None


def run_search(steps: Steps) -> Generator[Command, Reply, bool | Trouble]:
    """Carry a search on, and let other conversations have a turn between its calls."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            answer: bool | Trouble = stop.value
            return answer
        yield GiveWay()


@lru_cache(maxsize=1024)
def compiled(
    pattern: str, options: tuple[str, ...] = (), stack: tuple[int, int] | None = None
) -> Pattern | PatternError:
    """A pattern of the configuration, compiled once."""
    return compile_pattern(pattern.encode("utf-8", "surrogateescape"), options, stack)


def http_limit_us(check: HttpCheck) -> int:
    """Each url has the check's time limit."""
    return check.socket.timeout_us * max(1, len(check.urls))


def unavailable(check: HttpCheck) -> str | None:
    """Why HTTP/2, or a regular expression, of the check cannot be used, or None."""
    if check.protocol == HTTP2 and (reason := http2.unavailable()) is not None:
        return reason
    for url in check.urls:
        if url.regex is not None:
            pattern = compiled(url.regex, url.regex_options, url.regex_stack)
            if isinstance(pattern, PatternError):
                return f"regex {url.regex!r}: {pattern.message}"
    return None

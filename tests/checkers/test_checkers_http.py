"""HTTP_GET: the request's bytes, what counts of the answer, and which url comes next."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from pykeepalived.checkers import registry
from pykeepalived.checkers.conversation import (
    Connect,
    Conversation,
    ConversationError,
    FailureKind,
    Outcome,
    Receive,
    Send,
    StageLimit,
    StartTls,
)
from pykeepalived.checkers.http import request, server_name
from pykeepalived.checkers.http_message import HEAD_LIMIT
from pykeepalived.model.checks import HttpCheck, HttpUrl
from tests.checkers.playbook import SOCKET, feed, play, sent

OK = b"HTTP/1.0 200 OK\r\n\r\n"
ROOT = HttpUrl(path="/")


def check(*urls: HttpUrl, **words: Any) -> HttpCheck:
    return HttpCheck(socket=SOCKET, urls=urls or (ROOT,), **words)


def ask(url: HttpUrl, *data: bytes) -> Outcome:
    return feed(converse(check(url)), *data)[0]


def converse(question: HttpCheck, position: int = 0, recovering: bool = False) -> Conversation:
    return registry.converse(question, registry.Start(position, recovering))


def md5(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()


# ---- the request ----


@pytest.mark.parametrize(
    ("protocol", "line", "extra"),
    [("1.0", b"HTTP/1.0", b""), ("1.0C", b"HTTP/1.0", b"Connection: close\r\n"),
     ("1.1", b"HTTP/1.1", b"Connection: close\r\n")],
)  # fmt: skip
@pytest.mark.shows("virtual_server.real_server.{HTTP_GET,SSL_GET}.http_protocol")
@pytest.mark.shows("virtual_server.real_server.{HTTP_GET,SSL_GET}.url.path")
def test_request(protocol: str, line: bytes, extra: bytes) -> None:
    text = request(check(protocol=protocol), HttpUrl(path="/a?b=%20"))
    expected = b"GET /a?b=%20 " + line + b"\r\nUser-Agent: KeepAliveClient\r\n" + extra + b"Host: 192.0.2.7:80\r\n\r\n"
    assert text == expected


@pytest.mark.shows("virtual_server.real_server.{HTTP_GET,SSL_GET}.virtualhost")
@pytest.mark.shows("virtual_server.real_server.{HTTP_GET,SSL_GET}.url.virtualhost")
def test_the_host_header_prefers_the_urls_name_then_the_checkers() -> None:
    own = HttpUrl(path="/", virtualhost="url.example")
    assert b"Host: url.example\r\n" in request(check(virtualhost="checker.example"), own)
    assert b"Host: checker.example\r\n" in request(check(virtualhost="checker.example"), ROOT)
    six = msgspec.structs.replace(check(), socket=msgspec.structs.replace(SOCKET, address="2001:db8::1"))
    assert b"Host: [2001:db8::1]:80\r\n" in request(six, ROOT)


@pytest.mark.shows("virtual_server.real_server.SSL_GET.{enable_sni,sni_name}")
def test_the_tls_name_is_sent_only_when_asked_for() -> None:
    own = HttpUrl(path="/", virtualhost="url.example")
    assert server_name(check(virtualhost="checker.example"), own) is None
    assert server_name(check(virtualhost="checker.example", enable_sni=True), own) == "url.example"
    assert server_name(check(virtualhost="checker.example", enable_sni=True), ROOT) == "checker.example"
    assert server_name(check(sni_name="sni.example"), own) == "sni.example"


# ---- the answer ----


def test_a_page_is_read_to_the_end_of_the_stream() -> None:
    outcome = play(
        converse(check()),
        Connect(options=SOCKET), None,
        Send(request(check(), ROOT)), None,
        Receive(), b"HTTP/1.0 200",
        Receive(), b" OK\r\nServer: x\r\n\r\nhel",
        Receive(), b"lo",
        Receive(), b"",
    )  # fmt: skip
    assert outcome == Outcome(True, "HTTP status code success", "status-code")


def test_a_page_is_read_to_its_announced_length_and_no_further() -> None:
    url = HttpUrl(path="/", digest=md5(b"hello"))
    outcome = play(
        converse(check(url)),
        Connect(options=SOCKET), None,
        Send(request(check(url), url)), None,
        Receive(), b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhel",
        Receive(), b"lo, and something else",
    )  # fmt: skip
    assert outcome == Outcome(True, "MD5 digest success", "digest")


# Each row was compared with genhash 2.2.7: the body is `hello` (cut) or `hello world` (whole).
@pytest.mark.parametrize(
    ("header", "body"),
    [
        (b"Content-Length: 5", b"hello"),
        (b"Content-Length:5", b"hello"),
        (b"Content-Length:\t +5", b"hello"),
        (b"Content-Length: 005", b"hello"),
        (b"X-Content-Length: 5", b"hello"),
        (b"Content-Length: 0", b""),
        (b"Content-Length: -0", b""),
        (b"Content-Length: 5\r\nContent-Length: 7", b"hello"),
        (b"Content-Length: x\r\nContent-Length: 5", b"hello world"),
        (b"content-length: 5", b"hello world"),
        (b"Content-Length: 5 ", b"hello world"),
        (b"Content-Length: 5x", b"hello world"),
        (b"Content-Length: 0x5", b"hello world"),
        (b"Content-Length: -5", b"hello world"),
        (b"Content-Length: 99999999999999999999999", b"hello world"),
        (b"Content-Length: 50", b"hello world"),
        (b"Server: x", b"hello world"),
    ],
)
@pytest.mark.shows("virtual_server.real_server.{HTTP_GET,SSL_GET}.url.digest")
def test_which_bytes_are_hashed(header: bytes, body: bytes) -> None:
    url = HttpUrl(path="/", digest=md5(body))
    assert ask(url, b"HTTP/1.0 200 OK\r\n" + header + b"\r\n\r\nhello world").ok


def test_a_length_named_in_the_first_piece_of_the_body_counts_as_in_the_original() -> None:
    assert ask(HttpUrl(path="/", digest=md5(b"Con")), OK + b"Content-Length: 3\r\n\r\nhello world").ok


def test_the_coding_of_chunks_is_hashed_too() -> None:
    body = b"3\r\nabc\r\n0\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    assert ask(HttpUrl(path="/", digest=md5(body)), *(answer[n : n + 1] for n in range(len(answer)))).ok


@pytest.mark.parametrize(
    ("line", "ranges", "ok"),
    [
        (b"HTTP/1.0 200 OK", ((200, 299),), True),
        (b"HTTP/1.1 299", ((200, 299),), True),
        (b"HTTP/1.1 300 X", ((200, 299),), False),
        (b"HTTP/1.1 404 X", ((200, 200), (404, 404)), True),
        (b"HTTP/1.1 2000", ((200, 299),), False),
        (b"ICY 200 OK", ((200, 299),), False),
        (b"200 OK", ((200, 299),), False),
    ],
)
@pytest.mark.shows("virtual_server.real_server.{HTTP_GET,SSL_GET}.url.status_code")
def test_status(line: bytes, ranges: tuple[tuple[int, int], ...], ok: bool) -> None:
    outcome = ask(HttpUrl(path="/", status_codes=ranges), line + b"\r\n\r\n")
    assert outcome.ok is ok
    assert outcome.reason == "status-code"


def test_all_criteria_must_hold() -> None:
    url = HttpUrl(path="/", digest=md5(b"hello"), regex="^hel")
    assert ask(url, OK + b"hello") == Outcome(True, "Regex match success", "regex")
    assert ask(url, OK + b"hello!").reason == "digest"
    assert ask(msgspec.structs.replace(url, regex="^elo"), OK + b"hello").reason == "regex"
    assert ask(url, b"HTTP/1.0 500 X\r\n\r\nhello").reason == "status-code"


@pytest.mark.parametrize(
    ("words", "ok"),
    [
        ({"regex": "w.r"}, True),
        ({"regex": "W.R"}, False),
        ({"regex": "W.R", "regex_options": ("caseless",)}, True),
        ({"regex": "W.R", "regex_no_match": True}, True),
        ({"regex": "w.r", "regex_no_match": True}, False),
        ({"regex": "world$"}, True),
        ({"regex": "hello$"}, False),
        ({"regex": "o", "regex_min_offset": len(OK) + 8}, False),
        ({"regex": "o", "regex_min_offset": len(OK) + 7}, True),
        ({"regex": "world", "regex_max_offset": len(OK) + 5}, False),
        ({"regex": "world", "regex_max_offset": 6}, False),
        ({"regex": "world", "regex_max_offset": len(OK) + 6}, True),
    ],
)
@pytest.mark.shows(
    "virtual_server.real_server.{HTTP_GET,SSL_GET}.url.{regex,regex_no_match,regex_options,regex_min_offset,regex_max_offset}"
)
def test_regex(words: dict[str, Any], ok: bool) -> None:
    body = b"hello world"
    url = HttpUrl(path="/", **words)
    assert ask(url, OK + body).ok is ok
    assert ask(url, OK, *(body[n : n + 1] for n in range(len(body)))).ok is ok


def test_a_broken_pattern_is_named_beforehand_and_fails() -> None:
    broken = check(HttpUrl(path="/", regex="a("))
    assert registry.unavailable(broken) == "regex 'a(': missing closing parenthesis"
    assert feed(converse(broken), OK)[0].reason == "bad-pattern"


@pytest.mark.parametrize("data", [(), (b"HTTP/1.0 200 OK\r\n",), (b"garbage",)])
def test_an_answer_without_a_blank_line_is_no_answer(data: tuple[bytes, ...]) -> None:
    assert ask(ROOT, *data).reason == "no-data"


def test_endless_headers_end() -> None:
    outcome, commands = feed(converse(check()), *[b"X: yyyyyyyyyyyyyyyy\r\n" * 100] * 1000)
    assert outcome.reason == "too-long"
    assert len(commands) < HEAD_LIMIT // 2000 + 10


@pytest.mark.shows("virtual_server.real_server.SSL_GET.{tls_compliant,url.tls_compliant}")
def test_tls_compliant_reads_on_to_the_close_notify() -> None:
    url = HttpUrl(path="/")
    question = check(url, tls=True, tls_compliant=True)
    outcome = play(
        converse(question),
        Connect(options=SOCKET), None,
        StartTls(require_close_notify=True), None,
        Send(request(question, url)), None,
        Receive(), b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        Receive(), ConversationError(FailureKind.TLS, "connection closed without close-notify"),
    )  # fmt: skip
    assert (outcome.ok, outcome.reason) == (False, "tls")


# ---- several urls ----

A, B, C = (HttpUrl(path=path) for path in "abc")


def paths(question: HttpCheck, position: int, recovering: bool, bad: str = "") -> tuple[str, Outcome]:
    """The paths that one conversation asks for, when those of `bad` answer 500."""
    conversation = converse(question, position, recovering)
    asked = ""
    reply: Any = None
    while True:
        try:
            command = conversation.send(reply)
        except StopIteration as stop:
            return asked, stop.value
        reply = None
        if isinstance(command, Send):
            asked += command.data[4:5].decode()
        elif isinstance(command, Receive):
            reply = b"HTTP/1.0 %d X\r\nContent-Length: 0\r\n\r\n" % (500 if asked[-1] in bad else 200)


def test_urls_are_asked_in_turn_up_to_the_first_that_fails() -> None:
    question = check(A, B, C)
    assert paths(question, 0, False) == ("abc", Outcome(True, "HTTP status code success", "status-code"))
    asked, outcome = paths(question, 0, False, bad="b")
    assert (asked, outcome.ok, outcome.position) == ("ab", False, 2)
    assert outcome.text == "HTTP status code error: 500 url(2)"


def test_a_retry_begins_at_the_failed_url() -> None:
    assert paths(check(A, B, C), 2, False)[0] == "bc"


def test_a_dead_server_is_asked_for_the_failed_url_alone_then_for_all() -> None:
    question = check(A, B, C)
    asked, outcome = paths(question, 2, True)
    assert (asked, outcome.ok, outcome.partial, outcome.position) == ("b", True, True, 0)
    asked, outcome = paths(question, outcome.position, True)
    assert (asked, outcome.ok, outcome.partial) == ("abc", True, False)


@pytest.mark.shows("virtual_server.real_server.{HTTP_GET,SSL_GET}.fast_recovery")
def test_fast_recovery_asks_for_everything_at_once() -> None:
    asked, outcome = paths(check(A, B, C, fast_recovery=True), 2, True)
    assert (asked, outcome.ok, outcome.partial) == ("bac", True, False)


def test_each_of_several_urls_has_the_time_limit() -> None:
    question = check(A, B)
    _, commands = feed(converse(question), b"HTTP/1.0 200 X\r\nContent-Length: 0\r\n\r\n", OK)
    assert [command for command in commands if isinstance(command, StageLimit)] == [StageLimit(5_000_000)] * 2
    assert registry.limit_us(question) == 10_000_000
    assert b"GET b " in sent(commands)


def test_a_position_beyond_the_urls_begins_anew() -> None:
    assert paths(check(A, B), 7, False)[0] == "ab"


def test_no_url_is_a_named_failure() -> None:
    assert feed(registry.converse(HttpCheck(socket=SOCKET, urls=())))[0].reason == "no-url"

"""ldirectord's negotiate services, each as a playbook."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import dns.message
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykeepalived.checkers import registry
from pykeepalived.checkers.chunked import Chunks
from pykeepalived.checkers.conversation import (
    Accept,
    Connect,
    Conversation,
    ConversationError,
    Exchange,
    FailureKind,
    Listen,
    Outcome,
    Pause,
    RandomBytes,
    Receive,
    ReceiveLine,
    Resolve,
    Send,
    ShutdownSending,
    StartTls,
    Swap,
)
from pykeepalived.checkers.negotiate_http import REDIRECTS
from pykeepalived.model.checks import NegotiateCheck
from tests.checkers.playbook import SOCKET, feed, play, sent


def check(service: str, **words: Any) -> NegotiateCheck:
    return NegotiateCheck(socket=SOCKET, service=service, **words)


def converse(question: NegotiateCheck, position: int = 0) -> Conversation:
    return registry.converse(question, registry.Start(position))


# ---- http, https, http_proxy ----


def get(path: bytes, host: bytes) -> bytes:
    return b"GET %b HTTP/1.1\r\nConnection: close\r\nHost: %b\r\nUser-Agent: libwww-perl/6.68\r\n\r\n" % (path, host)


def web(answer: bytes, service: str = "http", **words: Any) -> Outcome:
    return feed(converse(check(service, **words)), *(answer[n : n + 7] for n in range(0, len(answer), 7)))[0]


@pytest.mark.shows("ldirectord.virtual.{httpmethod,virtualhost}")
@pytest.mark.shows("ldirectord.real.request/receive pair")
def test_the_request() -> None:
    _, commands = feed(converse(check("http", request="/test page.html", virtualhost="www.example")))
    assert commands[0] == Connect(options=SOCKET)
    assert sent(commands) == (
        b"GET /test%20page.html HTTP/1.1\r\nConnection: close\r\nHost: www.example\r\n"
        b"User-Agent: libwww-perl/6.68\r\n\r\n"
    )
    _, commands = feed(converse(check("https", httpmethod="HEAD")))
    assert commands[1] == StartTls()
    assert sent(commands).startswith(b"HEAD / HTTP/1.1\r\nConnection: close\r\nHost: 192.0.2.7:80\r\n")
    _, commands = feed(converse(check("http", strict=True)))
    assert sent(commands) == (
        b"GET / HTTP/1.1\r\nTE: deflate,gzip;q=0.3\r\nConnection: TE, close\r\nHost: 192.0.2.7:80\r\n"
        b"User-Agent: libwww-perl/6.68\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("answer", "receive", "ok"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nthe test page", "test page", True),
        (b"HTTP/1.1 200 OK\r\n\r\nthe test\npage", "test.page", False),
        (b"HTTP/1.1 200 OK\r\nX: test page\r\n\r\nnothing", "test page", False),
        (b"HTTP/1.1 200 OK\r\n\r\nTEST", "(?i)test", True),
        (b"HTTP/1.1 204 OK\r\n\r\n", "", True),
        (b"HTTP/1.1 404 Not Found\r\n\r\ntest page", "test page", False),
        (b"HTTP/1.1 302 Found\r\n\r\ntest page", "test page", False),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\ntest page", "test page", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntest\r\n5;x\r\n page\r\n0\r\n\r\n", "t p", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntest page", "test page", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\ntest page", "page$", True),
        (b"", "", False),
        (b"not http at all\r\n\r\n", "", False),
    ],
)  # fmt: skip
def test_what_counts(answer: bytes, receive: str, ok: bool) -> None:
    assert web(answer, receive=receive).ok is ok


def test_a_head_request_has_no_body() -> None:
    outcome, commands = feed(
        converse(check("http", httpmethod="HEAD")), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
    )
    assert outcome.ok
    assert len(commands) == 3


def test_failures_are_worded_by_the_status_line() -> None:
    outcome = web(b"HTTP/1.1 404 Not Found\r\n\r\n")
    assert (outcome.text, outcome.reason) == ("404 Not Found", "status-code")
    assert web(b"HTTP/1.1 200 OK\r\n\r\nx", receive="y").text == "Response mismatch"
    assert web(b"HTTP/1.1 200 OK\r\n\r\nx", receive="(").reason == "bad-pattern"


def test_redirects_are_followed_to_other_hosts_and_to_tls() -> None:
    outcome = play(
        converse(check("http", request="/a/b", virtualhost="www.example")),
        Connect(options=SOCKET), None,
        Send(get(b"/a/b", b"www.example")), None,
        Receive(), b"HTTP/1.1 302 Found\r\nLocation: c?d=e\r\n\r\n",
        Resolve("192.0.2.7"), b"192.0.2.7",
        Connect(options=SOCKET), None,
        Send(get(b"/a/c?d=e", b"192.0.2.7:80")), None,
        Receive(), b"HTTP/1.1 301 Moved\r\nlocation: https://other.example/x\r\n\r\n",
        Resolve("other.example"), b"192.0.2.9",
        Connect(options=msgspec.structs.replace(SOCKET, address="192.0.2.9", port=443)), None,
        StartTls(server_name="other.example"), None,
        Send(get(b"/x", b"other.example")), None,
        Receive(), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    )  # fmt: skip
    assert outcome.ok


def test_redirects_end() -> None:
    outcome, commands = feed(converse(check("http")), *[b"HTTP/1.1 302 F\r\nLocation: /again\r\n\r\n"] * 20)
    assert outcome.reason == "redirects"
    assert sum(isinstance(command, Connect) for command in commands) == REDIRECTS + 1


@pytest.mark.parametrize("location", [b"ftp://x/", b"http://[", b"http://:80/", b"http://x:99999/", b"file:///etc"])
def test_a_redirect_to_nowhere(location: bytes) -> None:
    assert web(b"HTTP/1.1 302 F\r\nLocation: " + location + b"\r\n\r\n").reason == "bad-url"


def test_a_proxy_is_asked_for_the_whole_url() -> None:
    question = check("http_proxy", request="/http://www.example/page", virtualhost="ignored.example")
    _, commands = feed(converse(question))
    assert commands[0] == Connect(options=SOCKET)
    assert sent(commands).startswith(
        b"GET http://www.example/page HTTP/1.1\r\nConnection: close\r\nHost: www.example\r\n"
    )
    assert feed(converse(check("http_proxy", request="/page")))[0].reason == "bad-url"


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.integers(1, 9))
def test_chunks_in_any_pieces(parts: list[bytes], size: int) -> None:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    chunks = Chunks()
    data = b"".join(
        piece for begin in range(0, len(framed), size) for piece in chunks.feed(framed[begin : begin + size])
    )
    assert data == b"".join(parts)
    assert chunks.ended


@given(st.binary(max_size=60))
def test_no_framing_breaks_the_reader(data: bytes) -> None:
    chunks = Chunks()
    try:
        for _ in chunks.feed(data):
            pass
    except ConversationError as error:
        assert error.kind in {FailureKind.CLOSED, FailureKind.TOO_LONG}


def test_an_endless_chunk_size_ends() -> None:
    chunks = Chunks()
    with pytest.raises(ConversationError, match="longer than"):
        for _ in range(100):
            list(chunks.feed(b"0" * 1000))


# ---- mail ----


def lines(question: NegotiateCheck, *answers: bytes) -> tuple[Outcome, bytes]:
    try:
        outcome, commands = feed(converse(question), *answers)
    except ConversationError as error:
        return Outcome(False, error.text, error.kind.value), b""
    return outcome, sent(commands)


def test_smtp() -> None:
    outcome, text = lines(check("smtp"), b"220-a\r\n", b"220 b\r\n", b"250-x\r\n", b"250 y\r\n")
    assert (outcome.ok, text) == (True, b"EHLO localhost.localdomain\r\nQUIT\r\n")
    outcome, text = lines(check("submission"), b"220 b\r\n", b"502 what\r\n", b"250 y\r\n")
    assert (outcome.ok, text) == (True, b"EHLO localhost.localdomain\r\nHELO localhost.localdomain\r\nQUIT\r\n")
    assert lines(check("smtp"), b"554 go away\r\n")[0].reason == "smtp-status"
    assert lines(check("smtp"), b"220 b\r\n", b"500 x\r\n", b"500 x\r\n")[0].reason == "smtp-status"
    assert lines(check("smtp"))[0].reason == "closed"
    assert lines(check("smtp"), *[b"220-more\r\n"] * 1000)[0].reason == "too-long"


def test_pop_with_a_login_must_succeed() -> None:
    question = check("pop", login="me", password="secret")
    outcome, text = lines(question, b"+OK hi\r\n", b"+OK\r\n", b"+OK\r\n")
    assert (outcome.ok, text) == (True, b"USER me\r\nPASS secret\r\nQUIT\r\n")
    outcome, text = lines(question, b"+OK hi\r\n", b"+OK\r\n", b"-ERR no\r\n")
    assert (outcome.ok, outcome.reason) == (False, "login")
    stamp = b"<1896.697170952@dbc.mtview.ca.us>"
    digest = hashlib.md5(stamp + b"secret").hexdigest().encode()
    outcome, text = lines(question, b"+OK POP3 " + stamp + b"\r\n", b"+OK\r\n")
    assert (outcome.ok, text) == (True, b"APOP me " + digest + b"\r\nQUIT\r\n")
    assert lines(question, b"-ERR busy\r\n")[0].reason == "pop-status"


def test_pop_without_a_login_takes_a_good_greeting() -> None:
    assert lines(check("pop"), b"+OK hi\r\n")[0].ok
    assert lines(check("pop"), b"-ERR no\r\n")[0].reason == "pop-status"
    assert lines(check("pop"))[0].reason == "closed"


def test_strict_pop_without_a_login_is_always_up_as_in_the_original() -> None:
    refused = ConversationError(FailureKind.REFUSED, "connect: Connection refused")
    outcome = play(converse(check("pop", strict=True)), Connect(options=SOCKET), refused)
    assert (outcome.ok, outcome.reason) == (True, "untested")
    assert lines(check("pop", strict=True), b"-ERR no\r\n")[0].ok


def test_imap() -> None:
    assert lines(check("imap"), b"* OK ready\r\n")[0].ok
    assert lines(check("imap"), b"* BYE whatever\r\n")[0].reason == "imap-status"
    assert lines(check("imap", strict=True), b"* BYE whatever\r\n")[0].ok
    assert lines(check("imap"))[0].reason == "closed"
    question = check("imap", login='me"', password="a\\b")
    outcome, text = lines(question, b"* OK hi\r\n", b"* CAPABILITY\r\n", b"0 OK in\r\n")
    assert (outcome.ok, text) == (True, b'0 LOGIN "me\\"" "a\\\\b"\r\n1 LOGOUT\r\n')
    assert lines(question, b"* OK hi\r\n", b"0 NO out\r\n")[0].reason == "login"
    conversation = converse(check("imaps"))
    assert [conversation.send(None), conversation.send(None)] == [Connect(options=SOCKET), StartTls()]


def test_strict_imap_tries_a_failed_connection_once_more() -> None:
    refused = ConversationError(FailureKind.REFUSED, "connect: Connection refused")
    again = Pause(5_000_000)
    question = check("imap", strict=True)
    steps = (Connect(options=SOCKET), refused, again, None, Connect(options=SOCKET))
    outcome = play(converse(question), *steps, None, ReceiveLine(), b"* OK\r\n", Send(b"0 LOGOUT\r\n"), None)
    assert outcome.ok
    with pytest.raises(ConversationError, match="refused"):
        play(converse(question), *steps, refused)
    with pytest.raises(ConversationError, match="refused"):
        play(converse(check("imap")), Connect(options=SOCKET), refused)
    assert registry.limit_us(question) == 2 * registry.limit_us(check("imap")) + 5_000_000


def test_configured_text_is_one_line_of_a_dialogue() -> None:
    _, text = lines(check("pop", login="me\r\nDELE 1", password="x"), b"+OK\r\n", b"+OK\r\n", b"+OK\r\n")
    assert text.splitlines()[0] == b"USER me  DELE 1"


# ---- ftp ----


def test_ftp_fetches_a_file_from_the_server_that_it_checks() -> None:
    data_socket = msgspec.structs.replace(SOCKET, port=0x1234)
    outcome = play(
        converse(check("ftp", request="/welcome.txt", receive="Hello", login="me", password="secret")),
        Connect(options=SOCKET), None,
        ReceiveLine(), b"220 ready\r\n",
        Send(b"USER me\r\n"), None, ReceiveLine(), b"331 password\r\n",
        Send(b"PASS secret\r\n"), None, ReceiveLine(), b"230 in\r\n",
        Send(b"CWD /\r\n"), None, ReceiveLine(), b"250 ok\r\n",
        Send(b"TYPE I\r\n"), None, ReceiveLine(), b"200 ok\r\n",
        Send(b"PASV\r\n"), None, ReceiveLine(), b"227 Entering (203,0,113,9,18,52)\r\n",
        Swap(), None,
        Connect(options=data_socket), None,
        Swap(), None,
        Send(b"RETR /welcome.txt\r\n"), None, ReceiveLine(), b"150 here it comes\r\n",
        Swap(), None,
        Receive(), b"Hel", Receive(), b"lo", Receive(), b"",
        Swap(), None,
        Send(b"QUIT\r\n"), None,
    )  # fmt: skip
    assert outcome.ok


def test_ftp_over_ipv6_uses_the_extended_words() -> None:
    question = check("ftp", receive="x")
    six = msgspec.structs.replace(question, socket=msgspec.structs.replace(SOCKET, address="2001:db8::7"))
    _, text = lines(six, b"220 x\r\n", b"230 x\r\n", b"250 x\r\n", b"200 x\r\n", b"229 x (|||4660|)\r\n", b"550 no\r\n")
    assert text.endswith(b"EPSV\r\nRETR /\r\n")


@pytest.mark.parametrize(
    "answers",
    [
        (b"421 full\r\n",),
        (b"220 x\r\n", b"530 no\r\n", b"530 no\r\n", b"530 no\r\n", b"530 no\r\n"),
        (b"220 x\r\n", b"230 x\r\n", b"250 x\r\n", b"200 x\r\n", b"227 (1,2,3,4,999,999)\r\n"),
        (b"220 x\r\n", b"230 x\r\n", b"250 x\r\n", b"200 x\r\n", b"227 (1,2,3,4,18,52)\r\n", b"550 no\r\n"),
        (),
    ],
)
def test_ftp_failures(answers: tuple[bytes, ...]) -> None:
    assert lines(check("ftp", receive="x"), *answers)[0].ok is False
    assert lines(check("ftp", request="/file"), *answers)[0].ok is False
    outcome, _ = lines(check("ftp", strict=True), *answers)
    assert (outcome.ok, outcome.reason) == (True, "untested")


def test_ftp_without_receive_asks_for_a_login_and_the_named_file() -> None:
    outcome, text = lines(check("ftp"), b"220 x\r\n", b"331 x\r\n", b"230 in\r\n")
    assert (outcome.ok, text) == (True, b"USER anonymous\r\nPASS anonymous@\r\nQUIT\r\n")
    assert lines(check("ftp"), b"220 x\r\n", b"331 x\r\n", b"530 no\r\n")[0].reason == "login"


def test_ftp_falls_back_to_active_mode() -> None:
    outcome = play(
        converse(check("ftp", request="/f", receive="Hello")),
        Connect(options=SOCKET), None,
        ReceiveLine(), b"220 ready\r\n",
        Send(b"USER anonymous\r\n"), None, ReceiveLine(), b"230 in\r\n",
        Send(b"CWD /\r\n"), None, ReceiveLine(), b"250 ok\r\n",
        Send(b"TYPE I\r\n"), None, ReceiveLine(), b"200 ok\r\n",
        Send(b"PASV\r\n"), None, ReceiveLine(), b"502 no\r\n",
        Listen(), b"192.0.2.1 4660",
        Send(b"PORT 192,0,2,1,18,52\r\n"), None, ReceiveLine(), b"200 ok\r\n",
        Send(b"RETR /f\r\n"), None, ReceiveLine(), b"150 here it comes\r\n",
        Accept(), None,
        Swap(), None,
        Receive(), b"Hello", Receive(), b"",
        Swap(), None,
        Send(b"QUIT\r\n"), None,
    )  # fmt: skip
    assert outcome.ok


# ---- nntp, simpletcp, sip, none, dns ----


def test_nntp() -> None:
    assert feed(converse(check("nntp")), b"200 hi")[0].ok
    assert not feed(converse(check("nntp")), b"400 hi")[0].ok
    assert feed(converse(check("nntp")))[0].reason == "closed"


def test_simpletcp() -> None:
    outcome = play(
        converse(check("simpletcp", request="/PING\\nx\\r", receive="^PONG$")),
        Connect(options=SOCKET), None,
        Send(b"PING\nx\\r"), None,
        ShutdownSending(), None,
        ReceiveLine(65536), b"hello\n",
        ReceiveLine(65536), b"PONG\n",
    )  # fmt: skip
    assert outcome.ok
    assert feed(converse(check("simpletcp", receive="x")), b"a\n", b"b\n")[0].text == "Response mismatch"
    assert feed(converse(check("simpletcp")))[0].reason == "closed"
    assert feed(converse(check("simpletcp")), b"\n")[0].ok


def test_simpletcp_over_udp() -> None:
    question = check("simpletcp", request="/x", receive="b", protocol="udp")
    exchange = Exchange(options=SOCKET, data=b"x", timeout_us=5_000_000)
    assert play(converse(question), exchange, b"a\nb\n").ok
    assert not play(converse(question), exchange, b"a\nc\n").ok
    assert play(converse(question), exchange, None).reason == "timeout"


def test_sip() -> None:
    question = check("sip", login="ldirectord@host", protocol="udp")
    conversation = converse(question)
    assert conversation.send(None) == RandomBytes(12)
    command = conversation.send(b"\0" * 12)
    assert isinstance(command, Exchange)
    head, _, body = command.data.partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"OPTIONS sip:ldirectord@host SIP/2.0"
    assert b"CSeq: 63104 OPTIONS" in head
    assert body == b""
    with pytest.raises(StopIteration) as end:
        conversation.send(b"SIP/2.0 200 OK\r\nVia: x\r\n\r\n")
    assert end.value.value.ok
    tcp = feed(converse(check("sip")), b"SIP/2.0 404 Not Found\r\n")[0]
    assert (tcp.ok, tcp.text) == (False, "answer is 'SIP/2.0 404 Not Found'")


def test_none() -> None:
    assert play(converse(check("none"))).ok


def dns_answer(records: str, question: str = "www.example.org. IN A") -> bytes:
    return dns.message.from_text(f"id 4660\nflags QR\n;QUESTION\n{question}\n;ANSWER\n{records}\n").to_wire()


@pytest.mark.parametrize(
    ("records", "receive", "text"),
    [
        ("www.example.org. 60 IN A 10.1.2.3", r"^10\.1\.", "Success"),
        ("www.example.org. 60 IN A 10.1.2.3", r"^10\.2\.", "Response mismatch"),
        ("www.example.org. 60 IN A 10.1.2.3", "", "Response mismatch"),
        ("www.example.org. 60 IN AAAA 2001:db8::1", "2001", "Connection timed out"),
        ("www.example.org. 60 IN CNAME x.\nx. 60 IN A 10.9.9.9", "10.9.9.9", "Success"),
    ],
)
def test_dns(records: str, receive: str, text: str) -> None:
    question = check("dns", request="/www.example.org", receive=receive, protocol="udp")
    message = dns.message.make_query("www.example.org.", "A", id=0x1234).to_wire()
    outcome = play(
        converse(question), RandomBytes(2), b"\x12\x34",
        Exchange(options=SOCKET, data=message, timeout_us=5_000_000), dns_answer(records),
    )  # fmt: skip
    assert outcome.text == text
    assert outcome.ok is (text == "Success")


def test_dns_of_an_address_over_tcp() -> None:
    question = check("dns", request="/10.1.2.3", receive="host", protocol="tcp")
    message = dns.message.make_query("3.2.1.10.in-addr.arpa.", "PTR", id=0x1234).to_wire()
    answer = dns_answer("3.2.1.10.in-addr.arpa. 60 IN PTR host.example.", "3.2.1.10.in-addr.arpa. IN PTR")
    framed = struct.pack("!H", len(answer)) + answer
    outcome = play(
        converse(question), RandomBytes(2), b"\x12\x34",
        Connect(options=SOCKET), None,
        Send(struct.pack("!H", len(message)) + message), None,
        Receive(65535), framed[:1],
        Receive(65535), framed[1:],
    )  # fmt: skip
    assert outcome.ok


# ---- N ----


def test_a_negotiation_is_followed_by_plain_connects() -> None:
    question = check("nntp", connects_between=2, connect_timeout_us=1_000_000)
    connect = Connect(options=SOCKET, timeout_us=1_000_000)
    positions = []
    position = 0
    for _ in range(5):
        if position:
            outcome = play(converse(question, position), connect, None)
        else:
            outcome = feed(converse(question), b"200 hi")[0]
        position = outcome.position
        positions.append(position)
    assert positions == [2, 1, 0, 2, 1]
    assert feed(converse(question), b"400 no")[0].position == 0

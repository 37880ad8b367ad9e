"""The metrics server against clients that mean no good."""

from __future__ import annotations

import contextlib
import socket
import time

import pytest

from pykeepalived.reactor import Reactor
from pykeepalived.runtime.telemetry import http
from pykeepalived.runtime.telemetry.http import BadRequest, HttpServer, parse

WELL = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Bench:
    def __init__(self, path):
        self.path = str(path / "s")
        self.reactor = Reactor()
        listener = socket.socket(socket.AF_UNIX)
        listener.setblocking(False)
        listener.bind(self.path)
        listener.listen(200)
        self.listener = listener
        self.more = []
        self.picture = (1, b"{}")
        self.asked = []
        self.made = []
        self.server = HttpServer(self.reactor, listener, self.handle, loopback=True)

    def handle(self, asked, reply):
        self.asked.append(asked.path)
        if asked.path == "/follow":
            more = reply.follow(lambda number: None if self.picture[0] == number else self.picture)
            if more is None:
                reply.send(503, "text/plain", b"too many")
            else:
                self.more.append(more)
        elif asked.path == "/big":
            reply.send(200, "text/plain", b"x" * 30_000_000)
        elif asked.path != "/never":
            reply.send(200, "text/plain", b"hello")

    def client(self, first=b""):
        made = socket.socket(socket.AF_UNIX)
        made.connect(self.path)
        made.setblocking(False)
        made.send(first)
        self.made.append(made)
        return made

    def until(self, done, limit_s=120):
        deadline = time.monotonic() + limit_s
        while not done():
            assert time.monotonic() < deadline
            self.reactor.turn(2000)

    def answer(self, client):
        """Everything until the server closes."""
        seen = bytearray()

        def ended():
            try:
                data = client.recv(1 << 20)
            except BlockingIOError:
                return False
            except ConnectionResetError:
                return True
            seen.extend(data)
            return not data

        self.until(ended)
        return bytes(seen)

    def close(self):
        for client in self.made:
            client.close()
        self.server.close()


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.close()


def test_one_request_one_answer(bench):
    answer = bench.answer(bench.client(WELL))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nhello")
    assert b"Content-Security-Policy: default-src 'none'" in answer
    head = bench.answer(bench.client(WELL.replace(b"GET", b"HEAD")))
    assert head.endswith(b"\r\n\r\n")
    assert b"Content-Length: 5" in head


def test_a_second_request_on_the_connection_is_not_read(bench):
    assert bench.answer(bench.client(WELL + WELL)).count(b"HTTP/1.1") == 1
    assert bench.asked == ["/x"]


@pytest.mark.parametrize(
    ("request_", "code", "name"),
    [
        (b"GET /x\r\n\r\n", 400, "request-line"),
        (b"\r\n\r\n", 400, "request-line"),
        (b"G\xffT /x HTTP/1.1\r\n\r\n", 400, "not-ascii"),
        (b"GET /x HTTP/2.0\r\n\r\n", 505, "http-version"),
        (b"POST /x HTTP/1.1\r\n\r\n", 405, "method"),
        (b"GET http://elsewhere/ HTTP/1.1\r\n\r\n", 400, "target"),
        (b"GET /x HTTP/1.1\r\nHost : a\r\n\r\n", 400, "header"),
        (b"GET /x HTTP/1.1\r\n folded\r\n\r\n", 400, "header"),
        (b"GET /x HTTP/1.1\r\nA: b\nC: d\r\n\r\n", 400, "header"),
        (b"GET /x HTTP/1.1\r\nContent-Length: 9\r\n\r\n", 400, "body"),
        (b"GET /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "body"),
        (b"GET /x HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, "host"),
        (b"GET /x HTTP/1.1\r\nA: " + b"b" * http.HEAD_LIMIT, 431, "head-size"),
    ],
)
def test_refusals_have_a_code_and_a_name(bench, request_, code, name):
    assert bench.answer(bench.client(request_)).startswith(f"HTTP/1.1 {code} ".encode())
    assert bench.server.refusals == {name: 1}
    assert bench.asked == []


@pytest.mark.parametrize("host", ["localhost:9165", "127.0.0.1", "[::1]:9165", "LOCALHOST"])
def test_names_of_this_machine(bench, host):
    bench.answer(bench.client(f"GET /x HTTP/1.0\r\nHost: {host}\r\n\r\n".encode()))
    assert bench.asked == ["/x"]


def test_slow_clients_are_cut_off(bench, monkeypatch):
    monkeypatch.setattr(http, "HEAD_TIME_US", 50_000)
    monkeypatch.setattr(http, "ANSWER_TIME_US", 50_000)
    assert bench.answer(bench.client(b"GET /x")) == b""
    # From here on the busiest machine has the time to read a request.
    monkeypatch.setattr(http, "HEAD_TIME_US", 120_000_000)
    assert bench.answer(bench.client(WELL.replace(b"/x", b"/never"))) == b""
    lazy = bench.client(WELL.replace(b"/x", b"/big"))
    bench.until(lambda: bench.server.refusals["slow-reader"] == 1)
    assert bench.server.refusals == {"slow-request": 1, "no-answer": 1, "slow-reader": 1}
    assert bench.server.clients == 0
    lazy.close()


def test_so_many_and_no_more(bench, monkeypatch):
    monkeypatch.setattr(http, "CLIENT_LIMIT", 3)
    idle = [bench.client() for _ in range(3)]
    bench.until(lambda: bench.server.clients == 3)
    assert bench.answer(bench.client()) == b""
    assert bench.server.refusals == {"too-many": 1}
    idle.pop().close()
    bench.until(lambda: bench.server.clients == 2)
    assert bench.answer(bench.client(WELL)).endswith(b"hello")


def test_who_follows_gets_the_newest_picture_alone(bench):
    client = bench.client(WELL.replace(b"/x", b"/follow"))
    seen = bytearray()

    def read(word):
        with contextlib.suppress(BlockingIOError):
            seen.extend(client.recv(1 << 16))
        return word in seen

    bench.until(lambda: read(b"data: {}\n\n"))
    # It does not read; meanwhile there are many pictures. It gets those that were on their way, and the last one.
    for number in range(2, 400):
        bench.picture = (number, b"%06d" % number * 20_000)
        assert bench.more[0]()
        bench.reactor.turn(0)
    bench.until(lambda: read(b"data: 000399"))
    assert seen.count(b"data: ") < 20
    client.close()
    bench.until(lambda: not bench.more[0]())
    assert bench.server.followers == 0


def test_followers_have_a_limit_of_their_own(bench, monkeypatch):
    monkeypatch.setattr(http, "FOLLOWER_LIMIT", 1)
    bench.client(WELL.replace(b"/x", b"/follow"))
    bench.until(lambda: bench.server.followers == 1)
    assert b" 503 " in bench.answer(bench.client(WELL.replace(b"/x", b"/follow")))


def test_random_bytes_end_in_a_refusal():
    for number in range(256):
        for text in (bytes([number]) * 9, b"GET /%c HTTP/1.1" % number, b"GET / HTTP/1.1\r\nA%c: b" % number):
            try:
                parse(text)
            except BadRequest as bad:
                assert bad.code in {400, 405, 505}

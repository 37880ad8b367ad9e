"""Hostile backends: each ends at its limit, with a named reason, in bounded memory, and without holding others up."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import resource
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from pykeepalived.checkers import registry
from pykeepalived.checkers.conversation import Outcome
from pykeepalived.model.checks import (
    CheckQuestion,
    DnsCheck,
    HttpCheck,
    HttpUrl,
    NegotiateCheck,
    SmtpCheck,
    SocketOptions,
    TcpCheck,
    UdpCheck,
)
from tests.connectors.desk import Desk, options
from tests.connectors.servers import Server, read_request, reset, wait_for_end

LIMIT_S = 0.4
MEMORY = 4 << 20

Handler = Callable[[socket.socket], None]


def silent(connection: socket.socket) -> None:
    wait_for_end(connection)


def dripping(connection: socket.socket) -> None:
    for byte in itertools.cycle(b"HTTP/1.0 200 OK\r\nX: yyyyyyyyyy"):
        connection.sendall(bytes((byte,)))
        time.sleep(0.03)


def dripping_body(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
    dripping(connection)


def endless(head: bytes, piece: bytes) -> Handler:
    def handler(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(piece)

    return handler


def closing(data: bytes) -> Handler:
    def handler(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(data)

    return handler


def reset_within(data: bytes) -> Handler:
    def handler(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(data)
        reset(connection)

    return handler


def garbage(connection: socket.socket) -> None:
    connection.sendall(b"\x00\xff" * 4000)
    wait_for_end(connection)


OK = b"HTTP/1.0 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
PAGE = HttpUrl(path="/", digest="0" * 32)
SEARCH = HttpUrl(path="/", regex="never (?=found)")


def http(socket_options: SocketOptions, url: HttpUrl = PAGE, *, tls: bool = False) -> CheckQuestion:
    return HttpCheck(socket=socket_options, urls=(url,), tls=tls)


def https(socket_options: SocketOptions) -> CheckQuestion:
    return http(socket_options, tls=True)


def drips_record(connection: socket.socket) -> None:
    connection.sendall(b"\x16\x03\x03\x40\x00")
    for _ in range(100):
        connection.sendall(b"\x02")
        time.sleep(0.03)


def smtp(socket_options: SocketOptions) -> CheckQuestion:
    return SmtpCheck(socket=socket_options, helo_name="me")


def negotiate(socket_options: SocketOptions) -> CheckQuestion:
    return NegotiateCheck(socket=socket_options, service="http", receive="never")


CASES: list[tuple[str, Handler, Callable[[SocketOptions], CheckQuestion], str]] = [
    ("silent", silent, http, "timeout"),
    ("silent in TLS", silent, https, "timeout"),
    ("silent to smtp", silent, smtp, "timeout"),
    ("drips its headers", dripping, http, "timeout"),
    ("drips its body", dripping_body, http, "timeout"),
    ("drips a TLS record", drips_record, https, "timeout"),
    ("endless headers", endless(OK, b"X: " + b"y" * 9000 + b"\r\n"), http, "too-long"),
    ("one endless header", endless(OK + b"X: ", b"y" * 9000), http, "too-long"),
    ("endless body", endless(OK + b"\r\n", b"z" * 65536), http, "timeout"),
    ("endless body to a search", endless(OK + b"\r\n", b"never " * 10_000), lambda at: http(at, SEARCH), "timeout"),
    ("endless body to ldirectord's search", endless(OK + b"\r\n", b"neve" * 10_000), negotiate, "timeout"),
    ("endless chunk", endless(OK + CHUNKED + b"ffffffffff\r\n", b"z" * 65536), negotiate, "timeout"),
    ("endless chunk size", endless(OK + CHUNKED, b"0" * 9000), negotiate, "too-long"),
    ("endless interim answers", endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000), negotiate, "status-code"),
    ("endless line", endless(b"", b"2" * 9000), smtp, "too-long"),
    ("resets at once", reset, http, "reset"),
    ("resets within its headers", reset_within(OK), http, "reset"),
    ("resets within its body", reset_within(OK + b"\r\nabc"), http, "reset"),
    ("resets within the handshake", reset, https, "reset"),
    ("closes at once", lambda sock: None, http, "no-data reset"),
    ("closes within its headers", closing(OK), http, "no-data"),
    ("closes within the handshake", lambda sock: sock.recv(9), https, "closed reset"),
    ("closes before its greeting", lambda sock: None, smtp, "closed"),
    ("garbage for TLS", garbage, https, "tls"),
    ("garbage for headers", garbage, http, "timeout"),
    ("HTTP for TLS", closing(OK), https, "tls timeout"),
]  # fmt: skip


@pytest.mark.parametrize(("handler", "make", "reasons"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_it_ends(desk: Desk, handler: Handler, make: Callable[[SocketOptions], CheckQuestion], reasons: str) -> None:
    with Server(handler) as server:
        tracemalloc.start()
        try:
            outcome = desk.ask(make(options(server.port, timeout_ms=int(LIMIT_S * 1000))))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert not outcome.ok
    assert outcome.reason in reasons.split()
    # Others share this machine: the limit is kept by the timer, the slack is for the scheduler.
    assert desk.elapsed_s < LIMIT_S + 30
    if outcome.reason == "timeout":
        assert desk.elapsed_s >= LIMIT_S
    assert peak < MEMORY


def compressed_bomb(connection: socket.socket) -> None:
    """Nobody asked for compression; what comes is hashed as it is, and a kilobyte would have meant a megabyte."""
    read_request(connection)
    connection.sendall(OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(64 << 20)))


def ten_gigabytes(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(OK + b"Content-Length: 10737418240\r\n\r\n")
    while True:
        connection.sendall(bytes(1 << 16))


def greets(lines: bytes, piece: bytes) -> Handler:
    """SMTP that answers for ever: with lines without end, or a byte at a time."""

    def handler(connection: socket.socket) -> None:
        connection.sendall(lines)
        while True:
            connection.sendall(piece)
            if len(piece) == 1:
                time.sleep(0.02)

    return handler


HUGE: list[tuple[str, Handler, Callable[[SocketOptions], CheckQuestion], str]] = [
    ("10 GB of body", ten_gigabytes, http, "timeout"),
    ("10 GB of body over TLS", ten_gigabytes, https, "timeout tls"),
    ("a compressed bomb", compressed_bomb, http, "digest timeout"),
    ("SMTP lines without end", greets(b"220-go on\r\n", b"220-and on\r\n"), smtp, "smtp-status timeout"),
    ("SMTP a byte at a time", greets(b"220 hello\r\n", b"2"), smtp, "timeout smtp-status too-long"),
]


@pytest.mark.parametrize(("handler", "make", "reasons"), [case[1:] for case in HUGE], ids=[case[0] for case in HUGE])
def test_the_process_does_not_grow(
    desk: Desk, tls: ssl.SSLContext, handler: Handler, make: Callable[[SocketOptions], CheckQuestion], reasons: str
) -> None:
    """Eight checks of it at a time: as much resident memory as before, but for the buffers of the sockets."""
    outcomes: list[Outcome] = []
    with Server(handler, context=tls if make is https else None) as server:
        desk.ask(make(options(server.port, timeout_ms=300)))
        before = resident()
        began = time.monotonic()
        for _ in range(8):
            question = make(options(server.port, timeout_ms=800))
            desk.connectors.perform(registry.converse(question), 800_000, outcomes.append)
        desk.run_until(lambda: len(outcomes) == 8)
        lasted_s = time.monotonic() - began
        grown = resident() - before
    assert {item.ok for item in outcomes} == {False}
    assert {item.reason for item in outcomes} <= set(reasons.split()), {item.reason for item in outcomes}
    # The floods never end by themselves. Their servers share this process, and others the machine.
    assert lasted_s < 40
    assert grown < 32 << 20


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize("kind", ["dns", "udp"])
def test_datagrams_that_never_end(desk: Desk, kind: str) -> None:
    """A flood of wrong answers: the check ends at its deadline all the same."""
    ended = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(60)

        def flood() -> None:
            _, asker = server.recvfrom(2000)
            while not ended.is_set():
                with contextlib.suppress(OSError):
                    server.sendto(b"\xff" * 1400, asker)

        thread = threading.Thread(target=flood)
        thread.start()
        at = options(server.getsockname()[1], timeout_ms=400)
        question: CheckQuestion = (
            DnsCheck(socket=at) if kind == "dns" else UdpCheck(socket=at, require_reply=True, reply=b"yes")
        )
        try:
            outcome = desk.ask(question)
        finally:
            ended.set()
            thread.join()
    assert not outcome.ok
    assert desk.elapsed_s < 30


def test_records_of_nothing_do_not_hold_the_loop(desk: Desk, tls: ssl.SSLContext) -> None:
    """A TLS peer that sends one byte per record, as fast as it can."""

    def handler(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(OK + b"\r\n")
        while True:
            connection.sendall(b"z")

    with Server(handler, context=tls) as server:
        outcome = desk.ask(http(options(server.port, timeout_ms=400), tls=True))
    assert outcome.reason == "timeout"
    assert desk.elapsed_s < LIMIT_S + 30


def test_an_endless_body_does_not_delay_others(desk: Desk) -> None:
    outcomes: list[Outcome] = []
    quick: list[float] = []
    with Server(endless(OK + b"\r\n", b"z" * 65536)) as flood, Server(wait_for_end) as well:
        for _ in range(4):
            question = http(options(flood.port, timeout_ms=800))
            desk.connectors.perform(registry.converse(question), 800_000, outcomes.append)
        check = TcpCheck(socket=options(well.port))
        end = time.monotonic() + 0.6
        while time.monotonic() < end or len(quick) < 3:
            began = time.monotonic()
            assert desk.ask(check).ok
            quick.append(time.monotonic() - began)
        desk.run_until(lambda: len(outcomes) == 4)
    quick.sort()
    # The flood costs processor time, so a connection takes milliseconds rather than microseconds, and no more.
    assert quick[len(quick) // 2] < 2


def test_a_listener_that_never_accepts(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert desk.ask(TcpCheck(socket=options(port, timeout_ms=300))).ok
        outcome = desk.ask(http(options(port, timeout_ms=300)))
        assert outcome.text == "timeout (receive) url(1)"


def test_many_silent_servers_at_once_cost_one_limit(desk: Desk) -> None:
    outcomes: list[Outcome] = []
    with Server(silent) as server:
        began = time.monotonic()
        for _ in range(200):
            question = http(options(server.port, timeout_ms=500))
            desk.connectors.perform(registry.converse(question), 500_000, outcomes.append)
        desk.run_until(lambda: len(outcomes) == 200)
    assert {outcome.reason for outcome in outcomes} == {"timeout"}
    assert time.monotonic() - began < 20, "one after the other: 100 s"


def test_a_server_that_answers_before_it_is_asked(desk: Desk) -> None:
    def handler(connection: socket.socket) -> None:
        connection.sendall(OK + b"Content-Length: 2\r\n\r\nhi")
        with contextlib.suppress(OSError):
            wait_for_end(connection)

    with Server(handler) as server:
        assert desk.ask(http(options(server.port), HttpUrl(path="/"))).ok
    assert threading.active_count() < 500

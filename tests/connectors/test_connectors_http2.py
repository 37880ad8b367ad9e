"""HTTP/2 and gRPC's health service: nginx, gRPC's own server, and servers that mean no good."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import ssl
import sys
import tracemalloc
from pathlib import Path

import pytest
from msgspec.structs import replace

from pykeepalived.checkers import grpc, http2, http2_exchange, registry
from pykeepalived.dialects import keepalived
from pykeepalived.dialects.keepalived import libraries, printer
from pykeepalived.model.checks import GrpcCheck, HttpCheck, HttpUrl, TlsClient
from tests.connectors import http2_servers as peers
from tests.connectors.desk import Desk, options
from tests.connectors.servers import Server
from tests.dialects.keepalived.fake_host import FakeHost

PAGES = {"hello": b"hello", "empty": b"", "large": os.urandom(3_000_000), "state": b'{"ok": true}'}
MEMORY = 4 << 20


@pytest.fixture(scope="module")
def nginx(tmp_path_factory):
    directory = tmp_path_factory.mktemp("nginx")
    for path in [directory, *directory.parents][:-2]:
        path.chmod(path.stat().st_mode | 0o555)
    with peers.nginx(directory, PAGES) as ports:
        yield (*ports, directory / "certificate.pem")


def page(port: int, path: str = "/hello", *, tls: bool = False, words=None, **more) -> HttpCheck:
    url = HttpUrl(path=path, **(words or {}))
    return HttpCheck(socket=options(port), urls=(url,), tls=tls, protocol="2", **more)


# ---- the words ----

FILE = """\
virtual_server 10.0.0.9 80 {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 10.1.0.1 80 {
        HTTP_GET {
            http_protocol 2
            url {
                path /
            }
        }
        GRPC_CHECK {
            service shop.Cart
            virtualhost cart.example.net
            tls
            sni_name cart.example.net
            verify
            certificate_days 14
        }
    }
}
SSL {
    ca /etc/ssl/our-ca.pem
}
"""


def read(path: Path, text: str):
    path.write_text(text)
    return keepalived.load(str(path), host=FakeHost())


def test_the_words_are_read_and_printed(tmp_path):
    config = read(tmp_path / "a", FILE).config
    first, second = (spec.question for spec in config.virtual_servers[0].real_servers[0].checkers)
    assert first.protocol == "2"
    assert (second.service, second.virtualhost, second.sni_name) == (
        "shop.Cart",
        "cart.example.net",
        "cart.example.net",
    )
    assert (second.tls, second.verify, second.certificate_days) == (True, True, 14)
    assert second.client == TlsClient(ca="/etc/ssl/our-ca.pem")
    assert read(tmp_path / "b", printer.print_config(config).text).config == config


def test_without_the_library_the_words_are_refused_at_load(tmp_path, monkeypatch):
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    found = [item for item in read(tmp_path / "a", FILE).findings.items if item.id == "missing-library"]
    assert [(item.message.split("`")[1], item.help) for item in found] == [
        ("http_protocol 2", "install `pykeepalived[http2]`"),
         ("GRPC_CHECK", "install `pykeepalived[http2]`")]  # fmt: skip


def test_without_the_library_a_check_fails_and_says_why(desk, monkeypatch):
    monkeypatch.setattr(http2, "find_spec", lambda name: None)
    with Server(peers.speaker()) as server:
        for question in (page(server.port), GrpcCheck(socket=options(server.port))):
            assert "pykeepalived[http2]" in (registry.unavailable(question) or "")
            assert desk.ask(question).reason == "not-available"


# ---- HTTP/2 with nginx ----


@pytest.mark.shows("virtual_server.real_server.{HTTP_GET,SSL_GET}.http_protocol")
@pytest.mark.parametrize("tls", [False, True])
def test_pages_of_nginx_over_http2(desk: Desk, nginx, tls: bool) -> None:
    port = nginx[1 if tls else 0]
    for name, body in PAGES.items():
        digest = {"digest": hashlib.md5(body).hexdigest()}
        assert desk.ask(page(port, f"/{name}", tls=tls, words=digest)).ok
        assert desk.ask(page(port, f"/{name}", tls=tls, words={"digest": "0" * 32})).reason == "digest"
    assert desk.ask(page(port, "/missing", tls=tls)).text.startswith("HTTP status code error: 404")
    assert desk.ask(page(port, "/moved", tls=tls, words={"status_codes": ((302, 302),)})).ok
    assert desk.ask(page(port, "/state", tls=tls, words={"json": ("ok", "true")})).ok
    # The server says which protocol it was spoken to in, and by which name.
    said = {"regex": "^a.example-HTTP/2.0$"}
    assert desk.ask(page(port, "/name", tls=tls, words=said, virtualhost="a.example")).ok
    assert not desk.ask(page(port, "/name", tls=tls, words=said, virtualhost="b.example")).ok


def test_a_certificate_is_looked_at_over_http2_too(desk: Desk, nginx) -> None:
    _, both, _, file = nginx
    assert desk.ask(page(both, tls=True, verify=True)).reason == "tls"
    assert desk.ask(page(both, tls=True, verify=True, client=TlsClient(ca=str(file)))).ok
    assert "certificate: ends in" in desk.ask(page(both, tls=True, certificate_days=31)).text


def test_who_speaks_only_http1_is_named(desk: Desk, nginx, tls: ssl.SSLContext) -> None:
    assert "no application protocol" in desk.ask(page(nginx[2], tls=True)).text
    with Server(peers.speaker(), context=tls) as server:
        assert desk.ask(page(server.port, tls=True)).text == "TLS: the server does not speak h2 url(1)"
    with Server(lambda sock: (sock.recv(999), sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))) as server:
        assert desk.ask(page(server.port)).reason in ("no-http2", "reset")


# ---- gRPC ----


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    directory = tmp_path_factory.mktemp("grpc")
    with peers.grpc_server(directory) as ports:
        yield (*ports, str(directory / "certificate.pem"))


@pytest.mark.shows("virtual_server.real_server.GRPC_CHECK.{service,tls,verify,certificate_days,sni_name}")
def test_the_health_service_of_grpc(desk: Desk, healthy) -> None:
    plain, tls, file = healthy
    for port, more in ((plain, {}), (tls, {"tls": True})):
        for service, reason in (
            ("", "serving"), ("well", "serving"), ("ill", "not-serving"), ("odd", "not-serving"),
            ("none", "grpc-status"),
        ):  # fmt: skip
            outcome = desk.ask(GrpcCheck(socket=options(port), service=service, **more))
            assert (outcome.ok, outcome.reason) == (reason == "serving", reason), outcome
    verified = {"tls": True, "verify": True, "client": TlsClient(ca=file)}
    assert desk.ask(GrpcCheck(socket=options(tls), **verified)).ok
    assert desk.ask(GrpcCheck(socket=options(tls), sni_name="localhost", **verified)).ok
    assert desk.ask(GrpcCheck(socket=options(tls), sni_name="another.example", **verified)).reason == "tls"
    assert desk.ask(GrpcCheck(socket=options(tls), tls=True, verify=True)).reason == "tls"
    assert "ends in" in desk.ask(GrpcCheck(socket=options(tls), tls=True, certificate_days=31)).text


def test_a_server_of_grpc_without_a_health_service(desk: Desk, tmp_path: Path) -> None:
    with peers.grpc_server(tmp_path, "bare") as (plain, _):
        outcome = desk.ask(GrpcCheck(socket=options(plain)))
    assert outcome.text == "gRPC status 12: no health service"


@pytest.mark.shows("virtual_server.real_server.GRPC_CHECK.virtualhost")
def test_the_authority_is_the_virtualhost(desk: Desk, nginx) -> None:
    asked: list[bytes] = []

    def handler(connection: socket.socket) -> None:
        asked.append(connection.recv(65536))

    with Server(handler) as server:
        desk.ask(GrpcCheck(socket=options(server.port), virtualhost="cart.example.net"))
        desk.ask(GrpcCheck(socket=options(server.port)))
    from hpack import Decoder  # noqa: PLC0415 - only this test reads a request

    named = []
    for data in asked:
        at = data.index(b"SM\r\n\r\n") + 6
        while data[at + 3] != peers.HEADERS:
            at += 9 + int.from_bytes(data[at : at + 3], "big")
        block = data[at + 9 : at + 9 + int.from_bytes(data[at : at + 3], "big")]
        named.append(dict(Decoder().decode(block))[":authority"])
    assert named == ["cart.example.net", f"127.0.0.1:{server.port}"]
    # nginx is no gRPC server, and says so in plain HTTP.
    assert desk.ask(GrpcCheck(socket=options(nginx[0]))).reason == "status-code"


# ---- what a health message is ----


def framed(body: bytes) -> bytes:
    return b"\0" + len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    ("document", "state"),
    [(framed(b"\x08\x01"), 1), (framed(b""), 0), (framed(b"\x08\x01\x08\x02"), 2), (b"", None),
     (b"\1" + bytes(4), None),
     (framed(b"\x12\x03abc\x08\x01"), 1), (framed(b"\x12\x09abc"), None), (framed(b"\x08"), None),
     (framed(b"\x08" + b"\xff" * 20), None), (framed(b"\x0b"), None), (framed(b"\x08\x01") + b"x", None)],
)  # fmt: skip
def test_the_state_in_a_message(document: bytes, state: int | None) -> None:
    assert grpc.state_of(document) == state


def test_a_long_name_has_a_long_length() -> None:
    assert grpc.message("x" * 200) == framed(b"\x0a\xc8\x01" + b"x" * 200)
    for seed in range(2000):
        grpc.state_of(framed(random.Random(seed).randbytes(seed % 12)))


# ---- servers that mean no good ----

F = peers.frame
OPEN_HEAD = F(peers.HEADERS, b"\x88", stream=1)
OK_HEAD = peers.head()
ENDLESS_BODY = peers.speaker(OK_HEAD, repeat=F(peers.DATA, b"x" * 16000, stream=1))
CASES = [
    ("silent", peers.speaker(), "timeout"),
    ("settings without end", peers.speaker(repeat=F(peers.SETTINGS, b"\0\4\0\0\xff\xff" * 9) * 99),
     "http2-flood reset"),
    ("pings without end", peers.speaker(repeat=F(peers.PING, bytes(8)) * 500), "http2-flood reset"),
    ("unknown frames without end", peers.speaker(repeat=F(99, b"x" * 16384)), "http2-flood"),
    ("empty data without end", peers.speaker(OK_HEAD, repeat=F(peers.DATA, stream=1) * 500),
     "http2-flood http2-protocol"),
    ("data a byte at a time", peers.speaker(OK_HEAD, repeat=F(peers.DATA, b"x", stream=1) * 500), "http2-flood"),
    ("headers in pieces without end", peers.speaker(
        OPEN_HEAD, repeat=F(peers.CONTINUATION, b"\x40\1a\1b" * 99, stream=1)),
     "http2-headers"),
    ("empty pieces of headers", peers.speaker(OPEN_HEAD, repeat=F(peers.CONTINUATION, stream=1) * 99), "http2-headers"),
    ("a bomb of headers", peers.speaker(F(peers.HEADERS, b"\x88\x40\1a\x7f\x81\x1e" + b"b" * 4000 + b"\xbe" * 9000,
                                          flags=peers.END_HEADERS, stream=1)), "http2-protocol"),
    ("interim answers without end", peers.speaker(repeat=peers.head(status="100") * 50), "http2-flood"),
    ("a frame too large", peers.speaker(F(peers.DATA, b"x" * 99, stream=1, size=0xFFFFFF)), "no-http2"),
    ("a body without end", ENDLESS_BODY, "timeout http2-protocol"),
    ("goodbye", peers.speaker(F(peers.GOAWAY, bytes(4) + b"\0\0\0\2")), "http2-goaway"),
    ("goodbye to us", peers.speaker(F(peers.GOAWAY, bytes(8)), stay=False), "http2-goaway reset"),
    ("a reset of the stream", peers.speaker(F(peers.RESET, b"\0\0\0\7", stream=1)), "http2-reset"),
    ("a push", peers.speaker(F(peers.PUSH, b"\0\0\0\2\x88", flags=peers.END_HEADERS, stream=1)), "http2-protocol"),
    ("a window beyond the limit", peers.speaker(F(peers.WINDOW, b"\x7f\xff\xff\xff")), "http2-protocol"),
    ("another stream", peers.speaker(F(peers.DATA, b"x", stream=3)), "http2-protocol"),
    ("an end within a frame", peers.speaker(OK_HEAD + F(peers.DATA, b"x", stream=1, size=9), stay=False),
     "no-data reset"),
    ("an end at once", lambda sock: None, "no-data reset"),
    ("no status", peers.speaker(F(peers.HEADERS, b"\x00\1a\1b", flags=5, stream=1)), "http2-protocol"),
    ("a status that is none", peers.speaker(peers.head(status="20x", end=True)), "status-code http2-protocol"),
]  # fmt: skip


@pytest.mark.parametrize("kind", ["http", "grpc"])
@pytest.mark.parametrize(("handler", "reasons"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_it_ends(desk: Desk, handler, reasons: str, kind: str) -> None:
    with Server(handler) as server:
        where = options(server.port, timeout_ms=400 if "timeout" in reasons else 20_000)
        question = GrpcCheck(socket=where) if kind == "grpc" else replace(page(server.port), socket=where)
        tracemalloc.start()
        try:
            outcome = desk.ask(question)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    # What gRPC looks at is short, so its bound is met before the deadline.
    also = "too-long" if kind == "grpc" and handler is ENDLESS_BODY else ""
    assert not outcome.ok
    assert outcome.reason in f"{reasons} {also}".split(), outcome
    assert peak < MEMORY


@pytest.mark.parametrize("last", [b"\0\0\0\1", b"\x7f\xff\xff\xff"])
def test_a_server_that_says_goodbye_while_it_answers_is_heard_to_the_end(desk: Desk, last: bytes) -> None:
    handler = peers.speaker(
        F(peers.GOAWAY, last + bytes(4)), OK_HEAD, F(peers.DATA, b"hello", stream=1, flags=peers.END_STREAM)
    )
    with Server(handler) as server:
        assert desk.ask(page(server.port, words={"digest": hashlib.md5(b"hello").hexdigest()})).ok


def test_what_comes_behind_the_answer_is_not_looked_at(desk: Desk) -> None:
    with Server(peers.speaker(peers.head(end=True), b"garbage" * 99)) as server:
        assert desk.ask(page(server.port)).ok


def test_garbage_never_is_a_defect(desk: Desk) -> None:
    """Whatever bytes come, the outcome has a name of ours; nothing is raised through the check."""
    for seed in range(150):
        chance = random.Random(seed)
        pieces = b"".join(
            F(chance.randrange(11), chance.randbytes(chance.randrange(20)), flags=chance.randrange(256),
              stream=chance.choice((0, 1, 1, 2)))
            for _ in range(9)
        )  # fmt: skip
        with Server(peers.speaker(chance.choice((b"", OK_HEAD)), pieces, stay=False)) as server:
            outcome = desk.ask(page(server.port))
        assert "defect" not in outcome.text, (seed, outcome)
        assert outcome.reason != "local-error", (seed, outcome)


def test_the_bounds_are_those_of_the_manual() -> None:
    assert (http2_exchange.FRAMES_LIMIT, http2_exchange.FRAME_LIMIT, grpc.ANSWER_LIMIT) == (512, 16384, 4096)
    assert ssl.HAS_ALPN
    assert sys.modules["h2"]

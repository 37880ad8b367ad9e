"""Checks beyond the originals, asked of servers that are really there: send and expect, JSON values, certificates."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import msgspec
import pytest

from pykeepalived.checkers import certificate as certificates
from pykeepalived.checkers import json_value
from pykeepalived.checkers.tcp import ANSWER_LIMIT, unescaped
from pykeepalived.dialects import keepalived
from pykeepalived.dialects.keepalived import printer
from pykeepalived.model.checks import HttpCheck, HttpUrl, TcpCheck, TlsClient
from tests.connectors.desk import Desk, options
from tests.connectors.servers import Server, certificate
from tests.dialects.keepalived.fake_host import FakeHost

FILE = """\
virtual_server 10.0.0.9 80 {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 10.1.0.1 80 {
        TCP_CHECK {
            send "PING"
            expect "^\\+PONG"
        }
        SSL_GET {
            verify
            certificate_days 14
            url {
                path /health
                json checks.0.status "all well"
            }
        }
    }
}
"""
PAGE = b'HTTP/1.0 200 OK\r\n\r\n{"checks": [{"status": "all well", "count": 3, "on": true}]}'


def read(tmp_path, text=FILE):
    file = tmp_path / "k.conf"
    file.write_text(text)
    loaded = keepalived.load(str(file), host=FakeHost())
    return [spec.question for spec in loaded.config.virtual_servers[0].real_servers[0].checkers]


def test_the_words_are_read_and_printed(tmp_path):
    tcp, page = read(tmp_path)
    assert (tcp.send, tcp.expect) == ("PING", r"^\+PONG")
    assert (page.verify, page.certificate_days, page.urls[0].json) == (True, 14, ("checks.0.status", "all well"))
    file = tmp_path / "again.conf"
    file.write_text(FILE)
    text = printer.print_config(keepalived.load(str(file), host=FakeHost()).config).text
    assert read(tmp_path, text) == [tcp, page]


# ---- send and expect ----


def answering(replies):
    """A server that answers what it knows, and says nothing else."""

    def handler(connection):
        asked = connection.recv(4096)
        connection.sendall(replies.get(asked, b"-ERR\r\n"))
        if asked == b"endless":
            while True:
                connection.sendall(b"x" * 65536)
        if asked == b"silent":
            time.sleep(30)

    return handler


@pytest.mark.shows("virtual_server.real_server.TCP_CHECK.{send,expect}")
@pytest.mark.parametrize(
    ("send", "expect", "ok"),
    [(r"PING\r\n", r"^\+PONG", True), (r"PING\r\n", "^-ERR", False), ("other", r"^\+PONG", False), ("x", "ERR", True),
     ("endless", "^never", False)],
)  # fmt: skip
def test_what_a_server_says_must_match(desk, send, expect, ok):
    with Server(answering({b"PING\r\n": b"+PONG\r\n"})) as server:
        outcome = desk.ask(TcpCheck(socket=options(server.port), send=send, expect=expect))
    assert outcome.ok is ok, outcome


def test_a_server_that_says_nothing_meets_the_deadline(desk):
    with Server(answering({b"silent": b""})) as server:
        outcome = desk.ask(TcpCheck(socket=options(server.port, timeout_ms=300), send="silent", expect="x"))
    assert outcome.reason == "timeout"


def test_the_escapes_of_c_and_no_others():
    assert unescaped(r"a\r\n\t\0\\n\x") == b"a\r\n\t\0\\n\\x"
    assert ANSWER_LIMIT < 1 << 20


# ---- JSON ----


@pytest.mark.shows("virtual_server.real_server.{HTTP_GET,SSL_GET}.url.json")
@pytest.mark.parametrize(
    ("wanted", "ok"),
    [(("checks.0.status", "all well"), True), (("checks.0.count", "3"), True), (("checks.0.on", "true"), True),
     (("checks.0.status", "ill"), False), (("checks.1.status", "x"), False), (("nothing", "null"), False)],
)  # fmt: skip
def test_a_json_value_decides(desk, wanted, ok):
    with Server(lambda connection: (connection.recv(4096), connection.sendall(PAGE))) as server:
        outcome = desk.ask(HttpCheck(socket=options(server.port), urls=(HttpUrl(path="/", json=wanted),)))
    assert outcome.ok is ok, outcome


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a": 1' + b" " * 300_000 + b"}"])
def test_no_document_makes_it_raise(body):
    assert not json_value.judge(body, "a", "2").ok


# ---- certificates ----


@pytest.fixture
def site(tmp_path):
    certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    with Server(lambda connection: (connection.recv(4096), connection.sendall(PAGE)), context=context) as server:
        yield server, str(tmp_path / "certificate.pem")


def asked(desk: Desk, server, **words):
    check = HttpCheck(socket=options(server.port), urls=(HttpUrl(path="/"),), tls=True)
    return desk.ask(msgspec.structs.replace(check, **words))


@pytest.mark.shows("virtual_server.real_server.SSL_GET.verify")
def test_a_certificate_that_nobody_signed_is_refused_when_asked_to_verify(desk, site):
    server, file = site
    assert asked(desk, server).ok
    refused = asked(desk, server, verify=True)
    assert (refused.ok, refused.reason) == (False, "tls")
    assert asked(desk, server, verify=True, client=TlsClient(ca=file)).ok
    named = asked(desk, server, verify=True, client=TlsClient(ca=file), sni_name="another.example", enable_sni=True)
    assert not named.ok


@pytest.mark.shows("virtual_server.real_server.SSL_GET.certificate_days")
def test_a_certificate_that_ends_soon_is_a_failure_before_it_has_ended(desk, site):
    server, file = site
    der = ssl.PEM_cert_to_DER_cert(Path(file).read_text(encoding="ascii"))
    end_s = certificates.not_after_s(der)
    left_days = int((end_s - time.time()) / 86_400)
    # Again with a session that is resumed: the certificate is that of the whole handshake.
    for _ in range(2):
        assert asked(desk, server, certificate_days=max(1, left_days - 1)).ok or left_days < 2
        outcome = asked(desk, server, certificate_days=left_days + 2)
        assert "certificate: ends in" in outcome.text


def test_bytes_that_are_no_certificate_have_no_end(tmp_path):
    certificate(tmp_path)
    der = ssl.PEM_cert_to_DER_cert((tmp_path / "certificate.pem").read_text())
    assert certificates.not_after_s(der) is not None
    for length in range(0, len(der), 3):
        certificates.not_after_s(der[:length])
    for at in range(120):
        certificates.not_after_s(der[:at] + bytes([der[at] ^ 0xFF]) + der[at + 1 :])

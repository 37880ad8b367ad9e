"""TLS sessions are used again where that changes nothing for the verdict, and never for longer than a minute."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pykeepalived.model.checks import HttpCheck, HttpUrl, TlsClient
from pykeepalived.netio.connectors.tls import Sessions
from tests.connectors.desk import Desk, options
from tests.connectors.servers import Server, certificate

PAGE = b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHECK = HttpCheck(socket=options(0), urls=(HttpUrl(path="/"),), tls=True)


class Site:
    """A server that notes which of its handshakes were short ones."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.short: list[bool | None] = []
        self.came = threading.Event()
        self.server = Server(self._answer, context=context)

    def _answer(self, connection: Any) -> None:
        self.short.append(connection.session_reused)
        connection.recv(4096)
        connection.sendall(PAGE)

    def check(self, **words: Any) -> HttpCheck:
        return msgspec.structs.replace(CHECK, socket=options(self.server.port), **words)


@pytest.fixture
def tls_files(tmp_path: Path) -> tuple[str, str]:
    """A certificate and its key."""
    certificate(tmp_path)
    return str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem")


@pytest.fixture
def site(tls: ssl.SSLContext) -> Iterator[Site]:
    site = Site(tls)
    with site.server:
        yield site


def test_the_second_handshake_is_a_short_one(desk: Desk, site: Site) -> None:
    for _ in range(3):
        assert desk.ask(site.check()).ok
    assert site.short == [False, True, True]


def test_other_names_and_servers_have_sessions_of_their_own(desk: Desk, site: Site) -> None:
    for name in ("a.example.org", "b.example.org", "a.example.org"):
        assert desk.ask(site.check(sni_name=name)).ok
    assert site.short == [False, False, True]


def test_a_client_certificate_is_shown_each_time(desk: Desk, site: Site, tls_files: tuple[str, str]) -> None:
    certificate, key = tls_files
    check = site.check(client=TlsClient(certificate=certificate, key=key))
    for _ in range(2):
        assert desk.ask(check).ok
    assert site.short == [False, False]


def test_a_server_that_has_forgotten_the_session_is_asked_in_full(
    desk: Desk, site: Site, tls_files: tuple[str, str]
) -> None:
    assert desk.ask(site.check()).ok
    site.server.context = certificate(Path(tls_files[0]).parent)
    assert desk.ask(site.check()).ok
    assert site.short == [False, False]


def test_a_session_lasts_a_minute() -> None:
    now = 0.0
    sessions = Sessions(lambda: now)
    made: Any = object()
    sessions.put(("a",), made)
    now = 59.0
    assert sessions.get(("a",)) is made
    now = 60.5
    assert sessions.get(("a",)) is None
    sessions.put(("a",), made)
    sessions.forget(("a",))
    assert sessions.get(("a",)) is None

"""vrrp_script without a program: TCP, a web page, a Unix socket; whatever the peer does, an answer comes in time."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykeepalived.dialects.keepalived import load
from pykeepalived.netio.track_probe import TrackProbes
from pykeepalived.reactor import Reactor
from tests.dialects.keepalived.fake_host import FakeHost

ROUND_US = 30_000_000


def ask(words: tuple[str, ...], timeout_us: int = ROUND_US) -> int | None:
    reactor = Reactor()
    probes = TrackProbes(reactor)
    found: list[int | None] = []
    probes.ask("a", words, timeout_us, found.append)
    while not found:
        reactor.turn(ROUND_US)
    probes.close()
    reactor.close()
    [status] = found
    return status


@contextlib.contextmanager
def server(answer: bytes) -> Iterator[str]:
    """Answers one request with these bytes, and keeps the connection open until the end."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                if answer:
                    connection.recv(4096)
                    connection.sendall(answer)
                over.wait(60)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield str(listener.getsockname()[1])
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 200 OK\r\n", 0),
        (b"HTTP/1.0 204 Nothing\r\nA: b\r\n\r\n", 0),
        (b"HTTP/1.1 503 Busy\r\n", 1),
        (b"SSH-2.0-x\r\n", 1),
        (b"x" * 8192, 1),
    ],
)
def test_a_page(answer: bytes, status: int) -> None:
    with server(answer) as port:
        assert ask(("http", "127.0.0.1", port, "/well")) == status


def test_a_page_that_does_not_come() -> None:
    with server(b"HTTP/1.1 20") as port:
        assert ask(("http", "127.0.0.1", port, "/"), 200_000) is None


def test_a_port() -> None:
    with server(b"") as port:
        assert ask(("tcp", "127.0.0.1", port)) == 0
    assert ask(("tcp", "127.0.0.1", port)) == 1


def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        assert ask(("unix_socket", str(path))) == 0
    assert ask(("unix_socket", str(path))) == 1
    assert ask(("unix_socket", str(tmp_path / "none"))) == 1


@pytest.mark.shows("vrrp_script.{tcp,http,unix_socket}")
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tcp 127.0.0.1 80", ("tcp", "127.0.0.1", "80")),
        ("http ::1 80", ("http", "::1", "80", "/")),
        ("http 127.0.0.1 80 /well?a=b", ("http", "127.0.0.1", "80", "/well?a=b")),
        ("unix_socket /run/s", ("unix_socket", "/run/s")),
    ],
)
def test_the_words(tmp_path: Path, line: str, words: tuple[str, ...]) -> None:
    file = tmp_path / "keepalived.conf"
    file.write_text(
        f"vrrp_script q {{\n    {line}\n    interval 2\n}}\n"
        "vrrp_instance V {\n    interface lo\n    virtual_router_id 1\n"
        "    virtual_ipaddress {\n        10.0.0.9\n    }\n    track_script {\n        q\n    }\n}\n"
    )
    [script] = load(str(file), host=FakeHost()).config.scripts
    assert script.question
    assert script.script.argv == words

"""Events to a webhook: against Python's own web server, with and without TLS, and against hostile peers."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pykeepalived.dialects.keepalived import load
from pykeepalived.model.agents import AgentSettings
from pykeepalived.model.config import Config
from pykeepalived.model.webhook import WebhookPlace, webhook_place
from pykeepalived.notify.webhook import QUEUE_LIMIT, Webhook
from pykeepalived.reactor import Reactor
from pykeepalived.runtime.agents_process import AgentsProgram
from pykeepalived.runtime.program import Context
from pykeepalived.tools.plan.change import differences
from tests.dialects.keepalived.fake_host import FakeHost

EVENT = {"seq": 7, "event": "vrrp-state", "at": 1.5, "kind": "INSTANCE", "name": "VI_1", "state": "MASTER"}
TOKEN = "t0ken"


class Log:
    def __init__(self) -> None:
        self.errors: list[str] = []

    def error(self, text: str) -> None:
        self.errors.append(text)

    def info(self, text: str) -> None: ...


class Desk:
    def __init__(self) -> None:
        self.reactor = Reactor()
        self.log = Log()
        self.webhook = Webhook(self.reactor, self.log, pauses_us=(1000, 1000))

    def use(self, url: str, **more: Any) -> None:
        settings = AgentSettings(webhook_url=url, webhook_address=webhook_place(url).host, **more)
        self.webhook.configure(settings, "lb1")

    def until(self, condition: Callable[[], bool], limit_s: float = 60) -> None:
        deadline = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < deadline, (self.webhook.status(), self.log.errors)
            self.reactor.turn(20_000)

    def until_settled(self) -> None:
        self.until(lambda: not self.webhook.status()["waiting"])


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.webhook.close()
    made.reactor.close()


class Server(ThreadingHTTPServer):
    """Answers with `statuses` in order, then with 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses: list[int] = []
        self.heard: list[tuple[str, dict[str, str], Any]] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Handshakes fail here on purpose."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.heard.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(server.statuses.pop(0) if server.statuses else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None: ...


@contextmanager
def web(context: ssl.SSLContext | None = None) -> Iterator[tuple[Server, int]]:
    server = Server()
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server, server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(30)


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tls")
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    subprocess.run(
        [*words, "-subj", "/CN=hook", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", directory / "key.pem", "-out", directory / "cert.pem"],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    (directory / "both.pem").write_text((directory / "cert.pem").read_text() + (directory / "key.pem").read_text())
    return directory / "both.pem"


def tls(pem: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def test_events_arrive_in_order_as_json(desk: Desk) -> None:
    with web() as (server, port):
        desk.use(f"http://127.0.0.1:{port}/hook?a=1")
        for number in range(20):
            desk.webhook.send({**EVENT, "seq": number})
        desk.webhook.send({"event": "mail", "subject": "not this one"})
        desk.until_settled()
        assert [body["seq"] for _, _, body in server.heard] == list(range(20))
        path, headers, body = server.heard[0]
        assert path == "/hook?a=1"
        assert body == {**EVENT, "seq": 0, "router_id": "lb1"}
        assert headers["content-type"] == "application/json"
        assert headers["host"] == f"127.0.0.1:{port}"
        assert "authorization" not in headers
        assert desk.webhook.sent == 20


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_a_busy_server_is_asked_again_and_the_order_stays(desk: Desk, status: int) -> None:
    with web() as (server, port):
        server.statuses = [status, status]
        desk.use(f"http://127.0.0.1:{port}/")
        desk.webhook.send({**EVENT, "seq": 1})
        desk.webhook.send({**EVENT, "seq": 2})
        desk.until_settled()
        assert [body["seq"] for _, _, body in server.heard] == [1, 1, 1, 2]
        assert desk.webhook.status() == {"sent": 2, "waiting": 0, "lost": {}, "retried": {"busy": 2}}


def test_the_number_of_tries_is_bounded(desk: Desk) -> None:
    with web() as (server, port):
        server.statuses = [500, 500, 500]
        desk.use(f"http://127.0.0.1:{port}/")
        desk.webhook.send({**EVENT, "seq": 1})
        desk.webhook.send({**EVENT, "seq": 2})
        desk.until_settled()
        assert [body["seq"] for _, _, body in server.heard] == [1, 1, 1, 2]
        assert (dict(desk.webhook.lost), desk.webhook.sent) == ({"busy": 1}, 1)
        assert len(desk.log.errors) == 1


@pytest.mark.parametrize("status", [301, 400, 404])
def test_a_refusal_is_final_and_no_redirect_is_followed(desk: Desk, status: int) -> None:
    with web() as (server, port):
        server.statuses = [status]
        desk.use(f"http://127.0.0.1:{port}/")
        desk.webhook.send(EVENT)
        desk.until_settled()
        assert (len(server.heard), dict(desk.webhook.lost)) == (1, {"refused": 1})


@pytest.mark.parametrize("trusted", [True, False])
def test_the_server_must_show_who_it_is(desk: Desk, pem: Path, trusted: bool) -> None:
    with web(tls(pem)) as (server, port):
        desk.use(f"https://127.0.0.1:{port}/", webhook_ca=str(pem) if trusted else None, webhook_token=TOKEN)
        desk.webhook.send(EVENT)
        desk.until_settled()
        if trusted:
            assert server.heard[0][1]["authorization"] == f"Bearer {TOKEN}"
        else:
            assert (server.heard, dict(desk.webhook.lost)) == ([], {"tls": 1})
            assert "certificate verify failed" in desk.log.errors[0]


@contextmanager
def hostile(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            behave(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
                threads[-1].start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(30)


def _silent(connection: socket.socket) -> None:
    while connection.recv(1000):
        pass


def _dripping(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"H")
        time.sleep(0.02)


def _endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X: y\r\n" * 1000)


def _closing(connection: socket.socket) -> None:
    connection.recv(1)


def _garbage(connection: socket.socket) -> None:
    connection.sendall(b"\xff\x00 200\r\n\r\n")
    _silent(connection)


def _continues(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    _silent(connection)


@pytest.mark.parametrize(
    ("behave", "name"),
    [
        (_silent, "timeout"),
        (_dripping, "timeout"),
        (_endless, "reply-too-long"),
        (_closing, "closed"),
        (_garbage, "not-http"),
        (_continues, "not-http"),
    ],
)
def test_a_hostile_server_costs_a_bounded_time(desk: Desk, behave: Callable[..., None], name: str) -> None:
    with hostile(behave) as port:
        desk.use(f"http://127.0.0.1:{port}/", webhook_timeout=100_000 if name == "timeout" else 30_000_000)
        desk.webhook.send(EVENT)
        desk.until_settled()
        assert dict(desk.webhook.lost) == {name: 1}


def test_a_server_that_is_not_there_and_one_without_an_address(desk: Desk) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        desk.use(f"http://127.0.0.1:{taken.getsockname()[1]}/")
        desk.webhook.send(EVENT)
        desk.until_settled()
    desk.use("http://name.example/")
    desk.webhook.send(EVENT)
    desk.until_settled()
    assert dict(desk.webhook.lost) == {"connect": 1, "unknown-host": 1}


def test_the_queue_is_bounded_and_the_end_does_not_wait(desk: Desk) -> None:
    with hostile(_silent) as port:
        desk.use(f"http://127.0.0.1:{port}/", webhook_timeout=60_000_000)
        for _ in range(QUEUE_LIMIT + 30):
            desk.webhook.send(EVENT)
        assert desk.webhook.lost["queue-full"] == 30
        assert len(desk.log.errors) == 1
        ended: list[bool] = []
        desk.webhook.when_idle(50_000, lambda: ended.append(True))
        desk.until(lambda: bool(ended))
        assert desk.webhook.lost["stopped"] == QUEUE_LIMIT


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://a.example", WebhookPlace(False, "a.example", 80, "/")),
        ("https://[2001:db8::1]:8443/x?y=1#z", WebhookPlace(True, "2001:db8::1", 8443, "/x?y=1")),
    ],
)
def test_urls(url: str, place: WebhookPlace) -> None:
    assert webhook_place(url) == place


@pytest.mark.parametrize(
    "url",
    ["ftp://a/", "a.example/x", "http:///x", "http://u:p@a/", "http://a/ b", "http://a/\r\nX: y", "http://a:0/",
     "http://a:99999/", "http://a:x/", "http://[::1/", "http://a/" + "x" * 2000],
)  # fmt: skip
def test_what_is_no_url_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        webhook_place(url)
    if url.isprintable():
        (tmp_path / "conf").write_text(f'global_defs {{\n webhook_url "{url}"\n}}\n')
        result = load(str(tmp_path / "conf"), host=FakeHost())
        assert "invalid-url" in {item.id for item in result.findings.items}


def configured(tmp_path: Path, words: str) -> Config:
    (tmp_path / "conf").write_text(f"global_defs {{\n router_id lb1\n {words}\n}}\n")
    config = load(str(tmp_path / "conf"), host=FakeHost()).config
    assert config is not None
    return config


@pytest.mark.shows("global_defs.{webhook_url,webhook_ca,webhook_token,webhook_timeout}")
def test_the_words_send_the_daemon_s_events(tmp_path: Path, pem: Path) -> None:
    questions: dict[str, Any] = {}

    def ask(command: str, arguments: Mapping[str, Any], answered: Any) -> None:
        questions[command] = answered

    reactor, log, over = Reactor(), Log(), []
    context = Context(
        reactor=reactor, log=log, scripts=None, options=None, finished=over.append, emit=None, ask=ask,  # type: ignore[arg-type]
    )  # fmt: skip
    with web(tls(pem)) as (server, port):
        config = configured(
            tmp_path,
            f"webhook_url https://127.0.0.1:{port}/x\n webhook_ca {pem}\n webhook_token {TOKEN}\n webhook_timeout 30",
        )
        assert config.globals.agents.active
        assert config.globals.agents.webhook_timeout == 30_000_000
        program = AgentsProgram(context)
        program.start(config)
        questions["events"]({"ok": True, "result": {"events": [EVENT]}})
        deadline = time.monotonic() + 60
        while not program.status()["webhook"]["sent"]:
            assert time.monotonic() < deadline, log.errors
            reactor.turn(20_000)
        assert server.heard[0][2] == {**EVENT, "router_id": "lb1"}
        program.stop()
        while not over:
            assert time.monotonic() < deadline
            reactor.turn(20_000)
    reactor.close()


def test_no_token_without_tls_and_none_in_a_plan(tmp_path: Path) -> None:
    plain = configured(tmp_path, f"webhook_url http://127.0.0.1/\n webhook_token {TOKEN}").globals.agents
    assert plain.webhook_token is None
    secure = configured(tmp_path, f"webhook_url https://127.0.0.1/\n webhook_token {TOKEN}").globals.agents
    assert secure.webhook_token == TOKEN
    assert TOKEN not in "\n".join(differences(plain, secure))

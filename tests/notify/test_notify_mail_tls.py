"""Mails with TLS and login: against aiosmtpd, and against servers that want the mail or the password in plain text."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from pykeepalived.dialects.keepalived import load
from pykeepalived.notify.connection import TlsOptions
from pykeepalived.notify.mail import Letter, Mailer, Relay, compose, relay_of
from pykeepalived.notify.smtp import Dialogue, DialogueError, Login
from pykeepalived.reactor import Reactor
from pykeepalived.runtime.global_dump import global_lines
from pykeepalived.tools.plan.change import differences
from tests.dialects.keepalived.fake_host import FakeHost

PASSWORD = "s3cret word"
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")


class Log:
    def __init__(self) -> None:
        self.errors: list[str] = []

    def detail(self, text: str) -> None:
        pass

    def error(self, text: str) -> None:
        self.errors.append(text)


class Desk:
    def __init__(self) -> None:
        self.reactor = Reactor()
        self.log = Log()
        self.mailer = Mailer(self.reactor, self.log)

    def until(self, condition: Callable[[], bool], limit_s: float = 60) -> None:
        deadline = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < deadline, (self.mailer.status(), self.log.errors)
            self.reactor.turn(20_000)

    def ended(self) -> bool:
        return self.mailer.sent + sum(self.mailer.lost.values()) > 0


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.mailer.close()
    made.reactor.close()


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificate and key of 127.0.0.1 in one file."""
    directory = tmp_path_factory.mktemp("tls")
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    subprocess.run(
        [*words, "-subj", "/CN=mail", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
         "-keyout", directory / "key.pem", "-out", directory / "cert.pem"],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    whole = directory / "both.pem"
    whole.write_text((directory / "cert.pem").read_text() + (directory / "key.pem").read_text())
    return whole


def server_context(pem: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


class Box:
    """What aiosmtpd took: the mails, whether inside TLS, and who had logged in."""

    def __init__(self) -> None:
        self.mails: list[tuple[bytes, bool, bytes | None]] = []

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.mails.append((envelope.content, session.ssl is not None, session.auth_data))
        return "250 taken"


def authenticate(server: Any, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    assert isinstance(data, LoginPassword)
    good = data.login == b"mailer" and data.password == PASSWORD.encode()
    return AuthResult(success=good, handled=False, auth_data=data.login if good else None)


class AnyPort(Controller):
    """On a port of the kernel's choice."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def aiosmtpd_server(pem: Path, mode: str, **more: Any) -> Iterator[tuple[int, Box]]:
    box = Box()
    context = server_context(pem)
    tls = {"ssl_context": context} if mode == "implicit" else {"tls_context": context, "require_starttls": True}
    controller = AnyPort(box, hostname="127.0.0.1", port=0, ready_timeout=30.0, **tls, **more)
    # asyncio's server leaves transports behind when its loop ends: they go here, not in somebody else's test.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        controller.start()
        try:
            yield controller.port, box
        finally:
            controller.stop()
            del controller
            gc.collect()


def letter() -> Letter:
    message = compose((("Subject", "one"),), "hello")
    return Letter(sender="lb@example.org", recipients=("a@example.net",), message=message)


def relay(port: int, pem: Path, mode: str = "starttls", **more: Any) -> Relay:
    tls = TlsOptions(name="127.0.0.1", ca_file=str(pem))
    starts: Any = "at once" if mode == "implicit" else "later"
    return Relay(address="127.0.0.1", port=port, **{"tls": tls, "tls_starts": starts, "helo_name": "lb", **more})


LOGIN = {"auth_required": True, "authenticator": authenticate}


@pytest.mark.shows("global_defs.{smtp_tls,smtp_tls_ca,smtp_user,smtp_password}")
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
@pytest.mark.parametrize("left_out", [(), ("PLAIN",)], ids=["plain", "login"])
@pytest.mark.parametrize("mode", ["starttls", "implicit"])
def test_a_configured_mail_goes_encrypted_with_a_login(
    desk: Desk, pem: Path, tmp_path: Path, mode: str, left_out: tuple[str, ...]
) -> None:
    more = {**LOGIN, "auth_exclude_mechanism": left_out, "auth_require_tls": mode == "starttls"}
    with aiosmtpd_server(pem, mode, **more) as (port, box):
        file = tmp_path / "keepalived.conf"
        file.write_text(
            f"global_defs {{\n smtp_server 127.0.0.1 {port}\n notification_email {{\n a@example.net\n }}\n"
            f' smtp_tls {mode}\n smtp_tls_ca {pem}\n smtp_user mailer\n smtp_password "{PASSWORD}"\n}}\n'
        )
        config = load(str(file), host=FakeHost()).config
        assert config is not None
        found = relay_of(config.globals.mail)
        assert found is not None
        if mode == "starttls":
            desk.mailer.prepare(found)
        desk.mailer.send(found, letter())
        desk.until(desk.ended)
        assert desk.log.errors == []
        content, encrypted, who = box.mails[0]
        assert content == b"Subject: one\r\n\r\nhello\r\n"
        assert who == b"mailer"
        assert encrypted or mode == "implicit"


@pytest.mark.parametrize("mode", ["starttls", "implicit"])
@pytest.mark.parametrize("problem", ["another-name", "unknown-authority", "no-file"])
def test_no_mail_to_a_server_that_is_not_the_one(desk: Desk, pem: Path, mode: str, problem: str) -> None:
    options = {
        "another-name": TlsOptions(name="mail.example.net", ca_file=str(pem)),
        "unknown-authority": TlsOptions(name="127.0.0.1"),
        "no-file": TlsOptions(name="127.0.0.1", ca_file="/nonexistent/ca.pem"),
    }[problem]
    with aiosmtpd_server(pem, mode) as (port, box):
        desk.mailer.send(relay(port, pem, mode, tls=options), letter())
        desk.until(desk.ended)
        assert (dict(desk.mailer.lost), box.mails, len(desk.log.errors)) == ({"tls": 1}, [], 1)


@pytest.mark.shows("global_defs.smtp_tls_verify")
def test_verification_can_be_left_out(desk: Desk, pem: Path) -> None:
    with aiosmtpd_server(pem, "starttls") as (port, box):
        desk.mailer.send(relay(port, pem, tls=TlsOptions(name="else.example", verify=False)), letter())
        desk.until(desk.ended)
        assert (desk.mailer.sent, len(box.mails)) == (1, 1)


def test_a_wrong_password_is_refused(desk: Desk, pem: Path) -> None:
    with aiosmtpd_server(pem, "starttls", **LOGIN) as (port, box):
        desk.mailer.send(relay(port, pem, login=Login("mailer", "wrong")), letter())
        desk.until(desk.ended)
        assert (dict(desk.mailer.lost), box.mails) == ({"refused": 1}, [])
        assert "AUTH cmd" in desk.log.errors[0]
        assert "535" in desk.log.errors[0]


@contextmanager
def hostile(answers: list[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """One connection: an answer to each line, then silence."""
    heard: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection, connection.makefile("rwb", 0) as stream:
                for answer in answers:
                    stream.write(answer)
                    heard.append(stream.readline())
                while connection.recv(1000):
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], heard
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(30)


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([b"220 a\r\n", b"250 a\r\n", b"502 no\r\n"], "refused"),
        ([b"220 a\r\n", b"250 a\r\n", b"220 go\r\n250-AUTH PLAIN\r\n"], "tls"),
        ([b"220 a\r\n", b"250 a\r\n", b"220 go\r\n", b"no TLS at all, and never\r\n" * 50], "tls"),
        ([b"220 a\r\n", b"250 a\r\n", b"220 go\r\n"], "reply-timeout"),
    ],
    ids=["no-starttls", "early-data", "garbage", "silent"],
)
def test_nothing_goes_in_plain_text(desk: Desk, pem: Path, answers: list[bytes], reason: str) -> None:
    with hostile(answers) as (port, heard):
        desk.mailer.send(relay(port, pem, login=Login("mailer", PASSWORD), timeout_us=700_000), letter())
        desk.until(desk.ended)
        assert dict(desk.mailer.lost) == {reason: 1}
        desk.mailer.close()
    assert not any(line.startswith((b"MAIL", b"AUTH")) for line in heard)


def test_the_server_must_offer_a_login() -> None:
    dialogue = Dialogue(letter(), "lb", login=Login("u", "p"))
    assert dialogue.feed(b"220 a\r\n") == b"EHLO lb\r\n"
    with pytest.raises(DialogueError) as caught:
        dialogue.feed(b"250-a\r\n250-AUTH CRAM-MD5\r\n250 SIZE\r\n")
    assert caught.value.step == "no-login"


def test_no_login_without_tls_and_no_password_in_dumps(tmp_path: Path) -> None:
    file = tmp_path / "keepalived.conf"
    words = f'smtp_server 127.0.0.1\n smtp_user mailer\n smtp_password "{PASSWORD}"'
    file.write_text(f"global_defs {{\n {words}\n}}\n")
    plain = load(str(file), host=FakeHost())
    assert "login-without-tls" in {item.id for item in plain.findings.items}
    assert plain.config is not None
    assert plain.config.globals.mail.user is None
    file.write_text(f"global_defs {{\n {words}\n smtp_tls starttls\n}}\n")
    config = load(str(file), host=FakeHost()).config
    assert config is not None
    assert " Smtp user = mailer" in list(global_lines(config.globals))
    assert PASSWORD not in "\n".join(global_lines(config.globals))
    changed = differences(plain.config.globals.mail, config.globals.mail)
    assert "tls: off → starttls" in changed
    assert PASSWORD not in "\n".join(changed)
    assert PASSWORD not in repr(relay_of(config.globals.mail)) + repr(Login("mailer", PASSWORD))

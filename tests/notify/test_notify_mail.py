"""The mail edge against a real mail server, in order and out of order, and against hostile ones."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pykeepalived.model.config import MailSettings
from pykeepalived.notify.mail import QUEUE_LIMIT, Letter, Mailer, Relay, compose, keepalived_letter, relay_of
from pykeepalived.notify.smtp import REPLY_BYTES, Dialogue, DialogueError
from pykeepalived.reactor import Reactor
from tests.notify.postbox import Postbox


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.errors: list[str] = []

    def detail(self, text: str) -> None:
        self.lines.append(text)

    def error(self, text: str) -> None:
        self.errors.append(text)


class Desk:
    def __init__(self) -> None:
        self.reactor = Reactor()
        self.log = Log()
        self.mailer = Mailer(self.reactor, self.log)

    def until(self, condition: Callable[[], bool], limit_s: float = 120) -> None:
        deadline = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < deadline, (self.mailer.status(), self.log.errors)
            self.reactor.turn(20_000)


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.mailer.close()
    made.reactor.close()


def letter(body: str = "hello") -> Letter:
    message = compose((("Subject", "one"),), body)
    return Letter(sender="lb@example.org", recipients=("a@example.net", "b@example.net"), message=message)


@contextmanager
def postbox(**answers: bytes) -> Iterator[Postbox]:
    box = Postbox(answers=answers)
    try:
        yield box
    finally:
        box.close()


def test_a_mail_arrives_whole(desk: Desk) -> None:
    with postbox() as box:
        relay = Relay(address="127.0.0.1", port=box.port, helo_name="lb1.example")
        assert desk.mailer.send(relay, letter("first\n.dot\n..two\n"))
        desk.until(lambda: desk.mailer.sent == 1)
        assert box.mails == [b"Subject: one\r\n\r\nfirst\r\n.dot\r\n..two\r\n"]
        assert box.dialogues == [
            [
                b"HELO lb1.example\r\n",
                b"MAIL FROM:<lb@example.org>\r\n",
                b"RCPT TO:<a@example.net>\r\n",
                b"RCPT TO:<b@example.net>\r\n",
                b"DATA\r\n",
                b"QUIT\r\n",
            ]
        ]
        assert desk.log.lines == [
            f"Remote SMTP server [127.0.0.1]:{box.port} connected.",
            "SMTP alert successfully sent.",
        ]


@pytest.mark.parametrize("step", ["connect", "HELO", "MAIL", "RCPT", "DATA", "BODY"])
def test_a_refusal_is_named_by_its_step_and_the_mail_is_lost(desk: Desk, step: str) -> None:
    with postbox(**{step: b"550-no\r\n550 no\r\n"}) as box:
        desk.mailer.send(Relay(address="127.0.0.1", port=box.port), letter())
        desk.until(lambda: desk.mailer.lost["refused"] == 1)
        word = "(E)SMTP" if step == "connect" else step
        assert desk.log.errors == [
            f"Error processing {word} cmd on SMTP server [127.0.0.1]:{box.port}. SMTP status code = 550"
        ]
        box.until(lambda: box.dialogues[0][-1:] == [b"QUIT\r\n"])


def test_a_server_that_is_not_there(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    desk.mailer.send(Relay(address="127.0.0.1", port=port), letter())
    desk.until(lambda: desk.mailer.lost["connect"] == 1)
    assert desk.log.errors == [f"SMTP connection ERROR to [127.0.0.1]:{port}. (Connection refused)"]


def test_a_name_instead_of_an_address_is_refused(desk: Desk) -> None:
    desk.mailer.send(Relay(address="mail.example"), letter())
    desk.until(lambda: desk.mailer.lost["bad-address"] == 1)


@contextmanager
def hostile(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=behave, args=(connection,), daemon=True).start()
        except OSError:
            return

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _silent(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        while connection.recv(100):
            pass


def _dripping(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        while True:
            connection.sendall(b"2")
            time.sleep(0.02)


def _endless(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        while True:
            connection.sendall(b"220-more\r\n" * 1000)


def _closing(connection: socket.socket) -> None:
    with connection:
        connection.sendall(b"220 hello\r\n")
        connection.recv(100)


@pytest.mark.parametrize(
    ("behave", "name"),
    [
        (_silent, "reply-timeout"),
        (_dripping, "reply-timeout"),
        (_endless, "reply-too-long"),
        (_closing, "closed"),
    ],
)
def test_a_hostile_server_costs_a_bounded_time(desk: Desk, behave: Callable[..., None], name: str) -> None:
    with hostile(behave) as port:
        begun = time.monotonic()
        desk.mailer.send(Relay(address="127.0.0.1", port=port, timeout_us=300_000), letter())
        desk.until(lambda: desk.mailer.lost[name] == 1)
        assert time.monotonic() - begun < 20
        assert len(desk.log.errors) == 1


def test_the_queue_is_bounded_and_says_so_once(desk: Desk) -> None:
    with hostile(_silent) as port:
        relay = Relay(address="127.0.0.1", port=port)
        taken = [desk.mailer.send(relay, letter()) for _ in range(QUEUE_LIMIT + 50)]
        assert taken.count(True) <= QUEUE_LIMIT + 4
        assert desk.mailer.lost["queue-full"] == taken.count(False) > 0
        assert len(desk.log.errors) == 1
        ended: list[bool] = []
        desk.mailer.when_idle(100_000, lambda: ended.append(True))
        desk.until(lambda: bool(ended))
        assert desk.mailer.lost["stopped"] == taken.count(True)


def test_what_is_on_its_way_is_finished_before_the_end(desk: Desk) -> None:
    with postbox() as box:
        for _ in range(10):
            desk.mailer.send(Relay(address="127.0.0.1", port=box.port), letter())
        ended: list[bool] = []
        desk.mailer.when_idle(5_000_000, lambda: ended.append(True))
        desk.until(lambda: bool(ended))
        assert len(box.mails) == 10


def test_a_line_end_in_a_name_is_no_command() -> None:
    evil = Letter(sender="a\r\nRCPT TO:<x@y>", recipients=("b\nDATA",), message="x")
    dialogue = Dialogue(evil, "lb\r\nQUIT")
    said = dialogue.feed(b"220 a\r\n") + dialogue.feed(b"250 a\r\n") + dialogue.feed(b"250 a\r\n")
    assert said.count(b"\r\n") == said.count(b"\n") == 3


def test_a_header_cannot_begin_another_one() -> None:
    assert compose((("Subject", "a\r\nBcc: x@y"), ("To", "a,\n b")), "body") == (
        "Subject: a Bcc: x@y\nTo: a,\n b\n\nbody\n"
    )


def test_a_dialogue_reads_a_bounded_amount() -> None:
    dialogue = Dialogue(letter(), "lb")
    with pytest.raises(DialogueError) as caught:
        dialogue.feed(b"x" * (REPLY_BYTES + 1))
    assert caught.value.step == "reply-too-long"


def test_no_relay_without_a_server_or_without_readers() -> None:
    full = MailSettings(server="mail", address="192.0.2.1", port=2525, recipients=("a@b",), connect_timeout_us=5)
    assert relay_of(full) == Relay(address="192.0.2.1", port=2525, timeout_us=5)
    assert relay_of(MailSettings(server="mail", recipients=("a@b",))) is None
    assert relay_of(MailSettings(server="mail", address="192.0.2.1")) is None


def test_keepalived_s_message() -> None:
    settings = MailSettings(sender="lb@example.org", recipients=("a@example.net", "b@example.net"))
    made = keepalived_letter(settings, "LVS_MAIN", "VRRP Instance V1 - Stopping", "=> VRRP Instance stopping <=")
    date, *rest = made.message.split("\n")
    assert date.startswith("Date: ")
    assert rest == [
        "From: lb@example.org",
        "Subject: [LVS_MAIN] VRRP Instance V1 - Stopping",
        "X-Mailer: Keepalived",
        "To: a@example.net,",
        " b@example.net",
        "",
        "=> VRRP Instance stopping <=",
        "",
        "",
    ]

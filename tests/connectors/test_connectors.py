"""The connectors against real sockets on loopback."""

from __future__ import annotations

import errno
import gc
import hashlib
import os
import resource
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pykeepalived.checkers.conversation import (
    Connect,
    Conversation,
    ConversationError,
    FailureKind,
    GiveWay,
    Note,
    Outcome,
    RandomBytes,
    Receive,
    Resolve,
    Send,
)
from pykeepalived.checkers.registry import converse
from pykeepalived.model.checks import (
    DnsCheck,
    HttpCheck,
    HttpUrl,
    MiscCheck,
    NegotiateCheck,
    PingCheck,
    SmtpCheck,
    TcpCheck,
    UdpCheck,
)
from pykeepalived.model.common import Script
from tests.connectors.desk import Desk, options
from tests.connectors.servers import Server, answer, certificate, udp_server, wait_for_end

BODY = os.urandom(3_000_000)
PAGE = b"HTTP/1.0 200 OK\r\n\r\n" + BODY
DIGEST = HttpUrl(path="/", digest=hashlib.md5(BODY).hexdigest())


def tcp_states(port: int) -> list[str]:
    """States (hexadecimal, as in /proc/net/tcp) of our sockets towards a port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [row[3] for row in rows if row[2].endswith(f":{port:04X}")]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


# ---- TCP ----


def test_connect(desk: Desk) -> None:
    with Server(wait_for_end) as server:
        assert desk.ask(TcpCheck(socket=options(server.port))).ok
        # Neither half-open nor TIME_WAIT (06): thousands of checks a second leave nothing behind.
        assert tcp_states(server.port) == []


def test_connect_over_ipv6(desk: Desk) -> None:
    with Server(wait_for_end, address="::1") as server:
        assert desk.ask(TcpCheck(socket=options(server.port, "::1"))).ok


def test_a_closed_port(desk: Desk) -> None:
    outcome = desk.ask(TcpCheck(socket=options(free_port())))
    assert outcome == Outcome(False, "connect: Connection refused", "refused")


def test_bind_address_and_port(desk: Desk) -> None:
    port = free_port()
    with Server(wait_for_end) as server:
        for _ in range(3):
            question = TcpCheck(
                socket=options(server.port, bind_address="127.0.0.5", bind_port=port, bind_interface="lo", fwmark=7)
            )
            assert desk.ask(question).ok
        desk.run_until(lambda: len(server.peers) == 3)
    assert server.peers == [("127.0.0.5", port)] * 3


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"bind_address": "203.0.113.77"}, f"bind: {os.strerror(errno.EADDRNOTAVAIL)}"),
        ({"bind_interface": "nonesuch0"}, f"bind: {os.strerror(errno.ENODEV)}"),
    ],
)
def test_what_cannot_be_bound(desk: Desk, words: dict[str, str], text: str) -> None:
    outcome = desk.ask(TcpCheck(socket=options(1, **words)))
    assert (outcome.ok, outcome.reason, outcome.text) == (False, "local-error", text)


def test_a_link_local_target_needs_its_interface(desk: Desk) -> None:
    outcome = desk.ask(TcpCheck(socket=options(1, "fe80::1", bind_interface="nonesuch0")))
    assert outcome.reason == "local-error"


def test_running_out_of_descriptors_has_a_reason_of_its_own(desk: Desk) -> None:
    hog = []
    try:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        while True:
            hog.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        outcome = desk.ask(TcpCheck(socket=options(1)))
    finally:
        for fd in hog:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert outcome.reason == "no-resources"


# ---- HTTP and TLS ----


def http(server: Server, *urls: HttpUrl, **words: object) -> HttpCheck:
    return HttpCheck(socket=options(server.port, server.address), urls=urls or (DIGEST,), **words)  # type: ignore[arg-type]


def test_a_large_page(desk: Desk) -> None:
    with Server(answer(PAGE)) as server:
        assert desk.ask(http(server)).reason == "digest"
        assert desk.ask(http(server)).ok


def test_a_large_page_over_tls(desk: Desk, tls: ssl.SSLContext) -> None:
    def handler(connection: socket.socket) -> None:
        answer(PAGE)(connection)
        # A polite end: close-notify, as tls_compliant asks for.
        connection.unwrap()  # type: ignore[attr-defined]

    with Server(handler, context=tls) as server:
        assert desk.ask(http(server, tls=True)).ok
        assert desk.ask(http(server, tls=True, tls_compliant=True)).ok
        assert tcp_states(server.port) == []


def test_an_end_without_close_notify(desk: Desk, tls: ssl.SSLContext) -> None:
    with Server(answer(PAGE), context=tls) as server:
        assert desk.ask(http(server, tls=True)).ok
        outcome = desk.ask(http(server, tls=True, tls_compliant=True))
        assert (outcome.ok, outcome.text) == (False, "connection closed without close-notify url(1)")


def test_the_server_name_is_sent_when_asked_for(desk: Desk, tmp_path: Path) -> None:
    context = certificate(tmp_path)
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    url = HttpUrl(path="/", virtualhost="www.example")
    with Server(answer(b"HTTP/1.0 200 OK\r\n\r\n"), context=context) as server:
        assert desk.ask(http(server, url, tls=True)).ok
        assert desk.ask(http(server, url, tls=True, enable_sni=True)).ok
        assert desk.ask(http(server, url, tls=True, sni_name="sni.example")).ok
        bad = desk.ask(http(server, url, tls=True, sni_name=".bad"))
        assert (bad.ok, bad.reason) == (False, "tls")
    assert names == [None, "www.example", "sni.example"]


def test_a_stalled_sender_gets_all_of_a_large_request(desk: Desk) -> None:
    received = []

    def handler(connection: socket.socket) -> None:
        time.sleep(0.2)
        count, data = 0, b""
        while not data.endswith(b"\r\n\r\n"):
            data = connection.recv(1 << 20)
            count += len(data)
        received.append(count)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")

    with Server(handler) as server:
        path = "/" + "x" * 8_000_000
        assert desk.ask(http(server, HttpUrl(path=path))).ok
    assert received[0] > 8_000_000


def test_several_urls_over_several_connections(desk: Desk) -> None:
    with Server(answer(b"HTTP/1.0 200 OK\r\n\r\n")) as server:
        assert desk.ask(http(server, *[HttpUrl(path=f"/{n}") for n in range(5)])).ok
        assert server.connections == 5


# ---- UDP, ICMP ----


def test_udp(desk: Desk) -> None:
    with udp_server(lambda data: data[::-1]) as port:
        target = options(port, timeout_ms=300)
        assert desk.ask(UdpCheck(socket=target, payload=b"ab", require_reply=True, reply=b"ba")).ok
        assert (
            desk.ask(UdpCheck(socket=target, payload=b"ab", require_reply=True, reply=b"ab")).reason == "reply-content"
        )
    with udp_server(lambda data: None) as port:
        target = options(port, timeout_ms=100)
        assert desk.ask(UdpCheck(socket=target)).ok
        assert desk.elapsed_s >= 0.1
        assert desk.ask(UdpCheck(socket=target, require_reply=True)).reason == "timeout"
    refused = desk.ask(UdpCheck(socket=options(free_port())))
    assert (refused.ok, refused.reason) == (False, "refused")


def test_dns(desk: Desk) -> None:
    with udp_server(lambda data: data[:2] + b"\x80\x00" + data[4:]) as port:
        assert desk.ask(DnsCheck(socket=options(port))).ok
    with udp_server(lambda data: b"\0\0" + b"\x80\x00" + data[4:]) as port:
        assert desk.ask(DnsCheck(socket=options(port))).reason in {"wrong-id"}


@pytest.mark.netns
def test_ping(desk: Desk) -> None:
    assert desk.ask(PingCheck(socket=options(0))).ok
    assert desk.ask(PingCheck(socket=options(0, "::1"), payload_size=1000)).ok
    many: list[Outcome] = []
    for n in range(1, 60):
        question = PingCheck(socket=options(0, f"127.0.1.{n}"))
        desk.connectors.perform(converse(question), 2_000_000, many.append)
    assert len(desk.connectors.echoes._ways) == 1
    desk.run_until(lambda: len(many) == 59)
    assert all(outcome.ok for outcome in many)
    assert desk.connectors.echoes._ways == {}


# ---- programs, names, odds and ends ----


def test_programs_go_through_the_runner(desk: Desk) -> None:
    script = Script(("/bin/x",))
    desk.scripts.status = 3
    assert desk.ask(MiscCheck(script=script, timeout_us=1_000_000, dynamic=True)).weight == 1
    assert desk.scripts.started == [(script, 1_000_000)]


def test_a_runner_that_never_answers_does_not_hold_the_check(desk: Desk) -> None:
    desk.scripts.silent = True
    outcome = desk.ask(MiscCheck(script=Script(("/bin/x",)), timeout_us=100_000))
    assert (outcome.ok, outcome.reason) == (False, "timeout")


def resolve(name: str) -> Conversation:
    reply = yield Resolve(name)
    assert isinstance(reply, bytes)
    return Outcome(True, reply.decode())


def test_names(desk: Desk) -> None:
    assert desk.talk(resolve("localhost")).text in {"127.0.0.1", "::1"}
    assert desk.talk(resolve("192.0.2.1")).text == "192.0.2.1"
    outcome = desk.talk(resolve("a" * 70 + ".invalid"))
    assert (outcome.ok, outcome.reason) == (False, "resolve")


def test_random_bytes_notes_and_giving_way(desk: Desk) -> None:
    def conversation() -> Conversation:
        first = yield RandomBytes(8)
        second = yield RandomBytes(8)
        assert first != second
        yield Note("look")
        for _ in range(100):
            yield GiveWay()
        return Outcome(True, "")

    assert desk.talk(conversation()).ok
    assert desk.notes == [Note("look")]


def test_a_defect_in_a_checker_is_an_outcome(desk: Desk) -> None:
    def conversation() -> Conversation:
        yield GiveWay()
        raise ZeroDivisionError("oops")

    outcome = desk.talk(conversation())
    assert (outcome.ok, outcome.reason) == (False, "local-error")
    assert "oops" in outcome.text


def test_a_checker_may_handle_a_failure_and_go_on(desk: Desk) -> None:
    closed = free_port()

    def conversation() -> Conversation:
        try:
            yield Connect(options=options(closed))
        except ConversationError as error:
            assert error.kind is FailureKind.REFUSED
        yield Connect(options=options(server.port))
        yield Send(b"x\r\n\r\n")
        data = yield Receive()
        return Outcome(data == b"hi", "")

    with Server(answer(b"hi")) as server:
        assert desk.talk(conversation()).ok


def test_receiving_without_a_connection_is_an_outcome(desk: Desk) -> None:
    def conversation() -> Conversation:
        yield Receive()
        return Outcome(True, "")

    assert desk.talk(conversation()).reason == "closed"


def test_the_limit_of_the_connect_alone(desk: Desk) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        # The queue of a listener that never accepts is soon full; further connections are not answered.
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        check = NegotiateCheck(socket=options(port), service="nntp", connects_between=1, connect_timeout_us=150_000)
        outcome = desk.ask(check, position=1)
        assert (outcome.ok, outcome.reason, outcome.text) == (False, "timeout", "timeout (connect)")
        assert 0.15 <= desk.elapsed_s < 10
        for sock in waiting:
            sock.close()


def test_a_cancelled_conversation_says_nothing_and_leaves_nothing(desk: Desk) -> None:
    outcomes: list[Outcome] = []
    with Server(wait_for_end) as server:
        talk = desk.connectors.perform(converse(http(server)), 2_000_000, outcomes.append)
        desk.run_until(lambda: server.connections == 1)
        talk.cancel()
        talk.cancel()
        desk.reactor.turn(10_000)
        assert tcp_states(server.port) == []
    assert outcomes == []


def test_conversations_leave_no_rings_for_the_garbage_collector(desk: Desk, tls: ssl.SSLContext) -> None:
    """The children run with a frozen collector: what only it could free would stay for ever."""
    closed = free_port()
    ok = answer(b"HTTP/1.0 200 OK\r\n\r\nhello")
    with Server(ok) as plain, Server(ok, context=tls) as secure, Server(wait_for_end) as silent:
        page = HttpUrl(path="/", digest=hashlib.md5(b"hello").hexdigest(), regex="l+")
        questions = [
            TcpCheck(socket=options(plain.port)),
            TcpCheck(socket=options(closed)),
            TcpCheck(socket=options(1, bind_address="203.0.113.77")),
            http(plain, page),
            http(plain, page, page),
            http(secure, page, tls=True),
            HttpCheck(socket=options(plain.port, timeout_ms=100), urls=(page,), tls=True),
            HttpCheck(socket=options(plain.port, timeout_ms=100), urls=(page,), tls=True, sni_name=".bad"),
            http(plain, HttpUrl(path="/", status_codes=((404, 404),))),
            HttpCheck(socket=options(silent.port, timeout_ms=20), urls=(page,)),
            HttpCheck(socket=options(silent.port, timeout_ms=20), urls=(page,), tls=True),
            UdpCheck(socket=options(closed)),
            NegotiateCheck(socket=options(silent.port, timeout_ms=20), service="ftp"),
            NegotiateCheck(socket=options(closed), service="pop"),
            MiscCheck(script=Script(("/bin/x",)), timeout_us=1_000_000),
        ]
        for question in questions:
            desk.ask(question)
        gc.collect()
        gc.disable()
        # What is there so far needs no look at each question.
        gc.freeze()
        try:
            for question in questions:
                desk.ask(question)
                gc.set_debug(gc.DEBUG_SAVEALL)
                gc.collect()
                gc.set_debug(0)
                left = [item for item in gc.garbage if type(item).__module__.startswith("pykeepalived")]
                gc.garbage.clear()
                assert not left, (question, left)
        finally:
            gc.unfreeze()
            gc.enable()


# ---- real servers of the distribution ----


@pytest.fixture
def ftp_server(tmp_path: Path) -> Iterator[int]:
    vsftpd = shutil.which("vsftpd", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if vsftpd is None or os.geteuid() != 0:
        pytest.skip("needs vsftpd and root")
    port = free_port()
    root = tmp_path / "root"
    root.mkdir()
    (root / "welcome.txt").write_bytes(b"welcome to the ftp server\n")
    root.chmod(0o555)
    for directory in [root, *root.parents][:-2]:
        directory.chmod(directory.stat().st_mode | 0o555)
    (tmp_path / "empty").mkdir()
    config = tmp_path / "vsftpd.conf"
    config.write_text(
        f"listen=YES\nlisten_address=127.0.0.1\nlisten_port={port}\nbackground=NO\nanonymous_enable=YES\n"
        f"anon_root={root}\nsecure_chroot_dir={tmp_path / 'empty'}\nxferlog_enable=NO\nseccomp_sandbox=NO\n"
        "no_anon_password=NO\nrun_as_launching_user=NO\n"
    )
    config.chmod(0o600)
    with subprocess.Popen([vsftpd, config], stderr=subprocess.DEVNULL) as process:
        for _ in range(100):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
        process.terminate()
        process.wait(timeout=60)


@pytest.mark.peer
def test_a_file_from_vsftpd(desk: Desk, ftp_server: int) -> None:
    check = NegotiateCheck(
        socket=options(ftp_server, timeout_ms=8000), service="ftp", request="/welcome.txt", receive="^welcome"
    )
    assert desk.ask(check).ok
    assert desk.ask(msgspec.structs.replace(check, receive="goodbye")).text == "Response mismatch"
    missing = desk.ask(msgspec.structs.replace(check, request="/missing.txt"))
    assert (missing.ok, missing.reason) == (False, "ftp-status")


def test_smtp_dialogue(desk: Desk) -> None:
    def handler(connection: socket.socket) -> None:
        # Replies that arrive together with the next, and in pieces, are still lines.
        connection.sendall(b"220 ready\r\n250 he")
        connection.recv(100)
        time.sleep(0.02)
        connection.sendall(b"llo\r\n221 bye\r\n")

    with Server(handler) as server:
        assert desk.ask(SmtpCheck(socket=options(server.port), helo_name="me")).ok

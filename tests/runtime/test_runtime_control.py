"""The control socket against clients that mean no good."""

from __future__ import annotations

import json
import os
import socket
import stat
import time
from pathlib import Path

import pytest

from pykeepalived.reactor import Reactor
from pykeepalived.runtime import control
from pykeepalived.runtime.control import ControlServer


class Bench:
    def __init__(self, path):
        self.path = str(path)
        self.reactor = Reactor()
        self.later = []
        self.server = ControlServer(self.reactor, self.path, self.handle)

    def handle(self, request, reply, refuse):
        if request.command == "echo":
            reply({"arguments": request.arguments})
        elif request.command == "big":
            reply({"text": "x" * 5_000_000})
        elif request.command == "later":
            self.later.append(reply)
        else:
            refuse("no")

    def client(self):
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.connect(self.path)
        made.setblocking(False)
        return made

    def turns(self, count=10):
        for _ in range(count):
            self.reactor.turn(2000)

    def read(self, client, limit_s=5):
        """A line, or what came before the connection was closed."""
        data = b""
        deadline = time.monotonic() + limit_s
        while not data.endswith(b"\n"):
            assert time.monotonic() < deadline
            self.reactor.turn(1000)
            try:
                piece = client.recv(1 << 20)
            except BlockingIOError:
                continue
            except ConnectionResetError:
                return data
            if not piece:
                return data
            data += piece
        return data

    def close(self):
        self.server.close()
        self.reactor.close()


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path / "d" / "control.sock")
    yield made
    made.close()


def ask(**body):
    return json.dumps(body).encode() + b"\n"


def test_one_question_one_answer(bench):
    client = bench.client()
    client.send(ask(version=1, command="echo", arguments={"a": 1}))
    assert json.loads(bench.read(client)) == {"version": 1, "ok": True, "result": {"arguments": {"a": 1}}}
    client.send(ask(command="nothing"))
    assert json.loads(bench.read(client)) == {"version": 1, "ok": False, "error": "no"}
    client.close()


def test_questions_in_one_packet_are_answered_in_order(bench):
    client = bench.client()
    client.send(b"".join(ask(command="echo", arguments={"n": n}) for n in range(50)))
    answers = b""
    while answers.count(b"\n") < 50:
        answers += bench.read(client)
    numbers = [json.loads(line)["result"]["arguments"]["n"] for line in answers.splitlines()]
    assert numbers == list(range(50))
    client.close()


@pytest.mark.parametrize(
    "line",
    [b"\n", b"{\n", b"null\n", b"[]\n", b'{"command": 5}\n', b"\xff\xfe\n", b'{"command": "echo", "version": 2}\n',
     b'{"command": "echo", "arguments": []}\n', b"[" * 5000 + b"\n", b"GET / HTTP/1.1\r\n"],
)  # fmt: skip
def test_garbage_is_refused_and_the_next_question_is_answered(bench, line):
    client = bench.client()
    client.send(line)
    answer = json.loads(bench.read(client))
    assert answer["ok"] is False
    assert answer["error"]
    client.send(ask(command="echo"))
    assert json.loads(bench.read(client))["ok"] is True
    client.close()


def test_an_endless_line_is_cut_off(bench):
    client = bench.client()
    sent = 0
    deadline = time.monotonic() + 5
    while sent < 10_000_000 and time.monotonic() < deadline:
        try:
            sent += client.send(b"x" * 65536)
        except BlockingIOError:
            bench.turns(1)
        except OSError:
            break
    assert sent < 2_000_000
    client.close()


def test_a_slow_reader_is_cut_off_and_disturbs_nobody(bench, monkeypatch):
    monkeypatch.setattr(control, "CLIENT_TIME_US", 200_000)
    slow, other = bench.client(), bench.client()
    slow.send(ask(command="big"))
    bench.turns()
    other.send(ask(command="echo"))
    assert json.loads(bench.read(other))["ok"] is True
    deadline = time.monotonic() + 5
    while bench.server._clients and time.monotonic() < deadline:
        bench.turns()
    assert not bench.server._clients
    slow.close()
    other.close()


def test_a_silent_client_is_cut_off(bench, monkeypatch):
    monkeypatch.setattr(control, "CLIENT_TIME_US", 50_000)
    client = bench.client()
    assert bench.read(client) == b""
    client.close()


def test_a_client_that_leaves_before_its_answer_does_no_harm(bench):
    client = bench.client()
    client.send(ask(command="later"))
    while not bench.later:
        bench.turns(1)
    client.close()
    bench.turns()
    bench.later[0]({"x": 1})
    bench.turns()
    assert not bench.server._clients


def test_a_client_that_has_said_all_still_gets_its_answer(bench):
    client = bench.client()
    client.send(ask(command="later"))
    client.shutdown(socket.SHUT_WR)
    while not bench.later:
        bench.turns(1)
    bench.turns()
    bench.later[0]({"x": 1})
    assert json.loads(bench.read(client))["result"] == {"x": 1}
    client.close()


def test_too_many_clients(bench):
    clients = [bench.client() for _ in range(control.CLIENT_LIMIT)]
    bench.turns()
    extra = bench.client()
    assert bench.read(extra) == b""
    clients[0].send(ask(command="echo"))
    assert json.loads(bench.read(clients[0]))["ok"] is True
    for client in (*clients, extra):
        client.close()


def test_the_socket_is_private_and_goes_away(tmp_path):
    bench = Bench(tmp_path / "d" / "control.sock")
    assert stat.S_IMODE(Path(bench.path).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o700
    bench.close()
    assert not Path(bench.path).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_other_users_are_turned_away(bench):
    Path(bench.path).chmod(0o666)
    Path(bench.path).parent.chmod(0o755)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            client.connect(bench.path)
            os.setresuid(65534, 65534, 65534)
            # Credentials are those of the moment of connecting, so this one is root still.
            other = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                other.connect(bench.path)
                other.settimeout(5)
                other.send(ask(command="echo"))
                os.write(writer, b"got " + other.recv(10))
            except OSError as error:
                os.write(writer, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.set_blocking(reader, False)
    answer = None
    deadline = time.monotonic() + 10
    while answer is None and time.monotonic() < deadline:
        bench.turns(5)
        try:
            answer = os.read(reader, 100)
        except BlockingIOError:
            continue
    os.waitpid(pid, 0)
    os.close(reader)
    # Either the way to the socket is barred for it (pytest's directories are private), or it is hung up on.
    assert answer in {b"got ", b"PermissionError", b"ConnectionResetError", b"BrokenPipeError"}


def test_a_second_daemon_does_not_take_the_socket(bench, tmp_path):
    with pytest.raises(OSError, match="another daemon listens there"):
        ControlServer(bench.reactor, bench.path, bench.handle)
    assert control.find_sockets(str(tmp_path / "d")) == [bench.path]


def test_a_dead_daemons_socket_is_replaced(tmp_path):
    path = tmp_path / "control.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    bench = Bench(path)
    client = bench.client()
    client.send(ask(command="echo"))
    assert json.loads(bench.read(client))["ok"] is True
    client.close()
    bench.close()

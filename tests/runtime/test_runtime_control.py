"""The control socket against clients that mean no good."""

from __future__ import annotations

import grp
import json
import os
import socket
import stat
import time
from pathlib import Path

import pytest

from pykeepalived.model.daemon import DaemonSettings
from pykeepalived.reactor import Reactor
from pykeepalived.runtime import control
from pykeepalived.runtime.control import ControlServer
from pykeepalived.runtime.control_access import access_of


class Bench:
    def __init__(self, path):
        self.path = str(path)
        self.reactor = Reactor()
        self.later = []
        self.streams = []
        self.gone = []
        self.server = ControlServer(self.reactor, self.path, self.handle)

    def handle(self, request, answer):
        if request.command == "echo":
            answer.reply({"arguments": request.arguments})
        elif request.command == "big":
            answer.reply({"text": "x" * 5_000_000})
        elif request.command == "later":
            self.later.append(answer.reply)
        elif request.command == "follow":
            self.streams.append(answer.begin({"begins": True}))
            if self.streams[-1] is not None:
                self.streams[-1].gone = lambda: self.gone.append(request)
        elif request.command == "who":
            answer.reply({"uid": answer.peer.uid, "groups": sorted(answer.peer.groups), "steers": answer.steers})
        else:
            answer.refuse("no")

    def client(self):
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.connect(self.path)
        made.setblocking(False)
        return made

    def turns(self, count=10):
        for _ in range(count):
            self.reactor.turn(2000)

    def until(self, done, limit_s=120):
        """Turn until `done()` says so."""
        deadline = time.monotonic() + limit_s
        while not done():
            assert time.monotonic() < deadline
            self.reactor.turn(2000)

    def read(self, client, limit_s=30):
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
    slow, other = bench.client(), bench.client()
    # Only the one who does not read has little time: the other's would run out on a machine that is busy.
    bench.until(lambda: len(bench.server._clients) == 2)
    monkeypatch.setattr(control, "CLIENT_TIME_US", 200_000)
    slow.send(ask(command="big"))
    bench.until(lambda: any(client._output for client in bench.server._clients))
    monkeypatch.undo()
    other.send(ask(command="echo"))
    assert json.loads(bench.read(other))["ok"] is True
    bench.until(lambda: len(bench.server._clients) == 1)
    other.send(ask(command="echo"))
    assert json.loads(bench.read(other))["ok"] is True
    slow.close()
    other.close()


def test_questions_behind_a_large_answer_are_answered(bench):
    """They came in one packet with the first: no readiness of the socket tells of them again."""
    client = bench.client()
    client.send(ask(command="big") + ask(command="echo", arguments={"n": 1}) + ask(command="nothing"))
    found = b""
    while found.count(b"\n") < 3:
        found += bench.read(client)
    assert [json.loads(line)["ok"] for line in found.splitlines()] == [True, True, False]
    client.close()


# ---- streams ----


def test_a_stream_is_a_line_for_each_event(bench):
    client = bench.client()
    client.send(ask(command="follow"))
    assert json.loads(bench.read(client))["result"] == {"begins": True}
    bench.streams[0].send({"n": 1})
    assert json.loads(bench.read(client))["result"] == {"n": 1}
    client.close()
    bench.until(lambda: bench.gone)
    bench.streams[0].send({"n": 2})
    assert not bench.server._clients
    assert bench.server.streams == 0


def test_a_follower_that_does_not_read_is_cut_off_and_keeps_no_memory(bench):
    lazy, good = bench.client(), bench.client()
    for client in (lazy, good):
        client.send(ask(command="follow"))
    bench.until(lambda: len(bench.streams) == 2)
    assert json.loads(bench.read(good))["ok"] is True
    waiting = []
    for number in range(100_000):
        for stream in bench.streams:
            stream.send({"n": number, "text": "x" * 1000})
        waiting.append(sum(len(client._output) for client in bench.server._clients))
        bench.read(good)
        if bench.gone:
            break
    assert max(waiting) < 2 * control.STREAM_BACKLOG
    assert len(bench.gone) == 1
    assert len(bench.server._clients) == 1
    lazy.close()
    good.close()


def test_a_quiet_stream_has_a_heartbeat(bench, monkeypatch):
    monkeypatch.setattr(control, "HEARTBEAT_US", 10_000)
    client = bench.client()
    client.send(ask(command="follow"))
    bench.read(client)
    assert json.loads(bench.read(client))["result"] == {"heartbeat": True}
    client.close()


def test_followers_leave_room_for_questions(bench, monkeypatch):
    monkeypatch.setattr(control, "STREAM_LIMIT", 2)
    clients = [bench.client() for _ in range(3)]
    for client in clients:
        client.send(ask(command="follow"))
    answers = [json.loads(bench.read(client))["ok"] for client in clients]
    assert answers == [True, True, False]
    clients[2].send(ask(command="echo"))
    assert json.loads(bench.read(clients[2]))["ok"] is True
    for client in clients:
        client.close()


def test_a_follower_that_talks_is_hung_up_on(bench):
    client = bench.client()
    client.send(ask(command="follow"))
    bench.read(client)
    client.send(b"x" * 60_000)
    assert bench.read(client) == b""
    assert bench.gone
    client.close()


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
    bench.until(lambda: len(bench.server._clients) == control.CLIENT_LIMIT)
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


def asked_as(bench, uid, gid, groups, line):
    """What the server answers to a process of that user."""
    Path(bench.path).parent.chmod(0o711)
    directory = os.open(Path(bench.path).parent, os.O_PATH)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            # pytest's directories are private, so the way leads through a descriptor.
            os.fchdir(directory)
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            client.settimeout(30)
            client.connect(Path(bench.path).name)
            client.send(line)
            os.write(writer, b"got " + client.recv(1000))
        except OSError as error:
            os.write(writer, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.close(directory)
    os.set_blocking(reader, False)
    answers = []

    def arrived():
        try:
            answers.append(os.read(reader, 2000))
        except BlockingIOError:
            return False
        return True

    bench.until(arrived)
    os.waitpid(pid, 0)
    os.close(reader)
    return answers[0]


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
HUNG_UP = {b"got ", b"PermissionError", b"ConnectionResetError", b"BrokenPipeError"}


@needs_root
def test_other_users_are_turned_away(bench):
    Path(bench.path).chmod(0o666)
    assert asked_as(bench, 65534, 65534, [], ask(command="echo")) in HUNG_UP


@needs_root
@pytest.mark.shows("global_defs.{control_group,control_read_group}")
def test_two_groups_may_look_or_steer(bench):
    bench.server.admit(access_of(DaemonSettings(control_group="daemon", control_read_group="bin"), None))
    steer, read = grp.getgrnam("daemon").gr_gid, grp.getgrnam("bin").gr_gid
    assert stat.S_IMODE(Path(bench.path).stat().st_mode) == 0o666
    for groups, expected in (((65534, [steer]), True), ((steer, []), True), ((65534, [read]), False)):
        answer = asked_as(bench, 65534, *groups, ask(command="who"))
        assert json.loads(answer.removeprefix(b"got "))["result"]["steers"] is expected
    assert asked_as(bench, 65534, 65534, [], ask(command="who")) in HUNG_UP
    bench.server.admit(access_of(DaemonSettings(), None))
    assert stat.S_IMODE(Path(bench.path).stat().st_mode) == 0o600
    assert asked_as(bench, 65534, steer, [], ask(command="who")) in HUNG_UP


def test_a_group_that_is_not_there_gets_no_right():
    said = []
    log = type("Log", (), {"error": staticmethod(said.append)})
    assert access_of(DaemonSettings(control_group="no-such-group"), log).shared is False
    assert said == ["Control socket: there is no group no-such-group"]


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


def test_who_speaks_another_language_is_hung_up_on(bench):
    client = bench.client()
    client.sendall(b"\xff{]garbage\n" * 100)
    seen = bytearray()

    def ended():
        try:
            data = client.recv(65536)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True
        seen.extend(data)
        return not data

    bench.until(ended)
    assert seen.count(b"not a request") == control.NONSENSE_LIMIT
    client.close()

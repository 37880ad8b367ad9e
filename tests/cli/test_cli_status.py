"""`keepalivedctl status`: its table, how it finds a daemon, its exit codes."""

from __future__ import annotations

import json
import threading

import pytest
from click.testing import CliRunner

from pykeepalived.cli.ctl import common, status
from pykeepalived.cli.keepalivedctl import COMMANDS, main
from pykeepalived.reactor import Reactor
from pykeepalived.runtime.control import ControlServer
from pykeepalived.runtime.status import network_namespace

ANSWER = {
    "keepalived_version": "2.4.3",
    "version": "0.1.0",
    "pid": 42,
    "started": 1000.0,
    "configuration": "/etc/keepalived/keepalived.conf",
    "last_reload": {"ok": False, "at": 1090.0, "reasons": ["x.conf:1:1: error[a]: b\x1b[2J"]},
    "processes": [
        {"name": "checker", "pid": 43, "ready": True, "restarts": 2},
        {"name": "vrrp", "pid": None, "ready": False, "waiting_for_restart": True},
    ],
    "findings": ["one"],
    "vrrp": {
        "instances": [
            {
                "name": "VI_1",
                "state": "FAULT",
                "effective_priority": 90,
                "base_priority": 100,
                "vrid": 51,
                "interface": "eth0",
                "master_address": "10.0.0.2",
                "last_transition": 1000.0,
                "faults": ["interface eth0 down"],
            }
        ],
        "groups": [{"name": "G1", "state": "FAULT", "members": ["VI_1"]}],
        "scripts": [{"name": "chk", "up": False, "timed_out": True, "last_status": None, "runs": 3}],
    },
    "checker": {
        "services": [
            {
                "name": "[10.0.0.5]:tcp:80",
                "scheduler": "wlc",
                "quorum": {"up": True, "quorum": 1, "hysteresis": 0, "weight": 3},
                "served": True,
                "sorry_server": {"name": "[10.0.0.9]:tcp:80", "serves": False, "weight": 1},
                "servers": [
                    {
                        "name": "[192.168.0.12]:tcp:80",
                        "forwarding": "NAT",
                        "alive": True,
                        "weight": 3,
                        "table_weight": 3,
                        "holds": [],
                        "checks": [{"check": "tcp", "up": True, "last": {"text": "connected", "reason": ""}}],
                    },
                    {
                        "name": "[192.168.0.13]:tcp:80",
                        "forwarding": "NAT",
                        "alive": False,
                        "weight": 1,
                        "table_weight": None,
                        "holds": [],
                        "checks": [
                            {"check": "tcp", "up": True, "last": None},
                            {"check": "http", "up": False, "last": {"text": "", "reason": "timeout " * 9}},
                        ],
                    },
                ],
            }
        ]
    },
}


def test_the_table():
    lines = list(status.render(ANSWER, 1100.0))
    text = "\n".join(lines)
    assert all(len(click_free(line)) <= 80 for line in lines)
    assert "\x1b[2J" not in text
    plain = [click_free(line) for line in lines]
    assert plain[:6] == [
        "keepalived 2.4.3 (pykeepalived 0.1.0)",
        "pid 42, up 1m40s, configuration /etc/keepalived/keepalived.conf",
        "last reload 10s ago: refused, the old configuration stays",
        "  x.conf:1:1: error[a]: b?[2J",
        "process checker was restarted 2 time(s)",
        "process vrrp waits for its restart",
    ]
    assert plain[7:10] == [
        "INSTANCE  STATE  PRIO    VRID  INTERFACE  MASTER    SINCE",
        "VI_1      FAULT  90/100  51    eth0       10.0.0.2  1m40s",
        "  VI_1: interface eth0 down",
    ]
    start = plain.index("VIRTUAL SERVER [10.0.0.5]:tcp:80 wlc, quorum held (weight 3 of 1)")
    assert plain[start + 1 : start + 5] == [
        "  REAL SERVER            STATE  WEIGHT  METHOD  LAST RESULT",
        "  [192.168.0.12]:tcp:80  up     3       NAT     tcp: connected",
        "  [192.168.0.13]:tcp:80  down   -       NAT     http: timeout timeout timeout t…",
        "  [10.0.0.9]:tcp:80      waits  -               sorry server",
    ]
    assert plain[-1] == "1 finding(s) about the configuration; see: keepalived -t"


def click_free(line: str) -> str:
    return status.click.unstyle(line)


def test_a_child_that_does_not_answer_is_named():
    lines = list(status.render({"vrrp": {"error": "no answer"}, "checker": {"error": "not running"}}, 0))
    assert "VRRP: no answer" in lines
    assert "Checkers: not running" in lines


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59.9, "59s"), (200, "3m20s"), (7500, "2h05m"), (356400, "4d03h"), (-3, "0s")]
)
def test_durations(seconds, text):
    assert common.duration(seconds) == text


class Server:
    """A control server in a thread that answers with fixed values."""

    def __init__(self, path, identity, answer=None):
        self.reactor = Reactor()
        body = {"identity": identity, "status": answer or identity}
        self.server = ControlServer(
            self.reactor, str(path), lambda request, answer: answer.reply(body[request.command])
        )
        self.stopping = False
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while not self.stopping:
            self.reactor.turn(20_000)

    def close(self):
        self.stopping = True
        self.thread.join()
        self.server.close()
        self.reactor.close()


@pytest.fixture
def base(tmp_path, monkeypatch):
    monkeypatch.setenv("PYKEEPALIVED_STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.delenv("PYKEEPALIVED_CONTROL_SOCKET", raising=False)
    return tmp_path / "state"


def run(*words):
    return CliRunner().invoke(main, list(words))


def test_no_daemon_is_exit_code_3(base):
    result = run("status")
    assert result.exit_code == 3
    assert "no daemon is running" in result.output
    assert run("status", "--socket", str(base / "x.sock")).exit_code == 3


def test_a_socket_of_a_dead_daemon_is_no_daemon(base):
    server = Server(base / "control.sock", {"pid": 1})
    path = base / "dead" / "control.sock"
    path.parent.mkdir()
    server.close()
    (base / "control.sock").touch()
    assert run("status").exit_code == 3


def test_the_only_daemon_is_found_and_json_is_whole(base):
    server = Server(base / "control.sock", {"pid": 1, "network_namespace": 5}, ANSWER)
    try:
        assert json.loads(run("status", "--json").output) == ANSWER
        assert "VI_1" in run("status").output
    finally:
        server.close()


def test_of_several_daemons_that_of_our_network_namespace_is_asked(base):
    first = Server(base / "control.sock", {"pid": 1, "network_namespace": 5})
    second = Server(base / "other" / "control.sock", {"pid": 2, "network_namespace": network_namespace()})
    try:
        assert json.loads(run("status", "--json").output)["pid"] == 2
        third = Server(base / "third" / "control.sock", {"pid": 3, "network_namespace": network_namespace()})
        try:
            result = run("status")
            assert result.exit_code == 2
            assert str(base / "third" / "control.sock") in result.output
            path = str(base / "third" / "control.sock")
            assert json.loads(run("status", "--json", "--socket", path).output)["pid"] == 3
        finally:
            third.close()
    finally:
        first.close()
        second.close()


def test_the_overview_names_every_command_and_loads_none():
    result = run("--help")
    assert result.exit_code == 0
    for name in COMMANDS:
        assert f"  {name}" in result.output
    assert run("nonsense").exit_code == 2

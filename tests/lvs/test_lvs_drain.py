"""Drains: weight 0, the wait for connections, out; over reloads; by the control socket's commands."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykeepalived.lvs.drain import Drains, Ended
from pykeepalived.tools.lab import Lab, wait_until
from tests.lvs.stage import KEY, Backend, Stage, config, place, real_server, virtual_server

ROOT = Path(__file__).parents[2]
ONE, TWO = ("10.0.0.5", "192.168.0.2", 80), ("10.0.0.5", "192.168.0.3", 80)


def test_it_waits_for_two_looks_without_connections() -> None:
    drains = Drains()
    drains.begin(ONE, 100)
    drains.begin(TWO, 100)
    assert drains.looked({ONE: 3}, 1) == []
    assert drains.looked({ONE: 0}, 2) == [Ended(TWO, 0)]
    assert drains.looked({ONE: 1}, 3) == []
    assert drains.looked({}, 4) == []
    assert drains.looked({}, 5) == [Ended(ONE, 0)]
    assert drains.out == {ONE, TWO}
    drains.begin(ONE, 200)
    assert not drains.waiting
    drains.cancel(ONE)
    assert drains.out == {TWO}


def test_the_deadline_ends_it() -> None:
    drains = Drains()
    drains.begin(ONE, 100)
    drains.begin(ONE, 50)
    assert drains.looked({ONE: 3}, 49) == []
    assert drains.looked({ONE: 3}, 50) == [Ended(ONE, 3)]
    drains.begin(TWO, 60)
    assert drains.overdue(59) == []
    assert drains.overdue(60) == [Ended(TWO, None)]
    drains.keep(set())
    assert not drains.out


@pytest.fixture
def backends() -> Iterator[list[Backend]]:
    made = [Backend("127.0.0.2"), Backend("127.0.0.3")]
    yield made
    for backend in made:
        backend.close()


def names(backend: Backend) -> dict[str, object]:
    return {"service": f"{KEY.address}:80", "server": f"{backend.address}:{backend.port}"}


def test_a_server_is_drained_and_comes_back(backends: list[Backend]) -> None:
    one, two = backends
    stage = Stage()
    shown = [f"{item.address}:{item.port}" for item in backends]
    try:
        stage.program.start(config(virtual_server(real_server(one), real_server(two, weight=2))))
        stage.until_weights({shown[0]: 1, shown[1]: 2})
        stage.dataplane.open[KEY, place(two)] = 4
        answer = stage.program.command("drain", names(two) | {"timeout_s": 60})
        assert [item["state"] for item in answer["servers"]] == ["draining"]
        stage.until_weights({shown[0]: 1, shown[1]: 0})
        stage.until(lambda: stage.program.command("drains", names(two))["servers"][0]["connections"] == 4, "a look")
        # A reload in the middle changes nothing of it.
        stage.program.reload(config(virtual_server(real_server(one, weight=3), real_server(two, weight=2))))
        stage.until_weights({shown[0]: 3, shown[1]: 0})
        stage.dataplane.open.clear()
        stage.until_weights({shown[0]: 3})
        assert any(line.startswith("Drained service") for line in stage.memo.lines)
        stage.program.reload(config(virtual_server(real_server(one, weight=1), real_server(two, weight=2))))
        stage.until_weights({shown[0]: 1})
        assert stage.program.command("drain", names(two))["servers"][0]["state"] == "drained"
        assert stage.program.command("undrain", names(two))["servers"][0]["state"] == "serving"
        stage.until_weights({shown[0]: 1, shown[1]: 2})
    finally:
        stage.close()


def test_a_drain_can_be_taken_back_and_ends_at_its_deadline(backends: list[Backend]) -> None:
    one, two = backends
    stage = Stage()
    shown = [f"{item.address}:{item.port}" for item in backends]
    try:
        stage.program.start(config(virtual_server(real_server(one), real_server(two, weight=2))))
        stage.until_weights({shown[0]: 1, shown[1]: 2})
        stage.dataplane.open[KEY, place(two)] = 4
        stage.program.command("drain", names(two) | {"timeout_s": 60})
        stage.until_weights({shown[0]: 1, shown[1]: 0})
        stage.program.command("undrain", names(two))
        stage.until_weights({shown[0]: 1, shown[1]: 2})
        stage.program.command("drain", names(two) | {"timeout_s": 1})
        stage.until_weights({shown[0]: 1})
        assert any(line.endswith("4 connections are cut off") for line in stage.memo.lines)
    finally:
        stage.close()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"service": "10.9.9.9:80", "server": "x"}, "no virtual server"),
        ({"service": f"{KEY.address}:80", "server": "10.9.9.9:80"}, "has no real server"),
        ({}, "no virtual server"),
    ],
)
def test_refusals_say_why(backends: list[Backend], arguments: dict[str, str], text: str) -> None:
    stage = Stage()
    try:
        stage.program.start(config(virtual_server(real_server(backends[0]))))
        assert text in stage.program.command("drain", arguments)["error"]
        wrong = names(backends[0]) | {"timeout_s": -1}
        assert "whole number of seconds" in stage.program.command("drain", wrong)["error"]
    finally:
        stage.close()


CONFIGURATION = """\
global_defs {
    router_id lb1
    lvs_dataplane nftables
}
virtual_server 10.0.0.5 80 {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 10.0.0.2 80 {
    }
    real_server 10.0.0.3 80 {
    }
}
"""


def _serve(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            connection.sendall(listener.getsockname()[0].encode())
            threading.Thread(target=_keep, args=(connection,), daemon=True).start()


def _keep(connection: socket.socket) -> None:
    with contextlib.suppress(OSError), connection:
        while connection.recv(100):
            pass


@pytest.mark.netns
def test_a_connection_of_the_nftables_dataplane_is_waited_for(tmp_path: Path) -> None:
    """The whole program and `keepalivedctl drain`: no new connection comes, the old one lives on."""
    with Lab(f"drain-{os.getpid()}") as lab:
        space = lab.namespace("a")
        space.address("lo", "10.0.0.2/32", "10.0.0.3/32", "10.0.0.5/32")
        file, log = tmp_path / "conf", tmp_path / "log"
        file.write_text(CONFIGURATION)
        with space.inside():
            listeners = [socket.create_server((f"10.0.0.{number}", 80)) for number in (2, 3)]
        for listener in listeners:
            threading.Thread(target=_serve, args=(listener,), daemon=True).start()

        def connect() -> tuple[socket.socket, str]:
            with space.inside():
                client = socket.create_connection(("10.0.0.5", 80), timeout=5)
            return client, client.recv(20).decode()

        def control(*words: str) -> str:
            argv = (sys.executable, "-m", "pykeepalived.cli.keepalivedctl", *words)
            done = subprocess.run(
                space.command(argv), cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        words = ["-m", "pykeepalived.cli.keepalived", "-n", "-l", "-C", "-f", file, "-p", "/run/p", "-c", "/run/c"]
        daemon = lab.popen(space, sys.executable, *words, log=log, cwd=ROOT)
        try:
            wait_until(lambda: "10.0.0.3" in space.run("nft", "list", "ruleset").stdout, 15, "the table")
            clients = [connect() for _ in range(8)]
            old = next(client for client, where in clients if where == "10.0.0.3")
            for client, where in clients:
                if where == "10.0.0.3" and client is not old:
                    client.close()
            told = control("drain", "10.0.0.5:80", "10.0.0.3:80", "--timeout", "60")
            assert told.startswith("[10.0.0.3]:tcp:80 of [10.0.0.5]:tcp:80: draining")
            wait_until(lambda: "draining, 1 conn" in control("drain", "10.0.0.5:80", "10.0.0.3"), 10, "a look")
            later = [connect() for _ in range(6)]
            assert {where for _, where in later} == {"10.0.0.2"}
            for client, _ in (*clients, *later):
                if client is not old:
                    client.close()
            daemon.send_signal(signal.SIGHUP)
            wait_until(lambda: "Reloading" in log.read_text(), 10, "the reload")
            assert "10.0.0.3" in space.run("nft", "list", "ruleset").stdout
            old.sendall(b"still here")
            old.close()
            control("drain", "10.0.0.5:80", "10.0.0.3:80", "--timeout", "4", "--wait")
            assert "10.0.0.3" not in space.run("nft", "list", "ruleset").stdout
            assert "serving" in control("undrain", "10.0.0.5:80", "10.0.0.3:80")
            wait_until(lambda: "10.0.0.3" in space.run("nft", "list", "ruleset").stdout, 5, "back")
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(60)
            for listener in listeners:
                listener.shutdown(socket.SHUT_RDWR)
                listener.close()

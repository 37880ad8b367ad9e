"""A drain waits for the connections that IPVS counts, of TCP and UDP. Runs inside the test kernel."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykeepalived.dataplane.ipvs import IpvsDataplane
from pykeepalived.dialects.keepalived import load
from pykeepalived.tools.lab import Lab, Namespace
from tests.dialects.keepalived.fake_host import FakeHost
from tests.lvs.stage import Stage

CONFIGURATION = """
virtual_server 10.0.0.5 80 {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 10.0.0.2 80 {
    }
    real_server 10.0.0.3 80 {
    }
}
virtual_server 10.0.0.5 53 {
    lb_algo rr
    lb_kind NAT
    protocol UDP
    real_server 10.0.0.2 53 {
    }
    real_server 10.0.0.3 53 {
    }
}
"""


@pytest.fixture
def place() -> Iterator[tuple[Stage, Namespace]]:
    with Lab("lvs-drain") as lab:
        space = lab.namespace("a")
        space.address("lo", "10.0.0.2/32", "10.0.0.3/32", "10.0.0.5/32")
        with space.inside():
            stage = Stage(IpvsDataplane())
            file = Path("/tmp/drain.conf")
            file.write_text(CONFIGURATION)
            stage.program.start(load(str(file), host=FakeHost()).config)
            yield stage, space
            stage.close()


def rules() -> str:
    return subprocess.run(["ipvsadm", "-Sn"], capture_output=True, text=True, timeout=20, check=True).stdout


def state(stage: Stage, service: str, server: str) -> tuple[str, int | None]:
    [item] = stage.program.command("drains", {"service": service, "server": server})["servers"]
    return item["state"], item["connections"]


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


def test_an_established_connection_is_waited_for(place: tuple[Stage, Namespace]) -> None:
    stage, _ = place
    listeners = [socket.create_server((f"10.0.0.{number}", 80)) for number in (2, 3)]
    for listener in listeners:
        threading.Thread(target=_serve, args=(listener,), daemon=True).start()
    clients = {}
    while len(clients) < 2:
        client = socket.create_connection(("10.0.0.5", 80), timeout=5)
        clients[client.recv(20).decode()] = client
    old = clients["10.0.0.3"]
    stage.program.command("drain", {"service": "10.0.0.5:80", "server": "10.0.0.3", "timeout_s": 100})
    stage.until(lambda: state(stage, "10.0.0.5:80", "10.0.0.3:80") == ("draining", 1), "one connection")
    assert "-a -t 10.0.0.5:80 -r 10.0.0.3:80 -m -w 0" in rules()
    for _ in range(4):
        with socket.create_connection(("10.0.0.5", 80), timeout=5) as client:
            assert client.recv(20) == b"10.0.0.2"
    old.sendall(b"still here")
    old.close()
    clients["10.0.0.2"].close()
    stage.until(lambda: state(stage, "10.0.0.5:80", "10.0.0.3:80")[0] == "drained", "the end")
    stage.until(lambda: "-t 10.0.0.5:80 -r 10.0.0.3:80" not in rules(), "out")
    stage.program.command("undrain", {"service": "10.0.0.5:80", "server": "10.0.0.3"})
    stage.until(lambda: "-a -t 10.0.0.5:80 -r 10.0.0.3:80 -m -w 1" in rules(), "back")
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def test_datagrams_count_too_and_the_deadline_holds(place: tuple[Stage, Namespace]) -> None:
    stage, _ = place
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        for client in (one, two):
            client.sendto(b"x", ("10.0.0.5", 53))
    stage.program.command("drain", {"service": "10.0.0.5:53", "server": "10.0.0.3", "timeout_s": 3})
    stage.until(lambda: state(stage, "10.0.0.5:53", "10.0.0.3:53") == ("draining", 1), "one flow")
    stage.until(lambda: "-u 10.0.0.5:53 -r 10.0.0.3:53" not in rules(), "out at the deadline")
    assert any(line.endswith("1 connections are cut off") for line in stage.memo.lines)

"""Connections through the daemon's virtual servers: NAT, direct routing and tunnels, IPv4 and IPv6, while servers come
and go and the configuration changes. Runs in the test kernel; `test_lvs_traffic.py` starts it there.

All machines are on one wire. A client has two addresses: what goes to the first one (NAT) the servers send through the
director, what goes to the second one they send themselves.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykeepalived.tools.lab import Lab, Namespace, wait_until

METHODS = {"NAT": 81, "DR": 82, "TUN": 83}
FAMILIES = {
    "inet": ("10.9.0.5", "10.9.0.1", ("10.9.0.11", "10.9.0.12"), ("10.8.1.2", "10.8.2.2")),
    "inet6": (
        "2001:db8:9::5",
        "2001:db8:9::1",
        ("2001:db8:9::11", "2001:db8:9::12"),
        ("2001:db8:81::2", "2001:db8:82::2"),
    ),
}
WAYS = [(family, method) for family in FAMILIES for method in METHODS]
LIMIT_S = 10.0


def configuration(weights: tuple[int, ...] = (1, 1), scheduler: str = "rr") -> str:
    """Six virtual servers with the servers that have a weight of 0 and more."""
    parts = ["global_defs {\n    router_id traffic\n}\n"]
    for family, method in WAYS:
        vip, _, servers, _ = FAMILIES[family]
        port = METHODS[method]
        parts.append(f"virtual_server {vip} {port} {{\n    delay_loop 1\n    lb_algo {scheduler}\n")
        parts.append(f"    lb_kind {method}\n    protocol TCP\n")
        for server, weight in zip(servers, weights, strict=True):
            if weight >= 0:
                parts.append(f"    real_server {server} {port} {{\n        weight {weight}\n        TCP_CHECK {{\n")
                parts.append("            connect_timeout 2\n            retry 0\n        }\n    }\n")
        parts.append("}\n")
    return "".join(parts)


class Echo:
    """A real server: says its number to each connection, then sends back what it gets. Closing ends its listeners; the
    connections that are open go on."""

    def __init__(self, space: Namespace, number: int) -> None:
        self._space, self._number = space, number
        self._listeners: list[socket.socket] = []
        self.connections: list[socket.socket] = []
        self.open()

    def open(self) -> None:
        for port in METHODS.values():
            with self._space.inside():
                listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
            self._listeners.append(listener)
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def close(self) -> None:
        for listener in self._listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self._listeners.clear()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self.connections.append(connection)
        with contextlib.suppress(OSError):
            connection.sendall(bytes([self._number]))
            while data := connection.recv(100):
                connection.sendall(data)


class Site:
    """The wire, its machines, and the daemon on the director."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self._opened: list[socket.socket] = []
        self.wire, self.client, self.director = (lab.namespace(name) for name in ("wire", "client", "director"))
        self.machines = [lab.namespace(f"server{number}") for number in (1, 2)]
        self.wire.bridge("br0")
        for member in (self.client, self.director, *self.machines):
            lab.plug(member, "eth0", self.wire, "br0")
        for family, (vip, own, servers, (far, near)) in FAMILIES.items():
            length, whole = (64, 128) if family == "inet6" else (24, 32)
            self.client.address("eth0", f"{far}/{whole}", f"{near}/{whole}")
            self.client.route(f"{vip}/{whole}", "dev", "eth0")
            self.director.address("eth0", f"{own}/{length}")
            # As keepalived adds it; else the tunnels could begin at the address that the servers have themselves.
            deprecated = ("preferred_lft", "0", "nodad") if family == "inet6" else ()
            self.director.ip("addr", "add", f"{vip}/{whole}", "dev", "eth0", *deprecated)
            self._route(self.director, (far, near), whole, "dev", "eth0")
            for machine, server in zip(self.machines, servers, strict=True):
                machine.address("eth0", f"{server}/{length}")
                for key in ("arp_ignore", "arp_announce") if family == "inet" else ():
                    machine.sysctl(f"net.ipv4.conf.all.{key}", 1 + (key == "arp_announce"))
                machine.address("lo", f"{vip}/{whole}")
                self._route(machine, (far,), whole, "via", own)
                self._route(machine, (near,), whole, "dev", "eth0")
        for machine in self.machines:
            for tunnel in ("tunl0", "ip6tnl0"):
                machine.up(tunnel)
            for interface in ("all", "tunl0"):
                machine.sysctl(f"net.ipv4.conf.{interface}.rp_filter", 0)
            # Else the director would show them the short way, on which nobody translates.
            for interface in ("all", "eth0"):
                machine.sysctl(f"net.ipv6.conf.{interface}.accept_redirects", 0)
        self.director.sysctl("net.ipv4.ip_forward", 1)
        self.director.sysctl("net.ipv6.conf.all.forwarding", 1)
        self.director.sysctl("net.ipv4.conf.all.send_redirects", 0)
        self.director.sysctl("net.ipv4.conf.eth0.send_redirects", 0)
        self.echoes = [Echo(machine, number) for number, machine in enumerate(self.machines, 1)]
        self._file, self._log = directory / "keepalived.conf", directory / "log"
        self._file.write_text(configuration())
        words = [sys.executable, "-m", "pykeepalived.cli.keepalived", "-n", "-l", "-D", "-C", "-f", str(self._file)]
        with self._log.open("wb") as log:
            self.process: subprocess.Popen[bytes] = self.director.popen(*words, stdout=log, stderr=subprocess.STDOUT)
        self.shows(12)

    def close(self) -> None:
        """End what is still open."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(LIMIT_S)
        for echo in self.echoes:
            echo.close()
        for connection in self._opened + [one for echo in self.echoes for one in echo.connections]:
            connection.close()

    @staticmethod
    def _route(space: Namespace, targets: tuple[str, ...], length: int, *words: str) -> None:
        for target in targets:
            space.route(f"{target}/{length}", *words)

    def table(self) -> list[str]:
        return self.director.run("ipvsadm", "-Sn").stdout.splitlines()

    def shows(self, servers: int, word: str = "") -> None:
        """Wait until so many real servers stand in the table, and `word` in as many lines as there are services."""

        def settled() -> bool:
            lines = self.table()
            return sum(line.startswith("-a") for line in lines) == servers and (
                not word or sum(word in line for line in lines) == len(WAYS)
            )

        wait_until(settled, LIMIT_S, f"{servers} servers {word}: {self.table()}\n{self._log.read_text()}")

    def reload(self, text: str) -> None:
        self._file.write_text(text)
        self.process.send_signal(signal.SIGHUP)

    def connect(self, family: str, method: str) -> tuple[int, socket.socket]:
        """(which server answers, the connection)"""
        vip, _, _, sources = FAMILIES[family]
        with self.client.inside():
            connection = socket.socket(socket.AF_INET6 if family == "inet6" else socket.AF_INET)
        connection.settimeout(LIMIT_S)
        self._opened.append(connection)
        connection.bind((sources[method != "NAT"], 0))
        connection.connect((vip, METHODS[method]))
        return connection.recv(1)[0], connection

    def answering(self, family: str, method: str, count: int = 4) -> set[int]:
        """Which servers answer new connections."""
        found = set()
        for _ in range(count):
            number, connection = self.connect(family, method)
            connection.close()
            found.add(number)
        return found


class Held:
    """Connections that are open all the time: one to each server through each virtual server."""

    def __init__(self, site: Site) -> None:
        self._open: dict[tuple[str, str, int], socket.socket] = {}
        for family, method in WAYS:
            for _ in range(8):
                number, connection = site.connect(family, method)
                if (family, method, number) in self._open:
                    connection.close()
                self._open.setdefault((family, method, number), connection)
        assert len(self._open) == 2 * len(WAYS)

    def broken(self, *servers: int) -> list[tuple[str, str, int]]:
        """Those to these servers over which nothing comes back."""
        found = []
        for place, connection in self._open.items():
            if place[2] in servers:
                try:
                    connection.sendall(b"still there?")
                    whole = connection.recv(100) == b"still there?"
                except OSError:
                    whole = False
                if not whole:
                    found.append(place)
        return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Lab("lvs-traffic") as lab:
        opened = Site(lab, tmp_path_factory.mktemp("traffic"))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def held(site: Site) -> Held:
    return Held(site)


@pytest.mark.parametrize(("family", "method"), WAYS)
def test_new_connections_reach_both_servers(site: Site, family: str, method: str) -> None:
    assert site.answering(family, method) == {1, 2}


def test_a_server_dies_and_returns(site: Site, held: Held) -> None:
    site.echoes[0].close()
    site.shows(6)
    assert {way: site.answering(*way) for way in WAYS} == {way: {2} for way in WAYS}
    assert held.broken(2) == []
    site.echoes[0].open()
    site.shows(12)
    assert {way: site.answering(*way) for way in WAYS} == {way: {1, 2} for way in WAYS}
    assert held.broken(1, 2) == []


@pytest.mark.parametrize("change", ["nothing", "weights", "scheduler", "a server leaves", "all as before"])
def test_a_reload_breaks_no_connection_of_a_healthy_server(site: Site, held: Held, change: str) -> None:
    match change:
        case "weights":
            site.reload(configuration((3, 3)))
            wait_until(lambda: sum("-w 3" in line for line in site.table()) == 12, LIMIT_S, "the weights")
        case "scheduler":
            site.reload(configuration((3, 3), "wlc"))
            site.shows(12, "-s wlc")
        case "a server leaves":
            site.reload(configuration((-1, 3), "wlc"))
            site.shows(6)
        case _:
            site.reload(configuration())
            site.shows(12, "-s rr")
    assert held.broken(2) == []
    if change != "a server leaves":
        assert held.broken(1) == [], "also those of the server that was away"


def test_the_end(site: Site) -> None:
    site.process.send_signal(signal.SIGTERM)
    assert site.process.wait(LIMIT_S) == 0
    assert site.table() == []

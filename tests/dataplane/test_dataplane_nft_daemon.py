"""The daemon with the nftables dataplane: its words, and connections that outlive reload, restart and kill -9."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykeepalived.dataplane.nftables import NftablesDataplane
from pykeepalived.tools.lab import Lab, wait_until
from tests.dataplane.direct import DirectSite
from tests.dataplane.traffic import CLIENTS, PORT, SERVERS, SERVERS6, VIP, VIP6, Site, _line, lives

pytestmark = pytest.mark.netns
PROGRAM = Path(sys.executable).with_name("pykeepalived")


class Daemon:
    def __init__(self, lab: Lab, site: Site | DirectSite, directory: Path) -> None:
        self._lab, self._site = lab, site
        self.file = directory / "keepalived.conf"
        self._log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, servers: tuple[str, ...], *words: str) -> None:
        self.file.write_text(f"{_global(*words)}{_service(VIP, 'NAT', servers)}")

    def configure_direct(self, *words: str) -> None:
        services = _service(VIP, "DR", SERVERS) + _service(VIP6, "DR", SERVERS6)
        self.file.write_text(f"{_global(*words)}{services}")

    def start(self, expected: int) -> None:
        command = [PROGRAM, "-n", "-C", "-D", "-G", "-f", self.file, "--log-console"]
        before = self._ready()
        self._process = self._lab.popen(self._site.director, *command, log=self._log)
        wait_until(lambda: self._ready() > before, 60, "a daemon that has started")
        self.serves(expected)

    def _ready(self) -> int:
        return self._log.read_text().count("Startup complete") if self._log.exists() else 0

    def serves(self, expected: int) -> None:
        wait_until(lambda: self._members() == expected, 60, f"{expected} servers in the kernel")

    def _members(self) -> int:
        done = self._site.director.run("nft", "list", "set", "ip", "pykeepalived_lvs", "members", check=False)
        return done.stdout.count(f" . {PORT} comment")

    def reload(self, expected: int) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)
        self.serves(expected)

    def kill(self) -> None:
        """All of it at once, as a crash of the machine's memory would."""
        assert self._process is not None
        pids = self._site.director.processes()
        # A child that outlives its parent by a moment would tidy up.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                os.kill(pid, number)
        self._process.wait(60)

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(60)


def _global(*words: str) -> str:
    return "\n".join(["global_defs {", "  lvs_dataplane nftables", *words, "}", ""])


def _service(vip: str, kind: str, servers: tuple[str, ...]) -> str:
    lines = [f"virtual_server {vip} {PORT} {{", "  delay_loop 1", "  lb_algo rr", f"  lb_kind {kind}", "  protocol TCP"]
    lines += [f"  real_server {each} {PORT} {{\n    weight 1\n  }}" for each in servers]
    return "\n".join([*lines, "}"]) + "\n"


def tables(site: Site | DirectSite) -> list[str]:
    """The names of all nftables tables of the director."""
    return [line.split()[-1] for line in site.director.run("nft", "list", "tables").stdout.splitlines()]


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab("nft-daemon") as made:
        yield made


@pytest.mark.skipif(Path("/proc/net/ip_vs").exists(), reason="this kernel has IPVS")
def test_what_needs_ipvs_is_named_with_its_place_where_the_kernel_has_none(lab: Lab, tmp_path: Path) -> None:
    site = Site(lab, NftablesDataplane)
    daemon = Daemon(lab, site, tmp_path)
    daemon.configure(SERVERS)
    text = daemon.file.read_text().replace("lvs_dataplane nftables", "lvs_dataplane auto")
    more = "virtual_server 10.9.0.6 80 {\n  lb_kind TUN\n  real_server 10.9.1.1 80 {\n    weight 1\n  }\n}\n"
    daemon.file.write_text(text + more)
    daemon.start(3)
    place = f"{daemon.file}:{text.count(chr(10)) + 2}:11"
    shown = (tmp_path / "log").read_text()
    assert f"{place}: warning[needs-ipvs]" in shown
    # On the console once, with the word itself.
    assert shown.count(f"--> {place}\n") == 1
    assert "|   lb_kind TUN\n" in shown
    assert shown.count("|           ^^^\n") == 1
    daemon.stop()
    site.close()


@pytest.mark.shows("global_defs.{lvs_dataplane,lvs_nftables_masquerade,lvs_nftables_removed}")
def test_connections_outlive_reload_restart_and_kill(lab: Lab, tmp_path: Path) -> None:
    site = Site(lab, NftablesDataplane)
    daemon = Daemon(lab, site, tmp_path)
    daemon.configure(SERVERS)
    daemon.start(3)
    with site.established() as connections:
        assert set(connections) == set(SERVERS)
        daemon.kill()
        assert all(lives(connection) for connection in connections.values())
        assert site.spread(6) == [2, 2, 2], "the kernel goes on without the daemon"
        daemon.start(3)
        assert all(lives(connection) for connection in connections.values())
        daemon.configure(SERVERS[:2])
        daemon.reload(2)
        assert all(lives(connection) for connection in connections.values()), "drained"
        assert SERVERS[2] not in {site.ask() for _ in range(4)}
        daemon.stop()
        # Nothing is balanced any more, and who is connected goes on.
        assert tables(site) == ["pykeepalived_linger"]
        assert all(lives(connection) for connection in connections.values())
        with pytest.raises(ConnectionError):
            site.connect(CLIENTS[1])
        assert all(lives(connection) for connection in connections.values())
        daemon.start(2)
        assert tables(site) == ["pykeepalived_lvs"]
        assert all(lives(connection) for connection in connections.values())
        daemon.configure(SERVERS[:1], "  lvs_nftables_removed reset", "  lvs_nftables_masquerade")
        daemon.reload(1)
        wait_until(lambda: not lives(connections[SERVERS[1]]), 30, "a reset connection")
        assert lives(connections[SERVERS[0]])
    with site.connect(CLIENTS[1]):
        seen = site.farm.run("ss", "-Htn", "sport", "=", f":{PORT}").stdout
    assert "10.9.1.254:" in seen
    assert CLIENTS[1] not in seen
    daemon.stop()
    assert tables(site) == [], "reset: nothing is to go on"
    site.close()


def _of_each_server(site: DirectSite, vip: str, stack: contextlib.ExitStack) -> dict[str, socket.socket]:
    """An open connection to each server that answers."""
    opened: dict[str, socket.socket] = {}
    for _ in range(3):
        connection = stack.enter_context(site.site.connect(vip=vip))
        opened.setdefault(_line(connection), connection)
    return opened


def test_direct_connections_outlive_a_stop_and_the_next_start(lab: Lab, tmp_path: Path) -> None:
    site = DirectSite(lab)
    daemon = Daemon(lab, site, tmp_path)
    daemon.configure_direct()
    daemon.start(3)
    with contextlib.ExitStack() as stack:
        opened = {vip: _of_each_server(site, vip, stack) for vip in (VIP, VIP6)}
        assert [set(found) for found in opened.values()] == [set(SERVERS), set(SERVERS6)]
        connections = [connection for found in opened.values() for connection in found.values()]
        daemon.stop()
        # Nothing is balanced any more, and who is connected goes on.
        assert sorted(tables(site)) == ["pykeepalived_linger", "pykeepalived_linger", "pykeepalived_lvs"]
        assert all(lives(connection) for connection in connections)
        for vip in (VIP, VIP6):
            with pytest.raises(ConnectionRefusedError):
                site.site.connect(vip=vip)
        assert all(lives(connection) for connection in connections)
        daemon.start(3)
        assert all(lives(connection) for connection in connections)
        assert [site.site.spread(6, vip=vip) for vip in (VIP, VIP6)] == [[2, 2, 2], [2, 2, 2]]
        assert all(lives(connection) for connection in connections), "each at its server"
        daemon.configure_direct("  lvs_nftables_removed reset")
        daemon.stop()
        daemon.start(3)
        assert all(lives(connection) for connection in connections)
        daemon.stop()
        assert tables(site) == [], "reset: nothing is to go on"
        assert not any(lives(connection) for connection in connections)
    site.site.close()


def test_a_drain_waits_for_direct_connections(lab: Lab, tmp_path: Path) -> None:
    site = DirectSite(lab)
    daemon = Daemon(lab, site, tmp_path)
    daemon.configure_direct()
    daemon.start(3)

    def drain(*words: str) -> str:
        program = PROGRAM.with_name("keepalivedctl")
        return site.director.run(program, "drain", f"{VIP}:{PORT}", f"{SERVERS[0]}:{PORT}", *words).stdout

    with contextlib.ExitStack() as stack:
        opened = _of_each_server(site, VIP, stack)
        drain("--timeout", "600")
        wait_until(lambda: "draining, 1 connections" in drain("--timeout", "600"), 30, "a look at the connections")
        assert site.site.spread(6)[0] == 0
        assert lives(opened[SERVERS[0]])
        opened[SERVERS[0]].close()
        # It does not wait for the deadline.
        wait_until(lambda: drain("--timeout", "600").rstrip().endswith("drained"), 30, "the end of the drain")
        assert SERVERS[0] not in site.director.run("nft", "list", "set", "ip", "pykeepalived_lvs", "members").stdout
        assert lives(opened[SERVERS[1]])
    daemon.stop()
    site.site.close()

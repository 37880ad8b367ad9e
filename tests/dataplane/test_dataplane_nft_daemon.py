"""The daemon with the nftables dataplane: its words, and connections that outlive reload, restart and kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykeepalived.dataplane.nftables import NftablesDataplane
from pykeepalived.tools.lab import Lab, wait_until
from tests.dataplane.traffic import CLIENTS, PORT, SERVERS, VIP, Site, lives

pytestmark = pytest.mark.netns
PROGRAM = Path(sys.executable).with_name("pykeepalived")


class Daemon:
    def __init__(self, lab: Lab, site: Site, directory: Path) -> None:
        self._lab, self._site = lab, site
        self.file = directory / "keepalived.conf"
        self._log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, servers: tuple[str, ...], *words: str) -> None:
        lines = ["global_defs {", "  lvs_dataplane nftables", *words, "}", f"virtual_server {VIP} {PORT} {{"]
        lines += ["  delay_loop 1", "  lb_algo rr", "  lb_kind NAT", "  protocol TCP"]
        lines += [f"  real_server {each} {PORT} {{\n    weight 1\n  }}" for each in servers]
        self.file.write_text("\n".join([*lines, "}"]) + "\n")

    def start(self, expected: int) -> None:
        command = [PROGRAM, "-n", "-C", "-D", "-G", "-f", self.file, "--log-console"]
        before = self._ready()
        self._process = self._lab.popen(self._site.director, *command, log=self._log)
        wait_until(lambda: self._ready() > before, 20, "a daemon that has started")
        self.serves(expected)

    def _ready(self) -> int:
        return self._log.read_text().count("Startup complete") if self._log.exists() else 0

    def serves(self, expected: int) -> None:
        wait_until(lambda: self._members() == expected, 20, f"{expected} servers in the kernel")

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
        self._process.wait(20)


def tables(site: Site) -> list[str]:
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
    place = f"{daemon.file}:{text.count(chr(10)) + 2}:11: warning[needs-ipvs]"
    assert place in (tmp_path / "log").read_text()
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
        wait_until(lambda: not lives(connections[SERVERS[1]]), 5, "a reset connection")
        assert lives(connections[SERVERS[0]])
    with site.connect(CLIENTS[1]):
        seen = site.farm.run("ss", "-Htn", "sport", "=", f":{PORT}").stdout
    assert "10.9.1.254:" in seen
    assert CLIENTS[1] not in seen
    daemon.stop()
    assert tables(site) == [], "reset: nothing is to go on"
    site.close()

"""FRR's vrrpd and ours on one wire: VRRPv3 over IPv4 and IPv6, each of them the better one in turn.

FRR wants its virtual MAC interfaces made beforehand, with the virtual addresses on them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pykeepalived.tools.lab import Lab, Namespace, wait_until

FRR = Path("/usr/lib/frr")
ROOT = Path(__file__).parents[3]
OURS = "import sys; from pykeepalived.cli.keepalived import main; sys.exit(main())"
PATIENCE_S = 120.0
VRID = 51
pytestmark = [
    pytest.mark.netns,
    pytest.mark.peer,
    pytest.mark.skipif(not (FRR / "vrrpd").exists() or os.geteuid() != 0, reason="needs frr and root"),
]
ADDRESS = {"ipv4": "10.0.0.9", "ipv6": "2001:db8:1::9"}


class Wire:
    """Our router here, FRR's there, a cable between."""

    def __init__(self, lab: Lab, into: Path) -> None:
        self._lab = lab
        self._into = into
        self.here, self.there = lab.namespace("ours"), lab.namespace("frr")
        lab.link(self.here, "eth0", self.there, "eth0")
        for number, space in enumerate((self.here, self.there), 1):
            space.address("eth0", f"10.0.0.{number}/24", f"2001:db8:1::{number}/64")
        self.processes: dict[str, subprocess.Popen[Any]] = {}

    def start_ours(self, family: str, priority: int) -> None:
        listed = [f"{ADDRESS[family]}/{24 if family == 'ipv4' else 64}"]
        if family == "ipv6":
            listed.insert(0, "fe80::9/64")
        file = self._into / "keepalived.conf"
        file.write_text(
            f"vrrp_instance V {{\n interface eth0\n virtual_router_id {VRID}\n version 3\n priority {priority}\n"
            f" advert_int 0.5\n virtual_ipaddress {{\n" + "\n".join(listed) + "\n }\n}\n"
        )
        file.chmod(0o600)
        options = ["-n", "-l", "-D", "-f", file, "-p", "/run/k", "-r", "/run/v", "-P"]
        log = self._into / "ours.log"
        self.processes["ours"] = self._lab.popen(self.here, sys.executable, "-c", OURS, *options, log=log, cwd=ROOT)

    def start_frr(self, family: str, priority: int) -> None:
        there = self.there
        last = "01" if family == "ipv4" else "02"
        there.ip("link", "add", "vrrp0", "link", "eth0", "type", "macvlan", "mode", "bridge")
        there.ip("link", "set", "dev", "vrrp0", "address", f"00:00:5e:00:{last}:{VRID:02x}")
        there.ip("addr", "add", f"{ADDRESS[family]}/{24 if family == 'ipv4' else 64}", "dev", "vrrp0", "nodad")
        there.up("vrrp0")
        word = "ip" if family == "ipv4" else "ipv6"
        text = (
            f"interface eth0\n vrrp {VRID} version 3\n vrrp {VRID} priority {priority}\n"
            f" vrrp {VRID} advertisement-interval 500\n vrrp {VRID} {word} {ADDRESS[family]}\n"
        )
        there.run("sh", "-c", "mkdir -p /run/frr && chown frr:frr /run/frr")
        for name, content in (("zebra", ""), ("vrrpd", text)):
            there.run("sh", "-c", f"cat > /run/frr/{name}.conf && chmod 644 /run/frr/{name}.conf", input=content)
            options = ["-f", f"/run/frr/{name}.conf", "-A", "127.0.0.1", "-i", f"/run/frr/{name}.pid"]
            options += ["--vty_socket", "/run/frr", "-z", "/run/frr/zserv.api"]
            log = self._into / f"{name}.log"
            self.processes[name] = self._lab.popen(there, FRR / name, *options, log=log)
            wait_until(
                lambda name=name: there.run("test", "-e", f"/run/frr/{name}.vty", check=False).returncode == 0,
                PATIENCE_S,
                f"{name} runs",
            )

    def frr_says(self) -> str:
        done = self.there.run("vtysh", "--vty_socket", "/run/frr", "-c", "show vrrp", check=False)
        return done.stdout

    def wait_frr(self, state: str, family: str) -> None:
        label = f"Status ({'v4' if family == 'ipv4' else 'v6'})"

        def there() -> bool:
            return any(line.split()[-1:] == [state] for line in self.frr_says().splitlines() if label in line)

        try:
            wait_until(there, PATIENCE_S, f"FRR is {state}")
        except Exception as error:
            logs = [(self._into / f"{name}.log").read_text()[-1500:] for name in self.processes]
            raise AssertionError("\n".join([str(error), self.frr_says(), *logs])) from error

    def wait_ours(self, state: str, family: str) -> None:
        def here() -> bool:
            return has(self.here, family) == (state == "MASTER")

        wait_until(here, PATIENCE_S, f"ours is {state}: {(self._into / 'ours.log').read_text()[-1500:]}")

    def said(self) -> str:
        return (self._into / "ours.log").read_text()


def has(space: Namespace, family: str) -> bool:
    return space.has_address(ADDRESS[family], "eth0")


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    with Lab(f"frr-{os.getpid()}") as lab:
        made = Wire(lab, tmp_path)
        yield made
        for process in made.processes.values():
            process.kill()
            process.wait(PATIENCE_S)


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_ours_is_better(wire: Wire, family: str) -> None:
    wire.start_frr(family, 100)
    wire.wait_frr("Master", family)
    wire.start_ours(family, 150)
    wire.wait_ours("MASTER", family)
    wire.wait_frr("Backup", family)
    # An orderly stop: FRR takes over for a priority of 0.
    wire.processes["ours"].send_signal(signal.SIGTERM)
    wire.wait_frr("Master", family)
    assert not has(wire.here, family)


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_frr_is_better(wire: Wire, family: str) -> None:
    wire.start_ours(family, 100)
    wire.wait_ours("MASTER", family)
    wire.start_frr(family, 150)
    wire.wait_frr("Master", family)
    wire.wait_ours("BACKUP", family)
    assert "checksum" not in wire.said()
    wire.processes["vrrpd"].kill()
    wire.wait_ours("MASTER", family)

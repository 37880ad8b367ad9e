"""The cluster of the demonstration: a client, two directors, three web servers and a sorry server.

              client 10.0.0.100
                 |                 10.0.0.0/24     switch "outside"
    lb1 10.0.0.3   lb2 10.0.0.4    the site: 10.0.0.5
        192.168.0.2    192.168.0.3 the gateway: 192.168.0.1
                 |                 192.168.0.0/24  switch "inside"
web1 .12   web2 .13   web3 .14   sorry .20
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pykeepalived.tools.lab import Lab, Namespace, wait_until

SITE = "10.0.0.5"
GATEWAY = "192.168.0.1"
DIRECTORS = {"lb1": ("10.0.0.3", "192.168.0.2"), "lb2": ("10.0.0.4", "192.168.0.3")}
SERVERS = {"web1": "192.168.0.12", "web2": "192.168.0.13", "web3": "192.168.0.14", "sorry": "192.168.0.20"}
WEIGHTS = {"web1": 3, "web2": 2, "web3": 1}
_NAMES = {address: name for name, address in SERVERS.items()}


class Programs(msgspec.Struct, frozen=True):
    """What runs on a director: command lines in which @NAME@ stands for the director's name."""

    commands: tuple[tuple[str, ...], ...]


class Cluster:
    """Builds the machines and switches them on and off."""

    def __init__(self, lab: Lab, programs: Programs, logs: Path) -> None:
        self.lab = lab
        self.programs = programs
        self.logs = logs
        switch = lab.namespace("switch")
        switch.bridge("outside")
        switch.bridge("inside")
        self.client = self._machine("client", {"eth0": ("outside", "10.0.0.100")})
        for name, address in SERVERS.items():
            self._machine(name, {"eth0": ("inside", address)}).route("default", "via", GATEWAY)
        self._web: dict[str, Any] = {}
        self._running: dict[str, list[Any]] = {}

    def _machine(self, name: str, interfaces: Mapping[str, tuple[str, str]], **more: Any) -> Namespace:
        machine = self.lab.namespace(name, **more)
        for interface, (network, address) in interfaces.items():
            self.lab.plug(machine, interface, "switch", network)
            machine.address(interface, f"{address}/24")
        return machine

    # ── Web servers ──────────────────────────────────────────────────────────────────────────────────────────────────

    def start_server(self, name: str) -> None:
        program = Path(__file__).with_name("web.py")
        self._web[name] = self.lab.popen(name, sys.executable, "-I", "-S", program, name, log=self.logs / f"{name}.log")

    def await_server(self, name: str) -> None:
        """Return when it listens."""

        def listens() -> bool:
            with self.lab.namespaces[name].inside(), contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", 80), timeout=0.2).close()
                return True
            return False

        wait_until(listens, 20, f"{name} listens", interval_s=0.05)

    def kill_server(self, name: str) -> None:
        process = self._web.pop(name)
        process.kill()
        process.wait(5)

    # ── Directors ────────────────────────────────────────────────────────────────────────────────────────────────────

    def power_on(self, name: str) -> None:
        """A director boots: a new machine that knows nothing, and its programs start."""
        outside, inside = DIRECTORS[name]
        machine = self._machine(
            name, {"eth0": ("outside", outside), "eth1": ("inside", inside)}, private=("/run", "/var/log")
        )
        machine.sysctl("net.ipv4.ip_forward", 1)
        self._running[name] = []
        for number, command in enumerate(self.programs.commands):
            words = [word.replace("@NAME@", name) for word in command]
            self._running[name].append(self.lab.popen(machine, *words, log=self.logs / f"{name}-{number}.log"))

    def power_off(self, name: str) -> None:
        """Pull the plug of a director."""
        self.lab.remove(name)
        self._running.pop(name, None)

    def failed(self) -> str | None:
        """The first program of a director that ended with a failure, in words."""
        for name, programs in self._running.items():
            for process, command in zip(programs, self.programs.commands, strict=True):
                if process.poll():
                    return f"{Path(command[0]).name} on {name} ended with exit code {process.returncode}"
        return None

    def is_on(self, name: str) -> bool:
        return name in self.lab.namespaces

    def addresses_of(self, name: str) -> set[str]:
        """Which of the two moving addresses a director has."""
        if not self.is_on(name):
            return set()
        with contextlib.suppress(OSError):
            # The kernel's own list of local addresses, without starting a program.
            tree = Path(f"/proc/{self.lab.namespaces[name].pid}/net/fib_trie").read_text()
            local = set(re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", tree))
            return local & {SITE, GATEWAY}
        return set()

    def table_of(self, name: str) -> dict[str, int] | None:
        """The site's servers in a director's table, with their weights; None when it has no table yet."""
        if not self.is_on(name):
            return None
        machine = self.lab.namespaces[name]
        if Path(f"/proc/{machine.pid}/net/ip_vs").exists():
            return read_ip_vs(Path(f"/proc/{machine.pid}/net/ip_vs").read_text())
        return self._read_nftables(machine)

    def _read_nftables(self, machine: Namespace) -> dict[str, int] | None:
        words = ("nft", "-j", "list", "set", "ip", "pykeepalived_lvs", "members")
        done = machine.run(*words, check=False, timeout_s=5)
        return read_members(done.stdout) if done.returncode == 0 else None


def read_ip_vs(text: str) -> dict[str, int] | None:
    """Read /proc/net/ip_vs: `TCP  0A000005:0050 wrr`, then `  -> C0A8000C:0050      Masq    3      0          0`."""
    site = f"{struct.unpack('!I', socket.inet_aton(SITE))[0]:08X}:0050"
    servers: dict[str, int] | None = None
    within = False
    for line in text.splitlines():
        words: Sequence[str] = line.split()
        if words[:1] == ["TCP"]:
            within = words[1] == site
            servers = {} if within else servers
        elif words[:1] == ["->"] and within and servers is not None and words[3].isdigit():
            address = socket.inet_ntoa(bytes.fromhex(words[1].split(":")[0]))
            servers[_NAMES.get(address, address)] = int(words[3])
    return servers


def read_members(listing: str) -> dict[str, int]:
    """Read the set of destinations that our nftables dataplane keeps: site . tcp . 80 . server . port, weight."""
    servers = {}
    for item in json.loads(listing)["nftables"]:
        for element in item.get("set", {}).get("elem", []):
            site, protocol, port, address, _ = element["elem"]["val"]["concat"]
            # Without /etc/protocols the protocol is a number.
            if site == SITE and protocol in {"tcp", 6} and port == 80:
                servers[_NAMES.get(address, address)] = int(element["elem"].get("comment", "0"))
    return servers

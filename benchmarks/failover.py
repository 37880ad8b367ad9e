"""How late a backup takes over, beside Debian's keepalived in the same run.

    python benchmarks/failover.py [--rounds N] [--instances N …] [--check]

A master that this program plays sends adverts every 0.1 s and falls silent. A third namespace on the same bridge
stamps every frame in the kernel (SO_TIMESTAMPNS). Lateness is the time from the instant at which the master down
interval of an instance has passed, counted from the last advert of its master, to the first advert and to the first
gratuitous ARP of the backup. Both programs run at once in networks of their own and fail over in turn, so that whatever
else the machine does meets both. `--check` exits 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pykeepalived.tools.lab import Lab, wait_until  # noqa: E402

INTERVAL_S = 0.1
PRIORITY = 100
DOWN_S = 3 * INTERVAL_S + (256 - PRIORITY) * INTERVAL_S / 256
#: Targets: our median over keepalived's, by number of instances.
TARGETS = {1: 1.0, 200: 0.5}
_SO_TIMESTAMPNS = 35
_MOST_ON_ONE_INTERFACE = 255


def _packed(address: str) -> bytes:
    return socket.inet_aton(address)


def _virtual(vrid: int) -> str:
    return f"10.9.1.{vrid}"


def _advert(vrid: int, priority: int) -> bytes:
    source, group = _packed("10.9.0.2"), _packed("224.0.0.18")
    message = struct.pack("!BBBBHH", 0x31, vrid, priority, 1, int(INTERVAL_S * 100), 0) + _packed(_virtual(vrid))
    total = int.from_bytes(source + group, "big") + 112 + len(message) + int.from_bytes(message, "big")
    message = message[:6] + struct.pack("!H", -total % 0xFFFF) + message[8:]
    header = struct.pack("!BBHHHBBH", 0x45, 0xC0, 20 + len(message), 7, 0, 255, 112, 0)
    return header + source + group + message


def _config(count: int) -> str:
    blocks = ["global_defs {", "  vrrp_garp_master_delay 1", "}"]
    for vrid in range(1, count + 1):
        blocks += [
            f"vrrp_instance V{vrid} {{",
            "  interface eth0",
            f"  virtual_router_id {vrid}",
            "  version 3",
            f"  priority {PRIORITY}",
            f"  advert_int {INTERVAL_S}",
            "  virtual_ipaddress {",
            f"    {_virtual(vrid)}/32",
            "  }",
            "}",
        ]
    return "\n".join(blocks) + "\n"


class Seen:
    """What the third namespace saw of one failover, seconds by VRID."""

    def __init__(self) -> None:
        self.last: dict[int, float] = {}
        self.advert: dict[int, float] = {}
        self.announcement: dict[int, float] = {}

    def take(self, frame: bytes, at_s: float) -> None:
        if frame[12:14] == b"\x08\x00" and frame[23] == 112:
            vrid, priority = frame[35], frame[36]
            if frame[26:30] == _packed("10.9.0.2"):
                self.last[vrid] = at_s
            elif priority:
                self.advert.setdefault(vrid, at_s)
        elif frame[12:14] == b"\x08\x06" and frame[28:32] == frame[38:42]:
            self.announcement.setdefault(frame[41], at_s)

    def lateness(self, found: dict[int, float]) -> list[float]:
        """Milliseconds after the master down interval."""
        return [(found[vrid] - self.last[vrid] - DOWN_S) * 1000 for vrid in self.last if vrid in found]


class Network:
    """One backup, the master that we play, and the one who watches."""

    def __init__(self, lab: Lab, program: Sequence[str], count: int, into: Path) -> None:
        self.count = count
        switch = lab.namespace("switch")
        spaces = [lab.namespace(name) for name in ("backup", "master", "watch")]
        for number, space in enumerate(spaces, 1):
            lab.link(space, "eth0", switch, f"port{number}")
        lab.bridge(switch, "br0", "port1", "port2", "port3")
        backup, master, watch = spaces
        backup.address("eth0", "10.9.0.1/16")
        master.address("eth0", "10.9.0.2/16")
        with master.inside():
            self._sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            self._sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, _packed("10.9.0.2"))
            self._sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        with watch.inside():
            self._watch = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self._watch.bind(("eth0", 3))
        self._watch.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)  # SO_RCVBUFFORCE
        self._watch.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._watch.setblocking(False)
        self._adverts = [_advert(vrid, 200) for vrid in range(1, count + 1)]
        file = into / "keepalived.conf"
        file.write_text(_config(count))
        file.chmod(0o600)
        options = ["-n", "-l", "-P", "-f", str(file), "-p", "/run/k", "-r", "/run/v", "-c", "/run/c"]
        self.backup = backup
        self.process: subprocess.Popen[Any] = lab.popen(backup, *program, *options, log=into / "log", cwd=ROOT)

    def wait_for_masters(self) -> None:
        def masters() -> bool:
            return self.backup.ip("-o", "-4", "addr", "show", "eth0").count("/32") == self.count

        wait_until(masters, 60, f"{self.count} masters")

    def _read(self, seen: Seen) -> None:
        while True:
            try:
                frame, ancillary, _, _ = self._watch.recvmsg(2048, 64)
            except BlockingIOError:
                return
            for level, kind, value in ancillary:
                if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                    seconds, nanoseconds = struct.unpack("=qq", value[:16])
                    seen.take(frame, seconds + nanoseconds / 1e9)

    def fail_over(self) -> Seen:
        """Be the master for a while, fall silent, and watch what comes."""
        for step in range(int(max(8, self.count / 20))):
            for advert in self._adverts:
                self._sender.sendto(advert, ("224.0.0.18", 0))
            if step == 4:
                self._read(Seen())  # what the backups said before they heard us
            time.sleep(INTERVAL_S)
        self._read(seen := Seen())
        # Whoever was MASTER a moment ago may still have announced something; only what comes after our last counts.
        seen.advert.clear()
        seen.announcement.clear()
        end = time.monotonic() + DOWN_S + 0.6 + self.count / 200
        while time.monotonic() < end:
            time.sleep(0.05)
            self._read(seen)
        return seen

    def close(self) -> None:
        self._sender.close()
        self._watch.close()


def programs() -> dict[str, list[str]]:
    ours = [sys.executable, "-c", "import sys; from pykeepalived.cli.keepalived import main; sys.exit(main())"]
    theirs = shutil.which("keepalived")
    return {"ours": ours} | ({"keepalived": [theirs]} if theirs else {})


def measure(count: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Lateness in ms of adverts and announcements, by program."""
    found: dict[str, dict[str, list[float]]] = {}
    with contextlib.ExitStack() as stack:
        networks = {}
        for name, argv in programs().items():
            into = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            lab = stack.enter_context(Lab(f"failover-{name}-{os.getpid()}"))
            networks[name] = Network(lab, argv, count, into)
            stack.callback(networks[name].close)
            found[name] = {"advert": [], "announcement": []}
        for network in networks.values():
            network.wait_for_masters()
        for _ in range(rounds):
            for name, network in networks.items():
                seen = network.fail_over()
                found[name]["advert"] += seen.lateness(seen.advert)
                found[name]["announcement"] += seen.lateness(seen.announcement)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="failovers of each program (a fifth of it for many)")
    parser.add_argument("--instances", type=int, nargs="*", default=[1, 200])
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args()
    missed = False
    print("| instances | what | program | median, ms | worst, ms | of | median to keepalived's |")
    print("|---:|---|---|---:|---:|---:|---:|")
    for count in options.instances:
        if not 1 <= count <= _MOST_ON_ONE_INTERFACE:
            parser.error("1 to 255 instances")
        found = measure(count, options.rounds if count == 1 else max(2, options.rounds // 5))
        for what in ("advert", "announcement"):
            theirs = statistics.median(found["keepalived"][what]) if found.get("keepalived", {}).get(what) else None
            for name, kinds in found.items():
                values = kinds[what]
                if not values:
                    print(f"| {count} | {what} | {name} | none | none | 0 | |")
                    missed = True
                    continue
                median = statistics.median(values)
                ratio = "" if theirs is None or name != "ours" else f"{median / theirs:.2f}"
                missed |= bool(ratio) and median / (theirs or 1) > TARGETS.get(count, 1.0)
                print(f"| {count} | {what} | {name} | {median:.2f} | {max(values):.2f} | {len(values)} | {ratio} |")
    return int(missed and options.check)


if __name__ == "__main__":
    sys.exit(main())

"""How late a backup takes over, beside Debian's keepalived in the same run.

    python benchmarks/failover.py [--rounds N] [--instances N …] [--stress] [--check]

A master that this program plays sends adverts every 0.1 s and falls silent. A third namespace on the same bridge
stamps every frame in the kernel (SO_TIMESTAMPNS). Lateness is the time from the instant at which the master down
interval of an instance has passed, counted from the last advert of its master, to the first advert and to the first
gratuitous ARP of the backup. Both programs run at once in networks of their own and fail over in turn, so that whatever
else the machine does meets both. Instances beyond 250 are on further
interfaces. `--stress` does it all again beside `stress-ng`. `--rt` gives both programs the same real-time
priority (`vrrp_rt_priority`): on a machine that others use, too, that leaves what the programs themselves take.
`--check` exits 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from common import ROOT, Row, finish, options_of, programs, stress

from pykeepalived.tools.lab import Lab, Namespace, wait_until

PRIORITY = 100
#: Targets: our median over keepalived's, by number of instances.
TARGETS = {1: 1.0, 200: 0.5}
_SO_TIMESTAMPNS = 35
_ON_ONE_INTERFACE = 250
_RT_PRIORITY = 20


class Pace(NamedTuple):
    """How often masters speak, and what both programs run at."""

    interval_s: float = 0.1
    rt_priority: int | None = None

    @property
    def down_s(self) -> float:
        return 3 * self.interval_s + (256 - PRIORITY) * self.interval_s / 256


DEFAULT_PACE = Pace()
#: An instance: number of its interface, VRID.
Instance = tuple[int, int]


def instances(count: int) -> list[Instance]:
    return [(number // _ON_ONE_INTERFACE, number % _ON_ONE_INTERFACE + 1) for number in range(count)]


def _packed(address: str) -> bytes:
    return socket.inet_aton(address)


def _virtual(instance: Instance) -> str:
    return f"10.{9 + instance[0]}.1.{instance[1]}"


def advert_of(instance: Instance, priority: int, interval_s: float) -> bytes:
    """What the master at 10.9.0.2 (of the first interface) says, from the IP header on."""
    source, group = _packed(f"10.{9 + instance[0]}.0.2"), _packed("224.0.0.18")
    fields = (0x31, instance[1], priority, 1, int(interval_s * 100), 0)
    message = struct.pack("!BBBBHH", *fields) + _packed(_virtual(instance))
    total = int.from_bytes(source + group, "big") + 112 + len(message) + int.from_bytes(message, "big")
    message = message[:6] + struct.pack("!H", -total % 0xFFFF) + message[8:]
    header = struct.pack("!BBHHHBBH", 0x45, 0xC0, 20 + len(message), 7, 0, 255, 112, 0)
    return header + source + group + message


def _config(count: int, pace: Pace) -> str:
    # By itself keepalived allows 10 ms of work at such a priority, and is killed then.
    words = [f"  vrrp_rt_priority {pace.rt_priority}", "  vrrp_rlimit_rttime 10000000"]
    priority = [] if pace.rt_priority is None else words
    blocks = ["global_defs {", "  vrrp_garp_master_delay 1", *priority, "}"]
    for interface, vrid in instances(count):
        blocks += [
            f"vrrp_instance V{interface}_{vrid} {{",
            f"  interface eth{interface}",
            f"  virtual_router_id {vrid}",
            "  version 3",
            f"  priority {PRIORITY}",
            f"  advert_int {pace.interval_s}",
            "  virtual_ipaddress {",
            f"    {_virtual((interface, vrid))}/32",
            "  }",
            "}",
        ]
    return "\n".join(blocks) + "\n"


class Seen:
    """What the third namespace saw of one failover, seconds by instance."""

    def __init__(self, down_s: float) -> None:
        self._down_s = down_s
        self.last: dict[Instance, float] = {}
        self.advert: dict[Instance, float] = {}
        self.announcement: dict[Instance, float] = {}

    def take(self, interface: int, frame: bytes, at_s: float) -> None:
        if frame[12:14] == b"\x08\x00" and frame[23] == 112:
            instance, priority = (interface, frame[35]), frame[36]
            if frame[28:30] == b"\x00\x02":
                self.last[instance] = at_s
            elif priority:
                self.advert.setdefault(instance, at_s)
        elif frame[12:14] == b"\x08\x06" and frame[28:32] == frame[38:42]:
            self.announcement.setdefault((interface, frame[41]), at_s)

    def lateness(self, found: dict[Instance, float]) -> list[float]:
        """Milliseconds after the master down interval."""
        return [(found[each] - self.last[each] - self._down_s) * 1000 for each in self.last if each in found]


class Network:
    """One backup, the master that we play, and the one who watches."""

    def __init__(self, lab: Lab, program: Sequence[str], count: int, into: Path, pace: Pace) -> None:
        self.count = count
        self.pace = pace
        switch = lab.namespace("switch")
        spaces = [lab.namespace(name) for name in ("backup", "master", "watch")]
        backup, master, watch = spaces
        self._senders: list[socket.socket] = []
        self._watches: list[socket.socket] = []
        for interface in range(instances(count)[-1][0] + 1):
            ports = [f"p{interface}n{number}" for number in range(3)]
            for port, space in zip(ports, spaces, strict=True):
                lab.link(space, f"eth{interface}", switch, port)
            lab.bridge(switch, f"br{interface}", *ports)
            backup.address(f"eth{interface}", f"10.{9 + interface}.0.1/16")
            master.address(f"eth{interface}", f"10.{9 + interface}.0.2/16")
            self._open(interface, master, watch)
        self._adverts = [(instance[0], advert_of(instance, 200, pace.interval_s)) for instance in instances(count)]
        file = into / "keepalived.conf"
        file.write_text(_config(count, pace))
        file.chmod(0o600)
        options = ["-n", "-l", "-P", "-f", str(file), "-p", "/run/k", "-r", "/run/v", "-c", "/run/c"]
        self.backup = backup
        self.process: subprocess.Popen[Any] = lab.popen(backup, *program, *options, log=into / "log", cwd=ROOT)

    def _open(self, interface: int, master: Namespace, watch: Namespace) -> None:
        with master.inside():
            sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, _packed(f"10.{9 + interface}.0.2"))
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        with watch.inside():
            watching = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            watching.bind((f"eth{interface}", 3))
        watching.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)  # SO_RCVBUFFORCE
        watching.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        watching.setblocking(False)
        self._senders.append(sender)
        self._watches.append(watching)

    def wait_for_masters(self, limit_s: float = 60) -> None:
        def masters() -> bool:
            return self.backup.ip("-o", "-4", "addr", "show").count("/32") == self.count

        wait_until(masters, limit_s, f"{self.count} masters")

    def _read(self, seen: Seen) -> None:
        for interface, watching in enumerate(self._watches):
            while True:
                try:
                    frame, ancillary, _, _ = watching.recvmsg(2048, 64)
                except BlockingIOError:
                    break
                for level, kind, value in ancillary:
                    if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                        seconds, nanoseconds = struct.unpack("=qq", value[:16])
                        seen.take(interface, frame, seconds + nanoseconds / 1e9)

    def fail_over(self) -> Seen:
        """Be the master for a while, fall silent, and watch what comes."""
        interval_s, down_s = self.pace.interval_s, self.pace.down_s
        for step in range(int(max(8, min(20, self.count / 20)))):
            began = time.monotonic()
            for interface, advert in self._adverts:
                self._senders[interface].sendto(advert, ("224.0.0.18", 0))
            if step == 4:
                self._read(Seen(down_s))  # what the backups said before they heard us
            time.sleep(max(0, began + interval_s - time.monotonic()))
        self._read(seen := Seen(down_s))
        # Whoever was MASTER a moment ago may still have announced something; only what comes after our last counts.
        seen.advert.clear()
        seen.announcement.clear()
        end = time.monotonic() + down_s + 0.6 + min(3, self.count / 200)
        while time.monotonic() < end:
            time.sleep(0.05)
            self._read(seen)
        return seen

    def close(self) -> None:
        for sock in (*self._senders, *self._watches):
            sock.close()


def measure(
    count: int, rounds: int, *, loaded: bool = False, pace: Pace = DEFAULT_PACE
) -> dict[str, dict[str, list[float]]]:
    """Lateness in ms of adverts and announcements, by program."""
    found: dict[str, dict[str, list[float]]] = {}
    with contextlib.ExitStack() as stack:
        networks = {}
        for name, argv in programs().items():
            into = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            lab = stack.enter_context(Lab(f"failover-{name}-{os.getpid()}"))
            networks[name] = Network(lab, argv, count, into, pace)
            stack.callback(networks[name].close)
            found[name] = {"advert": [], "announcement": []}
        for network in networks.values():
            network.wait_for_masters()
        if loaded:
            stack.enter_context(stress(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        for _ in range(rounds):
            for name, network in networks.items():
                seen = network.fail_over()
                found[name]["advert"] += seen.lateness(seen.advert)
                found[name]["announcement"] += seen.lateness(seen.announcement)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="failovers of each program (a fifth of it for many)")
    parser.add_argument("--instances", type=int, nargs="*", default=[1, 200, 1000])
    parser.add_argument("--stress", action="store_true", help="then once more with both processors loaded")
    parser.add_argument("--rt", type=int, nargs="?", const=_RT_PRIORITY, metavar="PRIORITY")
    options = options_of(parser)
    print("| instances | what | program | median, ms | worst, ms | of | median to keepalived's |")
    print("|---:|---|---|---:|---:|---:|---:|")
    rows: list[Row] = []
    turns = [(count, False) for count in options.instances]
    turns += [(count, True) for count in options.instances if options.stress]
    for count, loaded in turns:
        rounds = options.rounds if count == 1 else max(2, options.rounds // 5)
        rows += report(count, measure(count, rounds, loaded=loaded, pace=Pace(rt_priority=options.rt)), loaded=loaded)
    return finish(rows, options)


def report(count: int, found: dict[str, dict[str, list[float]]], *, loaded: bool) -> list[Row]:
    """Print the figures of one number of instances."""
    rows = []
    title = f"{count} instance{'s' if count > 1 else ''}{', loaded' if loaded else ''}"
    for what in ("advert", "announcement"):
        ours, theirs = found["ours"][what], found.get("keepalived", {}).get(what, [])
        row = Row(
            group="failover", what=f"{what}, {title}", unit="ms late", ours=ours, theirs=theirs, peer="keepalived",
            most_ratio=None if loaded else TARGETS.get(count), size=count,
            curve=f"{what}, {'loaded' if loaded else 'idle'}",
        )  # fmt: skip
        rows.append(row)
        for name, values in (("ours", ours), ("keepalived", theirs)):
            ratio = "" if row.ratio is None or name != "ours" else f"{row.ratio:.2f}"
            middle, worst = (statistics.median(values), max(values)) if values else (float("nan"), float("nan"))
            print(f"| {title} | {what} | {name} | {middle:.2f} | {worst:.2f} | {len(values)} | {ratio} |", flush=True)
    return rows


if __name__ == "__main__":
    sys.exit(main())

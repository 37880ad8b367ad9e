"""A spoofing router: 50,000 packets a second of every kind against a MASTER, beside Debian's keepalived.

    python benchmarks/flood.py [--seconds S] [--rate N] [--check]

A MASTER of five virtual routers at an advert_int of 0.1 s (`vrrp_rt_priority` in both programs) hears, from a host on
its wire and from the address of a router there, S seconds long each: adverts of unknown virtual routers, adverts with a
wrong checksum, adverts cut short, right adverts of a lower priority, and noise. The attacker's kernel stamps the
MASTER's own adverts. Asked: whether each of them left on time (no gap beyond 1.5 intervals), whether the router stayed
MASTER, what the VRRP child's memory grew by, and how many lines it logged.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import os
import random
import signal
import socket
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common import ROOT, Row, finish, options_of, programs

from pykeepalived.tools.lab import Lab, Namespace, wait_until

INTERVAL_S = 0.1
VRIDS = range(1, 6)
ROUTER, ATTACKER, GROUP = "10.9.0.1", "10.9.0.9", "224.0.0.18"
RATE = 50_000
_SO_TIMESTAMPNS, _SO_ATTACH_FILTER, _SO_RCVBUFFORCE = 35, 26, 33
_BATCHES_S = 100
_MOST_KIB = 4096
#: What each instance may be made to log in a second (an answer is a line), and the unknown ones together.
_LINES_PER_S = 20 * len(VRIDS) + 5


def advert(vrid: int, priority: int, *, wrong: int = 0, cut: int = 0) -> bytes:
    """From the IP header on, for a socket that takes it so. `wrong` is added to the checksum."""
    message = struct.pack("!BBBBHH", 0x31, vrid, priority, 1, int(INTERVAL_S * 100), 0) + socket.inet_aton(
        f"10.9.1.{vrid}"
    )
    ends = socket.inet_aton(ATTACKER) + socket.inet_aton(GROUP)
    total = int.from_bytes(ends, "big") + 112 + len(message) + int.from_bytes(message, "big")
    message = message[:6] + struct.pack("!H", (-total % 0xFFFF + wrong) & 0xFFFF) + message[8 : len(message) - cut]
    return struct.pack("!BBHHHBBH", 0x45, 0xC0, 20 + len(message), 7, 0, 255, 112, 0) + ends + message


def kinds(seed: int = 1) -> dict[str, list[bytes]]:
    """What is thrown, by name; each list is sent round and round."""
    chance = random.Random(seed)
    header = advert(1, 50)[:20]
    noise = [header + chance.randbytes(chance.randrange(0, 40)) for _ in range(500)]
    return {
        "unknown virtual routers": [advert(vrid, 200) for vrid in range(100, 255)],
        "wrong checksums": [advert(vrid, 250, wrong=7) for vrid in VRIDS],
        "cut short": [advert(vrid, 250, cut=cut) for vrid in VRIDS for cut in (1, 4, 8)],
        "lower priorities": [advert(vrid, 50) for vrid in VRIDS],
        "noise": noise,
    }


def throw(space: Namespace, packets: Sequence[bytes], rate: int, seconds: float) -> int:
    """In a process of its own; returns its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        with space.inside():
            sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(ATTACKER))
        many, number, began = len(packets), 0, time.monotonic()
        for batch in range(int(seconds * _BATCHES_S)):
            for _ in range(rate // _BATCHES_S):
                sender.sendto(packets[number % many], (GROUP, 0))
                number += 1
            time.sleep(max(0.0, began + (batch + 1) / _BATCHES_S - time.monotonic()))
        code = 0
    finally:
        os._exit(code)


def listener(space: Namespace) -> socket.socket:
    """Gets what the router sends, and nothing of the flood."""
    with space.inside():
        found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        found.bind(("eth0", 0x0800))
    (router,) = struct.unpack("!I", socket.inet_aton(ROUTER))
    # ld [26] (source); jeq ROUTER; ret all; ret nothing
    steps = [(0x20, 0, 0, 26), (0x15, 0, 1, router), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    found.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(steps), ctypes.addressof(code)))
    found.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 24)
    found.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    found.setblocking(False)
    return found


def heard(sock: socket.socket) -> dict[int, list[float]]:
    """When the router's adverts came, by VRID; a priority of 0 ends the run."""
    times: dict[int, list[float]] = {vrid: [] for vrid in VRIDS}
    while True:
        try:
            frame, ancillary, _, _ = sock.recvmsg(2048, 128)
        except BlockingIOError:
            return times
        if frame[23] != 112 or frame[35] not in times:
            continue
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("=qq", value[:16])
                times[frame[35]].append(seconds + nanoseconds / 1e9)


def config() -> str:
    lines = [
        "global_defs {",
        "  vrrp_rt_priority 20",
        "  vrrp_rlimit_rttime 10000000",
        "  vrrp_garp_master_delay 0",
        "}",
    ]
    for vrid in VRIDS:
        lines += [
            f"vrrp_instance V{vrid} {{", "  interface eth0", f"  virtual_router_id {vrid}", "  version 3",
            "  priority 150",
            f"  advert_int {INTERVAL_S}", "  virtual_ipaddress {", f"    10.9.1.{vrid}/32", "  }", "}",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def measure(name: str, argv: Sequence[str], rate: int, seconds: float) -> dict[str, dict[str, float]]:
    """By kind of flood."""
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as directory, Lab(f"flood-{name}-{os.getpid()}") as lab:
        space, attacker = lab.namespace("router"), lab.namespace("attacker")
        lab.link(space, "eth0", attacker, "eth0")
        space.address("eth0", f"{ROUTER}/16")
        attacker.address("eth0", f"{ATTACKER}/16")
        file, log = Path(directory, "keepalived.conf"), Path(directory, "log")
        file.write_text(config())
        file.chmod(0o600)
        options = ["-n", "-l", "-P", "-f", str(file), "-p", "/run/k", "-r", "/run/v", "-c", "/run/c"]
        process = lab.popen(space, *argv, *options, log=log, cwd=ROOT)
        wait_until(lambda: space.ip("-o", "-4", "addr", "show").count("/32") == len(VRIDS), 60, "all are MASTER")
        child = int(space.run("cat", "/run/v").stdout)
        time.sleep(1)
        for kind, packets in kinds().items():
            with listener(attacker) as sock:
                before_kib, before_lines, cpu_s = resident_kib(child), lines(log), cpu(child)
                began = time.monotonic()
                os.waitpid(throw(attacker, packets, rate, seconds), 0)
                lasted_s = time.monotonic() - began
                times = heard(sock)
            gaps = [1000 * (after - at) for each in times.values() for at, after in itertools.pairwise(each)]
            found[kind] = {
                "packets/s": rate * seconds / lasted_s,
                "adverts": float(sum(map(len, times.values()))),
                "late": float(sum(gap > 1500 * INTERVAL_S for gap in gaps)),
                "worst gap, ms": max(gaps, default=float("inf")),
                "grown, KiB": float(resident_kib(child) - before_kib),
                # Lines are counted by seconds of the clock, of which a run touches one more than it lasts.
                "lines/s": (lines(log) - before_lines) / (lasted_s + 1),
                "cpu, %": 100 * (cpu(child) - cpu_s) / lasted_s,
                "master": float(space.ip("-o", "-4", "addr", "show").count("/32") == len(VRIDS)),
            }
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    return found


def resident_kib(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS"))


def cpu(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def lines(log: Path) -> int:
    return log.read_bytes().count(b"\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10, help="of each kind")
    parser.add_argument("--rate", type=int, default=RATE, help="packets a second")
    options = options_of(parser)
    print(f"five kinds of flood, two programs: about {12 * options.seconds + 20:.0f} s", flush=True)
    found = {name: measure(name, argv, options.rate, options.seconds) for name, argv in programs().items()}
    titles = list(next(iter(next(iter(found.values())).values())))
    print("| flood | program | " + " | ".join(titles) + " |")
    print("|---|---|" + "---:|" * len(titles))
    for kind in kinds():
        for name, figures in found.items():
            print(f"| {kind} | {name} | " + " | ".join(f"{value:.1f}" for value in figures[kind].values()) + " |")
    ours, theirs = found["ours"], found.get("keepalived", {})

    def row(what: str, unit: str, key: str, most: float | None) -> Row:
        each = [[figures[kind][key] for kind in figures] for figures in (ours, theirs)]
        return Row(group="flood", what=what, unit=unit, ours=each[0], theirs=each[1], peer="keepalived", most=most)

    rows = [
        Row(group="flood", what="late adverts", unit="", ours=[max(item["late"] for item in ours.values())], most=0),
        Row(group="flood", what="kinds that ended a mastership", unit="",
            ours=[sum(1 - item["master"] for item in ours.values())], most=0),
        Row(group="flood", what="memory grown by the worst kind", unit="KiB",
            ours=[max(item["grown, KiB"] for item in ours.values())], most=_MOST_KIB),
        Row(group="flood", what="log lines a second of the worst kind", unit="",
            ours=[max(item["lines/s"] for item in ours.values())], most=_LINES_PER_S),
        row("CPU at that rate", "%", "cpu, %", None),
    ]  # fmt: skip
    print(f"worst gap between adverts: {max(item['worst gap, ms'] for item in ours.values()):.1f} ms, "
          f"median CPU {statistics.median(item['cpu, %'] for item in ours.values()):.0f} %")  # fmt: skip
    return finish(rows, options)


if __name__ == "__main__":
    sys.exit(main())

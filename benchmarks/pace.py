"""37,205 real servers, each asked every six seconds: how punctual the checks start, and the checker's memory.

    python benchmarks/pace.py [--seconds N] [--servers N] [--json FILE]

The daemon runs in a network namespace with the nftables dataplane, its servers are one nginx behind all addresses. The
status of the checker process says how many checks began, and how many of them more than 100 ms late. CPU and memory
are those of the checker and of the workers that it has by the load: all of its pages, and the workers' own.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from checks import Backend, checker, cpu_ns
from common import Row, finish, options_of
from config_load import configuration

from pykeepalived.runtime.control import ask
from pykeepalived.tools.lab import Lab

SERVERS = 37_205
INTERVAL_S = 6.0
#: Share of starts that are at most 100 ms late; MiB of the checker process.
PUNCTUAL, MEMORY_MIB = 0.99, 400.0


def memory_mib(pid: int) -> float:
    """Resident size now."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def private_mib(pid: int) -> float:
    """What a process has for itself: a worker shares the rest with the checker, of which it is a fork."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_")) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--servers", type=int, default=SERVERS)
    options = options_of(parser)
    print(f"{options.servers} real servers every 6 s: about {options.seconds + 40:.0f} s", flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-pace-") as name, Lab("bench") as lab:
        directory = Path(name)
        space = lab.namespace("pace")
        backend = Backend(space, directory)
        space.ip("route", "add", "local", "10.128.0.0/9", "dev", "lo")
        file = directory / "pace.conf"
        file.write_text(configuration(options.servers))
        socket_path = str(file.with_suffix(".sock"))
        with checker(space, file, None) as pid:
            # Warm-up is one interval; the second one finds everything in its beat.
            time.sleep(2 * INTERVAL_S + 3)
            before, connections = _probes(socket_path), backend.connections()
            workers = before.get("workers", [])
            cpu = sum(cpu_ns(each) for each in (pid, *workers))
            largest, apart, end = 0.0, 0.0, time.monotonic() + options.seconds
            while time.monotonic() < end:
                time.sleep(min(5.0, max(0.1, end - time.monotonic())))
                largest, apart = max(largest, memory_mib(pid)), sum(map(private_mib, workers))
            after, asked = _probes(socket_path), backend.connections() - connections
            started = after["probes_started"] - before["probes_started"]
            late = after["started_late"] - before["started_late"]
            cost_us = (sum(cpu_ns(each) for each in (pid, *workers)) - cpu) / 1000 / max(1, started)
    punctual = 1 - late / max(1, started)
    print("| real servers | checks/s | asked/s | at most 100 ms late | target | µs a check | memory, MiB | target |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    print(
        f"| {options.servers} | {started / options.seconds:.0f} | {asked / options.seconds:.0f} | {punctual:.2%} "
        f"| {PUNCTUAL:.0%} | {cost_us:.0f} | {largest:.0f} | {MEMORY_MIB:.0f} |"
    )
    group = "pace"
    return finish(
        [
            Row(group=group, what="starts at most 100 ms late", unit="%", ours=[punctual * 100], least=PUNCTUAL * 100),
            Row(group=group, what="memory that its workers have apart", unit="MiB", ours=[apart]),
            Row(group=group, what="memory of the checker", unit="MiB", ours=[largest], most=MEMORY_MIB),
            Row(group=group, what="its memory per server", unit="KiB", ours=[largest * 1024 / options.servers]),
            Row(group=group, what="CPU for a check", unit="µs", ours=[cost_us]),
            Row(group=group, what="checks begun, of those due", unit="%", least=98,
                ours=[100 * started * INTERVAL_S / options.servers / options.seconds]),
        ],
        options,
    )  # fmt: skip


def _probes(socket_path: str) -> dict[str, Any]:
    # The child is asked for at most 2 s; the first rounds of so many checks may take longer.
    for _ in range(10):
        checker = ask(socket_path, "status", {"servers": 0}).get("checker") or {}
        if "probes" in checker:
            return checker["probes"]  # type: ignore[no-any-return]
        time.sleep(1)
    raise SystemExit(f"no status of the checker: {checker}")


if __name__ == "__main__":
    sys.exit(main())

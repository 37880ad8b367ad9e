"""4,096 virtual routers in one process: start, election, a netlink overrun, memory; beside Debian's keepalived.

    python benchmarks/many.py [--instances N] [--check]

A master that this program plays for all of them at an advert_int of 1 s falls silent, and a third namespace stamps in
the kernel how late the first advert and the first gratuitous ARP of each are (see `failover.py`). Then the process is
stopped while 40,000 changes of addresses overrun its netlink socket, and one of its addresses is taken away meanwhile:
afterwards it has to hold all of them, that one, too, which it can only know from a dump. keepalived takes part in the
election alone.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common import OURS, Row, finish, options_of, programs
from failover import Network, Pace

from pykeepalived.tools.lab import Lab, LabError, wait_until

MANY = 4096
#: Address changes while the process stands still: more than any socket holds that it may have.
_CHANGES = 40_000
_MOST_KIB = 40
PACE = Pace(interval_s=1.0)


def child(network: Network) -> int:
    return int(network.backup.run("cat", "/run/v").stdout)


def private_kib(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_"))


def held(network: Network) -> int:
    return network.backup.ip("-o", "-4", "addr", "show").count("/32")


def alone_kib(argv: Sequence[str]) -> int:
    """Memory with one instance."""
    with tempfile.TemporaryDirectory() as into, Lab(f"many-one-{os.getpid()}") as lab:
        network = Network(lab, argv, 1, Path(into), PACE)
        try:
            network.wait_for_masters()
            return private_kib(child(network))
        finally:
            network.close()


def overrun(network: Network) -> tuple[int, float]:
    """Addresses that are missing a while after the overrun, and seconds until the one taken away is back."""
    lines = "".join(
        f"addr {word} 198.18.{number // 250}.{number % 250 + 1}/32 dev lo\n"
        for number in range(_CHANGES // 2)
        for word in ("add", "del")
    )
    # Its parent first, which would take it for a process that hangs.
    pids = [network.process.pid, child(network)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        network.backup.run("ip", "-batch", "-", input=lines, check=False, timeout_s=180)
        network.backup.ip("addr", "del", "10.9.1.6/32", "dev", "eth0")
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)
    began = time.monotonic()
    try:
        wait_until(lambda: held(network) == network.count, 60, "all addresses are held", interval_s=0.1)
    except LabError:
        return network.count - held(network), float("inf")
    return 0, time.monotonic() - began


def measure(name: str, argv: Sequence[str], count: int) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory() as into, Lab(f"many-{name}-{os.getpid()}") as lab:
        began = time.monotonic()
        network = Network(lab, argv, count, Path(into), PACE)
        try:
            network.wait_for_masters(300)
            started_s = time.monotonic() - began
            own_kib = private_kib(child(network))
            seen = network.fail_over()
            found = {
                "start, s": [started_s],
                "memory, KiB": [float(own_kib)],
                "advert": seen.lateness(seen.advert),
                "announcement": seen.lateness(seen.announcement),
            }
            if argv == OURS:
                network.wait_for_masters(120)
                missing, back_s = overrun(network)
                found |= {"missing": [float(missing)], "back, s": [back_s]}
            return found
        finally:
            network.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--instances", type=int, default=MANY)
    options = options_of(parser)
    count = options.instances
    print(f"{count} instances: 1 to 3 minutes for each program", flush=True)
    found = {name: measure(name, argv, count) for name, argv in programs().items()}
    ours, theirs = found["ours"], found.get("keepalived", {})
    each_kib = (ours["memory, KiB"][0] - alone_kib(OURS)) / max(1, count - 1)
    rows = []
    for what, unit in (("start, s", "s"), ("advert", "ms late"), ("announcement", "ms late")):
        rows.append(
            Row(
                group="many",
                what=f"{what.partition(',')[0]}, {count} instances",
                unit=unit,
                ours=ours[what],
                theirs=theirs.get(what, []),
                peer="keepalived",
            )
        )
        for name, figures in found.items():
            values = figures.get(what, [])
            middle, worst = (statistics.median(values), max(values)) if values else (float("nan"), float("nan"))
            print(f"{name}, {what}: median {middle:.2f}, worst {worst:.2f}, of {len(values)}", flush=True)
    print(f"memory: {ours['memory, KiB'][0] / 1024:.1f} MiB, {each_kib:.1f} KiB an instance", flush=True)
    print(
        f"after the overrun {ours['missing'][0]:.0f} addresses are missing; all back after {ours['back, s'][0]:.1f} s"
    )
    rows += [
        Row(group="many", what=f"memory of an instance, {count}", unit="KiB", ours=[each_kib], most=_MOST_KIB),
        Row(
            group="many",
            what=f"never an advert, {count} instances",
            unit="",
            ours=[count - len(ours["advert"])],
            most=0,
        ),
        Row(group="many", what="addresses missing after an overrun", unit="", ours=ours["missing"], most=0),
        Row(group="many", what="a lost address back after an overrun", unit="s", ours=ours["back, s"], most=30),
    ]
    return finish(rows, options)


if __name__ == "__main__":
    sys.exit(main())

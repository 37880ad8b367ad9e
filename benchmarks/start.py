"""How long a start takes, and how much memory the daemon needs, for a small configuration; beside keepalived.

    python benchmarks/start.py [--rounds 5]

Exec to ready: from the start of the process (through nsenter) to its log line `Startup complete`. CPU is that of all
its processes by then: it says what the clock would say on an idle machine. Memory is the sum of the proportional set
sizes of all its processes, two seconds later. Everything happens in a network namespace of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from common import Row, finish, options_of

from pykeepalived.tools.lab import Lab, Namespace

CONFIGURATION: Final = """
global_defs {
    enable_script_security
    script_user root
}
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority 100
    virtual_ipaddress {
        10.9.0.100/24
    }
}
"""
START_LIMIT_S: Final = 0.35
MEMORY_LIMIT_MB: Final = 80.0
_PATIENCE_S: Final = 10.0


def children_of(pid: int) -> list[int]:
    """The process and everything below it."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            found += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
    return found


def memory_kib(pids: list[int]) -> int:
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


def cpu_s(pids: list[int]) -> float:
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def one_start(lab: Lab, space: Namespace, command: list[str], directory: Path) -> tuple[float, float, int, int]:
    """Seconds to ready, CPU seconds, KiB, processes."""
    configuration = directory / "keepalived.conf"
    configuration.write_text(CONFIGURATION)
    pid_file = directory / "vrrp.pid"
    pid_file.unlink(missing_ok=True)
    log = (directory / "log").open("w")
    began = time.monotonic()
    files = ["-p", str(directory / "keepalived.pid"), "-r", str(pid_file)]
    process = lab.popen(space, *command, "-n", "-l", "-G", "-f", configuration, *files, stdout=log, stderr=log)
    try:
        while "Startup complete" not in (directory / "log").read_text():
            if time.monotonic() - began > _PATIENCE_S or process.poll() is not None:
                raise SystemExit(f"{command[0]} does not start: {(directory / 'log').read_text()}")
            time.sleep(0.001)
        took = time.monotonic() - began
        used = cpu_s(children_of(process.pid))
        time.sleep(2)
        pids = children_of(process.pid)
        return took, used, memory_kib(pids), len(pids)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        log.close()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    options = options_of(parser)
    print(f"{options.rounds} starts of each, about {options.rounds * 6} seconds", flush=True)
    commands = {"pykeepalived": [str(Path(sys.executable).with_name("pykeepalived"))]}
    if peer := shutil.which("keepalived"):
        commands["keepalived"] = [peer]
    figures: dict[str, list[tuple[float, float, int, int]]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as directory, Lab("start") as lab:
        for end in ("a", "b"):
            lab.namespace(end)
        lab.link("a", "eth0", "b", "eth0")
        space = lab.namespaces["a"]
        space.address("eth0", "10.9.0.1/24")
        for _ in range(options.rounds):
            for name, command in commands.items():
                figures[name].append(one_start(lab, space, command, Path(directory)))
    for name, found in figures.items():
        took, used, memory = (statistics.median(figure[place] for figure in found) for place in range(3))
        print(
            f"{name}: ready after {took * 1000:.0f} ms ({used * 1000:.0f} ms of CPU), {memory / 1024:.1f} MB in "
            f"{found[0][3]} processes (medians)"
        )
    rows = []
    for place, what, unit, scale, most in (
        (0, "exec to ready", "s", 1.0, START_LIMIT_S),
        (1, "CPU until ready", "s", 1.0, None),
        (2, "memory of all processes", "MB", 1 / 1024, MEMORY_LIMIT_MB),
    ):
        ours, theirs = (
            [figure[place] * scale for figure in figures.get(name, [])] for name in ("pykeepalived", "keepalived")
        )
        rows.append(Row(group="start", what=what, unit=unit, ours=ours, theirs=theirs, peer="keepalived", most=most))
    options.check = True
    return finish(rows, options)


if __name__ == "__main__":
    sys.exit(main())

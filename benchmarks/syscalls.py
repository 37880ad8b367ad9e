"""How many system calls a check and an advert cost, and which, beside keepalived.

    python benchmarks/syscalls.py [--seconds N] [--json FILE]

`strace -c` counts what the checker (200 servers, a check a second each) and the VRRP processes (MASTER and BACKUP of
200 instances at 0.1 s) do in a time. System calls are what no rewriting of the Python around them can save.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from adverts import Daemon, pair
from checks import Backend, checker, configuration, library
from common import Row, finish, options_of, programs

from pykeepalived.tools.lab import Lab

INSTANCES = 200
_LINE = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", re.MULTILINE)


def counted(pid: int, seconds: float) -> dict[str, int]:
    """System calls of a process by name."""
    with tempfile.NamedTemporaryFile("r", prefix="bench-strace-") as file:
        argv = ["timeout", "-s", "INT", str(seconds), "strace", "-f", "-c", "-p", str(pid), "-o", file.name]
        subprocess.run(argv, check=False, capture_output=True, timeout=seconds + 20)
        found = {name: int(count) for count, name in _LINE.findall(file.read())}
    found.pop("total", None)
    return found


def of_checks(kinds: list[str], seconds: float) -> dict[str, dict[str, dict[str, float]]]:
    """Calls for one check, by kind and program."""
    result: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-calls-") as name, Lab("bench") as lab:
        directory = Path(name)
        preload = library(directory)
        space = lab.namespace("calls")
        backend = Backend(space, directory)
        for kind in kinds:
            file = directory / f"{kind}.conf"
            file.write_text(configuration(kind))
            for who, library_of in (("keepalived", preload), ("ours", None)):
                with checker(space, file, library_of) as pid:
                    time.sleep(2.5)
                    before = backend.connections()
                    calls = counted(pid, seconds)
                    checks = max(1, backend.connections() - before - 1)
                result.setdefault(kind, {})[who] = {name: count / checks for name, count in calls.items()}
    return result


def of_adverts(seconds: float) -> dict[str, dict[str, dict[str, float]]]:
    """Calls for one advert sent and heard, by program. How many there were, the interface says: strace delays both."""
    found: dict[str, dict[str, dict[str, float]]] = {"sent": {}, "heard": {}}
    for name, argv in programs().items():
        with pair(argv, INSTANCES) as (master, backup):
            for what, daemon, counter in (("sent", master, 9), ("heard", backup, 1)):
                before = _packets(daemon, counter)
                calls = counted(daemon.child(), seconds)
                adverts = max(1, _packets(daemon, counter) - before)
                found[what][name] = {call: count / adverts for call, count in calls.items()}
    return found


def _packets(daemon: Daemon, counter: int) -> int:
    """Of its interface; the counter of those received is 1, of those sent 9."""
    text = daemon.space.run("cat", "/proc/net/dev").stdout
    return int(text.split("eth0:")[1].split()[counter])


def named(calls: Mapping[str, float]) -> str:
    """The most frequent ones."""
    most = sorted(calls.items(), key=lambda item: -item[1])[:8]
    return ", ".join(f"{name} {count:.2f}" for name, count in most if count >= 0.005)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5)
    options = options_of(parser)
    if shutil.which("strace") is None:
        print("strace is needed: packaging/install-packages test", file=sys.stderr)
        return 2
    print(f"system calls: about {8 * options.seconds + 40:.0f} s", flush=True)
    kinds = ["tcp", "http"]
    found = {f"a {kind} check": figures for kind, figures in of_checks(kinds, options.seconds).items()}
    found |= {f"an advert {what}": figures for what, figures in of_adverts(options.seconds).items()}
    rows = []
    for what, figures in found.items():
        for who, calls in figures.items():
            print(f"{what}, {who}: {sum(calls.values()):.2f} ({named(calls)})", flush=True)
        ours, theirs = ([sum(figures[who].values())] if who in figures else [] for who in ("ours", "keepalived"))
        note = "; ".join(f"{who}: {named(figures[who])}" for who in ("ours", "keepalived") if who in figures)
        rows.append(Row(group="calls", what=f"system calls for {what}", unit="", ours=ours, theirs=theirs,
                        peer="keepalived", note=note))  # fmt: skip
    return finish(rows, options)


if __name__ == "__main__":
    sys.exit(main())

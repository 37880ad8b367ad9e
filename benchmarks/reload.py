"""A one-line change at 37,205 real servers: from SIGHUP to the dataplane changed; beside keepalived.

    python benchmarks/reload.py [--rounds N] [--servers N] [--small N] [--json FILE] [--check]

About 80 seconds. keepalived takes part at the smaller size: its time grows with the square, and at 37,205 servers
Debian's had not changed anything after five minutes. The daemon runs in a network namespace with the nftables dataplane
and checks its servers, which are one nginx behind all addresses. A round changes the weight of one real server in the
middle of the file and sends SIGHUP; the kernel itself tells (nf_tables notifies its listeners of each commit) when the
change is there. keepalived runs on a library that answers for IPVS and tells when a destination is changed. CPU time is
that of all processes between the two moments: it says what the clock would say on an idle machine. The checker's status
says whether checks began late meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from checks import Backend, checker, library
from common import Row, finish, options_of
from config_load import configuration
from start import children_of

from pykeepalived.runtime.control import ask
from pykeepalived.tools.lab import Lab, Namespace, wait_until

SERVERS: Final = 37_205
SMALL: Final = 5_000
LIMIT_S: Final = 0.25
_PATIENCE_S: Final = 300.0
#: For a reload of keepalived's; longer is no figure.
_PEERS_PATIENCE_S: Final = 60.0
_REST_S: Final = 3.0
#: nf_tables: every commit ends with a message to this group.
_NETFILTER, _COMMITS = 12, 7


class Unchanged(Exception):
    """Nothing has changed within the patience."""


class Change:
    """A file with a weight that goes up and down."""

    def __init__(self, file: Path, servers: int, head: str) -> None:
        text = head + configuration(servers)
        place = text.index("weight 1", len(text) // 2) + len("weight ")
        self._parts = text[:place], text[place + 1 :]
        self._file = file
        self._weight = 1
        self.turn()

    def turn(self) -> None:
        self._weight = 3 - self._weight
        new = self._file.with_suffix(".new")
        new.write_text(f"{self._parts[0]}{self._weight}{self._parts[1]}")
        new.rename(self._file)


def cpu_s(pids: list[int]) -> float:
    """To the nanosecond, unlike the times in `stat`."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, IndexError):
            total += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    return total / 1e9


def reloads(parent: int, change: Change, rounds: int, wait: Callable[[], None]) -> tuple[list[float], list[float]]:
    """Seconds from SIGHUP to the change, and CPU seconds of all processes by then."""
    pids = children_of(parent)
    walls, cpus = [], []
    for _ in range(rounds):
        change.turn()
        before, began = cpu_s(pids), time.monotonic()
        os.kill(parent, signal.SIGHUP)
        wait()
        walls.append(time.monotonic() - began)
        cpus.append(cpu_s(pids) - before)
        # The next one must not find this one's leftovers.
        time.sleep(_REST_S)
    return walls, cpus


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@contextlib.contextmanager
def commits(space: Namespace) -> Iterator[Callable[[], None]]:
    """Waits for the next commit of nf_tables in a namespace."""
    with space.inside():
        heard = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER)
    with heard:
        heard.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        heard.bind((0, 1 << (_COMMITS - 1)))
        heard.settimeout(_PATIENCE_S)

        def wait() -> None:
            heard.recv(1 << 16)
            end = time.monotonic()
            heard.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while time.monotonic() < end + 1:
                    heard.recv(1 << 16)
            heard.settimeout(_PATIENCE_S)

        yield wait


def late(path: str) -> tuple[int, int]:
    """Checks begun and those begun more than 100 ms late."""

    def answer() -> dict[str, Any]:
        found = ask(path, "status", {"servers": 0}).get("checker") or {}
        return found.get("probes") or {}

    probes = wait_until(answer, _PATIENCE_S, "the status of the checker", interval_s=1.0)
    return probes["probes_started"], probes["started_late"]


def ours(space: Namespace, directory: Path, servers: int, rounds: int) -> tuple[list[float], list[float], float]:
    """Also the share of checks that began late, in percent."""
    file = directory / "reload.conf"
    change = Change(file, servers, "global_defs {\n    lvs_dataplane nftables\n}\n")
    with checker(space, file, None) as pid:
        log = file.with_suffix(".log")
        wait_until(lambda: "Startup complete" in log.read_text(), _PATIENCE_S, "the start is complete")
        # The checks have been spread over their first interval, and everything is quiet.
        time.sleep(10)
        begun, began_late = late(str(file.with_suffix(".sock")))
        with commits(space) as wait:
            walls, cpus = reloads(parent_of(pid), change, rounds, wait)
        after, after_late = late(str(file.with_suffix(".sock")))
    return walls, cpus, 100 * (after_late - began_late) / max(1, after - begun)


def theirs(space: Namespace, directory: Path, servers: int, rounds: int) -> tuple[list[float], list[float]]:
    fifo = directory / "changed"
    os.mkfifo(fifo)
    file = directory / "theirs.conf"
    change = Change(file, servers, "")
    reading = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    os.environ["IPVS_ANSWERS_SAY"] = str(fifo)

    def wait() -> None:
        if not select.select([reading], [], [], _PEERS_PATIENCE_S)[0]:
            raise Unchanged
        with contextlib.suppress(BlockingIOError):
            while os.read(reading, 4096):
                pass

    try:
        with checker(space, file, library(directory)) as pid:
            time.sleep(10)
            return reloads(parent_of(pid), change, rounds, wait)
    finally:
        del os.environ["IPVS_ANSWERS_SAY"]
        os.close(reading)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--servers", type=int, default=SERVERS)
    parser.add_argument("--small", type=int, default=SMALL, help="beside keepalived")
    options = options_of(parser)
    print(f"one line among {options.servers} real servers: about {options.rounds * 10 + 50} s", flush=True)
    group, peer = "reload", "keepalived"
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-reload-") as name, Lab("bench") as lab:
        directory = Path(name)
        space = lab.namespace("reload")
        backend = Backend(space, directory)
        space.ip("route", "add", "local", "10.128.0.0/9", "dev", "lo")
        assert backend.connections() > 0
        for servers in (options.small, options.servers):
            walls, cpus, share = ours(space, directory, servers, options.rounds)
            peer_walls: list[float] = []
            peer_cpus: list[float] = []
            if servers == options.small and Path("/usr/sbin/keepalived").exists():
                try:
                    peer_walls, peer_cpus = theirs(space, directory, servers, options.rounds)
                except Unchanged:
                    print(f"keepalived has changed nothing {_PEERS_PATIENCE_S:g} s after the signal: no figure of it")
            large = servers == options.servers
            rows += [
                Row(group=group, what=f"one line of {servers:,} servers, SIGHUP to the dataplane changed", unit="s",
                    ours=walls, theirs=peer_walls, peer=peer, most=LIMIT_S if large else None, size=servers,
                    curve="SIGHUP to the dataplane changed"),
                Row(group=group, what=f"its CPU time, {servers:,} servers, all processes", unit="s", ours=cpus,
                    theirs=peer_cpus, peer=peer, size=servers, curve="CPU time"),
                Row(group=group, what=f"checks begun more than 100 ms late meanwhile, {servers:,} servers", unit="%",
                    ours=[share], most=1.0 if large else None),
            ]  # fmt: skip
    print("| | ours | keepalived | target |\n|---|---:|---:|---:|")
    for row in rows:
        peers = "" if row.peers_middle is None else f"{row.peers_middle:.3f}"
        print(f"| {row.what}, {row.unit} | {row.middle:.3f} | {peers} | {row.promise} |")
    return finish(rows, options)


if __name__ == "__main__":
    sys.exit(main())

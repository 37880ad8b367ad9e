"""CPU per advert sent and received, and memory per instance, beside Debian's keepalived in the same run.

    python benchmarks/adverts.py [--instances N] [--seconds S]

Two routers of the same program on one wire, N instances each at an advert_int of 0.1 s: one sends, the other one hears.
The CPU time of the VRRP children (/proc/PID/schedstat) over S seconds, divided by the adverts, is what an advert costs;
the limit is what a process needs that does nothing but the system calls (one
`sendto` an advert; `epoll_wait` and `recv`) at the same rhythm. Memory is what the VRRP child has for itself
(private pages) with N instances less that with one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from common import ROOT, Row, finish, options_of, programs
from failover import advert_of

from pykeepalived.tools.lab import Lab, Namespace, wait_until

_INTERVAL_S = 0.1


def config(interfaces: int, each: int, priority: int, interval_s: float) -> str:
    lines = ["global_defs {", "  vrrp_garp_master_repeat 1", "  vrrp_garp_master_delay 0", "}"]
    for number in range(interfaces):
        for vrid in range(1, each + 1):
            lines += [
                f"vrrp_instance V{number}_{vrid} {{",
                f"  interface eth{number}",
                f"  virtual_router_id {vrid}",
                "  version 3",
                f"  priority {priority}",
                f"  advert_int {interval_s}",
                "  virtual_ipaddress {",
                f"    10.{number + 10}.{vrid // 250 + 1}.{vrid % 250 + 1}/32",
                "  }",
                "}",
            ]
    return "\n".join(lines) + "\n"


class Daemon:
    """One program in one namespace."""

    def __init__(self, lab: Lab, space: Namespace, argv: list[str], text: str) -> None:
        self.space = space
        self._directory = tempfile.TemporaryDirectory()
        into = Path(self._directory.name)
        file = into / "keepalived.conf"
        file.write_text(text)
        file.chmod(0o600)
        options = ["-n", "-l", "-P", "-f", str(file), "-p", "/run/k", "-r", "/run/v", "-c", "/run/c"]
        self.process: subprocess.Popen[bytes] = lab.popen(space, *argv, *options, log=into / "log", cwd=ROOT)

    def runs(self) -> bool:
        return self.space.run("test", "-s", "/run/v", check=False).returncode == 0

    def child(self) -> int:
        return int(self.space.run("cat", "/run/v").stdout)

    def cpu_s(self) -> float:
        return int(Path(f"/proc/{self.child()}/schedstat").read_text().split()[0]) / 1e9

    def private_kib(self) -> int:
        text = Path(f"/proc/{self.child()}/smaps_rollup").read_text()
        return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_"))

    def addresses(self) -> int:
        return self.space.ip("-o", "-4", "addr", "show").count("/32 ")

    def close(self) -> None:
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        self._directory.cleanup()


def settle(master: Daemon, backup: Daemon, instances: int) -> None:
    """Until one has all addresses and the other none: a busy machine makes one fail over now and then, and back."""
    wait_until(
        lambda: (master.addresses(), backup.addresses()) == (instances, 0), 60, f"one is MASTER of all {instances}"
    )


@contextlib.contextmanager
def pair(argv: list[str], instances: int) -> Iterator[tuple[Daemon, Daemon]]:
    """A MASTER and a BACKUP for all instances."""
    with Lab(f"adverts-{os.getpid()}") as lab:
        spaces = lab.namespace("a"), lab.namespace("b")
        lab.link(spaces[0], "eth0", spaces[1], "eth0")
        daemons = []
        for number, space in enumerate(spaces, 1):
            space.address("eth0", f"10.9.0.{number}/16")
            daemons.append(Daemon(lab, space, argv, config(1, instances, 200 - 50 * number, 0.1)))
            if number == 1:
                wait_until(lambda: daemons[0].addresses() == instances, 60, "the first is MASTER of all")
        try:
            wait_until(lambda: all(daemon.runs() for daemon in daemons), 60, "both run")
            time.sleep(3)
            settle(daemons[0], daemons[1], instances)
            yield daemons[0], daemons[1]
        finally:
            for daemon in daemons:
                daemon.close()


def alone_kib(argv: list[str]) -> int:
    """Private memory with one instance."""
    with pair(argv, 1) as (_, alone):
        return alone.private_kib()


def measure(argv: list[str], instances: int, seconds: float, base_kib: int) -> dict[str, float]:
    """Microseconds per advert, and KiB per instance."""
    with pair(argv, instances) as (master, backup):
        before = master.cpu_s(), backup.cpu_s()
        start = time.monotonic()
        time.sleep(seconds)
        adverts = instances * (time.monotonic() - start) / 0.1
        sent = (master.cpu_s() - before[0]) / adverts * 1e6
        heard = (backup.cpu_s() - before[1]) / adverts * 1e6
        settle(master, backup, instances)
        memory_kib = (backup.private_kib() - base_kib) / max(1, instances - 1)
        return {
            "sent, us": sent,
            "heard, us": heard,
            "memory, KiB": memory_kib,
        }


def limit(instances: int, seconds: float) -> dict[str, float]:
    """Microseconds per advert of two processes that only send and only receive, as many and as often."""
    packets = [advert_of((0, vrid), 200, _INTERVAL_S) for vrid in range(1, instances + 1)]
    with Lab(f"adverts-limit-{os.getpid()}") as lab:
        spaces = lab.namespace("a"), lab.namespace("b")
        lab.link(spaces[0], "eth0", spaces[1], "eth0")
        for space, address in zip(spaces, ("10.9.0.2", "10.9.0.1"), strict=True):
            space.address("eth0", f"{address}/16")
        pids = [_alone(partial(_send, spaces[0], packets)), _alone(partial(_receive, spaces[1]))]
        try:
            time.sleep(1)
            before = [_cpu_s(pid) for pid in pids]
            start = time.monotonic()
            time.sleep(seconds)
            adverts = instances * (time.monotonic() - start) / _INTERVAL_S
            sent, heard = ((_cpu_s(pid) - then) / adverts * 1e6 for pid, then in zip(pids, before, strict=True))
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
    return {"sent, us": sent, "heard, us": heard}


def _cpu_s(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _alone(work: Callable[[], None]) -> int:
    """In a process of its own, until it is killed."""
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(1)
    return pid


def _send(space: Namespace, packets: list[bytes]) -> None:
    with space.inside():
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.9.0.2"))
    send, to = sock.sendto, ("224.0.0.18", 0)
    due = time.monotonic()
    while True:
        for packet in packets:
            send(packet, to)
        due += _INTERVAL_S
        time.sleep(max(0.0, due - time.monotonic()))


def _receive(space: Namespace) -> None:
    with space.inside():
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 112)
    membership = socket.inet_aton("224.0.0.18") + socket.inet_aton("10.9.0.1")
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    epoll = select.epoll()
    epoll.register(sock, select.EPOLLIN)
    receive = sock.recv
    while epoll.poll():
        with contextlib.suppress(BlockingIOError):
            while True:
                receive(8192)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--instances", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=1)
    options = options_of(parser)
    sizes = [options.instances // 4, options.instances // 2, options.instances]
    base_kib = {name: alone_kib(argv) for name, argv in programs().items()}
    found: dict[str, dict[int, list[dict[str, float]]]] = {name: {size: [] for size in sizes} for name in programs()}
    for size in sizes:
        for _ in range(options.rounds if size == options.instances else 1):
            for name, argv in programs().items():
                found[name][size].append(measure(argv, size, options.seconds, base_kib[name]))
    least = limit(options.instances, options.seconds)
    print(
        "| program | instances | CPU per advert sent, µs | per advert heard, µs | private memory per instance, KiB |"
        " of the limit: sent, % | heard, % |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, of_sizes in found.items():
        for size, turns in of_sizes.items():
            for values in turns:
                shares = [100 * at_least / values[key] for key, at_least in least.items()]
                figures = " | ".join(f"{value:.1f}" for value in (*values.values(), *shares))
                print(f"| {name} | {size} | {figures} |")
    print(f"the limit: {least['sent, us']:.1f} µs for an advert sent, {least['heard, us']:.1f} µs for one heard")
    rows = []
    for size in sizes:
        last = size == sizes[-1]
        for key, what, most in (
            ("sent, us", "CPU for an advert sent", 2.5),
            ("heard, us", "CPU for an advert heard", 2.5),
            ("memory, KiB", "memory of an instance", None),
        ):
            rows.append(
                Row(
                    group=("adverts" if last else "growth") if most else "memory",
                    what=f"{what}, {size} instances",
                    unit="µs" if most else "KiB",
                    ours=[values[key] for values in found["ours"][size]],
                    theirs=[values[key] for values in found.get("keepalived", {}).get(size, [])] if most else [],
                    peer="keepalived" if most else "",
                    most_ratio=most if last else None,
                    most=40 if last and not most else None,
                    size=size if most else None,
                    curve=what,
                )
            )
    for key, what in (
        ("sent, us", "share of the limit (system calls alone), advert sent"),
        ("heard, us", "share of the limit (system calls alone), advert heard"),
    ):
        ours, theirs = (
            [100 * least[key] / values[key] for values in found.get(name, {}).get(sizes[-1], [])]
            for name in ("ours", "keepalived")
        )
        rows.append(Row(group="system calls", what=what, unit="%", ours=ours, theirs=theirs, peer="keepalived"))
    return finish(rows, options)


if __name__ == "__main__":
    sys.exit(main())

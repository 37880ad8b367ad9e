"""A thousand instances with both processors loaded, beside Debian's keepalived in the same run.

    python benchmarks/storm.py [--instances N] [--seconds S] [--idle]

Two routers of the same program with N instances each on 8 interfaces, an advert_int of 0.1 s and `vrrp_rt_priority`;
one is MASTER, the other one BACKUP. `stress-ng --cpu 2 --hdd 1` runs beside them (not with `--idle`). All adverts are
stamped by the kernel (SO_TIMESTAMPNS) where they arrive. A false failover is an instance of the BACKUP that sends an
advert; a late advert comes more than 1.5 intervals after the one before it. Ends with 1 when ours has a false failover,
or more late adverts than keepalived.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import selectors
import shutil
import socket
import struct
import sys
import tempfile
import time
from pathlib import Path

from adverts import Daemon
from common import Row, finish, options_of, programs, stress

from pykeepalived.tools.lab import Lab, Namespace, wait_until

INTERFACES = 8
INTERVAL_S = 0.1
LATE = 1.5
_SO_TIMESTAMPNS = 35
_SO_RCVBUFFORCE = 33
_SETTLE_S = 4


def config(each: int, priority: int) -> str:
    lines = ["global_defs {", "vrrp_garp_master_repeat 1", "vrrp_garp_master_delay 0"]
    # keepalived's own limit of real-time use would end a process that has a thousand instances.
    lines += ["vrrp_rt_priority 50", "vrrp_rlimit_rttime 10000000", "}"]
    for number in range(INTERFACES):
        for vrid in range(1, each + 1):
            lines += [
                f"vrrp_instance V{number}_{vrid} {{",
                f"interface eth{number}",
                f"virtual_router_id {vrid}",
                "version 3",
                f"priority {priority}",
                f"advert_int {INTERVAL_S}",
                "virtual_ipaddress {",
                f"10.{number + 10}.1.{vrid}/32",
                "}",
                "}",
            ]
    return "\n".join(lines) + "\n"


class Witness:
    """Notes when each instance's adverts arrive at the BACKUP's interfaces, and who sent them."""

    def __init__(self, space: Namespace) -> None:
        self._selector = selectors.DefaultSelector()
        for number in range(INTERFACES):
            with space.inside():
                sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
                sock.bind((f"eth{number}", 3))
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 27)
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ, number)
        self.forget()

    def forget(self) -> None:
        self.last: dict[tuple[int, int], float] = {}
        self.adverts = 0
        self.gaps: list[float] = []
        self.failed_over: set[tuple[int, int]] = set()

    def watch(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (rest_s := end - time.monotonic()) > 0:
            for key, _ in self._selector.select(rest_s):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                self._drain(sock, key.data)

    def _drain(self, sock: socket.socket, interface: int) -> None:
        for _ in range(512):
            try:
                packet, ancillary, _, sender = sock.recvmsg(256, 64)
            except BlockingIOError:
                return
            if len(packet) < 28 or packet[9] != 112:
                continue
            at_s = 0.0
            for level, kind, value in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                    seconds, nanoseconds = struct.unpack("=qq", value[:16])
                    at_s = seconds + nanoseconds / 1e9
            instance = (interface, packet[21])
            if sender[2] == socket.PACKET_OUTGOING:
                if packet[22]:
                    self.failed_over.add(instance)
                continue
            self.adverts += 1
            if instance in self.last:
                self.gaps.append(at_s - self.last[instance])
            self.last[instance] = at_s

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            sock.close()
        self._selector.close()


def storm(argv: list[str], instances: int, seconds: float, *, idle: bool) -> dict[str, float]:
    each = instances // INTERFACES
    with Lab(f"storm-{os.getpid()}") as lab, tempfile.TemporaryDirectory() as scratch:
        spaces = lab.namespace("a"), lab.namespace("b")
        for number in range(INTERFACES):
            lab.link(spaces[0], f"eth{number}", spaces[1], f"eth{number}")
            for place, space in enumerate(spaces, 1):
                space.address(f"eth{number}", f"10.{number + 10}.0.{place}/16")
        witness = Witness(spaces[1])
        master = Daemon(lab, spaces[0], argv, config(each, 200))
        daemons = [master]
        try:
            wait_until(lambda: master.addresses() == each * INTERFACES, 90, "MASTER of all", interval_s=0.5)
            daemons.append(Daemon(lab, spaces[1], argv, config(each, 100)))
            backup = daemons[1]
            wait_until(backup.runs, 60, "the other one runs")
            time.sleep(_SETTLE_S)
            with contextlib.nullcontext() if idle else stress(Path(scratch)):
                witness.watch(2)
                witness.forget()
                witness.watch(seconds)
            late = [gap for gap in witness.gaps if gap > LATE * INTERVAL_S]
            return {
                "adverts": witness.adverts,
                "false failovers": len(witness.failed_over),
                "late adverts": len(late),
                "longest gap, ms": max(witness.gaps, default=0.0) * 1000,
            }
        finally:
            witness.close()
            for daemon in daemons:
                daemon.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--instances", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--idle", action="store_true", help="without the load")
    options = options_of(parser)
    if not options.idle and shutil.which("stress-ng") is None:
        print("stress-ng is needed: packaging/install-packages test", file=sys.stderr)
        return 2
    chosen = programs()
    print(f"{options.instances} instances, {len(chosen)} programs: about {len(chosen) * (options.seconds + 35):.0f} s")
    found = {name: storm(argv, options.instances, options.seconds, idle=options.idle) for name, argv in chosen.items()}
    columns = list(next(iter(found.values())))
    print("| program | " + " | ".join(columns) + " |")
    print("|---|" + "---:|" * len(columns))
    for name, values in found.items():
        print(f"| {name} | " + " | ".join(f"{value:.0f}" for value in values.values()) + " |")
    ours, theirs = found["ours"], found.get("keepalived", {})
    options.check = True
    late = [theirs["late adverts"]] if theirs else []
    return finish(
        [
            Row(group="load", what="false failovers", unit="", ours=[ours["false failovers"]],
                theirs=[theirs["false failovers"]] if theirs else [], peer="keepalived", most=0),
            Row(group="load", what="late adverts", unit="", ours=[ours["late adverts"]], theirs=late,
                peer="keepalived", most=max(late, default=0.0)),
            Row(group="load", what="longest gap between adverts", unit="ms", ours=[ours["longest gap, ms"]],
                theirs=[theirs["longest gap, ms"]] if theirs else [], peer="keepalived"),
        ],
        options,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

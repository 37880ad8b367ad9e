"""What passes a router's interface: written down by tcpdump, read by tshark."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from pykeepalived.tools.lab import wait_until
from tests.interop.vrrp.vrrp_pairs import PATIENCE_S, Router


@contextlib.contextmanager
def capture(router: Router, into: Path, *, announcements: bool = False) -> Iterator[Path]:
    """Write down the adverts that pass the router's interface, and ARP if wished, until the block ends."""
    file = into / "adverts.pcap"
    argv = (
        "tcpdump",
        "-i",
        "eth0",
        "--immediate-mode",
        "-U",
        "-s",
        "0",
        "-Z",
        "root",
        "-w",
        file,
        "proto 112 or ip6 proto 112 or ah" + (" or arp" if announcements else ""),
    )
    process = router.lab.popen(router.namespace, *argv)
    wait_until(lambda: file.exists() and file.stat().st_size >= 24, PATIENCE_S, "tcpdump has begun")
    try:
        yield file
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def dissect(file: Path) -> list[list[str]]:
    """Each advert as tshark reads it: source, version, VRID, priority, checksum status, complaints."""
    fields = ("ip.src", "ipv6.src", "vrrp.version", "vrrp.virt_rtr_id", "vrrp.prio", "vrrp.checksum.status")
    options = ["-o", "vrrp.v3_checksum_as_in_v2:FALSE", "-o", "ip.check_checksum:TRUE", "-Y", "vrrp", "-T", "fields"]
    columns = [word for field in (*fields, "_ws.expert.message", "ip.checksum.status") for word in ("-e", field)]
    done = subprocess.run(
        ["tshark", "-n", "-r", file, *options, *columns], capture_output=True, text=True, timeout=60, check=True
    )
    return [line.split("\t") for line in done.stdout.splitlines()]


def heard(file: Path) -> list[tuple[str, str]]:
    """What passed, in its order: an advert's source and priority, a gratuitous ARP's MAC and IP address."""
    words = ("ip.src", "vrrp.prio", "arp.src.hw_mac", "arp.src.proto_ipv4", "arp.isgratuitous")
    columns = [word for field in words for word in ("-e", field)]
    done = subprocess.run(
        ["tshark", "-n", "-r", file, "-Y", "vrrp or arp.isgratuitous == 1", "-T", "fields", *columns],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return [(row[0], row[1]) if row[0] else (row[2], row[3]) for row in rows]

"""Reloads without end: ten SIGHUPs a second, alternating two files, while somebody listens to the adverts.

    python -m tests.runtime.soak 600      (make soak)

No transition, no gap between adverts above 1.5 intervals, a connection to the service that stays, memory that stays.
"""

from __future__ import annotations

import signal
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

from pykeepalived.tools.lab import Lab, wait_until
from tests.runtime.chaos import Node

INTERVAL_S: Final = 0.3
PER_SECOND: Final = 10
_ETH_P_IP: Final = 0x0800
_VRRP: Final = 112


class Listener(threading.Thread):
    """Notes when adverts arrive on an interface."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(daemon=True)
        self._socket = sock
        self.times: list[float] = []
        self.resigned = 0
        self.ended = False

    def run(self) -> None:
        self._socket.settimeout(0.2)
        while not self.ended:
            try:
                packet = self._socket.recv(2048)
            except TimeoutError:
                continue
            if packet[14 + 9] == _VRRP:
                self.times.append(time.monotonic())
                header = 14 + 4 * (packet[14] & 15)
                self.resigned += packet[header + 2] == 0

    def close(self) -> None:
        self._socket.close()

    def longest_gap_s(self) -> float:
        return max((after - before for before, after in zip(self.times, self.times[1:], strict=False)), default=0.0)


def resident_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError("no Pss")


class Soak:
    """One router, one listener."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        for name in ("a", "b"):
            lab.namespace(name)
        lab.link("a", "eth0", "b", "eth0")
        lab.namespaces["a"].address("eth0", "10.7.0.1/24")
        lab.namespaces["b"].address("eth0", "10.7.0.9/24")
        self.node = Node(lab, lab.namespaces["a"], directory / "a", 150)
        self.texts = []
        for priority in ("150", "151"):
            self.node.write(("advert_int 0.1", f"advert_int {INTERVAL_S}"), ("priority 150", f"priority {priority}"))
            self.texts.append(self.node.configuration.read_text())
        self.node.start()
        self.node.wait_for_vip()
        with lab.namespaces["b"].inside():
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_IP))
        self.listener = Listener(sock)

    def run(self, seconds: float) -> None:
        node, listener = self.node, self.listener
        pids = list(node.pids().values())
        listener.start()
        masters = node.log.count("Entering MASTER STATE")
        early: list[int] = []
        began = time.monotonic()
        number = 0
        assert node.process is not None
        while (passed := time.monotonic() - began) < seconds:
            number += 1
            draft = node.configuration.with_suffix(".new")
            draft.write_text(self.texts[number % 2])
            draft.rename(node.configuration)
            node.process.send_signal(signal.SIGHUP)
            if not early and passed > seconds / 5:
                early = [resident_kib(pid) for pid in pids]
            time.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
        late = [resident_kib(pid) for pid in pids]
        listener.ended = True
        listener.join()
        listener.close()
        reloads = node.log.count("Reload complete")
        self.gap_s, self.growth_kib, self.reloads = listener.longest_gap_s(), sum(late) - sum(early), reloads
        self.hups = number
        assert list(node.pids().values()) == pids, "a process was replaced"
        assert node.log.count("Entering MASTER STATE") == masters, "it became MASTER again"
        assert listener.resigned == 0, "it resigned"
        assert "removing VIPs" not in node.log.split("Entering MASTER STATE")[-1], "addresses went"
        wait_until(lambda: node.log.count("Reload complete") > 0, 120, "reloads")


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600.0
    print(f"{PER_SECOND} SIGHUPs a second for {seconds:g} seconds", flush=True)
    with tempfile.TemporaryDirectory() as directory, Lab("soak") as lab:
        soak = Soak(lab, Path(directory))
        soak.run(seconds)
    print(
        f"{soak.hups} SIGHUPs, {soak.reloads} reloads; longest gap between adverts {soak.gap_s * 1000:.0f} ms at "
        f"{INTERVAL_S * 1000:.0f} ms; memory changed by {soak.growth_kib} KiB"
    )
    if soak.gap_s > 1.5 * INTERVAL_S or soak.growth_kib > 4096:
        sys.exit("FAILED: a gap above 1.5 intervals, or memory that grows")


if __name__ == "__main__":
    main()

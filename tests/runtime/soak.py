"""Reloads without end: ten SIGHUPs a second, alternating two files, while somebody listens to the adverts.

    python -m tests.runtime.soak 600      (make soak)

No transition, no gap between adverts above 1.5 intervals by the kernel's time stamps, a connection through the service
that lives from the first reload to the last, new connections that are answered all the time, memory that stays. A
process that wants 2 ms of processor time out of 10 ms tells when this machine gave it none; a gap counts without that.
"""

from __future__ import annotations

import itertools
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from pykeepalived.tools.lab import Lab, wait_until
from tests.runtime.chaos import SERVER, USER, Node
from tests.runtime.onlookers import Client, Echo, Listener, Users, Witness, lives
from tests.runtime.test_runtime_daemon import VIP

INTERVAL_S: Final = 0.3
PER_SECOND: Final = 10
GROWTH_KIB: Final = 4096


def resident_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError("no Pss")


class Soak:
    """One router, one listener, and a user of the service."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        for name in ("a", "b"):
            lab.namespace(name)
        lab.link("a", "eth0", "b", "eth0")
        lab.namespaces["a"].address("eth0", "10.7.0.1/24")
        lab.namespaces["b"].address("eth0", f"{SERVER}/24", f"{USER}/24")
        self.node = Node(lab, lab.namespaces["a"], directory / "a", 150)
        self.texts = []
        for priority in ("150", "151"):
            self.node.write(("advert_int 0.1", f"advert_int {INTERVAL_S}"), ("priority 150", f"priority {priority}"))
            self.texts.append(self.node.configuration.read_text())
        self.server = Echo(lab.namespaces["b"], (SERVER, 80))
        self.server.start()
        self.client = Client(lab.namespaces["b"], USER, (VIP, 80))
        self.node.start()
        self.node.wait_for_vip()
        wait_until(lambda: self.client.asks(2), 40, "the service answers")
        self.listener = Listener(lab.namespaces["b"], "eth0")
        self.users = Users(self.client)

    def run(self, seconds: float) -> None:
        node, listener = self.node, self.listener
        pids = list(node.pids().values())
        masters = node.log.count("Entering MASTER STATE")
        early: list[int] = []
        assert node.process is not None
        witness = Witness()
        with self.client.connect(120) as connection:
            listener.start()
            witness.start()
            self.users.start()
            began = time.monotonic()
            number = 0
            while (passed := time.monotonic() - began) < seconds:
                number += 1
                draft = node.configuration.with_suffix(".new")
                draft.write_text(self.texts[number % 2])
                draft.rename(node.configuration)
                node.process.send_signal(signal.SIGHUP)
                if not early and passed > seconds / 5:
                    early = [resident_kib(pid) for pid in pids]
                if number % PER_SECOND == 0:
                    assert lives(connection), f"the connection broke after {passed:.1f} s"
                time.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
            late = [resident_kib(pid) for pid in pids]
            assert lives(connection), "the connection broke at the end"
        for one in (self.users, listener, self.server, witness):
            one.end()
        reloads = node.log.count("Reload complete")
        times = [advert.at_s for advert in listener.adverts]
        gaps_s = [after - before for before, after in itertools.pairwise(times)]
        self.gap_s, self.usual_gap_s = max(gaps_s), statistics.median(gaps_s)
        self.own_gap_s = max(
            after - before - witness.stood_still_s(before, after) for before, after in itertools.pairwise(times)
        )
        self.growth_kib, self.reloads, self.hups = sum(late) - sum(early), reloads, number
        assert list(node.pids().values()) == pids, "a process was replaced"
        assert node.log.count("Entering MASTER STATE") == masters, "it became MASTER again"
        assert all(advert.priority for advert in listener.adverts), "it resigned"
        assert "removing VIPs" not in node.log.split("Entering MASTER STATE")[-1], "addresses went"
        assert self.users.answered > 0
        wait_until(lambda: node.log.count("Reload complete") > 0, 120, "reloads")


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600.0
    print(f"{PER_SECOND} SIGHUPs a second for {seconds:g} seconds", flush=True)
    with tempfile.TemporaryDirectory() as directory, Lab("soak") as lab:
        soak = Soak(lab, Path(directory))
        soak.run(seconds)
    print(
        f"{soak.hups} SIGHUPs, {soak.reloads} reloads; gaps between adverts at {INTERVAL_S * 1000:.0f} ms: median "
        f"{soak.usual_gap_s * 1000:.1f} ms, longest {soak.gap_s * 1000:.1f} ms, without the times when the machine "
        f"stood still {soak.own_gap_s * 1000:.1f} ms; one connection kept, {soak.users.answered} new ones answered, "
        f"{soak.users.unanswered} not; memory changed by {soak.growth_kib} KiB"
    )
    if soak.own_gap_s > 1.5 * INTERVAL_S or soak.growth_kib > GROWTH_KIB or soak.users.unanswered:
        sys.exit("FAILED: a gap above 1.5 intervals, memory that grows, or connections without an answer")


if __name__ == "__main__":
    main()

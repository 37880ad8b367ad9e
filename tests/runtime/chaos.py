"""Kills at random moments: two routers with an address and a service, and nobody who may be sure of his life.

    python -m tests.runtime.chaos 200      (make chaos)

After each kill of a parent, a VRRP process, a checker process or all of them at once:
- never two holders of the address for longer than an election lasts,
- never an address on a node whose daemon is dead (if all its processes died at once: on one that was started again),
- at rest exactly one holder, who has the service in its table.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from pykeepalived.tools.lab import Lab, wait_until
from tests.runtime.test_runtime_daemon import VIP, Router

INTERVAL_S: Final = 0.1
#: Down timer of the lower router at this interval, and what a busy machine adds.
TWO_HOLDERS_S: Final = 4 * INTERVAL_S + 1.0
REST_S: Final = 15.0
SERVICE: Final = f"""
virtual_server {VIP} 80 {{
    protocol TCP
    lb_algo rr
    lvs_method NAT
    real_server 10.7.0.9 80 {{
    }}
}}
"""


class Node(Router):
    """A router that is started again whenever it is dead."""

    def write(self, *changes: tuple[str, str]) -> None:
        super().write(("enable_script_security", "enable_script_security\n    lvs_dataplane nftables"), *changes)
        with self.configuration.open("a") as stream:
            stream.write(SERVICE)

    def revive(self) -> None:
        if self.process is not None and self.process.poll() is None:
            return
        self.log_path.write_text("")
        self.start()

    def pids(self) -> dict[str, int]:
        found = {}
        for name in ("keepalived", "vrrp", "checkers"):
            answer = self.space.run("cat", f"/run/{name}.pid", check=False).stdout.strip()
            if answer:
                found[name] = int(answer)
        return found

    def serves(self) -> bool:
        return VIP in self.space.run("nft", "list", "ruleset", check=False).stdout


class Chaos:
    """`strike` kills once and judges what follows; raises AssertionError with the story."""

    def __init__(self, lab: Lab, directory: Path, seed: int) -> None:
        self.random = random.Random(seed)
        lab.namespace("a")
        lab.namespace("b")
        lab.link("a", "eth0", "b", "eth0")
        self.nodes = []
        for number, (name, priority) in enumerate((("a", 150), ("b", 100))):
            space = lab.namespaces[name]
            space.address("eth0", f"10.7.0.{number + 1}/24")
            self.nodes.append(Node(lab, space, directory / name, priority))
        self.story: list[str] = []
        self.longest_s = 0.0
        for node in self.nodes:
            node.start()
        self.rest()

    def strike(self) -> None:
        node = self.random.choice(self.nodes)
        pids = node.pids()
        what = self.random.choice([*pids, "all"])
        time.sleep(self.random.uniform(0, 0.5))
        self.story.append(f"{node.space.name}: {what}")
        victims = list(pids.values()) if what == "all" else [pids[what]]
        if what == "all":
            for pid in victims:  # none is left to notice the death of the other
                _kill(pid, signal.SIGSTOP)
        for pid in victims:
            _kill(pid, signal.SIGKILL)
        if what == "keepalived":
            assert node.process is not None
            node.process.wait(120)
            wait_until(
                lambda: not node.holds(), 120, f"no address on the dead {node.space.name} after {self.story[-3:]}"
            )
        elif what == "all":
            assert node.process is not None
            node.process.wait(120)
        self.rest()

    def rest(self) -> None:
        """Bring dead daemons back and wait for exactly one holder; two are a fault when they last."""
        for node in self.nodes:
            node.revive()
        began = time.monotonic()
        two_since: float | None = None
        calm_since: float | None = None
        while True:
            now = time.monotonic()
            assert now - began < REST_S, f"no rest after {self.story[-3:]}: {self._describe()}"
            holders = [node for node in self.nodes if node.holds()]
            if len(holders) == 2:
                two_since = two_since or now
                self.longest_s = max(self.longest_s, time.monotonic() - two_since)
                assert self.longest_s < TWO_HOLDERS_S, f"two masters for too long after {self.story[-3:]}"
            else:
                two_since = None
            if len(holders) == 1 and all(node.serves() for node in self.nodes):
                calm_since = calm_since or now
                if now - calm_since > 6 * INTERVAL_S:
                    return
            else:
                calm_since = None
            time.sleep(0.01)

    def _describe(self) -> str:
        return "; ".join(
            f"{node.space.name} holds {node.holds()}, serves {node.serves()}, last line {node.log.splitlines()[-1:]}"
            for node in self.nodes
        )


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def run(kills: int, seed: int) -> Chaos:
    with tempfile.TemporaryDirectory() as directory, Lab("chaos") as lab:
        chaos = Chaos(lab, Path(directory), seed)
        for number in range(kills):
            chaos.strike()
            if kills > 20 and (number + 1) % 20 == 0:
                print(f"{number + 1} kills, two holders for at most {chaos.longest_s:.2f} s", flush=True)
        return chaos


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    seed = random.randrange(1 << 32)
    print(f"{kills} kills with seed {seed}: about {kills * 6 // 60 + 1} minutes", flush=True)
    chaos = run(kills, seed)
    print(f"{kills} kills survived; two holders of the address for at most {chaos.longest_s:.2f} s")


if __name__ == "__main__":
    main()

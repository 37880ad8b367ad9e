"""Kills at random moments: two routers with an address and a service, and nobody who may be sure of his life.

    python -m tests.runtime.chaos 200      (make chaos)

After each kill of a parent, a VRRP process, a checker process or all of them at once:
- never two holders of the address for longer than an election lasts,
- never an address on a node whose daemon is dead (if all its processes died at once: on one that was started again),
- at rest exactly one holder, who has the service in its table, and the service answers.

Meanwhile somebody makes new connections to the service without a pause, and somebody listens to the adverts. When a
master's VRRP process is killed, its node's next advert (its successor's, or its parent's that resigns for it) must
leave within 100 ms of when it was due: judged by the kernel's time stamps, in the long form. Times in which this
machine gave nobody its processor are told, and do not count.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from pykeepalived.tools.lab import Lab, wait_until
from tests.runtime.onlookers import Advert, Client, Echo, Listener, Users, Witness
from tests.runtime.test_runtime_daemon import VIP, Router

INTERVAL_S: Final = 0.1
#: Down timer of the lower router at this interval, and what a busy machine adds.
TWO_HOLDERS_S: Final = 4 * INTERVAL_S + 1.0
#: What the successor of a killed VRRP process may add to the time at which the next advert is due.
ADOPTION_S: Final = 0.1
REST_S: Final = 120.0
SERVER: Final = "10.7.0.9"
USER: Final = "10.7.0.8"
SERVICE: Final = f"""
virtual_server {VIP} 80 {{
    protocol TCP
    lb_algo rr
    lvs_method NAT
    real_server {SERVER} 80 {{
    }}
}}
"""


class Node(Router):
    """A router that is started again whenever it is dead."""

    def write(self, *changes: tuple[str, str]) -> None:
        super().write(
            (
                "enable_script_security",
                "enable_script_security\n    lvs_dataplane nftables\n    lvs_nftables_masquerade",
            ),
            *changes,
        )
        with self.configuration.open("a") as stream:
            stream.write(SERVICE)
        # Client and server are on one link: what comes in goes out there again.
        self.space.sysctl("net.ipv4.ip_forward", 1)
        for where in ("all", "eth0"):
            self.space.sysctl(f"net.ipv4.conf.{where}.send_redirects", 0)

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
        for name in ("a", "b", "c"):
            lab.namespace(name)
        town = lab.namespaces["c"]
        lab.bridge(town, "br0")
        town.address("br0", f"{SERVER}/24", f"{USER}/24")
        self.listener = Listener(town, "br0")
        self.server = Echo(town, (SERVER, 80))
        self.client = Client(town, USER, (VIP, 80))
        self.users = Users(self.client)
        self.witness = Witness()
        self.nodes = []
        for number, (name, priority) in enumerate((("a", 150), ("b", 100))):
            space = lab.namespaces[name]
            lab.plug(space, "eth0", town, "br0")
            space.address("eth0", f"10.7.0.{number + 1}/24")
            self.nodes.append(Node(lab, space, directory / name, priority))
        self.story: list[str] = []
        self.longest_s = 0.0
        self.stood_still_s = 0.0
        """The most that the machine took of a time which is judged."""
        self.adopted_s: list[float] = []
        """From a master's last advert to that of the successor of its VRRP process …"""
        self.resigned_s: list[float] = []
        """… or to that with priority 0, where there was no successor yet."""
        self.witness.start()
        self.listener.start()
        self.server.start()
        for node in self.nodes:
            node.start()
        self.rest()
        self.users.start()

    def end(self) -> None:
        for one in (self.users, self.listener, self.server, self.witness):
            one.end()

    def strike(self) -> None:
        node = self.random.choice(self.nodes)
        pids = node.pids()
        what = self.random.choice([*pids, "all"])
        time.sleep(self.random.uniform(0, 0.5))
        self.story.append(f"{node.space.name}: {what}")
        victims = list(pids.values()) if what == "all" else [pids[what]]
        children = [pid for name, pid in pids.items() if name != "keepalived"]
        holds, instant_s = node.holds(), time.time()
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
            # A daemon that finds a child of the last one at work does not start.
            wait_until(lambda: not any(map(_runs, children)), 120, f"the children end after {self.story[-3:]}")
        elif what == "all":
            assert node.process is not None
            node.process.wait(120)
        elif what == "vrrp" and holds:
            self._note_successor(node, instant_s)
        self.rest()

    def _note_successor(self, node: Node, instant_s: float) -> None:
        source = f"10.7.0.{self.nodes.index(node) + 1}"

        def found() -> tuple[Advert, Advert] | None:
            before, after = self.listener.around(instant_s, source)
            return None if before is None or after is None else (before, after)

        before, after = wait_until(found, 120, f"an advert of {node.space.name} after {self.story[-3:]}")
        passed_s = self._without_stalls(before.at_s, after.at_s)
        (self.adopted_s if after.priority else self.resigned_s).append(passed_s)

    def _without_stalls(self, began_s: float, ended_s: float) -> float:
        stalled_s = self.witness.stood_still_s(began_s, ended_s)
        self.stood_still_s = max(self.stood_still_s, stalled_s)
        return ended_s - began_s - stalled_s

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
                two_since = two_since or time.time()
                self.longest_s = max(self.longest_s, self._without_stalls(two_since, time.time()))
                assert self.longest_s < TWO_HOLDERS_S, f"two masters for too long after {self.story[-3:]}"
            else:
                two_since = None
            if len(holders) == 1 and all(node.serves() for node in self.nodes):
                calm_since = calm_since or now
                if now - calm_since > 6 * INTERVAL_S and self.client.asks(1.0):
                    return
            else:
                calm_since = None
            time.sleep(0.01)

    def _describe(self) -> str:
        return "; ".join(
            f"{node.space.name} holds {node.holds()}, serves {node.serves()}, last line {node.log.splitlines()[-1:]}"
            for node in self.nodes
        )


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False


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
        chaos.end()
        return chaos


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    seed = random.randrange(1 << 32)
    print(f"{kills} kills with seed {seed}: about {kills * 6 // 60 + 1} minutes", flush=True)
    chaos = run(kills, seed)
    print(f"{kills} kills survived; two holders of the address for at most {chaos.longest_s:.2f} s")
    print(
        f"meanwhile {chaos.users.answered} new connections were answered and {chaos.users.unanswered} not, "
        f"at most {chaos.users.longest_s:.1f} s without an answer; the machine itself stood still for at most "
        f"{chaos.stood_still_s:.2f} s of a time that is judged here, which is left out"
    )
    limit_s = INTERVAL_S + ADOPTION_S
    missed = 0
    for title, gaps_s in (("its successor goes on", chaos.adopted_s), ("it resigns", chaos.resigned_s)):
        if gaps_s:
            missed += sum(gap > limit_s for gap in gaps_s)
            print(
                f"a master's VRRP process killed, {title}: {len(gaps_s)} times, adverts apart by {INTERVAL_S:g} s and "
                f"then by {statistics.median(gaps_s):.3f} s (median), {max(gaps_s):.3f} s (most); limit {limit_s:g} s"
            )
    if missed:
        sys.exit(f"FAILED: {missed} times the next advert was more than {ADOPTION_S:g} s late")


if __name__ == "__main__":
    main()

"""A short life of two routers, killed at each moment of it in turn.

    python -m tests.simulation.crashes [--every N]

A moment is before each thing that a router does (an advert, a batch of addresses, a script that is told) and after the
last one: so each effect is there, or not. What dies is the whole machine, or only its VRRP process, which a successor
follows. After the crash the life goes on; every invariant of `watch` holds all the time, and in the end everything is
as `plan` says that it must be.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from pykeepalived.units import SECOND_US
from tests.simulation.cluster import Shape
from tests.simulation.hands import TROUBLES
from tests.simulation.plan import Trial
from tests.simulation.watch import Broken

#: Seeds of different clusters: alone and in groups, with and without trackers, version 2 and 3.
CLUSTERS = (1, 2, 3, 5, 8, 13)
_SHAPE = Shape(routers=2, instances=2, suffering_s=0, faults_per_minute=0)


class Crash(NamedTuple):
    cluster: int
    router: int
    moment: int
    only_process: bool


class Life(Trial):
    """Start, failover, loss of a link, a reload with another address, standby, a refused address, a stop."""

    def __init__(self, crash: Crash | None, cluster: int) -> None:
        super().__init__(cluster, _SHAPE)
        self.moments: list[list[bool]] = []
        if crash is not None:
            machine = self.world.machines[crash.router]
            machine.dies_at, machine.only_process = crash.moment, crash.only_process
        for machine in self.world.machines:
            machine.moments = []

    def live(self) -> Life:
        """Raise `Broken` when something does not hold."""
        world = self.world
        down_us = self._settle_us()
        for machine in world.machines:
            world.boot(machine)
        for at, act in enumerate((self._no_link, self._other_file, self._held_back, self._in_trouble, self._leave)):
            world.later((at + 1) * down_us, act)
        world.run(7 * down_us)
        self._heal()
        world.run(world.now_us + self._settle_us())
        self.moments = [list(machine.moments) for machine in world.machines]
        for machine in world.machines:
            world.boot(machine)
        world.run(world.now_us + self._settle_us())
        self._judge()
        return self

    def _first(self) -> tuple[int, int]:
        leader = next((each.number for each in self.world.machines if each.leading), 0)
        return leader, 1 - leader

    def _no_link(self) -> None:
        machine = self.world.machines[self._first()[0]]
        self.world.link(machine, "eth0", False)
        self.world.later(self.world.now_us + SECOND_US, lambda: self.world.link(machine, "eth0", True))

    def _other_file(self) -> None:
        """The second instance goes for a second."""
        for machine in self.world.machines:
            config = self.configs[machine.number]
            groups = tuple(msgspec.structs.replace(group, members=group.members[:1]) for group in config.sync_groups)
            fewer = msgspec.structs.replace(config, instances=config.instances[:1], sync_groups=groups)
            self.world.reload(machine, fewer)
            self.world.later(
                self.world.now_us + SECOND_US,
                lambda machine=machine, config=config: self.world.reload(machine, config),
            )

    def _held_back(self) -> None:
        machine = self.world.machines[self._first()[0]]
        undo = self._standby(machine)
        self.world.later(self.world.now_us + SECOND_US, undo)

    def _in_trouble(self) -> None:
        for machine, trouble in zip(self.world.machines, TROUBLES, strict=False):
            machine.kernel.trouble = trouble
        self._no_link()
        for machine in self.world.machines:
            self.world.later(
                self.world.now_us + SECOND_US, lambda kernel=machine.kernel: setattr(kernel, "trouble", "")
            )

    def _leave(self) -> None:
        machine = self.world.machines[self._first()[0]]
        self.world.stop(machine)
        self.world.later(self.world.now_us + SECOND_US, lambda: self.world.boot(machine))


def crashes(clusters: tuple[int, ...] = CLUSTERS, every: int = 1) -> Iterator[Crash]:
    """Each moment of each life, or some of them; of those in which nothing but an advert is sent, one in fifty."""
    for cluster in clusters:
        for router, moments in enumerate(Life(None, cluster).live().moments):
            chosen = [at for at, quiet in enumerate(moments) if not quiet or at % 50 == 0]
            for moment in chosen[::every]:
                for only_process in (False, True):
                    yield Crash(cluster, router, moment, only_process)


def play(crash: Crash) -> None:
    life = Life(crash, crash.cluster)
    life.live()
    if life.world.machines[crash.router].dies_at is not None:
        raise Broken("crash", f"{crash} never came")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.crashes")
    parser.add_argument("--every", type=int, default=1)
    chosen = parser.parse_args()
    started_s, count, broken = time.process_time(), 0, 0
    for crash in crashes(every=chosen.every):
        count += 1
        try:
            play(crash)
        except Broken as error:
            broken += 1
            print(f"{crash}: {error}", flush=True)
    cpu_s = time.process_time() - started_s
    print(f"{count} crashes in {len(CLUSTERS)} lives: {broken} broke something; {cpu_s:.0f} s of CPU time")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

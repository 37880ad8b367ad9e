"""The short form of `make simulate`: some clusters, some planted faults, and that each fault can still be planted."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation.cluster import Shape, short
from tests.simulation.crashes import Life, crashes, play
from tests.simulation.faults import FAULTS, damaged
from tests.simulation.hands import TROUBLES
from tests.simulation.plan import FAULT_KINDS, Trial

#: One of each kind; `make simulate` plants them all.
SOME = (
    "skew-left-out",
    "never-yields",
    "priority-0-ignored",
    "addresses-kept",
    "group-faults-alone",
    "script-result-lost",
)


@pytest.mark.parametrize("seed", range(30))
def test_nothing_is_broken(seed: int) -> None:
    Trial(seed).run()


def test_twenty_routers_and_a_hundred_instances() -> None:
    Trial(7, Shape(routers=20, instances=2, suffering_s=20, faults_per_minute=12)).run()
    Trial(8, Shape(routers=2, instances=100, suffering_s=10, faults_per_minute=12)).run()


def test_a_seed_decides_everything() -> None:
    one, two = Trial(3), Trial(3)
    one.run(), two.run()
    assert (one.world.story, one.world.events) == (two.world.story, two.world.events)
    assert one.world.story


def test_every_kind_of_fault_and_of_event_occurs() -> None:
    """None of them is only written down: forty lives of a minute see each one often enough to go wrong in it."""
    done: Counter[str] = Counter()
    states: Counter[str] = Counter()
    ways: Counter[tuple[bool, bool]] = Counter()
    for seed in range(1000, 1040):
        trial = Trial(seed, short(seed))
        item = trial.configs[0].instances[0]
        ways[bool(item.unicast_peers), ":" in item.addresses[0].prefix.address] += 1
        world = trial.run()
        done += world.done
        states += world.told
    assert len(ways) == 4
    assert {f"fault {name}" for name in FAULT_KINDS} <= {name for name, count in done.items() if count >= 5}
    assert {"add", "remove", "advert", "announce", "run", "replace", "notify", "resumed"} <= {
        name for name, count in done.items() if count >= 5
    }
    assert {
        "INSTANCE MASTER",
        "INSTANCE BACKUP",
        "INSTANCE FAULT",
        "INSTANCE STOP",
        "INSTANCE MASTER_PRIORITY",
        "INSTANCE BACKUP_PRIORITY",
        "INSTANCE MASTER_RX_LOWER_PRI",
        "GROUP MASTER",
        "GROUP BACKUP",
        "GROUP FAULT",
        "GROUP STOP",
    } <= set(states)


def test_every_fault_can_be_planted() -> None:
    assert len(FAULTS) == len({fault.name for fault in FAULTS}) >= 40
    for fault in FAULTS:
        compile(damaged(fault), fault.name, "exec")


@pytest.mark.parametrize("name", SOME)
def test_a_planted_fault_is_found(name: str) -> None:
    command = [sys.executable, "-m", "tests.simulation", "--fault", name, "--seeds", "60"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_crash_at_any_moment_harms_nothing() -> None:
    """`python -m tests.simulation.crashes` plays each moment of six lives."""
    some = list(crashes((2, 8), every=40))
    assert len(some) > 20
    for crash in some:
        play(crash)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_refused_address_comes_and_goes_in_the_end(trouble: str) -> None:
    """The kernel is in trouble while a router becomes MASTER and while it stops being that."""
    for seed in (1, 5):
        life = Life(None, seed)
        for machine in life.world.machines:
            machine.kernel.trouble = trouble
        life.live()
        assert sum(machine.kernel.done[f"netlink {trouble}"] for machine in life.world.machines)

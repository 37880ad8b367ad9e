"""The short form of `make simulate` for directors: some farms of servers, some planted faults."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation.farm import FAULT_KINDS, FarmTrial
from tests.simulation.faults import damaged
from tests.simulation.faults_lvs import LVS_FAULTS

#: One of each kind; `make simulate` plants them all.
SOME = ("retry-ignored", "lost-verdict", "sorry-stays", "leaves-before-it-comes", "no-second-try")


@pytest.mark.parametrize("seed", range(25))
def test_nothing_is_broken(seed: int) -> None:
    FarmTrial(seed).run()


def test_a_crash_during_a_reload_leaves_nothing_unowned() -> None:
    """What the new file does not name any more is taken out by the successor, which reads only the new file."""
    FarmTrial(270).run()


def test_a_seed_decides_everything() -> None:
    one, two = FarmTrial(3), FarmTrial(3)
    one.run(), two.run()
    assert (one.world.story, one.world.events) == (two.world.story, two.world.events)
    assert one.world.results > 100


def test_every_kind_of_fault_and_of_operation_occurs() -> None:
    done: Counter[str] = Counter()
    for seed in range(1000, 1016):
        done += FarmTrial(seed, 60).run().done
    assert {f"fault {name}" for name in FAULT_KINDS} <= set(done)
    operations = {"AddService", "DeleteService", "AddDestination", "EditDestination", "DeleteDestination"}
    assert operations <= {name for name, count in done.items() if count >= 5}


def test_every_fault_can_be_planted() -> None:
    assert len(LVS_FAULTS) == len({fault.name for fault in LVS_FAULTS}) >= 40
    for fault in LVS_FAULTS:
        compile(damaged(fault), fault.name, "exec")


@pytest.mark.parametrize("name", SOME)
def test_a_planted_fault_is_found(name: str) -> None:
    command = [sys.executable, "-m", "tests.simulation", "--fault", name, "--seeds", "20"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

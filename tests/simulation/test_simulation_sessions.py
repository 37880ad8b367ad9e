"""The short form of `make simulate` for BFD sessions."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation.faults import damaged
from tests.simulation.faults_bfd import BFD_FAULTS
from tests.simulation.sessions import FAULT_KINDS, SessionTrial


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_broken(seed: int) -> None:
    SessionTrial(seed, 30).run()


@pytest.mark.parametrize("seed", [14, 19])
def test_a_network_that_doubles_and_reorders_starts_no_storm(seed: int) -> None:
    """Each change of state was answered with one of the other's, thousands in a second, and never stopped."""
    trial = SessionTrial(seed, 60)
    trial.run()
    assert trial.done["fault doubling"] or trial.done["fault slow"]


def test_a_seed_decides_everything() -> None:
    one, two = SessionTrial(3, 30).run(), SessionTrial(3, 30).run()
    assert (one.story, one.events, one.done) == (two.story, two.events, two.done)
    assert one.story


def test_every_kind_of_fault_occurs() -> None:
    done: Counter[str] = Counter()
    for seed in range(100, 109):
        done += SessionTrial(seed, 30).run().done
    assert {f"fault {name}" for name in FAULT_KINDS} <= set(done)
    assert {"Open", "Close", "Send", "Changed"} <= set(done)


def test_every_fault_can_be_planted() -> None:
    assert len(BFD_FAULTS) == len({fault.name for fault in BFD_FAULTS}) >= 40
    for fault in BFD_FAULTS:
        compile(damaged(fault), fault.name, "exec")


def test_a_planted_fault_is_found() -> None:
    """`make simulate` plants them all."""
    command = [sys.executable, "-m", "tests.simulation", "--fault", "admin-down-is-a-failure", "--seeds", "20"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

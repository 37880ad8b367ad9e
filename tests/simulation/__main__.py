"""`make simulate [HOURS=H] [SEED=N]`: so many simulated hours from this seed on; then every planted fault.

    python -m tests.simulation --hours 100 [--seed N]      usual clusters (three routers, one instance) until so much
                                                           time is over, then clusters of all kinds, then directors,
                                                           then BFD sessions (a fiftieth of the time)
    python -m tests.simulation --only KIND                 `usual`, `clusters`, `directors` or `sessions` alone
    python -m tests.simulation --faults                    each planted fault must be found
    python -m tests.simulation --fault NAME [--seeds N]    one of them, in this process: exit code 0 when it is found

A seed that fails prints itself with its story; `--seed N --hours 0` plays that one alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.simulation.faults import FAULTS, plant
from tests.simulation.faults_bfd import BFD_FAULTS
from tests.simulation.faults_lvs import LVS_FAULTS

PLANTS = {"clusters": FAULTS, "directors": LVS_FAULTS, "sessions": BFD_FAULTS}
EVERY_FAULT = tuple(fault for faults in PLANTS.values() for fault in faults)

KINDS = ("usual", "clusters", "directors", "sessions")
#: A session of 10 ms has a hundred events where an instance has one.
SHARE = {"sessions": 0.02}
_SEEDS = 400
_FAULT_LIMIT_S = 300


def trial_of(kind: str, seed: int) -> Any:
    """A cluster of VRRP routers (`usual`: three with one instance), a director with its servers, or BFD sessions."""
    if kind in {"clusters", "usual"}:
        from tests.simulation.cluster import USUAL  # noqa: PLC0415
        from tests.simulation.plan import Trial  # noqa: PLC0415

        return Trial(seed, USUAL if kind == "usual" else None)
    if kind == "sessions":
        from tests.simulation.sessions import SessionTrial  # noqa: PLC0415

        return SessionTrial(seed)
    from tests.simulation.farm import FarmTrial  # noqa: PLC0415

    return FarmTrial(seed)


def play(kind: str, seed: int, hours: float) -> int:
    """Play seeds until that many hours have passed in them; at least one."""
    from tests.simulation.watch import Broken  # noqa: PLC0415

    started_s, simulated_us, events, first = time.process_time(), 0, 0, seed
    kinds: Counter[str] = Counter()
    while seed == first or simulated_us < hours * 3_600_000_000:
        trial = trial_of(kind, seed)
        try:
            trial.run()
        except Broken as broken:
            print(f"{kind}, seed {seed}: {broken}\n  {trial.summary()}\n  " + "\n  ".join(trial.world.story[-12:]))
            return 1
        simulated_us += trial.world.now_us
        events += trial.world.events
        kinds += trial.world.done
        seed += 1
    cpu_s = time.process_time() - started_s
    simulated_h = simulated_us / 3_600_000_000
    print(
        f"{kind}, seeds {first} to {seed - 1}: {simulated_h:.1f} simulated hours, {events:,} events, nothing broken; "
        f"{cpu_s:.0f} s of CPU time, {simulated_h / cpu_s * 60:.0f} h a minute, {events / cpu_s:,.0f} events a second",
        flush=True,
    )
    print("  " + ", ".join(f"{name} {count:,}" for name, count in sorted(kinds.items())), flush=True)
    return 0


def find(name: str, seeds: int) -> int:
    """Plant a fault and look for it; 0 when an invariant or the core itself caught it."""
    fault = next(fault for fault in EVERY_FAULT if fault.name == name)
    plant(fault)
    kind = next(kind for kind, faults in PLANTS.items() if fault in faults)
    for seed in range(seeds):
        try:
            trial_of(kind, seed).run()
        except ImportError:
            raise
        except Exception as error:
            print(f"{name}: found with seed {seed}, {type(error).__name__} {str(error)[:90]}")
            return 0
    print(f"{name}: NOT FOUND in {seeds} seeds")
    return 1


def find_all(seeds: int) -> int:
    def one(name: str) -> int:
        command = [sys.executable, "-m", "tests.simulation", "--fault", name, "--seeds", str(seeds)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FAULT_LIMIT_S, check=False)
        print((done.stdout or done.stderr).strip(), flush=True)
        return done.returncode

    with ThreadPoolExecutor(2) as pool:
        missed = sum(map(bool, pool.map(one, [fault.name for fault in EVERY_FAULT])))
    print(f"{len(EVERY_FAULT) - missed} of {len(EVERY_FAULT)} planted faults found")
    return 1 if missed else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Clusters in virtual time.")
    parser.add_argument("--hours", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--fault", choices=[fault.name for fault in EVERY_FAULT])
    parser.add_argument("--seeds", type=int, default=_SEEDS)
    chosen = parser.parse_args()
    if chosen.fault:
        return find(chosen.fault, chosen.seeds)
    if chosen.faults:
        return find_all(chosen.seeds)
    kinds = (chosen.only,) if chosen.only else KINDS
    return max([play(kind, chosen.seed, chosen.hours * SHARE.get(kind, 1)) for kind in kinds])


sys.exit(main())

"""`make fuzz`: coverage-guided fuzzing of every decoder (atheris), each in a process of its own.

    python -m tests.fuzz [--seconds 600] [--only NAME …] [--jobs 2]     all of `targets.TARGETS`
    python -m tests.fuzz --one NAME --seconds S --corpus DIRECTORY      one of them, in this process

What it finds worth keeping goes to build/fuzz/NAME; what raises stands in build/fuzz/NAME-crash-…, and the exit code is
1. Where atheris is not installed, the same decoders are fed with plain mutations for the same time.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "fuzz"
_LARGEST = 4096
_MEMORY_MB = 1024
#: Decoded in C (msgspec): coverage of Python says nothing about what a message reached.
_UNGUIDED = frozenset({"control"})


def one(name: str, seconds: int, directory: Path) -> None:
    """Never returns: libFuzzer ends the process."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["pykeepalived"]):
        targets = importlib.import_module("tests.fuzz.targets")
    target = targets.TARGETS[name]
    directory.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(targets.corpus(target)):
        (directory / f"seed-{number}").write_bytes(data)
    options = [f"-max_total_time={seconds}", f"-max_len={_LARGEST}", f"-rss_limit_mb={_MEMORY_MB}", "-timeout=20"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={directory}-", str(directory)], target.run)
    atheris.Fuzz()


def plain(name: str, seconds: int) -> None:
    targets = importlib.import_module("tests.fuzz.targets")
    mutate = importlib.import_module("tests.fuzz.mutate")
    target, end_s, seed = targets.TARGETS[name], time.monotonic() + seconds, 0
    seeds = targets.corpus(target)
    while time.monotonic() < end_s:
        for data in mutate.mutants(seeds, 1000, seed):
            target.run(data)
        seed += 1
    print(f"DONE {1000 * seed} plain mutations")


def play(name: str, seconds: int) -> bool:
    command = [sys.executable, "-m", "tests.fuzz", "--one", name, "--seconds", str(seconds)]
    with (BUILD / f"{name}.log").open("w") as log:
        done = subprocess.run(
            command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT, timeout=seconds * 4 + 120, check=False
        )
    text = (BUILD / f"{name}.log").read_text(errors="replace")
    last = next((line for line in reversed(text.splitlines()) if "DONE" in line or "ERROR" in line), "no last word")
    print(f"{name:11} {'ok' if done.returncode == 0 else 'RAISED'}   {last.strip()[:90]}", flush=True)
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--one")
    chosen = parser.parse_args()
    guided = importlib.util.find_spec("atheris") is not None
    if chosen.one:
        if guided and chosen.one not in _UNGUIDED:
            one(chosen.one, chosen.seconds, BUILD / chosen.one)
        plain(chosen.one, chosen.seconds)
        return 0
    names = chosen.only or list(importlib.import_module("tests.fuzz.targets").TARGETS)
    BUILD.mkdir(parents=True, exist_ok=True)
    how = "guided by coverage" if guided else "plain mutations, for want of atheris"
    minutes = len(names) * chosen.seconds / chosen.jobs / 60
    print(f"{len(names)} decoders for {chosen.seconds} s each, {how}: {minutes:.0f} minutes", flush=True)
    with ThreadPoolExecutor(chosen.jobs) as pool:
        good = list(pool.map(lambda name: play(name, chosen.seconds), names))
    print(f"{sum(good)} of {len(good)} decoders raised nothing")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())

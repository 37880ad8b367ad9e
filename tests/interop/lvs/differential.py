"""`make differential`: every configuration of the catalogue with keepalived and with ours in the test kernel.

    python -m tests.interop.lvs.differential [--directory DIR | --random SEED] [--at-once N] [--jobs N] [NAME...]

Without names all of the catalogue; with `--directory` the `*.conf` files in it (see `cases.from_file`). In the
environment DIFFERENTIAL_KEEPALIVED names another keepalived than Debian's, and DIFFERENTIAL_LOG=N shows the last N
lines of both logs where something differs, +N everywhere.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pykeepalived.tools.guest import USUAL_MODULES, GuestError, GuestResult
from tests.interop.lvs.catalogue import CASES
from tests.interop.lvs.chance import random_cases
from tests.interop.patience import run_patiently

ROOT = Path(__file__).parents[3]
MODULES = (*USUAL_MODULES, "sctp", "fou", "ip_gre", "ipip")
#: Seconds that one configuration takes from start to stop.
COURSE_S = 110


def run_batch(
    names: list[str],
    *,
    quick: bool = False,
    directory: Path | None = None,
    at_once: int = 12,
    timeout_s: float = 1800,
    on_output: Callable[[bytes], None] | None = None,
) -> GuestResult:
    """One boot of the test kernel for some configurations, so many of them at once."""
    words = (["--quick"] if quick else []) + (["--directory", str(directory.resolve())] if directory else []) + names
    return run_patiently(
        f"python -m tests.interop.lvs.guest_catalogue --at-once {at_once} {' '.join(words)}",
        timeout_s=timeout_s,
        modules=MODULES,
        directory=ROOT,
        memory_mb=2048,
        environment={
            name: os.environ[name] for name in ("DIFFERENTIAL_LOG", "DIFFERENTIAL_KEEPALIVED") if name in os.environ
        },
        on_output=on_output,
    )


class Shown:
    """Writes what a guest says in whole lines: guests that run at a time do not talk across each other."""

    def __init__(self) -> None:
        self._rest = b""

    def __call__(self, data: bytes) -> None:
        lines, newline, self._rest = (self._rest + data).rpartition(b"\n")
        sys.stdout.write((lines + newline).decode(errors="replace"))
        sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--at-once", type=int, default=12, help="configurations at a time in one guest")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="guests at a time")
    parser.add_argument("--random", type=int, metavar="SEED", help="configurations that chance writes")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    known = sorted(path.stem for path in options.directory.glob("*.conf")) if options.directory else list(CASES)
    if options.random is not None:
        known = list(random_cases(options.random))
    names = options.names or known
    # Heavy neighbours are spread: those that stand together in the catalogue are alike.
    shares = [names[number :: options.jobs] for number in range(min(options.jobs, len(names)))]
    rounds = -(-max(map(len, shares)) // options.at_once)
    print(f"{len(names)} configurations, about {rounds * COURSE_S / 60:.0f} minutes on a quiet machine", flush=True)
    begun = time.monotonic()
    same = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        running = [
            pool.submit(run_batch, share, directory=options.directory, at_once=options.at_once, on_output=Shown())
            for share in shares
        ]
        for future in running:
            try:
                output = future.result().output
            except GuestError as error:
                output = str(error)
                print(output[-4000:], flush=True)
            same += sum(line.startswith("same ") for line in output.splitlines())
    print(f"{same} of {len(names)} the same, {time.monotonic() - begun:.0f} s")
    return 0 if same == len(names) else 1


if __name__ == "__main__":
    sys.exit(main())

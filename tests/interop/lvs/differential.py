"""`make differential`: every configuration of the catalogue with keepalived and with ours in the test kernel.

    python -m tests.interop.lvs.differential [--directory DIR] [--batch N] [NAME...]

Without names all of the catalogue; with `--directory` the `*.conf` files in it (see `cases.from_file`).
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pykeepalived.tools.guest import USUAL_MODULES, GuestError, GuestResult, run_in_guest
from tests.interop.lvs.catalogue import CASES

ROOT = Path(__file__).parents[3]
MODULES = (*USUAL_MODULES, "sctp", "fou", "ip_gre", "ipip")
#: A batch takes about this long, however many configurations are in it.
BATCH_S = 170


def run_batch(names: list[str], *, quick: bool = False, directory: Path | None = None) -> GuestResult:
    """One boot of the test kernel for some configurations."""
    words = (["--quick"] if quick else []) + (["--directory", str(directory.resolve())] if directory else []) + names
    return run_in_guest(
        f"python -m tests.interop.lvs.guest_catalogue {' '.join(words)}",
        timeout_s=600,
        modules=MODULES,
        directory=ROOT,
        memory_mb=2048,
        environment={"DIFFERENTIAL_LOG": os.environ.get("DIFFERENTIAL_LOG", "")},
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--batch", type=int, default=15, help="configurations in one guest")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="guests at a time")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    known = sorted(path.stem for path in options.directory.glob("*.conf")) if options.directory else list(CASES)
    names = options.names or known
    # Heavy neighbours are spread: those that stand together in the catalogue are alike.
    count = -(-len(names) // options.batch)
    batches = [names[number::count] for number in range(count)]
    minutes = -(-count // options.jobs) * BATCH_S / 60
    print(f"{len(names)} configurations in {count} guests, about {minutes:.0f} minutes", flush=True)
    begun = time.monotonic()
    different = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        running = [pool.submit(run_batch, batch, directory=options.directory) for batch in batches]
        for batch, result in zip(batches, running, strict=True):
            try:
                output = result.result().output
            except GuestError as error:
                output = str(error)
            lines = output.splitlines()
            shown = list(itertools.dropwhile(lambda line: line[:4] not in ("same", "DIFF"), lines))
            same = sum(line.startswith("same ") for line in shown)
            different += len(batch) - same
            print("\n".join(shown if shown else lines[-40:]), flush=True)
    print(f"{len(names) - different} of {len(names)} the same, {time.monotonic() - begun:.0f} s")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())

"""Runs inside the test kernel: many configurations side by side, each with keepalived's daemon and with ours.

    python -m tests.interop.lvs.guest_catalogue [--quick] [--directory DIR] NAME...

The same fate befalls all machines; when nothing moves any more, tables, script calls and FIFO lines are compared.
Prints a line for each configuration and what differs, and ends with 1 when something does.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pykeepalived.tools.lab import Lab, LabError, wait_until
from tests.interop.lvs.backends import Loop, make_certificate
from tests.interop.lvs.cases import Case, from_file
from tests.interop.lvs.catalogue import CASES
from tests.interop.lvs.machines import DAEMONS, Machine

#: Name, what becomes of which servers, and the least time in seconds until all checks have noticed.
Fate = tuple[str, dict[str, str], float]
START, RELOAD, RELOAD_BACK, STOP = "start", "reload with changes", "reload back", "stop"
FATES: tuple[Fate, ...] = (
    (START, {}, 4.0),
    ("one dies", {"12": "dead"}, 4.5),
    ("it returns", {"12": "up"}, 4.5),
    ("it dies again", {"12": "dead"}, 4.5),
    ("all die", {"13": "dead", "14": "dead"}, 4.5),
    ("one returns", {"13": "up"}, 4.5),
    ("all return", {"12": "up", "14": "up"}, 4.5),
    ("one is sick", {"14": "sick"}, 4.5),
    ("it is well again", {"14": "up"}, 4.5),
    ("one slows, one falls silent", {"13": "slow", "12": "silent"}, 9.0),
    ("both are back", {"13": "up", "12": "up"}, 4.5),
    ("two die", {"12": "dead", "14": "dead"}, 4.5),
    (RELOAD, {}, 3.0),
    ("return after reload", {"12": "up", "14": "up"}, 4.5),
    (RELOAD_BACK, {}, 4.5),
    (STOP, {}, 0.5),
)
QUICK_FATES: tuple[Fate, ...] = tuple(
    fate
    for fate in FATES
    if fate[0] not in ("it returns", "it dies again", "one returns", "it is well again", "both are back", RELOAD_BACK)
)
QUIET_S = 1.0
#: What is different this long after the last movement is different.
PATIENCE_S = 9.0
LONGEST_S = 40.0


class Record:
    """What was seen of one machine at the rest points."""

    def __init__(self) -> None:
        self.tables: list[list[str]] = []
        self.notes: list[list[str]] = []
        self.fifos: list[list[str]] = []
        self.code: int | None = None


def rest(pairs: Sequence[tuple[Machine, Machine]], least_s: float) -> list[str]:
    """Wait until nothing moves and both of each pair show the same, or have had the time to. Names of those that do not
    show the same."""
    begun = changed = time.monotonic()
    last: object = None
    while True:
        sights = [[(machine.glance(), machine.noise()) for machine in pair] for pair in pairs]
        now = time.monotonic()
        if sights != last:
            last, changed = sights, now
        unequal = [pair[0].case.name for pair, (theirs, ours) in zip(pairs, sights, strict=True) if theirs != ours]
        quiet_s = now - changed
        if now - begun >= least_s and quiet_s >= (PATIENCE_S if unequal else QUIET_S):
            return unequal
        if now - begun >= LONGEST_S:
            return unequal
        time.sleep(0.25)


def befall(machine: Machine, fate: str, states: dict[str, str]) -> None:
    """One event for one machine."""
    for number, state in states.items():
        # A ping is answered by the machine, not by its programs.
        pinged = "PING_CHECK" in machine.case.text and state in ("dead", "sick", "slow")
        machine.servers[number].become("silent" if pinged else state)
    if fate == START:
        machine.start()
    elif fate == RELOAD and machine.case.reloads:
        machine.reload(machine.case.changed)
    elif fate == RELOAD_BACK and machine.case.reloads:
        machine.reload(machine.case.text)
    elif fate == STOP:
        machine.signal(signal.SIGTERM)


def by_object(lines: list[str]) -> dict[str, list[str]]:
    """FIFO lines by what they are about, in order."""
    told: dict[str, list[str]] = {}
    for line in lines:
        name, _, state = line.rpartition(" ")
        told.setdefault(name, []).append(state)
    return told


def by_service(lines: list[str]) -> dict[str, list[str]]:
    """FIFO lines by virtual server, in order; of several real servers the order among them is chance, so only
    services about which one real server spoke are here."""
    told: dict[str, list[str]] = {}
    for line in lines:
        kind, *words = line.split()
        service = " ".join(words[(1 if kind == "RS" else 0) : -1])
        told.setdefault(service, []).append(line)
    return {
        service: said
        for service, said in told.items()
        if len({line.split()[1] for line in said if line.startswith("RS")}) == 1
    }


def differences(fates: Sequence[Fate], theirs: Record, ours: Record) -> list[str]:
    """What differs, for people."""
    found: list[str] = []
    for number, (fate, _, _) in enumerate(fates):
        for what, left, right in (
            ("table", theirs.tables[number], ours.tables[number]),
            # keepalived starts its scripts side by side: within one rest their order is chance.
            ("scripts", sorted(theirs.notes[number]), sorted(ours.notes[number])),
        ):
            if left != right:
                found += [f"  {what} after `{fate}`", *_diff(left, right)]
        left_fifo, right_fifo = theirs.fifos[number], ours.fifos[number]
        if by_object(left_fifo) != by_object(right_fifo) or by_service(left_fifo) != by_service(right_fifo):
            found += [f"  FIFO after `{fate}`", *_diff(left_fifo, right_fifo)]
    if theirs.code != ours.code:
        found.append(f"  exit code {theirs.code} and {ours.code}")
    return found


def _diff(theirs: list[str], ours: list[str]) -> list[str]:
    lines = difflib.unified_diff(theirs, ours, "keepalived", "ours", lineterm="", n=0)
    return [f"    {line}" for line in lines if not re.match(r"@@|---|\+\+\+", line)]


def run(cases: Sequence[Case], fates: Sequence[Fate], directory: Path) -> dict[str, list[str]]:
    """What differs, by configuration."""
    make_certificate()
    loop = Loop()
    records = {(one.name, daemon): Record() for one in cases for daemon in DAEMONS}
    logs: dict[str, list[str]] = {}
    with Lab("differential") as lab:
        pairs = [
            (Machine(lab, one, "theirs", directory, loop), Machine(lab, one, "ours", directory, loop)) for one in cases
        ]
        machines = [machine for pair in pairs for machine in pair]
        for fate, states, least_s in fates:
            begun = time.monotonic()
            for machine in machines:
                befall(machine, fate, states)
                if fate == START and machine.daemon == "ours":
                    # One after the other: the guest has one slow processor, and a first check that fails counts.
                    with contextlib.suppress(LabError):
                        wait_until(machine.glance, 8, "a table")
            if fate == STOP:
                for machine in machines:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        assert machine.process is not None
                        records[machine.case.name, machine.daemon].code = machine.process.wait(15)
            befallen = time.monotonic()
            unequal = rest(pairs, least_s)
            for machine in machines:
                record = records[machine.case.name, machine.daemon]
                record.tables.append(machine.table())
                record.notes.append(machine.notes())
                record.fifos.append(machine.fifo())
            print(
                f"· {fate}: {befallen - begun:.1f} + {time.monotonic() - befallen:.1f} s {' '.join(unequal)}",
                flush=True,
            )
        for machine in machines:
            logs[machine.name] = machine.log()
            machine.close()
    found: dict[str, list[str]] = {}
    for one in cases:
        theirs, ours = (records[one.name, daemon] for daemon in DAEMONS)
        found[one.name] = differences(fates, theirs, ours)
        if not any(theirs.tables[0]) or len({tuple(table) for table in theirs.tables}) < 2:
            found[one.name].append("  nothing happened: keepalived's table never changed")
        if found[one.name]:
            for daemon in DAEMONS:
                found[one.name] += [f"  | {daemon}: {line}" for line in logs[f"{one.name}-{daemon}"][-_LOG_LINES:]]
    return found


_LOG_LINES = int(os.environ.get("DIFFERENTIAL_LOG", "0")) or 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--directory", type=Path)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    if options.directory is not None:
        cases = [from_file(options.directory / f"{name}.conf") for name in options.names]
    else:
        cases = [CASES[name] for name in options.names]
    with tempfile.TemporaryDirectory(prefix="differential-") as directory:
        Path(directory).chmod(0o755)
        found = run(cases, QUICK_FATES if options.quick else FATES, Path(directory))
    for name, lines in found.items():
        print("\n".join([f"{'DIFFERENT' if lines else 'same'} {name}", *lines]), flush=True)
    return 1 if any(found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

"""Runs inside the test kernel: many configurations side by side, each with keepalived's daemon and with ours.

    python -m tests.interop.lvs.guest_catalogue [--quick] [--directory DIR] NAME...

The same fate befalls both machines of a configuration; when nothing moves any more, tables, script calls and FIFO lines
are compared. Prints a line for each configuration and what differs, and ends with 1 when something does.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pykeepalived.tools.lab import Lab
from tests.interop.lvs.backends import Loop, make_certificate
from tests.interop.lvs.cases import Case, from_file
from tests.interop.lvs.catalogue import CASES
from tests.interop.lvs.chance import random_cases
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
#: Until a daemon has started or ended.
_START_S = 15.0
#: How often all machines are looked at.
_LOOK_S = 0.2


class Record:
    """What was seen of one machine at the rest points."""

    def __init__(self) -> None:
        self.tables: list[list[str]] = []
        self.notes: list[list[str]] = []
        self.fifos: list[list[str]] = []
        self.code: int | None = None

    def note(self, machine: Machine) -> None:
        self.tables.append(machine.table())
        self.notes.append(machine.notes())
        self.fifos.append(machine.fifo())


class Course:
    """The fates of one configuration, for both daemons. Each rest ends as soon as nothing moves any more and both show
    the same, or have had the time to; other configurations do not wait for it."""

    def __init__(self, lab: Lab, one: Case, fates: Sequence[Fate], directory: Path, loop: Loop) -> None:
        self.case = one
        self.fates = fates
        self.pair = tuple(Machine(lab, one, daemon, directory, loop) for daemon in DAEMONS)
        self.records = tuple(Record() for _ in DAEMONS)
        self._lab = lab
        self._number = -1
        self._least_s = self._begun = self._changed = 0.0
        self._last: object = None
        self.starting = True
        """Until there is a table: the guest has one slow processor, and a first check that fails counts."""

    def step(self) -> bool:
        """Look, and go on when it is time to; False when it is over."""
        sights = [(machine.glance(), machine.noise()) for machine in self.pair]
        now = time.monotonic()
        if sights != self._last:
            self._last, self._changed = sights, now
        if self.starting and self._number == 0:
            if not all(table for table, _ in sights) and now - self._begun < _START_S:
                return True
            self.starting, self._begun = False, now
        if self._number >= 0:
            if not self._rests(sights[0] == sights[1], now):
                return True
            for machine, record in zip(self.pair, self.records, strict=True):
                record.note(machine)
        self._number += 1
        if self._number == len(self.fates):
            self._end()
            return False
        fate, states, self._least_s = self.fates[self._number]
        for machine in self.pair:
            befall(machine, fate, states)
        self._begun = self._changed = time.monotonic()
        return True

    def _rests(self, equal: bool, now: float) -> bool:
        passed_s, quiet_s = now - self._begun, now - self._changed
        if self.fates[self._number][0] == STOP and any(machine.runs for machine in self.pair) and passed_s < _START_S:
            return False
        if passed_s >= self._least_s and quiet_s >= (QUIET_S if equal else PATIENCE_S):
            return True
        return passed_s >= LONGEST_S

    def _end(self) -> None:
        for machine, record in zip(self.pair, self.records, strict=True):
            record.code = None if machine.process is None else machine.process.poll()
            machine.close()
            self._lab.remove(machine.space)

    def differences(self) -> list[str]:
        """What differs, for people."""
        theirs, ours = self.records
        found = differences(self.fates, theirs, ours, told=self.case.told)
        if not any(theirs.tables[0]) or len({tuple(table) for table in theirs.tables}) < 2:
            found.append("  nothing happened: keepalived's table never changed")
        if found or _ALWAYS_LOGS:
            for machine in self.pair:
                found += [f"  | {machine.daemon}: {line}" for line in machine.log()[-_LOG_LINES:]]
        return found


def find(name: str) -> Case:
    """A case of the catalogue, or the one that chance writes: `random-SEED-NUMBER`."""
    kind, _, rest = name.partition("-")
    if kind == "random":
        seed, number = map(int, rest.split("-"))
        return random_cases(seed, number + 1)[name]
    return CASES[name]


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


def differences(fates: Sequence[Fate], theirs: Record, ours: Record, *, told: bool = True) -> list[str]:
    """What differs, for people."""
    found: list[str] = []
    for number, (fate, _, _) in enumerate(fates):
        for what, left, right in (
            ("table", theirs.tables[number], ours.tables[number]),
            # keepalived starts its scripts side by side: within one rest their order is chance.
            ("scripts", sorted(theirs.notes[number]), sorted(ours.notes[number])),
        ):
            if left != right and (told or what == "table"):
                found += [f"  {what} after `{fate}`", *_diff(left, right)]
        left_fifo, right_fifo = theirs.fifos[number], ours.fifos[number]
        if not told:
            continue
        if by_object(left_fifo) != by_object(right_fifo) or by_service(left_fifo) != by_service(right_fifo):
            found += [f"  FIFO after `{fate}`", *_diff(left_fifo, right_fifo)]
    if theirs.code != ours.code:
        found.append(f"  exit code {theirs.code} and {ours.code}")
    return found


def _diff(theirs: list[str], ours: list[str]) -> list[str]:
    lines = difflib.unified_diff(theirs, ours, "keepalived", "ours", lineterm="", n=0)
    return [f"    {line}" for line in lines if not re.match(r"@@|---|\+\+\+", line)]


def run(cases: Sequence[Case], fates: Sequence[Fate], directory: Path, at_once: int) -> int:
    """The number of configurations that differ; says so of each as it ends."""
    make_certificate()
    loop = Loop()
    different = 0
    waiting = list(reversed(cases))
    running: list[Course] = []
    begun = time.monotonic()
    with Lab("differential") as lab:
        while waiting or running:
            if waiting and len(running) < at_once and not any(course.starting for course in running):
                running.append(Course(lab, waiting.pop(), fates, directory, loop))
            for course in tuple(running):
                if not course.step():
                    running.remove(course)
                    found = course.differences()
                    differs = any(not line.startswith("  |") for line in found)
                    different += differs
                    word = "DIFFERENT" if differs else "same"
                    print(
                        "\n".join([f"{word} {course.case.name} {time.monotonic() - begun:.0f} s", *found]), flush=True
                    )
            time.sleep(_LOOK_S)
    return different


#: `+N`: the logs of those that are the same, too.
_ALWAYS_LOGS = os.environ.get("DIFFERENTIAL_LOG", "").startswith("+")
_LOG_LINES = int(os.environ.get("DIFFERENTIAL_LOG", "0")) or 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--directory", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--at-once", type=int, default=12)
    options = parser.parse_args()
    if options.directory is not None:
        cases = [from_file(options.directory / f"{name}.conf") for name in options.names]
    else:
        cases = [find(name) for name in options.names]
    with tempfile.TemporaryDirectory(prefix="differential-") as directory:
        Path(directory).chmod(0o755)
        different = run(cases, QUICK_FATES if options.quick else FATES, Path(directory), options.at_once)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())

"""Runs in a room: both programs with one file after the other, and what each of them did at every rest point.

    python sweep.py PLAN.json

Both have a table of their own, in a file (`ipvsadm_stand_in`, `memory_ldirectord.py`). A step of a plan is one of

    call WORD…       the program with these words; {X} is the file
    sh SCRIPT        a shell in the room of the program
    tell COMMAND…    to the servers (guest_fates.py): up|down ADDRESS PORT [BODY]
    sleep SECONDS
    rest NAME        wait until both tables and logs stand still, then note table, log and processes

Prints as JSON, for each case, [step, {program: what was seen}].
"""

import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from guest_fates import PROGRAMS, Director

ADDRESSES = [
    *(f"10.77.0.{number}" for number in (1, 2)),
    *(f"10.77.1.{number}" for number in range(1, 6)),
    *("fd77::1", "fd77::11", "fd77::12"),
]
STILL_S, LIMIT_S = 2.5, 60
AT_ONCE = 6


class Seat(Director):
    def __init__(self, name: str, number: int, case: dict[str, Any], top: Path) -> None:
        self.top = top / case["name"].replace(" ", "-") / name
        self.top.mkdir(parents=True)
        super().__init__(name, {"config": str(self.top / "X.cf"), "addresses": ADDRESSES}, f"ld-{number}-{name}")
        for file, text in case["files"].items():
            path = self.top / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.replace("{top}", str(self.top)).encode())
            path.chmod(0o755 if text.startswith("#!") else 0o644)
        self.mark = 0
        # Where files are looked for is this room's own, too.
        assert self.in_room("sh", "-c", "mkdir -p /etc/ha.d && mount -t tmpfs ha /etc/ha.d").returncode == 0
        for server in case["servers"]:
            self.tell(f"up {server}")

    def run(self, *words: str) -> list[Any]:
        words = tuple(word.replace("{top}", str(self.top)).replace("{X}", self.config) for word in words)
        command = ["nsenter", "-t", str(self.room.pid), "-m", "-n", "env", "-C", str(self.top), *words]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL
        )  # fmt: skip
        return [done.returncode, self.normal(done.stdout), self.normal(done.stderr)]

    def normal(self, text: str) -> str:
        text = text.replace(str(self.top), "TOP").replace("/usr/bin/perl -w ", "")
        text = re.sub(r"(?<!\S)(\S*/)?(py)?ldirectord(?= TOP| -)", "PROGRAM", text)
        return re.sub(r"(PID=|pid: |\[)\d+", r"\1N", text)

    def table(self) -> str:
        command = ("ipvsadm", "-Sn") if self.name == "peer" else ("sh", "-c", "cat /run/memory-table || true")
        return "\n".join(sorted(self.in_room(*command).stdout.splitlines()))

    def look(self) -> dict[str, Any]:
        log = self.log().splitlines()
        new, self.mark = log[self.mark :], len(log)
        each = "for f in /run/*.pid; do [ ! -e $f ] || echo $f $(tr '\\0' ' ' < /proc/$(cat $f)/cmdline); done"
        processes = self.run("sh", "-c", each)[1].splitlines()
        return {"table": self.table(), "log": [self.normal(line.partition("] ")[2]) for line in new],
                "processes": processes}  # fmt: skip


def rest(seats: list[Seat]) -> None:
    end = time.monotonic() + LIMIT_S
    last: list[Any] = []
    since = time.monotonic()
    while time.monotonic() < end:
        now = [(seat.table(), len(seat.log())) for seat in seats]
        if now != last:
            last, since = now, time.monotonic()
        elif time.monotonic() - since > STILL_S and len({table for table, _ in now}) == 1:
            return
        time.sleep(0.3)


def do(seat: Seat, kind: str, words: list[str]) -> Any:
    match kind:
        case "call":
            return seat.run(PROGRAMS[seat.name], *words)
        case "sh":
            return seat.run("sh", "-c", words[0])
        case "rest":
            return seat.look()
    for word in words:
        seat.tell(word)
    return None


def play(number: int, case: dict[str, Any], top: Path) -> list[Any]:
    seats = [Seat(name, number, case, top) for name in PROGRAMS]
    points = []
    try:
        with ThreadPoolExecutor(len(seats)) as pool:
            for kind, *words in case["steps"]:
                if kind == "sleep":
                    time.sleep(words[0])
                    continue
                if kind == "rest":
                    rest(seats)
                found = list(pool.map(lambda seat: do(seat, kind, words), seats))  # noqa: B023 - done before the next
                points.append([" ".join([kind, *words]), dict(zip(PROGRAMS, found, strict=True))])
    finally:
        for seat in seats:
            seat.run("sh", "-c", "for f in /run/ldirectord*.pid; do kill $(cat $f); done 2>/dev/null")
            seat.close()
    print(case["name"], file=sys.stderr, flush=True)
    return points


def main(path: Path) -> None:
    cases = json.loads(path.read_text())
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda each: play(*each, path.parent), enumerate(cases))
        print(json.dumps({case["name"]: points for case, points in zip(cases, found, strict=True)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Runs in the test kernel: one script drives both programs through all actions, in a namespace and a room each.

    python guest_actions.py FOLDER

FOLDER holds good.cf, second.cf and broken.cf. Prints as JSON, for each program, what every call gave: exit code,
standard output, standard error, and whether a daemon was there afterwards; and the log.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from guest_fates import PROGRAMS, Director

#: What is done one after the other: words for the program, changes of files, and `wait…` for a daemon to come or go.
SCRIPT = [
    "status", "stop", "try-restart", "reload",
    "start", "wait-up", "start", "status", "reload", "force-reload", "try-restart", "wait-up", "restart", "wait-up",
    "second start", "wait-up second", "second status", "second stop", "wait-gone second", "second status",
    "status", "stop", "wait-gone", "stop",
    "stale", "status", "stop", "start", "wait-up", "stop", "wait-gone",
    "missing start", "missing stop", "usage", "unknown", "wrong-option", "version",
    "broken", "start", "reload", "good",
]  # fmt: skip
#: With a daemon that runs and a file that breaks under it: here the programs differ, as docs/compatibility.md says.
BROKEN_UNDER_A_DAEMON = ["start", "wait-up", "broken", "start", "reload", "status", "stop"]
LIMIT_S = 300


class Actor(Director):
    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name, {"config": "", "addresses": ["10.77.0.1", "10.77.0.2", "10.77.1.1"]})
        self.program = PROGRAMS[name]
        self.folder = folder
        self.files = {"": folder / f"{name}.cf", "second": folder / f"{name}-second.cf"}
        self.run_folder = Path(f"/proc/{self.room.pid}/root/run")
        for which, path in self.files.items():
            path.write_text((folder / f"{which or 'good'}.cf").read_text())
        self.tell("up 10.77.1.1 80")
        self.seen = {"": 0, "second": 0}

    def pid_file(self, which: str) -> Path:
        return self.run_folder / f"ldirectord.{self.files[which].name}.pid"

    def is_there(self, which: str) -> bool:
        try:
            return self.pid_file(which).stat().st_size > 0
        except FileNotFoundError:
            return False

    def passed(self, which: str) -> int:
        """How often a server of this file has passed its check."""
        service = "10.77.0.2:80" if which else "10.77.0.1:80"
        lines = self.log().splitlines()
        return sum("Resetting soft failure count: 10.77.1.1:80" in line and service in line for line in lines)

    def wait(self, what: str, which: str) -> None:
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            there = self.is_there(which)
            if what == "wait-gone" and not there:
                return
            if what == "wait-up" and there and (passed := self.passed(which)) > self.seen[which]:
                self.seen[which] = passed
                return
            time.sleep(0.5)
        raise AssertionError(f"{self.name}: {what} {which} in vain\n{self.log()}")

    def arguments(self, words: list[str], which: str) -> list[str]:
        match words:
            case ["missing", action]:
                return ["/no/such.cf", action]
            case ["usage"]:
                return []
            case ["unknown"]:
                return [str(self.files[which]), "dance"]
            case ["wrong-option"]:
                return ["-x", str(self.files[which]), "status"]
            case ["version"]:
                return ["-v"]
        return [str(self.files[which]), *words]

    def play(self, script: list[str]) -> list:
        heard = []
        for step in script:
            words = step.split()
            which = "second" if "second" in words else ""
            words = [word for word in words if word != "second"]
            if words[0].startswith("wait"):
                self.wait(words[0], which)
            elif words[0] == "stale":
                self.pid_file(which).write_text("99999\n")
            elif words[0] in {"broken", "good"}:
                self.files[which].write_text((self.folder / f"{words[0]}.cf").read_text())
            else:
                done = self.in_room(self.program, *self.arguments(words, which))
                heard.append([step, done.returncode, done.stdout, done.stderr, self.is_there(which)])
        return heard


def act(name: str, folder: Path) -> dict:
    actor = Actor(name, folder)
    try:
        calls = actor.play(SCRIPT)
        log = actor.log()
        return {"calls": calls, "log": log, "broken": actor.play(BROKEN_UNDER_A_DAEMON)}
    finally:
        actor.close()


def main(folder: Path) -> None:
    # Side by side, because much of it is waiting.
    with ThreadPoolExecutor() as pool:
        acts = {name: pool.submit(act, name, folder) for name in PROGRAMS}
    print(json.dumps({name: each.result() for name, each in acts.items()}))


if __name__ == "__main__":
    os.environ.setdefault("LANG", "C")
    main(Path(sys.argv[1]))

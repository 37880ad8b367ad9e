"""Does what a tutorial says, in network namespaces: makes its machines, writes its files, runs its commands.

    python -m tests.docs.tutorial docs/tutorials/nat.md …

A page tells its networks in comments, `<!-- lab: NETWORK MACHINE … -->`: of a machine the first one is eth0, the next
one eth1. A block with `title="MACHINE …: FILE"` is written to that file on these machines. In a `console` block a line
`MACHINE# COMMAND` is run there by a shell; with ` &` at its end it goes on. The lines below it must stand in what it
prints, `…` stands for anything; it is run again until they do, for at most two minutes.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pykeepalived.tools.lab import Lab, LabError

PATIENCE_S = 400
_NETWORK = re.compile(r"<!-- lab: (\S+) (.*?) -->")
_FENCE = re.compile(r"^```(\w*)(?: title=\"([^\"]*)\")?$")
_COMMAND = re.compile(r"^(\w+)# (.*)$")
_BIN = Path(sys.executable).parent


class Block(msgspec.Struct):
    language: str
    title: str
    line: int
    text: str


class Step(msgspec.Struct):
    machine: str
    command: str
    line: int
    expected: list[str]


class Failed(Exception):
    """A page does not say what happens; the text says where."""


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page."""
    found: Block | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if found is not None and line == "```":
            yield found
            found = None
        elif found is not None:
            found.text += line + "\n"
        elif match := _FENCE.match(line):
            found = Block(match[1], match[2] or "", number, "")


def steps(block: Block) -> Iterator[Step]:
    """The commands of a console block."""
    found: Step | None = None
    for number, line in enumerate(block.text.splitlines(), start=block.line + 1):
        match = _COMMAND.match(line)
        if match:
            if found is not None:
                yield found
            found = Step(match[1], match[2], number, [])
        elif found is None:
            raise Failed(f"line {number}: no command before it")
        else:
            found.expected.append(line)
    if found is not None:
        yield found


def networks(text: str) -> dict[str, list[str]]:
    return {name: machines.split() for name, machines in _NETWORK.findall(text) if name != "needs"}


class Tutorial:
    """A page that is being followed."""

    def __init__(self, page: Path, lab: Lab) -> None:
        self.page, self.lab = page, lab
        self.text = page.read_text(encoding="utf-8")
        self.base = Path(tempfile.mkdtemp(prefix="tutorial-"))
        self.homes: dict[str, Path] = {}
        wires = networks(self.text)
        switches = lab.namespace("switches")
        interfaces: dict[str, int] = {}
        for machine in dict.fromkeys(machine for machines in wires.values() for machine in machines):
            lab.namespace(machine)
            self.homes[machine] = self.base / machine
            self.homes[machine].mkdir()
        for network, machines in wires.items():
            switches.bridge(network)
            for machine in machines:
                number = interfaces.get(machine, 0)
                interfaces[machine] = number + 1
                lab.plug(machine, f"eth{number}", switches, network)

    def follow(self) -> int:
        """The number of commands that were run. Raises Failed."""
        count = 0
        for block in blocks(self.text):
            if block.language == "console":
                for step in steps(block):
                    self._run(step)
                    count += 1
            elif block.title:
                machines, _, name = block.title.partition(": ")
                for machine in machines.split():
                    file = self.homes[machine] / name
                    file.write_text(block.text, encoding="utf-8")
                    file.chmod(0o600)
        return count

    def _logs(self, machine: str) -> str:
        """The ends of what its programs have written."""
        files = sorted(self.homes[machine].glob("line-*.log"))
        return "".join(f"--- {file.name}\n{file.read_text(errors='replace')[-2000:]}" for file in files)

    def _run(self, step: Step) -> None:
        home = self.homes[step.machine]
        env = os.environ | {
            "PATH": f"{_BIN}:{os.environ['PATH']}",
            "PYKEEPALIVED_STATE_DIRECTORY": str(home / "state"),
            "PYTHONUNBUFFERED": "1",
        }
        if step.command.endswith(" &"):
            words = ("sh", "-c", f"exec {step.command.removesuffix(' &')}")
            log = home / f"line-{step.line}.log"
            self.lab.popen(step.machine, *words, cwd=home, env=env, log=log)
            return
        end_s = time.monotonic() + PATIENCE_S
        while True:
            done = self.lab.run(
                step.machine, "sh", "-c", step.command, cwd=home, env=env, check=False, timeout_s=PATIENCE_S
            )
            output = done.stdout + done.stderr
            if _holds(step.expected, output) and (step.expected or done.returncode == 0):
                return
            if not step.expected or time.monotonic() > end_s:
                said = f"{self.page}:{step.line}: {step.command} ended with {done.returncode} and said:\n{output}"
                raise Failed(said + self._logs(step.machine))
            time.sleep(0.3)


def _holds(expected: list[str], output: str) -> bool:
    return all(re.search(".*".join(map(re.escape, line.strip().split("…"))), output) for line in expected)


def main() -> int:
    code = 0
    for name in sys.argv[1:]:
        page = Path(name)
        if "lab: needs ipvs" in page.read_text(encoding="utf-8") and not Path("/proc/net/ip_vs").exists():
            print(f"{name}: needs a kernel with IPVS; left out")
            continue
        began_s = time.monotonic()
        with Lab(f"tutorial-{os.getpid()}") as lab:
            try:
                count = Tutorial(page, lab).follow()
            except (Failed, LabError) as error:
                print(f"{name}: {error}")
                code = 1
                continue
        print(f"{name}: {count} commands did what the page says, in {time.monotonic() - began_s:.0f} s", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())

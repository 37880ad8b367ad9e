"""Logs of two programs that live through the same events, line by line."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pykeepalived.tools.lab import LabError, wait_until

LIMIT_S = 120.0
QUIET_S = 4.0
_Result = TypeVar("_Result")

#: What of a line is of this run only.
_OF_THIS_RUN = (
    (r"^\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}: ", ""),
    (r"v\d+\.\d+\.\d+ \([^)]*\)", "VERSION"),
    (r"pid[ =]\d+", "pid=N"),
    (r"process\(\d+\)", "process(N)"),
    (r"\bfe80::[0-9a-f]+:[0-9a-f:]+", "LINK-LOCAL"),
    (r"\bfd\([-\d,]+\)", "fd(N)"),
    (r"ifindex\( *\d+\)", "ifindex(N)"),
    (r"\d+\.\d{6}", "SECONDS"),
    (r"\(self/children\) SECONDS/SECONDS user time, SECONDS/SECONDS", "SECONDS user time, SECONDS"),
    (r"'?/\S+/(router|peer)\.conf'?", "FILE"),
    (r"^(Running on Linux) .*", r"\1 …"),
    (r"^(Command line:) .*", r"\1 …"),
    (r"^ +'.*", "Command line: …"),
)


def plain(line: str) -> str:
    """The line without what is of this run only."""
    for pattern, instead in _OF_THIS_RUN:
        line = re.sub(pattern, instead, line)
    return line.strip()


class Lives:
    """Events, and the lines that were logged after each."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._read = 0
        self.events: list[tuple[str, list[str]]] = []

    def _text(self) -> str:
        return self._log.read_bytes().decode(errors="replace")[self._read :] if self._log.exists() else ""

    def event(self, name: str, happen: Callable[[], _Result], awaited: Sequence[str]) -> _Result:
        """Let it happen, wait until the awaited lines are there and nothing more is said."""
        done = happen()
        for line in awaited:
            try:
                wait_until(lambda: line in self._text(), LIMIT_S, f"{name}: {line}")  # noqa: B023 - used at once
            except LabError:
                print(self._text())
                raise
        size, since = -1, time.monotonic()
        while time.monotonic() < since + QUIET_S:
            time.sleep(0.1)
            if (now := len(self._text())) != size:
                size, since = now, time.monotonic()
        text = self._text()
        self._read += len(text)
        self.events.append((name, [plain(line) for line in text.splitlines() if line.strip()]))
        return done


def compare(theirs: Lives, ours: Lives, differences: Mapping[str, str]) -> int:
    """Print what differs; 1 when something does that `differences` (pattern: reason) does not name."""
    code = 0
    for (name, their_lines), (_, our_lines) in zip(theirs.events, ours.events, strict=True):
        print(f"{name}: {len(their_lines)} lines, {len(our_lines)} of ours", flush=True)
        for mark, lines, others in (("-", their_lines, our_lines), ("+", our_lines, their_lines)):
            for line in dict.fromkeys(lines):
                if line in others:
                    continue
                known = [pattern for pattern in differences if re.search(pattern, f"{mark} {line}")]
                if not known:
                    code = 1
                print(f"  {mark} {line}" + (f"   ({differences[known[0]]})" if known else ""), flush=True)
    return code


def side_by_side(live: Callable[[str, Path], Lives], differences: Mapping[str, str]) -> int:
    """Let both programs live, each in a directory of its own, and compare; the exit code."""
    with tempfile.TemporaryDirectory(prefix="logs-") as directory:
        lives = {}
        for program in ("theirs", "ours"):
            into = Path(directory) / program
            into.mkdir()
            lives[program] = live(program, into)
    return compare(lives["theirs"], lives["ours"], differences)

"""What the questions of the benchmark book share: one form of answer, where it goes, and the programs that are asked.

A question prints what it finds for people, and with `--json FILE` writes its rows for `book.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

#: Of what should have happened and did not.
NEVER = 1e9
#: An even number, so that the middle one is among those that are kept.
_KEPT = 100
ROOT = Path(__file__).resolve().parent.parent
#: Without the start script, which would import the launcher's modules too.
OURS = [sys.executable, "-c", "import sys; from pykeepalived.cli.keepalived import main; sys.exit(main())"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure: samples of ours, of a peer's where there is one, and what was promised."""

    group: str
    """failover, adverts, checks, programming, reload: what is judged by its ratio; or any other heading."""
    what: str
    unit: str
    ours: list[float]
    theirs: list[float] = []
    peer: str = ""
    most_ratio: float | None = None
    """The promise: ours is at most this many times the peer's …"""
    least_times: float | None = None
    """… the peer's is at least this many times ours …"""
    most: float | None = None
    """… ours is at most this …"""
    least: float | None = None
    """… or at least this."""
    size: float | None = None
    """Of rows that grow with something: its size; rows with the same group, `curve` and unit make a line."""
    curve: str = ""
    note: str = ""
    """What else there is to say: which system calls, for instance."""

    @property
    def middle(self) -> float:
        return statistics.median(self.ours) if self.ours else float("nan")

    @property
    def peers_middle(self) -> float | None:
        return statistics.median(self.theirs) if self.theirs else None

    @property
    def ratio(self) -> float | None:
        """Ours over the peer's; less is better for whatever is measured in time, bytes and errors."""
        theirs = self.peers_middle
        return None if not theirs or not self.ours else self.middle / theirs

    @property
    def promise(self) -> str:
        if self.most_ratio is not None:
            return f"ratio at most {self.most_ratio:g}"
        if self.least_times is not None:
            return f"at least {self.least_times:g} times better"
        if self.most is not None:
            return f"at most {self.most:g} {self.unit}".rstrip()
        return "" if self.least is None else f"at least {self.least:g} {self.unit}".rstrip()

    @property
    def holds(self) -> bool | None:
        """None: nothing was promised. A promise about a figure that is missing does not hold."""
        if not self.promise:
            return None
        if not self.ours:
            return False
        if self.most_ratio is not None:
            return self.ratio is not None and self.ratio <= self.most_ratio
        if self.least_times is not None:
            return self.ratio is not None and self.ratio * self.least_times <= 1
        if self.most is not None:
            return self.middle <= self.most
        return self.least is not None and self.middle >= self.least


def options_of(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the words of a question, with those that all have."""
    known = {word for action in parser._actions for word in action.option_strings}
    if "--json" not in known:
        parser.add_argument("--json", type=Path, help="write the rows for the book")
    if "--check" not in known:
        parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    return parser.parse_args()


def rounded(row: Row) -> Row:
    """Four digits are more than any of these figures is worth, and of thousands of samples a hundred tell the rest.

    JSON has no infinity.
    """
    ours, theirs = (
        [float(f"{min(value, NEVER):.4g}") for value in thinned(values)] for values in (row.ours, row.theirs)
    )
    return msgspec.structs.replace(row, ours=ours, theirs=theirs)


def thinned(values: list[float]) -> list[float]:
    """Few stay as they are; of many every so-manieth in order of size, with the least, the middle and the largest."""
    last = len(values) - 1
    if last <= 2 * _KEPT:
        return values
    ordered = sorted(values)
    return [ordered[last * place // _KEPT] for place in range(_KEPT + 1)]


def finish(rows: Sequence[Row], options: argparse.Namespace) -> int:
    """Write the rows where they are wanted; the exit code."""
    if options.json is not None:
        options.json.write_bytes(msgspec.json.encode([rounded(row) for row in rows]))
    missed = [row for row in rows if row.holds is False]
    for row in missed:
        print(f"missed: {row.what}: {row.promise}", file=sys.stderr)
    return int(bool(missed) and options.check)


def programs() -> dict[str, list[str]]:
    """Ours, and Debian's keepalived where it is installed."""
    theirs = shutil.which("keepalived", path="/usr/sbin:/sbin:/usr/bin")
    return {"ours": OURS} | ({"keepalived": [theirs]} if theirs else {})


@contextlib.contextmanager
def stress(directory: Path) -> Iterator[None]:
    """Both processors and the disk are busy meanwhile."""
    argv = ["stress-ng", "--cpu", "2", "--hdd", "1", "--hdd-bytes", "256m", "--temp-path", str(directory), "--quiet"]
    process = subprocess.Popen(argv)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)

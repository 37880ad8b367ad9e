"""What the demonstration shows: lines that stay, and on a terminal a small table below them that is drawn again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TextIO

import msgspec

_BAR = 30


class ServerRow(msgspec.Struct, frozen=True):
    """One server in the table. `weight`: None when it is not in the master's table. `share`: of recent requests."""

    name: str
    weight: int | None
    share: float
    running: bool


class View(msgspec.Struct, frozen=True):
    """Everything that the table shows."""

    directors: Sequence[tuple[str, str]]
    servers: Sequence[ServerRow]
    requests: int
    gap_s: float


class Screen:
    """Writes to a terminal or, line by line, to anything else."""

    def __init__(self, out: TextIO, *, live: bool, width: int = 80, as_json: bool = False) -> None:
        """`as_json`: each line that stays, and the end, are JSON objects on lines of their own."""
        self._as_json = as_json
        self._out = out
        self._live = live
        self._width = max(40, width)
        self._drawn = 0
        self._start = time.monotonic()
        self._view: View | None = None

    def say(self, text: str, *, good: bool | None = None) -> None:
        """A line that stays. `good` puts a mark before it."""
        if self._as_json:
            self._write_json({"at_s": round(time.monotonic() - self._start, 1), "text": text, "good": good})
            return
        mark = {None: " ", True: "✓", False: "✗"}[good]
        if self._live and good is not None:
            mark = f"\x1b[{32 if good else 31}m{mark}\x1b[0m"
        self._erase()
        self._out.write(f"{time.monotonic() - self._start:5.1f} s {mark} {text}\n")
        if self._live and self._view is not None:
            self._draw(self._view)
        self._out.flush()

    def show(self, view: View) -> None:
        """The present state; does nothing without a terminal."""
        self._view = view
        if self._live:
            self._erase()
            self._draw(view)
            self._out.flush()

    def close(self, summary: Sequence[str]) -> None:
        """Remove the table and print the end."""
        if self._as_json:
            self._write_json({"summary": list(summary)})
            return
        self._erase()
        self._view = None
        self._out.write("\n".join(["", *summary, ""]))
        self._out.flush()

    def _write_json(self, body: object) -> None:
        self._out.write(msgspec.json.encode(body).decode() + "\n")
        self._out.flush()

    def _erase(self) -> None:
        if self._drawn:
            self._out.write(f"\x1b[{self._drawn}F\x1b[0J")
            self._drawn = 0

    def _draw(self, view: View) -> None:
        lines = ["", "   " + "     ".join(f"{name}: {state}" for name, state in view.directors)]
        for row in view.servers:
            weight = "–" if row.weight is None else str(row.weight)
            bar = "█" * round(row.share * _BAR)
            running = "" if row.running else "dead"
            lines.append(f"   {row.name:6} weight {weight:>2}  {row.share:4.0%} {bar:{_BAR}} {running}".rstrip())
        lines.append(f"   {view.requests} requests answered, longest gap in this step {view.gap_s:.2f} s")
        self._out.write("".join(line[: self._width] + "\n" for line in lines))
        self._drawn = len(lines)

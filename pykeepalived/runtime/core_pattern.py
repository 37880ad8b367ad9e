"""-M: where the kernel writes core dumps, for as long as the daemon runs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pykeepalived.runtime.program import Logger

PLACE: Final = Path("/proc/sys/kernel/core_pattern")


class CorePattern:
    """Sets the machine's pattern and puts back what was there, unless somebody has changed it meanwhile."""

    def __init__(self, log: Logger, place: Path = PLACE) -> None:
        self._log = log
        self._place = place
        self._ours: str | None = None
        self._before = ""

    def set(self, pattern: str) -> None:
        try:
            self._before = self._place.read_text().rstrip("\n")
            self._place.write_text(f"{pattern}\n")
            self._ours = pattern
        except OSError as error:
            self._log.error(f"Cannot set the core dump pattern to {pattern} - {error.strerror}")

    def restore(self) -> None:
        if self._ours is None:
            return
        try:
            if self._place.read_text().rstrip("\n") == self._ours:
                self._place.write_text(f"{self._before}\n")
        except OSError as error:
            self._log.error(f"Cannot put the core dump pattern {self._before} back - {error.strerror}")
        self._ours = None

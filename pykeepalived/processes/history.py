"""The last runs of scripts, for `keepalivedctl scripts`: how each ended, how long it took, the end of its output."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Final

from pykeepalived.model.common import Script
from pykeepalived.processes.scripts import RunResult

#: For each program so many runs, and so many programs.
_RUNS: Final = 5
_PROGRAMS: Final = 200
_TAIL: Final = 512
_ARGUMENTS: Final = 500


class History:
    """Bounded in runs, programs and bytes."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, ...], deque[dict[str, Any]]] = {}

    def note(self, script: Script, queue: str | None, result: RunResult) -> None:
        """A run has ended now."""
        runs = self._runs.pop(script.argv, None)
        if runs is None:
            runs = deque(maxlen=_RUNS)
            if len(self._runs) >= _PROGRAMS:
                del self._runs[next(iter(self._runs))]
        # The one that ran last stands last, so the one that is dropped has not run for longest.
        self._runs[script.argv] = runs
        runs.append(
            {
                "ended": round(time.time(), 6),
                "status": result.status,
                "took_us": result.duration_us,
                "queue": queue,
                "output": result.output[-_TAIL:].decode(errors="replace"),
            }
        )

    def told(self) -> list[dict[str, Any]]:
        """Each program with its last runs, oldest first."""
        return [{"command": " ".join(argv)[:_ARGUMENTS], "runs": list(runs)} for argv, runs in self._runs.items()]

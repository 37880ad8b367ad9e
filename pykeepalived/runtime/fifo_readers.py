"""The programs that read notify FIFOs (`*_notify_fifo_script`): started with the path, and again when they end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from pykeepalived.model.common import Script
from pykeepalived.processes.scripts import RunResult
from pykeepalived.runtime.program import Context
from pykeepalived.units import SECOND_US

#: A reader that ends is started again after this time; without it a broken one would fill the machine.
_AGAIN_US: Final = SECOND_US


class FifoReaders:
    """Keeps one reader for each FIFO. The script runner ends them with the process."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._wanted: dict[str, Script] = {}
        self._running: set[tuple[str, Script]] = set()

    def keep(self, wanted: Mapping[str, Script | None]) -> None:
        """Have these readers, by the path of the FIFO. One that is wanted no more is not started again."""
        self._wanted = {path: script for path, script in wanted.items() if script is not None}
        for path, script in self._wanted.items():
            if (path, script) not in self._running:
                self._start(path, script)

    def close(self) -> None:
        self._wanted = {}

    def _start(self, path: str, script: Script) -> None:
        self._running.add((path, script))

        def done(result: RunResult) -> None:
            name = script.argv[0] if script.argv else ""
            if self._wanted.get(path) != script:
                self._running.discard((path, script))
                return
            self._context.log.error(
                f"Notify fifo script `{name}` for {path} ended ({result.status}), starting it again"
            )
            self._context.reactor.call_later(_AGAIN_US, again)

        def again() -> None:
            self._running.discard((path, script))
            if self._wanted.get(path) == script:
                self._start(path, script)

        whole = msgspec.structs.replace(script, argv=(*script.argv, path))
        self._context.scripts.run(whole, timeout_us=None, done=done)

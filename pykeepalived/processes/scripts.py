"""What it means to run a script, for everybody who wants one run: notify channels, trackers, checkers.

The runner itself is `processes.runner`; this module holds only values and the contract, so that it can be imported
anywhere above the cores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from pykeepalived.model.common import Script


class RunResult(msgspec.Struct, frozen=True):
    """How a script ended. `status`: exit code, negative for a signal, None when it was killed at its time limit.

    As in a shell, 127 means that the program was not found and 126 that it could not be executed; `output` says why.
    """

    status: int | None
    output: bytes = b""
    """At most 4 KiB of what it printed, for `keepalivedctl scripts` and the log."""
    duration_us: int = 0


class ScriptRunner(Protocol):
    """Starts scripts in a helper process: own process group, user, time limit, output limit."""

    def run(
        self, script: Script, *, timeout_us: int | None, done: Callable[[RunResult], None], queue: str | None = None
    ) -> None:
        """Start a script. Scripts of one `queue` run one after the other, in order.

        With `timeout_us` None the script may start a daemon that lives on. What it writes goes to the standard output
        of our daemon (keepalived-behaviour 6.1), whose end nobody waits for; the last 4 KiB until the script ends are
        kept. With a limit, the first 4 KiB of output are kept and `done` is called with status None at the limit.
        `done` is always called exactly once, later.
        """
        ...


class Launcher(Protocol):
    """Runs a program of the system to its end; see `processes.runner.Runner.ask`."""

    def ask(self, argv: Sequence[str], text: str, *, timeout_us: int) -> RunResult: ...

"""ldirectord's `execute`: further configuration files with a daemon of their own (ldirectord-behaviour 7.4).

Each is run as `PROGRAM FILE ACTION` through the shell, as ldirectord does, so quotes and options in the directive mean
what they mean there.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Final

from pykeepalived.model.common import Script
from pykeepalived.processes.scripts import RunResult, ScriptRunner
from pykeepalived.units import SECOND_US

_LIMIT_US: Final = 60 * SECOND_US


class Executed:
    """The daemons of `execute` lines."""

    def __init__(self, program: str, scripts: ScriptRunner, log: Callable[[str], None]) -> None:
        self._program = program
        self._scripts = scripts
        self._log = log
        self._running: tuple[str, ...] = ()

    def change(self, wanted: tuple[str, ...], *, again: bool) -> None:
        """Start what is new, stop what is gone; `again`: the others read their files anew."""
        for name in self._running:
            if name not in wanted:
                self._do(name, "stop")
        for name in dict.fromkeys(wanted):
            if name not in self._running:
                self._do(name, "start")
            elif again:
                self._do(name, "reload", instead="start")
        self._running = wanted

    def stop(self) -> None:
        """Stop all; the scripts outlive this process if need be."""
        for name in dict.fromkeys(self._running):
            self._scripts.run(self._script(name, "stop"), timeout_us=None, done=lambda _result: None, queue=name)
        self._running = ()

    def _do(self, name: str, action: str, instead: str | None = None) -> None:
        def done(result: RunResult) -> None:
            if result.status == 0:
                return
            if instead is not None:
                self._do(name, instead)
                return
            what = "took too long" if result.status is None else f"ended with status {result.status}"
            self._log(f"execute: {name} {action} {what}")

        self._scripts.run(self._script(name, action), timeout_us=_LIMIT_US, done=done, queue=name)

    def _script(self, name: str, action: str) -> Script:
        return Script(("/bin/sh", "-c", command_line(self._program, name, action)))


def command_line(program: str, name: str, action: str) -> str:
    """What the shell is given."""
    return f"{shlex.quote(program)} {name} {action}"

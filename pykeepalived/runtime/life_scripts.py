"""The startup script, which runs before the children, and the shutdown script, which runs after them."""

from __future__ import annotations

from collections.abc import Callable

from pykeepalived.model.config import GlobalDefs
from pykeepalived.processes.runner import Runner
from pykeepalived.processes.scripts import RunResult
from pykeepalived.reactor import Reactor
from pykeepalived.runtime.accounts import default_script_user
from pykeepalived.runtime.program import Logger


class LifeScripts:
    """Runs them one at a time; a runner process exists only when there is a script."""

    def __init__(self, reactor: Reactor, log: Logger) -> None:
        self._reactor = reactor
        self._log = log
        self._runner: Runner | None = None
        self._current: object = None

    def run(self, word: str, settings: GlobalDefs, then: Callable[[], None]) -> None:
        """Run the `Startup` or `Shutdown` script and call `then` when it ended; without a script call it at once.

        A script that is still running is forgotten: its `then` is not called any more.
        """
        if word == "Startup":
            script, timeout_us = settings.startup_script, settings.startup_script_timeout_us
        else:
            script, timeout_us = settings.shutdown_script, settings.shutdown_script_timeout_us
        run = self._current = object()
        if script is None:
            then()
            return
        name = script.argv[0] if script.argv else ""

        def done(result: RunResult) -> None:
            if result.status is None:
                self._log.error(f"{word} script {name} timed out")
            elif result.status != 0:
                self._log.error(f"{word} script {name} failed, status {result.status}")
            if self._current is run:
                then()

        try:
            if self._runner is None:
                runner = Runner(self._reactor, self._log.error, default_user=default_script_user(settings))
                runner.start()
                self._runner = runner
        except OSError as error:
            self._log.error(f"{word} script {name} cannot be run - {error.strerror}")
            then()
            return
        self._log.info(f"Running {word.lower()} script {name}")
        self._runner.run(script, timeout_us=timeout_us, done=done)

    def close(self) -> None:
        if self._runner is not None:
            self._runner.close()

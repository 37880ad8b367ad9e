"""A reactor with connectors on it, to carry conversations through in a test."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pykeepalived.checkers import registry
from pykeepalived.checkers.conversation import Conversation, Note, Outcome
from pykeepalived.model.checks import CheckQuestion, SocketOptions
from pykeepalived.model.common import Script
from pykeepalived.netio.connectors import Connectors
from pykeepalived.processes.scripts import RunResult
from pykeepalived.reactor import Reactor


class FakeScripts:
    """Ends every script with a given status, or never."""

    def __init__(self) -> None:
        self.started: list[tuple[Script, int | None]] = []
        self.status: int | None = 0
        self.silent = False

    def run(
        self, script: Script, *, timeout_us: int | None, done: Callable[[RunResult], None], queue: str | None = None
    ) -> None:
        self.started.append((script, timeout_us))
        if not self.silent:
            done(RunResult(self.status))


class Desk:
    """`ask` and `talk` run the loop until the outcome is there."""

    def __init__(self) -> None:
        self.faults: list[BaseException] = []
        self.notes: list[Note] = []
        self.reactor = Reactor(self.faults.append)
        self.scripts = FakeScripts()
        self.connectors = Connectors(self.reactor, self.scripts, self.notes.append)
        self.elapsed_s = 0.0

    def ask(self, question: CheckQuestion, **start: Any) -> Outcome:
        return self.talk(registry.converse(question, registry.Start(**start)), registry.limit_us(question))

    def talk(self, conversation: Conversation, timeout_us: int = 2_000_000) -> Outcome:
        outcomes: list[Outcome] = []
        began = time.monotonic()
        self.connectors.perform(conversation, timeout_us, outcomes.append)
        self.run_until(lambda: bool(outcomes))
        self.elapsed_s = time.monotonic() - began
        assert len(outcomes) == 1
        return outcomes[0]

    def run_until(self, condition: Callable[[], bool], limit_s: float = 60.0) -> None:
        end = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < end, "nothing came of it"
            self.reactor.turn(20_000)

    def close(self) -> None:
        self.connectors.close()
        # A conversation that has ended leaves no descriptor behind; only the loop's own may be watched.
        left = dict(self.reactor._handlers)
        self.reactor.close()
        assert not left, left
        assert not self.faults, self.faults


def options(port: int, address: str = "127.0.0.1", timeout_ms: int = 20_000, **words: Any) -> SocketOptions:
    return SocketOptions(address=address, port=port, timeout_us=timeout_ms * 1000, **words)

"""A daemon with programs that do nothing but write down what they are told, started by the tests as a process.

Usage: fake_daemon.py CONFIGURATION TRACE [start setting=value …]. CONFIGURATION is JSON: which children it needs
(`vrrp`, `checker`), `errors` (findings), `missing_word`, scripts, and per child what the program does on
`start` and `stop` (`hang`, `exit N`, `raise`). TRACE gets a line per event.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from pykeepalived.diagnostics import Diagnostic, ExitClass, Severity, Span
from pykeepalived.model.common import Script
from pykeepalived.model.config import Config, GlobalDefs
from pykeepalived.model.daemon import DaemonSettings
from pykeepalived.runtime.boot import StartSettings, run_daemon
from pykeepalived.runtime.child import CHECKER, VRRP
from pykeepalived.runtime.logging import LogSettings
from pykeepalived.runtime.program import FIRST_PART, Context, StatusPart
from pykeepalived.runtime.programs import ProgramSource
from pykeepalived.runtime.reload import Loaded

TRACE = Path(sys.argv[2])


def trace(text: str) -> None:
    with TRACE.open("a") as stream:
        stream.write(text + "\n")


def facts(config: Config) -> dict[str, Any]:
    """The JSON that the configuration was made from travels in its unowned words."""
    return json.loads(config.unowned_blocks[0])


class FakeProgram:
    def __init__(self, word: str, context: Context) -> None:
        self.word = word
        self.context = context
        self.generations: list[str] = []

    def start(self, config: Config) -> None:
        trace(f"{self.word} start {os.getpid()}")
        if facts(config).get("trace_random"):
            trace(f"{self.word} random {random.random()}")
        self.generations.append(facts(config).get("name", ""))
        self._act(facts(config).get(self.word, {}).get("start", ""))
        self.config = config
        self.context.emit("started", {"word": self.word})

    def reload(self, config: Config) -> None:
        self.config = config
        self.generations.append(facts(config).get("name", ""))
        trace(f"{self.word} reload {self.generations[-1]}")
        self._act(facts(config).get(self.word, {}).get("reload", ""))

    def stop(self) -> None:
        trace(f"{self.word} stop")
        if self._act(facts(self.config).get(self.word, {}).get("stop", "")):
            return
        self.context.finished(0)

    def status(self, part: StatusPart = FIRST_PART) -> dict[str, Any]:
        if facts(self.config).get(self.word, {}).get("status") == "hang":
            time.sleep(60)
        return {"generations": self.generations}

    def dump(self, kind: str) -> str | None:
        return f"{self.word} {kind}\n"

    def _act(self, what: str) -> bool:
        verb, _, number = what.partition(" ")
        if verb == "raise":
            raise RuntimeError("broken on purpose")
        if verb == "exit":
            self.context.finished(int(number))
        if verb == "sleep":
            time.sleep(float(number))
        return verb == "hang"


def load() -> Loaded:
    text = Path(sys.argv[1]).read_text()
    if text == "missing":
        return Loaded(config=Config(), missing=True)
    wanted = json.loads(text)
    findings = tuple(
        Diagnostic(
            id="unknown-keyword",
            severity=Severity.ERROR,
            message=message,
            span=Span("file", 1 + number, 1, 2, message),
            exit_class=ExitClass.GENERAL,
        )
        for number, message in enumerate(wanted.get("errors", ()))
    )
    scripts = {key: Script(tuple(wanted[key])) for key in ("startup_script", "shutdown_script") if key in wanted}
    daemon = msgspec.convert(wanted.get("daemon", {}), DaemonSettings)
    names = {key: wanted[key] for key in ("instance", "net_namespace") if key in wanted}
    settings = GlobalDefs(
        **scripts, **names, daemon=daemon, child_wait_time_us=wanted.get("child_wait_time_us", 2_000_000)
    )
    exit_class = ExitClass.MISSING_WORD if wanted.get("missing_word") else max([f.exit_class for f in findings] or [0])
    return Loaded(
        config=Config(globals=settings, unowned_blocks=(text,)),
        findings=findings,
        exit_class=ExitClass(exit_class),
        text=text,
    )


def source(kind) -> ProgramSource:
    return ProgramSource(
        kind=kind,
        load=lambda: lambda context: FakeProgram(kind.word, context),
        needed=lambda config: kind.word in facts(config),
        part=lambda config: config,
        clean_up=lambda options, log, config: trace(f"{kind.word} cleaned up"),
    )


def main() -> int:
    settings: dict[str, Any] = {}
    for word in sys.argv[3:]:
        key, _, value = word.partition("=")
        settings[key] = json.loads(value)
    start = StartSettings(
        title="Keepalived v0 (test)",
        pattern=sys.argv[1],
        log_settings=LogSettings(console=True, syslog=False, detail=1),
        **({"foreground": True} | settings),
    )
    return run_daemon(start, load, (source(CHECKER), source(VRRP)))


if __name__ == "__main__":
    sys.exit(main())

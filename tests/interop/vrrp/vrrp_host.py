"""Runs `VrrpProgram` alone, without supervisor and configuration language: FILE is a `Config` in JSON.

TERM and INT stop it, HUP reads FILE again, USR1 writes `FILE.status` and `FILE.data`, `FILE.stats`, `FILE.json`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from pykeepalived.model import Config
from pykeepalived.processes.runner import Runner
from pykeepalived.reactor import READ, Reactor
from pykeepalived.runtime.program import Context, Options
from pykeepalived.runtime.vrrp_process import VrrpProgram


class StdoutLog:
    def info(self, text: str) -> None:
        print(f"{time.clock_gettime(time.CLOCK_MONOTONIC):.6f} {text}", flush=True)

    detail = info

    def error(self, text: str) -> None:
        self.info(f"ERROR {text}")


def main(path: Path, state_directory: str) -> int:
    log = StdoutLog()

    def fail(error: BaseException) -> None:
        raise error

    reactor = Reactor(on_error=fail)
    runner = Runner(reactor, log.error)
    runner.start()
    codes: list[int] = []

    def finished(code: int) -> None:
        codes.append(code)
        reactor.stop()

    def emit(name: str, fields: Mapping[str, Any]) -> None:
        log.info(f"EVENT {name} {json.dumps(dict(fields))}")

    options = Options(log_detail=1, state_directory=state_directory)
    program = VrrpProgram(
        Context(reactor=reactor, log=log, scripts=runner, options=options, finished=finished, emit=emit)
    )

    def read() -> Config:
        return msgspec.json.decode(path.read_bytes(), type=Config)

    def dump() -> None:
        for kind in ("data", "stats", "json"):
            path.with_suffix(f".{kind}").write_text(program.dump(kind) or "")
        made = path.with_suffix(".new")
        made.write_text(json.dumps(program.status()))
        made.rename(path.with_suffix(".status"))

    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writing)
    work = {
        signal.SIGTERM: program.stop,
        signal.SIGINT: program.stop,
        signal.SIGHUP: lambda: (program.reload(read()), log.info("reloaded")),
        signal.SIGUSR1: dump,
    }
    for number in work:
        signal.signal(number, lambda *_: None)

    def on_signal(_events: int) -> None:
        for number in os.read(reading, 64):
            if number in work:
                work[signal.Signals(number)]()

    reactor.watch(reading, READ, on_signal)
    program.start(read())
    if not codes:
        log.info("started")
        reactor.run()
    runner.close()
    return codes[0]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))

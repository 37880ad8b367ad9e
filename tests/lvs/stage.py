"""A stage for a checker program: real loop, real loopback servers, everything else at hand for the test."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from pykeepalived.dataplane.memory import MemoryDataplane
from pykeepalived.lvs.table import DestinationKey, ServiceKey
from pykeepalived.model.checks import CheckerSpec, CheckTiming, SocketOptions, TcpCheck
from pykeepalived.model.common import Family, Script
from pykeepalived.model.config import Config, GlobalDefs
from pykeepalived.model.lvs import AddressSelector, Protocol, RealServer, VirtualServer
from pykeepalived.processes.scripts import RunResult
from pykeepalived.reactor import Reactor, monotonic_us
from pykeepalived.runtime.checker_process import CheckerProgram
from pykeepalived.runtime.program import Context, Options

VIP = "10.77.0.5"
KEY = ServiceKey.for_address(Protocol.TCP, VIP, 80, Family.INET)


class Backend:
    """Something that listens on a loopback address, or does not."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._listener: socket.socket | None = None
        self.port = 0
        self.open()

    def open(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.address, self.port))
        listener.listen(64)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def close(self) -> None:
        if self._listener is not None:
            # A blocked accept keeps a closed listener alive; shutting it down wakes it up.
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    @staticmethod
    def _accept(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.close()


class Memo:
    """Logger, script runner and parent in one: it writes everything down."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.errors: list[str] = []
        self.scripts: list[tuple[str, ...]] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.exit_code: int | None = None

    def info(self, text: str) -> None:
        self.lines.append(text)

    def detail(self, text: str) -> None:
        self.lines.append(text)

    def error(self, text: str) -> None:
        self.lines.append(text)
        self.errors.append(text)

    def run(
        self, script: Script, *, timeout_us: int | None, done: Callable[[RunResult], None], queue: str | None = None
    ) -> None:
        self.scripts.append(script.argv)
        done(RunResult(0))

    def emit(self, name: str, fields: Mapping[str, Any]) -> None:
        self.events.append((name, dict(fields)))

    def finished(self, code: int) -> None:
        self.exit_code = code


class Stage:
    """One checker program and its surroundings."""

    def __init__(self, dataplane: Any = None, **options: Any) -> None:
        self.memo = Memo()
        self.reactor = Reactor()
        self.dataplane = MemoryDataplane() if dataplane is None else dataplane
        drift_interval_us = options.pop("drift_interval_us", 0)
        voice = options.pop("voice", None)
        bfd = options.pop("bfd", {})
        context = Context(
            reactor=self.reactor,
            log=self.memo,
            scripts=self.memo,
            options=Options(**options),
            finished=self.memo.finished,
            emit=self.memo.emit,
            bfd=bfd,
        )
        self.program = CheckerProgram(
            context, dataplane=self.dataplane, voice=voice, drift_interval_us=drift_interval_us
        )

    def until(self, condition: Callable[[], Any], what: str, limit_s: float = 60.0) -> None:
        """Turn the loop until something is so."""
        deadline_us = monotonic_us() + int(limit_s * 1_000_000)
        while not condition():
            assert monotonic_us() < deadline_us, f"{what}: not within {limit_s} s; {self.memo.lines}"
            self.reactor.turn(20_000)

    def weights(self, key: ServiceKey = KEY) -> dict[str, int] | None:
        """The dataplane's destinations as `address:port` with weight; None: no such service."""
        entry = self.dataplane.table.get(key)
        if entry is None:
            return None
        return {f"{kept.address}:{kept.port}": value.weight for kept, value in sorted(entry.destinations.items())}

    def until_weights(self, wanted: dict[str, int] | None, key: ServiceKey = KEY) -> None:
        self.until(lambda: self.weights(key) == wanted, f"weights {wanted}, seen {self.weights(key)}")

    def stop(self) -> None:
        self.program.stop()
        self.until(lambda: self.memo.exit_code is not None, "the end")

    def close(self) -> None:
        if self.memo.exit_code is None:
            self.stop()
        self.reactor.close()


def tcp_check(address: str, port: int, **timing: Any) -> CheckerSpec:
    """A quick check: every 50 ms, no retries."""
    fields = {
        "delay_loop_us": 50_000,
        "warmup_us": 0,
        "retry": 0,
        "delay_before_retry_us": 20_000,
        **timing,
    }
    question = TcpCheck(socket=SocketOptions(address=address, port=port, timeout_us=1_000_000))
    return CheckerSpec(question=question, timing=CheckTiming(**fields))


def real_server(backend: Backend, weight: int = 1, **fields: Any) -> RealServer:
    timing = {"alpha": True} if fields.get("alpha") else {}
    return RealServer(
        address=backend.address,
        port=backend.port,
        weight=weight,
        checkers=(tcp_check(backend.address, backend.port, **timing),),
        **fields,
    )


def virtual_server(*servers: RealServer, **fields: Any) -> VirtualServer:
    return VirtualServer(
        **{
            "selector": AddressSelector(VIP, 80),
            "protocol": Protocol.TCP,
            "scheduler": "wrr",
            "real_servers": servers,
            **fields,
        }
    )


def config(*servers: VirtualServer, **globals_: Any) -> Config:
    return Config(virtual_servers=servers, globals=GlobalDefs(**globals_))


def place(backend: Backend) -> DestinationKey:
    return DestinationKey(backend.address, backend.port)

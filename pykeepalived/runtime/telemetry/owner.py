"""The supervisor's side of the metrics process: it runs if `metrics_listen` says where, and again when it has died."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pykeepalived.model.daemon import DaemonSettings
from pykeepalived.model.listening import listen_place
from pykeepalived.reactor import Reactor, Timer
from pykeepalived.runtime.logging import DaemonLogger, LogSettings
from pykeepalived.runtime.program import Logger
from pykeepalived.units import SECOND_US

_RESTART_US: Final = SECOND_US
#: One that dies young waits twice as long each time, up to a minute.
_SETTLED_US: Final = 60 * SECOND_US
_LONGEST_US: Final = 60 * SECOND_US
_IDENT: Final = "Keepalived_metrics"


class TelemetryOwner:
    """`adopt` gives the parent's end of a socket pair to the control server."""

    def __init__(
        self, reactor: Reactor, log: Logger, settings: LogSettings, adopt: Callable[[socket.socket], bool]
    ) -> None:
        self._reactor = reactor
        self._log = log
        self._log_settings = settings
        self._adopt = adopt
        self._wanted: tuple[str, str] | None = None
        self._timer: Timer | None = None
        self._started_us = 0
        self._delay_us = _RESTART_US // 2
        self._path: str | None = None
        """The socket of the process that runs."""
        self.pid = 0

    def configure(self, daemon: DaemonSettings) -> None:
        """Follow a configuration: start, stop, or begin anew at another place."""
        wanted = None if daemon.metrics_listen is None else (daemon.metrics_listen, daemon.metrics_names)
        if wanted == self._wanted:
            return
        self._wanted = wanted
        self._delay_us = _RESTART_US // 2
        if self.pid:
            self._kill()  # its end is heard, and a successor started if one is wanted
        else:
            self._start()

    def reaped(self, pid: int) -> bool:
        """Whether a process that ended was ours."""
        if not pid or pid != self.pid:
            return False
        self.pid = 0
        if self._wanted is not None:
            lived_us = self._reactor.now_us() - self._started_us
            self._delay_us = _RESTART_US if lived_us > _SETTLED_US else min(2 * self._delay_us, _LONGEST_US)
            self._timer = self._reactor.call_later(self._delay_us, self._start)
        return True

    def close(self) -> None:
        self._wanted = None
        if self._timer is not None:
            self._timer.cancel()
        if self.pid:
            self._kill()
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
            self.pid = 0

    def _kill(self) -> None:
        """It has no rights any more, so what it has made is taken away here."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                Path(self._path).unlink()
            self._path = None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def _start(self) -> None:
        if self._wanted is None or self.pid:
            return
        # Not for daemons that serve no metrics.
        from pykeepalived.runtime.telemetry import process  # noqa: PLC0415

        place, exporter = listen_place(self._wanted[0]), self._wanted[1]
        pairs = [socket.socketpair() for _ in range(2)]
        settings = self._log_settings

        def say(text: str) -> None:
            DaemonLogger(_IDENT, settings, file_suffix="_metrics").error(text)

        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self.pid = os.fork()
            if self.pid == 0:
                process.main(pairs[0][1], pairs[1][1], place, exporter, say)
        except OSError as error:
            self._log.error(f"Cannot start the metrics process - {error.strerror}")
            self._timer = self._reactor.call_later(_RESTART_US, self._start)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            for _, far in pairs:
                far.close()
        for near, _ in pairs:
            if not self.pid:
                near.close()
            elif not self._adopt(near):
                # It hears that and ends.
                near.close()
                self._log.error("Metrics need the control socket, and there is none")
        if self.pid:
            self._started_us = self._reactor.now_us()
            self._path = place.path
            self._log.info(f"Starting metrics process, pid={self.pid}")

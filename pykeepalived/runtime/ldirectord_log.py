"""ldirectord's log lines (ldirectord-behaviour 7.1).

A log file is opened, appended to and closed for every line, so that rotation needs no signal; a name that does not
start with `/` is a syslog facility; a supervised daemon writes to standard output, a debugging one to standard error.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from enum import Enum
from typing import Final, TextIO

from pykeepalived.runtime.logging import FACILITIES, DaemonLogger, LogSettings

DEFAULT_FILE: Final = "/var/log/ldirectord.log"
#: Longer lines are cut: a log is no place for whole web pages.
_LINE_LIMIT: Final = 4096
_ESCAPES: Final = {code: f"\\x{code:02x}" for code in (*range(32), 127) if code not in {9, 10}}


class Output(Enum):
    """Where lines go."""

    LOGFILE = "logfile"
    """As `logfile=` says."""
    STDOUT = "stdout"
    """`supervised`."""
    STDERR = "stderr"
    """`-d`, with details."""


class LdirectordLog:
    """Implements `Logger`. Writing never raises: a line that cannot be written is lost."""

    def __init__(self, name: str, output: Output = Output.LOGFILE, logfile: str = DEFAULT_FILE) -> None:
        self._name = name
        self._output = output
        self._syslog: DaemonLogger | None = None
        self.last_error: str | None = None
        self.logfile = DEFAULT_FILE
        self.settle(logfile)

    def settle(self, logfile: str) -> None:
        """Take the `logfile` of a new configuration."""
        if self._syslog is not None:
            self._syslog.close()
            self._syslog = None
        self.logfile = logfile
        if not logfile.startswith("/") and self._output is Output.LOGFILE:
            facility = FACILITIES.get(logfile, FACILITIES["daemon"])
            self._syslog = DaemonLogger("ldirectord", LogSettings(facility=facility))

    def info(self, text: str) -> None:
        for line in text.split("\n"):
            self._write(line.translate(_ESCAPES)[:_LINE_LIMIT])

    def detail(self, text: str) -> None:
        if self._output is Output.STDERR:
            self.info(f"DEBUG2: {text}")

    def error(self, text: str) -> None:
        self.last_error = text
        self.info(text)

    def _write(self, line: str) -> None:
        if self._output is Output.STDERR:
            _say(sys.stderr, line)
        elif self._output is Output.STDOUT:
            _say(sys.stdout, f"[{time.ctime()}] {line}")
        elif self._syslog is not None:
            self._syslog.info(line)
        else:
            self._append(f"[{time.ctime()}|{self._name}|{os.getpid()}] {line}\n")

    def _append(self, line: str) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        with contextlib.suppress(OSError, ValueError):
            descriptor = os.open(self.logfile, flags, 0o644)
            try:
                os.write(descriptor, line.encode(errors="backslashreplace"))
            finally:
                os.close(descriptor)


def _say(stream: TextIO, line: str) -> None:
    """A reader that went away does not matter."""
    with contextlib.suppress(OSError, ValueError):
        stream.write(line.encode(errors="backslashreplace").decode() + "\n")
        stream.flush()

"""`reload_time_file`: a file that says when the next reload is due (row in keepalived-behaviour's keyword list).

It holds `HH:MM:SS`, `YY-MM-DD HH:MM:SS` or `YYYY-MM-DD HH:MM:SS`, with a `Z` behind it for UTC, else local time. A
time without a date is the next such time. After the reload the file is removed, unless `reload_repeat` keeps one that
has no date.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pykeepalived.model.daemon import DaemonSettings
from pykeepalived.reactor import Reactor, Timer
from pykeepalived.runtime.program import Logger
from pykeepalived.units import SECOND_US

_FORM: Final = re.compile(r"(?:((?:\d\d)?\d\d)-(\d\d)-(\d\d)[ \t]+)?(\d\d):(\d\d):(\d\d)(Z?)\s*", re.ASCII)
#: More than any time needs.
_READ_BYTES: Final = 64
_LOOK_US: Final = SECOND_US


def due_at(text: str, now_s: float) -> tuple[float, bool] | None:
    """When the text wants the reload, in seconds of the epoch, and whether it names a day; None: it says no time."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, utc = found.groups()
    zone = dt.UTC if utc else None
    now = dt.datetime.fromtimestamp(now_s, zone)
    try:
        if year is not None:
            date = dt.date(int(year) + (2000 if len(year) == 2 else 0), int(month), int(day))
            return dt.datetime.combine(date, dt.time(int(hour), int(minute), int(second)), zone).timestamp(), True
        wanted = now.replace(hour=int(hour), minute=int(minute), second=int(second), microsecond=0)
        if wanted <= now:
            wanted += dt.timedelta(days=1)
        return wanted.timestamp(), False
    except (ValueError, OverflowError, OSError):
        return None


class ReloadTime:
    """Looks at the file once a second, so that a clock that is set moves no reload to the wrong time."""

    def __init__(self, reactor: Reactor, log: Logger, reload: Callable[[], None]) -> None:
        self._reactor = reactor
        self._log = log
        self._reload = reload
        self._path: str | None = None
        self._repeat = False
        self._stamp: tuple[int, int, int] | None = None
        self._due_s: float | None = None
        self._dated = False
        self._timer: Timer | None = None

    @property
    def due_s(self) -> float | None:
        """When the next reload is due, in seconds of the epoch."""
        return self._due_s

    def configure(self, settings: DaemonSettings) -> None:
        self._repeat = settings.reload_repeat
        if settings.reload_time_file != self._path:
            self.close()
            self._path, self._stamp, self._due_s = settings.reload_time_file, None, None
        if self._path is not None and self._timer is None:
            self._look()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._read()
        pause_us = _LOOK_US
        if self._due_s is not None:
            left_us = int((self._due_s - time.time()) * SECOND_US)
            if left_us <= 0:
                self._act()
            else:
                pause_us = min(pause_us, left_us + 1_000)
        self._timer = self._reactor.call_later(pause_us, self._look)

    def _read(self) -> None:
        assert self._path is not None
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:
            if self._due_s is not None:
                self._log.info("Scheduled reload is cancelled")
            self._stamp = self._due_s = None
            return
        try:
            found = os.fstat(descriptor)
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            with contextlib.suppress(OSError):
                self._take(os.read(descriptor, _READ_BYTES).decode("latin-1"))
        finally:
            os.close(descriptor)

    def _take(self, text: str) -> None:
        self._due_s = None
        found = due_at(text, time.time())
        if found is None:
            if text.strip():
                self._log.error(f"Reload time file {self._path} holds no time - write HH:MM:SS or YYYY-MM-DD HH:MM:SS")
            return
        due_s, self._dated = found
        if due_s <= time.time():
            self._log.error(f"The time in reload time file {self._path} has passed")
            return
        self._due_s = due_s
        self._log.info(f"Scheduling reload for {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(due_s))}")

    def _act(self) -> None:
        assert self._path is not None
        self._due_s = None
        if self._repeat and not self._dated:
            self._stamp = None  # the same text means tomorrow from now on
        else:
            with contextlib.suppress(OSError):
                Path(self._path).unlink()
        self._reload()

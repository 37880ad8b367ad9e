"""Log lines the way keepalived writes them (keepalived-behaviour 4): syslog, console, log file.

Nothing here ever waits. Syslog is a datagram of our own to /dev/log (no library, 2 microseconds); the console and the
file are written only when they can take the line at once. What cannot be written is counted, and the count is logged as
soon as lines flow again. Text may come from the network or from files, so control characters are shown escaped, a line
is cut at `LINE_LIMIT` bytes, and more than `BURST` lines in a row are held back to `LINES_PER_SECOND`.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from pathlib import Path
from typing import Final

import msgspec

LINE_LIMIT: Final = 1024
BURST: Final = 20_000
LINES_PER_SECOND: Final = 2_000
DEFAULT_FILE: Final = "/tmp/keepalived.log"

#: Facility words of syslog(3), as -S takes them.
FACILITIES: Final = {
    name: number << 3
    for number, name in enumerate(
        ["kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"]
    )
} | {f"local{number}": (16 + number) << 3 for number in range(8)}

_LEVEL_ERROR: Final = 3
_LEVEL_INFO: Final = 6
_ESCAPES: Final = {code: f"\\x{code:02x}" for code in (*range(32), 127) if code != 9}


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where lines go; the same for all processes of one daemon."""

    console: bool = False
    """-l: standard error, too."""
    syslog: bool = True
    """False: -G."""
    facility: int = FACILITIES["daemon"]
    detail: int = 0
    """How often -D was given."""
    file: str | None = None
    """-g: path of the parent's file; a child's name goes in front of its suffix."""
    ident_suffix: str = ""
    """`_NAMESPACE` and `_INSTANCE` behind every ident, when the configuration or -s names them."""
    socket_path: str = "/dev/log"


def facility_number(word: str) -> int | None:
    """The facility that -S names: 0 to 7 for local0 to local7, or a word; None: there is no such facility."""
    if word.isascii() and word.isdigit() and len(word) == 1 and int(word) < 8:
        return FACILITIES[f"local{word}"]
    return FACILITIES.get(word)


class DaemonLogger:
    """Implements `Logger` for one process; `ident` is `Keepalived`, `Keepalived_vrrp`, `Keepalived_healthcheckers`."""

    def __init__(self, ident: str, settings: LogSettings, *, file_suffix: str = "") -> None:
        self._ident = f"{ident}{settings.ident_suffix}"
        self._settings = settings
        self._tokens = float(BURST)
        self._refilled = time.monotonic()
        self._lost = 0
        self._syslog: socket.socket | None = None
        self._file: int | None = None
        self._console_poll = select.poll()
        self._console_poll.register(2, select.POLLOUT)
        if settings.file is not None:
            path = Path(settings.file)
            self._open_file(path.with_name(f"{path.stem}{file_suffix}{path.suffix}"))

    def info(self, text: str) -> None:
        self._log(_LEVEL_INFO, text)

    def detail(self, text: str) -> None:
        if self._settings.detail:
            self._log(_LEVEL_INFO, text)

    def error(self, text: str) -> None:
        self._log(_LEVEL_ERROR, text)

    def close(self) -> None:
        if self._syslog is not None:
            self._syslog.close()
            self._syslog = None
        if self._file is not None:
            os.close(self._file)
            self._file = None

    # ---- bounds ----

    def _log(self, level: int, text: str) -> None:
        now = time.monotonic()
        self._tokens = min(float(BURST), self._tokens + (now - self._refilled) * LINES_PER_SECOND)
        self._refilled = now
        if self._tokens < 1:
            self._lost += 1
            return
        lost, self._lost = self._lost, 0
        if lost:
            self._write(level, f"{lost} log messages were lost")
        for line in text.split("\n"):
            self._tokens -= 1
            self._write(level, line.translate(_ESCAPES))

    def _write(self, level: int, line: str) -> None:
        message = line.encode(errors="backslashreplace")[:LINE_LIMIT]
        if self._settings.console:
            self._lost += not self._to_console(time.ctime().encode() + b": " + message + b"\n")
        if self._file is not None:
            nanoseconds = time.time_ns()
            stamp = time.strftime("%a %b %e %H:%M:%S", time.localtime(nanoseconds // 1_000_000_000))
            year = time.localtime(nanoseconds // 1_000_000_000).tm_year
            self._to_file(f"{stamp}.{nanoseconds % 1_000_000_000:09d} {year}: ".encode() + message + b"\n")
        if self._settings.syslog:
            stamp = time.strftime("%b %e %H:%M:%S")
            head = f"<{self._settings.facility | level}>{stamp} {self._ident}[{os.getpid()}]: ".encode()
            self._lost += not self._to_syslog(head + message)

    # ---- where lines go ----

    def _to_console(self, data: bytes) -> bool:
        """A pipe or terminal that can be written takes at least PIPE_BUF bytes without waiting."""
        ready = self._console_poll.poll(0)
        if not ready or not ready[0][1] & select.POLLOUT:
            # Nobody will ever read it: nothing is lost that anybody misses.
            return bool(ready)
        with contextlib.suppress(OSError):
            os.write(2, data)
        return True

    def _to_file(self, data: bytes) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.write(self._file, data)

    def _to_syslog(self, data: bytes) -> bool:
        for _ in range(2):
            if self._syslog is None and not self._connect():
                return True  # there is no syslog daemon: as syslog(3), say nothing
            channel = self._syslog
            if channel is None:
                return True
            try:
                channel.send(data)
                return True
            except BlockingIOError:
                return False
            except OSError:
                # The syslog daemon was restarted: its new socket is found by connecting again, once.
                channel.close()
                self._syslog = None
        return True

    def _connect(self) -> bool:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            channel.connect(self._settings.socket_path)
        except OSError:
            channel.close()
            return False
        self._syslog = channel
        return True

    def _open_file(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            self._file = os.open(path, flags, 0o644)
        except OSError as error:
            self.error(f"Unable to open log file {path} - {error.strerror}")

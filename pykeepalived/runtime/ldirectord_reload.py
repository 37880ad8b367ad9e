"""Noticing that a configuration file changed, and reading it without keeping checks waiting.

A file may take long to read: host names are asked of the system's resolver, one after the other. So a process of its
own reads it and hands the finished model over; the daemon goes on meanwhile.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from pykeepalived.diagnostics import Diagnostic, Severity
from pykeepalived.dialects.ldirectord import load
from pykeepalived.dialects.ldirectord.loader import LARGEST_FILE
from pykeepalived.model.config import Config
from pykeepalived.processes import names
from pykeepalived.reactor import READ, Reactor, Timer
from pykeepalived.units import SECOND_US

#: A file whose names take longer than this to resolve is not read.
TIME_LIMIT_US: Final = 120 * SECOND_US
_LARGEST_ANSWER: Final = 1 << 30


class Reading(msgspec.Struct, frozen=True):
    """A configuration with its findings."""

    config: Config
    findings: tuple[Diagnostic, ...] = ()

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(item for item in self.findings if item.severity is Severity.ERROR)


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Reading)


def read(path: str, *, strict: bool = False) -> Reading:
    """Read a file here and now."""
    result = load(path, strict=strict)
    return Reading(result.config, tuple(result.findings.items))


class BackgroundReader:
    """Reads a file in a process of its own; one at a time."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._pid = 0
        self._fd = -1
        self._data = bytearray()
        self._limit: Timer | None = None
        self._done: Callable[[Reading | str], None] | None = None

    @property
    def busy(self) -> bool:
        return self._done is not None

    def start(self, path: str, done: Callable[[Reading | str], None], *, strict: bool = False) -> None:
        """`done` is called once, later, with what was read or why nothing was. Call only while not `busy`."""
        self._done = done
        self._data = bytearray()
        try:
            near, far = os.pipe2(os.O_CLOEXEC)
            gc.freeze()
            self._pid = os.fork()
        except OSError as error:
            self._pid = 0
            reason = f"cannot start a process to read it: {error.strerror}"
            self._reactor.call_soon(lambda: self._finish(reason))
            return
        if self._pid == 0:
            _child(path, far, strict)
        os.close(far)
        os.set_blocking(near, False)
        self._fd = near
        self._limit = self._reactor.call_later(TIME_LIMIT_US, lambda: self._finish("reading it takes too long"))
        self._reactor.watch(near, READ, self._readable)

    def close(self) -> None:
        """Give up; `done` is not called."""
        self._done = None
        self._clear()

    def _readable(self, _events: int) -> None:
        try:
            data = os.read(self._fd, 1 << 20)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._data += data
        if data and len(self._data) <= _LARGEST_ANSWER:
            return
        try:
            answer: Reading | str = _decoder.decode(bytes(self._data))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            answer = f"the process that read it failed ({error})"
        self._finish(answer)

    def _finish(self, answer: Reading | str) -> None:
        done, self._done = self._done, None
        self._clear()
        if done is not None:
            done(answer)

    def _clear(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
        if self._fd >= 0:
            self._reactor.unwatch(self._fd)
            os.close(self._fd)
            self._fd = -1
        if self._pid:
            with contextlib.suppress(OSError):
                os.kill(self._pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.waitpid(self._pid, 0)
            self._pid = 0
        self._data = bytearray()


def _child(path: str, far: int, strict: bool) -> None:
    code = 1
    try:
        names.close_descriptors([far])
        data = _encoder.encode(read(path, strict=strict))
        while data:
            data = data[os.write(far, data) :]
        code = 0
    finally:
        os._exit(code)


class FileWatch:
    """Tells whether a file changed: first its time, then its contents (ldirectord-behaviour 7.4)."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._mtime = self._time()
        self._digest = self._contents()
        self._missing = False

    def look(self) -> str | None:
        """`changed` when the contents differ from the last look, `missing` once when the file has gone, else None."""
        mtime = self._time()
        if mtime is None:
            told, self._missing = self._missing, True
            return None if told else "missing"
        self._missing = False
        if mtime == self._mtime:
            return None
        digest = self._contents()
        if digest is None:
            return None
        self._mtime = mtime
        if digest == self._digest:
            return None
        self._digest = digest
        return "changed"

    def _time(self) -> int | None:
        try:
            return Path(self._path).stat().st_mtime_ns
        except (OSError, ValueError):
            return None

    def _contents(self) -> bytes | None:
        try:
            with Path(self._path).open("rb") as stream:
                return hashlib.sha256(stream.read(LARGEST_FILE + 1)).digest()
        except (OSError, ValueError):
            return None

"""Files that hold one number each, read again whenever somebody writes, moves or removes them (inotify(7)).

What is watched is the directory, so that a file may come, go and be replaced. For a symbolic link the directory of its
target is watched as well. A file counts as 0 while it is missing, empty or holds something else than a number; a number
is what C's strtol takes with base 0 (keepalived-behaviour 8).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import stat
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Protocol

from pykeepalived.model.vrrp import TrackFile
from pykeepalived.reactor import READ, Reactor, Timer
from pykeepalived.units import SECOND_US

_CLOEXEC: Final = 0o2000000
_NONBLOCK: Final = 0o4000
_CLOSE_WRITE: Final = 0x008
_MOVED_FROM: Final = 0x040
_MOVED_TO: Final = 0x080
_DELETE: Final = 0x200
_OVERFLOW: Final = 0x4000
_IGNORED: Final = 0x8000
_ONLYDIR: Final = 0x01000000
_WATCHED: Final = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _DELETE | _ONLYDIR
_EVENT: Final = struct.Struct("=iIII")
_READ_BYTES: Final = 64 * 1024
#: More than any number needs; the rest of a longer file is not looked at.
_NUMBER_BYTES: Final = 128
_NUMBER: Final = re.compile(r"\s*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)\s*", re.ASCII)
_LIMIT: Final = 2**31 - 1
#: How often a directory that is gone is looked for.
_RETRY_US: Final = SECOND_US

_libc = ctypes.CDLL(None, use_errno=True)


class _Log(Protocol):
    def info(self, text: str) -> None: ...

    def error(self, text: str) -> None: ...


def number_of(text: bytes) -> int | None:
    """The number that a file holds, within 32 bits; 0 for an empty one, None for anything that is no number."""
    if not text.strip():
        return 0
    found = _NUMBER.fullmatch(text.decode("latin-1"))
    if found is None:
        return None
    sign, digits = found.groups()
    base = 16 if digits[:2] in {"0x", "0X"} else 8 if digits[0] == "0" else 10
    value = int(digits, base)
    return max(-_LIMIT, min(_LIMIT, -value if sign == "-" else value))


def read_number(path: str, log_error: Callable[[str], None]) -> int:
    """The number that a file holds now; never waits, whatever the path names."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as error:
        log_error(f"Track file {path} cannot be opened - {error}")
        return 0
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            log_error(f"Track file {path} is no regular file, it counts as 0")
            return 0
        value = number_of(os.read(descriptor, _NUMBER_BYTES))
    except OSError as error:
        log_error(f"Track file {path} cannot be read - {error.strerror}")
        return 0
    finally:
        os.close(descriptor)
    if value is None:
        log_error(f"Track file {path} holds no number, it counts as 0")
    return value or 0


def create(config: TrackFile, log_error: Callable[[str], None]) -> None:
    """What `init_file` asks for: the file is made when it is not there, with `overwrite` always."""
    if config.init_value is None:
        return
    how = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    how |= os.O_TRUNC if config.init_overwrite else os.O_EXCL
    try:
        descriptor = os.open(config.path, how, 0o644)
    except FileExistsError:
        return
    except (OSError, ValueError) as error:
        log_error(f"Track file {config.path} cannot be made - {error}")
        return
    try:
        os.write(descriptor, b"%d\n" % config.init_value)
    except OSError as error:
        log_error(f"Track file {config.path} cannot be written - {error.strerror}")
    finally:
        os.close(descriptor)


class FileWatcher:
    """Tells `changed(name, value)` of every change; values of `update` are returned, not told."""

    def __init__(self, reactor: Reactor, log: _Log, changed: Callable[[str, int], None]) -> None:
        self._reactor = reactor
        self._log = log
        self._changed = changed
        self._files: dict[str, TrackFile] = {}
        self._values: dict[str, int] = {}
        self._descriptor: int | None = None
        self._directories: dict[int, str] = {}
        self._retry: Timer | None = None

    def update(self, files: Iterable[TrackFile]) -> dict[str, int]:
        """Watch these files from now on; returns what each holds. Files that are new are made as `init_file` says."""
        before, self._files = self._files, {item.name: item for item in files}
        for name, item in self._files.items():
            if name not in before:
                create(item, self._log.error)
        if self._files and self._descriptor is None:
            self._open()
        self._watch_directories()
        self._values = {name: read_number(item.path, self._log.error) for name, item in self._files.items()}
        if not self._files:
            self.close()
        return dict(self._values)

    def close(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._descriptor is not None:
            self._reactor.unwatch(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
        self._directories.clear()

    # ---- inside ----

    def _open(self) -> None:
        descriptor = _libc.inotify_init1(_CLOEXEC | _NONBLOCK)
        if descriptor < 0:
            self._log.error(f"Track files are read once a second: no inotify - {os.strerror(ctypes.get_errno())}")
            self._look_again()
            return
        self._descriptor = descriptor
        self._reactor.watch(descriptor, READ, self._ready)

    def _wanted(self) -> set[str]:
        wanted = set()
        for item in self._files.values():
            wanted.add(os.path.dirname(os.path.abspath(item.path)))  # noqa: PTH100, PTH120
            if Path(item.path).is_symlink():
                wanted.add(os.path.dirname(os.path.realpath(item.path)))  # noqa: PTH120
        return wanted

    def _watch_directories(self) -> None:
        if self._descriptor is None:
            return
        wanted = self._wanted()
        for number, directory in list(self._directories.items()):
            if directory not in wanted:
                _libc.inotify_rm_watch(self._descriptor, number)
                del self._directories[number]
        missing = wanted - set(self._directories.values())
        for directory in sorted(missing):
            number = _libc.inotify_add_watch(self._descriptor, os.fsencode(directory), ctypes.c_uint32(_WATCHED))
            if number >= 0:
                self._directories[number] = directory
                missing.discard(directory)
        if missing:
            self._look_again()

    def _look_again(self) -> None:
        if self._retry is None:
            self._retry = self._reactor.call_later(_RETRY_US, self._retried)

    def _retried(self) -> None:
        self._retry = None
        if self._descriptor is None and self._files:
            self._look_again()
        self._watch_directories()
        self._read(self._files)

    def _ready(self, _events: int) -> None:
        if self._descriptor is None:
            return
        with contextlib.suppress(BlockingIOError):
            touched: dict[str, None] = {}
            lost = False
            for number, mask, name in _events_of(os.read(self._descriptor, _READ_BYTES)):
                if mask & (_OVERFLOW | _IGNORED):
                    lost = True
                    self._directories.pop(number, None)
                elif number in self._directories:
                    touched.update(dict.fromkeys(self._named(self._directories[number], name)))
            if lost or any(Path(self._files[name].path).is_symlink() for name in touched):
                self._watch_directories()
            self._read(self._files if lost else touched)

    def _named(self, directory: str, name: str) -> Iterable[str]:
        """The files that something called `name` in a directory may concern: links may lead anywhere."""
        path = os.path.join(directory, name)  # noqa: PTH118
        for key, item in self._files.items():
            if os.path.abspath(item.path) == path or Path(item.path).is_symlink():  # noqa: PTH100
                yield key

    def _read(self, names: Iterable[str]) -> None:
        for name in list(names):
            value = read_number(self._files[name].path, self._log.error)
            if self._values.get(name) != value:
                self._values[name] = value
                self._changed(name, value)


def _events_of(data: bytes) -> Iterable[tuple[int, int, str]]:
    offset = 0
    while offset + _EVENT.size <= len(data):
        number, mask, _, length = _EVENT.unpack_from(data, offset)
        offset += _EVENT.size
        yield number, mask, os.fsdecode(data[offset : offset + length].rstrip(b"\0"))
        offset += length

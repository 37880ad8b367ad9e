"""Pid files: one per process, held open and locked by the parent for as long as it lives (keepalived-behaviour 3.4).

The lock, not the number inside, says whether a daemon runs: a number may be left from before a reboot or belong to
somebody else by now. The parent holds the children's files, too, so a restarted child changes only the number.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

import msgspec

from pykeepalived.model.config import GlobalDefs

RUN_DIRECTORY: Final = "/run"
#: Tries to lock a file that others replace at the same time.
_TRIES: Final = 10


class AlreadyRunning(Exception):
    """Another daemon holds the file."""


class PidPaths(msgspec.Struct, frozen=True, kw_only=True):
    """Where the files are."""

    parent: str
    vrrp: str
    checker: str


def pid_paths(
    settings: GlobalDefs,
    *,
    parent: str | None = None,
    vrrp: str | None = None,
    checker: str | None = None,
    namespace: str | None = None,
) -> PidPaths:
    """File names: those given on the command line win, then instance, namespace and `use_pid_dir` decide."""
    instance = f"_{settings.instance}" if settings.instance else ""
    directory = RUN_DIRECTORY
    if settings.use_pid_dir or instance or namespace:
        directory = f"{RUN_DIRECTORY}/keepalived"
    if namespace and not instance:
        # The original mounts a directory of that name over its run directory; seen from outside it is this path.
        directory = f"{directory}/{namespace}"
    return PidPaths(
        parent=os.path.abspath(parent or f"{directory}/keepalived{instance}.pid"),  # noqa: PTH100
        vrrp=os.path.abspath(vrrp or f"{directory}/vrrp{instance}.pid"),  # noqa: PTH100
        checker=os.path.abspath(checker or f"{directory}/checkers{instance}.pid"),  # noqa: PTH100
    )


class PidFile:
    """One locked file. Made by `acquire`; `write` sets the number, `release` removes the file."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        return self._fd is not None

    def acquire(self) -> None:
        """Create and lock the file. Raises AlreadyRunning, or OSError when it cannot be made."""
        if self._fd is not None:
            return
        parent = Path(self.path).parent
        if str(parent).startswith(f"{RUN_DIRECTORY}/keepalived"):
            parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        for _ in range(_TRIES):
            descriptor = os.open(
                self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644
            )
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                raise AlreadyRunning(self.path) from None
            # Between open and lock its last owner may have removed it: then the name means another file.
            if self._is_ours(descriptor):
                os.fchmod(descriptor, 0o644)
                self._fd = descriptor
                return
            os.close(descriptor)
        raise AlreadyRunning(self.path)

    def write(self, pid: int) -> None:
        """Replace the contents by a number; the time of the file is the time of the start."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, b"%d\n" % pid, 0)

    def release(self) -> None:
        """Remove the file, unless somebody has put another one in its place, and let go of it."""
        if self._fd is None:
            return
        if self._is_ours(self._fd):
            with contextlib.suppress(OSError):
                Path(self.path).unlink()
        os.close(self._fd)
        self._fd = None

    def _is_ours(self, descriptor: int) -> bool:
        try:
            named = Path(self.path).stat(follow_symlinks=False)
        except OSError:
            return False
        held = os.fstat(descriptor)
        return (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)

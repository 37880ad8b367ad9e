"""Pid files: one per process, held open and locked by the parent for as long as it lives (keepalived-behaviour 3.4).

The lock, not the number inside, says whether a daemon runs: a number may be left from before a reboot or belong to
somebody else by now. The parent holds the children's files, too, so a restarted child changes only the number.
"""

from __future__ import annotations

import contextlib
import errno
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
    bfd: str
    agents: str = ""
    """Ours, beside the parent's."""


def pid_paths(
    settings: GlobalDefs,
    *,
    parent: str | None = None,
    vrrp: str | None = None,
    checker: str | None = None,
    bfd: str | None = None,
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
    parent = os.path.abspath(parent or f"{directory}/keepalived{instance}.pid")  # noqa: PTH100
    return PidPaths(
        parent=parent,
        vrrp=os.path.abspath(vrrp or f"{directory}/vrrp{instance}.pid"),  # noqa: PTH100
        checker=os.path.abspath(checker or f"{directory}/checkers{instance}.pid"),  # noqa: PTH100
        bfd=os.path.abspath(bfd or f"{directory}/bfd{instance}.pid"),  # noqa: PTH100
        agents=f"{parent.removesuffix('.pid')}_agents.pid",
    )


class PidFile:
    """One locked file: `claim` makes it ours with a number in it, `release` removes it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        return self._fd is not None

    def check(self) -> None:
        """Raises AlreadyRunning when another daemon holds the file, OSError when it could not be made."""
        self._make_directory()
        descriptor = self._lock_existing()
        if descriptor is not None:
            os.close(descriptor)
        elif not os.access(Path(self.path).parent, os.W_OK):
            there = Path(self.path).parent.is_dir()
            raise OSError(errno.EACCES if there else errno.ENOENT, "Directory cannot be written", self.path)

    def claim(self, pid: int) -> None:
        """Lock the file and put a number in it; whoever sees the file sees a number in it, too.

        Its time is that of the start. A file that is held already gets the new number. Raises AlreadyRunning, OSError.
        """
        if self._fd is None:
            self._make_directory()
            for _ in range(_TRIES):
                self._fd = self._lock_existing()
                if self._fd is None:
                    self._fd = self._make(pid)
                if self._fd is not None:
                    break
            else:
                raise AlreadyRunning(self.path)
        number = b"%d\n" % pid
        os.pwrite(self._fd, number, 0)
        os.ftruncate(self._fd, len(number))

    def _make_directory(self) -> None:
        parent = Path(self.path).parent
        if f"{parent}/".startswith(f"{RUN_DIRECTORY}/keepalived/") and not parent.is_dir():
            parent.mkdir(parents=True, exist_ok=True)
            parent.chmod(0o755)

    def _lock_existing(self) -> int | None:
        """The locked descriptor of the file as it is; None: there is none."""
        for _ in range(_TRIES):
            try:
                descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            except FileNotFoundError:
                return None
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                raise AlreadyRunning(self.path) from None
            # Between open and lock its last owner may have removed it: then the name means another file, or none.
            if self._is_ours(descriptor):
                os.fchmod(descriptor, 0o644)
                return descriptor
            os.close(descriptor)
        raise AlreadyRunning(self.path)

    def _make(self, pid: int) -> int | None:
        """Make the file under another name, lock and fill it, and give it its name; None: somebody else was faster."""
        draft = f"{self.path}.{os.getpid()}"
        try:
            descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.path) from None
        try:
            os.fchmod(descriptor, 0o644)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(descriptor, b"%d\n" % pid)
            os.link(draft, self.path, follow_symlinks=False)
        except FileExistsError:
            os.close(descriptor)
            return None
        except OSError:
            os.close(descriptor)
            raise
        finally:
            Path(draft).unlink(missing_ok=True)
        return descriptor

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

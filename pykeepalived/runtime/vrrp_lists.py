"""Lists that a process keeps outside itself, so that whoever comes after it can put things right.

One file for each process, `PREFIX-NETNS-PID.journal`, with a lock that the kernel lets go when the process dies: a list
without a lock belongs to a dead process. Lists of other network namespaces are not ours to judge. The directory is on a
memory file system (/run); a list that another boot of the machine left there is void.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

_SUFFIX: Final = ".journal"
#: Lists are read up to this size.
_MAXIMUM_BYTES: Final = 8 << 20
_MAXIMUM_FILES: Final = 256


def network_namespace() -> str:
    """A name for the network namespace of this process."""
    return str(os.stat("/proc/self/ns/net").st_ino)  # noqa: PTH116 - Path.stat says the same with more words


def boot_id() -> str:
    """Another one after each start of the machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


class ListFile:
    """The file of this process among those of others."""

    def __init__(self, directory: str, prefix: str) -> None:
        self._directory = Path(directory)
        self._prefix = f"{prefix}-{network_namespace()}-"
        self.path = self._directory / f"{self._prefix}{os.getpid()}{_SUFFIX}"
        self.descriptor: int | None = None

    def open(self) -> int:
        """Make it and lock it; its descriptor, for reading and writing. Raises OSError."""
        if self.descriptor is None:
            self._directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            # A lock of the process, not of the descriptor: it does not live on in children that inherit the latter.
            fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return self.descriptor

    def close(self, *, keep: bool) -> None:
        """`keep`: leave it for the next start."""
        if self.descriptor is None:
            return
        if not keep:
            with contextlib.suppress(OSError):
                self.path.unlink()
        os.close(self.descriptor)
        self.descriptor = None

    def dead(self) -> list[tuple[Path, bytes]]:
        """The lists of dead processes that are ours to read; what is no list is the caller's to find out."""
        found = []
        try:
            paths = sorted(self._directory.glob(f"{self._prefix}*{_SUFFIX}"))[:_MAXIMUM_FILES]
        except OSError:
            return []
        for path in paths:
            if path == self.path and self.descriptor is not None:
                continue
            with contextlib.suppress(OSError):
                data = _read_dead(path)
                if data is not None:
                    found.append((path, data))
        return found


def _read_dead(path: Path) -> bytes | None:
    """The content of a list that nobody holds a lock on; None when somebody does. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return None
        if os.fstat(descriptor).st_uid != os.geteuid():
            return None
        return os.read(descriptor, _MAXIMUM_BYTES)
    finally:
        os.close(descriptor)

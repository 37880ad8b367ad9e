"""Notify FIFOs: lines for readers such as VyOS's (keepalived-behaviour 6.3).

A FIFO is created when it is absent, opened for reading and writing so that lines wait for a reader to come, and never
read. A full FIFO drops lines: nobody may block the daemon by not reading. It is unlinked at the end only when we made
it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from pykeepalived.model.common import User
from pykeepalived.vrrp.events import Notify


def vrrp_line(event: Notify) -> bytes:
    """`INSTANCE "VI_1" MASTER 110`; a group's number is always 0."""
    return f'{event.kind.value} "{event.name}" {event.state} {event.priority}\n'.encode()


def lvs_line(text: str) -> bytes:
    """A line about a virtual or real server: the original writes one NUL byte after its end, and readers expect it."""
    return f"{text}\n".encode() + b"\0"


class NotifyFifo:
    """One FIFO that we write to."""

    def __init__(self, path: str, log_error: Callable[[str], None], owner: User | None = None) -> None:
        self.path = path
        self._log_error = log_error
        self._created = False
        self._fd: int | None = None
        self._open(owner)

    @property
    def usable(self) -> bool:
        return self._fd is not None

    def write(self, line: bytes) -> None:
        """Write one line whole or not at all (a pipe write of at most PIPE_BUF is atomic)."""
        if self._fd is None or len(line) > 4096:
            return
        with contextlib.suppress(OSError):
            os.write(self._fd, line)

    def close(self) -> None:
        """Close, and remove the FIFO when we made it."""
        if self._fd is None:
            return
        os.close(self._fd)
        self._fd = None
        if self._created:
            with contextlib.suppress(OSError):
                Path(self.path).unlink()

    def _open(self, owner: User | None) -> None:
        try:
            with contextlib.suppress(FileExistsError):
                os.mkfifo(self.path, 0o644)
                self._created = True
                if owner is not None:
                    os.chown(self.path, owner.uid, owner.gid, follow_symlinks=False)
            descriptor = os.open(self.path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            self._log_error(f"Unable to open notify fifo {self.path} - {error.strerror}")
            return
        # Looked at through the descriptor: what the name means can change in between.
        found = os.fstat(descriptor)
        owners = {os.geteuid()} | ({owner.uid} if owner is not None else set())
        if not stat.S_ISFIFO(found.st_mode) or found.st_uid not in owners:
            os.close(descriptor)
            self._log_error(f"Notify fifo {self.path} is not a fifo owned by us - not using it")
            return
        self._fd = descriptor

"""What the VRRP process has made or changed in the kernel besides addresses, kept outside it.

Virtual MAC interfaces, kernel settings with their former values, tables of the packet filter. Like the list of
addresses (`vrrp_journal`) it lets whoever comes after a killed process put things right. One small JSON file for each
process, written anew at each change, with a lock that the kernel lets go when the process dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from pykeepalived.runtime.vrrp_journal import boot_id, network_namespace

_PREFIX: Final = "vrrp-links-"
_SUFFIX: Final = ".journal"
_MAXIMUM_BYTES: Final = 4 << 20
_MAXIMUM_FILES: Final = 256


class Made(msgspec.Struct):
    """The content of a list."""

    boot: str
    links: list[str] = []
    settings: dict[str, tuple[str, str]] = {}
    """By key: the value before, and the one that we wrote."""
    tables: list[str] = []
    """nftables tables of this name in the families ip and ip6."""
    iptables: list[tuple[str, ...]] = []
    """Commands that undo what was done with iptables and ipset, in their order."""


class LinksJournal:
    """The list of this process. Without a directory that can be written it does nothing but say so once."""

    def __init__(self, directory: str, log_error: Callable[[str], None]) -> None:
        self._directory = Path(directory)
        self._log_error = log_error
        self._prefix = f"{_PREFIX}{network_namespace()}-"
        self._path = self._directory / f"{self._prefix}{os.getpid()}{_SUFFIX}"
        self._fd: int | None = None
        self._failed = False

    def take_dead(self) -> list[Made]:
        """The lists of dead processes, which are deleted: their content is the caller's from now on."""
        found = []
        try:
            paths = sorted(self._directory.glob(f"{self._prefix}*{_SUFFIX}"))[:_MAXIMUM_FILES]
        except OSError:
            return []
        for path in paths:
            if path == self._path and self._fd is not None:
                continue
            with contextlib.suppress(OSError):
                made = _read_dead(path)
                if made is not None:
                    path.unlink()
                    found.append(made)
        return [made for made in found if made.boot == boot_id()]

    def write(self, made: Made) -> None:
        """Replace the content; an empty one deletes the file."""
        made.boot = boot_id()
        empty = not (made.links or made.settings or made.tables or made.iptables)
        if self._failed or (empty and self._fd is None):
            return
        try:
            if self._fd is None:
                self._directory.mkdir(mode=0o755, parents=True, exist_ok=True)
                self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            data = msgspec.json.encode(made)
            # A crash between the two leaves the newer text with a tail, or the older one: both are told apart below.
            os.pwrite(self._fd, data + b"\n", 0)
            os.ftruncate(self._fd, len(data) + 1)
        except OSError as error:
            self._failed = True
            self._log_error(f"Cannot keep the list of interfaces {self._path} - {error.strerror}")

    def close(self, *, keep: bool) -> None:
        """`keep`: leave the list for the next start (`-V`)."""
        if self._fd is None:
            return
        if not keep:
            with contextlib.suppress(OSError):
                self._path.unlink()
        os.close(self._fd)
        self._fd = None


def _read_dead(path: Path) -> Made | None:
    """A list that nobody holds a lock on; None when somebody does or it is not one. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return None
        if os.fstat(descriptor).st_uid != os.geteuid():
            return None
        data = os.read(descriptor, _MAXIMUM_BYTES)
    finally:
        os.close(descriptor)
    try:
        return msgspec.json.decode(data.partition(b"\n")[0], type=Made)
    except msgspec.DecodeError:
        return Made(boot="")

"""A list of the addresses, routes and rules that this process has put into the kernel, kept outside it.

A process that is killed cannot take its addresses away, and two machines with one address are worse than none. So each
address is written down before it is added and struck out after it was removed, and whoever starts next removes what
the list of a dead process still holds.

One file for each process, `vrrp-addresses-NETNS-PID.journal`, with a lock that the kernel lets go when the process
dies: a list without a lock belongs to a dead process. Lists of other network namespaces are not ours to judge. The
directory is on a memory file system (/run); a list that another boot of the machine left there is void.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec

_MAGIC: Final = "pykeepalived-addresses 1"
_PREFIX: Final = "vrrp-addresses-"
_SUFFIX: Final = ".journal"
#: Lists are read up to this size; ours are rewritten long before.
_MAXIMUM_BYTES: Final = 8 << 20
_REWRITE_BYTES: Final = 1 << 20
_MAXIMUM_FILES: Final = 256


class Entry(msgspec.Struct, frozen=True):
    """An address on an interface."""

    ifname: str
    address: str
    length: int

    def __str__(self) -> str:
        return f"{self.ifname} {self.address} {self.length}"


class Undo(msgspec.Struct, frozen=True):
    """A netlink request that takes a route or rule away: message type and body."""

    kind: int
    body: bytes

    def __str__(self) -> str:
        return f"{self.kind} {self.body.hex()}"


Item = Entry | Undo
_UNDO_KINDS: Final = ("25", "33")


def network_namespace() -> str:
    """A name for the network namespace of this process."""
    return str(os.stat("/proc/self/ns/net").st_ino)  # noqa: PTH116 - Path.stat says the same with more words


def boot_id() -> str:
    """Another one after each start of the machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


def parse(text: str, boot: str) -> list[Item]:
    """What a list holds in the end. Lines that make no sense are passed over: it may end in the middle of one."""
    lines = text.split("\n")
    if lines[0] != f"{_MAGIC} {boot}":
        return []
    held: dict[Item, None] = {}
    for line in lines[1:]:
        item = _item(line[2:].split(" "))
        if item is not None and line[:2] == "+ ":
            held[item] = None
        elif item is not None and line[:2] == "- ":
            held.pop(item, None)
    return list(held)


def _item(words: list[str]) -> Item | None:
    match words:
        case [ifname, address, length] if length.isdecimal() and len(length) <= 3:
            return Entry(ifname, address, int(length))
        case [kind, body] if kind in _UNDO_KINDS:
            with contextlib.suppress(ValueError):
                return Undo(int(kind), bytes.fromhex(body))
    return None


class Journal:
    """The list of this process. Without a directory that can be written it does nothing but say so once."""

    def __init__(self, directory: str, log_error: Callable[[str], None]) -> None:
        self._directory = Path(directory)
        self._log_error = log_error
        self._prefix = f"{_PREFIX}{network_namespace()}-"
        self._path = self._directory / f"{self._prefix}{os.getpid()}{_SUFFIX}"
        self._fd: int | None = None
        self._size = 0
        self._held: dict[Item, None] = {}

    def leftovers(self) -> list[Item]:
        """What lists of dead processes hold. The lists stay until `open`: call that when the addresses are gone."""
        found: dict[Item, None] = {}
        for _, entries in self._dead():
            found.update(dict.fromkeys(entries))
        return list(found)

    def open(self) -> None:
        """Begin our own list and delete those of dead processes."""
        for path, _ in self._dead():
            with contextlib.suppress(OSError):
                path.unlink()
        try:
            self._directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            # A lock of the process, not of the descriptor: it does not live on in children that inherit the latter.
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._rewrite()
        except OSError as error:
            self._give_up(error)

    def note(self, *, added: Iterable[Item] = (), removed: Iterable[Item] = ()) -> None:
        """Write down what is about to be added, or was removed."""
        lines = []
        for entry in removed:
            if entry in self._held:
                del self._held[entry]
                lines.append(f"- {entry}\n")
        for entry in added:
            if entry not in self._held:
                self._held[entry] = None
                lines.append(f"+ {entry}\n")
        if not lines or self._fd is None:
            return
        try:
            if self._size > _REWRITE_BYTES:
                self._rewrite()
                return
            data = "".join(lines).encode()
            os.write(self._fd, data)
            self._size += len(data)
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """End the list: delete it when it is empty, leave it for the next start otherwise (`-V`)."""
        if self._fd is None:
            return
        if not self._held:
            with contextlib.suppress(OSError):
                self._path.unlink()
        os.close(self._fd)
        self._fd = None

    def _rewrite(self) -> None:
        assert self._fd is not None
        text = "".join([f"{_MAGIC} {boot_id()}\n", *(f"+ {entry}\n" for entry in self._held)]).encode()
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        os.write(self._fd, text)
        self._size = len(text)

    def _give_up(self, error: OSError) -> None:
        self._log_error(f"Cannot keep the list of addresses {self._path} - {error.strerror}")
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _dead(self) -> list[tuple[Path, list[Item]]]:
        found = []
        try:
            paths = sorted(self._directory.glob(f"{self._prefix}*{_SUFFIX}"))[:_MAXIMUM_FILES]
        except OSError:
            return []
        for path in paths:
            with contextlib.suppress(OSError):
                entries = _read_dead(path)
                if entries is not None:
                    found.append((path, entries))
        return found


def _read_dead(path: Path) -> list[Item] | None:
    """The entries of a list that nobody holds a lock on; None when somebody does. Raises OSError."""
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
    return parse(data.decode("utf-8", "replace"), boot_id())

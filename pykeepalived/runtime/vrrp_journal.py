"""A list of the addresses, routes and rules that this process has put into the kernel, kept outside it.

A process that is killed cannot take its addresses away, and two machines with one address are worse than none. So each
address is written down before it is added and struck out after it was removed, and whoever starts next removes what
the list of a dead process still holds (`vrrp_lists`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from pykeepalived.runtime.vrrp_lists import ListFile, boot_id

_MAGIC: Final = "pykeepalived-addresses 1"
#: A list that has grown beyond this is written anew, with what it holds alone.
_REWRITE_BYTES: Final = 1 << 20


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
        self._file = ListFile(directory, "vrrp-addresses")
        self._log_error = log_error
        self._size = 0
        self._held: dict[Item, None] = {}

    def leftovers(self) -> list[Item]:
        """What lists of dead processes hold. The lists stay until `open`: call that when the addresses are gone."""
        found: dict[Item, None] = {}
        for _, data in self._file.dead():
            found.update(dict.fromkeys(parse(data.decode("utf-8", "replace"), boot_id())))
        return list(found)

    def open(self) -> None:
        """Begin our own list and delete those of dead processes."""
        for path, _ in self._file.dead():
            with contextlib.suppress(OSError):
                path.unlink()
        try:
            self._rewrite(self._file.open())
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
        descriptor = self._file.descriptor
        if not lines or descriptor is None:
            return
        try:
            if self._size > _REWRITE_BYTES:
                self._rewrite(descriptor)
                return
            data = "".join(lines).encode()
            os.write(descriptor, data)
            self._size += len(data)
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """End the list: delete it when it is empty, leave it for the next start otherwise (`-V`)."""
        self._file.close(keep=bool(self._held))

    def _rewrite(self, descriptor: int) -> None:
        text = "".join([f"{_MAGIC} {boot_id()}\n", *(f"+ {entry}\n" for entry in self._held)]).encode()
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, text)
        self._size = len(text)

    def _give_up(self, error: OSError) -> None:
        self._log_error(f"Cannot keep the list of addresses {self._file.path} - {error.strerror}")
        self._file.close(keep=True)

"""What the VRRP process has made or changed in the kernel besides addresses, kept outside it (`vrrp_lists`).

Virtual MAC interfaces, kernel settings with their former values, tables of the packet filter. One small JSON text,
written anew at each change.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

import msgspec

from pykeepalived.runtime.vrrp_lists import ListFile, boot_id


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
        self._file = ListFile(directory, "vrrp-links")
        self._log_error = log_error
        self._failed = False

    def take_dead(self) -> list[Made]:
        """The lists of dead processes, which are deleted: their content is the caller's from now on."""
        found = []
        for path, data in self._file.dead():
            with contextlib.suppress(OSError):
                path.unlink()
                found.append(_decoded(data))
        return [made for made in found if made.boot == boot_id()]

    def write(self, made: Made) -> None:
        """Replace the content; nothing is written as long as there is nothing to write down."""
        made.boot = boot_id()
        empty = not (made.links or made.settings or made.tables or made.iptables)
        if self._failed or (empty and self._file.descriptor is None):
            return
        try:
            descriptor = self._file.open()
            data = msgspec.json.encode(made)
            # A crash between the two leaves the newer text with a tail, or the older one: both are told apart below.
            os.pwrite(descriptor, data + b"\n", 0)
            os.ftruncate(descriptor, len(data) + 1)
        except OSError as error:
            self._failed = True
            self._log_error(f"Cannot keep the list of interfaces {self._file.path} - {error.strerror}")

    def close(self, *, keep: bool) -> None:
        """`keep`: leave the list for the next start (`-V`)."""
        self._file.close(keep=keep)


def _decoded(data: bytes) -> Made:
    try:
        return msgspec.json.decode(data.partition(b"\n")[0], type=Made)
    except msgspec.DecodeError:
        return Made(boot="")

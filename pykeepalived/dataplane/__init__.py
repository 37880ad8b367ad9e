"""Dataplanes: what makes a kernel balance. One file each: ipvs (pyroute2), nftables, memory (the tests' fake).

All pass one contract test (`tests/dataplane/contract.py`) and one traffic test.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

import msgspec

from pykeepalived.lvs.table import DestinationKey, Operation, ServiceKey, Table


class Failure(msgspec.Struct, frozen=True):
    """An operation that the kernel refused. `name` is counter, log word and test id."""

    operation: Operation
    name: str
    text: str


class Counters(msgspec.Struct, frozen=True):
    """Kernel counters of one destination since it was added."""

    connections: int = 0
    packets_in: int = 0
    packets_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    active_connections: int = 0
    inactive_connections: int = 0
    persistent_connections: int = 0


class DataplaneUnavailable(Exception):
    """This kernel cannot do it; the text says what is missing."""


class Dataplane(Protocol):
    """Applies operations to a kernel table and reads it back. Calls block (they are short) and are not re-entrant."""

    name: str

    def unsupported(self, table: Table) -> list[tuple[ServiceKey, str]]:
        """What of `table` this dataplane cannot do, with the reason in words, before anything is applied."""
        ...

    def snapshot(self) -> Table:
        """The table as the kernel has it, other programs' entries included."""
        ...

    def apply(self, operations: Sequence[Operation]) -> list[Failure]:
        """Apply in order, in as few messages as possible; a refused operation does not stop the later ones."""
        ...

    counts_in_parts: bool
    """Counters of some services cost what those services cost, not what the whole table does."""

    def counters(self, keys: Collection[ServiceKey] | None = None) -> dict[tuple[ServiceKey, DestinationKey], Counters]:
        """Of all services, or of some. Raises OSError when the kernel does not tell."""
        ...

    def connections(
        self, places: Iterable[tuple[ServiceKey, DestinationKey]]
    ) -> dict[tuple[ServiceKey, DestinationKey], int]:
        """Open connections of these destinations: established ones of TCP, all of other protocols; none: 0 or left out.

        Raises OSError when the kernel does not tell.
        """
        ...

    def close(self) -> None: ...

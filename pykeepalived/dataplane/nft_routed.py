"""The table of direct routing as a whole: when it comes and goes, and what of it outlives its services.

Connections that are routed directly are not in connection tracking, so what stays of a service that goes is the map of
its connections, with their times, and the chain that sends a known one to its server. Its other chain shrinks to the
question whether a packet belongs to a known connection: nothing new is balanced. As the map stays in its place, a
service that comes back, with the next start of the daemon above all, finds its connections where they were.

Datagrams have no connections: their services leave nothing. With `lvs_nftables_removed reset`, and after
`lvs_flush_on_stop`, nothing stays of any. What a service has left that does not come back is removed when services
come or go and none of its connections is open any more.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from pykeepalived.dataplane.libnftables import NftError, Runner
from pykeepalived.dataplane.nft_devices import entrances, towards
from pykeepalived.dataplane.nft_direct import (
    PLACE,
    direct_change,
    direct_skeleton,
    flows_of,
    forgotten,
    is_direct,
    lingers,
)
from pykeepalived.dataplane.nft_names import word_of
from pykeepalived.dataplane.nft_read import elements, key_values, service_key
from pykeepalived.lvs.table import ServiceKey, Table
from pykeepalived.model.common import Family

DELETION: Final = f"add table {PLACE}\ndelete table {PLACE}\n"


class RoutedTable:
    """What the kernel holds of direct routing, and the commands that change it."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._entrances: list[tuple[int, str]] = []
        """Interfaces with the hook."""
        self._held: set[ServiceKey] | None = None
        """Services with a map of connections in the kernel, balanced or left over; None: to be read."""

    def forget(self) -> None:
        """What the kernel holds is uncertain: it is read again before the next change."""
        self._entrances = []
        self._held = None

    def changes(self, keys: Sequence[ServiceKey], before: Table, after: Table, *, reset: bool) -> str:
        """Commands for these services. Raises OSError when no interface leads to a server."""
        concerned = [key for key in keys if is_direct(before.get(key)) or is_direct(after.get(key))]
        if not concerned:
            return ""
        held = self._read()
        lines = list(self._fresh_counters(concerned, before, after))
        taken_over = any(key in held and not is_direct(before.get(key)) for key in concerned)
        ways = self._ways() if taken_over else {}
        for key in concerned:
            entry = after.get(key)
            now = is_direct(entry)
            devices = {kept.address: towards(kept.address) for kept in entry.destinations} if now and entry else {}
            left = ways if key in held and not is_direct(before.get(key)) else None
            lines += direct_change(key, before.get(key), entry, devices, drain=not reset, left=left)
            if now or lingers(key, drain=not reset):
                held.add(key)
            else:
                held.discard(key)
        if any(is_direct(entry) for entry in after.values()):
            if (found := entrances()) != self._entrances:
                lines.insert(0, direct_skeleton(found))
                self._entrances = found
        elif not held:
            self._entrances = []
            return DELETION
        return "".join(f"{line}\n" for line in lines)

    def tidy(self, keys: Iterable[ServiceKey], before: Table, after: Table, *, reset: bool) -> None:
        """Once services have come or gone: remove what others have left that serves nobody any more."""
        if self._held == set() or all(key in before and key in after for key in keys):
            return
        held = self._read()
        # What has been balanced until now may yet be about to go.
        left = [key for key in held if not is_direct(before.get(key)) and not is_direct(after.get(key))]
        ended = [key for key in left if reset or not any(elements(self._runner, "map", PLACE, flows_of(key)))]
        # It is in nobody's way where that fails.
        with contextlib.suppress(NftError):
            if ended and len(ended) == len(held):
                self._runner.run(DELETION)
                self.forget()
            elif ended:
                self._runner.run("".join(f"{line}\n" for key in ended for line in forgotten(key)))
                held.difference_update(ended)

    def _fresh_counters(self, concerned: Iterable[ServiceKey], before: Table, after: Table) -> Iterator[str]:
        """Services that come back count from 0: those that were left over have been counting on."""
        for family in {key.family for key in concerned if is_direct(after.get(key))}:
            if self._held and not any(key.family is family and is_direct(entry) for key, entry in before.items()):
                yield from (f"flush set {PLACE} {name}_{word_of(family)}" for name in ("opened", "inbound"))

    def _ways(self) -> dict[int, int]:
        """The interface index towards each destination, by its number, as the kernel has it; 0: a lost interface's."""
        indices = {name: number for number, name in socket.if_nameindex()}
        found = elements(self._runner, "map", PLACE, "ways", values=True)
        return {body["val"]: indices.get(str(device), 0) for device, body in found if isinstance(body.get("val"), int)}

    def _read(self) -> set[ServiceKey]:
        if self._held is None:
            self._held = set()
            for family in Family:
                for name in ("services", "all_ports"):
                    for value, _ in elements(self._runner, "map", PLACE, f"{name}_{word_of(family)}"):
                        key = service_key(family, key_values(value))
                        if key is not None:
                            self._held.add(key)
        return self._held

"""What a reload takes out of the table, kept by the parent until it is out.

Whoever dies between reading a new file and writing the table leaves services and destinations behind which the new file
does not name. A successor that reads only that file would take them for somebody else's and leave them, with a weight
and without a check. So the parent is told first, and a successor takes out what is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from pykeepalived.lvs.desired import named_destinations
from pykeepalived.lvs.names import ServiceRef
from pykeepalived.lvs.pool import Pool
from pykeepalived.lvs.table import DeleteDestination, DeleteService, ServiceKey, Table
from pykeepalived.model.config import Config
from pykeepalived.runtime.lvs_table import TableKeeper
from pykeepalived.runtime.program import Context

_FACT: Final = "departing"
#: More than this is not remembered: the frame to the parent would take longer than the change.
_MOST: Final = 5000
_LIST: Final = list[DeleteService | DeleteDestination]


def leaving(
    pools: Mapping[str, Pool], keys: Mapping[str, Sequence[ServiceKey]], refs: Mapping[str, ServiceRef]
) -> list[DeleteService | DeleteDestination]:
    """What a new configuration does not name of what the present one names. `keys`: the services of each pool."""
    found: list[DeleteService | DeleteDestination] = []
    for name, pool in pools.items():
        ref = refs.get(name)
        if ref is None:
            found += map(DeleteService, keys[name])
        elif ref.server is not pool.service.server:
            stay = {place for place, _ in named_destinations(ref.server)}
            gone = [place for place, _ in named_destinations(pool.service.server) if place not in stay]
            found += (DeleteDestination(key, place) for key in keys[name] for place in gone)
    return found


class Departures:
    """Of one checker process."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._remembered = _FACT in context.memory

    def begin(self, leaving: Sequence[DeleteService | DeleteDestination]) -> None:
        """Before anything of a reload is told or applied."""
        if leaving and len(leaving) <= _MOST:
            self._remembered = True
            self._context.remember({_FACT: msgspec.json.encode(leaving).decode()})

    def end(self, keeper: TableKeeper) -> None:
        """After them. What the kernel refused stays remembered."""
        if self._remembered and not keeper.refused:
            self._remembered = False
            self._context.remember({_FACT: ""})

    def bury(self, keeper: TableKeeper, found: Table) -> None:
        """At a start: take out what a predecessor was about to take out, as far as nobody wants it again."""
        try:
            left = msgspec.json.decode(self._context.memory.get(_FACT, "[]"), type=_LIST)
        except msgspec.DecodeError:
            return
        for item in left:
            if isinstance(item, DeleteDestination):
                keeper.purge(item.key, (item.destination_key,))
            elif item.key in found and keeper.wanted(item.key) is None:
                keeper.take_over(item.key, found[item.key])


def same_but_servers(old: Config, new: Config) -> bool:
    """Whether what stays of the virtual servers means the same as before."""
    return msgspec.structs.replace(old, virtual_servers=()) == msgspec.structs.replace(new, virtual_servers=())

"""`nftables_ipvs`: one service per firewall mark stands for all the addresses of a virtual server group.

Each virtual server of a group of addresses gets a mark of its own, from `nftables_ipvs_start_fwmark` on, and keeps it
as long as it is configured; the kernel marks the packets to its addresses (`netio.packet_marks`). A group with an entry
that is a mark already is served entry by entry, as without the word (seen with keepalived 2.2.7 and 2.4.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address

import msgspec

from pykeepalived.lvs.desired import service_keys
from pykeepalived.lvs.names import ServiceRef
from pykeepalived.lvs.table import ServiceKey
from pykeepalived.model.common import Family, family_of
from pykeepalived.model.lvs import GroupAddress, GroupSelector, Protocol, VirtualServerGroup

#: Marks are 32 bits; beyond the last the first free one is looked for.
_LAST_MARK = 2**32 - 1


class Span(msgspec.Struct, frozen=True):
    """Packets of one protocol to addresses from `first` to `last`, all of one family. `port` 0: to all ports."""

    protocol: Protocol
    first: str
    last: str
    port: int
    mark: int

    @property
    def family(self) -> Family:
        return family_of(self.first)


class Marks:
    """Which virtual server has which mark. `first`: None: none has one, all is served address by address."""

    def __init__(self, first: int | None) -> None:
        self._first = first
        self._marks: dict[str, int] = {}
        self._entries: dict[str, tuple[ServiceRef, list[GroupAddress]]] = {}

    def keys(self, ref: ServiceRef, groups: Sequence[VirtualServerGroup]) -> list[ServiceKey]:
        """The kernel services of a virtual server; from now on its packets are marked, if it is one of a group."""
        addresses = self._addresses(ref, groups)
        if self._first is None or not addresses:
            self.forget(ref.key)
            return service_keys(ref.server, groups)
        mark = self._marks.setdefault(ref.key, self._free(self._first))
        self._entries[ref.key] = (ref, addresses)
        families = {family_of(item.first): None for item in addresses}
        return [ServiceKey.for_mark(mark, family) for family in families]

    def forget(self, key: str) -> None:
        self._marks.pop(key, None)
        self._entries.pop(key, None)

    def spans(self) -> list[Span]:
        """What is to be marked; nothing twice: an address that two virtual servers name belongs to the first."""
        taken: dict[tuple[Protocol, Family, int], list[tuple[int, int]]] = {}
        found: list[Span] = []
        for key, (ref, addresses) in self._entries.items():
            protocol = ref.server.protocol or Protocol.UDP
            for item in addresses:
                first, last = ip_address(item.first), ip_address(item.last)
                if first.version != last.version:
                    continue
                before = taken.setdefault((protocol, family_of(item.first), item.port), [])
                for start, end in _rest(int(first), int(last), before):
                    ends = (str(type(first)(start)), str(type(first)(end)))
                    found.append(Span(protocol, *ends, item.port, self._marks[key]))
                    before.append((start, end))
        return found

    def _addresses(self, ref: ServiceRef, groups: Iterable[VirtualServerGroup]) -> list[GroupAddress]:
        selector = ref.server.selector
        if not isinstance(selector, GroupSelector):
            return []
        entries = [entry for group in groups if group.name == selector.name for entry in group.entries]
        addresses = [entry for entry in entries if isinstance(entry, GroupAddress)]
        return addresses if len(addresses) == len(entries) else []

    def _free(self, first: int) -> int:
        used = set(self._marks.values())
        following = max(used, default=first - 1) + 1
        if following <= _LAST_MARK:
            return following
        return next(mark for mark in range(first, _LAST_MARK) if mark not in used)


def _rest(start: int, end: int, taken: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What of a range no other one covers."""
    pieces = [(start, end)]
    for low, high in taken:
        pieces = [
            piece
            for one, two in pieces
            for piece in ((one, min(two, low - 1)), (max(one, high + 1), two))
            if piece[0] <= piece[1]
        ]
    return list(dict.fromkeys(pieces))

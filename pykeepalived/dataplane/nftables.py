"""Load balancing by nftables alone, for kernels without IPVS: destination NAT chosen per new connection.

docs/dataplanes.md says what it does as IPVS does, what it does otherwise and what it cannot do; the same in words for
one service: `unsupported` and `remarks`. Direct routing is in `nft_direct`, limits and one-packet scheduling in
`nft_special`, the picture of the table in `nft_skeleton`.

Only tables named `pykeepalived_lvs` and `pykeepalived_linger` are touched. One `apply` is one transaction per family; a
table that has become empty is removed; `nft_linger` and `nft_routed` tell what stays in its place.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence

from pykeepalived.dataplane import Counters, Failure
from pykeepalived.dataplane.conntrack import Flow, forget, translated
from pykeepalived.dataplane.libnftables import NftError, Runner, open_runner
from pykeepalived.dataplane.memory import MemoryDataplane
from pykeepalived.dataplane.nft_direct import PLACE, is_direct
from pykeepalived.dataplane.nft_generation import WatchedRunner
from pykeepalived.dataplane.nft_linger import linger, no_linger
from pykeepalived.dataplane.nft_listing import direct_connections
from pykeepalived.dataplane.nft_names import COUNTED, guard_of, member_of, table_of
from pykeepalived.dataplane.nft_options import Options
from pykeepalived.dataplane.nft_read import families, read_counters, read_table
from pykeepalived.dataplane.nft_routed import RoutedTable
from pykeepalived.dataplane.nft_skeleton import skeleton
from pykeepalived.dataplane.nft_special import limit_skeleton, ops_skeleton
from pykeepalived.dataplane.nft_text import change, needs_places
from pykeepalived.lvs.abilities import SUPPORTED, nftables_refusals, nftables_remarks
from pykeepalived.lvs.table import DestinationKey, Entry, Operation, ServiceKey, Table
from pykeepalived.model.common import Family

_UDP = 17


class NftablesDataplane:
    """Balances by a table of our own in this network namespace.

    Raises `DataplaneUnavailable` when nftables does not work here.
    """

    name = "nftables"
    counts_in_parts = False

    def __init__(self, runner: Runner | None = None, options: Options | None = None) -> None:
        self._runner = WatchedRunner(runner or open_runner())
        self._options = options or Options()
        self._ready: set[tuple[Family, str]] = set()
        """Which parts of the table exist: the common part, places, one-packet scheduling."""
        self._routed = RoutedTable(self._runner)
        self._held = MemoryDataplane(SUPPORTED)
        self._held.table = self._read()

    def unsupported(self, table: Table) -> list[tuple[ServiceKey, str]]:
        return [(key, refusal.reason) for key, entry in table.items() for refusal in nftables_refusals(key, entry)]

    def remarks(self, table: Table) -> list[tuple[ServiceKey, str]]:
        """What is done otherwise than the file says, in words."""
        return [(key, remark) for key, entry in table.items() for remark in nftables_remarks(entry)]

    def snapshot(self) -> Table:
        number = self._runner.number()
        self._held.table = self._read()
        self._routed.forget()
        self._runner.seen_whole(number)
        return self._held.snapshot()

    def unchanged(self) -> bool:
        """Whether the table is certainly as the last snapshot and our own operations since then have left it."""
        return self._runner.unchanged()

    def configure(self, options: Options) -> None:
        """Change the options; existing tables follow."""
        if options.masquerade != self._options.masquerade:
            self._ready = {part for part in self._ready if part[1] != "common"}
            self._options = options
            for family in self._families():
                self._runner.run(self._skeletons(family, {}, []))
                self._ready.add((family, "common"))
        self._options = options

    def apply(self, operations: Sequence[Operation]) -> list[Failure]:
        before = self._held.table
        self._held.table = dict(before)
        failures: list[Failure] = []
        accepted: list[Operation] = []
        copied: set[ServiceKey] = set()
        for operation in operations:
            entry = self._held.table.get(operation.key)
            if entry is not None and operation.key not in copied:
                # The entries before this call are needed to tell what changed.
                self._held.table[operation.key] = Entry(entry.service, dict(entry.destinations))
            copied.add(operation.key)
            refused = self._held.apply([operation])
            failures += refused
            if not refused:
                accepted.append(operation)
        self._held.applied.clear()
        changed = dict.fromkeys(operation.key for operation in accepted)
        for key in list(changed):
            entry = self._held.table.get(key)
            if entry is not None and (why := next(nftables_refusals(key, entry), None)) is not None:
                failures += [Failure(each, "unsupported", why.reason) for each in accepted if each.key == key]
                _put(self._held.table, key, before.get(key))
                del changed[key]
        for family in (Family.INET, Family.INET6):
            keys = [key for key in changed if key.family is family]
            if keys:
                failures += self._commit(family, keys, before, accepted)
        return failures

    def counters(self, keys: Collection[ServiceKey] | None = None) -> dict[tuple[ServiceKey, DestinationKey], Counters]:
        table = self._held.table
        wanted = table if keys is None else {key: table[key] for key in keys if key in table}
        return read_counters(self._runner, self._families(), wanted)

    def flush(self) -> None:
        """Remove everything of ours (lvs_flush)."""
        for place in (*(table_of(family) for family in Family), PLACE):
            self._runner.run(f"add table {place}\ndelete table {place}\n")
        self._runner.run("".join(no_linger(family) for family in Family))
        self._ready.clear()
        self._routed.forget()
        self._held.table = {}

    def connections(
        self, places: Iterable[tuple[ServiceKey, DestinationKey]]
    ) -> dict[tuple[ServiceKey, DestinationKey], int]:
        """From connection tracking; those of a mark are told by the real server alone. DR's from its own maps."""
        wanted = dict.fromkeys(places, 0)
        routed = {key: entry for key, entry in self._held.table.items() if is_direct(entry)}
        asked = {key: routed[key] for key, _ in wanted if key in routed}
        for place, active, _ in direct_connections(self._runner, asked):
            if place in wanted:
                wanted[place] += active
        marks = {key for key, _ in wanted if key.fwmark}
        for family in {key.family for key, _ in wanted if key not in asked}:
            for flow in translated(family, {kept.address for key, kept in wanted if key.family is family}):
                if not flow.established:
                    continue
                kept = DestinationKey(flow.answers, flow.answers_port)
                named = (ServiceKey(family, flow.protocol, flow.called, port) for port in {flow.called_port, 0})
                for place in ((key, kept) for key in (*named, *marks)):
                    if place in wanted:
                        wanted[place] += 1
        return wanted

    def close(self) -> None:
        """Let go of nftables; the table stays in the kernel."""
        self._runner.close()

    # ---- writing ----

    def _commit(
        self, family: Family, keys: Sequence[ServiceKey], before: Table, accepted: Iterable[Operation]
    ) -> list[Failure]:
        try:
            self._run_changes(family, keys, before)
            return []
        except OSError as error:
            first = str(error)
        # All or nothing: one service at a time finds the one that is refused.
        failures: list[Failure] = []
        self._ready = {part for part in self._ready if part[0] is not family}
        self._routed.forget()
        for key in keys:
            text = first
            if len(keys) > 1:
                try:
                    self._run_changes(family, [key], before)
                    continue
                except OSError as error:
                    text = str(error)
                    self._routed.forget()
            failures += [Failure(operation, "refused", text) for operation in accepted if operation.key == key]
            _put(self._held.table, key, before.get(key))
        if failures:
            # The kernel may hold something else than we believe.
            self._held.table = self._read()
        return failures

    def _run_changes(self, family: Family, keys: Sequence[ServiceKey], before: Table) -> None:
        after = self._held.table
        text = self._routed.changes(keys, before, after, reset=self._options.reset_removed)
        if not any(key.family is family for key in after):
            self._runner.run(text + self._end_of(family))
            self._ready = {part for part in self._ready if part[0] is not family}
            self._routed.tidy(keys, before, after, reset=self._options.reset_removed)
            self._break_flows(family, keys, before, after)
            return
        text = self._skeletons(family, after, keys) + text
        text += "".join(change(key, before.get(key), after.get(key)) for key in keys)
        self._runner.run(text)
        self._ready |= {(family, part) for part in self._parts(after, keys)}
        self._routed.tidy(keys, before, after, reset=self._options.reset_removed)
        self._forget_counters(family, keys, before, after)
        self._break_flows(family, keys, before, after)

    def _end_of(self, family: Family) -> str:
        if self._options.reset_removed:
            return f"{no_linger(family)}add table {table_of(family)}\ndelete table {table_of(family)}\n"
        return linger(family)

    def _parts(self, after: Table, keys: Sequence[ServiceKey]) -> list[str]:
        entries = [after.get(key) for key in keys]
        parts = ["common"]
        parts += ["places"] if any(needs_places(entry) for entry in entries) else []
        one_packet = any(entry is not None and entry.service.one_packet for entry in entries)
        return [*parts, *(["ops"] if one_packet else [])]

    def _skeletons(self, family: Family, after: Table, keys: Sequence[ServiceKey]) -> str:
        texts = []
        for part in self._parts(after, keys):
            if (family, part) not in self._ready:
                if part == "common":
                    texts.append(skeleton(family, masquerade=self._options.masquerade) + no_linger(family))
                else:
                    texts.append(limit_skeleton(family) if part == "places" else ops_skeleton(family))
        return "".join(texts)

    # ---- what a removed destination leaves ----

    def _forget_counters(self, family: Family, keys: Sequence[ServiceKey], before: Table, after: Table) -> None:
        """A destination that comes again counts from 0. Whether a counter exists is not known: added, it does."""
        place = table_of(family)
        for key, gone in _removed(keys, before, after):
            if key.fwmark:
                continue
            for kept in gone:
                exact = member_of(key, DestinationKey(kept.address, kept.port or key.port))
                element, suffix = (exact, "") if key.port else (guard_of(key, kept), "_all")
                commands = [
                    f"{word} element {place} {name}{suffix} {{ {element} }}"
                    for name in COUNTED
                    for word in ("add", "delete")
                ]
                with contextlib.suppress(NftError):
                    self._runner.run("\n".join(commands) + "\n")

    def _break_flows(self, family: Family, keys: Sequence[ServiceKey], before: Table, after: Table) -> None:
        """Take removed destinations out of connection tracking: UDP's always, as nothing else ends them."""
        broken: dict[tuple[int, str, int, str, int], None] = {}
        marked: set[tuple[str, int]] = set()
        for key, gone in _removed(keys, before, after):
            if key.protocol not in {_UDP, 0} and not self._options.reset_removed:
                continue
            for kept in gone:
                if key.fwmark:
                    marked.add((kept.address, kept.port))
                else:
                    broken[key.protocol, key.address, key.port, kept.address, kept.port or key.port] = None
        if not broken and not marked:
            return

        def chosen(flow: Flow) -> bool:
            called = (flow.protocol, flow.called)
            answers = (flow.answers, flow.answers_port)
            if (*called, flow.called_port, *answers) in broken or (*called, 0, flow.answers, 0) in broken:
                return True
            if answers not in marked and (flow.answers, 0) not in marked:
                return False
            others = (ServiceKey(family, *called, port) for port in (flow.called_port, 0))
            whole = flow.protocol == _UDP or self._options.reset_removed
            return whole and not any(key in after for key in others)

        addresses = {place[3] for place in broken} | {address for address, _ in marked}
        # Without ctnetlink the connections end by their time limits.
        with contextlib.suppress(OSError):
            forget(family, addresses, chosen)

    # ---- reading ----

    def _families(self) -> list[Family]:
        return families(self._runner)

    def _read(self) -> Table:
        present = self._families()
        self._ready = {part for part in self._ready if part[0] in present}
        return read_table(self._runner, present)


def _removed(
    keys: Iterable[ServiceKey], before: Mapping[ServiceKey, Entry], after: Mapping[ServiceKey, Entry]
) -> list[tuple[ServiceKey, list[DestinationKey]]]:
    """The destinations that have gone, of each service."""
    found = []
    for key in keys:
        old, new = before.get(key), after.get(key)
        kept_now = new.destinations if new is not None else {}
        gone = [kept for kept in old.destinations if kept not in kept_now] if old is not None else []
        if gone:
            found.append((key, gone))
    return found


def _put(table: Table, key: ServiceKey, entry: Entry | None) -> None:
    if entry is None:
        table.pop(key, None)
    else:
        table[key] = entry

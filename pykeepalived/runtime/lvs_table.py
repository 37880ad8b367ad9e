"""Keeps the kernel's table as wanted: batches per turn of the loop, retries with names, repairs drift.

Start, reload, crash, refusal and drift are one path: read what is there, compare, apply the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from pykeepalived.dataplane import Dataplane, Failure
from pykeepalived.lvs.events import DriftRepaired, LvsEvent, OperationRefused
from pykeepalived.lvs.reconcile import Reconciler, describe
from pykeepalived.lvs.table import Destination, DestinationKey, Entry, Operation, ServiceKey, Table
from pykeepalived.reactor import Reactor, Timer
from pykeepalived.units import MILLISECOND_US, SECOND_US

_FIRST_RETRY_US: Final = SECOND_US
_LAST_RETRY_US: Final = 60 * SECOND_US
#: After a transaction the next one waits this many times as long as that one took, but never longer than `_REST_US`:
#: while thousands of servers change state, the dataplane takes a tenth of the process at most.
_REST_TIMES: Final = 10
_REST_US: Final = 200 * MILLISECOND_US
#: A drift check reads the table in pieces of about this many destinations, so that no check waits for it.
_DRIFT_PIECE: Final = 100
_DRIFT_PAUSE_US: Final = 100 * MILLISECOND_US


class TableKeeper:
    """The only writer of the dataplane."""

    def __init__(
        self, reactor: Reactor, dataplane: Dataplane, tell: Callable[[LvsEvent], None], drift_interval_us: int
    ) -> None:
        self._reactor = reactor
        self._dataplane = dataplane
        self._tell = tell
        self._drift_interval_us = drift_interval_us
        self._reconciler = Reconciler()
        self._changed: dict[ServiceKey, None] = {}
        self._refused: dict[ServiceKey, int] = {}
        """Keys with a refused operation, with the number of attempts."""
        self._flush_timer: Timer | None = None
        self._rest_until_us = 0
        self._retry_timer: Timer | None = None
        self._drift_timer: Timer | None = None
        self._drift_left: list[ServiceKey] = []
        self._leaves_absent = False
        self._absent: set[tuple[ServiceKey, DestinationKey]] = set()
        """Destinations with weight 0 that somebody took out, and that stay out until they have a weight again."""
        self.operations_done = 0
        self.operations_refused = 0
        self.drift_repairs = 0

    # ---- what is wanted ----

    def want(self, key: ServiceKey, entry: Entry, named: Iterable[DestinationKey]) -> None:
        """Hold this from the next turn on. `named`: destinations that are ours though they may not be held now."""
        if self._absent:
            entry = self._without_absent(key, entry)
        self._reconciler.want(key, entry)
        self._reconciler.name(key, named)
        self._touch(key)

    def leave_absent(self, wanted: bool) -> None:
        """ldirectord's `readdquiescent=no`: a dead server that an operator takes out by hand is not put back.

        Whoever is out comes back with the next call: a reload begins anew.
        """
        self._leaves_absent = wanted
        self._absent.clear()

    def unwant(self, key: ServiceKey) -> None:
        self._reconciler.unwant(key)
        self._touch(key)

    def forget(self, key: ServiceKey) -> None:
        """Leave the service in the kernel and stop knowing it."""
        self._reconciler.forget(key)
        self._changed.pop(key, None)
        self._refused.pop(key, None)

    def wanted(self, key: ServiceKey) -> Entry | None:
        return self._reconciler.wanted.get(key)

    # ---- what is there ----

    def read(self) -> Table:
        """The kernel's table, other programs' entries included. Raises OSError."""
        return self._dataplane.snapshot()

    def adopt(self, found: Table) -> None:
        """Take what an earlier run left under our names for ours."""
        self._reconciler.learn(found)

    def foreign(self, key: ServiceKey) -> list[DestinationKey]:
        return self._reconciler.foreign(key)

    def purge(self, key: ServiceKey, destinations: Iterable[DestinationKey]) -> None:
        """Take destinations that no configuration named for ours, so that they are removed."""
        self._reconciler.name(key, destinations)
        self._touch(key)

    def take_over(self, key: ServiceKey, found: Entry) -> None:
        """Take a service that a predecessor was about to remove for ours, so that it is removed."""
        self._reconciler.name(key, found.destinations)
        self._reconciler.learn({key: found}, (key,))
        self._touch(key)

    @property
    def refused(self) -> bool:
        """Whether something waits to be tried again."""
        return bool(self._refused)

    # ---- applying ----

    def flush(self) -> None:
        """Apply what has been asked for, now."""
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        keys = list(self._changed)
        self._changed.clear()
        self._bring_about(keys)

    def repair_every(self, interval_us: int) -> None:
        """Compare at this interval from now on; 0: never."""
        if interval_us == self._drift_interval_us:
            return
        self._drift_interval_us = interval_us
        if self._drift_timer is not None:
            self._drift_timer.cancel()
            self._drift_timer = None
        self.watch_drift()

    def watch_drift(self) -> None:
        """Begin to compare the kernel's table with ours every interval."""
        if self._drift_interval_us > 0:
            self._drift_timer = self._reactor.call_later(self._drift_interval_us, self._drift_begins)

    def close(self) -> None:
        for timer in (self._flush_timer, self._retry_timer, self._drift_timer):
            if timer is not None:
                timer.cancel()

    def status(self) -> dict[str, Any]:
        return {
            "services": len(self._reconciler.wanted),
            "operations_done": self.operations_done,
            "operations_refused": self.operations_refused,
            "waiting_for_retry": len(self._refused),
            "drift_repairs": self.drift_repairs,
        }

    # ---- inside ----

    def _touch(self, key: ServiceKey) -> None:
        self._changed[key] = None
        if self._flush_timer is None:
            self._flush_timer = self._reactor.call_at(self._rest_until_us, self._flush_due)

    def _flush_due(self) -> None:
        began_us = self._reactor.now_us()
        self.flush()
        ended_us = self._reactor.now_us()
        self._rest_until_us = ended_us + min(_REST_US, _REST_TIMES * (ended_us - began_us))

    def _bring_about(self, keys: Sequence[ServiceKey]) -> int:
        """Make keys as wanted; the number of operations that took."""
        operations = self._reconciler.plan(keys)
        failures = self._apply(operations)
        if failures:
            self._try_again(failures)
        else:
            for key in keys:
                self._refused.pop(key, None)
        return len(operations)

    def _apply(self, operations: Sequence[Operation]) -> list[Failure]:
        if not operations:
            return []
        try:
            failures = self._dataplane.apply(operations)
        except OSError as error:
            failures = [Failure(operation, "dataplane", str(error)) for operation in operations]
        refused = {id(failure.operation) for failure in failures}
        self._reconciler.done(operation for operation in operations if id(operation) not in refused)
        self.operations_done += len(operations) - len(failures)
        self.operations_refused += len(failures)
        return failures

    def _try_again(self, failures: Sequence[Failure]) -> None:
        """Read the kernel's side of the story; what still differs then was refused for good reason and waits."""
        keys = list(dict.fromkeys(failure.operation.key for failure in failures))
        try:
            self._reconciler.learn(self._read(keys), keys)
        except OSError as error:
            # Each key waits; one of them is told about.
            first = {failure.operation.key: failure.operation for failure in reversed(failures)}
            remaining = [Failure(first[key], "dataplane", str(error)) for key in keys]
            told = remaining[:1]
        else:
            told = remaining = self._apply(self._reconciler.plan(keys))
        still = {failure.operation.key for failure in remaining}
        for key in keys:
            if key not in still:
                self._refused.pop(key, None)
        attempts = 1
        for failure in remaining:
            key = failure.operation.key
            attempts = max(attempts, self._refused.get(key, 0) + 1)
        for key in still:
            self._refused[key] = self._refused.get(key, 0) + 1
        for failure in told:
            attempt = self._refused[failure.operation.key]
            self._tell(OperationRefused(None, describe(failure.operation), failure.name, failure.text, attempt))
        if self._refused and self._retry_timer is None:
            delay_us = min(_LAST_RETRY_US, _FIRST_RETRY_US << min(attempts - 1, 6))
            self._retry_timer = self._reactor.call_later(delay_us, self._retry_due)

    def _retry_due(self) -> None:
        self._retry_timer = None
        self._bring_about(list(self._refused))

    def _read(self, keys: Sequence[ServiceKey]) -> Table:
        partial = getattr(self._dataplane, "read", None)
        return self._dataplane.snapshot() if partial is None else partial(keys)

    # ---- drift ----

    def _drift_begins(self) -> None:
        unchanged = getattr(self._dataplane, "unchanged", None)
        if unchanged is not None and unchanged():
            self.watch_drift()
            return
        self._drift_left = list(self._reconciler.wanted)
        self._drift_piece()

    def _drift_piece(self) -> None:
        piece: list[ServiceKey] = []
        size = 0
        # A dataplane that can only be read whole is read once.
        limit = _DRIFT_PIECE if hasattr(self._dataplane, "read") else len(self._drift_left) << 20
        while self._drift_left and size < limit:
            key = self._drift_left.pop()
            if key not in self._changed and key not in self._refused:
                piece.append(key)
                entry = self._reconciler.wanted.get(key)
                size += 1 + (len(entry.destinations) if entry is not None else 0)
        if piece:
            self._repair(piece)
        if self._drift_left:
            self._drift_timer = self._reactor.call_later(_DRIFT_PAUSE_US, self._drift_piece)
        else:
            self.watch_drift()

    def _repair(self, piece: Sequence[ServiceKey]) -> None:
        try:
            found = self._read(piece)
        except OSError:
            # The kernel does not answer now; the next round asks again, and changes have their own retries.
            return
        members = set(piece)
        drifted = [key for key in self._reconciler.drifted(found) if key in members]
        if not drifted:
            return
        if self._leaves_absent:
            self._note_absent(found, drifted)
        self._reconciler.learn(found, drifted)
        operations = self._bring_about(drifted)
        if operations:
            self.drift_repairs += 1
            self._tell(DriftRepaired(operations))

    def _note_absent(self, found: Table, drifted: Iterable[ServiceKey]) -> None:
        for key in drifted:
            wanted, held = self._reconciler.wanted.get(key), found.get(key)
            if wanted is None or held is None:
                continue
            gone = [kept for kept, value in wanted.destinations.items() if not value.weight]
            self._absent.update((key, kept) for kept in gone if kept not in held.destinations)
            self._reconciler.want(key, self._without_absent(key, wanted))

    def _without_absent(self, key: ServiceKey, entry: Entry) -> Entry:
        kept: dict[DestinationKey, Destination] = {}
        for place, value in entry.destinations.items():
            if value.weight:
                self._absent.discard((key, place))
            if (key, place) not in self._absent:
                kept[place] = value
        return Entry(entry.service, kept)

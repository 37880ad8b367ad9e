"""Counts processes: once from /proc, and from then on by the kernel's news of them.

Where the kernel sends no news (no connector, no rights, a container of its own), /proc is read once a second, which is
said in the log. A news storm that overflows the socket is answered by reading /proc again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from pykeepalived.model.vrrp import TrackProcess
from pykeepalived.processes import proc_table
from pykeepalived.processes.proc_events import Kind, News, Overrun, ProcessNews
from pykeepalived.reactor import READ, Reactor, Timer
from pykeepalived.units import SECOND_US

_POLL_US: Final = SECOND_US
_NOBODY: Final[frozenset[str]] = frozenset()


class _Log(Protocol):
    def info(self, text: str) -> None: ...


class ProcessWatcher:
    """Tells `changed(name, count)`; counts of `update` are returned, not told."""

    def __init__(self, reactor: Reactor, log: _Log, changed: Callable[[str, int], None]) -> None:
        self._reactor = reactor
        self._log = log
        self._changed = changed
        self._configs: dict[str, TrackProcess] = {}
        self._names = False
        """Some tracker compares names."""
        self._lines = False
        """Some tracker compares command lines."""
        self._known: dict[int, frozenset[str]] = {}
        """The trackers that each process counts for; processes that count for none are left out."""
        self._counts: dict[str, int] = {}
        self._news: ProcessNews | None = None
        self._buffer: tuple[int | None, bool] = (None, True)
        self._poll: Timer | None = None
        self.served = False
        """The kernel has confirmed that it sends news."""

    def update(self, configs: Iterable[TrackProcess]) -> dict[str, int]:
        """Count for these trackers from now on; returns the counts as they are."""
        self._configs = {item.name: item for item in configs}
        self._names = any(not proc_table.by_command_line(item) for item in self._configs.values())
        self._lines = any(proc_table.by_command_line(item) for item in self._configs.values())
        if not self._configs:
            self.close()
            return {}
        if self._news is None and self._poll is None:
            self._listen()
        self._scan()
        return dict(self._counts)

    def set_buffer(self, size: int | None, *, force: bool) -> None:
        """`process_monitor_rcv_bufs`: bytes, None for our own size; now and for sockets to come."""
        self._buffer = (size, force)
        if self._news is not None:
            self._news.set_buffer(size, force=force)

    def close(self) -> None:
        if self._poll is not None:
            self._poll.cancel()
            self._poll = None
        if self._news is not None:
            self._reactor.unwatch(self._news.fileno())
            self._news.close()
            self._news = None
        self._known.clear()
        self.served = False

    # ---- inside ----

    def _listen(self) -> None:
        reason = "the kernel does not confirm to send process events"
        try:
            self._news = ProcessNews()
            self._news.set_buffer(self._buffer[0], force=self._buffer[1])
            self._reactor.watch(self._news.fileno(), READ, self._ready)
        except OSError as error:
            reason = f"no process events - {error.strerror}"
        self._poll = self._reactor.call_later(_POLL_US, lambda: self._begin_polling(reason))

    def _begin_polling(self, reason: str) -> None:
        self._log.info(f"Tracked processes are counted once a second: {reason}")
        self._polled()

    def _polled(self) -> None:
        self._poll = self._reactor.call_later(_POLL_US, self._polled)
        self._scan_and_tell()

    def _scan(self) -> None:
        self._known = {}
        for pid in proc_table.all_pids():
            self._learn(pid)
            if pid in self._known and proc_table.is_dead(pid):
                del self._known[pid]
        self._counts = self._count()

    def _learn(self, pid: int) -> None:
        comm = proc_table.comm_of(pid) if self._names else b""
        words = proc_table.command_line_of(pid) if self._lines else []
        fitting = frozenset(name for name, item in self._configs.items() if proc_table.fits(item, comm, words))
        if fitting:
            self._known[pid] = fitting
        else:
            self._known.pop(pid, None)

    def _count(self) -> dict[str, int]:
        counts = dict.fromkeys(self._configs, 0)
        for fitting in self._known.values():
            for name in fitting:
                counts[name] += 1
        return counts

    def _scan_and_tell(self) -> None:
        before = self._counts
        self._scan()
        for name, count in self._counts.items():
            if before.get(name) != count:
                self._changed(name, count)

    def _ready(self, _events: int) -> None:
        if self._news is None:
            return
        try:
            for news in self._news.read():
                self._take(news)
        except Overrun:
            self._log.info("Process events were lost, processes are counted anew")
            self._scan_and_tell()
        except OSError as error:
            self._log.info(f"Tracked processes are counted once a second: process events - {error.strerror}")
            self.close()
            self._polled()

    def _take(self, news: News) -> None:
        """One news at a time: a process that comes and goes at once is a gain and a loss."""
        before = self._known.get(news.pid, _NOBODY)
        match news.kind:
            case Kind.CONFIRMED:
                self._confirmed(news.pid)
                return
            case Kind.FORK:
                # Until it executes something else, a child is what its parent is.
                inherited = self._known.get(news.parent)
                if inherited:
                    self._known[news.pid] = inherited
            case Kind.EXIT:
                self._known.pop(news.pid, None)
            case Kind.EXEC:
                self._learn(news.pid)
            case Kind.COMM:
                if self._names:
                    self._learn(news.pid)
        after = self._known.get(news.pid, _NOBODY)
        for name in sorted(before ^ after):
            self._counts[name] += 1 if name in after else -1
            self._changed(name, self._counts[name])

    def _confirmed(self, error: int) -> None:
        if error == 0 and not self.served and self._poll is not None:
            self.served = True
            self._poll.cancel()
            self._poll = None

"""One vrrp_track_process: how many processes there are, and whether that is a quorum (keepalived-behaviour 8).

Counting is the edge's work. Here a count between `quorum` and `quorum_max` is up; a gain counts after `fork_delay`, a
loss after `terminate_delay`, and not at all when the count has gone back by then.
"""

from __future__ import annotations

from pykeepalived.model.vrrp import TrackProcess
from pykeepalived.vrrp.output import Output
from pykeepalived.vrrp.status import ProcessStatus

_NO_LIMIT = 65535


class ProcessTracker:
    """Takes `ProcessCount`; `up` is what counts now."""

    __slots__ = ("config", "count", "due_us", "queued_us", "up")

    def __init__(self, config: TrackProcess, count: int | None = None) -> None:
        self.config = config
        self.count = count
        """None: nothing was counted yet."""
        self.due_us: int | None = None
        """When a change that was seen begins to count."""
        self.queued_us: int | None = None
        """Where it stands in the router's heap."""
        self.up = self._enough()

    def _enough(self) -> bool:
        top = _NO_LIMIT if self.config.quorum_max is None else self.config.quorum_max
        return self.count is not None and self.config.quorum <= self.count <= top

    def deadline_us(self) -> int | None:
        return self.due_us

    def counted(self, count: int, now_us: int, out: Output, *, running: bool) -> bool:
        """Take a count; True when up or down changed at once. Before the start nothing is delayed."""
        self.count = count
        enough = self._enough()
        if enough is self.up:
            self.due_us = None
            return False
        delay_us = self.config.fork_delay_us if enough else self.config.terminate_delay_us
        if running and delay_us:
            if self.due_us is None:
                self.due_us = now_us + delay_us
                out.detail(self, f"Process {self.config.name}: {count} running, waiting {delay_us / 1_000_000:g} s")
            return False
        self._turn(out, say=running)
        return True

    def expire(self, now_us: int, out: Output) -> bool:
        """The delay has passed; True when up or down changed."""
        if self.due_us is None or now_us < self.due_us:
            return False
        self.due_us = None
        if self._enough() is self.up:
            return False
        self._turn(out, say=True)
        return True

    def _turn(self, out: Output, *, say: bool) -> None:
        self.due_us = None
        self.up = self._enough()
        if say:
            out.log(self, f"Quorum {'gained' if self.up else 'lost'} for tracked process {self.config.name}")

    def status(self) -> ProcessStatus:
        return ProcessStatus(name=self.config.name, up=self.up, count=self.count, waiting=self.due_us is not None)

"""One vrrp_script: when it runs and what its results add up to.

keepalived keeps one counter per script (keepalived-behaviour 8). It lies between 0 and rise+fall-1 and the script is up
from `rise` on. A success below rise-1 counts one up and from there on jumps to the top; a failure above `rise` counts
one down and from there on drops to 0. The counter starts at rise-1, so the very first result decides by itself whatever
`rise` and `fall` say; with `init_fail` it starts at 0, failed, and `rise` successes are needed.
"""

from __future__ import annotations

from pykeepalived.model.vrrp import VrrpScript
from pykeepalived.vrrp.events import RunScript
from pykeepalived.vrrp.output import Output
from pykeepalived.vrrp.status import ScriptStatus


class ScriptTracker:
    """Runs at `next_run_us`, and takes `ScriptResult`."""

    __slots__ = (
        "_count",
        "_last_status",
        "_timed_out",
        "config",
        "holds_instances",
        "next_run_us",
        "queued_us",
        "running",
        "runs",
        "skipped",
        "up",
    )

    def __init__(self, config: VrrpScript, now_us: int | None, *, holds_instances: bool = True) -> None:
        self.config = config
        self.up: bool | None = False if config.init_fail else None
        """None: no result yet (INIT)."""
        self.holds_instances = holds_instances
        """While INIT, instances that need this script wait; not those of a script that a reload brought."""
        self.running = False
        self.runs = 0
        self.skipped = 0
        self.next_run_us = now_us
        self.queued_us: int | None = None
        """Where it stands in the router's heap."""
        self._count = 0 if config.init_fail else config.rise - 1
        # A first exit code of 0 is nothing to report.
        self._last_status: int | None = 0
        self._timed_out = False

    @property
    def name(self) -> str:
        return self.config.name

    def start(self, now_us: int) -> None:
        self.next_run_us = now_us

    def resume(self, up: bool) -> None:
        """The last result is known from an earlier process."""
        self.up = up
        self._count = self.config.rise + self.config.fall - 1 if up else 0

    def retire(self) -> None:
        """Nothing tracks it any more; a run that still goes on is not listened to."""
        self.next_run_us = None
        self.running = False

    def deadline_us(self) -> int | None:
        return self.next_run_us

    def run_due(self, now_us: int, out: Output) -> None:
        """Its interval has passed: run it, or say that the last run still goes on."""
        config = self.config
        if self.next_run_us is None or now_us < self.next_run_us:
            return
        self.next_run_us += config.interval_us
        if self.next_run_us <= now_us:
            self.next_run_us = now_us + max(1, config.interval_us)
        if self.running:
            self.skipped += 1
            out.log(self, f"Track script {config.name} is running, expect idle - skipping run")
            return
        self.running = True
        self.runs += 1
        out.put(self, RunScript(config.name, config.timeout_us or config.interval_us))

    def ended(self, status: int | None, out: Output) -> bool:
        """Take a result; True when the script went up, or down, or had its first result.

        A result that nobody waits for (the run belongs to a generation that is gone) is ignored.
        """
        config = self.config
        if not self.running:
            return False
        self.running = False
        timed_out = status is None
        if status is not None and status != self._last_status:
            word = f"returning {status}" if status >= 0 else f"killed by signal {-status}"
            out.log(self, f"Script `{config.name}` now {word}")
        if status is not None:
            self._last_status = status
        self._timed_out = timed_out
        rise, top = config.rise, config.rise + config.fall - 1
        if status == 0:
            self._count = self._count + 1 if self._count < rise - 1 else top
        else:
            self._count = self._count - 1 if self._count > rise else 0
        up = self._count >= rise
        if up == self.up:
            return False
        self.up = up
        if up:
            out.log(self, f"VRRP_Script({config.name}) succeeded")
        elif timed_out:
            out.log(self, f"VRRP_Script({config.name}) timed_out")
        elif status is not None and status < 0:
            out.log(self, f"VRRP_Script({config.name}) failed (due to signal {-status})")
        else:
            out.log(self, f"VRRP_Script({config.name}) failed (exited with status {status})")
        return True

    def adapt(self, config: VrrpScript, now_us: int, out: Output) -> None:
        """A reload kept the command: the result stays, the counter moves to where the new rise and fall have it."""
        self.config = config
        if self.next_run_us is not None:
            self.next_run_us = min(self.next_run_us, now_us + config.interval_us)
        if self.up is None:
            self._count = config.rise - 1
            return
        self._count = config.rise + config.fall - 1 if self.up else 0
        word = "successful" if self.up else "unsuccessful"
        out.log(self, f"VRRP_Script({config.name}) considered {word} on reload")

    def status(self) -> ScriptStatus:
        return ScriptStatus(
            name=self.config.name,
            up=self.up,
            last_status=None if self._timed_out or not self.runs else self._last_status,
            timed_out=self._timed_out,
            running=self.running,
            runs=self.runs,
            count=self._count if self.up is not None else 0,
            skipped=self.skipped,
            next_run_us=self.next_run_us,
        )

"""How the daemon's children are brought to their end, in keepalived's order (keepalived-behaviour 3.2)."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence

from pykeepalived.model import GlobalDefs
from pykeepalived.reactor import Reactor, Timer
from pykeepalived.runtime import supervisor_settings as settled
from pykeepalived.runtime.child import AGENTS
from pykeepalived.runtime.life_scripts import LifeScripts
from pykeepalived.runtime.program import Logger
from pykeepalived.runtime.slot import ChildSlot


class StopSequence:
    """VRRP, checkers and BFD are told to stop, and killed if they do not within `child_wait_time`. The agents go when
    they have told of that. Then the shutdown script runs, and `over` is called.
    """

    def __init__(
        self,
        reactor: Reactor,
        log: Logger,
        slots: Sequence[ChildSlot],
        *,
        scripts: LifeScripts,
        over: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._log = log
        self._slots = slots
        self._scripts = scripts
        self._over = over
        self._settings: GlobalDefs | None = None
        self._ending = False
        """No child is left: the shutdown script runs, then nothing."""
        self._kill_timer: Timer | None = None

    @property
    def begun(self) -> bool:
        return self._settings is not None

    def begin(self, settings: GlobalDefs) -> None:
        """Tell the children. VRRP first: a backup can take over while the checkers still tidy up."""
        self._settings = settings
        for slot in sorted(self._slots, key=lambda slot: settled.STOP_ORDER.index(slot.word)):
            if slot.source.kind is not AGENTS:
                slot.terminate()
        self._kill_timer = self._reactor.call_later(settings.child_wait_time_us, self._kill_leftovers)
        self.child_ended()

    def child_ended(self) -> None:
        """Go on if that was the last one that is waited for. Nothing happens before `begin`."""
        if self._settings is None or self._ending:
            return
        left = [slot for slot in self._slots if slot.pid]
        if left and all(slot.source.kind is AGENTS for slot in left):
            # It has told of the end of all others.
            for slot in left:
                slot.terminate()
        if left:
            return
        self._ending = True
        if self._kill_timer is not None:
            self._kill_timer.cancel()
        self._scripts.run("Shutdown", self._settings, self._over)

    def _kill_leftovers(self) -> None:
        for slot in self._slots:
            if slot.pid:
                self._log.error(f"{slot.source.kind.title} child process({slot.pid}) does not stop - killing it")
                slot.signal(signal.SIGKILL)

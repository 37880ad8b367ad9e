"""What the supervisor tells about itself and its children, and what it lets the control socket do (`requests`)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from pykeepalived import KEEPALIVED_VERSION, __version__
from pykeepalived.diagnostics.render import short
from pykeepalived.model.config import Config
from pykeepalived.reactor import monotonic_us
from pykeepalived.runtime.child import AGENTS
from pykeepalived.runtime.event_ring import EventRing
from pykeepalived.runtime.reload import Loaded
from pykeepalived.runtime.slot import ChildSlot


class Report:
    """Facts that the supervisor notes down while it lives; implements `requests.row.Desk`.

    `loaded` gives the running generation, `reload` begins another.
    """

    def __init__(
        self,
        *,
        pid_file: str,
        pattern: str,
        slots: Sequence[ChildSlot],
        loaded: Callable[[], Loaded],
        reload: Callable[[], None],
    ) -> None:
        self._pid_file = pid_file
        self._pattern = pattern
        self._slots = slots
        self._loaded = loaded
        self._reload = reload
        self._started = time.time()
        self.generation = 1
        self.last_reload: dict[str, Any] | None = None
        self.events = EventRing()

    def reloaded(self, took_us: int) -> None:
        """A new generation was taken."""
        self.generation += 1
        self.last_reload = {"ok": True, "at": time.time(), "took_us": took_us}
        self.events.add("reload", {"ok": True, "generation": self.generation, "took_us": took_us})

    def refused(self, reasons: list[str]) -> None:
        """A new file was not used."""
        self.last_reload = {"ok": False, "at": time.time(), "reasons": reasons}
        self.events.add("reload", {"ok": False, "generation": self.generation, "reasons": reasons[:20]})

    # ---- Desk ----

    def identity(self) -> dict[str, Any]:
        return {
            "program": "keepalived",
            "version": __version__,
            "keepalived_version": KEEPALIVED_VERSION,
            "pid": os.getpid(),
            "pid_file": self._pid_file,
            "configuration": self._pattern,
            "instance": self.configuration().globals.instance,
            "network_namespace": network_namespace(),
            "started": self._started,
        }

    def overview(self) -> dict[str, Any]:
        return {
            "generation": self.generation,
            "last_reload": self.last_reload,
            "findings": [short(finding) for finding in self._loaded().findings],
            "processes": [_process(slot) for slot in self._slots if slot.wanted or slot.pid],
        }

    def children(self) -> list[ChildSlot]:
        return [slot for slot in self._slots if slot.pid and slot.source.kind is not AGENTS]

    def configuration(self) -> Config:
        return self._loaded().config

    def reload(self) -> None:
        self._reload()


def network_namespace() -> int | None:
    """The inode that names our network namespace."""
    try:
        return os.stat("/proc/self/ns/net").st_ino  # noqa: PTH116 - the link itself is meant
    except OSError:
        return None


def _process(slot: ChildSlot) -> dict[str, Any]:
    return {
        "name": slot.word,
        "pid": slot.pid or None,
        "ready": slot.ready,
        "uptime_us": monotonic_us() - slot.started_us if slot.pid else 0,
        "restarts": slot.restarts,
        "waiting_for_restart": slot.waiting_for_restart,
    }

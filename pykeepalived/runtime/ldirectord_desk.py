"""What ldirectord's daemon shows and lets do through the control socket: one process, no children (`requests.Desk`)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from pykeepalived import LDIRECTORD_VERSION, __version__
from pykeepalived.diagnostics.render import short
from pykeepalived.model.config import Config
from pykeepalived.runtime.checker_process import CheckerProgram
from pykeepalived.runtime.event_ring import EventRing
from pykeepalived.runtime.ldirectord_instance import Instance
from pykeepalived.runtime.ldirectord_reload import Reading
from pykeepalived.runtime.program import StatusPart
from pykeepalived.runtime.status import network_namespace

Reply = Callable[[dict[str, Any]], None]


class LdirectordDesk:
    """Answers at once: the checks run in this very process."""

    word = "checker"

    def __init__(
        self,
        instance: Instance,
        reading: Callable[[], Reading],
        *,
        reload: Callable[[], None],
        scripts: Callable[[], list[dict[str, Any]]],
    ) -> None:
        self._instance = instance
        self._reading = reading
        self._reload = reload
        self._scripts = scripts
        self._started = time.time()
        self._last_reload: dict[str, Any] | None = None
        self.events = EventRing()
        self.program: CheckerProgram | None = None

    def reloaded(self) -> None:
        self._last_reload = {"ok": True, "at": time.time(), "reasons": []}
        self.events.add("reload", {"ok": True})

    def refused(self, reasons: list[str]) -> None:
        self._last_reload = {"ok": False, "at": time.time(), "reasons": reasons}
        self.events.add("reload", {"ok": False, "reasons": reasons})

    # ---- Desk ----

    def identity(self) -> dict[str, Any]:
        return {
            "program": "ldirectord",
            "version": __version__,
            "ldirectord_version": LDIRECTORD_VERSION,
            "pid": os.getpid(),
            "pid_file": self._instance.pid_path,
            "configuration": self._instance.absolute_path,
            "instance": self._instance.name,
            "network_namespace": network_namespace(),
            "started": self._started,
        }

    def overview(self) -> dict[str, Any]:
        return {
            "last_reload": self._last_reload,
            "findings": [short(finding) for finding in self._reading().findings],
            "processes": [],
        }

    def children(self) -> list[LdirectordDesk]:
        return [] if self.program is None else [self]

    def configuration(self) -> Config:
        return self._reading().config

    def reload(self) -> None:
        self._reload()

    # ---- Child ----

    def ask_status(self, part: StatusPart, answer: Reply) -> None:
        if self.program is not None:
            answer(self.program.status(part))

    def ask_command(self, name: str, arguments: dict[str, Any], answer: Reply) -> None:
        if name == "scripts":
            answer({"scripts": self._scripts()})
        elif self.program is not None:
            answer(self.program.command(name, arguments))

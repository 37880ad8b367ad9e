"""Who looks over the checker program's shoulder: ldirectord's monitorfile, mails and maintenance directory."""

from __future__ import annotations

from typing import Protocol

from pykeepalived.lvs.events import LvsEvent
from pykeepalived.lvs.health import ServerHealth
from pykeepalived.lvs.names import ServiceRef
from pykeepalived.runtime.probes import ProbeResult


class LvsObserver(Protocol):
    """Called on the reactor's thread, in the order of events. Must return at once and never raise."""

    def checked(self, service: ServiceRef, health: ServerHealth, result: ProbeResult) -> None:
        """One check of one server has ended; its effect comes next."""
        ...

    def happened(self, event: LvsEvent) -> None: ...

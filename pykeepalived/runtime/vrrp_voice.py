"""Who is told of a transition: FIFOs, scripts, and whoever listens to the parent."""

from __future__ import annotations

from pykeepalived.model.config import GlobalDefs
from pykeepalived.model.vrrp import SyncGroup, VrrpInstance
from pykeepalived.notify.fifo import NotifyFifo, vrrp_line
from pykeepalived.notify.scripts import ScriptNotifier
from pykeepalived.runtime.program import Context
from pykeepalived.vrrp.events import Notify


class Voice:
    """Passes `Notify` on. FIFOs come first: their readers expect the order of the events."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._scripts = ScriptNotifier(context.scripts, context.log.error)
        self._fifos: dict[str, NotifyFifo] = {}

    def configure(self, settings: GlobalDefs) -> None:
        """Open and close FIFOs until they are those of the configuration."""
        paths = [path for path in (settings.notify_fifo, settings.vrrp_notify_fifo) if path is not None]
        for path in set(self._fifos).difference(paths):
            self._fifos.pop(path).close()
        for path in paths:
            if path not in self._fifos:
                self._fifos[path] = NotifyFifo(path, self._context.log.error, settings.script_user)

    def tell(self, event: Notify, who: VrrpInstance | SyncGroup | None) -> None:
        """`who` has the scripts; None: it is not known any more, and only the FIFOs and the parent hear of it."""
        for fifo in self._fifos.values():
            fifo.write(vrrp_line(event))
        if isinstance(who, SyncGroup):
            self._scripts.group(who, event.state)
        elif who is not None:
            self._scripts.instance(who, event.state, event.priority)
        fields = {"kind": event.kind.value, "name": event.name, "state": event.state, "priority": event.priority}
        self._context.emit("vrrp-state", fields)

    def close(self) -> None:
        for fifo in self._fifos.values():
            fifo.close()
        self._fifos.clear()

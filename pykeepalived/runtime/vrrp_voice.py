"""Who is told of a transition: FIFOs, scripts, mail readers, and whoever listens to the parent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pykeepalived.model.config import GlobalDefs
from pykeepalived.model.vrrp import SyncGroup, VrrpInstance
from pykeepalived.notify.fifo import NotifyFifo, vrrp_line
from pykeepalived.notify.mail import Mailer, keepalived_letter, relay_of
from pykeepalived.notify.scripts import ScriptNotifier
from pykeepalived.notify.vrrp_mail import VrrpMails
from pykeepalived.runtime.fifo_readers import FifoReaders
from pykeepalived.runtime.program import Context
from pykeepalived.vrrp.events import Notify, NotifyKind
from pykeepalived.vrrp.router import Router


class Voice:
    """Passes `Notify` on. FIFOs come first: their readers expect the order of the events."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._scripts = ScriptNotifier(context.scripts, context.log.error)
        self._fifos: dict[str, NotifyFifo] = {}
        self._readers = FifoReaders(context)
        self._mailer = Mailer(context.reactor, context.log)
        self._mails = VrrpMails()
        self._settings = GlobalDefs()

    def configure(self, settings: GlobalDefs) -> None:
        """Take a new configuration; open and close FIFOs until they are those of it."""
        self._settings = settings
        self._mailer.prepare(relay_of(settings.mail))
        paths = [path for path in (settings.notify_fifo, settings.vrrp_notify_fifo) if path is not None]
        for path in set(self._fifos).difference(paths):
            self._fifos.pop(path).close()
        for path in paths:
            if path not in self._fifos:
                self._fifos[path] = NotifyFifo(path, self._context.log.error, settings.script_user)
        scripts = (
            (settings.notify_fifo, settings.notify_fifo_script),
            (settings.vrrp_notify_fifo, settings.vrrp_notify_fifo_script),
        )
        self._readers.keep({path: script for path, script in scripts if path is not None and self._fifos[path].usable})

    def write_states(self, states: Iterable[Notify]) -> None:
        """`fifo_write_vrrp_states_on_reload`: say again to the readers of FIFOs how everything is."""
        if self._settings.daemon.fifo_write_vrrp_states_on_reload:
            for event in states:
                for fifo in self._fifos.values():
                    fifo.write(vrrp_line(event))

    def tell(self, event: Notify, who: VrrpInstance | SyncGroup | None) -> None:
        """`who` has the scripts; None: it is not known any more, and only the FIFOs and the parent hear of it."""
        for fifo in self._fifos.values():
            fifo.write(vrrp_line(event))
        if isinstance(who, SyncGroup):
            self._scripts.group(who, event.state)
        elif who is not None:
            self._scripts.instance(who, event.state, event.priority)
        if who is not None and who.smtp_alert:
            self._mail(event)
        fields = {"kind": event.kind.value, "name": event.name, "state": event.state, "priority": event.priority}
        self._context.emit("vrrp-state", fields)

    def _mail(self, event: Notify) -> None:
        settings = self._settings
        relay = relay_of(settings.mail)
        text = self._mails.text(event, faults=settings.mail.faults) if relay is not None else None
        if relay is not None and text is not None:
            self._mailer.send(relay, keepalived_letter(settings.mail, settings.router_id, *text))

    def mail_status(self) -> dict[str, Any]:
        return self._mailer.status()

    def when_quiet(self, limit_us: int, done: Callable[[], None]) -> None:
        """Call when all mails are gone, at the latest after `limit_us`."""
        self._mailer.when_idle(limit_us, done)

    def close(self) -> None:
        self._readers.close()
        for fifo in self._fifos.values():
            fifo.close()
        self._fifos.clear()


def states_now(router: Router) -> list[Notify]:
    """The state of every group and instance, as if each had just got there."""
    groups = [Notify(NotifyKind.GROUP, item.name, item.state.name, 0) for item in router.group_status()]
    return groups + [
        Notify(NotifyKind.INSTANCE, item.name, item.state.name, item.effective_priority) for item in router.status()
    ]

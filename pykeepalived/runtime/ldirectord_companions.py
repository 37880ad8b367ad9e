"""What ldirectord does beside checking and balancing: monitorfile, maintenance directory, mails, further daemons.

One object per daemon. It watches the checker program (`LvsObserver`) and takes servers out through its holds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Final, Protocol

from pykeepalived.dialects.ldirectord.mails import Phase
from pykeepalived.lvs.desired import services_of
from pykeepalived.lvs.events import LvsEvent
from pykeepalived.lvs.health import ServerHealth
from pykeepalived.lvs.names import ServiceRef
from pykeepalived.model.config import Config, LdirectordSettings
from pykeepalived.runtime import ldirectord_maintenance as maintenance
from pykeepalived.runtime.ldirectord_execute import Executed
from pykeepalived.runtime.ldirectord_mail import AlertMails
from pykeepalived.runtime.ldirectord_monitor import MonitorFiles, message
from pykeepalived.runtime.probes import ProbeResult
from pykeepalived.runtime.program import Context
from pykeepalived.units import SECOND_US

#: The maintenance directory is looked at once per round, and at least this often.
_LOOK_US: Final = 5 * SECOND_US


class Holds(Protocol):
    """The part of the checker program that takes servers out."""

    def hold(self, matches: tuple[maintenance.Place, ...], reason: str, text: str) -> None: ...

    def release(self, matches: tuple[maintenance.Place, ...], reason: str) -> None: ...


class Companions:
    """Implements `LvsObserver`."""

    def __init__(self, context: Context, path: str, *, executes: bool = True) -> None:
        """`executes` False: the daemons of `execute` lines are not started."""
        self._executes = executes
        self._context = context
        self._config = Config(ldirectord=LdirectordSettings(path=path))
        self._refs: list[ServiceRef] = []
        self._monitor = MonitorFiles(context.log.error)
        self._maintenance = maintenance.Maintenance()
        self._mails = AlertMails(context)
        self._unchecked: set[tuple[str, str, int]] = set()
        """Servers without a result yet: the daemon is starting until there are none."""
        self._executed = Executed(os.path.abspath(sys.argv[0]), context.scripts, context.log.error)  # noqa: PTH100
        self._holds: Holds | None = None
        self._stopped = False

    # ---- life ----

    def prepare(self, config: Config) -> None:
        """The program is about to start with this configuration."""
        self._take(config)
        self._unchecked = {
            (ref.key, server.address, server.port) for ref in self._refs for server in ref.server.real_servers
        }

    def start(self, holds: Holds) -> None:
        """The program has just started."""
        self._holds = holds
        if self._executes:
            self._executed.change(self._settings.execute, again=False)
        self._look()

    def about_to_reload(self) -> None:
        """The program is about to change to another configuration."""
        self._mails.phase = Phase.RELOADING

    def reload(self, config: Config) -> None:
        """The program goes on with another configuration."""
        self._take(config)
        self._unchecked.clear()
        self._mails.phase = Phase.RUNNING
        if self._executes:
            self._executed.change(self._settings.execute, again=True)
        # Servers that the reload made anew are held anew.
        self._hold(tuple(self._maintenance.held))

    def stop(self) -> None:
        """An orderly stop begins."""
        self._stopped = True
        self._mails.phase = Phase.STOPPING
        self._mails.stop()
        self._executed.stop()
        self._maintenance.close()

    def when_idle(self, done: Callable[[], None]) -> None:
        """Call when the last mails are out, or have had their time."""
        self._mails.when_idle(done)

    def close(self) -> None:
        self._mails.close()

    # ---- LvsObserver ----

    def checked(self, service: ServiceRef, health: ServerHealth, result: ProbeResult) -> None:
        if self._unchecked:
            self._unchecked.discard((service.key, *health.key))
            if not self._unchecked and self._mails.phase is Phase.STARTING:
                # What this result changes still belongs to the start.
                self._context.reactor.call_soon(self._started)
        path = service.server.monitor_file
        if path is None or not health.server.monitor_words:
            return
        if maintenance.REASON in health.holds:
            self._monitor.write(path, health.server.monitor_words, False, maintenance.TEXT)
            return
        text = message(health.server.checkers[0].question, result.outcome)
        self._monitor.write(path, health.server.monitor_words, result.outcome.ok, text)

    def happened(self, event: LvsEvent) -> None:
        self._mails.happened(event)

    # ---- inside ----

    @property
    def _settings(self) -> LdirectordSettings:
        assert self._config.ldirectord is not None
        return self._config.ldirectord

    def _started(self) -> None:
        if self._mails.phase is Phase.STARTING:
            self._mails.phase = Phase.RUNNING

    def _take(self, config: Config) -> None:
        self._config = config
        self._mails.sender = self._settings.mail_sender
        self._refs = services_of(config)

    def _look(self) -> None:
        """Compare the maintenance directory with the servers, once per round."""
        if self._stopped or self._holds is None:
            return
        settings = self._settings
        if settings.maintenance_dir is not None or self._maintenance.held:
            change = self._maintenance.look(settings.maintenance_dir, self._refs)
            if change.out_of:
                self._holds.release(change.out_of, maintenance.REASON)
            self._hold(change.into)
        self._context.reactor.call_later(min(settings.check_interval_us, _LOOK_US), self._look)

    def _hold(self, places: tuple[maintenance.Place, ...]) -> None:
        if places and self._holds is not None:
            self._holds.hold(places, maintenance.REASON, maintenance.TEXT)

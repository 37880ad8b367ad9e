"""What ldirectord does beside checking and balancing: monitorfile, maintenance directory, further daemons.

One object per daemon. It watches the checker program (`LvsObserver`) and takes servers out through its holds.
"""

from __future__ import annotations

import os
import sys
from typing import Final, Protocol

from pykeepalived.lvs.desired import services_of
from pykeepalived.lvs.events import LvsEvent
from pykeepalived.lvs.health import ServerHealth
from pykeepalived.lvs.names import ServiceRef
from pykeepalived.model.checks import NegotiateCheck
from pykeepalived.model.config import Config, LdirectordSettings
from pykeepalived.runtime import ldirectord_maintenance as maintenance
from pykeepalived.runtime.ldirectord_execute import Executed
from pykeepalived.runtime.ldirectord_monitor import MonitorFiles
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

    def __init__(self, context: Context, path: str) -> None:
        self._context = context
        self._config = Config(ldirectord=LdirectordSettings(path=path))
        self._refs: list[ServiceRef] = []
        self._monitor = MonitorFiles(context.log.error)
        self._maintenance = maintenance.Maintenance()
        self._executed = Executed(os.path.abspath(sys.argv[0]), context.scripts, context.log.error)  # noqa: PTH100
        self._holds: Holds | None = None
        self._stopped = False

    # ---- life ----

    def start(self, config: Config, holds: Holds) -> None:
        """The program has just started with this configuration."""
        self._holds = holds
        self._take(config)
        self._executed.change(self._settings.execute, again=False)
        self._look()

    def reload(self, config: Config) -> None:
        """The program goes on with another configuration."""
        self._take(config)
        self._executed.change(self._settings.execute, again=True)
        # Servers that the reload made anew are held anew.
        self._hold(tuple(self._maintenance.held))

    def stop(self) -> None:
        """An orderly stop begins."""
        self._stopped = True
        self._executed.stop()
        self._maintenance.close()

    # ---- LvsObserver ----

    def checked(self, service: ServiceRef, health: ServerHealth, result: ProbeResult) -> None:
        path = service.server.monitor_file
        if path is None or not health.server.monitor_name:
            return
        if maintenance.REASON in health.holds:
            self._monitor.write(path, health.server.monitor_name, False, maintenance.TEXT)
            return
        # ldirectord has something to say about plain negotiations only.
        question = health.server.checkers[0].question
        spoken = isinstance(question, NegotiateCheck) and not question.connects_between
        text = result.outcome.text if spoken else ""
        self._monitor.write(path, health.server.monitor_name, result.outcome.ok, text)

    def happened(self, event: LvsEvent) -> None:
        pass

    # ---- inside ----

    @property
    def _settings(self) -> LdirectordSettings:
        assert self._config.ldirectord is not None
        return self._config.ldirectord

    def _take(self, config: Config) -> None:
        self._config = config
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

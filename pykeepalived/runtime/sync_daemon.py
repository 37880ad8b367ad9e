"""`lvs_sync_daemon`: the kernel's connection synchronisation, in the roles that are wanted.

Bound to an instance, the VRRP process runs it: backup from the start, master while the instance is MASTER. Without an
instance the checker process runs both roles (keepalived-behaviour 10.5). What the kernel refuses is named in the log,
and tried again.
"""

from __future__ import annotations

import errno
from typing import Final, Protocol

from pykeepalived.dataplane import DataplaneUnavailable
from pykeepalived.dataplane import ipvs_codec as codec
from pykeepalived.dataplane.ipvs_commands import Commands
from pykeepalived.model.config import Config
from pykeepalived.model.lvs import SyncDaemon
from pykeepalived.reactor import Reactor, Timer
from pykeepalived.runtime.namespaces import inside
from pykeepalived.runtime.program import Logger
from pykeepalived.units import SECOND_US

_RETRY_US: Final = 5 * SECOND_US
_ROLES: Final = {True: "master", False: "backup"}


class _Kernel(Protocol):
    def run(self, command: int, body: bytes) -> None: ...

    def close(self) -> None: ...


class SyncDaemons:
    """Keeps the kernel's sync daemons as wanted; it stops only those that it started."""

    def __init__(self, reactor: Reactor, log: Logger, namespace: str | None = None) -> None:
        """`namespace`: a file of the network namespace of IPVS; None: ours."""
        self._namespace = namespace
        self._reactor = reactor
        self._log = log
        self._kernel: _Kernel | None = None
        self._wanted: dict[bool, bytes] = {}
        self._running: dict[bool, bytes] = {}
        self._refused: set[str] = set()
        self._retry: Timer | None = None

    def want(self, settings: SyncDaemon | None, sync_id: int, *roles: bool) -> None:
        """Run these roles (True: master) from now on; without settings none."""
        self._wanted = (
            {}
            if settings is None
            else {master: codec.sync_daemon_body(settings, sync_id, master=master) for master in roles}
        )
        self._settle()

    def close(self) -> None:
        """Stop what was started."""
        self._wanted = {}
        self._settle()
        if self._retry is not None:
            self._retry.cancel()
        if self._kernel is not None:
            self._kernel.close()
            self._kernel = None

    def _settle(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._wanted == self._running:
            return
        try:
            if self._kernel is None:
                with inside(self._namespace):
                    self._kernel = Commands()
        except (DataplaneUnavailable, OSError) as error:
            self._complain(f"lvs_sync_daemon: {error}")
            self._again()
            return
        for master in [role for role, body in self._running.items() if self._wanted.get(role) != body]:
            self._stop(master)
        for master, body in self._wanted.items():
            if self._running.get(master) != body:
                self._start(master, body)

    def _start(self, master: bool, body: bytes) -> None:
        assert self._kernel is not None
        for attempt in (1, 2):
            try:
                self._kernel.run(codec.NEW_DAEMON, body)
            except OSError as error:
                if error.errno == errno.EEXIST and attempt == 1:
                    # One role runs once in a kernel: what an earlier run of ours left gives way to the configuration.
                    self._stop(master)
                    continue
                self._complain(f"IPVS: the {_ROLES[master]} sync daemon does not start: {error.strerror}")
                self._again()
                return
            self._running[master] = body
            self._refused.clear()
            return

    def _stop(self, master: bool) -> None:
        assert self._kernel is not None
        self._running.pop(master, None)
        try:
            self._kernel.run(codec.DEL_DAEMON, codec.daemon_body(master=master))
        except OSError as error:
            if error.errno != errno.ESRCH:
                self._complain(f"IPVS: the {_ROLES[master]} sync daemon does not stop: {error.strerror}")

    def _complain(self, text: str) -> None:
        """Once for each trouble, not at every attempt."""
        if text not in self._refused:
            self._refused.add(text)
            self._log.error(text)

    def _again(self) -> None:
        if self._wanted and self._retry is None:
            self._retry = self._reactor.call_later(_RETRY_US, self._settle)


class VrrpSyncDaemon:
    """The VRRP process's: the role follows one instance."""

    def __init__(self, reactor: Reactor, log: Logger, namespace: str | None = None) -> None:
        self._daemons = SyncDaemons(reactor, log, namespace)
        self._settings: SyncDaemon | None = None
        self._sync_id = 0
        self._master = False

    def configure(self, config: Config) -> None:
        """Take a configuration; a running role keeps running."""
        settings = config.globals.sync_daemon
        bound = [item for item in config.instances if settings is not None and item.name == settings.instance]
        self._settings = settings if bound else None
        self._master = self._master and bool(bound)
        if settings is not None and bound:
            self._sync_id = bound[0].vrid if settings.sync_id is None else settings.sync_id
        self._want()

    def role(self, master: bool) -> None:
        self._master = master
        self._want()

    def close(self) -> None:
        self._daemons.close()

    def _want(self) -> None:
        self._daemons.want(self._settings, self._sync_id, self._master)


def run_both(daemons: SyncDaemons, config: Config) -> None:
    """The checker process's: both roles, when no instance is named."""
    settings = config.globals.sync_daemon
    free = settings if settings is not None and settings.instance is None else None
    daemons.want(free, 0 if free is None or free.sync_id is None else free.sync_id, True, False)

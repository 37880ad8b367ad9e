"""The checker process: health checks of both dialects in, the kernel's table out.

    probe result ─► Pool (health, quorum, sorry server) ─► events ─► Voice ─► log, scripts, FIFO, mails
                                    └──────────────────► desired entries ─► TableKeeper ─► dataplane

Every path into the table is `_show`: the entries that a pool wants are handed to the keeper, which applies what differs
once per turn of the loop. Start, reload and recovery after a crash differ only in what the keeper already knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pykeepalived.dataplane import Dataplane, DataplaneUnavailable
from pykeepalived.dataplane.select import open_dataplane
from pykeepalived.lvs.desired import entry, named_destinations, services_of
from pykeepalived.lvs.events import (
    Cause,
    DestinationPurged,
    LvsEvent,
    ServiceAdded,
    ServiceChanged,
)
from pykeepalived.lvs.health import CheckHealth, ServerHealth
from pykeepalived.lvs.keepalived_voice import KeepalivedVoice
from pykeepalived.lvs.names import ServiceRef
from pykeepalived.lvs.pool import Policy, Pool
from pykeepalived.lvs.table import DestinationKey, Entry, ServiceKey, Table
from pykeepalived.lvs.voice import Voice
from pykeepalived.model.config import Config
from pykeepalived.model.lvs import RealServer
from pykeepalived.runtime.lvs_checks import Asked, Checks
from pykeepalived.runtime.lvs_claims import Claims, places_of, serves
from pykeepalived.runtime.lvs_commands import CheckerCommands
from pykeepalived.runtime.lvs_departures import Departures, leaving, same_but_servers
from pykeepalived.runtime.lvs_drain import DrainKeeper
from pykeepalived.runtime.lvs_dump import checker_data
from pykeepalived.runtime.lvs_herald import Herald
from pykeepalived.runtime.lvs_holds import HoldKeeper
from pykeepalived.runtime.lvs_kernel import KernelSettings, nftables_options
from pykeepalived.runtime.lvs_marks import PacketMarker
from pykeepalived.runtime.lvs_observer import LvsObserver
from pykeepalived.runtime.lvs_recovery import RecoveryKeeper
from pykeepalived.runtime.lvs_status import result_events, services_status
from pykeepalived.runtime.lvs_table import TableKeeper
from pykeepalived.runtime.namespaces import inside
from pykeepalived.runtime.probes import ProbeResult
from pykeepalived.runtime.program import FIRST_PART, Context, StatusPart
from pykeepalived.runtime.sync_daemon import SyncDaemons, run_both
from pykeepalived.units import SECOND_US

#: Exit code of the original when the kernel does not balance ("FATAL": the parent does not try again).
EXIT_FATAL: Final = 1
#: An orderly stop waits this long for the scripts that it started.
_SCRIPTS_LIMIT_US: Final = 3 * SECOND_US


class CheckerProgram:
    """`Program` of the checker child.

    `voice`: the words of another dialect than keepalived's. `dataplane`: use this one instead of choosing; who gave it
    closes it.
    `drift_interval_us`: instead of the configuration's `lvs_repair_interval`; 0 never compares.
    """

    def __init__(
        self,
        context: Context,
        *,
        voice: Voice | None = None,
        dataplane: Dataplane | None = None,
        drift_interval_us: int | None = None,
        observer: LvsObserver | None = None,
    ) -> None:
        self._context = context
        self._log = context.log
        self._own_voice = voice
        self._observer = observer
        self._dataplane = dataplane
        self._own_dataplane = dataplane is None
        self._drift_interval_us = drift_interval_us
        self._config = Config()
        self._policy = Policy()
        self._pools: dict[str, Pool] = {}
        self._claims = Claims(context.log)
        self._checks: Checks | None = None
        self._herald = Herald(context)
        self._sync_daemons = SyncDaemons(context.reactor, context.log, context.options.ipvs_namespace)
        self._marker = PacketMarker(context.reactor, context.log)
        self._drains = DrainKeeper(
            context.reactor, self._pools, places=self._places_of, tell=self._tell_all, show=self._show
        )
        self._commands = CheckerCommands(
            self._pools,
            self._drains,
            subscriptions=self._subscriptions,
            tell=self._tell_all,
            show=self._show,
            dataplane=lambda: self._dataplane,
            keys=lambda: self._claims.keys,
        )
        self._keeper: TableKeeper | None = None
        self.holds = HoldKeeper(self._pools, tell=self._tell_all, show=self._show)
        self._recovery = RecoveryKeeper(context.reactor, context.log, self._pools, tell=self._tell_all, show=self._show)
        self._departures = Departures(context)
        self._settings: KernelSettings | None = None
        self._stopped = False

    # ---- Program ----

    def start(self, config: Config) -> None:
        if self._dataplane is None:
            try:
                with inside(self._context.options.ipvs_namespace):
                    self._dataplane = open_dataplane(
                        config.globals.lvs_dataplane, self._log.info, nftables_options(config)
                    )
            except (DataplaneUnavailable, OSError) as error:
                self._log.error(f"IPVS: Can't initialize ipvs: {error}")
                self._stopped = True
                self._context.finished(EXIT_FATAL)
                return
        context = self._context
        self._take(config)
        self._keeper = TableKeeper(context.reactor, self._dataplane, self._tell, self._repair_interval_us(config))
        self._keeper.leave_absent(config.ldirectord is not None and not config.ldirectord.readd_quiescent)
        self._drains.dataplane = self._dataplane
        self._claims.begin(self._dataplane, config.globals.packet_marks)
        self._checks = Checks(context, self._tell, self._result)
        if self._observer is not None:
            self._checks.hear_all()
        self._checks.configure(config)
        self._settings = KernelSettings(self._dataplane, self._log)
        self._settings.set_buffers(config.globals.daemon)
        if config.globals.lvs_flush:
            self._settings.flush()
        self._settings.set_timeouts(config.globals.lvs_timeouts)
        found = self._read_table()
        for ref in self._refs(config).values():
            self._begin(ref, found, Cause.START)
        self._keeper.adopt(found)
        self._departures.bury(self._keeper, found)
        self._purge_strangers()
        self._keeper.flush()
        self._departures.end(self._keeper)
        self._marker.update(self._claims.packet_marks, self._claims.marks)
        self._keeper.watch_drift()
        run_both(self._sync_daemons, config)

    def reload(self, config: Config) -> None:
        if self._stopped or self._keeper is None:
            return
        for word, old, new in (
            ("lvs_dataplane", self._config.globals.lvs_dataplane, config.globals.lvs_dataplane),
            ("lvs_check_workers", self._config.globals.lvs_check_workers, config.globals.lvs_check_workers),
            ("nftables_ipvs", self._config.globals.packet_marks, config.globals.packet_marks),
        ):
            if old != new:
                self._log.error(f"Cannot change {word} at a reload - please restart keepalived")
        if self._settings is not None:
            self._settings.configure(nftables_options(config))
        alike = not self._claims.some_refused and same_but_servers(self._config, config)
        self._take(config)
        if self._checks is not None:
            self._checks.configure(config)
        self._keeper.leave_absent(config.ldirectord is not None and not config.ldirectord.readd_quiescent)
        self._keeper.repair_every(self._repair_interval_us(config))
        refs = self._refs(config)
        self._departures.begin(leaving(self._pools, self._claims.keys, refs))
        for key in [key for key in self._pools if key not in refs]:
            self._end(key)
        for key, ref in refs.items():
            pool = self._pools.get(key)
            if pool is None:
                self._begin(ref, {}, Cause.RELOAD)
            elif not (alike and pool.service.server is ref.server):
                self._change(key, pool, ref)
        self._drains.reloaded()
        self._recovery.reloaded()
        if self._settings is not None:
            self._settings.set_buffers(config.globals.daemon)
            self._settings.set_timeouts(config.globals.lvs_timeouts)
        self._keeper.flush()
        self._departures.end(self._keeper)
        self._marker.update(self._claims.packet_marks, self._claims.marks)
        run_both(self._sync_daemons, config)

    def stop(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        self._drains.close()
        self._recovery.close()
        if self._checks is not None:
            self._checks.stop()
        if self._context.options.release_ipvs_on_stop:
            self._empty_table()
            self._marker.remove()
        self._marker.close()
        self._sync_daemons.close()
        if self._keeper is not None:
            self._keeper.close()
        self._herald.when_quiet(_SCRIPTS_LIMIT_US, self._finish)

    def status(self, part: StatusPart = FIRST_PART) -> dict[str, Any]:
        return {
            "dataplane": None if self._dataplane is None else self._dataplane.name,
            "table": {} if self._keeper is None else self._keeper.status(),
            "mails": self._herald.mail_status(),
            "probes": {} if self._checks is None else self._checks.status(),
            **services_status(self._pools, self._claims.keys, self._subscriptions(), part),
        }

    def dump(self, kind: str) -> str | None:
        if kind != "data":
            return None
        return checker_data(self._config, list(self._pools.values()), self._subscriptions())

    def _subscriptions(self) -> Mapping[CheckHealth, Asked]:
        return {} if self._checks is None else self._checks.subscriptions

    def command(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What operators ask for (see `lvs_commands`)."""
        return self._commands.command(name, arguments)

    def _places_of(self, pool: Pool, server: RealServer) -> list[tuple[ServiceKey, DestinationKey]]:
        """Where the table holds a server."""
        keys = self._claims.keys[pool.service.key]
        return places_of(pool.service, server, keys, marks_keep_ports=self._is_ldirectord)

    # ---- configuration ----

    def _take(self, config: Config) -> None:
        self._config = config
        is_ldirectord = config.ldirectord is not None
        self._policy = Policy(counts_servers=is_ldirectord, keeps_found_alive=is_ldirectord)
        voice = self._own_voice or KeepalivedVoice(
            init_notifies=config.globals.rs_init_notifies, mails_checks=config.globals.mail.checks
        )
        self._herald.configure(voice, config.globals)

    def _repair_interval_us(self, config: Config) -> int:
        own = self._drift_interval_us
        return config.globals.lvs_repair_interval_us if own is None else own

    def _refs(self, config: Config) -> dict[str, ServiceRef]:
        """The virtual servers by their keys; of two with the same one, the first."""
        refs: dict[str, ServiceRef] = {}
        for ref in services_of(config):
            if refs.setdefault(ref.key, ref) is not ref:
                self._log.error(f"VS {ref.name} is configured twice: only the first one is served")
        return refs

    def _begin(self, ref: ServiceRef, found: Table, cause: Cause) -> None:
        """Start a virtual server: its pool, its services in the table, its checks."""
        keys = self._claims.claim(ref, self._config.virtual_server_groups)
        pool = self._pools[ref.key] = Pool(ref, self._policy)
        existed = any(key in found for key in keys)
        differs = any(key in found and found[key].service != self._entry(pool, key).service for key in keys)
        self._tell(ServiceAdded(ref, cause, existed))
        if differs:
            self._tell(ServiceChanged(ref, cause))
        self._tell_all(pool.start(lambda server: serves(server, keys, found)))
        self._show(pool)
        self._start_checks(pool)

    def _change(self, key: str, pool: Pool, ref: ServiceRef) -> None:
        """Change a virtual server to a new configuration in place."""
        old_keys, old_server = self._claims.keys[key], pool.service.server
        self._claims.disown(key)
        keys = self._claims.claim(ref, self._config.virtual_server_groups)
        gone = [check for health in pool.servers for check in health.checks]
        events = pool.reload(ref)
        before = [self._keeper.wanted(kept) for kept in keys] if self._keeper else []
        self._tell_all(events)
        self._show(pool)
        services_before = [held.service for held in before if held is not None]
        services_after = [held.service for kept in keys if self._keeper and (held := self._keeper.wanted(kept))]
        if old_server != ref.server and services_before != services_after:
            self._tell(ServiceChanged(ref, Cause.RELOAD))
        for kept in old_keys:
            if not self._claims.is_claimed(kept) and self._keeper is not None:
                self._keeper.unwant(kept)
        remaining = {check for health in pool.servers for check in health.checks}
        if self._checks is not None:
            self._checks.end(check for check in gone if check not in remaining)
        self._start_checks(pool)

    def _end(self, key: str) -> None:
        """A virtual server is in the configuration no more."""
        pool = self._pools.pop(key)
        self._tell_all(pool.leave(Cause.RELOAD))
        if self._checks is not None:
            self._checks.forget(pool)
        for kept in self._claims.forget(key):
            if self._keeper is not None:
                self._keeper.unwant(kept)

    # ---- checks ----

    def _start_checks(self, pool: Pool) -> None:
        assert self._checks is not None
        self._checks.begin(pool, [key.address for key in self._claims.keys[pool.service.key] if not key.fwmark])

    def _result(self, pool: Pool, health: ServerHealth, check: CheckHealth, result: ProbeResult) -> None:
        if self._observer is not None:
            self._observer.checked(pool.service, health, result)
        self._tell_all(result_events(pool, health, check, result))
        outcome, forgiven = result.outcome, result.up and not result.outcome.ok
        events = pool.check_result(health, check, result.up, outcome.weight, outcome.text, forgiven=forgiven)
        check.failures = result.failures
        self._recovery.checked(pool, health)
        if events:
            self._tell_all(events)
            self._show(pool)

    # ---- the table ----

    def _show(self, pool: Pool) -> None:
        """Hand a pool's present wishes to the keeper."""
        assert self._keeper is not None
        for key in self._claims.keys[pool.service.key]:
            wanted = self._entry(pool, key)
            named = entry(
                pool.service.server, key, named_destinations(pool.service.server), marks_keep_ports=self._is_ldirectord
            )
            self._keeper.want(key, wanted, named.destinations)

    def _entry(self, pool: Pool, key: ServiceKey) -> Entry:
        return entry(pool.service.server, key, pool.destinations(), marks_keep_ports=self._is_ldirectord)

    @property
    def _is_ldirectord(self) -> bool:
        return self._config.ldirectord is not None

    def _read_table(self) -> Table:
        assert self._keeper is not None
        try:
            return self._keeper.read()
        except OSError as error:
            self._log.error(f"IPVS: cannot read the table: {error}")
            return {}

    def _purge_strangers(self) -> None:
        """ldirectord removes destinations of its services that its file does not name."""
        if self._config.ldirectord is None or self._keeper is None:
            return
        for pool in self._pools.values():
            for key in self._claims.keys[pool.service.key]:
                strangers = self._keeper.foreign(key)
                self._keeper.purge(key, strangers)
                for kept in strangers:
                    self._tell(DestinationPurged(pool.service, kept.address, kept.port, Cause.START))

    def _empty_table(self) -> None:
        """Take our services away as the configuration says (keepalived-behaviour 10.4).

        The kernel comes before what is told: the parent waits for the end of a process, but not for ever.
        """
        how = self._config.globals.lvs_flush_on_stop
        events: list[LvsEvent] = []
        for pool in self._pools.values():
            keys = self._claims.keys[pool.service.key]
            leaves = pool.service.server.cleanstop
            if leaves:
                events += pool.leave(Cause.STOP)
            if self._keeper is not None:
                for key in keys:
                    if leaves:
                        self._keeper.unwant(key)
                    else:
                        self._keeper.forget(key)
        if how == "all" and self._settings is not None:
            self._settings.flush()
        elif self._keeper is not None:
            self._keeper.flush()
        if self._settings is not None:
            self._settings.restore()
        self._tell_all(events)

    def _finish(self) -> None:
        self._herald.close()
        if self._dataplane is not None and self._own_dataplane:
            self._dataplane.close()
        self._context.finished(0)

    # ---- telling ----

    def _tell(self, event: LvsEvent) -> None:
        self._herald.tell(event)
        self._recovery.happened(event)
        if self._observer is not None:
            self._observer.happened(event)

    def _tell_all(self, events: Iterable[LvsEvent]) -> None:
        for event in events:
            self._tell(event)

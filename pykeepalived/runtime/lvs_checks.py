"""Which checks run: all of them, but for virtual servers with ha_suspend only while their address is on this machine.

`ha_suspend` (keepalived-behaviour 10.5): two directors need not both ask the real servers. While the address is away
the servers keep the state that they had.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from pykeepalived.lvs.events import CheckingStarted, CheckingSuspended, LvsEvent
from pykeepalived.lvs.health import CheckHealth, ServerHealth
from pykeepalived.lvs.pool import Pool
from pykeepalived.model.checks import CheckerSpec
from pykeepalived.model.config import Config
from pykeepalived.model.daemon import DaemonSettings
from pykeepalived.netio import netlink
from pykeepalived.netio.links import Monitor
from pykeepalived.reactor import READ, Timer
from pykeepalived.runtime.capabilities import keep_only, of_checkers
from pykeepalived.runtime.check_followers import Follower, Followers, follows
from pykeepalived.runtime.check_workers import CheckWorkers, Remote, handed_over, workers_for
from pykeepalived.runtime.histogram import added
from pykeepalived.runtime.probes import ProbeEngine, ProbeResult, Subscription
from pykeepalived.runtime.program import Context
from pykeepalived.units import SECOND_US

Asked = Subscription | Follower | Remote
Result = Callable[[Pool, ServerHealth, CheckHealth, ProbeResult], None]
#: A kernel that does not tell its addresses is asked again.
_AGAIN_US: Final = 5 * SECOND_US


class Checks:
    """The probes of all pools. `result` hears of every outcome, `tell` of beginnings and suspensions."""

    def __init__(self, context: Context, tell: Callable[[LvsEvent], None], result: Result) -> None:
        self._tell = tell
        self._result = result
        self._engine = ProbeEngine(context.reactor, context.log, context.scripts, random.Random(random.getrandbits(64)))
        self._context = context
        self._workers: CheckWorkers | None = None
        self._hears_all = False
        self._configured = False
        self._followers = Followers(context)
        self._addresses = AddressWatch(context, self._look)
        self._numbers = itertools.count(1)
        self._suspended: dict[str, tuple[Pool, frozenset[str]]] = {}
        """By service key: the pools with ha_suspend, with their addresses."""
        self.subscriptions: dict[CheckHealth, Asked] = {}

    def hear_all(self) -> None:
        """Equal successes are delivered too (ldirectord's monitorfile has a line for each check)."""
        self._engine.every_result = self._hears_all = True

    def configure(self, config: Config) -> None:
        """Follow the files and sessions of this generation; before its checks begin."""
        if not self._configured:
            self._configured = True
            self._start_workers(config)
        else:
            self._engine.read_files_again()
            if self._workers is not None:
                self._workers.read_files_again()
        self._followers.update(config)
        self._addresses.settings = config.globals.daemon

    def begin(self, pool: Pool, addresses: Iterable[str]) -> None:
        """Begin the checks that do not run yet. One that has run before, at other times, has its retries at once.

        `addresses`: those of the virtual server, which ha_suspend looks for.
        """
        key = pool.service.key
        self._suspended.pop(key, None)
        if pool.service.server.ha_suspend:
            self._suspended[key] = (pool, frozenset(addresses))
            self._addresses.open()
            if not self._is_here(key):
                self._suspend(pool)
                return
        self._subscribe(pool)

    def end(self, checks: Iterable[CheckHealth]) -> None:
        for check in checks:
            subscription = self.subscriptions.pop(check, None)
            if subscription is not None:
                subscription.close()

    def forget(self, pool: Pool) -> None:
        """A virtual server is gone with all its checks."""
        self._suspended.pop(pool.service.key, None)
        self.end(check for health in pool.servers for check in health.checks)

    def status(self) -> dict[str, Any]:
        own = self._engine.status()
        if self._workers is None:
            return own | {"latencies": self._engine.latencies()}
        counts = self._workers.counts()
        parts = [self._engine.latencies(), *self._workers.latencies()]
        latencies = {
            kind: added(part[kind] for part in parts if kind in part)
            for kind in sorted({k for part in parts for k in part})
        }
        return {name: own[name] + counts[name] for name in own} | {
            "workers": self._workers.pids,
            "latencies": latencies,
        }

    def stop(self) -> None:
        self._addresses.close()
        self._followers.close()
        self._engine.stop()
        if self._workers is not None:
            self._workers.close()

    def _start_workers(self, config: Config) -> None:
        count = 0 if self._hears_all else workers_for(config)
        if not count:
            return

        def confine() -> None:
            keep_only(of_checkers(config.globals, other_namespace=False))

        self._context.log.info(f"{count} processes make the health checks")
        self._workers = CheckWorkers(self._context.reactor, self._context.log, count, confine)

    def _subscribe(self, pool: Pool) -> None:
        for health in pool.servers:
            for check in health.checks:
                if check in self.subscriptions:
                    continue
                spec = check.spec
                if check.checked:
                    timing = msgspec.structs.replace(spec.timing, first_failure_counts=False)
                    spec = msgspec.structs.replace(spec, timing=timing)
                name = f"{pool.service.key} {pool.service.server_name(health.server)} {next(self._numbers)}"
                self._tell(CheckingStarted(pool.service, health.server, check.spec))
                self.subscriptions[check] = self._asker(spec).subscribe(
                    name,
                    spec,
                    lambda result, pool=pool, health=health, check=check: self._result(  # type: ignore[misc]
                        pool, health, check, result
                    ),
                    initially_up=check.up,
                )

    def _asker(self, spec: CheckerSpec) -> Followers | ProbeEngine | CheckWorkers:
        if follows(spec):
            return self._followers
        if self._workers is not None and handed_over(spec):
            return self._workers
        return self._engine

    def _suspend(self, pool: Pool) -> None:
        for health in pool.servers:
            for check in health.checks:
                if check in self.subscriptions:
                    self.end((check,))
                    self._tell(CheckingSuspended(pool.service, health.server, check.spec))

    def _look(self) -> None:
        """Addresses have changed."""
        for key, (pool, _) in list(self._suspended.items()):
            if self._is_here(key):
                self._subscribe(pool)
            else:
                self._suspend(pool)

    def _is_here(self, key: str) -> bool:
        return any(self._addresses.has(address) for address in self._suspended[key][1])


class AddressWatch:
    """Which addresses this machine has; `changed` is called after each change. It costs nothing until it is opened."""

    def __init__(self, context: Context, changed: Callable[[], None]) -> None:
        self._reactor = context.reactor
        self._log = context.log
        self.settings = DaemonSettings()
        self._changed = changed
        self._requests: netlink.Requests | None = None
        self._monitor: Monitor | None = None
        self._retry: Timer | None = None

    def open(self) -> None:
        if self._monitor is not None or self._retry is not None:
            return
        try:
            self._requests = netlink.Requests()
            self._monitor = Monitor(self._requests)
            words = self.settings
            self._requests.set_buffer(words.lvs_netlink_cmd_rcv_bufs, force=words.lvs_netlink_cmd_rcv_bufs_force)
            self._monitor.set_buffer(words.lvs_netlink_monitor_rcv_bufs, force=words.lvs_netlink_monitor_rcv_bufs_force)
        except OSError as error:
            self._log.error(f"ha_suspend: the kernel does not tell its addresses: {error.strerror or error}")
            self._release()
            self._retry = self._reactor.call_later(_AGAIN_US, self._open_again)
            return
        self._reactor.watch(self._monitor.fileno(), READ, self._ready)

    def has(self, address: str) -> bool:
        """Whether any interface has it. While the kernel does not tell, it has: checks rather run than rest."""
        return self._monitor is None or self._monitor.interface_with(address) is not None

    def close(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._release()

    def _open_again(self) -> None:
        self._retry = None
        self.open()
        self._changed()

    def _ready(self, _events: int) -> None:
        if self._monitor is None:
            return
        try:
            changes = self._monitor.read()
        except OSError as error:
            self._log.error(f"ha_suspend: the kernel does not tell its addresses: {error.strerror or error}")
            self._release()
            self._retry = self._reactor.call_later(_AGAIN_US, self._open_again)
            return
        if changes:
            self._changed()

    def _release(self) -> None:
        if self._monitor is not None:
            self._reactor.unwatch(self._monitor.fileno())
            self._monitor.close()
            self._monitor = None
        if self._requests is not None:
            self._requests.close()
            self._requests = None

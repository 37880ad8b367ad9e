"""The VRRP process: sockets, netlink and scripts on one side, `vrrp.router.Router` on the other.

Everything that happens becomes an event for the router; what the router wants is done by `vrrp_performer`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import VrrpInstance, VrrpState
from pykeepalived.netio import netlink
from pykeepalived.netio.links import Link, LinkUpdate, Monitor, Update
from pykeepalived.netio.sockets import SocketPool
from pykeepalived.netio.track_probe import TrackProbes
from pykeepalived.reactor import READ
from pykeepalived.runtime import vrrp_memory
from pykeepalived.runtime.program import FIRST_PART, Context, RunResult, StatusPart
from pykeepalived.runtime.vrrp_addresses import STATIC, AddressKeeper
from pykeepalived.runtime.vrrp_alarm import Alarm
from pykeepalived.runtime.vrrp_announcer import Announcer
from pykeepalived.runtime.vrrp_commands import VrrpCommands
from pykeepalived.runtime.vrrp_dumps import Dumps
from pykeepalived.runtime.vrrp_ears import Ears
from pykeepalived.runtime.vrrp_endpoints import Endpoint, SourceFinder
from pykeepalived.runtime.vrrp_generation import Generation
from pykeepalived.runtime.vrrp_inheritance import Inheritance
from pykeepalived.runtime.vrrp_journal import Journal
from pykeepalived.runtime.vrrp_kernel import KernelSide
from pykeepalived.runtime.vrrp_link_states import LinkStates, links_up_last
from pykeepalived.runtime.vrrp_losses import Losses
from pykeepalived.runtime.vrrp_performer import Performer
from pykeepalived.runtime.vrrp_preparation import Preparation
from pykeepalived.runtime.vrrp_ready import ReadyGate
from pykeepalived.runtime.vrrp_retries import Retries
from pykeepalived.runtime.vrrp_route_side import RouteSide
from pykeepalived.runtime.vrrp_routes import RouteKeeper
from pykeepalived.runtime.vrrp_standby import StandbyKeeper
from pykeepalived.runtime.vrrp_status import StatusBook
from pykeepalived.runtime.vrrp_suspicions import Suspicions
from pykeepalived.runtime.vrrp_taken_up import tell_sockets, tell_sources
from pykeepalived.runtime.vrrp_voice import Voice, states_now
from pykeepalived.runtime.vrrp_watchers import Watchers
from pykeepalived.units import SECOND_US
from pykeepalived.vrrp import events
from pykeepalived.vrrp.events import Action, Event
from pykeepalived.vrrp.router import Router

__all__ = ["VrrpProgram"]

_NETLINK_FATAL: Final = 1
#: Everything is taken down and said; the last mails have this long to reach their server.
_MAIL_LIMIT_US: Final = 2 * SECOND_US


class VrrpProgram:
    """The VRRP side of the daemon; implements `runtime.program.Program`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._log = context.log
        self._reactor = context.reactor
        self._pool = SocketPool()
        suspicions = Suspicions(context.emit, context.reactor.now_us)
        self._ears = Ears(context.reactor, self._pool, context.log, self._feed, self._endpoints, suspicions=suspicions)
        self._voice = Voice(context)
        self._watchers = Watchers(context, self._feed)
        self._stopped = False
        self._detail = context.options.log_detail > 0
        self._old: Generation | None = None
        self._remembered = dict(context.memory)

    # ---- Program ----

    def start(self, config: Config) -> None:
        """Take everything up. Ends in `Context.finished(1)` when the kernel refuses what nothing works without."""
        try:
            self._requests = netlink.Requests()
            self._monitor = Monitor(self._requests)
            self._announcer = Announcer(self._monitor, self._log, self._reactor, detail=self._detail)
        except OSError as error:
            self._log.error(f"VRRP cannot start: {error.strerror or error}")
            self._stopped = True
            self._context.finished(_NETLINK_FATAL)
            return
        self._build(config)
        if self._detail:
            tell_sockets(config, self._log)
        self._kernel.start(config)
        self._states.configure(config, self._now.interfaces)
        self._inheritance.at_start(self._now)
        self._journal.open()
        self._keeper.change_static((), config.static_addresses)
        self._configure(config)
        self._reactor.watch(self._monitor.fileno(), READ, lambda _ready: self._take_netlink())
        self._feed(
            [
                *self._states.start(sorted(self._now.interfaces)),
                *self._source_events(self._now.endpoints.values()),
                *self._watchers.update(config),
                *([held] if (held := self._standby.load()) is not None else []),
                events.Start(
                    time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000,
                    vrrp_memory.states_of(self._context.memory, config.instances),
                    vrrp_memory.scripts_of(self._context.memory),
                ),
            ]
        )
        masters = (item.name for item in self._router.status() if item.state is VrrpState.MASTER)
        self._inheritance.after_start(self._now, masters)
        self._remember_all()
        self._gate.start(config, self._now.endpoints.values())
        self._preparation.begin(self._now.endpoints.values())

    def _build(self, config: Config) -> None:
        """The parts that need netlink; nothing in the kernel changes yet."""
        options = self._context.options
        self._journal = Journal(options.state_directory, self._log.error)
        self._keeper = AddressKeeper(self._requests, self._monitor, self._journal, self._log)
        self._kernel = KernelSide(self._requests, self._monitor, options, self._log, self._context.launcher)
        route_keeper = RouteKeeper(self._requests, self._monitor, self._journal, self._log)
        self._routes = RouteSide(self._requests, self._monitor, route_keeper, self._reactor, self._log)
        self._inheritance = Inheritance(
            self._requests,
            self._monitor,
            journal=self._journal,
            keeper=self._keeper,
            routes=self._routes,
            log=self._log,
            memory=self._context.memory,
        )
        self._questions = TrackProbes(self._reactor)
        self._preparation = Preparation(self._reactor, self._announcer)
        self._losses = Losses(self._keeper, route_keeper, self._announcer, self._log)
        self._retries = Retries(self._keeper, self._reactor.call_later, self._announcer.announce)
        self._gate = ReadyGate(self._reactor, self._monitor, self._log, self._feed)
        self._states = LinkStates(self._reactor, self._monitor, self._log, self._feed)
        self._performer = Performer(
            self._context,
            self._monitor,
            pool=self._pool,
            keeper=self._keeper,
            routes=route_keeper,
            announcer=self._announcer,
            voice=self._voice,
            firewall=self._kernel.firewall,
            forwarding=self._kernel.forwarding,
            run_script=self._run_script,
        )
        self._now = Generation(config)
        self._router = Router(config, log_detail=self._detail)
        self._alarm = Alarm(
            self._reactor,
            self._router,
            ring=partial(self._feed, [events.Tick()]),
            listen=self._ears.listen,
            sent=lambda: self._performer.adverts_sent,
        )
        self._standby = StandbyKeeper(
            options.state_directory, self._reactor, lambda event: self._feed([event]), self._log.error
        )
        self._commands = VrrpCommands(self._context, self._router, self._standby, self._perform)
        self._dumps = Dumps(self._router, self._monitor, self._keeper, self._pool, self._reactor.now_us)
        self._book = StatusBook(
            standby_until=lambda: self._standby.until, held=self._keeper.entries, links=self._monitor.links
        )

    def _configure(self, config: Config) -> None:
        """What follows the configuration alike at the start and at a reload."""
        self._routes.configure(config, self._on_routes)
        self._routes.set_static(config)
        self._voice.configure(config.globals)
        self._performer.sync_daemon.configure(config)
        if self._detail:
            self._ears.tell_again()
            tell_sources(self._now.endpoints.values(), self._monitor, self._now.virtual, self._log)
        self._ears.open(self._monitor)
        self._announcer.configure(config)
        self._ears.expect(config, self._now.endpoints)

    def reload(self, config: Config) -> None:
        self._take_netlink()
        old, new = self._now, Generation(config)
        running = {endpoint.key: endpoint for endpoint in old.endpoints.values()}
        for endpoint in new.endpoints.values():
            if endpoint.key in running:
                endpoint.take_over(running[endpoint.key])
        self._old, self._now = old, new
        self._kernel.reload(config)
        self._states.configure(config, new.interfaces)
        self._inheritance.at_reload(old, new)
        self._keeper.change_static(old.config.static_addresses, config.static_addresses)
        self._configure(config)
        sources = self._source_events(new.endpoints.values())
        kept = {name for name, item in new.endpoints.items() if name in old.endpoints}
        # The router knows an old name as the old virtual router until it has reloaded.
        self._feed(
            [
                *self._states.start(sorted(new.interfaces - old.interfaces)),
                *(item for item in sources if item.instance not in kept),
            ]
        )
        watched = self._watchers.update(config)
        # What is new must be known when instances are judged, and what was changed is known after it.
        self._feed(watched)
        self._perform(self._router.reload(config, self._reactor.now_us()))
        self._feed(watched)
        self._old = None
        seen = self._kernel.reloaded()
        self._feed([item for item in sources if item.instance in kept])
        self._feed(self._events_of(seen))
        self._ears.open(self._monitor)
        self._voice.write_states(states_now(self._router))
        self._standby.reloaded(self._router.status())
        self._remember_all()
        self._preparation.begin(self._now.endpoints.values())

    def stop(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        self._take_netlink()
        release = self._context.options.release_on_stop
        self._perform(self._router.handle(events.Stop(release), self._reactor.now_us()))
        if release:
            self._routes.remove_static()
            self._keeper.remove(STATIC)
            self._keeper.flush()
        self._retries.finish()
        self._kernel.close(release=release)
        self._close()
        self._voice.when_quiet(_MAIL_LIMIT_US, lambda: self._context.finished(0))

    def status(self, part: StatusPart = FIRST_PART) -> dict[str, Any]:
        return {
            **self._book.status(self._now.config, self._router, self._dumps.baseline, self._reactor.now_us()),
            "mails": self._voice.mail_status(),
            "lateness": self._alarm.lateness.told(),
        }

    def command(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What operators ask for (see `vrrp_commands`)."""
        if self._stopped:
            return {"error": "the VRRP process is ending"}
        return self._commands.command(name, arguments, self._now.config)

    def dump(self, kind: str) -> str | None:
        return self._dumps.text(kind, self._now)

    # ---- start and reload ----

    def _endpoints(self) -> list[Endpoint]:
        """Those of the instances, during a reload also those of the old ones."""
        return [*self._now.endpoints.values(), *(self._old.endpoints.values() if self._old else ())]

    def _source_events(self, endpoints: Iterable[Endpoint]) -> list[events.SourceAddressChanged]:
        """Look source addresses up again; one event for each instance."""
        finder = SourceFinder(self._monitor, self._now.virtual)
        return [finder.update(endpoint) for endpoint in endpoints]

    # ---- what comes in ----

    def _take_netlink(self) -> None:
        """Hear what the kernel reports, and tell the router what it means."""
        try:
            updates = self._monitor.read()
            updates += self._kernel.repair(updates)
            lost, further = self._keeper.lost(updates)
        except OSError as error:
            self._log.error(f"Netlink: {error.strerror or error}")
            return
        seen = [*updates, *further]
        if self._context.options.address_monitoring:
            self._kernel.report_addresses(seen)
        self._routes.follow_links(seen)
        self._losses.of_links(seen)
        found = self._events_of(seen)
        found += self._losses.of_addresses(lost, self._now, self._reactor.now_us())
        if found:
            self._feed(found)

    def _on_routes(self, _ready: int) -> None:
        """A route or rule of an instance that somebody took away counts as an address of it does."""
        found = self._losses.of_lines(self._routes.losses(), self._now, self._reactor.now_us())
        if found:
            self._feed(found)

    def _events_of(self, updates: Sequence[Update]) -> list[Event]:
        """What changes of links and addresses mean to the instances."""
        found: list[Event] = []
        touched: dict[str, None] = {}
        reopen = False
        for update in updates:
            if isinstance(update, LinkUpdate):
                reopen |= _index(update.old) != _index(update.new)
                touched[update.name] = None
                if update.name in self._now.interfaces:
                    found += self._states.report(update.name, update.new is not None and update.new.up)
            elif link := self._monitor.link_by_index(update.address.index):
                touched[link.name] = None
        if reopen:
            self._ears.open(self._monitor)
        concerned = [self._now.on_interface.get(ifname, ()) for ifname in touched]
        for endpoints in [*concerned, self._now.tracked_sources] if touched else ():
            before = [(endpoint.source, endpoint.tentative) for endpoint in endpoints]
            for event, endpoint, old in zip(self._source_events(endpoints), endpoints, before, strict=True):
                if (endpoint.source, endpoint.tentative) != old:
                    found.append(event)
                    self._preparation.add([endpoint])
        return links_up_last(found)

    def _on_script(self, name: str, result: RunResult) -> None:
        if not self._stopped:
            self._feed([events.ScriptResult(name, result.status)])
            self._remember(vrrp_memory.of_scripts(self._router.script_status()))

    def _feed(self, happened: Sequence[Event], at_us: int | None = None) -> None:
        """Let the router take events that happened at an instant, now unless told.

        What it wants at an instant that is almost there waits for it awake: a wait of microseconds (`vrrp_alarm`).
        """
        now_us = self._reactor.now_us() if at_us is None else at_us
        wanted: list[Action] = []
        for event in happened:
            wanted += self._router.handle(event, now_us)
        if at_us is not None:
            while self._reactor.now_us() < at_us:
                pass
        self._perform(wanted)

    def _arm(self) -> None:
        if not self._stopped:
            self._alarm.arm()

    # ---- what goes out ----

    def _perform(self, wanted: Sequence[Action]) -> None:
        if wanted:
            facts = vrrp_memory.of_actions(wanted, self._instance)
            # Killed while it tells, it leaves nothing to go on from: the successor begins anew, and tells again.
            forget = partial(self._remember, dict.fromkeys(facts, "")) if facts else None
            names = self._performer.perform(wanted, self._now, self._old, forget)
            self._remember(facts)
            self._dumps.rename(names)
        self._arm()

    def _remember(self, facts: Mapping[str, str]) -> None:
        """Tell the parent what a successor needs to go on without a transition."""
        changed = {key: value for key, value in facts.items() if self._remembered.get(key, "") != value}
        if changed:
            self._remembered |= changed
            self._context.remember(changed)

    def _instance(self, name: str) -> VrrpInstance | None:
        endpoint = self._now.endpoints.get(name)
        return None if endpoint is None else endpoint.instance

    def _remember_all(self) -> None:
        instances = {name: item.instance for name, item in self._now.endpoints.items()}
        facts = vrrp_memory.of_router(self._router.status(), self._router.script_status(), instances)
        self._remember({key: "" for key in self._remembered if key not in facts} | facts)

    def _run_script(self, name: str, timeout_us: int) -> None:
        tracked = self._now.scripts.get(name)
        if tracked is None:
            return
        if tracked.question:
            self._questions.ask(
                name, tracked.script.argv, timeout_us, lambda status: self._on_script(name, RunResult(status))
            )
        else:
            done = partial(self._on_script, name)
            self._context.scripts.run(tracked.script, timeout_us=timeout_us, done=done)

    def _close(self) -> None:
        self._retries.close()
        self._preparation.close()
        self._questions.close()
        self._states.close()
        self._gate.close()
        self._performer.extra_garp.close()
        self._alarm.cancel()
        self._standby.close()
        self._reactor.unwatch(self._monitor.fileno())
        self._routes.close()
        self._ears.close()
        self._announcer.close()
        self._monitor.close()
        self._requests.close()
        self._journal.close()
        self._performer.sync_daemon.close()
        self._voice.close()
        self._watchers.close()


def _index(link: Link | None) -> int | None:
    return None if link is None else link.index

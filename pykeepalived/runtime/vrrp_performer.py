"""Does what the router wants, in an order that fits a failover of many instances at once (design, decision 8).

First all adverts, because peers wait for them; then all changes of addresses in one netlink batch; then gratuitous ARP,
one round for every instance before the second; then log, notify and scripts. Within one of these steps the router's own
order holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pykeepalived.model.common import Family, IpPrefix
from pykeepalived.model.vrrp import VirtualAddress
from pykeepalived.netio.firewall import Blocked
from pykeepalived.netio.links import Monitor
from pykeepalived.netio.sockets import SocketPool
from pykeepalived.runtime.program import Context
from pykeepalived.runtime.sync_daemon import VrrpSyncDaemon
from pykeepalived.runtime.vrrp_addresses import AddressKeeper, Placed
from pykeepalived.runtime.vrrp_announcer import Announcer
from pykeepalived.runtime.vrrp_endpoints import Endpoint
from pykeepalived.runtime.vrrp_extra_garp import ExtraGarp
from pykeepalived.runtime.vrrp_firewall import Firewall
from pykeepalived.runtime.vrrp_forwarding import ForwardingGate
from pykeepalived.runtime.vrrp_generation import Generation
from pykeepalived.runtime.vrrp_routes import RouteKeeper
from pykeepalived.runtime.vrrp_voice import Voice
from pykeepalived.vrrp import events
from pykeepalived.vrrp.events import Action
from pykeepalived.vrrp.links import advert_link, blocks
from pykeepalived.vrrp.pacing import Announcement


class Performer:
    """The hands of the VRRP process."""

    def __init__(
        self,
        context: Context,
        monitor: Monitor,
        *,
        pool: SocketPool,
        keeper: AddressKeeper,
        routes: RouteKeeper,
        announcer: Announcer,
        voice: Voice,
        firewall: Firewall,
        forwarding: ForwardingGate,
        run_script: Callable[[str, int], None],
    ) -> None:
        self._context = context
        self._log = context.log
        self._monitor = monitor
        self._pool = pool
        self._keeper = keeper
        self._routes = routes
        self._announcer = announcer
        self._voice = voice
        self._firewall = firewall
        self._forwarding = forwarding
        self.extra_garp = ExtraGarp(context.reactor, announcer, self._endpoint)
        self._start_script = run_script
        self.sync_daemon = VrrpSyncDaemon(context.reactor, context.log, context.options.ipvs_namespace)
        self.adverts_sent = 0
        self._now: Generation | None = None
        self._old: Generation | None = None

    def perform(
        self,
        wanted: Sequence[Action],
        now: Generation,
        old: Generation | None,
        before_telling: Callable[[], None] | None = None,
    ) -> Mapping[str, str]:
        """Do everything; `old` is the generation before, while a reload is going on. Returns new names of instances.

        `before_telling` is called when peers, kernel and neighbours know, and scripts and logs do not.
        """
        self._now, self._old = now, old
        for action in wanted:
            if isinstance(action, events.SendAdvert):
                self._send(action)
        names = self._change_all_addresses(wanted)
        rounds: list[tuple[int, list[Announcement]]] = []
        for action in wanted:
            if isinstance(action, events.Announce):
                rounds.append((action.repeat, self._announcer.frames(action.instance, self._announced(action))))
            elif isinstance(action, events.AnnounceSource):
                source = self._announced_source(action.instance)
                rounds.append((1, self._announcer.frames(action.instance, source)))
        for number in range(max((repeat for repeat, _ in rounds), default=0)):
            for repeat, frames in rounds:
                if number < repeat:
                    self._announcer.send(frames)
        if before_telling is not None:
            before_telling()
        for action in wanted:
            self._tell(action)
        return names

    def _send(self, action: events.SendAdvert) -> None:
        endpoint = self._endpoint(action.instance, farewell=action.priority == 0)
        if endpoint is not None:
            endpoint.send(self._pool, action.priority, self._log)
            self.adverts_sent += 1

    def _endpoint(self, name: str, *, farewell: bool = False) -> Endpoint | None:
        """During a reload, a farewell is that of an instance which the new configuration does not have."""
        new = self._now.endpoints.get(name) if self._now else None
        old = self._old.endpoints.get(name) if self._old else None
        if old is not None and (new is None or (farewell and old.key != new.key)):
            return old
        return new

    def _change_all_addresses(self, wanted: Sequence[Action]) -> Mapping[str, str]:
        # All renamings of one reload are meant at once: two instances may swap names.
        names = {action.old: action.new for action in wanted if isinstance(action, events.Renamed)}
        renamed = not names
        for action in wanted:
            if not renamed and isinstance(action, events.Renamed):
                self._keeper.rename(names)
                self._firewall.rename(names)
                self._forwarding.rename(names)
                self.extra_garp.rename(names)
                self._routes.rename(names)
                renamed = True
            self._change_addresses(action)
        # Rules and routes go before the addresses that they may need, and come after them (behaviour section 7.6).
        self._routes.flush_removals()
        # What may not be reached is blocked before it is there, and freed when it is gone.
        self._firewall.tighten()
        self._keeper.flush()
        self._firewall.loosen()
        self._routes.flush_additions()
        return names

    def _change_addresses(self, action: Action) -> None:
        match action:
            case events.AddAddresses(instance=name):
                if endpoint := self._endpoint(name):
                    self._keeper.add(name, endpoint.addresses())
                    self._routes.add(name, (*endpoint.instance.routes, *endpoint.instance.rules))
                    self._block(name, endpoint)
                    self._forwarding.open(name)
                    self.extra_garp.start(name)
            case events.RemoveAddresses(instance=name):
                self.extra_garp.stop(name)
                self._announcer.drop(name)
                self._keeper.remove(name)
                self._routes.remove(name)
                self._firewall.free(name)
                self._forwarding.close(name)
            case events.ReplaceAddresses(instance=name, removed=removed, added=added, routes_changed=routes_changed):
                if endpoint := self._endpoint(name):
                    self._keeper.remove(name, endpoint.place_addresses(removed))
                    self._keeper.add(name, endpoint.place_addresses(added))
                    if routes_changed:
                        self._routes.replace(name, (*endpoint.instance.routes, *endpoint.instance.rules))
                    self._block(name, endpoint)
            case _:
                pass

    def _block(self, name: str, endpoint: Endpoint) -> None:
        if blocks(endpoint.instance):
            placed = endpoint.addresses()
            self._firewall.block(name, (Blocked(item.address.prefix.address, item.ifname) for item in placed))
        else:
            self._firewall.free(name)

    def _announced(self, action: events.Announce) -> list[Placed]:
        held = self._keeper.held(action.instance)
        if action.addresses:
            return [item for item in held if item.address.prefix.address in action.addresses]
        return held

    def _announced_source(self, name: str) -> list[Placed]:
        endpoint = self._endpoint(name)
        if endpoint is None or endpoint.source is None:
            return []
        ifname = advert_link(endpoint.instance) or self._monitor.interface_with(endpoint.source)
        if ifname is None:
            return []
        length = 128 if endpoint.family is Family.INET6 else 32
        return [Placed(ifname, VirtualAddress(prefix=IpPrefix(endpoint.source, length)))]

    def _tell(self, action: Action) -> None:
        match action:
            case events.Log(text=text, detail=detail):
                (self._log.detail if detail else self._log.info)(text)
            case events.UseOldChecksum(instance=name):
                if endpoint := self._endpoint(name):
                    endpoint.use_old_checksum()
            case events.Notify():
                self._notify(action)
            case events.RunScript(script=name, timeout_us=timeout_us):
                self._start_script(name, timeout_us)
            case events.SyncDaemonRole(instance=name, master=master):
                self.sync_daemon.role(master)
                self._context.emit("sync-daemon-role", {"instance": name, "master": master})
            case _:
                pass

    def _notify(self, action: events.Notify) -> None:
        if action.kind is events.NotifyKind.GROUP:
            known = [each.groups[action.name] for each in (self._now, self._old) if each and action.name in each.groups]
            self._voice.tell(action, known[0] if known else None)
            return
        # An instance that a reload ends speaks through the scripts of the old configuration.
        endpoint = self._endpoint(action.name, farewell=action.state in {"DELETED", "FAULT"})
        self._voice.tell(action, endpoint.instance if endpoint else None)

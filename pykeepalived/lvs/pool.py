"""One virtual server's life: its real servers come and go, and the sorry server stands in for them.

Rules (keepalived; ldirectord's are the same with other words, see `Policy`):

- A real server that is not alpha is assumed alive until a check says otherwise; an alpha one waits for its first
  success. In the table it has its effective weight while alive; dead it is absent, or has weight 0 with
  inhibit_on_failure.
- While there is no quorum and a sorry server is configured, the sorry server alone serves: alive servers are
  withdrawn (weight 0 with inhibit_on_failure). Without a sorry server nothing is withdrawn.
- A sorry server with inhibit stands in the table with weight 0 while it does not serve.

Each method returns the events of its change in the order in which they are to be told. The table that results is read
from `destinations`: what is in the table is a function of the state, never of the path that led to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from pykeepalived.lvs.events import (
    Cause,
    CheckChanged,
    Effect,
    LvsEvent,
    PoolRestored,
    PoolWithdrawn,
    QuorumBroken,
    QuorumGained,
    QuorumLost,
    ServerDown,
    ServerLeft,
    ServerUp,
    ServiceLeaving,
    ServiceRemoved,
    SorryAdded,
    SorryRemoved,
    WeightChanged,
)
from pykeepalived.lvs.health import CheckHealth, ServerHealth, starts_alive
from pykeepalived.lvs.names import ServiceRef
from pykeepalived.lvs.quorum import Thresholds, thresholds_of
from pykeepalived.lvs.table import Destination, DestinationKey
from pykeepalived.model.checks import DnsCheck, PingCheck, SmtpCheck, TcpCheck, UdpCheck
from pykeepalived.model.lvs import RealServer, SorryServer

#: Checks of which the first failure is told although an alpha server is down in any case (seen with 2.4.3).
_TELLING = TcpCheck | SmtpCheck | DnsCheck | UdpCheck | PingCheck


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Where the dialects differ in more than words."""

    counts_servers: bool = False
    """ldirectord: one alive server is enough, even with weight 0."""
    keeps_found_alive: bool = False
    """ldirectord: a server found in the table with a weight at start stays until a check says otherwise."""


class Pool:
    """The state of one virtual server."""

    def __init__(self, service: ServiceRef, policy: Policy | None = None) -> None:
        self.service = service
        self.policy = policy or Policy()
        self.thresholds: Thresholds = thresholds_of(service.server)
        self.servers: list[ServerHealth] = [
            ServerHealth(server, starts_alive(server)) for server in service.server.real_servers
        ]
        self.quorum_up = False
        self.sorry_serves = False

    # ---- what it looks like ----

    @property
    def weight(self) -> int:
        """W: the sum of the weights of alive servers (their number, where the policy counts servers)."""
        alive = (health for health in self.servers if health.alive)
        if self.policy.counts_servers:
            return sum(1 for _ in alive)
        return sum(health.weight for health in alive)

    def table_weight(self, health: ServerHealth) -> int | None:
        """The weight that a server has in the table; None: it is not in the table."""
        if health.alive and not self.sorry_serves:
            return health.shown_weight
        return 0 if health.server.inhibit_on_failure else None

    def destinations(self) -> Iterator[tuple[DestinationKey, Destination]]:
        """What the table holds for this virtual server. A server that is named twice is there if either is alive."""
        taken: dict[DestinationKey, Destination] = {}
        for health in self.servers:
            weight = self.table_weight(health)
            if weight is None:
                continue
            server = health.server
            key = DestinationKey(server.address, server.port)
            before = taken.get(key)
            if before is None or before.weight == 0:
                taken[key] = Destination(
                    weight=weight,
                    forwarding=server.forwarding,
                    upper_threshold=server.upper_threshold,
                    lower_threshold=server.lower_threshold,
                )
        sorry = self.service.server.sorry_server
        if sorry is not None and (self.sorry_serves or sorry.inhibit):
            key = DestinationKey(sorry.address, sorry.port)
            weight = sorry.weight if self.sorry_serves else 0
            before = taken.get(key)
            if before is None or before.weight == 0:
                taken[key] = Destination(weight=weight, forwarding=sorry.forwarding)
        yield from taken.items()

    # ---- what happens to it ----

    def start(self, found: Callable[[RealServer], bool] = lambda server: False) -> list[LvsEvent]:
        """Begin. `found` says whether a server stands in the kernel's table with a weight from an earlier run."""
        events: list[LvsEvent] = []
        for health in self.servers:
            if not health.alive and self.policy.keeps_found_alive and found(health.server):
                self._assume(health)
            if health.alive:
                effect = Effect.ADDED
                events.append(ServerUp(self.service, health.server, Cause.START, effect, health.weight))
            else:
                effect = Effect.QUIESCED if health.server.inhibit_on_failure else Effect.NONE
                events.append(ServerDown(self.service, health.server, Cause.START, effect))
        if self._holds():
            self.quorum_up = True
            events.append(QuorumGained(self.service, self.weight, Cause.START))
        else:
            events.append(QuorumLost(self.service, self.weight, Cause.START))
            events += self._sorry_in(Cause.START)
        return events

    def check_result(
        self,
        health: ServerHealth,
        check: CheckHealth,
        up: bool,
        asked_weight: int | None,
        text: str,
        *,
        forgiven: bool = False,
    ) -> list[LvsEvent]:
        """Take the verdict of one checker. No event when nothing changes.

        `forgiven`: a failure that does not count yet; it has no opinion on weight.
        """
        old_weight, was_alive = health.weight, health.alive
        changed = check.up is not up
        check.checked = True
        check.up = up
        if up and not forgiven:
            check.weight_change = check.opinion(health.server, asked_weight)
        events: list[LvsEvent] = []
        if health.weight != old_weight:
            events.append(
                WeightChanged(self.service, health.server, old_weight, health.weight, health.alive, Cause.CHECK)
            )
        events += self._settle_server(health, Cause.CHECK, check, text)
        tells = isinstance(check.spec.question, _TELLING)
        if check.first and tells and not (up or changed or health.alive or self.policy.counts_servers):
            events.append(
                ServerDown(self.service, health.server, Cause.CHECK, Effect.NONE, check.spec, text, never_up=True)
            )
        check.first = False
        if changed and health.alive is was_alive:
            events.append(CheckChanged(self.service, health.server, check.spec, up, health.alive, text))
        if events:
            events += self._settle_quorum(Cause.CHECK)
        return events

    def hold(self, health: ServerHealth, reason: str, text: str) -> list[LvsEvent]:
        """Take a server out for a reason that is not a check."""
        health.holds.add(reason)
        return self._settle_server(health, Cause.CHECK, None, text) + self._settle_quorum(Cause.CHECK)

    def release(self, health: ServerHealth, reason: str) -> list[LvsEvent]:
        """Take the reason back; the server returns if its checkers are well."""
        health.holds.discard(reason)
        return self._settle_server(health, Cause.CHECK, None, "") + self._settle_quorum(Cause.CHECK)

    def override_weight(self, health: ServerHealth, weight: int | None) -> list[LvsEvent]:
        """Set an operator's weight, or take it back with None."""
        old = health.weight
        health.weight_override = weight
        if health.weight == old:
            return []
        changed = WeightChanged(self.service, health.server, old, health.weight, health.alive, Cause.CHECK)
        return [changed, *self._settle_quorum(Cause.CHECK)]

    def reload(self, service: ServiceRef) -> list[LvsEvent]:
        """Change to a new configuration of the same virtual server; kept servers keep their health."""
        events: list[LvsEvent] = []
        old_service, old_sorry = self.service, self.service.server.sorry_server
        remaining = list(self.servers)
        servers: list[ServerHealth] = []
        fresh: list[ServerHealth] = []
        moved: list[tuple[ServerHealth, int]] = []
        for server in service.server.real_servers:
            kept = next((health for health in remaining if health.key == (server.address, server.port)), None)
            if kept is None:
                kept = ServerHealth(server, starts_alive(server))
                fresh.append(kept)
            else:
                remaining.remove(kept)
                moved.append((kept, kept.weight))
                kept.replace(server)
            servers.append(kept)
        for health in remaining:
            effect = Effect.NONE if self.table_weight(health) is None else Effect.REMOVED
            events.append(ServerLeft(old_service, health.server, Cause.RELOAD, health.alive, effect))
        if self.quorum_up and any(health.alive for health in remaining):
            carried = sum(old for health, old in moved if health.alive)
            if not self.policy.counts_servers and not self.thresholds.holds(True, carried):
                events.append(QuorumBroken(old_service, carried))
        self.service, self.servers, self.thresholds = service, servers, thresholds_of(service.server)
        for health, old in moved:
            if health.weight != old:
                events.append(WeightChanged(service, health.server, old, health.weight, health.alive, Cause.RELOAD))
            events += self._settle_server(health, Cause.CHECK, None, "")
        for health in fresh:
            if health.alive:
                effect = Effect.NONE if self.table_weight(health) is None else Effect.ADDED
                events.append(ServerUp(service, health.server, Cause.RELOAD, effect, health.weight))
        if self.sorry_serves and old_sorry is not None and not _same_target(old_sorry, service.server.sorry_server):
            self.sorry_serves = False
            events.append(SorryRemoved(old_service, old_sorry, Cause.RELOAD))
        events += self._settle_quorum(Cause.RELOAD)
        if not self.quorum_up and not self.sorry_serves:
            events += self._sorry_in(Cause.RELOAD)
        return events

    def leave(self, cause: Cause) -> list[LvsEvent]:
        """End: the virtual server goes out of the configuration or the program stops."""
        events: list[LvsEvent] = [ServiceLeaving(self.service, cause)]
        weight = self.weight
        for health in self.servers:
            effect = Effect.NONE if self.table_weight(health) is None else Effect.REMOVED
            events.append(ServerLeft(self.service, health.server, cause, health.alive, effect, with_service=True))
        events.append(ServiceRemoved(self.service, cause, self.quorum_up, weight))
        return events

    # ---- inside ----

    def _assume(self, health: ServerHealth) -> None:
        health.alive = True
        for check in health.checks:
            check.up = True

    def _holds(self) -> bool:
        if self.policy.counts_servers:
            return self.weight > 0
        return self.thresholds.holds(self.quorum_up, self.weight)

    def _settle_server(
        self, health: ServerHealth, cause: Cause, check: CheckHealth | None, text: str
    ) -> list[LvsEvent]:
        if health.alive == health.healthy:
            return []
        before = self.table_weight(health)
        health.alive = health.healthy
        spec = check.spec if check else None
        if not health.alive:
            if self.table_weight(health) is not None:
                effect = Effect.QUIESCED
            else:
                effect = Effect.REMOVED if before is not None else Effect.NONE
            return [ServerDown(self.service, health.server, cause, effect, spec, text)]
        # With the sorry server in place the table changes only if this server brings the quorum back.
        if self.sorry_serves and not self._holds():
            effect = Effect.NONE
        else:
            effect = Effect.ADDED if before is None else Effect.RESTORED
        return [ServerUp(self.service, health.server, cause, effect, health.weight, spec, text)]

    def _settle_quorum(self, cause: Cause) -> list[LvsEvent]:
        holds = self._holds()
        if holds == self.quorum_up:
            return []
        self.quorum_up = holds
        if holds:
            return [QuorumGained(self.service, self.weight, cause), *self._sorry_out(cause)]
        return [QuorumLost(self.service, self.weight, cause), *self._sorry_in(cause)]

    def _sorry_in(self, cause: Cause) -> list[LvsEvent]:
        sorry = self.service.server.sorry_server
        if sorry is None or self.sorry_serves:
            return []
        self.sorry_serves = True
        effect = Effect.RESTORED if sorry.inhibit else Effect.ADDED
        return [SorryAdded(self.service, sorry, cause, effect), PoolWithdrawn(self.service, cause)]

    def _sorry_out(self, cause: Cause) -> list[LvsEvent]:
        sorry = self.service.server.sorry_server
        if sorry is None or not self.sorry_serves:
            return []
        self.sorry_serves = False
        effect = Effect.QUIESCED if sorry.inhibit else Effect.REMOVED
        return [SorryRemoved(self.service, sorry, cause, effect), PoolRestored(self.service, cause)]


def _same_target(old: SorryServer, new: SorryServer | None) -> bool:
    return new is not None and (old.address, old.port) == (new.address, new.port)

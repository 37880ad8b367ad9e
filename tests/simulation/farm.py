"""What a seed means for a director: virtual servers, an hour of faults, a healed world, and what must then be true.

Once everything works again, within the time that the timers allow,

    right       the kernel lists what the servers are
    rest        nothing more is written, and a comparison with the kernel finds nothing to mend
    successor   after a crash, a server that died meanwhile is out one check after the start
    farewell    an orderly stop takes our services out of the kernel and leaves those of others
"""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from pykeepalived.lvs.table import (
    Destination,
    Entry,
    Service,
    ServiceKey,
)
from pykeepalived.model.checks import CheckerSpec, CheckTiming, MiscCheck
from pykeepalived.model.common import Family, Script
from pykeepalived.model.config import Config, GlobalDefs
from pykeepalived.model.lvs import AddressSelector, Forwarding, Protocol, RealServer, SorryServer, VirtualServer
from pykeepalived.units import MILLISECOND_US, SECOND_US
from tests.simulation.director import REPAIR_US, REST_US, STRANGER, Director, Server, service_key
from tests.simulation.opinion import script_of, told_name
from tests.simulation.watch import Broken

#: The longest pause before the program tries a refused change again.
_RETRY_US = 61 * SECOND_US
_OTHERS = ServiceKey.for_address(Protocol.TCP, "10.8.8.8", 443, Family.INET)
_TIMEOUT_US = 2 * SECOND_US
_THEIRS = Destination(weight=5, forwarding=Forwarding())


def _told(name: str, state: str) -> Script:
    return Script(("/told", name, state))


def _spec(chance: random.Random, name: str, *, shared: bool) -> CheckerSpec:
    timing = CheckTiming(
        delay_loop_us=(2 if shared else chance.randint(1, 6)) * SECOND_US,
        warmup_us=chance.choice((0, 2)) * SECOND_US,
        retry=0 if shared else chance.randint(0, 3),
        delay_before_retry_us=chance.choice((200, 500, 2000)) * MILLISECOND_US,
        alpha=chance.random() < 0.1,
    )
    question = MiscCheck(script=Script(("/check", name)), timeout_us=_TIMEOUT_US, dynamic=chance.random() < 0.3)
    return CheckerSpec(question=question, timing=timing)


def _resolved(service: VirtualServer) -> VirtualServer:
    """The `alpha` of the service and of a server stands in each checker, as the dialects resolve it."""
    replace = msgspec.structs.replace
    reals = []
    for real in service.real_servers:
        waits = service.alpha or real.alpha
        specs = (replace(s, timing=replace(s.timing, alpha=waits or s.timing.alpha)) for s in real.checkers)
        reals.append(replace(real, checkers=tuple(specs)))
    return replace(service, real_servers=tuple(reals))


def farm(seed: int) -> Config:
    """The configuration of a seed: one to four virtual servers with one to five real servers each."""
    chance = random.Random(f"farm {seed}")
    shared = chance.random() < 0.2
    services = []
    for number in range(chance.randint(1, 4)):
        service = VirtualServer(selector=AddressSelector(f"10.0.0.{number + 1}", 80), protocol=Protocol.TCP)
        reals = []
        for item in range(chance.randint(1, 5)):
            names = [f"machine-{item}"] if shared else [f"{number}-{item}-{k}" for k in range(chance.choice((1, 1, 2)))]
            real = RealServer(address=f"10.1.{number}.{item + 1}", port=80, weight=chance.choice((1, 1, 3, 0, 10)))
            real = msgspec.structs.replace(
                real,
                inhibit_on_failure=chance.random() < 0.3,
                alpha=chance.random() < 0.15,
                checkers=tuple(
                    _spec(random.Random(f"{seed} {n}") if shared else chance, n, shared=shared) for n in names
                ),
                notify_up=_told(told_name(service, real), "up"),
                notify_down=_told(told_name(service, real), "down"),
            )
            reals.append(real)
        sorry = SorryServer(address=f"10.2.{number}.1", port=80, inhibit=chance.random() < 0.3)
        services.append(
            msgspec.structs.replace(
                service,
                real_servers=tuple(reals),
                quorum=chance.choice((1, 1, 2, 5)),
                hysteresis=chance.choice((0, 0, 1)),
                sorry_server=sorry if chance.random() < 0.6 else None,
                alpha=chance.random() < 0.1,
                quorum_up=_told(told_name(service), "up"),
                quorum_down=_told(told_name(service), "down"),
            )
        )
    repair_us = chance.choice((REPAIR_US, REPAIR_US, 0))
    return Config(virtual_servers=tuple(map(_resolved, services)), globals=GlobalDefs(lvs_repair_interval_us=repair_us))


FAULT_KINDS = (
    "crash",
    "deaf-start",
    "die",
    "flap",
    "kill",
    "lag",
    "mute",
    "pause",
    "refuse",
    "reload",
    "same",
    "slow",
    "steal",
    "stranger",
    "stutter",
    "weight",
    "wipe",
)


class FarmTrial:
    """One seed: made, suffered, healed, judged."""

    def __init__(self, seed: int, suffering_s: int | None = None) -> None:
        self.seed = seed
        self.config = farm(seed)
        self.world = Director(seed, self.config)
        self.chance = random.Random(f"farm faults {seed}")
        self.suffering_s = suffering_s or self.chance.choice((60, 300, 900))
        self.wiped = False
        self.world.kernel.table[_OTHERS] = Entry(Service(scheduler="rr"), {STRANGER: _THEIRS})

    def summary(self) -> str:
        sizes = [len(service.real_servers) for service in self.config.virtual_servers]
        return f"virtual servers with {sizes} real servers, {self.suffering_s} s of faults"

    def run(self) -> Director:
        """Raise `Broken` when something does not hold."""
        world = self.world
        world.start()
        for _ in range(self.suffering_s * self.chance.choice((1, 4, 12)) // 60):
            world.later(self.chance.randint(SECOND_US, self.suffering_s * SECOND_US), self._fault)
        world.run(self.suffering_s * SECOND_US)
        self._heal()
        self._rest()
        self._successor()
        self._distrust()
        world.stop()
        self._farewell()
        return world

    # ── faults ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _fault(self) -> None:
        world, chance = self.world, self.chance
        lasts_us = int(chance.choice((0.5, 5, 20)) * SECOND_US * chance.random())
        faults: dict[str, Callable[[int], None]] = {
            "die": lambda us: self._server(us, status=1),
            "flap": self._flap,
            "slow": lambda us: self._server(us, takes_us=chance.choice((1_900_000, 3_000_000))),
            "weight": self._weight,
            "kill": self._away,
            "crash": self._crash,
            "refuse": lambda us: self._kernel(us, "refusing", chance.uniform(0.1, 1.0)),
            "mute": lambda us: self._kernel(us, "mute", True),
            "deaf-start": self._deaf_start,
            "lag": lambda us: self._kernel(us, "slow_us", chance.randint(100, 20_000)),
            "steal": lambda us: self._theft(),
            "wipe": lambda us: self._wipe(),
            "stranger": lambda us: self._stranger(),
            "same": lambda us: world.reload(world.config),
            "reload": self._reload,
            "pause": self._pause,
            "stutter": lambda us: self._stutter(),
        }
        if not self.config.globals.lvs_repair_interval_us:
            # Nobody would notice what others write.
            for name in ("steal", "wipe", "stranger"):
                del faults[name]
        name = chance.choice(sorted(faults))
        world.done[f"fault {name}"] += 1
        world.story.append(f"{world.reactor.now_us() / SECOND_US:.3f} {name} for {lasts_us / SECOND_US:.3f}")
        faults[name](lasts_us)

    def _names(self) -> list[str]:
        return sorted(
            {script_of(spec) for s in self.config.virtual_servers for r in s.real_servers for spec in r.checkers}
        )

    def _server(self, lasts_us: int, **words: int) -> None:
        server = self.world.servers.setdefault(self.chance.choice(self._names()), Server())
        for word, value in words.items():
            setattr(server, word, value)

        def heal() -> None:
            server.status, server.takes_us = 0, 5 * MILLISECOND_US

        self.world.later(lasts_us, heal)

    def _weight(self, lasts_us: int) -> None:
        """A check asks for a weight; now and then it fails for a moment meanwhile."""
        server = self.world.servers.setdefault(self.chance.choice(self._names()), Server())

        def become(status: int) -> Callable[[], None]:
            return lambda: setattr(server, "status", status)

        weight = self.chance.randint(2, 30)
        become(weight)()
        if self.chance.random() < 0.8:
            self.world.later(lasts_us // 2, become(1))
            self.world.later(lasts_us // 2 + SECOND_US, become(weight))
        self.world.later(lasts_us + 2 * SECOND_US, become(0))

    def _stutter(self) -> None:
        """Now and then an answer is bad: what a retry is for."""
        for name in self._names():
            server = self.world.servers.setdefault(name, Server())
            server.next = [self.chance.choice((0, 1, 1)) for _ in range(self.chance.randint(3, 20))]

    def _flap(self, lasts_us: int) -> None:
        for part in range(4):
            self.world.later(part * lasts_us // 4, lambda: self._server(lasts_us // 8, status=1))

    def _away(self, lasts_us: int) -> None:
        self.world.kill()
        self.world.later(lasts_us, self.world.start)

    def _crash(self, lasts_us: int) -> None:
        self.world.crash_in = self.chance.randint(0, 12)
        self.world.later(lasts_us + 10 * SECOND_US, self.world.start)

    def _kernel(self, lasts_us: int, word: str, value: float) -> None:
        world, normal = self.world, type(value)()
        world.faults += 1
        setattr(world.kernel, word, value)

        def heal() -> None:
            world.faults -= 1
            setattr(world.kernel, word, normal)
            world.excuse(_RETRY_US)

        world.later(lasts_us, heal)

    def _deaf_start(self, lasts_us: int) -> None:
        """The kernel does not answer a daemon that starts, nor for some time after."""
        self.world.kill()
        if self.config.globals.lvs_repair_interval_us and self.chance.random() < 0.5:
            self._wipe()
        self._kernel(lasts_us, "mute", True)
        self.world.later(lasts_us // 2, self.world.start)

    def _ours(self) -> list[ServiceKey]:
        keys = [service_key(server) for server in self.world.config.virtual_servers]
        return [key for key in keys if key in self.world.kernel.table]

    def _disturb(self) -> None:
        # Pieces of a hundred destinations, and a pause between them.
        self.world.excuse(2 * REPAIR_US)

    def _theft(self) -> None:
        """Another program takes a destination out, or bends its weight."""
        if keys := self._ours():
            self._disturb()
            entry = self.world.kernel.table[self.chance.choice(keys)]
            for kept in sorted(entry.destinations)[:1]:
                if kept != STRANGER and self.chance.random() < 0.5:
                    del entry.destinations[kept]
                elif kept != STRANGER:
                    entry.destinations[kept] = msgspec.structs.replace(entry.destinations[kept], weight=77)

    def _wipe(self) -> None:
        self._disturb()
        self.wiped = True
        self.world.kernel.table.clear()
        self.world.guests.clear()

    def _stranger(self) -> None:
        """Another program puts a destination of its own into a service of ours."""
        if keys := self._ours():
            self._disturb()
            key = self.chance.choice(keys)
            self.world.kernel.table[key].destinations[STRANGER] = _THEIRS
            self.world.guests.add(key)

    def _pause(self, lasts_us: int) -> None:
        """The process sleeps; what comes due meanwhile comes when it wakes."""
        self.world.reactor.spend(lasts_us)
        self.world.excuse(lasts_us + SECOND_US)

    def _reload(self, lasts_us: int) -> None:
        world, chance = self.world, self.chance
        services = list(self.config.virtual_servers)
        which = chance.randrange(len(services))
        service = services[which]
        kind = chance.choice(("without", "weights", "sorry", "quorum", "service"))
        if kind == "without" and len(service.real_servers) > 1:
            service = msgspec.structs.replace(service, real_servers=service.real_servers[1:])
        elif kind == "weights":
            reals = tuple(msgspec.structs.replace(real, weight=real.weight + 2) for real in service.real_servers)
            service = msgspec.structs.replace(service, real_servers=reals)
        elif kind == "sorry":
            service = msgspec.structs.replace(service, sorry_server=None)
        elif kind == "quorum":
            service = msgspec.structs.replace(service, quorum=3)
        services[which : which + 1] = [] if kind == "service" and len(services) > 1 else [service]
        world.reload(msgspec.structs.replace(self.config, virtual_servers=tuple(services)))
        world.later(lasts_us, lambda: world.reload(self.config))

    # ── afterwards ────────────────────────────────────────────────────────────────────────────────────────────────

    def _heal(self) -> None:
        world = self.world
        world.run(world.reactor.now_us() + 60 * SECOND_US)  # the faults end by themselves
        world.crash_in = None
        world.start()
        world.reload(self.config)
        world.story.append(f"{world.reactor.now_us() / SECOND_US:.3f} healed")
        for server in world.servers.values():
            server.status, server.takes_us = 0, 5 * MILLISECOND_US
            server.next.clear()
        world.run(world.reactor.now_us() + _RETRY_US + 60 * SECOND_US)

    def _listed(self) -> list[dict[str, int] | None]:
        return [self.world.listed(server) for server in self.config.virtual_servers]

    def _compare(self, name: str, what: str, dead: frozenset[str] = frozenset()) -> None:
        """The kernel must list what servers ask for of which these are dead and all others well."""
        for service, listed in zip(self.config.virtual_servers, self._listed(), strict=True):
            allowed = _stands(service, dead)
            if listed not in allowed:
                raise Broken(name, f"{what}: {service.selector} lists {listed} and should list {allowed}")

    def _rest(self) -> None:
        world = self.world
        self._compare("right", "all are well")
        before = len(world.kernel.applied)
        world.run(world.reactor.now_us() + 60 * SECOND_US)
        if len(world.kernel.applied) != before:
            raise Broken("rest", f"{world.kernel.applied[before:]}")
        world.reload(self.config)
        if len(world.kernel.applied) != before:
            raise Broken("reload", f"{world.kernel.applied[before:]}")

    def _successor(self) -> None:
        """It dies, a server dies, it starts again."""
        world = self.world
        name = self.chance.choice(self._names())
        world.kill()
        world.servers.setdefault(name, Server()).status = 1
        world.run(world.reactor.now_us() + 30 * SECOND_US)
        world.start()
        # The longest warm-up, and the check; one that lasts until it is answered.
        world.run(world.reactor.now_us() + 2 * SECOND_US + SECOND_US + REST_US)
        self._compare("successor", f"{name} died", frozenset({name}))

    def _distrust(self) -> None:
        """All servers die, and return."""
        world = self.world
        names = self._names()
        for name in names:
            world.servers.setdefault(name, Server()).status = 1
        world.run(world.reactor.now_us() + 60 * SECOND_US)
        self._compare("right", "all died", frozenset(names))
        for name in names:
            world.servers[name].status = 0
        world.run(world.reactor.now_us() + 30 * SECOND_US)
        self._rest()

    def _farewell(self) -> None:
        table = self.world.kernel.table
        if left := [service_key(s) for s in self.config.virtual_servers if service_key(s) in table]:
            raise Broken("farewell", f"{left} stayed")
        if not self.wiped and table.get(_OTHERS) is None:
            raise Broken("stranger", "a service of somebody else is gone")
        theirs = table.get(_OTHERS)
        if theirs is not None and theirs.destinations != {STRANGER: _THEIRS}:
            raise Broken("stranger", f"a service of somebody else holds {theirs.destinations}")


def _stands(service: VirtualServer, dead: frozenset[str]) -> list[dict[str, int]]:
    """What may be listed: within the hysteresis the way there decides, and only `Opinion` knows it."""
    well = [real for real in service.real_servers if not any(script_of(spec) in dead for spec in real.checkers)]
    total = sum(real.weight for real in service.real_servers)
    quorum = min(service.quorum, total or service.quorum)
    slack = max(0, min(service.hysteresis, quorum - 1))
    weight = sum(real.weight for real in well)
    from_below, from_above = weight >= quorum + slack, weight > 0 and weight >= quorum - slack
    return [_listing(service, well, holds=holds) for holds in {from_below, from_above}]


def _listing(service: VirtualServer, well: list[RealServer], *, holds: bool) -> dict[str, int]:
    sorry = service.sorry_server
    stands_in = sorry is not None and not holds
    wanted = {real.address: 0 for real in service.real_servers if real.inhibit_on_failure}
    if not stands_in:
        wanted |= {real.address: real.weight for real in well}
    if sorry is not None and (stands_in or sorry.inhibit):
        wanted[sorry.address] = sorry.weight if stands_in else 0
    return wanted

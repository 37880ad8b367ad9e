"""What a seed means: a cluster, an hour of faults, a healed network, and what must then be true.

Once everything works again, within the time that the timers allow,

    liveness    each virtual router has exactly one master, and nobody is in FAULT
    priority    the effective priority of each is what its configuration and its trackers make of it
    right       that master has the highest priority (where no instance refuses to preempt)
    rest        nothing more changes
    distrust    a script that fails is felt
    failover    a router that dies is replaced when the down timer of the best other one says so, one that is stopped
                when its skew says so
"""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from pykeepalived.model.common import IpPrefix, Script
from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import (
    AuthHmac,
    HmacKey,
    SyncGroup,
    TrackedScript,
    VirtualAddress,
    VrrpInstance,
    VrrpScript,
    VrrpState,
)
from pykeepalived.units import SECOND_US
from pykeepalived.vrrp.facts import advert_interval_us
from tests.simulation.machine import EPOCH_US, Machine
from tests.simulation.world import DELAY_US, Broken, World

_INTERVALS_US = (100_000, 300_000, 1_000_000)
_HMAC = AuthHmac(keys=(HmacKey(1, b"a shared secret of the cluster"),), active_key=1)


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How large the cluster is and how long it suffers."""

    routers: int
    instances: int
    suffering_s: int
    faults_per_minute: float


def shape_of(seed: int) -> Shape:
    """Mostly pairs with a few instances; now and then twenty routers, or a hundred instances."""
    chance = random.Random(f"shape {seed}")
    kind = chance.random()
    if kind < 0.05:
        return Shape(routers=chance.randint(6, 20), instances=1, suffering_s=60, faults_per_minute=12)
    if kind < 0.1:
        return Shape(routers=2, instances=chance.randint(20, 100), suffering_s=20, faults_per_minute=12)
    return Shape(
        routers=chance.randint(2, 5),
        instances=chance.choice((1, 1, 1, 2, 3, 4)),
        suffering_s=chance.choice((60, 300, 900)),
        faults_per_minute=chance.choice((1, 4, 12)),
    )


def cluster(seed: int, shape: Shape) -> list[Config]:
    """The configuration of each router."""
    chance = random.Random(f"cluster {seed}")
    version, interval_us = chance.choice(((2, SECOND_US), (3, chance.choice(_INTERVALS_US))))
    grouped = shape.instances > 1 and chance.random() < 0.4
    nopreempt = chance.random() < 0.2
    delay_us = chance.choice((0, 0, 0, 2 * SECOND_US)) if not nopreempt else 0
    hmac = _HMAC if chance.random() < 0.15 else None
    weight = chance.choice((None, None, 0, -30, 40))
    adverts = chance.choice((3, 3, 3, 2, 5))
    garp = chance.random() < 0.2
    distinct = chance.random() < 0.8
    configs = []
    ranks = chance.sample(range(1, 251), shape.routers) if distinct else [100] * shape.routers
    for number in range(shape.routers):
        scripts = (
            () if weight is None else (VrrpScript(name="chk", script=Script(("/bin/chk",)), weight=weight, fall=2),)
        )
        instances = []
        for item in range(shape.instances):
            rank = ranks[number] if grouped or not distinct else ranks[(number + item) % shape.routers]
            instances.append(
                VrrpInstance(
                    name=f"VI_{item}",
                    vrid=item + 1,
                    interface=f"eth{item % 2}",
                    version=version,
                    priority=rank,
                    initial_state=VrrpState.BACKUP,
                    advert_interval_us=interval_us,
                    addresses=(VirtualAddress(prefix=IpPrefix(f"10.1.{item}.1", 24)),),
                    nopreempt=nopreempt,
                    preempt_delay_us=delay_us,
                    down_timer_adverts=adverts,
                    auth_hmac=hmac,
                    higher_prio_send_advert=garp,
                    track_scripts=(TrackedScript("chk"),) if scripts and not grouped else (),
                )
            )
        groups = ()
        if grouped:
            tracked = (TrackedScript("chk"),) if scripts else ()
            names = tuple(item.name for item in instances)
            groups = (SyncGroup(name="G", members=names, track_scripts=tracked, tracking_weight=bool(weight)),)
        configs.append(Config(instances=tuple(instances), sync_groups=groups, scripts=scripts))
    return configs


class Trial:
    """One seed: made, suffered, healed, judged."""

    def __init__(self, seed: int, shape: Shape | None = None) -> None:
        self.shape = shape or shape_of(seed)
        self.configs = cluster(seed, self.shape)
        self.world = World(seed, self.configs)
        self.chance = random.Random(f"faults {seed}")

    def summary(self) -> str:
        return str(self.shape)

    def run(self) -> World:
        """Raise `Broken` when something does not hold."""
        world = self.world
        for machine in world.machines:
            world.later(self.chance.randint(0, 2 * SECOND_US), self._call(world.boot, machine))
        end_us = self.shape.suffering_s * SECOND_US
        for _ in range(int(self.shape.suffering_s / 60 * self.shape.faults_per_minute)):
            world.later(self.chance.randint(SECOND_US, end_us), self._fault)
        world.run(end_us)
        self._heal()
        world.run(end_us + self._settle_us())
        self._judge()
        told, moved = [dict(machine.told) for machine in world.machines], world.transitions
        world.run(world.now_us + 20 * self._interval_us())
        if world.transitions != moved:
            raise Broken("rest", f"told {told} at rest, then {[machine.told for machine in world.machines]}")
        self._judge()
        for leave in (world.kill, world.stop):
            self._replace(leave)
        self._distrust()
        return world

    def _distrust(self) -> None:
        """A script fails on one machine: its instances feel it, as its weight says."""
        world, machine = self.world, self.chance.choice(self.world.machines)
        if not machine.config.scripts or (machine.config.sync_groups and machine.config.scripts[0].weight):
            return
        weight = machine.config.scripts[0].weight
        machine.failing.add("chk")
        world.run(world.now_us + 5 * SECOND_US)
        for status, item in zip(machine.router.status(), machine.config.instances, strict=True):
            expected = max(1, item.priority + min(weight, 0))
            if weight == 0 and status.state is not VrrpState.FAULT:
                raise Broken("distrust", f"{machine.name} {item.name} is {status.state.name}, its script fails")
            if weight and status.effective_priority != expected:
                raise Broken("distrust", f"{machine.name} {item.name}: {status.effective_priority}, not {expected}")
        machine.failing.clear()
        world.run(world.now_us + self._settle_us())
        self._judge()

    def _replace(self, leave: Callable[[Machine], None]) -> None:
        """The router that leads the first instance goes, somebody else leads in time, and it comes back."""
        world, item = self.world, self.configs[0].instances[0]
        (machine,) = (each for each in world.machines if item.name in each.leading)
        # An advert that is still under way would arrive behind the goodbye and take it back.
        while world.in_flight():
            world.run(world.now_us + DELAY_US[1])
        leave(machine)
        others = [each.router.status()[0].effective_priority for each in world.machines if each.alive]
        patience_us = self._skew_us(max(others)) + 2 * DELAY_US[1]
        if leave == world.kill:
            patience_us += item.down_timer_adverts * self._interval_us()
        if self.configs[0].sync_groups:
            # The members' timers do not run out at one instant; the last one decides.
            patience_us += (item.down_timer_adverts + 1) * self._interval_us()
        best = max(others)
        near_us = self._skew_us(255)
        seen_before = dict(world.entries)
        world.run(world.now_us + patience_us)
        for each in world.machines:
            if each is machine or not each.alive or self.configs[0].sync_groups:
                continue
            behind_us = (best - each.router.status()[0].effective_priority) * near_us
            key = (each.number, item.name)
            if behind_us > 2 * DELAY_US[1] and world.entries[key] != seen_before.get(key, 0):
                raise Broken("failover", f"{each.name} leads although a better one was there")
        if not any(item.name in each.leading for each in world.machines):
            raise Broken("failover", f"{leave.__name__}: nobody leads {item.name} after {patience_us} µs")
        world.boot(machine)
        world.run(world.now_us + self._settle_us())
        self._judge()

    def _skew_us(self, priority: int) -> int:
        """RFC 3768 and RFC 9568, section 6.1 of both; not the cores' own word for it."""
        unit_us = SECOND_US if self.configs[0].instances[0].version == 2 else self._interval_us()
        return (256 - priority) * unit_us // 256

    @staticmethod
    def _call(action: Callable[[Machine], None], machine: Machine) -> Callable[[], None]:
        return lambda: action(machine)

    def _interval_us(self) -> int:
        return max(advert_interval_us(item) for item in self.configs[0].instances)

    def _settle_us(self) -> int:
        item = self.configs[0].instances[0]
        down_us = (item.down_timer_adverts + 2) * self._interval_us()
        clocks_us = 60 * SECOND_US if item.auth_hmac else 0
        return 3 * down_us + item.preempt_delay_us + 5 * SECOND_US + clocks_us

    # ── faults ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _fault(self) -> None:
        world, chance = self.world, self.chance
        machine = chance.choice(world.machines)
        back_us = world.now_us + int(chance.choice((0.05, 0.5, 3, 10)) * SECOND_US * chance.random())
        faults: dict[str, Callable[[], Callable[[], None]]] = {
            "kill": lambda: self._both(world.kill, world.boot, machine),
            "crash": lambda: self._crash(machine),
            "stop": lambda: self._both(world.stop, world.boot, machine),
            "pause": lambda: self._both(world.pause, world.resume, machine),
            "link": lambda: self._link(machine),
            "cut": lambda: self._cut(both=True),
            "one-way": lambda: self._cut(both=False),
            "loss": lambda: self._noise("loss", chance.uniform(0.05, 0.9)),
            "doubling": lambda: self._noise("doubling", 0.5),
            "slow": lambda: self._noise("slowest_us", 20_000),
            "script": lambda: self._script(machine),
            "address": lambda: self._once(lambda: world.lose_address(machine)),
            "reload": lambda: self._once(lambda: world.reload(machine, machine.config)),
            "priority": lambda: self._priority(machine),
            "clock": lambda: self._clock(machine),
        }
        name = chance.choice(sorted(faults))
        world.story.append(f"{world.now_us / SECOND_US:.3f} {name} {machine.name} until {back_us / SECOND_US:.3f}")
        world.later(back_us, faults[name]())

    @staticmethod
    def _once(action: Callable[[], None]) -> Callable[[], None]:
        action()
        return lambda: None

    @staticmethod
    def _both(do: Callable[[Machine], None], undo: Callable[[Machine], None], machine: Machine) -> Callable[[], None]:
        do(machine)
        return lambda: undo(machine)

    def _crash(self, machine: Machine) -> Callable[[], None]:
        machine.crash_in = self.chance.randint(0, 6)
        return lambda: self.world.boot(machine)

    def _link(self, machine: Machine) -> Callable[[], None]:
        ifname = self.chance.choice(sorted(machine.links))
        self.world.link(machine, ifname, False)
        return lambda: self.world.link(machine, ifname, True)

    def _cut(self, *, both: bool) -> Callable[[], None]:
        numbers = list(range(len(self.world.machines)))
        near = set(self.chance.sample(numbers, self.chance.randint(1, len(numbers) - 1)))
        cut = {(a, b) for a in near for b in numbers if b not in near}
        if both:
            cut |= {(b, a) for a, b in cut}
        self.world.deaf |= cut
        return lambda: self.world.deaf.difference_update(cut)

    def _noise(self, name: str, value: float) -> Callable[[], None]:
        normal = {"loss": 0.0, "doubling": 0.0, "slowest_us": DELAY_US[1]}[name]
        setattr(self.world, name, value)
        return lambda: setattr(self.world, name, normal)

    def _script(self, machine: Machine) -> Callable[[], None]:
        machine.failing.add("chk")
        return lambda: machine.failing.discard("chk")

    def _priority(self, machine: Machine) -> Callable[[], None]:
        first = machine.config

        def with_priority(value: int) -> Config:
            changed = tuple(msgspec.structs.replace(item, priority=value) for item in first.instances)
            return msgspec.structs.replace(first, instances=changed)

        value = self.chance.randint(1, 254)
        self.world.reload(machine, with_priority(value))
        if machine.alive and not machine.paused:
            weights = {0, *(script.weight for script in first.scripts)}
            allowed = {max(1, min(254, value + weight)) for weight in weights}
            for status in machine.router.status():
                if status.effective_priority not in allowed:
                    raise Broken(
                        "priority", f"{machine.name} {status.name}: {status.effective_priority}, not {allowed}"
                    )
        return lambda: self.world.reload(machine, self.configs[machine.number])

    def _clock(self, machine: Machine) -> Callable[[], None]:
        """Only `auth_hmac` looks at the wall clock; with a wrong one a router may rightly not be heard."""
        before_us, step_us = machine.clock_us, self.chance.randint(-20, 20) * SECOND_US
        machine.clock_us += step_us
        if machine.config.instances[0].auth_hmac is not None:
            self.world.believed = False

        def right() -> None:
            machine.clock_us = before_us

        return right

    # ── afterwards ────────────────────────────────────────────────────────────────────────────────────────────────

    def _heal(self) -> None:
        world = self.world
        world.loss = world.doubling = 0.0
        world.slowest_us = DELAY_US[1]
        world.deaf.clear()
        for machine in world.machines:
            machine.failing.clear()
            machine.crash_in = None
            machine.clock_us = EPOCH_US
            world.resume(machine)
            for ifname in machine.links:
                world.link(machine, ifname, True)
            world.boot(machine)
            world.reload(machine, self.configs[machine.number])
        world.story.append(f"{world.now_us / SECOND_US:.3f} healed")

    def _judge(self) -> None:
        world = self.world
        world.look_at_all()
        for number, item in enumerate(self.configs[0].instances):
            masters = []
            for machine in world.machines:
                status = machine.router.status()[number]
                if status.state is VrrpState.FAULT:
                    raise Broken("liveness", f"{machine.name} {item.name} is in FAULT: {status.faults}")
                if status.effective_priority != self._expected(machine, number):
                    raise Broken("priority", f"{machine.name} {item.name}: {status.effective_priority}")
                if status.state is VrrpState.MASTER:
                    masters.append(machine)
            if len(masters) != 1:
                raise Broken("liveness", f"{item.name} is led by {[machine.name for machine in masters]}")
            if item.nopreempt:
                continue
            best = max(machine.router.status()[number].effective_priority for machine in world.machines)
            status = masters[0].router.status()[number]
            if status.effective_priority != best:
                raise Broken(
                    "right", f"{item.name} is led by {masters[0].name} with {status.effective_priority} of {best}"
                )

    def _expected(self, machine: Machine, number: int) -> int:
        """The script is well: only a positive weight counts."""
        config = self.configs[machine.number]
        weight = sum(max(script.weight, 0) for script in config.scripts)
        return min(254, config.instances[number].priority + weight)

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

from pykeepalived.model.common import IpPrefix
from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import VirtualAddress, VrrpState
from pykeepalived.units import SECOND_US
from pykeepalived.vrrp import events
from pykeepalived.vrrp.facts import advert_interval_us
from tests.simulation.cluster import Shape, cluster, shape_of, signs_of
from tests.simulation.hands import TROUBLES
from tests.simulation.machine import EPOCH_US, Machine
from tests.simulation.standing import standing_of
from tests.simulation.watch import DELAY_US, Broken
from tests.simulation.world import World

FAULT_KINDS = (
    "address",
    "change",
    "clock",
    "crash",
    "cut",
    "doubling",
    "kill",
    "link",
    "loss",
    "netlink",
    "one-way",
    "pause",
    "priority",
    "reload",
    "respawn",
    "script",
    "slow",
    "slow-kernel",
    "source",
    "standby",
    "stop",
    "tracker",
)


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
        if not machine.config.scripts:
            return
        owner = (*machine.config.sync_groups, *machine.config.instances)[0]
        weight = owner.track_scripts[0].weight
        weight = machine.config.scripts[0].weight if weight is None else weight
        if machine.config.sync_groups and weight:
            return
        before = [status.effective_priority for status in machine.router.status()]
        machine.failing.add("chk")
        world.run(world.now_us + 5 * SECOND_US)
        for status, was in zip(machine.router.status(), before, strict=True):
            if weight == 0 and status.state is not VrrpState.FAULT:
                raise Broken("distrust", f"{machine.name} {status.name} is {status.state.name}, its script fails")
            if weight and 1 < was < 254 and status.effective_priority not in {max(1, was - abs(weight)), 1}:
                raise Broken("distrust", f"{machine.name} {status.name}: {status.effective_priority}, was {was}")
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
        mixed = len({config.instances[0].advert_interval_us for config in self.configs}) > 1
        near_us = self._skew_us(255)
        seen_before = dict(world.entries)
        world.run(world.now_us + patience_us)
        for each in world.machines:
            if each is machine or not each.alive or mixed or self.configs[0].sync_groups:
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
        return max(advert_interval_us(item) for config in self.configs for item in config.instances)

    def _settle_us(self) -> int:
        item = self.configs[0].instances[0]
        down_us = (item.down_timer_adverts + 2) * self._interval_us()
        # Numbers that are no more ahead than two windows of 5 s are kept until the clock has reached them.
        clocks_us = 15 * SECOND_US if item.auth_hmac else 0
        # What the kernel refused is tried again after ten seconds at the latest.
        kernels_us = 10 * SECOND_US if any(each.hands.keeper.unfinished for each in self.world.machines) else 0
        return 3 * down_us + item.preempt_delay_us + 5 * SECOND_US + clocks_us + kernels_us

    # ── faults ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _fault(self) -> None:
        world, chance = self.world, self.chance
        machine = chance.choice(world.machines)
        back_us = world.now_us + int(chance.choice((0.05, 0.5, 3, 10)) * SECOND_US * chance.random())
        name = chance.choice(FAULT_KINDS)
        world.done[f"fault {name}"] += 1
        world.story.append(f"{world.now_us / SECOND_US:.3f} {name} {machine.name} until {back_us / SECOND_US:.3f}")
        world.later(back_us, self._faults(machine)[name]())

    def _faults(self, machine: Machine) -> dict[str, Callable[[], Callable[[], None]]]:
        """What each kind does; it gives back what undoes it."""
        world, chance = self.world, self.chance
        return {
            "kill": lambda: self._both(world.kill, world.boot, machine),
            "crash": lambda: self._crash(machine),
            "stop": lambda: self._both(world.stop, world.boot, machine),
            "pause": lambda: self._both(world.pause, world.resume, machine),
            "netlink": lambda: self._netlink(machine),
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
            "respawn": lambda: self._respawn(machine),
            "slow-kernel": lambda: self._slow_kernel(machine),
            "standby": lambda: self._standby(machine),
            "source": lambda: self._source(machine),
            "tracker": lambda: self._tracker(machine),
            "change": lambda: self._change(machine),
        }

    @staticmethod
    def _once(action: Callable[[], None]) -> Callable[[], None]:
        action()
        return lambda: None

    @staticmethod
    def _both(do: Callable[[Machine], None], undo: Callable[[Machine], None], machine: Machine) -> Callable[[], None]:
        do(machine)
        return lambda: undo(machine)

    def _crash(self, machine: Machine) -> Callable[[], None]:
        machine.crash_in, machine.only_process = self.chance.randint(0, 9), self.chance.random() < 0.3
        return lambda: self.world.boot(machine)

    def _netlink(self, machine: Machine) -> Callable[[], None]:
        """The kernel refuses addresses, or does not answer, or not after it has done it."""
        machine.kernel.trouble = self.chance.choice(TROUBLES)
        return lambda: setattr(machine.kernel, "trouble", "")

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

        self.world.reload(machine, with_priority(self.chance.randint(1, 254)))
        return lambda: self.world.reload(machine, self.configs[machine.number])

    def _respawn(self, machine: Machine) -> Callable[[], None]:
        """The VRRP process is killed; the parent starts another one, which goes on where that one stopped."""
        if not machine.alive or machine.paused:
            return lambda: None
        self.world.die(machine)
        self.world.later(self.world.now_us + self.chance.randint(1_000, 300_000), lambda: self.world.succeed(machine))
        return lambda: None

    def _slow_kernel(self, machine: Machine) -> Callable[[], None]:
        """Each batch for the kernel keeps the process for so long."""
        machine.slow_us = self.chance.choice((1_000, 30_000, 400_000))
        return lambda: setattr(machine, "slow_us", 0)

    def _standby(self, machine: Machine) -> Callable[[], None]:
        """An operator holds some instances back; a group goes as a whole."""
        names = frozenset(self.chance.sample(sorted(machine.instances), self.chance.randint(1, len(machine.instances))))
        self.world.tell(machine, events.Standby(tuple(sorted(names)), True))
        return lambda: self.world.tell(machine, events.Standby(tuple(sorted(machine.instances)), False))

    def _source(self, machine: Machine) -> Callable[[], None]:
        """The address that adverts come from goes, or waits for duplicate address detection."""
        ifname, tentative = self.chance.choice(sorted(machine.links)), self.chance.random() < 0.5
        names = [item.name for item in machine.config.instances if item.interface == ifname]
        for name in names:
            self.world.tell(machine, events.SourceAddressChanged(name, None, tentative))

        def back() -> None:
            for name in names:
                self.world.tell(machine, events.SourceAddressChanged(name, machine.address))

        return back

    def _tracker(self, machine: Machine) -> Callable[[], None]:
        """A file, a process, a BFD session or a tracked interface changes."""
        signs = [self.chance.choice(each) for each in signs_of(machine.config, well=False)]
        for sign in signs:
            self.world.tell(machine, sign)
        return lambda: [self.world.tell(machine, sign) for (sign, *_) in signs_of(machine.config, well=True)] and None

    def _change(self, machine: Machine) -> Callable[[], None]:
        """A reload with another number of instances, another interval, or other words."""
        config, chance = self.configs[machine.number], self.chance
        items = list(config.instances)
        kind = chance.choice(("fewer", "addresses", "garp", "group"))
        at = chance.randrange(len(items))
        if kind == "fewer" and len(items) > 1:
            gone = items.pop(at).name
            groups = tuple(
                msgspec.structs.replace(group, members=tuple(name for name in group.members if name != gone))
                for group in config.sync_groups
            )
            config = msgspec.structs.replace(config, instances=tuple(items), sync_groups=groups)
        elif kind == "group":
            config = msgspec.structs.replace(config, sync_groups=())
        else:
            six = ":" in items[at].addresses[0].prefix.address
            other = VirtualAddress(
                prefix=IpPrefix(f"2001:db8::2:{at + 1:x}" if six else f"10.2.{at}.1", 64 if six else 24)
            )
            garp = msgspec.structs.replace(items[at].garp, refresh_us=3 * SECOND_US)
            words = {"garp": garp} if kind == "garp" else {"addresses": (*items[at].addresses, other)}
            items[at] = msgspec.structs.replace(items[at], **words)
            config = msgspec.structs.replace(config, instances=tuple(items))
        self.world.reload(machine, config)
        return lambda: self.world.reload(machine, self.configs[machine.number])

    def _clock(self, machine: Machine) -> Callable[[], None]:
        """Only `auth_hmac` looks at the wall clock; with a wrong one a router may rightly not be heard."""
        step_us = self.chance.choice((1, 1, 1000)) * self.chance.randint(-20, 20) * SECOND_US
        machine.clock_us += step_us
        if machine.config.instances[0].auth_hmac is not None:
            self.world.believed = False

        def right() -> None:
            machine.clock_us = EPOCH_US

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
            machine.slow_us = 0
            machine.kernel.trouble = ""
            machine.clock_us = EPOCH_US
            world.resume(machine)
            for ifname in machine.links:
                world.link(machine, ifname, True)
            world.boot(machine)
            world.reload(machine, self.configs[machine.number])
            world.tell(machine, events.Standby(tuple(machine.instances), False))
            for item in machine.config.instances:
                world.tell(machine, events.SourceAddressChanged(item.name, machine.address))
            for sign, *_ in signs_of(machine.config, well=True):
                world.tell(machine, sign)
        world.story.append(f"{world.now_us / SECOND_US:.3f} healed")

    def _judge(self) -> None:
        world = self.world
        world.look_at_all()
        for machine in world.machines:
            if machine.hands.keeper.unfinished:
                raise Broken("kernel", f"{machine.name} still tries again")
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
        """What the trackers, which are all well, make of the priority."""
        config = self.configs[machine.number]
        group = config.sync_groups[0] if config.sync_groups else None
        return standing_of(config.instances[number], group, machine.second.known).priority

"""One director in virtual time: the real checker program, and around it servers, a kernel and scripts that can fail.

The program is `CheckerProgram` with everything that it has of its own: probes, verdicts, pools, reconciler, retries.
Only its loop's clock, its kernel and its script runner are ours, so a simulated hour costs a second. What the program
should think is thought a second time here, from what the checks answered, in the words of keepalived-behaviour 10 and
11; where the two differ, one of them is wrong.

What must always hold, and the exception that names what did not:

    table       once a result is dealt with, the kernel lists what the answers so far ask for, unless the kernel
                refused, somebody else wrote into it, or the daemon was away
    gap         a service that had a server before a change and has one after it had one in between
    clash       nothing is asked of an undisturbed kernel that it must refuse
    stranger    what others put into the kernel stays as they left it
    notify      scripts hear of each change once, in order, and of the state that is
    reload      a reload that changes nothing writes nothing and tells nobody
    defect      no result is dropped for a fault of our own
"""

from __future__ import annotations

import errno
import heapq
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pykeepalived.dataplane import Failure
from pykeepalived.dataplane.memory import MemoryDataplane
from pykeepalived.lvs.table import DeleteService, DestinationKey, Operation, ServiceKey, Table
from pykeepalived.model.common import Family, Script
from pykeepalived.model.config import Config
from pykeepalived.model.lvs import AddressSelector, Protocol, VirtualServer
from pykeepalived.processes.scripts import RunResult
from pykeepalived.reactor import Reactor, Timer
from pykeepalived.runtime.checker_process import CheckerProgram
from pykeepalived.runtime.program import Context, Options
from pykeepalived.units import MILLISECOND_US, SECOND_US
from tests.simulation.opinion import Opinion
from tests.simulation.watch import Broken

REST_US = 300 * MILLISECOND_US
"""After a result the table is looked at: the program may rest for 200 ms between two changes."""
REPAIR_US = 3 * SECOND_US
STRANGER = DestinationKey("10.9.9.9", 80)


class Crash(BaseException):
    """The process is gone, in the middle of what it did."""


class VirtualReactor(Reactor):
    """The loop's interface; time goes to the next timer when asked, and never by itself."""

    def __init__(self) -> None:
        self._now_us = SECOND_US
        self._heap: list[tuple[int, int, bool, Timer]] = []
        self._count = 0

    def now_us(self) -> int:
        return self._now_us

    def call_at(self, when_us: int, callback: Callable[[], None], *, lasting: bool = False) -> Timer:
        """`lasting`: it comes whatever becomes of the process."""
        timer = Timer(when_us, callback)
        self._count += 1
        heapq.heappush(self._heap, (when_us, self._count, lasting, timer))
        return timer

    def call_later(self, delay_us: int, callback: Callable[[], None]) -> Timer:
        return self.call_at(self._now_us + delay_us, callback)

    def watch(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        raise AssertionError("nothing real is in here")

    def unwatch(self, fd: int) -> None:
        pass

    def forget(self, fd: int) -> None:
        pass

    def close(self) -> None:
        pass

    def spend(self, time_us: int) -> None:
        """Time that somebody takes in the middle of a turn."""
        self._now_us += time_us

    def die(self) -> None:
        """The process that waited here is gone."""
        self._heap = [entry for entry in self._heap if entry[2]]
        heapq.heapify(self._heap)

    def next_us(self) -> int | None:
        while self._heap and self._heap[0][3].callback is None:
            heapq.heappop(self._heap)
        return max(self._heap[0][0], self._now_us) if self._heap else None

    def step(self) -> None:
        """Run the next timer."""
        when_us, _, _, timer = heapq.heappop(self._heap)
        self._now_us = max(self._now_us, when_us)
        callback, timer.callback = timer.callback, None
        if callback is not None:
            callback()


class Kernel(MemoryDataplane):
    """A table that refuses, stalls, says nothing, or is written to by others."""

    def __init__(self, director: Director) -> None:
        super().__init__()
        self._director = director
        self.refusing = 0.0
        self.mute = False
        self.slow_us = 0

    def snapshot(self) -> Table:
        self._speak()
        return super().snapshot()

    def apply(self, operations: Sequence[Operation]) -> list[Failure]:
        self._speak()
        failures: list[Failure] = []
        served = {operation.key for operation in operations if self._serves(operation.key)}
        starved: set[ServiceKey] = set()
        for operation in operations:
            self._director.done[type(operation).__name__] += 1
            self._director.breathe()
            self._director.reactor.spend(self.slow_us)
            if self.refusing and self._director.chance.random() < self.refusing:
                failures.append(Failure(operation, "refused", "as the fault wants it"))
                continue
            refused = super().apply([operation])
            failures += refused
            if refused and not self._director.disturbed:
                self._director.break_("clash", f"{operation}: {refused[0].text}")
            if isinstance(operation, DeleteService):
                self._director.guests.discard(operation.key)
            starved.update(key for key in served if not self._serves(key))
        for key in starved:
            if self._serves(key) and not self._director.disturbed:
                self._director.break_("gap", f"{key} had no server for a moment")
        return failures

    def _speak(self) -> None:
        if self.mute:
            raise OSError(errno.EBUSY, "busy")

    def _serves(self, key: ServiceKey) -> bool:
        entry = self.table.get(key)
        return entry is not None and any(value.weight for value in entry.destinations.values())


class Server:
    """How a check script finds its server: well or ill, quick or slow, and with what weight."""

    def __init__(self) -> None:
        self.status = 0
        self.takes_us = 5 * MILLISECOND_US
        self.next: list[int] = []
        """What the next checks find, before `status` counts again."""


class Scripts:
    """The runner that the program asks."""

    def __init__(self, director: Director) -> None:
        self._director = director

    def run(
        self, script: Script, *, timeout_us: int | None, done: Callable[[RunResult], None], queue: str | None = None
    ) -> None:
        self._director.script(script, timeout_us, done)


class Director:
    """The program and its surroundings. `disturbed` until the excuse for a difference has passed."""

    def __init__(self, seed: int, config: Config) -> None:
        self.chance = random.Random(f"director {seed}")
        self.reactor = VirtualReactor()
        self.config = config
        self.kernel = Kernel(self)
        self.servers: dict[str, Server] = {}
        self.story: list[str] = []
        self.events = self.results = 0
        self.done: Counter[str] = Counter()
        """How often each kind of fault came, and each kind of operation was asked of the kernel."""
        self.excused_until_us = 0
        self.faults = 0
        """Faults that are under way."""
        self.crash_in: int | None = None
        self.guests: set[ServiceKey] = set()
        """Services of ours in which somebody else has a destination."""
        self.program: CheckerProgram | None = None
        self.opinion = Opinion(config)
        self.broken: Broken | None = None
        self._memory: dict[str, str] = {}
        """What the parent keeps for a successor."""
        self._reloading = False
        self._told: dict[str, str] = {}
        self._look: Timer | None = None

    # ── the daemon ────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        if self.program is not None:
            return
        self._told.clear()
        random.seed(self.chance.getrandbits(64))  # the program draws its warm-ups there
        self.opinion = Opinion(self.config)
        context = Context(
            reactor=self.reactor,
            log=self,
            scripts=Scripts(self),
            options=Options(),
            finished=lambda code: None,
            emit=lambda name, fields: None,
            remember=self._remember,
            memory=dict(self._memory),
        )
        self.program = CheckerProgram(context, dataplane=self.kernel)
        self._guard(lambda: self.program and self.program.start(self.config))

    def kill(self) -> None:
        """Nothing that it waited for comes, and the table stays as it is."""
        self.program = None
        self.reactor.die()
        self._look = None

    def reload(self, config: Config) -> None:
        if self.program is None:
            return
        same = config == self.config
        self.config = config
        before, told = len(self.kernel.applied), dict(self._told)
        self.opinion.reload(config)
        program, self._reloading = self.program, True
        self._guard(lambda: program.reload(config))
        self._reloading = False
        # keepalived tells of a quorum that leaving servers break, and not of one that new servers bring back at once.
        known = {
            name for name in self.opinion.names() if " " in name or self._told.get(name) == self.opinion.state(name)
        }
        self._told = {name: state for name, state in self._told.items() if name in known}
        if same and not self.disturbed and (len(self.kernel.applied), self._told) != (before, told):
            raise Broken("reload", f"the same file: {self.kernel.applied[before:]}, told {self._told}")
        self._look_later()

    def stop(self) -> None:
        program = self.program
        assert program is not None
        self._guard(program.stop)
        self.program = None

    def _remember(self, facts: Mapping[str, str]) -> None:
        self._memory = {name: fact for name, fact in (self._memory | dict(facts)).items() if fact}
        self.breathe()

    def breathe(self) -> None:
        """A point at which the process may end."""
        if self.crash_in is not None:
            self.crash_in -= 1
            if self.crash_in < 0:
                self.crash_in = None
                raise Crash

    def _guard(self, call: Callable[[], Any]) -> None:
        try:
            call()
        except Crash:
            self.kill()
        if self.broken is not None:
            raise self.broken

    # ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, until_us: int) -> None:
        reactor = self.reactor
        while (next_us := reactor.next_us()) is not None and next_us <= until_us:
            self.events += 1
            self._guard(reactor.step)
        reactor.spend(max(0, until_us - reactor.now_us()))

    def later(self, delay_us: int, call: Callable[[], None]) -> None:
        """Something that happens whatever becomes of the daemon."""
        self.reactor.call_at(self.reactor.now_us() + delay_us, call, lasting=True)

    @property
    def now_us(self) -> int:
        return self.reactor.now_us()

    @property
    def disturbed(self) -> bool:
        return self.faults > 0 or self.reactor.now_us() < self.excused_until_us

    def excuse(self, time_us: int) -> None:
        self.excused_until_us = max(self.excused_until_us, self.reactor.now_us() + time_us)

    # ── what the program sees of the world: scripts and the log ───────────────────────────────────────────────────

    def script(self, script: Script, timeout_us: int | None, done: Callable[[RunResult], None]) -> None:
        self.breathe()
        word, *rest = script.argv
        if word == "/told":
            self._hear(rest[0], rest[1])
            self.reactor.call_later(MILLISECOND_US, lambda: done(RunResult(0)))
            return
        server = self.servers.setdefault(rest[0], Server())
        late = timeout_us is not None and server.takes_us >= timeout_us
        found = server.next.pop() if server.next else server.status
        status, takes_us = (None, timeout_us or 0) if late else (found, server.takes_us)

        def answer() -> None:
            self.results += 1
            self.opinion.answered(rest[0], status)
            done(RunResult(status))
            self._look_later()

        self.reactor.call_later(takes_us, answer)

    def _hear(self, name: str, state: str) -> None:
        if self._told.get(name) == state and not self._reloading:
            self.break_("notify", f"{name} was told to be {state} twice in a row")
        self._told[name] = state

    def break_(self, name: str, text: str) -> None:
        """From within the program, which may catch what is raised there."""
        self.broken = self.broken or Broken(name, text)

    def info(self, text: str) -> None:
        pass

    def detail(self, text: str) -> None:
        pass

    def error(self, text: str) -> None:
        if text.startswith("defect"):
            self.break_("defect", text)

    # ── what is watched ───────────────────────────────────────────────────────────────────────────────────────────

    def _look_later(self) -> None:
        if self._look is not None:
            self._look.cancel()
        self._look = self.reactor.call_later(REST_US, self.look)

    def listed(self, server: VirtualServer) -> dict[str, int] | None:
        """What the kernel lists of a service, strangers aside, by address."""
        entry = self.kernel.table.get(service_key(server))
        if entry is None:
            return None
        return {kept.address: value.weight for kept, value in entry.destinations.items() if kept != STRANGER}

    def look(self) -> None:
        """Compare the kernel with what the answers so far ask for."""
        if self.disturbed or self.program is None or not self.opinion.exact:
            return
        for key in self.guests:
            if key not in self.kernel.table or STRANGER not in self.kernel.table[key].destinations:
                raise Broken("stranger", f"a destination of somebody else is gone from {key}")
        for server in self.config.virtual_servers:
            wanted, listed = self.opinion.table(server), self.listed(server)
            if wanted != listed:
                raise Broken("table", f"{server.selector} lists {listed}, the answers ask for {wanted}")
        for name, state in self._told.items():
            if (holds := self.opinion.state(name)) != state:
                raise Broken("notify", f"{name} was told to be {state} last and is {holds}")


def service_key(server: VirtualServer) -> ServiceKey:
    assert isinstance(server.selector, AddressSelector)
    return ServiceKey.for_address(Protocol.TCP, server.selector.address, server.selector.port, Family.INET)

"""Bad weather in a kernel of its own: two daemons in the test kernel whose wire loses and delays, whose clock jumps.

    python -m tests.runtime.weather [ROUNDS]      (the second part of make chaos)

Two routers with `auth_hmac` (what the clock says counts there) share a wire. In each round something happens to it, or
to the clock: loss, delay that reorders, doubled packets, a wire that is cut, hours forward and back. When it is over
exactly one router must hold the address, the better one, by itself and within seconds.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pykeepalived.tools.guest import USUAL_MODULES, run_in_guest
from pykeepalived.tools.lab import Lab, wait_until
from tests.runtime.test_runtime_daemon import Router

ROOT: Final = Path(__file__).parents[2]
INTERVAL_S: Final = 0.3
#: The guest has one slow processor: an election, and what a window of clocks may take.
REST_S: Final = 60.0
_HMAC: Final = """
    auth_hmac {
        key 1 a_shared_secret_of_two
        active_key 1
        mode enforce
    }
"""


class Weather:
    """Two routers on one wire."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        for name in ("a", "b"):
            lab.namespace(name)
        lab.link("a", "eth0", "b", "eth0")
        self.routers: list[Router] = []
        for number, (name, priority) in enumerate((("a", 150), ("b", 100))):
            space = lab.namespaces[name]
            space.address("eth0", f"10.7.0.{number + 1}/24")
            router = Router(lab, space, directory / name, priority)
            router.write(("advert_int 0.1", f"advert_int {INTERVAL_S}{_HMAC}"))
            self.routers.append(router)
        for router in self.routers:
            router.start()
        self.rest("the start")

    def rest(self, after: str) -> float:
        """Wait until the better one has the address alone, and keeps it for five intervals; how long that took."""
        better, other = self.routers
        began = time.monotonic()
        while True:
            wait_until(lambda: better.holds() and not other.holds(), REST_S, f"one holder after {after}")
            reached_s = time.monotonic() - began
            moved = [router.log.count("Entering") for router in self.routers]
            time.sleep(5 * INTERVAL_S)
            if moved == [router.log.count("Entering") for router in self.routers]:
                return reached_s
            assert time.monotonic() - began < REST_S, f"no rest after {after}"

    def netem(self, *words: str) -> Callable[[], None]:
        """Give both ends of the wire this quality; gives back what takes it away."""
        for router in self.routers:
            router.space.run("tc", "qdisc", "replace", "dev", "eth0", "root", "netem", *words)

        def mend() -> None:
            for router in self.routers:
                router.space.run("tc", "qdisc", "del", "dev", "eth0", "root")

        return mend

    @staticmethod
    def step(seconds: float) -> Callable[[], None]:
        """Move the wall clock; it stays where it is then."""
        time.clock_settime(time.CLOCK_REALTIME, time.time() + seconds)
        return lambda: None

    def strike(self, name: str, chance: random.Random) -> float:
        whats: dict[str, Callable[[], Callable[[], None]]] = {
            "loss": lambda: self.netem("loss", f"{chance.randint(10, 60)}%"),
            "delay": lambda: self.netem("delay", "40ms", "30ms"),
            "doubling": lambda: self.netem("duplicate", "50%", "delay", "5ms", "4ms"),
            "cut": lambda: self.netem("loss", "100%"),
            "an hour forward": lambda: self.step(3600),
            "an hour back": lambda: self.step(-3600),
            "seconds back": lambda: self.step(-chance.uniform(1, 20)),
        }
        mend = whats[name]()
        time.sleep(chance.uniform(1, 4))
        mend()
        return self.rest(name)


KINDS: Final = ("loss", "delay", "doubling", "cut", "an hour forward", "an hour back", "seconds back")


def inside(rounds: int, seed: int) -> None:
    chance = random.Random(seed)
    print("two daemons start", flush=True)
    with tempfile.TemporaryDirectory() as directory, Lab("weather") as lab:
        weather = Weather(lab, Path(directory))
        for number in range(rounds):
            name = KINDS[number % len(KINDS)] if number < len(KINDS) else chance.choice(KINDS)
            print(f"{name}: one holder again after {weather.strike(name, chance):.1f} s", flush=True)


def _show(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


def main() -> None:
    if sys.argv[1:2] == ["inside"]:
        inside(int(sys.argv[2]), int(sys.argv[3]))
        return
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 2 * len(KINDS)
    seed = random.randrange(1 << 32)
    print(
        f"{rounds} rounds of bad weather in the test kernel with seed {seed}: about {rounds // 5 + 1} minutes",
        flush=True,
    )
    result = run_in_guest(
        f"python -m tests.runtime.weather inside {rounds} {seed}",
        timeout_s=60 + rounds * (REST_S + 10),
        directory=ROOT,
        memory_mb=768,
        modules=(*USUAL_MODULES, "sch_netem"),
        on_output=_show,
    )
    if result.exit_code:
        sys.exit("FAILED: see above")
    print(f"{rounds} rounds survived")


if __name__ == "__main__":
    main()

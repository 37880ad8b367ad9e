"""Pairs of routers in every mix live through the same events: `make interop`.

    python -m tests.interop.vrrp.scenarios [--side-by-side N] [SHAPE …]

Each shape (a version, an authentication, a virtual MAC, …) is lived through by ours/ours, ours/theirs, theirs/ours and,
as what the other three are held to, by Debian's keepalived with itself. After every event of the list the pair is left
alone until nothing happens any more. Then, for each of the two routers, the virtual addresses in the kernel and the
notify calls since the event have to be those of the keepalived pair, the calls in the same order for each object, and
each call within one advert interval of theirs (and the time that a loaded machine needs to start a script). Where a
router starts, time counts from its first call: how quickly a process is loaded is no part of the protocol.

On a machine that stands still for a second now and then any router may lose a mastership, keepalived as well. So a pair
that differs is lived through again, beside keepalived's, and only what differs each time counts (`--attempts`).

Ends with 1 when anything differs.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from pykeepalived.tools.lab import wait_until
from tests.interop.vrrp.vrrp_pairs import NOTE, Program, Router, Shape, our_config, pair, their_config

SHAPES: dict[str, Shape] = {
    "v2": Shape(version=2, interval_us=1_000_000, password="secret"),
    "v3": Shape(interval_us=500_000),
    "ipv6": Shape(interval_us=500_000, ipv6=True),
    "unicast": Shape(interval_us=500_000, unicast=True),
    "ah": Shape(version=2, interval_us=1_000_000, password="secret", auth="AH"),
    "hmac": Shape(interval_us=500_000, key="0123456789abcdef0123456789abcdef"),
    "vmac": Shape(interval_us=500_000, vmac=True),
    "sync-group": Shape(interval_us=500_000, interfaces=("eth0", "eth1")),
    "nopreempt": Shape(interval_us=500_000, nopreempt=True),
    "tracking": Shape(interval_us=500_000, script=True),
}
MIXES: tuple[tuple[Program, Program], ...] = (
    ("theirs", "theirs"),
    ("ours", "ours"),
    ("ours", "theirs"),
    ("theirs", "ours"),
)
#: Between an event and its call beside what the protocol says: starting scripts on a machine that runs several pairs.
STARTING_S = 0.6
_LIMIT_S = 150.0
_POLL_S = 0.1
_HMAC_SINCE = (2, 4)


class Step(msgspec.Struct, frozen=True):
    """What was seen after one event: of each router the addresses, and the calls with their seconds since the event."""

    event: str
    addresses: tuple[frozenset[tuple[str, ...]], frozenset[tuple[str, ...]]]
    calls: tuple[tuple[tuple[float, str], ...], tuple[tuple[float, str], ...]]


class Watch:
    """Looks at a pair from outside, without starting a program each time."""

    def __init__(self, one: Router, two: Router, quiet_s: float) -> None:
        self.routers = (one, two)
        self._quiet_s = quiet_s
        self._read = [0, 0]
        for router in self.routers:
            router.namespace.run("sh", "-c", ": >/run/notify")
            stamped = 'read now _ </proc/uptime; echo "$now $*" >>/run/notify'
            put = 'printf "%s\\n" "#!/bin/sh" "$2" >"$1" && chmod 755 "$1"'
            router.namespace.run("sh", "-c", put, "install", NOTE, stamped)

    def _lines(self, number: int) -> list[str]:
        path = Path(f"/proc/{self.routers[number].namespace.pid}/root/run/notify")
        return path.read_text().splitlines()

    def step(self, event: str, happen: Callable[[], object], starts: int | None = None) -> Step:
        """Let it happen, wait until all is quiet, and look; `starts`: the router (0 or 1) that is started."""
        began = time.clock_gettime(time.CLOCK_BOOTTIME)
        happen()
        if starts is not None:
            before = self._read[starts]
            wait_until(lambda: len(self._lines(starts)) > before, _LIMIT_S, f"{event}: the first call")
            began = float(self._lines(starts)[before].partition(" ")[0])
        last = time.monotonic()
        limit = last + _LIMIT_S
        counts = [len(self._lines(0)), len(self._lines(1))]
        while time.monotonic() < min(limit, last + self._quiet_s):
            time.sleep(_POLL_S)
            now = [len(self._lines(0)), len(self._lines(1))]
            if now != counts:
                counts, last = now, time.monotonic()
        calls = []
        for number in (0, 1):
            fresh = self._lines(number)[self._read[number] : counts[number]]
            self._read[number] = counts[number]
            words = [line.partition(" ") for line in fresh]
            calls.append(tuple((round(float(at) - began, 2), text) for at, _, text in words))
        first, second = (frozenset(router.virtual()) for router in self.routers)
        return Step(event, (first, second), (calls[0], calls[1]))


def live(shape: Shape, mix: tuple[Program, Program], into: Path) -> list[Step]:
    """The whole list of events."""
    interval_s = shape.interval_us / 1e6
    with pair(shape, *mix, into) as (one, two):
        watch = Watch(one, two, 4 * interval_s + 1.5)
        steps = [watch.step("start", one.start, starts=0), watch.step("second starts", two.start, starts=1)]

        def unplug() -> None:
            one.unplug()

        def remove() -> None:
            master = one if one.virtual() else two
            address = "2001:db8:1::9/64" if shape.ipv6 else "10.0.0.10/32"
            master.namespace.ip("addr", "del", address, "dev", "vrrp.51" if shape.vmac else "eth0")

        def rewrite(more: bool) -> None:
            other = msgspec.structs.replace(shape, more=more)
            for place, router in enumerate((one, two), 1):
                router.write(our_config(other, place), their_config(other, place))
                assert router.process is not None
                router.process.send_signal(signal.SIGHUP)

        def kill() -> None:
            one.kill()
            one.unplug()

        def again() -> None:
            one.plug()
            one.start()

        if shape.script:
            steps.append(watch.step("script fails", lambda: one.namespace.run("touch", "/run/bad")))
            steps.append(watch.step("script succeeds", lambda: one.namespace.run("rm", "/run/bad")))
        steps += [
            watch.step("link down", unplug),
            watch.step("link up", one.plug),
            watch.step("address removed", remove),
            watch.step("reload with another address", lambda: rewrite(True)),
            watch.step("reload without it", lambda: rewrite(False)),
            watch.step("kill", kill),
            watch.step("start after kill", again, starts=0),
            watch.step("stop", one.stop),
            watch.step("start after stop", one.start, starts=0),
            watch.step("the first stops for good", one.stop),
            watch.step("the second stops", two.stop),
        ]
        return steps


def differences(theirs: Sequence[Step], ours: Sequence[Step], interval_s: float) -> list[str]:
    """In words; empty when the two lists are alike."""
    found = []
    for expected, seen in zip(theirs, ours, strict=True):
        for place in (0, 1):
            where = f"{seen.event}, router {place + 1}"
            if expected.addresses[place] != seen.addresses[place]:
                more = sorted(seen.addresses[place] - expected.addresses[place])
                less = sorted(expected.addresses[place] - seen.addresses[place])
                found.append(f"{where}: addresses too many {more}, too few {less}")
            for name in sorted({_object(text) for _, text in (*expected.calls[place], *seen.calls[place])}):
                wanted = [item for item in expected.calls[place] if _object(item[1]) == name]
                called = [item for item in seen.calls[place] if _object(item[1]) == name]
                if [text for _, text in wanted] != [text for _, text in called]:
                    found.append(f"{where}: calls {called}, keepalived's {wanted}")
                    continue
                found += [
                    f"{where}: {text} after {at_s} s, keepalived's after {wanted_s} s"
                    for (wanted_s, text), (at_s, _) in zip(wanted, called, strict=True)
                    if at_s - wanted_s > interval_s + STARTING_S
                ]
    return found


def judged(name: str, theirs: list[Step] | str, seen: list[Step] | str) -> list[str]:
    """What is wrong with a pair's life; a life that came to nothing is wrong, too."""
    if isinstance(seen, str):
        return [seen]
    if isinstance(theirs, str):
        return [f"the keepalived pair itself failed: {theirs}"]
    return differences(theirs, seen, SHAPES[name].interval_us / 1e6)


def _object(text: str) -> str:
    """Scripts of different objects, and of different words of one, run side by side: only within these is an order."""
    words = text.split()
    return " ".join(words[:2])


def without_hmac() -> bool:
    said = subprocess.run(["keepalived", "-v"], capture_output=True, text=True, check=False)
    version = re.search(r"v(\d+)\.(\d+)", said.stdout + said.stderr)
    return version is None or (int(version[1]), int(version[2])) < _HMAC_SINCE


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--side-by-side", type=int, default=8)
    parser.add_argument("--attempts", type=int, default=3)
    parser.add_argument("shapes", nargs="*", default=[], metavar="SHAPE", help=", ".join(SHAPES))
    options = parser.parse_args()
    chosen = options.shapes or list(SHAPES)
    if "hmac" in chosen and without_hmac():
        print("hmac is left out: keepalived here is older than 2.4")
        chosen.remove("hmac")
    lives = [(name, mix) for name in chosen for mix in MIXES]
    expected_s = len(lives) * 80 // options.side_by_side
    print(f"{len(lives)} pairs, {options.side_by_side} side by side: about {expected_s} s, and again for what differs")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch, concurrent.futures.ThreadPoolExecutor(options.side_by_side) as pool:

        def run(item: tuple[int, str, tuple[Program, Program]]) -> list[Step] | str:
            attempt, name, mix = item
            into = Path(scratch, f"{name}-{mix[0]}-{mix[1]}-{attempt}")
            into.mkdir()
            try:
                return live(SHAPES[name], mix, into)
            except Exception as error:
                said = "".join(f"\n---- {log.name}\n{log.read_text()[-3000:]}" for log in sorted(into.glob("*.log")))
                return f"{type(error).__name__}: {error}{said}"

        left = {name: [mix for mix in MIXES if mix != MIXES[0]] for name in chosen}
        wrong: dict[tuple[str, tuple[Program, Program]], list[str]] = {}
        for attempt in range(max(1, options.attempts)):
            again = [(attempt, name, mix) for name, mixes in left.items() if mixes for mix in (MIXES[0], *mixes)]
            results = dict(zip(again, pool.map(run, again), strict=True))
            for name, mixes in left.items():
                for mix in list(mixes):
                    found = judged(name, results[attempt, name, MIXES[0]], results[attempt, name, mix])
                    wrong[name, mix] = found
                    if not found:
                        mixes.remove(mix)
                        print(f"{name} {mix[0]}/{mix[1]}: the same", flush=True)
    for (name, mix), lines in wrong.items():
        if lines:
            print(f"{name} {mix[0]}/{mix[1]}: {len(lines)} differences, in each of {options.attempts} attempts")
            print("\n".join(f"    {line}" for line in lines))
    failures = sum(map(len, wrong.values()))
    print(json.dumps({"pairs": len(lives), "differences": failures, "seconds": round(time.monotonic() - began)}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

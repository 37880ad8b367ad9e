"""The course of the demonstration: what happens to the cluster, and what must follow from it.

Every step states its expectations; the first that does not come true ends the story, with exit code 1. What is
believed about the directors is read from the kernel (addresses, the table), and about the service from the client.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from pykeepalived.tools.demo.cluster import DIRECTORS, GATEWAY, SERVERS, SITE, WEIGHTS, Cluster, Programs
from pykeepalived.tools.demo.screen import Screen, ServerRow, View
from pykeepalived.tools.demo.traffic import PATIENCE_S, Answer, Client, failures, in_a_row, longest_gap_s, shares
from pykeepalived.tools.lab import Lab, LabError

_WEB = ("web1", "web2", "web3")
_BOTH = {SITE, GATEWAY}


class Unmet(Exception):
    """An expectation that did not come true in its time. The text says what was seen instead."""


class Chapter(msgspec.Struct):
    """The record of one step. `gap_s`: the longest time in which the client got no answer; `failed`: its requests
    that were not answered."""

    title: str
    seconds: float = 0.0
    gap_s: float = 0.0
    failed: int = 0
    passed: bool = False


class Story:
    """Runs the steps on a cluster. `patience` stretches all time limits (the test kernel is slower)."""

    def __init__(self, cluster: Cluster, screen: Screen, patience: float) -> None:
        self._cluster = cluster
        self._screen = screen
        self._patience = patience
        self._client = Client(cluster.client, SITE, PATIENCE_S * patience)
        self._chapter_start = time.monotonic()
        self._dead: set[str] = set()
        self.chapters: list[Chapter] = []

    def run(self) -> bool:
        """All steps in order, to the end or to the first failure."""
        steps = (
            ("both directors start, lb1 becomes master", self._start),
            ("requests are spread by weight", self._spread),
            ("web1 dies and leaves the table", self._one_dies),
            ("the other web servers die, the sorry page appears", self._all_die),
            ("the web servers return, the sorry page goes", self._return),
            ("the master loses its power, the backup takes over", self._failover),
            ("the old master returns and takes the addresses back", self._failback),
        )
        self.chapters = [Chapter(title) for title, _ in steps]
        try:
            for chapter, (title, step) in zip(self.chapters, steps, strict=True):
                self._screen.say(title)
                with self._timed(chapter):
                    step()
        except (Unmet, LabError) as reason:
            self._screen.say(str(reason), good=False)
            return False
        finally:
            self._client.stop()
        return True

    @contextlib.contextmanager
    def _timed(self, chapter: Chapter) -> Iterator[None]:
        self._chapter_start = start = time.monotonic()
        try:
            yield
            chapter.passed = True
        finally:
            end = time.monotonic()
            chapter.seconds = end - start
            if chapter is not self.chapters[0]:  # before the first answer there is no service to miss
                # A request that was under way when the step began belongs to it.
                seen = self._client.since(start)
                chapter.gap_s, chapter.failed = longest_gap_s(seen, start, end), failures(seen)

    # ── Steps ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self) -> None:
        for name in SERVERS:
            self._cluster.start_server(name)
        for name in DIRECTORS:
            self._cluster.power_on(name)
        for name in SERVERS:
            self._cluster.await_server(name)
        self._client.start()
        self._addresses_at("lb1", 20)
        self._expect(lambda: self._in_table("lb1", _WEB), 10, "lb1's table has web1, web2 and web3")
        self._expect(lambda: self._in_table("lb2", _WEB), 10, "lb2 has the same table, ready to take over")
        self._expect(lambda: set(shares(self._recent(1))) == set(_WEB), 10, "the client is answered by all three")

    def _spread(self) -> None:
        seen = self._collect(180, 20)
        total = sum(WEIGHTS.values())
        counts = shares(seen)
        answered = sum(counts.values())
        spread = ", ".join(f"{name} {counts[name] / answered:.0%}" for name in _WEB)
        fair = all(abs(counts[name] / answered - WEIGHTS[name] / total) < 0.05 for name in _WEB)
        self._claim(fair, f"{answered} requests: {spread} (weights {', '.join(str(WEIGHTS[name]) for name in _WEB)})")
        self._claim(failures(seen) == 0, "no request failed")

    def _one_dies(self) -> None:
        self._kill("web1")
        self._expect(lambda: self._in_table("lb1", ("web2", "web3")), 10, "web1 has left the table")
        self._served_by(("web2", "web3"), 60, "web2 and web3 answer everything")

    def _all_die(self) -> None:
        self._kill("web2")
        self._kill("web3")
        self._expect(lambda: self._in_table("lb1", ("sorry",)), 10, "the sorry server is the only one in the table")
        self._served_by(("sorry",), 40, "the client sees the sorry page")

    def _return(self) -> None:
        for name in _WEB:
            self._cluster.start_server(name)
            self._dead.discard(name)
        self._expect(
            lambda: self._in_table("lb1", _WEB), 10, "all three are back in the table, the sorry server is out"
        )
        self._served_by(_WEB, 60, "all three answer again")
        self._expect(lambda: self._in_table("lb2", _WEB), 10, "lb2 sees them as well")

    def _failover(self) -> None:
        start = time.monotonic()
        self._cluster.power_off("lb1")
        self._addresses_at("lb2", 10)
        took = time.monotonic() - start
        seen = self._collect(60, 10)
        self._claim(set(shares(seen)) == set(_WEB), f"the client is served by lb2, {took:.1f} s after the power went")
        gap = longest_gap_s(self._client.since(start), start, time.monotonic())
        self._claim(gap < 6 * self._patience, f"the client waited {gap:.2f} s at most")

    def _failback(self) -> None:
        start = time.monotonic()
        self._cluster.power_on("lb1")
        self._addresses_at("lb1", 20)
        self._expect(lambda: self._in_table("lb1", _WEB), 10, "lb1's table is complete again")
        seen = self._collect(60, 10)
        self._claim(set(shares(seen)) == set(_WEB), "the client is served by lb1")
        gap = longest_gap_s(self._client.since(start), start, time.monotonic())
        self._claim(gap < 3 * self._patience, f"the client waited {gap:.2f} s at most")

    # ── Expectations ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _kill(self, name: str) -> None:
        self._cluster.kill_server(name)
        self._dead.add(name)

    def _addresses_at(self, name: str, limit_s: float) -> None:
        other = next(each for each in DIRECTORS if each != name)

        def there() -> bool:
            return self._cluster.addresses_of(name) == _BOTH and not self._cluster.addresses_of(other)

        self._expect(there, limit_s, f"{name} has both addresses, {other} has none")

    def _in_table(self, director: str, servers: tuple[str, ...]) -> bool:
        table = self._cluster.table_of(director)
        return table is not None and {name for name, weight in table.items() if weight > 0} == set(servers)

    def _recent(self, seconds: float) -> list[Answer]:
        return self._client.since(time.monotonic() - seconds)

    def _served_by(self, servers: tuple[str, ...], count: int, what: str) -> None:
        """So many requests in a row are answered, by all of these servers and by no other.

        What was under way when the table changed may still fail, so the row begins where it wants.
        """
        start = time.monotonic()
        self._expect(lambda: in_a_row(self._client.since(start), set(servers), count), 10, what)

    def _collect(self, count: int, limit_s: float) -> list[Answer]:
        start = time.monotonic()
        self._expect(
            lambda: len(self._client.since(start)) >= count, limit_s, f"the client made {count} requests", quiet=True
        )
        return self._client.since(start)

    def _expect(self, condition: Callable[[], bool], limit_s: float, what: str, *, quiet: bool = False) -> None:
        """Wait for a condition and say it; `Unmet` at the time limit."""
        end = time.monotonic() + limit_s * self._patience
        while not condition():
            if time.monotonic() > end:
                raise Unmet(f"not within {limit_s * self._patience:g} s: {what}; {self._seen()}")
            if failed := self._cluster.failed():
                raise Unmet(f"{failed}; waited for: {what}")
            self._screen.show(self._view())
            time.sleep(0.1)
        if not quiet:
            self._screen.say(what, good=True)
        self._screen.show(self._view())

    def _claim(self, true: bool, what: str) -> None:
        if not true:
            raise Unmet(f"not so: {what}; {self._seen()}")
        self._screen.say(what, good=True)

    def _seen(self) -> str:
        parts = []
        for name in DIRECTORS:
            addresses = " ".join(sorted(self._cluster.addresses_of(name))) or "no address"
            parts.append(f"{name}: {addresses}, table {self._cluster.table_of(name)}")
        recent = self._recent(1)
        parts.append(f"client, last second: {dict(shares(recent))}, {failures(recent)} failed")
        return "; ".join(parts)

    def _view(self) -> View:
        now = time.monotonic()
        states = []
        for name in DIRECTORS:
            on = self._cluster.is_on(name)
            states.append((name, ("MASTER" if self._cluster.addresses_of(name) else "BACKUP") if on else "no power"))
        holder = next((name for name, state in states if state == "MASTER"), "lb1")
        table = self._cluster.table_of(holder) or {}
        recent = shares(self._recent(2))
        total = max(1, sum(recent.values()))
        rows = [
            ServerRow(name, table.get(name), recent[name] / total, running=name not in self._dead) for name in SERVERS
        ]
        step = self._client.since(self._chapter_start)
        gap = longest_gap_s(step, self._chapter_start, now) if self._client.answers else 0.0
        answered = sum(each.server is not None for each in self._client.answers)
        return View(directors=states, servers=rows, requests=answered, gap_s=gap)


def tell(programs: Programs, screen: Screen, logs: Path, *, patience: float = 1.0) -> int:
    """Build the cluster, run all steps, print the summary. Returns the exit code: 0 when everything was as expected."""
    start = time.monotonic()
    with Lab("demo") as lab:
        story = Story(Cluster(lab, programs, logs), screen, patience)
        passed = story.run()
    lines = [f"  {'step':54} {'took':>7} {'longest gap':>12} {'failed requests':>16}"]
    for chapter in story.chapters:
        mark = "✓" if chapter.passed else "✗"
        times = (
            f"{chapter.seconds:5.1f} s {chapter.gap_s:10.2f} s {chapter.failed:16}"
            if chapter.seconds
            else "not reached"
        )
        lines.append(f"{mark} {chapter.title:54} {times}")
    if passed:
        lines.append(f"Everything went as expected, in {time.monotonic() - start:.0f} seconds.")
    else:
        lines.append(
            f"FAILED after {time.monotonic() - start:.0f} seconds. The last words of the programs, from {logs}:"
        )
        lines += _last_words(logs)
    screen.close(lines)
    return 0 if passed else 1


def _last_words(logs: Path) -> Iterator[str]:
    for log in sorted(logs.glob("lb*.log")):
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            text = file.read(8192).decode(errors="replace")
        yield from (f"{log.stem}: {line[:200]}" for line in text.splitlines()[-8:])

"""A life in a hurry: adverts each 10 ms, a check each 50 ms, a reload each second, on two routers.

    python -m tests.runtime.accelerated 30      (make soak MINUTES=30)

Memory, descriptors and processes of both daemons are looked at all the time and must be flat: what they are in the last
third may not lie above what they were in the second. One connection lives through all of it, unless the machine was so
busy that 30 ms without an advert made the other router MASTER; how often that was is said.
"""

from __future__ import annotations

import contextlib
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from pykeepalived.tools.lab import Lab, wait_until
from tests.runtime.chaos import SERVER, USER, Node
from tests.runtime.onlookers import Client, Echo, lives
from tests.runtime.soak import resident_kib
from tests.runtime.test_runtime_daemon import VIP

EACH_S: Final = 1.0
#: What a heap may breathe between two thirds of half an hour, both daemons together.
GROWTH_KIB: Final = 3072
_CHECKED: Final = f"""    delay_loop 0.05
    real_server {SERVER} 80 {{
        TCP_CHECK {{
            connect_timeout 1
        }}
"""


class Sample(msgspec.Struct, frozen=True):
    """Of all processes of one daemon together."""

    resident_kib: int
    descriptors: int
    processes: int


def family_of(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            found += map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())
    return found


def sample(pid: int) -> Sample:
    """Scripts come and go; one that ends meanwhile does not count."""
    memory = descriptors = processes = 0
    for member in family_of(pid):
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            descriptors += len(list(Path(f"/proc/{member}/fd").iterdir()))
            memory += resident_kib(member)
            processes += 1
    return Sample(memory, descriptors, processes)


class Accelerated:
    """Two routers on one wire, a checked server behind them, and a user."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        for name in ("a", "b", "c"):
            lab.namespace(name)
        town = lab.namespaces["c"]
        lab.bridge(town, "br0")
        town.address("br0", f"{SERVER}/24", f"{USER}/24")
        self.server = Echo(town, (SERVER, 80))
        self.client = Client(town, USER, (VIP, 80))
        self.server.start()
        self.nodes: list[Node] = []
        for number, (name, priority) in enumerate((("a", 150), ("b", 100))):
            space = lab.namespaces[name]
            lab.plug(space, "eth0", town, "br0")
            space.address("eth0", f"10.7.0.{number + 1}/24")
            node = Node(lab, space, directory / name, priority)
            node.write(("advert_int 0.1", "advert_int 0.01"))
            text = node.configuration.read_text()
            assert f"    real_server {SERVER} 80 {{\n" in text
            node.configuration.write_text(text.replace(f"    real_server {SERVER} 80 {{\n", _CHECKED))
            self.nodes.append(node)
        for node in self.nodes:
            node.start()
        self.nodes[0].wait_for_vip()
        wait_until(lambda: self.client.asks(2), 60, "the service answers")
        self.samples: list[list[Sample]] = [[] for _ in self.nodes]
        self.reloads = 0

    def run(self, seconds: float) -> None:
        texts = [node.configuration.read_text() for node in self.nodes]
        masters = [node.log.count("Entering MASTER STATE") for node in self.nodes]
        began = time.monotonic()
        with self.client.connect(seconds + 120) as connection:
            while time.monotonic() - began < seconds:
                self.reloads += 1
                for node, text in zip(self.nodes, texts, strict=True):
                    weight = "weight 2" if self.reloads % 2 else "weight 1"
                    changed = text.replace("        TCP_CHECK {", f"        {weight}\n        TCP_CHECK {{")
                    draft = node.configuration.with_suffix(".new")
                    draft.write_text(changed)
                    draft.rename(node.configuration)
                    node.signal(signal.SIGHUP)
                time.sleep(max(0.0, began + self.reloads * EACH_S - time.monotonic()))
                for node, samples in zip(self.nodes, self.samples, strict=True):
                    samples.append(sample(node.pid("keepalived")))
            self.kept = lives(connection)
        self.moves = sum(
            node.log.count("Entering MASTER STATE") - before for node, before in zip(self.nodes, masters, strict=True)
        )

    def end(self) -> None:
        self.server.end()

    def verdicts(self) -> list[str]:
        """What is not flat."""
        found = [] if self.kept or self.moves else ["the connection broke"]
        growth_kib = 0.0
        for node, samples in zip(self.nodes, self.samples, strict=True):
            third = len(samples) // 3
            before, after = samples[third : 2 * third], samples[2 * third :]
            growth_kib += _median(after, "resident_kib") - _median(before, "resident_kib")
            for what in ("descriptors", "processes"):
                was, is_now = _median(before, what), _median(after, what)
                if is_now > was:
                    found.append(f"{what} of {node.space.name} grew from {was:g} to {is_now:g}")
        if growth_kib > GROWTH_KIB:
            found.append(f"memory grew by {growth_kib:.0f} KiB")
        return found


def _median(samples: list[Sample], what: str) -> float:
    return statistics.median(getattr(each, what) for each in samples)


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    print(f"adverts each 10 ms, checks each 50 ms, a reload each second, for {minutes:g} minutes", flush=True)
    with tempfile.TemporaryDirectory() as directory, Lab("hurry") as lab:
        life = Accelerated(lab, Path(directory))
        life.run(minutes * 60)
        life.end()
    for node, samples in zip(life.nodes, life.samples, strict=True):
        thirds = [samples[len(samples) * part // 3 : len(samples) * (part + 1) // 3] for part in range(3)]
        for what, unit in (("resident_kib", "KiB"), ("descriptors", "descriptors"), ("processes", "processes")):
            print(f"{node.space.name}: {' → '.join(f'{_median(third, what):.0f}' for third in thirds)} {unit}")
    print(f"{life.reloads} reloads of each, {life.moves} changes of master, connection kept: {life.kept}")
    if bad := life.verdicts():
        sys.exit(f"FAILED: {'; '.join(bad)}")


if __name__ == "__main__":
    main()

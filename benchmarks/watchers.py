"""A hundred clients on the control socket, one that does not read, one that sends garbage: are adverts later for it?

    python benchmarks/watchers.py [--seconds S] [--clients N]

One director with 100 instances at an advert_int of 0.1 s, by turns alone and with N clients, S seconds of each: nine in
ten ask for the status every second, as `keepalivedctl watch` does, the others follow the events. One client more asks
200 times and reads nothing, one sends garbage as fast as it can. Adverts are stamped by the kernel where they arrive.
Ends with 1 when one in 2,000 more adverts is late (1.5 intervals) with clients than without, when the VRRP
process needs a tenth more CPU time with them, when a client that behaves gets no answer, or when the parent's memory
grows by more than 32 MiB. What a busy machine makes late it makes late in both kinds of turns, not equally: on one
that others use only the CPU time says something. Takes 2 S and 40 seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from adverts import Daemon, config
from common import OURS
from storm import INTERVAL_S, LATE, Witness

from pykeepalived.runtime import control
from pykeepalived.tools.lab import Lab, wait_until

INSTANCES = 100
MOST_KIB = 32 * 1024
TURNS = 4
#: So many more of the adverts may be late with clients: what chance does on a machine that others use, too.
MARGIN = 1 / 2000
CPU_MARGIN = 0.1
_CLIENT = "import sys; sys.path[:0] = [sys.argv[4]]; import watchers; watchers.clients(*sys.argv[1:4])"


class Client:
    """Asks for the status every second, or follows the events; counts answers."""

    def __init__(self, path: str, *, follows: bool) -> None:
        self.follows = follows
        self.answers = 0
        self.due_s = time.monotonic()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.socket.setblocking(False)
        self.waits = False

    def ask(self, now_s: float) -> None:
        if self.waits or now_s < self.due_s:
            return
        self.waits, self.due_s = True, now_s + 1
        body = {"command": "events", "arguments": {"follow": True}} if self.follows else {"command": "status"}
        self.socket.send(json.dumps(body).encode() + b"\n")

    def take(self) -> None:
        with contextlib.suppress(BlockingIOError):
            data = self.socket.recv(1 << 20)
            if not data:
                raise ConnectionError("hung up on")
            self.answers += data.count(b"\n")
            self.waits = self.follows or not data.endswith(b"\n")


def clients(path: str, count: str, seconds: str) -> None:
    """The process with all clients: it prints how many got answers, and the slowest wait."""
    selector = selectors.DefaultSelector()
    made = [Client(path, follows=number % 10 == 0) for number in range(int(count))]
    for client in made:
        selector.register(client.socket, selectors.EVENT_READ, client)
    lazy = socket.socket(socket.AF_UNIX)
    lazy.connect(path)
    rude = rude_one(path)
    end_s = time.monotonic() + float(seconds)
    lazy.send((json.dumps({"command": "status"}) + "\n").encode() * 200)
    while (now_s := time.monotonic()) < end_s:
        for client in made:
            client.ask(now_s)
        try:
            rude.send(b"\xff{]garbage\n" * 100)
            with contextlib.suppress(BlockingIOError):
                rude.recv(65536)
        except BlockingIOError:
            with contextlib.suppress(OSError):
                rude.recv(65536)
        except OSError:
            rude.close()
            rude = rude_one(path)
        for key, _ in selector.select(0.02):
            key.data.take()
    print(json.dumps({"answered": sum(client.answers > 0 for client in made), "answers": sum(c.answers for c in made)}))
    lazy.close()


def rude_one(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.connect(path)
    made.setblocking(False)
    return made


def resident_kib(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS"))


class Turns:
    """What one kind of turns has brought so far."""

    def __init__(self) -> None:
        self.late = self.adverts = 0
        self.longest_ms = 0.0
        self.own_late = self.own = 0
        self.cpu_s: dict[str, float] = {}

    def watch(self, witness: Witness, seconds: float, path: str) -> None:
        before, cpu = own_lateness(path), cpu_seconds(path)
        witness.forget()
        witness.watch(seconds)
        self.late += sum(gap > LATE * INTERVAL_S for gap in witness.gaps)
        self.adverts += witness.adverts
        self.longest_ms = max(self.longest_ms, max(witness.gaps, default=0) * 1000)
        after = own_lateness(path)
        self.own_late += after[0] - before[0]
        self.own += after[1] - before[1]
        for name, used_s in cpu_seconds(path).items():
            self.cpu_s[name] = self.cpu_s.get(name, 0) + used_s - cpu[name]

    def told(self, what: str) -> str:
        cpu = ", ".join(f"{name} {used_s:.2f} s" for name, used_s in self.cpu_s.items())
        return (
            f"{what}: {self.late} of {self.adverts} adverts arrived late, longest gap {self.longest_ms:.1f} ms; "
            f"{self.own_late} of {self.own} left more than 10 ms late; CPU time {cpu}"
        )


def own_lateness(path: str) -> tuple[int, int]:
    """What the daemon says itself: adverts that left more than 10 ms late, and all."""
    told = control.ask(path, "status", timeout_s=60)["vrrp"]["lateness"]
    late = sum(
        count for bound, count in zip([*told["bounds_us"], 1 << 60], told["counts"], strict=True) if bound > 10_000
    )
    return late, sum(told["counts"])


def cpu_seconds(path: str) -> dict[str, float]:
    """User and system time of the parent and the VRRP process."""
    status = control.ask(path, "status", timeout_s=60)
    pids = {"parent": status["pid"]} | {each["name"]: each["pid"] for each in status["processes"]}
    found = {}
    for name, pid in pids.items():
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        found[name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=100)
    options = parser.parse_args()
    print(f"takes {2 * options.seconds + 40:.0f} seconds", flush=True)
    base = tempfile.mkdtemp(prefix="watchers")
    os.environ["PYKEEPALIVED_STATE_DIRECTORY"] = base
    with Lab(f"watchers-{os.getpid()}") as lab:
        spaces = lab.namespace("a"), lab.namespace("b")
        for number in range(8):
            lab.link(spaces[0], f"eth{number}", spaces[1], f"eth{number}")
        spaces[0].address("eth0", "10.9.0.1/16")
        daemon = Daemon(lab, spaces[0], OURS, config(1, INSTANCES, 200, INTERVAL_S))
        witness = Witness(spaces[1])
        try:
            wait_until(lambda: daemon.addresses() == INSTANCES, 60, "MASTER of all")
            time.sleep(2)
            (path,) = control.find_sockets(base)
            parent = int(control.ask(path, "identity")["pid"])
            before_kib = resident_kib(parent)
            alone, watched = Turns(), Turns()
            piece_s = options.seconds / TURNS
            words = [path, str(options.clients), str(piece_s + 3), str(Path(__file__).parent)]
            answered = options.clients
            answers = 0
            for _ in range(TURNS):
                alone.watch(witness, piece_s, path)
                crowd = subprocess.Popen([sys.executable, "-c", _CLIENT, *words], stdout=subprocess.PIPE, text=True)
                time.sleep(1)
                watched.watch(witness, piece_s, path)
                grown_kib = resident_kib(parent) - before_kib
                told = json.loads(crowd.communicate(timeout=60)[0])
                answered = min(answered, told["answered"])
                answers += told["answers"]
        finally:
            witness.close()
            daemon.close()
    print(alone.told("alone"))
    print(watched.told("with clients"))
    print(f"{answered} of {options.clients} clients were answered, {answers} answers")
    print(f"the parent grew by {grown_kib} KiB")
    more = watched.late / max(1, watched.adverts) - alone.late / max(1, alone.adverts)
    cheap = watched.cpu_s["vrrp"] <= alone.cpu_s["vrrp"] * (1 + CPU_MARGIN) + 0.1
    well = more <= MARGIN and cheap and answered == options.clients and grown_kib < MOST_KIB
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())

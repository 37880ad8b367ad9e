"""A hundred clients on the control socket, one that does not read, one that sends garbage: are adverts later for it?

    python benchmarks/watchers.py [--seconds S] [--clients N]

One director with 100 instances at an advert_int of 0.1 s, alone for S seconds, then with N clients for as long: nine in
ten ask for the status every second, as `keepalivedctl watch` does, the others follow the events. One client more asks
200 times and reads nothing, one sends garbage as fast as it can. Adverts are stamped by the kernel where they arrive.
Ends with 1 when more adverts are late (1.5 intervals) with clients than without, when a client that behaves gets no
answer, or when the parent's memory grows by more than 32 MiB. Takes 2 S and 20 seconds, on a machine that is quiet.
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


def late(witness: Witness, seconds: float) -> tuple[int, int, float]:
    """Late adverts, all adverts, and the longest gap in milliseconds."""
    witness.forget()
    witness.watch(seconds)
    return sum(gap > LATE * INTERVAL_S for gap in witness.gaps), witness.adverts, max(witness.gaps, default=0) * 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=100)
    options = parser.parse_args()
    print(f"takes {2 * options.seconds + 20:.0f} seconds", flush=True)
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
            alone = late(witness, options.seconds)
            (path,) = control.find_sockets(base)
            parent = int(control.ask(path, "identity")["pid"])
            before_kib = resident_kib(parent)
            words = [path, str(options.clients), str(options.seconds + 2), str(Path(__file__).parent)]
            crowd = subprocess.Popen([sys.executable, "-c", _CLIENT, *words], stdout=subprocess.PIPE, text=True)
            time.sleep(1)
            watched = late(witness, options.seconds)
            grown_kib = resident_kib(parent) - before_kib
            told = json.loads(crowd.communicate(timeout=60)[0])
        finally:
            witness.close()
            daemon.close()
    for what, (many, of, longest_ms) in (("alone", alone), ("with clients", watched)):
        print(f"{what}: {many} of {of} adverts late, longest gap {longest_ms:.1f} ms")
    print(f"{told['answered']} of {options.clients} clients were answered, {told['answers']} answers")
    print(f"the parent grew by {grown_kib} KiB")
    well = watched[0] <= alone[0] and told["answered"] == options.clients and grown_kib < MOST_KIB
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())

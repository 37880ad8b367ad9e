"""Debian's keepalived and ours beside each other on a real IPVS: the tables are the same whenever nothing happens.

Runs inside the test kernel; `test_lvs_differential.py` starts it there. Every configuration runs twice, in two
namespaces with the same addresses and servers of their own; the same fate befalls both. All run at the same time.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykeepalived.tools.lab import Lab, Namespace
from tests.interop.lvs.configurations import CHANGES, CONFIGURATIONS, PAGE

SERVERS = ("192.168.0.12", "192.168.0.13", "192.168.0.14", "2001:db8:1::12", "2001:db8:1::13", "2001:db8:1::14")
DAEMONS = {
    "theirs": ["/usr/sbin/keepalived"],
    "ours": [sys.executable, "-m", "pykeepalived.cli.keepalived"],
}
#: The slowest configuration needs 2 s to the next check and 1 s to the retry.
LEAST_S = 4.2
QUIET_S = 1.0
#: Tables that stay different this long are different.
PATIENCE_S = 8.0
LONGEST_S = 45.0
UNCHANGED = {"reload": set(CONFIGURATIONS) - set(CHANGES)}

#: What happens, in this order. The rest points are named after it.
FATES = (
    "start",
    "one dies",
    "all die",
    "one returns",
    "all return",
    "two die",
    "reload",
    "return after reload",
    "stop",
)


class Machine:
    """One director with its servers, and one daemon."""

    def __init__(self, lab: Lab, configuration: str, daemon: str, directory: Path) -> None:
        self.configuration, self.daemon = configuration, daemon
        self.space: Namespace = lab.namespace(f"{configuration}-{daemon}")
        self.space.address("lo", "10.0.0.5/32", "192.168.0.1/32", "192.168.0.20/32", "2001:db8::5/128")
        self.space.address("lo", *(f"{server}/{128 if ':' in server else 32}" for server in SERVERS))
        self._listeners: dict[str, list[socket.socket]] = {}
        self.file = directory / f"{configuration}-{daemon}.conf"
        self.log_file = directory / f"{configuration}-{daemon}.log"
        self.directory = directory / f"{configuration}-{daemon}.d"
        self.directory.mkdir(exist_ok=True)
        note = self.directory / "note"
        note.write_text(f'#!/bin/sh\necho "$@" >> {self.directory}/notes\n')
        note.chmod(0o755)
        os.mkfifo(self.directory / "fifo")
        self._fifo = os.open(self.directory / "fifo", os.O_RDWR | os.O_NONBLOCK)
        self.configure(CONFIGURATIONS)
        self._fifo_data = b""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        for server in SERVERS:
            self.open(server)
        arguments = [*DAEMONS[self.daemon], "-n", "-l", "-D", "-C", "-i", "lb1", "-f", str(self.file)]
        with self.log_file.open("wb") as log:
            self.process = self.space.popen(*arguments, stdout=log, stderr=subprocess.STDOUT)

    def befall(self, fate: str) -> None:
        match fate:
            case "start":
                self.start()
            case "one dies":
                self.shut("12")
            case "all die":
                self.shut("13", "14")
            case "one returns":
                self.bring("12")
            case "all return" | "return after reload":
                self.bring("12", "13", "14")
            case "two die":
                self.shut("12", "14")
            case "reload":
                self.configure({**CONFIGURATIONS, **CHANGES})
                self.signal(signal.SIGHUP)
            case "stop":
                self.signal(signal.SIGTERM)

    def configure(self, texts: dict[str, str]) -> None:
        self.file.write_text(texts[self.configuration].replace("@DIRECTORY@", str(self.directory)))

    def notes(self) -> list[str]:
        """What the scripts wrote down."""
        path = self.directory / "notes"
        return path.read_text().splitlines() if path.exists() else []

    def fifo(self) -> list[str]:
        """What came out of the FIFO. 2.4.3 puts a NUL byte after each line, 2.2.7 does not."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._fifo, 1 << 16):
                self._fifo_data += data
        return self._fifo_data.replace(b"\0", b"").decode().splitlines()

    def table(self) -> list[str]:
        return self.space.run("ipvsadm", "-Sn").stdout.splitlines()

    def thresholds(self) -> list[str]:
        """Limits of connections, which -S does not show."""
        shown = self.space.run("ipvsadm", "-Ln", "--thresholds").stdout.splitlines()
        return [" ".join(line.split()[:4]) for line in shown]

    def signal(self, number: int) -> None:
        """To the daemon itself: what the namespace started is a wrapper around it."""
        assert self.process is not None
        pids = [pid for pid in self.space.processes() if _parent(pid) not in self.space.processes()]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def log(self) -> list[str]:
        return self.log_file.read_text(errors="replace").splitlines()

    def bring(self, *names: str) -> None:
        for server in SERVERS:
            if server[-2:] in names:
                self.open(server)

    def shut(self, *names: str) -> None:
        for server in SERVERS:
            if server[-2:] in names:
                for listener in self._listeners.pop(server, []):
                    listener.shutdown(socket.SHUT_RDWR)
                    listener.close()

    def open(self, server: str) -> None:
        if server in self._listeners:
            return
        for port in (80, 8080):
            with self.space.inside():
                listener = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((server, port))
            listener.listen(512)
            self._listeners.setdefault(server, []).append(listener)
            threading.Thread(target=_answer, args=(listener,), daemon=True).start()


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _answer(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, contextlib.suppress(OSError):
            connection.settimeout(2)
            request = b""
            while b"\r\n\r\n" not in request and (piece := connection.recv(4096)):
                request += piece
            if request:
                head = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PAGE)
                connection.sendall(head + PAGE)


class History:
    """The tables of all machines at each rest point."""

    def __init__(self, directory: Path) -> None:
        self.tables: dict[tuple[str, str, str], list[str]] = {}
        self.limits: dict[tuple[str, str], list[str]] = {}
        self.logs: dict[tuple[str, str], list[str]] = {}
        self.notes: dict[tuple[str, str], list[str]] = {}
        self.fifos: dict[tuple[str, str], list[str]] = {}
        self.codes: dict[tuple[str, str], int | None] = {}
        with Lab("lvs-differential") as lab:
            machines = [
                Machine(lab, configuration, daemon, directory) for configuration in CONFIGURATIONS for daemon in DAEMONS
            ]
            self._last: list[list[str]] = [[] for _ in machines]
            for fate in FATES:
                for machine in machines:
                    machine.befall(fate)
                self._rest(machines, fate)
                if fate == "start":
                    self.limits = {(one.configuration, one.daemon): one.thresholds() for one in machines}
            for machine in machines:
                assert machine.process is not None
                place = (machine.configuration, machine.daemon)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.codes[place] = machine.process.wait(60)
                machine.shut("12", "13", "14")
                self.logs[place] = machine.log()
                self.notes[place] = machine.notes()
                self.fifos[place] = machine.fifo()
                os.close(machine._fifo)

    def _rest(self, machines: list[Machine], fate: str) -> None:
        before = self._last
        begun = changed = time.monotonic()
        last: list[list[str]] = []
        while True:
            tables = [machine.table() for machine in machines]
            for machine in machines:
                assert fate == "stop" or machine.runs(), machine.log()
            now = time.monotonic()
            if tables != last:
                last, changed = tables, now
            ours = {one.configuration: table for one, table in zip(machines, last, strict=True) if one.daemon == "ours"}
            equal = all(table == ours[one.configuration] for one, table in zip(machines, last, strict=True))
            moved = all(
                table != old or one.configuration in UNCHANGED.get(fate, ())
                for one, table, old in zip(machines, last, before, strict=True)
            )
            quiet_s = now - changed
            if moved and now - begun >= LEAST_S and quiet_s >= (QUIET_S if equal else PATIENCE_S):
                break
            if now - begun >= LONGEST_S:
                break
            time.sleep(0.3)
        self._last = last
        for machine, table in zip(machines, last, strict=True):
            machine.fifo()
            self.tables[machine.configuration, machine.daemon, fate] = table


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    yield History(tmp_path_factory.mktemp("differential"))


@pytest.mark.parametrize(
    ("configuration", "fate"),
    [(configuration, fate) for configuration in CONFIGURATIONS for fate in FATES],
)
def test_the_tables_are_the_same(history: History, configuration: str, fate: str) -> None:
    theirs = history.tables[configuration, "theirs", fate]
    ours = history.tables[configuration, "ours", fate]
    assert ours == theirs, "\n".join(history.logs[configuration, "ours"])


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_the_fates_have_an_effect(history: History, configuration: str) -> None:
    """The comparison would be worth nothing if nothing happened."""
    tables = [history.tables[configuration, "theirs", fate] for fate in FATES]
    assert tables[0]
    assert tables[-1] == []
    assert len({tuple(table) for table in tables}) >= 5
    assert tables[0] == tables[4], "all are back"


def test_thresholds_are_the_same(history: History) -> None:
    assert history.limits["features", "ours"] == history.limits["features", "theirs"]
    assert any(" 100 " in line for line in history.limits["features", "ours"])


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_both_end_well(history: History, configuration: str) -> None:
    assert history.codes[configuration, "theirs"] == 0
    assert history.codes[configuration, "ours"] == 0


def _first_word(lines: list[str]) -> dict[str, list[str]]:
    """The rest of each line in order, by its first word."""
    told: dict[str, list[str]] = {}
    for line in lines:
        name, _, rest = line.partition(" ")
        told.setdefault(name, []).append(rest)
    return told


def test_the_same_scripts_are_called(history: History) -> None:
    ours, theirs = (_first_word(history.notes["features", daemon]) for daemon in ("ours", "theirs"))
    # keepalived starts scripts side by side, so that the order of their lines is chance; ours run one after the other.
    assert {name: sorted(calls) for name, calls in ours.items()} == {
        name: sorted(calls) for name, calls in theirs.items()
    }
    # The file changes the port of the services of q35 and q36: at the reload a service that comes and one that goes say
    # the same words, and nothing orders the two.
    for name in sorted(name for name in ours if name.startswith("q") and name not in ("q35", "q36")):
        assert all(one != other for one, other in itertools.pairwise(ours[name])), (name, ours[name])
    assert set(ours) == {"q30", "q31", "q32", "q33", "q34", "q35", "q36", "s30", "s31", "s32", "s33", "s34", "s35"} | (
        {"s36", "t35", "t36"}
    )


def test_the_fifo_says_the_same(history: History) -> None:
    """In the order of events for each real server of each virtual server, and for each virtual server."""
    told: list[dict[str, list[str]]] = []
    for daemon in DAEMONS:
        states: dict[str, list[str]] = {}
        for line in history.fifos["features", daemon]:
            name, _, state = line.rpartition(" ")
            states.setdefault(name, []).append(state)
        told.append(states)
    assert told[0] == told[1]
    assert told[0]["RS [192.168.0.12]:tcp:80 [10.0.0.5]:tcp:1031"][-1] == "DOWN", "omega"
    assert told[0]["VS FWM 5"] == ["UP", "DOWN", "UP", "DOWN"]


_WORDS = re.compile(
    r"^(Adding|Removing|Enabling|Disabling|Lost|Gained|Shutting|Changing|service|TCP_CHECK|HTTP_CHECK|Remote Web"
    r"|TCP connection|Starting with)"
)


def _by_service(log: list[str]) -> dict[str, list[str]]:
    """What a log says about each virtual server, in order. Lines of checks name no virtual server and stay out."""
    told: dict[str, list[str]] = {}
    for line in log:
        text = re.sub(r"^\w+ \w+ +\d+ [\d:]+ \d+: ", "", line)
        if _WORDS.match(text) and " VS " in text:
            told.setdefault(text.rpartition(" VS ")[2], []).append(text)
    return told


@pytest.mark.parametrize("configuration", ["web-tcp", "web-http"])
def test_the_logs_say_the_same(history: History, configuration: str) -> None:
    assert _by_service(history.logs[configuration, "ours"]) == _by_service(history.logs[configuration, "theirs"])

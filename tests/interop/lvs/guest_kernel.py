"""ha_suspend, timeouts, flushes: ours and Debian's keepalived leave the same in the kernel. Runs in the test kernel."""

from __future__ import annotations

import os
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

DAEMONS = {
    "theirs": ["/usr/sbin/keepalived"],
    "ours": [sys.executable, "-m", "pykeepalived.cli.keepalived"],
}
CONFIGURATION = """
global_defs {
    router_id lb1
    @GLOBALS@
}
virtual_server 10.0.0.5 80 {
    delay_loop 1
    lb_algo rr
    lb_kind NAT
    protocol TCP
    ha_suspend
    real_server 127.0.0.2 80 {
        TCP_CHECK {
            connect_timeout 1
            retry 2
            delay_before_retry 1
            @CHECK@
        }
    }
}
"""
#: Name: global words, words of the check.
CASES = {
    "flush": ("lvs_flush\n    lvs_flush_on_stop\n    lvs_timeouts tcp 100 tcpfin 50 udp 20", "log_all_failures"),
    "vs": ("lvs_flush_on_stop VS\n    lvs_timeouts udp 33\n    checker_log_all_failures", ""),
    "plain": ("", ""),
}
if os.environ.get("LVS_FEATURES") == "quick":
    del CASES["plain"]
FATES = ("start away", "dies while away", "address comes", "returns", "address leaves", "dies again", "stop")
SERVER = "127.0.0.2:80"
#: Whether the server is in the table after a fate, and how long nothing else may happen.
EXPECTED = {
    "start away": (True, 3.0),
    "dies while away": (True, 4.0),
    "address comes": (False, 0.0),
    "returns": (True, 0.0),
    "address leaves": (True, 0.5),
    "dies again": (True, 4.0),
    "stop": (False, 0.0),
}
WORDS = ("Suspending", "Activating", "TCP connection")


class Machine:
    def __init__(self, lab: Lab, case: str, daemon: str, directory: Path) -> None:
        self.space: Namespace = lab.namespace(f"{case}-{daemon}")
        self.space.run("ipvsadm", "-A", "-t", "10.1.1.1:1", "-s", "rr")
        self.before = self.space.run("ipvsadm", "-L", "--timeout").stdout
        self.listener: socket.socket | None = None
        self.bring()
        file = directory / f"{case}-{daemon}.conf"
        globals_, check = CASES[case]
        file.write_text(CONFIGURATION.replace("@GLOBALS@", globals_).replace("@CHECK@", check))
        self.log = directory / f"{case}-{daemon}.log"
        with self.log.open("wb") as log:
            arguments = [*DAEMONS[daemon], "-n", "-l", "-D", "-C", "-f", str(file)]
            self.process = self.space.popen(*arguments, stdout=log, stderr=subprocess.STDOUT)

    def befall(self, fate: str) -> None:
        match fate:
            case "dies while away" | "dies again":
                self.shut()
            case "returns":
                self.bring()
            case "address comes":
                self.space.address("lo", "10.0.0.5/32")
            case "address leaves":
                self.space.ip("address", "del", "10.0.0.5/32", "dev", "lo")
            case "stop":
                self.process.send_signal(signal.SIGTERM)

    def picture(self) -> list[str]:
        words = [("-Sn",), ("-L", "--timeout")]
        return [line for each in words for line in self.space.run("ipvsadm", *each).stdout.splitlines()]

    def said(self) -> list[str]:
        lines = [line.rpartition(": ")[2].strip() for line in self.log.read_text().splitlines()]
        return [line for line in lines if line.startswith(WORDS)]

    def bring(self) -> None:
        with self.space.inside():
            self.listener = socket.create_server(("127.0.0.2", 80), backlog=64)
        threading.Thread(target=_accept, args=(self.listener,), daemon=True).start()

    def shut(self) -> None:
        if self.listener is not None:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None


def _accept(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.close()


History = dict[tuple[str, str, str], list[str]]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    directory = tmp_path_factory.mktemp("kernel")
    found: History = {}
    with Lab("lvs-kernel") as lab:
        places = [(case, daemon) for case in CASES for daemon in DAEMONS]
        machines = {place: Machine(lab, *place, directory) for place in places}
        try:
            for fate in FATES:
                for machine in machines.values():
                    machine.befall(fate)
                shown = _rest(list(machines.values()), fate)
                for (case, daemon), lines in zip(places, shown, strict=True):
                    found[case, daemon, fate] = lines
        finally:
            for place, machine in machines.items():
                machine.process.send_signal(signal.SIGTERM)
                machine.process.wait(60)
                machine.shut()
                found[(*place, "log")] = machine.said()
                found[(*place, "before")] = machine.before.splitlines()
        yield found


def _rest(machines: list[Machine], fate: str) -> list[list[str]]:
    """Until the fate has had its effect on all and each pair shows the same; at most 20 s (40 s at the start).

    Where no effect is expected: the time that the checks would need to have one.
    """
    serves, least_s = EXPECTED[fate]
    begun = time.monotonic()
    while True:
        shown = [machine.picture() for machine in machines]
        now = time.monotonic()
        settled = all((SERVER in " ".join(lines)) is serves for lines in shown) and shown[::2] == shown[1::2]
        if (settled and now - begun > least_s) or now - begun > (40 if fate == "start away" else 20):
            return shown
        time.sleep(0.5)


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("case", CASES)
def test_the_kernel_is_the_same(history: History, case: str, fate: str) -> None:
    assert history[case, "ours", fate] == history[case, "theirs", fate]


def test_checks_rest_while_the_address_is_away(history: History) -> None:
    served = ["127.0.0.2:80" in " ".join(history["vs", "ours", fate]) for fate in FATES]
    assert served == [True, True, False, True, True, True, False]


def test_timeouts_and_strangers(history: History) -> None:
    assert history["flush", "ours", "start away"][-1].endswith(": 100 50 20")
    assert history["vs", "ours", "start away"][-1].endswith(" 33")
    assert history["flush", "ours", "stop"] == history["flush", "ours", "before"], "flushed, timeouts as before"
    assert history["vs", "ours", "stop"][0] == "-A -t 10.1.1.1:1 -s rr", "only our services have gone"


@pytest.mark.parametrize("case", CASES)
def test_the_log_says_the_same(history: History, case: str) -> None:
    ours, theirs = history[case, "ours", "log"], history[case, "theirs", "log"]
    assert ours.count("Suspending") == theirs.count("Suspending")
    for word in (*WORDS[:1], "TCP connection to [127.0.0.2]:tcp:80 failed."):
        count = [sum(line.startswith(word) for line in lines) for lines in (ours, theirs)]
        assert count[0] == count[1], (word, ours, theirs)
    assert any("failed." in line for line in ours) == (case != "plain")

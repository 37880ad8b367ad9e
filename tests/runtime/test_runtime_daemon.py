"""The whole program in network namespaces: starting, electing, dying, reloading, stopping. Everything is real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pykeepalived.tools.lab import Lab, Namespace, wait_until
from pykeepalived.tools.lab_rights import why_no_namespaces

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(why_no_namespaces() is not None, reason=why_no_namespaces() or "namespaces work"),
]

VIP = "10.7.0.100"
PROGRAM = [sys.executable, "-m", "pykeepalived.cli.keepalived"]
CONTROL = [sys.executable, "-m", "pykeepalived.cli.keepalivedctl"]
CONFIGURATION = f"""
global_defs {{
    router_id test
    enable_script_security
    script_user root
}}
vrrp_instance VI_1 {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority PRIORITY
    version 3
    advert_int 0.1
    virtual_ipaddress {{
        {VIP}/24
    }}
    notify SCRIPT
}}
"""


class Router:
    """A machine of the laboratory with our program on it."""

    def __init__(self, lab: Lab, space: Namespace, directory: Path, priority: int) -> None:
        self.lab = lab
        self.space = space
        self.directory = directory
        directory.mkdir()
        self.notes = directory / "notes"
        self.notes.touch()
        self.script = directory / "notify.sh"
        self.script.write_text(f'#!/bin/sh\necho "$*" >> {self.notes}\n')
        self.script.chmod(0o755)
        self.configuration = directory / "keepalived.conf"
        self.priority = priority
        self.log_path = directory / "log"
        self.write()
        self.process: subprocess.Popen[str] | None = None

    def write(self, *changes: tuple[str, str]) -> None:
        text = CONFIGURATION.replace("PRIORITY", str(self.priority)).replace("SCRIPT", str(self.script))
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        self.configuration.write_text(text)

    def start(self, *options: str) -> None:
        with self.log_path.open("a") as log:
            self.process = self.lab.popen(
                self.space, *PROGRAM, "-n", "-l", "-G", "-D", "-f", self.configuration, *options, stderr=log, stdout=log
            )
        self.wait_log("Startup complete")

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def wait_log(self, text: str, times: int = 1) -> None:
        wait_until(lambda: self.log.count(text) >= times, 120, f"{text!r} in the log of {self.space.name}")

    def pid(self, name: str) -> int:
        return int(self.space.run("cat", f"/run/{name}.pid").stdout)

    def signal(self, number: int) -> None:
        os.kill(self.pid("keepalived"), number)

    def holds(self) -> bool:
        return self.space.has_address(VIP)

    def wait_for_vip(self, there: bool = True) -> None:
        wait_until(lambda: self.holds() is there, 120, f"{self.space.name} {'with' if there else 'without'} the VIP")

    def status(self) -> dict:
        # keepalivedctl waits 5 s for a daemon; one that gets no processor needs longer.
        told = wait_until(
            lambda: self.space.run(*CONTROL, "status", "--json", check=False).stdout, 120, "an answer of the daemon"
        )
        return json.loads(told)

    def left(self) -> list[str]:
        return self.space.run("find", "/run", "-type", "f", "-o", "-type", "s").stdout.split()


@pytest.fixture
def pair(tmp_path):
    """Two routers on one wire; a has the higher priority."""
    with Lab("runtime") as lab:
        lab.namespace("a")
        lab.namespace("b")
        lab.link("a", "eth0", "b", "eth0")
        routers = []
        for number, (name, priority) in enumerate((("a", 150), ("b", 100))):
            lab.namespaces[name].address("eth0", f"10.7.0.{number + 1}/24")
            routers.append(Router(lab, lab.namespaces[name], tmp_path / name, priority))
        yield routers


def settled(pair) -> None:
    a, b = pair
    wait_until(lambda: a.holds() and not b.holds(), 120, "a is the master")


def test_election_failover_failback_and_a_clean_end(pair):
    a, b = pair
    b.start()
    b.wait_for_vip()
    a.start()
    settled(pair)
    a.signal(signal.SIGTERM)
    # A master that leaves says so: the other one need not wait for its silence.
    b.wait_for_vip()
    assert "(VI_1) Backup received priority 0 advertisement" in b.log
    assert a.process.wait(120) == 0
    assert not a.holds()
    assert [line for line in a.left() if not line.endswith(".lock")] == []
    assert a.log.rstrip().endswith("Stopped Keepalived v2.4.3 (11/21,2026)")
    wait_until(lambda: "STOP" in a.notes.read_text(), 120, "the stop script")
    assert a.notes.read_text().splitlines() == [
        "INSTANCE VI_1 BACKUP 150",
        "INSTANCE VI_1 MASTER 150",
        "INSTANCE VI_1 STOP 150",
    ]
    assert "Traceback" not in a.log + b.log


def test_a_killed_vrrp_process_is_replaced_and_nobody_is_master_twice(pair):
    a, b = pair
    for router in pair:
        # The successor has to be there before the other one has waited for long enough.
        router.write(("advert_int 0.1", "advert_int 1"))
    a.start()
    b.start()
    settled(pair)
    # The addresses come before the parent hears of it, and what it has not heard of no successor knows.
    wait_until(lambda: a.status()["vrrp"]["instances"][0]["state"] == "MASTER", 120, "a that has told its parent")
    wait_until(lambda: "MASTER" in a.notes.read_text(), 120, "the notify script of a")
    first, told, elections = a.pid("vrrp"), a.notes.read_text(), b.log.count("MASTER")
    os.kill(first, signal.SIGKILL)
    # The successor goes on as MASTER: nothing is announced, nobody is notified, the other router notices nothing.
    a.wait_log("(VI_1) still MASTER after the process before was killed")
    assert a.pid("vrrp") != first
    assert a.status()["vrrp"]["instances"][0]["state"] == "MASTER"
    assert a.log.count("Removed") == 0
    assert b.status()["vrrp"]["instances"][0]["state"] == "BACKUP"
    assert a.notes.read_text() == told
    assert b.log.count("MASTER") == elections
    # The second death in a row: the addresses go at once, although the next start waits, and the others are told.
    os.kill(a.pid("vrrp"), signal.SIGKILL)
    a.wait_for_vip(False)
    b.wait_for_vip()
    assert "(VI_1) sent 0 priority for the killed process" in a.log
    assert "(VI_1) Backup received priority 0 advertisement" in b.log
    a.wait_log("delayed 1 seconds")
    settled(pair)


def test_a_killed_parent_takes_its_addresses_with_it(pair):
    a, b = pair
    a.start()
    b.start()
    settled(pair)
    a.signal(signal.SIGKILL)
    a.wait_for_vip(False)
    b.wait_for_vip()


def test_everything_killed_at_once_and_started_again(pair):
    a, b = pair
    a.start()
    a.wait_for_vip()
    for number in (signal.SIGSTOP, signal.SIGKILL):  # none is left to notice the death of the other
        for pid in (a.pid("keepalived"), a.pid("vrrp")):
            os.kill(pid, number)
    a.process.wait()
    assert a.holds()
    b.start()
    b.wait_for_vip()
    # It is not the master any more, so what it left must go before it says anything.
    a.priority = 50
    a.write()
    a.start()
    a.wait_for_vip(False)
    assert b.holds()


def test_reload_keeps_state_and_a_broken_file_changes_nothing(pair):
    a, _b = pair
    a.start()
    a.wait_for_vip()
    before = a.status()["vrrp"]["instances"][0]
    vrrp = a.pid("vrrp")
    a.write(("router_id test", "router_id other"), (f"{VIP}/24", f"{VIP}/24\n 10.7.0.101/24"))
    a.signal(signal.SIGHUP)
    wait_until(lambda: a.space.has_address("10.7.0.101"), 120, "the new address")
    a.configuration.write_text("vrrp_instance VI_1 {\n nonsense\n")
    a.signal(signal.SIGHUP)
    a.wait_log("New configuration is not used, the running one stays")
    status = a.status()
    assert status["last_reload"]["ok"] is False
    assert any("nonsense" in reason for reason in status["last_reload"]["reasons"])
    after = status["vrrp"]["instances"][0]
    assert after["state"] == "MASTER"
    assert abs(after["last_transition"] - before["last_transition"]) < 0.01
    assert a.pid("vrrp") == vrrp
    assert a.holds()
    assert a.space.has_address("10.7.0.101")
    text = a.space.run(*CONTROL, "status").stdout
    assert "VI_1" in text
    assert "refused, the old configuration stays" in text


def test_dont_release_leaves_the_address_and_the_next_start_adopts_it(pair):
    a, _b = pair
    a.start("-V")
    a.wait_for_vip()
    a.signal(signal.SIGTERM)
    assert a.process.wait(120) == 0
    assert a.holds()
    a.start()
    a.wait_for_vip()


def test_in_the_background_as_neutron_starts_it(pair, tmp_path):
    a, _b = pair
    main, vrrp = tmp_path / "x.pid.keepalived", tmp_path / "x.pid.keepalived-vrrp"
    done = a.space.run(*PROGRAM, "-P", "-f", a.configuration, "-p", main, "-r", vrrp, "-D", timeout_s=120)
    assert done.returncode == 0
    assert done.stderr == ""
    # Both pid files are needed at once by who started it, and the command lines of both tell whose they are.
    wait_until(vrrp.exists, 120, "the pid file of the VRRP process")
    for file in (main, vrrp):
        command = Path(f"/proc/{int(file.read_text())}/cmdline").read_bytes()
        assert command.startswith(b"keepalived\0-P\0-f\0")
        assert str(a.configuration).encode() in command
    a.wait_for_vip()
    os.kill(int(main.read_text()), signal.SIGTERM)
    wait_until(lambda: not main.exists() and not vrrp.exists(), 120, "the end")
    assert not a.holds()


def test_two_daemons_side_by_side_and_one_too_many(pair, tmp_path):
    a, _b = pair
    a.start()
    other = tmp_path / "lvs.conf"
    other.write_text("global_defs {\n}\n")
    extra = ["-p", tmp_path / "2.pid", "-r", tmp_path / "2v.pid", "-c", tmp_path / "2c.pid"]
    second = a.lab.popen(a.space, *PROGRAM, "-n", "-f", other, *extra)
    wait_until(
        lambda: len(a.space.run("find", "/run/pykeepalived", "-type", "s").stdout.split()) == 2, 120, "two sockets"
    )
    refused = a.space.run(*CONTROL, "status", check=False)
    assert refused.returncode == 2
    assert "choose one with --socket" in refused.stderr
    sockets = [line.split()[0] for line in refused.stderr.splitlines()[1:]]
    names = [a.space.run(*CONTROL, "status", "--socket", socket).stdout for socket in sockets]
    assert sum("VI_1" in text for text in names) == 1
    third = a.space.run(*PROGRAM, "-n", "-l", "-G", "-f", a.configuration, timeout_s=120)
    assert third.returncode == 0
    assert "daemon is already running" in third.stderr
    second.send_signal(signal.SIGTERM)
    assert second.wait(120) == 0

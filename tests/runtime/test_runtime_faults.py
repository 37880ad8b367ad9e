"""What the system itself withholds: disk, descriptors, memory, quiet. Each fault ends in the right state by itself."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykeepalived.tools.lab import Lab, wait_until
from pykeepalived.tools.lab_rights import why_no_namespaces
from tests.runtime.test_runtime_words import CONFIGURATION, PROGRAM, Started

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(why_no_namespaces() is not None, reason=why_no_namespaces() or "namespaces work"),
]
VIP = "10.8.0.100"


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab("faults") as made:
        made.namespace("a")
        made.namespace("b")
        made.link("a", "eth0", "b", "eth0")
        made.namespaces["a"].address("eth0", "10.8.0.1/24")
        yield made


class Given(Started):
    """The daemon with a whole file of its own."""

    def __init__(self, lab: Lab, directory: Path, text: str) -> None:
        self.space, self.directory = lab.namespaces["a"], directory
        self.configuration, self.log_path = directory / "keepalived.conf", directory / "log"
        self.configuration.write_text(text)
        command = [*PROGRAM, "-n", "-l", "-G", "-f", self.configuration]
        with self.log_path.open("w") as log:
            self.process = lab.popen(self.space, "env", f"TMPDIR={directory}", *command, stdout=log, stderr=log)


def leads(daemon: Started) -> bool:
    return daemon.space.has_address(VIP, "eth0")


def children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(word) for word in (task / "children").read_text().split()]
    return found


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_full_disk(lab: Lab, tmp_path: Path) -> None:
    """No pid file, journal, log or dump can be written: the address stays, a reload goes through, dumps come later."""
    configuration = tmp_path / "keepalived.conf"
    configuration.write_text(CONFIGURATION % {"words": "", "root": ""})
    space, log = lab.namespaces["a"], tmp_path / "log"
    options = ("-n", "-D", "-g", "/run/keepalived.log", "-f", configuration)
    with log.open("w") as file:
        process = lab.popen(space, "env", "TMPDIR=/run", *PROGRAM, *options, stdout=file, stderr=file)
    wait_until(lambda: space.has_address(VIP, "eth0"), 120, "the address")
    space.run("sh", "-c", "mount -o remount,size=512k /run; cat /dev/zero > /run/filler", check=False)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        process.send_signal(number)
    configuration.write_text(
        (CONFIGURATION % {"words": "", "root": ""}).replace(f"{VIP}/24", f"{VIP}/24\n10.8.0.101/24")
    )
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: space.has_address("10.8.0.101", "eth0"), 120, "the second address, by a reload")
    assert space.has_address(VIP, "eth0")
    assert process.poll() is None
    space.run("rm", "/run/filler")
    process.send_signal(signal.SIGUSR1)
    wait_until(lambda: "VI_1" in space.run("cat", "/run/keepalived.data", check=False).stdout, 120, "the dump")
    process.terminate()
    assert process.wait(120) == 0
    assert not space.has_address(VIP, "eth0")
    assert "Traceback" not in log.read_text()


def test_no_descriptors(lab: Lab, tmp_path: Path) -> None:
    """A parent without a free descriptor does not run in circles over clients that it cannot take."""
    daemon = Started(lab, tmp_path, "")
    wait_until(lambda: leads(daemon), 120, "the address")
    parent = daemon.pid("keepalived")
    numbers = [int(name.name) for name in Path(f"/proc/{parent}/fd").iterdir()]
    before = resource.prlimit(parent, resource.RLIMIT_NOFILE)
    resource.prlimit(parent, resource.RLIMIT_NOFILE, (max(numbers) + 1, before[1]))
    found = daemon.space.run("sh", "-c", "find /run -name control.sock").stdout.split()
    client = f"import socket, sys; s = socket.socket(1); s.connect({found[0]!r}); sys.stdin.read()"
    asking = [lab.popen(daemon.space, "python3", "-c", client, stdin=subprocess.PIPE) for _ in range(5)]
    started_s = cpu_s(parent)
    time.sleep(1.0)  # nothing tells that a loop does not turn
    assert cpu_s(parent) - started_s < 0.5
    assert leads(daemon)
    resource.prlimit(parent, resource.RLIMIT_NOFILE, before)
    for each in asking:
        assert each.stdin is not None
        each.stdin.close()
        each.wait(60)
    status = [sys.executable, "-m", "pykeepalived.cli.keepalivedctl", "status"]
    wait_until(lambda: daemon.space.run(*status, check=False).returncode == 0, 120, "an answer")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_log("Reload complete")
    assert leads(daemon)


def test_a_storm_of_scripts(lab: Lab, tmp_path: Path) -> None:
    """Sixty scripts that never end: no more of them run at a time than there are, the address stays."""
    scripts = "".join(
        f'vrrp_script s{n} {{\n script "/bin/sleep 77"\n interval 1\n timeout 1\n weight 1\n user root\n}}\n'
        for n in range(60)
    )
    text = CONFIGURATION.replace(
        "    track_process {", "    track_script {\n" + "".join(f"s{n}\n" for n in range(60)) + "}\n    track_process {"
    )
    daemon = Given(lab, tmp_path, text % {"words": "", "root": scripts})
    wait_until(lambda: leads(daemon), 120, "the address")

    def sleepers() -> int:
        found = 0
        for pid in daemon.space.processes():
            try:
                found += Path(f"/proc/{pid}/comm").read_text() == "sleep\n"
            except OSError:
                continue
        return found

    wait_until(lambda: sleepers() > 20, 120, "the storm")
    most = 0
    for _ in range(20):
        most = max(most, sleepers())
        assert leads(daemon)
        time.sleep(0.1)
    assert most <= 60
    daemon.process.terminate()
    assert daemon.process.wait(120) == 0
    wait_until(lambda: sleepers() == 0, 120, "the end of the scripts")


def test_others_flush_what_is_ours(lab: Lab, tmp_path: Path) -> None:
    """All addresses and the whole ruleset of nftables: both are as before a moment later."""
    daemon = Started(lab, tmp_path, "lvs_repair_interval 1")
    wait_until(lambda: leads(daemon), 120, "the address")

    def services() -> str:
        return daemon.space.run("nft", "list", "ruleset").stdout

    wait_until(lambda: VIP in services(), 120, "the service")
    daemon.space.run("nft", "flush", "ruleset")
    wait_until(lambda: VIP in services(), 120, "the service, again")
    daemon.space.run("ip", "address", "flush", "dev", "eth0", "scope", "global")
    daemon.space.address("eth0", "10.8.0.1/24")
    wait_until(lambda: leads(daemon), 120, "the address, again")
    assert daemon.process.poll() is None


def test_no_memory_for_children(lab: Lab, tmp_path: Path) -> None:
    """Whoever starts the scripts gets no more memory: the daemon leads on, and scripts run again when there is some."""
    script = tmp_path / "notify"
    script.write_text(f"#!/bin/sh\necho $3 >> {tmp_path}/told\n")
    script.chmod(0o755)
    text = CONFIGURATION.replace("    advert_int 0.1", f"    advert_int 0.1\n    notify {script}")
    daemon = Given(lab, tmp_path, text % {"words": "", "root": ""})
    told = tmp_path / "told"
    wait_until(lambda: told.exists() and "MASTER" in told.read_text(), 120, "the script")
    vrrp = daemon.pid("vrrp")
    for runner in children(vrrp):
        size = int(Path(f"/proc/{runner}/statm").read_text().split()[0]) * resource.getpagesize()
        resource.prlimit(runner, resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
    lab.namespaces["b"].down("eth0")
    wait_until(lambda: not leads(daemon), 120, "a fault without a carrier")
    for runner in children(vrrp):
        resource.prlimit(runner, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    told.unlink()
    lab.namespaces["b"].up("eth0")
    wait_until(lambda: leads(daemon), 120, "the address, again")
    wait_until(lambda: told.exists() and "MASTER" in told.read_text(), 120, "the script, again")
    assert daemon.pid("vrrp") == vrrp
    assert "Traceback" not in daemon.log

"""The connection synchronisation of IPVS follows the VRRP state as keepalived's does. Runs inside the test kernel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pykeepalived.tools.lab import Lab, Namespace

DAEMONS = {
    "theirs": ["/usr/sbin/keepalived"],
    "ours": [sys.executable, "-m", "pykeepalived.cli.keepalived"],
}
INSTANCE = """
vrrp_instance V1 {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 0.5
    @INSTANCE@
    virtual_ipaddress {
        10.9.0.5/24
    }
}
"""
SERVICE = """
virtual_server 10.0.0.5 80 {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 127.0.0.2 80 {
    }
}
"""
#: Name: the global line, that after the reload, a word of the instance, the rest.
CASES = {
    "plain": ("lvs_sync_daemon eth1 V1", "lvs_sync_daemon eth1 V1 ttl 7", "", INSTANCE),
    "full": (
        "lvs_sync_daemon eth1 inst V1 id 9 maxlen 1000 port 9999 ttl 3 group 224.0.0.99",
        "lvs_sync_daemon eth0 inst V1 id 10 maxlen 1400 port 9998",
        "",
        INSTANCE + SERVICE,
    ),
    "both": ("lvs_sync_daemon eth1 id 3", "lvs_sync_daemon eth1 id 4 ttl 2", "", INSTANCE + SERVICE),
    "old": ("", "lvs_sync_daemon eth1 V1 id 5", "lvs_sync_daemon_interface eth1", INSTANCE),
}
if os.environ.get("LVS_FEATURES") == "quick":
    del CASES["plain"], CASES["both"]
FATES = ("start", "fault", "link returns", "reload", "stop")


class Machine:
    def __init__(self, lab: Lab, case: str, daemon: str, directory: Path) -> None:
        self.case = case
        self.space: Namespace = lab.namespace(f"{case}-{daemon}")
        self.far: Namespace = lab.namespace(f"{case}-{daemon}-far")
        for place, interface in enumerate(("eth0", "eth1"), start=8):
            lab.link(self.space, interface, self.far, interface)
            self.space.address(interface, f"10.{place}.0.1/24")
        self.file = directory / f"{case}-{daemon}.conf"
        self._write(CASES[case][0])
        with (directory / f"{case}-{daemon}.log").open("wb") as log:
            arguments = [*DAEMONS[daemon], "-n", "-l", "-D", "-f", str(self.file)]
            self.process = self.space.popen(*arguments, stdout=log, stderr=subprocess.STDOUT)

    def befall(self, fate: str) -> None:
        match fate:
            case "fault":
                self.far.down("eth0")
            case "link returns":
                self.far.up("eth0")
            case "reload":
                self._write(CASES[self.case][1])
                self.process.send_signal(signal.SIGHUP)
            case "stop":
                self.process.send_signal(signal.SIGTERM)

    def daemons(self) -> list[str]:
        return self.space.run("ipvsadm", "-L", "-n", "--daemon").stdout.splitlines()

    def _write(self, line: str) -> None:
        _, _, word, rest = CASES[self.case]
        made = rest.replace("@INSTANCE@", word)
        self.file.write_text(f"global_defs {{\n    router_id lb1\n    {line}\n}}\n{made}")


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str, str], list[str]]]:
    directory = tmp_path_factory.mktemp("sync")
    found: dict[tuple[str, str, str], list[str]] = {}
    with Lab("lvs-sync") as lab:
        places = [(case, daemon) for case in CASES for daemon in DAEMONS]
        machines = {place: Machine(lab, *place, directory) for place in places}
        try:
            for fate in FATES:
                for machine in machines.values():
                    machine.befall(fate)
                shown = _rest(
                    lambda: [machine.daemons() for machine in machines.values()],
                    [_expected(case, fate) for case, _ in places],
                )
                for (case, daemon), lines in zip(places, shown, strict=True):
                    found[case, daemon, fate] = lines
        finally:
            for machine in machines.values():
                machine.process.send_signal(signal.SIGTERM)
                machine.process.wait(60)
        yield found


def _expected(case: str, fate: str) -> list[str]:
    """The roles that a fate leads to."""
    if fate == "stop":
        return []
    if case == "both":
        return ["master", "backup"]
    return ["backup" if fate == "fault" else "master"]


def _rest(look: Callable[[], list[list[str]]], roles: list[list[str]]) -> list[list[str]]:
    """Until everybody is in the roles that are expected, and each pair shows the same for a moment; at most 40 s."""
    begun = changed = time.monotonic()
    last: list[list[str]] = []
    while True:
        shown = look()
        now = time.monotonic()
        if shown != last:
            last, changed = shown, now
        settled = [[line.split()[0] for line in lines] for lines in shown] == roles and shown[::2] == shown[1::2]
        if (settled and now - begun > 1.5 and now - changed > 0.8) or now - begun > 40:
            return shown
        time.sleep(0.5)


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("case", CASES)
def test_the_same_sync_daemons(history: dict[tuple[str, str, str], list[str]], case: str, fate: str) -> None:
    assert history[case, "ours", fate] == history[case, "theirs", fate]


def test_the_fates_change_the_role(history: dict[tuple[str, str, str], list[str]]) -> None:
    roles = [[line.split()[0] for line in history["full", "ours", fate]] for fate in FATES]
    assert roles == [["master"], ["backup"], ["master"], ["master"], []]
    if "both" in CASES:
        assert [line.split()[0] for line in history["both", "ours", "start"]] == ["master", "backup"]
    assert history["full", "ours", "start"] == [
        "master sync daemon (mcast=eth1, syncid=9, maxlen=1000, group=224.0.0.99, port=9999, ttl=3)"
    ]

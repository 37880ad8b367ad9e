"""Trackers in the whole program: files, processes, static addresses; the log also beside Debian's keepalived."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pykeepalived.tools.lab import Lab, wait_until
from pykeepalived.tools.lab_rights import why_no_namespaces

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(why_no_namespaces() is not None, reason=why_no_namespaces() or "namespaces work"),
]

OURS = [sys.executable, "-m", "pykeepalived.cli.keepalived"]
THEIRS = ["keepalived"]
CONTROL = [sys.executable, "-m", "pykeepalived.cli.keepalivedctl"]
PROGRAMS = [
    pytest.param(OURS, id="ours"),
    pytest.param(
        THEIRS,
        id="theirs",
        marks=[
            pytest.mark.peer,
            pytest.mark.skipif(shutil.which("keepalived") is None or os.geteuid() != 0, reason="needs keepalived"),
        ],
    ),
]
GLOBALS = """
global_defs {
    enable_script_security
    script_user root
}
"""


class Machine:
    """One namespace with one program in it."""

    def __init__(self, lab, program, directory: Path, text: str) -> None:
        self.lab, self.program = lab, program
        self.space = lab.namespace("router")
        lab.link(self.space, "eth0", lab.namespace("other"), "eth0")
        self.space.address("eth0", "10.8.0.1/24")
        self.space.ip("link", "add", "eth1", "type", "veth", "peer", "name", "eth2")
        self.space.up("eth1")
        self.space.up("eth2")
        self.configuration = directory / "keepalived.conf"
        self.configuration.write_text(GLOBALS + text)
        self.log_path = directory / "log"

    def start(self) -> None:
        with self.log_path.open("w") as log:
            self.process = self.lab.popen(
                self.space, *self.program, "-n", "-l", "-D", "-f", self.configuration, stderr=log, stdout=log
            )
        self.wait("Startup complete")

    @property
    def lines(self) -> list[str]:
        """The log without times, and without what the programs say in words of their own."""
        lines = self.log_path.read_text().splitlines()
        return [line.partition(": ")[2] for line in lines]

    def wait(self, text: str, times: int = 1) -> None:
        wait_until(lambda: self.log_path.read_text().count(text) >= times, 120, f"{times} times {text!r}")

    def state_lines(self) -> list[str]:
        words = ("Changing effective", "FAULT", "Entering", "Quorum")
        return [line for line in self.lines if any(word in line for word in words)]


@pytest.fixture
def machine(tmp_path):
    with Lab("trackers") as lab:
        yield lambda program, text: Machine(lab, program, tmp_path, text)


@pytest.mark.shows("track_file", "track_file.file")
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_log_of_tracked_files(machine, program, tmp_path):
    load, gate = tmp_path / "load", tmp_path / "gate"
    load.write_text("0\n")
    gate.write_text("0\n")
    host = machine(
        program,
        f"""
track_file load {{
    file {load}
    weight 2
}}
track_file gate {{
    file {gate}
    weight 0
}}
vrrp_instance V1 {{
    interface eth0
    virtual_router_id 51
    priority 100
    virtual_ipaddress {{
        10.8.0.100/24
    }}
    track_file {{
        load
        gate
    }}
}}
""",
    )
    host.start()
    host.wait("Entering BACKUP STATE (init)")
    load.write_text("5\n")
    host.wait("from 100 to 110")
    gate.write_text("1\n")
    host.wait("tracked file gate now FAULT state")
    gate.write_text("no number\n")
    host.wait("tracked file gate leaving FAULT state")
    load.rename(tmp_path / "away")
    host.wait("from 110 to 100")
    (tmp_path / "away").rename(load)
    host.wait("from 100 to 110", 2)
    load.write_text("-127\n")
    host.wait("tracked file load now FAULT state")
    load.write_text("1\n")
    host.wait("from 100 to 102" if program is OURS else "leaving FAULT state", 1 if program is OURS else 2)
    faults = [line for line in host.state_lines() if "tracked file" in line]
    assert faults == [
        "(V1): tracked file gate now FAULT state",
        "(V1): tracked file gate leaving FAULT state",
        "(V1): tracked file load now FAULT state",
        "(V1): tracked file load leaving FAULT state",
    ]
    changes = [line for line in host.state_lines() if "Changing" in line][:3]
    assert changes == [
        "(V1) Changing effective priority from 100 to 110",
        "(V1) Changing effective priority from 110 to 100",
        "(V1) Changing effective priority from 100 to 110",
    ]


@pytest.mark.shows("vrrp_track_process", "vrrp_track_process.process")
def test_a_process_that_dies_faults_the_instance_and_one_that_returns_heals_it(machine, tmp_path):
    name = f"trkd{os.getpid() % 100000}"
    program = tmp_path / name
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o755)
    host = machine(
        OURS,
        f"""
vrrp_track_process gone {{
    process {name}
}}
vrrp_track_process lines {{
    process "{program}" 77
    weight 10
    terminate_delay 0.3
}}
vrrp_instance V1 {{
    interface eth0
    virtual_router_id 51
    priority 100
    virtual_ipaddress {{
        10.8.0.100/24
    }}
    track_process {{
        gone
        lines
    }}
}}
""",
    )
    host.start()
    host.wait("Entering FAULT STATE (init)")
    with subprocess.Popen([program, "77"]) as process:
        host.wait("Quorum gained for tracked process gone")
        host.wait("Entering BACKUP STATE")
        host.wait("from 100 to 110")
        body = json.loads(host.space.run(*CONTROL, "status", "--json").stdout)["vrrp"]["processes"]
        assert [(item["name"], item["up"], item["count"]) for item in body] == [("gone", True, 1), ("lines", True, 1)]
        began = time.monotonic()
        process.kill()
        process.wait()
    host.wait("Quorum lost for tracked process gone")
    host.wait("from 110 to 100")
    assert time.monotonic() - began >= 0.3
    assert host.state_lines()[-2:] == [
        "Quorum lost for tracked process lines",
        "(V1) Changing effective priority from 110 to 100",
    ]


@pytest.mark.shows("track_group", "track_group.group", "static_ipaddress.track_group")
def test_the_interface_of_a_static_address_faults_the_instances_of_its_group(machine):
    host = machine(
        OURS,
        """
track_group statics {
    group {
        V1
    }
}
static_ipaddress {
    10.9.0.1/24 dev eth1 track_group statics
}
vrrp_instance V1 {
    interface eth0
    virtual_router_id 51
    virtual_ipaddress {
        10.8.0.100/24
    }
}
vrrp_instance V2 {
    interface eth0
    virtual_router_id 52
    virtual_ipaddress {
        10.8.0.101/24
    }
}
""",
    )
    host.start()
    host.wait("(V1) Entering BACKUP STATE (init)")
    host.space.down("eth2")
    host.wait("(V1) Entering FAULT STATE")
    host.space.up("eth2")
    host.wait("(V1) Entering BACKUP STATE", 2)
    assert not [line for line in host.lines if "(V2)" in line and "FAULT" in line]

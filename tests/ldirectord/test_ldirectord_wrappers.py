"""The ways in which others run the program: systemd units, Heartbeat's call, the OCF agent."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.ldirectord.room import PROGRAM, Room, wait_for

PLACE = Path(__file__).parents[2] / "packaging" / "ldirectord"
TEXT = "virtual=10.1.0.1:80\n    real=127.0.0.1:8001 masq\n    checktype=on\n"

SUCCESS, GENERIC, UNIMPLEMENTED, INSTALLED, CONFIGURED, NOT_RUNNING = 0, 1, 3, 5, 6, 7


@pytest.fixture
def room() -> Iterator[Room]:
    with Room() as own:
        yield own


@pytest.fixture
def binaries(tmp_path: Path) -> Path:
    """A directory with the program under its old name."""
    directory = tmp_path / "sbin"
    directory.mkdir()
    (directory / "ldirectord").symlink_to(PROGRAM)
    return directory


def installed(name: str, tmp_path: Path, binaries: Path) -> Path:
    file = tmp_path / name
    file.write_text((PLACE / name).read_text().replace("@BINDIR@", str(binaries)))
    file.chmod(0o755)
    return file


@pytest.mark.netns
def test_ocf_agent(room: Room, tmp_path: Path, binaries: Path) -> None:
    agent, config = installed("ocf-ldirectord", tmp_path, binaries), tmp_path / "web.cf"
    pid_file = "/run/ldirectord.web.cf.pid"

    def act(action: str, **more: str) -> int:
        words = [f"{name}={value}" for name, value in ({"OCF_RESKEY_configfile": str(config)} | more).items()]
        return room.run("env", *words, str(agent), action).returncode

    assert act("monitor") == INSTALLED
    assert act("stop") == SUCCESS
    config.write_text(TEXT)
    assert act("monitor", OCF_RESKEY_ldirectord="/no/such/program") == INSTALLED
    assert act("validate-all") == SUCCESS
    assert act("monitor") == NOT_RUNNING
    assert act("stop") == SUCCESS
    assert act("start") == SUCCESS
    pid = room.read(pid_file)
    assert act("start") == SUCCESS
    assert act("monitor") == act("status") == SUCCESS
    assert act("reload") == SUCCESS
    assert room.read(pid_file) == pid
    config.write_text(TEXT + "nonsense\n")
    assert act("validate-all") == CONFIGURED
    assert act("monitor") == SUCCESS, "a broken file does not stop a running daemon"
    assert act("reload") == GENERIC
    assert act("stop") == SUCCESS, "and does not keep it from being stopped"
    assert room.read(pid_file) == ""
    assert act("start") == GENERIC
    config.write_text(TEXT)
    room.run("sh", "-c", f"echo 99999 > {pid_file}")
    assert act("monitor") == NOT_RUNNING
    assert act("start") == SUCCESS
    assert act("stop") == SUCCESS
    assert act("dance") == UNIMPLEMENTED


def test_ocf_meta_data() -> None:
    done = subprocess.run([PLACE / "ocf-ldirectord", "meta-data"], capture_output=True, check=True, timeout=60)
    root = ElementTree.fromstring(done.stdout)
    assert {each.get("name") for each in root.iter("parameter")} == {"configfile", "ldirectord"}
    actions = {each.get("name") for each in root.iter("action")}
    assert actions == {"start", "stop", "reload", "monitor", "meta-data", "validate-all"}


@pytest.mark.netns
def test_heartbeat_calls_the_program_by_a_link(room: Room, tmp_path: Path, binaries: Path) -> None:
    """`node VIP ldirectord::web.cf` in haresources becomes `resource.d/ldirectord web.cf start`."""
    (tmp_path / "web.cf").write_text(TEXT)
    room.run("cp", str(tmp_path / "web.cf"), "/etc/ha.d/web.cf")
    room.run("mkdir", "/etc/ha.d/resource.d")
    resource = "/etc/ha.d/resource.d/ldirectord"
    room.run("ln", "-s", str(binaries / "ldirectord"), resource)
    assert room.run(resource, "web.cf", "status").stdout == "ldirectord is stopped for /etc/ha.d/web.cf\n"
    assert room.run(resource, "web.cf", "start").returncode == 0
    # How the agent of resource-agents finds a daemon whose file has broken.
    found = room.run("pgrep", "-f", f"{resource} web.cf start").stdout.split()
    assert found == room.read("/run/ldirectord.web.cf.pid").split()
    assert room.run("pidof", "ldirectord").stdout.split() == found
    told = room.run(resource, "web.cf", "status")
    assert (told.returncode, "is running with pid" in told.stderr) == (0, True)
    assert room.run(resource, "web.cf", "stop").returncode == 0
    wait_for(lambda: not room.read("/run/ldirectord.web.cf.pid"), "the end")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize("name", ["pyldirectord.service", "pyldirectord@.service"])
def test_units(name: str, tmp_path: Path, binaries: Path) -> None:
    unit = installed(name, tmp_path, binaries)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False, timeout=60
    )
    complaints = [line for line in done.stderr.splitlines() if unit.name in line and "executable" not in line]
    assert not complaints
    text = unit.read_text()
    assert "Type=forking" in text
    expected = "/run/ldirectord.%i.pid" if "@" in name else "/run/ldirectord.ldirectord.pid"
    assert f"PIDFile={expected}\n" in text

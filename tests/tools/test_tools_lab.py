"""The namespace laboratory: what it builds, and that it leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pykeepalived.tools import lab as lab_module
from pykeepalived.tools import lab_rights
from pykeepalived.tools.lab import Lab, LabError, wait_until
from pykeepalived.tools.lab_rights import reexec_in_user_namespace, why_no_namespaces, why_no_user_namespace

pytestmark = pytest.mark.netns


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_cable_carries_packets_of_both_families() -> None:
    with Lab("h") as lab:
        left, right = lab.namespace("left"), lab.namespace("right")
        lab.link(left, "eth0", "right", "eth0")
        left.address("eth0", "10.9.0.1/24", "2001:db8::1/64")
        right.address("eth0", "10.9.0.2/24", "2001:db8::2/64")
        with right.inside():
            listener = socket.create_server(("", 80), family=socket.AF_INET6, dualstack_ipv6=True)
        with listener:
            for address in ("10.9.0.2", "2001:db8::2"):
                with left.inside(), socket.create_connection((address, 80), timeout=5) as there:
                    assert there.getpeername()[0] == address
        assert left.has_address("10.9.0.1")
        assert not right.has_address("10.9.0.1")


def test_a_bridge_joins_members_and_forwards_multicast() -> None:
    with Lab("h") as lab:
        lab.namespace("switch")
        lab.bridge("switch", "br0")
        for number, name in enumerate(("a", "b", "c"), 1):
            lab.namespace(name)
            lab.plug(name, "eth0", "switch", "br0")
            lab.namespaces[name].address("eth0", f"10.9.0.{number}/24")
        with lab.namespaces["b"].inside():
            receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with receiver:
            receiver.settimeout(60)
            receiver.bind(("224.0.0.18", 5000))
            member = socket.inet_aton("224.0.0.18") + socket.inet_aton("10.9.0.2")
            receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            with lab.namespaces["a"].inside():
                sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with sender:
                sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.9.0.1"))
                sender.sendto(b"hello", ("224.0.0.18", 5000))
            assert receiver.recv(100) == b"hello"


def test_each_namespace_has_its_own_run_directory() -> None:
    with Lab("h") as lab:
        one, two = lab.namespace("one"), lab.namespace("two")
        one.run("sh", "-c", "echo 1 > /run/lab.pid")
        assert one.run("cat", "/run/lab.pid").stdout == "1\n"
        assert two.run("cat", "/run/lab.pid", check=False).returncode != 0
        assert not Path("/run/lab.pid").exists()


def test_settings_belong_to_the_namespace() -> None:
    before = Path("/proc/sys/net/ipv4/ip_forward").read_text()
    with Lab("h") as lab:
        router = lab.namespace("router")
        router.sysctl("net.ipv4.ip_forward", "1" if before.strip() == "0" else "0")
        assert router.run("cat", "/proc/sys/net/ipv4/ip_forward").stdout != before
        assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == before


def test_a_failed_command_says_what_and_why(tmp_path: Path) -> None:
    with Lab("h") as lab:
        space = lab.namespace("one")
        with pytest.raises(LabError, match=r"(?s)exit code 1.*No such file"):
            space.run("cat", tmp_path / "missing")
        with pytest.raises(LabError, match="still running"):
            space.run("sleep", "20", timeout_s=0.1)


def test_output_of_a_started_program_goes_to_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Lab("h") as lab:
        lab.namespace("one")
        lab.popen("one", "sh", "-c", "echo out; echo err >&2", log=log).wait(60)
    assert log.read_text() == "out\nerr\n"


@pytest.mark.parametrize("how", ["orderly", "exception"])
def test_closing_ends_what_runs_inside_and_removes_the_namespace(how: str) -> None:
    try:
        with Lab("h") as lab:
            space = lab.namespace("one")
            holder = space.pid
            process = lab.popen(space, "sh", "-c", "trap '' TERM; sleep 100; true")
            wait_until(lambda: len(space.processes()) == 2, 5, "the shell and its sleep started")
            inside = space.processes()
            if how == "exception":
                raise KeyError(how)
    except KeyError:
        pass
    assert process.returncode == -signal.SIGKILL
    assert not any(alive(pid) for pid in [holder, *inside])


@pytest.mark.parametrize("blow", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_stays_when_the_owner_is_killed(blow: signal.Signals) -> None:
    script = (
        "from pykeepalived.tools.lab import Lab\nimport time\nlab = Lab('h')\nspace = lab.namespace('one')\n"
        "p = lab.popen(space, 'sleep', '100')\nprint(space.pid, p.pid, flush=True)\ntime.sleep(100)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pids = [int(word) for word in owner.stdout.readline().split()]
        assert len(pids) == 2
        assert all(alive(pid) for pid in pids)
        os.kill(owner.pid, blow)
    wait_until(lambda: not any(alive(pid) for pid in pids), 10, f"{pids} gone after {blow.name}")


def test_a_machine_can_lose_its_power_and_come_back() -> None:
    with Lab("h") as lab:
        lab.namespace("switch")
        lab.bridge("switch", "br0")
        for _ in range(2):
            one = lab.namespace("one")
            lab.plug(one, "eth0", "switch", "br0")
            process = lab.popen(one, "sleep", "100")
            lab.remove("one")
            assert process.wait(60) == -signal.SIGKILL
            assert lab.run("switch", "ip", "-o", "link", "show", "master", "br0").stdout == ""


def test_without_rights_the_reason_and_the_cure_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("unshare", "nsenter", "ip"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2\nexit 1\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert why_no_namespaces() == "unshare failed: Operation not permitted"
    assert "sudo" in (why_no_user_namespace() or "")
    for uid, cure in ((1000, "sudo"), (0, "--privileged")):
        monkeypatch.setattr(os, "geteuid", lambda uid=uid: uid)
        with pytest.raises(LabError, match=cure):
            reexec_in_user_namespace()
    (tmp_path / "nsenter").unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert why_no_namespaces() == "the program nsenter is missing"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up root's rights")
def test_an_ordinary_user_gets_a_laboratory_in_a_user_namespace() -> None:
    script = (
        "from pykeepalived.tools.lab import Lab\n"
        "from pykeepalived.tools.lab_rights import reexec_in_user_namespace\nreexec_in_user_namespace()\n"
        "with Lab('h') as lab:\n    one = lab.namespace('one')\n    two = lab.namespace('two')\n"
        "    lab.link(one, 'eth0', two, 'eth0')\n    one.address('eth0', '10.9.0.1/24')\n"
        "    print(one.has_address('10.9.0.1'))\n"
    )
    # The system's interpreter and a copy: another user may not be able to read this tree.
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        package = Path(place, "pykeepalived", "tools")
        package.mkdir(parents=True)
        for module in (lab_module, lab_rights):
            shutil.copy(str(module.__file__), package)
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", script],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": place, "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=place,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    if "forbids user namespaces" in done.stderr or "no user namespace here" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr

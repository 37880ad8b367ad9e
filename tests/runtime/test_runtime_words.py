"""Words of global_defs about the daemon, seen from outside on the whole program: /proc, sockets, files, namespaces."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from pykeepalived.tools.lab import Lab, wait_until
from pykeepalived.tools.lab_rights import why_no_namespaces

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(why_no_namespaces() is not None, reason=why_no_namespaces() or "namespaces work"),
]

PROGRAM = [sys.executable, "-m", "pykeepalived.cli.keepalived"]
CONFIGURATION = """
%(root)s
global_defs {
    enable_script_security
    script_user root
    lvs_dataplane nftables
    %(words)s
}
vrrp_track_process shells {
    process no-such-program
    weight 5
}
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 0.1
    version 3
    virtual_ipaddress {
        10.8.0.100/24
    }
    track_process {
        shells
    }
}
virtual_server 10.8.0.100 80 {
    protocol TCP
    lvs_method NAT
    ha_suspend
    real_server 10.8.0.9 80 {
        TCP_CHECK {
        }
    }
}
"""


@pytest.fixture
def lab():
    with Lab("words") as made:
        made.namespace("a")
        made.namespace("b")
        made.link("a", "eth0", "b", "eth0")
        made.namespaces["a"].address("eth0", "10.8.0.1/24")
        yield made


class Started:
    """Our daemon in namespace a."""

    def __init__(self, lab: Lab, directory: Path, words: str, *options: str, root: str = "") -> None:
        self.space = lab.namespaces["a"]
        self.configuration = directory / "keepalived.conf"
        self.configuration.write_text(CONFIGURATION % {"words": words, "root": root})
        self.log_path = directory / "log"
        self.directory = directory
        with self.log_path.open("w") as log:
            self.process = lab.popen(
                self.space,
                "env",
                f"TMPDIR={directory}",
                *PROGRAM,
                "-n",
                "-l",
                "-G",
                "-D",
                "-f",
                self.configuration,
                *options,
                stderr=log,
                stdout=log,
            )
        self.wait_log("Startup complete")

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def wait_log(self, text: str, times: int = 1) -> None:
        wait_until(lambda: self.log.count(text) >= times, 120, f"{text!r} in the log")

    def pid(self, name: str) -> int:
        return int(self.space.run("cat", f"/run/{name}.pid").stdout)


def netlink_buffers(pid: int) -> dict[int, set[int]]:
    """Sizes of the receive buffers of a process's netlink sockets, by protocol."""
    found: dict[int, set[int]] = {}
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.pidfd_open(pid)
    try:
        for path in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if not str(path.readlink()).startswith("socket:"):
                    continue
            except FileNotFoundError:
                continue  # closed since the directory was read
            copy = libc.syscall(438, descriptor, int(path.name), 0)  # pidfd_getfd(2)
            if copy < 0 and ctypes.get_errno() == errno.EBADF:
                continue
            assert copy >= 0, os.strerror(ctypes.get_errno())
            with socket.socket(fileno=copy) as sock:
                if sock.family == socket.AF_NETLINK:
                    found.setdefault(sock.proto, set()).add(sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))
    finally:
        os.close(descriptor)
    return found


@pytest.mark.shows("global_defs.{lvs_netlink_cmd_rcv_bufs,lvs_netlink_cmd_rcv_bufs_force}")
@pytest.mark.shows("global_defs.{lvs_netlink_monitor_rcv_bufs,lvs_netlink_monitor_rcv_bufs_force}")
@pytest.mark.shows("global_defs.{json_version,fifo_write_vrrp_states_on_reload}")
def test_buffers_names_dumps_and_fifos(lab, tmp_path):
    names = ("vrrp_netlink_cmd", "vrrp_netlink_monitor", "lvs_netlink_cmd", "lvs_netlink_monitor")
    beyond = 1 << 26  # more than any net.core.rmem_max that a system comes with
    sizes = {name: beyond + (number << 12) for number, name in enumerate(names)}
    words = ["vrrp_netlink_cmd_rcv_bufs_force", "vrrp_netlink_monitor_rcv_bufs_force"]
    words += ["lvs_netlink_cmd_rcv_bufs_force", "lvs_netlink_monitor_rcv_bufs_force"]
    words += [f"vrrp_netlink_cmd_rcv_bufs {sizes['vrrp_netlink_cmd']}"]
    words += [f"vrrp_netlink_monitor_rcv_bufs {sizes['vrrp_netlink_monitor']}"]
    words += [f"lvs_netlink_cmd_rcv_bufs {sizes['lvs_netlink_cmd']}"]
    words += [f"lvs_netlink_monitor_rcv_bufs {sizes['lvs_netlink_monitor']}"]
    fifo = tmp_path / "fifo"
    words += ["process_names", "json_version 2", f"notify_fifo {fifo}", "fifo_write_vrrp_states_on_reload"]
    daemon = Started(lab, tmp_path, "\n".join(words), "-a", "--ignore-sigint")
    vrrp, checkers = daemon.pid("vrrp"), daemon.pid("checkers")
    seen = netlink_buffers(vrrp)
    assert {2 * sizes["vrrp_netlink_cmd"], 2 * sizes["vrrp_netlink_monitor"]} <= seen[socket.NETLINK_ROUTE]
    seen = netlink_buffers(checkers)
    assert {2 * sizes["lvs_netlink_cmd"], 2 * sizes["lvs_netlink_monitor"]} <= seen[socket.NETLINK_ROUTE]
    mask = int(
        next(line for line in Path(f"/proc/{checkers}/status").read_text().splitlines() if "CapEff" in line)[7:], 16
    )
    kept = {number for number in range(64) if mask >> number & 1}
    assert kept <= {0, 1, 5, 6, 7, 10, 12, 13}  # FIFO, script users, low ports, network administration, raw sockets
    assert {12, 13} <= kept
    comms = [Path(f"/proc/{pid}/comm").read_text().strip() for pid in (daemon.pid("keepalived"), vrrp, checkers)]
    assert comms == ["keepalived", "keepalived_vrrp", "keepalived_lvs"]

    daemon.wait_log("(VI_1) Entering MASTER STATE")
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with contextlib.suppress(BlockingIOError):
            os.read(reader, 4096)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_log("Reload complete")

        def line() -> bytes:
            with contextlib.suppress(BlockingIOError):
                return os.read(reader, 4096)
            return b""

        wait_until(lambda: b'INSTANCE "VI_1" MASTER 100\n' in line(), 120, "the state in the FIFO")
    finally:
        os.close(reader)

    daemon.space.run("ip", "address", "add", "10.8.0.77/24", "dev", "eth0")
    daemon.wait_log("Netlink reflector reports IP 10.8.0.77 added to eth0")
    daemon.process.send_signal(signal.SIGINT)
    daemon.space.run("ip", "address", "del", "10.8.0.77/24", "dev", "eth0")
    daemon.wait_log("Netlink reflector reports IP 10.8.0.77 removed from eth0")
    assert "Stopping" not in daemon.log

    daemon.process.send_signal(signal.SIGRTMIN + 2)
    wait_until((tmp_path / "keepalived.json").exists, 120, "the dump")
    whole = json.loads((tmp_path / "keepalived.json").read_text())
    assert [each["data"]["iname"] for each in whole["vrrp"]] == ["VI_1"]
    (process,) = whole["track_process"]
    assert (process["process"], process["current_processes"], process["have_quorum"]) == ("shells", 0, False)


@pytest.mark.shows("global_defs.{vrrp_cpu_affinity,vrrp_rt_priority,vrrp_rlimit_rttime}")
@pytest.mark.shows("net_namespace_ipvs", "instance", "use_pid_dir")
def test_scheduling_and_ipvs_in_another_namespace(lab, tmp_path):
    other = lab.namespaces["b"]
    space = lab.namespaces["a"]
    space.run("mkdir", "-p", "/run/netns")
    space.run("touch", "/run/netns/b")
    space.run("mount", "--bind", f"/proc/{other.pid}/ns/net", "/run/netns/b")
    words = "vrrp_cpu_affinity 0\nvrrp_rt_priority 20\nvrrp_rlimit_rttime 300000"
    daemon = Started(lab, tmp_path, words, root="net_namespace_ipvs b\ninstance one\nuse_pid_dir")
    vrrp = daemon.pid("keepalived/vrrp_one")
    assert os.sched_getaffinity(vrrp) == {0}
    assert os.sched_getscheduler(vrrp) & 0xFF == os.SCHED_RR
    limits = next(line for line in Path(f"/proc/{vrrp}/limits").read_text().splitlines() if "realtime timeout" in line)
    assert limits.split()[3:5] == ["300000", "10000000"]
    daemon.wait_log("(VI_1) Entering MASTER STATE")
    assert space.has_address("10.8.0.100")
    wait_until(lambda: "10.8.0.100" in other.run("nft", "list", "ruleset").stdout, 120, "the table in namespace b")
    assert "10.8.0.100" not in space.run("nft", "list", "ruleset").stdout
    os.kill(vrrp, signal.SIGXCPU)
    daemon.wait_log("VRRP process has used too much CPU time, vrrp_rlimit_rttime may need to be increased")
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(120) == 0
    assert "10.8.0.100" not in other.run("nft", "list", "ruleset").stdout


@pytest.mark.shows("net_namespace", "global_defs.umask")
def test_another_namespace_and_modes_of_files(lab, tmp_path):
    other, space = lab.namespaces["b"], lab.namespaces["a"]
    other.address("eth0", "10.8.0.2/24")
    space.run("mkdir", "-p", "/run/netns")
    space.run("touch", "/run/netns/b")
    space.run("mount", "--bind", f"/proc/{other.pid}/ns/net", "/run/netns/b")
    fifo = tmp_path / "all"
    daemon = Started(lab, tmp_path, f"umask 037\nnotify_fifo {fifo}", root="net_namespace b")
    wait_until(lambda: other.has_address("10.8.0.100"), 120, "the address in namespace b")
    assert not space.has_address("10.8.0.100")
    assert fifo.stat().st_mode & 0o777 == 0o640
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(120) == 0
    assert not other.has_address("10.8.0.100")

"""`..._rcv_bufs` and `..._rcv_bufs_force`: what the kernel says of the sockets after start and after a reload."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from pathlib import Path

import pytest

from pykeepalived.diagnostics import Severity
from pykeepalived.dialects.keepalived import load
from pykeepalived.processes import proc_watch
from pykeepalived.processes.proc_events import ProcessNews
from pykeepalived.reactor import Reactor
from pykeepalived.tools.lab import Lab, wait_until
from tests.dialects.keepalived.fake_host import FakeHost

OURS = "import sys; from pykeepalived.cli.keepalived import main; sys.exit(main())"
ROOT = Path(__file__).parents[2]
LIMIT = int(Path("/proc/sys/net/core/rmem_max").read_text())
INSTANCE = "vrrp_instance A {\ninterface eth0\nvirtual_router_id 51\nvirtual_ipaddress {\n10.0.0.51\n}\n}\n"


def text(*words: str) -> str:
    return "\n".join(["global_defs {", *words, "}", INSTANCE])


class Sized:
    """One process in a namespace, and the receive buffers of its route netlink sockets."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self._file = directory / "keepalived.conf"
        self._space = lab.namespace("router")
        far = lab.namespace("far")
        lab.link(self._space, "eth0", far, "eth0")
        self._space.address("eth0", "10.0.0.1/24")
        self._lab = lab
        self._log = directory / "log"

    def start(self, *words: str) -> None:
        self._write(*words)
        options = ["-n", "-l", "-P", "-f", self._file, "-p", "/run/k", "-r", "/run/v"]
        self._daemon = self._lab.popen(self._space, sys.executable, "-c", OURS, *options, log=self._log, cwd=ROOT)
        wait_until(lambda: "MASTER STATE" in self._log.read_text(), 120, "MASTER")

    def reload(self, *words: str) -> None:
        self._write(*words)
        os.kill(self._daemon.pid, signal.SIGHUP)

    def _write(self, *words: str) -> None:
        self._file.write_text(text(*words))
        self._file.chmod(0o600)

    def sizes(self) -> list[int]:
        lines = self._space.run("ss", "-f", "netlink", "-H", "-O", "-m").stdout.splitlines()
        mine = [line for line in lines if "rtnl:" in line and "rtnl:kernel" not in line]
        return sorted(int(found[1]) for line in mine if (found := re.search(r"\brb(\d+)", line)))


@pytest.mark.netns
@pytest.mark.shows(
    "global_defs.{vrrp_netlink_cmd_rcv_bufs,vrrp_netlink_monitor_rcv_bufs}",
    "global_defs.{vrrp_netlink_cmd_rcv_bufs_force,vrrp_netlink_monitor_rcv_bufs_force}",
)
def test_netlink_sockets_have_the_size_of_the_file(tmp_path: Path) -> None:
    with Lab(f"buffers-{os.getpid()}") as lab:
        sized = Sized(lab, tmp_path)
        # The kernel keeps twice what is asked for.
        sized.start("vrrp_netlink_cmd_rcv_bufs 70000", "vrrp_netlink_monitor_rcv_bufs 90000")
        assert {140_000, 180_000} <= set(sized.sizes())
        beyond = LIMIT + 1_000_000
        words = ("vrrp_netlink_cmd_rcv_bufs", "vrrp_netlink_monitor_rcv_bufs")
        forced = ("vrrp_netlink_cmd_rcv_bufs_force", "vrrp_netlink_monitor_rcv_bufs_force true")
        sized.reload(f"{words[0]} {beyond}", f"{words[1]} {beyond + 1}", *forced)
        wait_until(lambda: {2 * beyond, 2 * beyond + 2} <= set(sized.sizes()), 120, "sizes of the reload")
        sized.reload(f"{words[0]} {beyond}", f"{words[1]} {beyond}")
        wait_until(lambda: sized.sizes().count(2 * LIMIT) >= 2, 120, "without force the system's limit holds")


class Quiet:
    def info(self, text: str) -> None:
        pass


@pytest.mark.netns
@pytest.mark.shows("global_defs.{process_monitor_rcv_bufs,process_monitor_rcv_bufs_force}")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("process_monitor_rcv_bufs 60000",), 120_000),
        ((f"process_monitor_rcv_bufs {LIMIT + 4096}",), 2 * LIMIT),
        ((f"process_monitor_rcv_bufs {LIMIT + 4096}", "process_monitor_rcv_bufs_force"), 2 * (LIMIT + 4096)),
    ],
)
def test_the_process_socket_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], expected: int
) -> None:
    path = tmp_path / "keepalived.conf"
    tracked = "vrrp_track_process p {\nprocess sleep\n}\n"
    path.write_text(tracked + text(*words).replace("interface eth0", "interface eth0\ntrack_process {\np\n}"))
    result = load(str(path), host=FakeHost())
    assert not [item for item in result.findings.items if item.severity is Severity.ERROR]
    made: list[ProcessNews] = []

    class Seen(ProcessNews):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    def fail(error: BaseException) -> None:
        raise error

    monkeypatch.setattr(proc_watch, "ProcessNews", Seen)
    reactor = Reactor(on_error=fail)
    watcher = proc_watch.ProcessWatcher(reactor, Quiet(), lambda name, count: None)
    settings = result.config.globals
    watcher.set_buffer(settings.process_monitor_rcv_bufs, force=settings.process_monitor_rcv_bufs_force)
    try:
        watcher.update(result.config.track_processes)
        with socket.socket(fileno=os.dup(made[0].fileno())) as same:
            assert same.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == expected
    finally:
        watcher.close()
        reactor.close()

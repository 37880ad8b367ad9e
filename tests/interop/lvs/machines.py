"""A director of the differential: one daemon, keepalived's or ours, with one configuration and servers of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from pykeepalived.tools.lab import Lab, Namespace
from tests.interop.lvs.backends import NUMBERS, Loop, RealServer, needed_ports
from tests.interop.lvs.cases import Case

DAEMONS = {
    "theirs": [os.environ.get("DIFFERENTIAL_KEEPALIVED") or "/usr/sbin/keepalived"],
    "ours": [sys.executable, "-m", "pykeepalived.cli.keepalived"],
}
#: Addresses of virtual servers that some checks and `bindto` need to exist.
_OWN = ("10.0.0.5/32", "10.0.0.6/32", "192.168.0.1/32", "2001:db8::5/128")

_SCRIPTS = {
    # The words of a call, one line each.
    "note": '#!/bin/sh\necho "$@" >>@DIRECTORY@/notes\n',
    # MISC_CHECK: the exit code that the state of a server asks for.
    "answer": "#!/bin/sh\nread state <@DIRECTORY@/state/$1\n[ $state = slow ] && { sleep 4; exit 0; }\nexit $state\n",
    # The same with misc_dynamic: a sick server asks for weight 2, all others for what is configured.
    "dynamic": "#!/bin/sh\nread state <@DIRECTORY@/state/$1\n[ $state = slow ] && { sleep 4; exit 0; }\nexit $state\n",
    # Writes down who it is.
    "who": "#!/bin/sh\nid -un >@DIRECTORY@/who.$1\nexec @DIRECTORY@/answer $1\n",
}


class Machine:
    """One namespace, one daemon."""

    def __init__(self, lab: Lab, case: Case, daemon: str, directory: Path, loop: Loop) -> None:
        self.case, self.daemon = case, daemon
        self.name = f"{case.name}-{daemon}"
        self.space: Namespace = lab.namespace(self.name)
        self.directory = directory / self.name
        self.directory.mkdir(mode=0o777)
        self.space.run(
            "sh",
            "-ec",
            "ip link add hole type dummy; ip link set hole up; ip link add eth0 type dummy; ip link set eth0 up\n"
            f"for a in {' '.join(_OWN)} "
            + " ".join(f"192.168.0.{n}/32 2001:db8:1::{n}/128" for n in NUMBERS)
            + "; do ip addr add $a dev lo nodad 2>/dev/null || ip addr add $a dev lo; done\n"
            # A dummy interface answers nobody, so nobody may be asked for. Behind it are BFD neighbours.
            "ip link set hole arp off; ip route add 192.0.2.0/24 dev hole\n"
            "echo 0 1000 >/proc/sys/net/ipv4/ping_group_range\n"
            # A check from a port of its own finds it taken for a second after the last one, by whichever side closed
            # first. That is chance, so here nothing lingers.
            "echo 0 >/proc/sys/net/ipv4/tcp_max_tw_buckets",
        )
        for name, text in _SCRIPTS.items():
            script = self.directory / name
            script.write_text(text.replace("@DIRECTORY@", str(self.directory)))
            script.chmod(0o755)
        os.mkfifo(self.directory / "fifo")
        self._fifo = os.open(self.directory / "fifo", os.O_RDWR | os.O_NONBLOCK)
        self._notes_seen = self._notes_size = 0
        self._fifo_seen = b""
        self.file = self.directory / "keepalived.conf"
        self.log_file = self.directory / "log"
        ports = needed_ports(case.text + case.changed)
        self.servers = {number: RealServer(self.space, number, self.directory, ports, loop) for number in NUMBERS}
        self.process: subprocess.Popen[bytes] | None = None

    # ---- fates ----

    def start(self) -> None:
        for server in self.servers.values():
            server.become("up")
        self.configure(self.case.text)
        arguments = [*DAEMONS[self.daemon], "-n", "-l", "-G", "-D", "-C", "-f", str(self.file)]
        with self.log_file.open("wb") as log:
            self.process = self.space.popen(*arguments, stdout=log, stderr=subprocess.STDOUT)

    def configure(self, text: str) -> None:
        self.file.write_text(text.replace("@DIRECTORY@", str(self.directory)))

    def reload(self, text: str) -> None:
        self.configure(text)
        self.signal(signal.SIGHUP)

    def signal(self, number: int) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    # ---- what can be seen ----

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def glance(self) -> list[str]:
        """A cheap look at the table: what /proc shows, without the counters."""
        lines = Path(f"/proc/{self.space.pid}/net/ip_vs").read_text().splitlines()[3:]
        service, seen = "", []
        for line in lines:
            if line.startswith("  ->"):
                seen.append(f"{service} {line.rsplit(None, 2)[0]}")
            else:
                service = line
                seen.append(line)
        return sorted(seen)

    def table(self) -> list[str]:
        with self.space.inside():
            rules, limits = (
                subprocess.run(["ipvsadm", *words], capture_output=True, text=True, timeout=30, check=True).stdout
                for words in (["-Sn"], ["-Ln", "--thresholds"])
            )
        shown = [" ".join(line.split()[:4]) for line in limits.splitlines() if "->" in line]
        return rules.splitlines() + sorted(shown)

    def notes(self) -> list[str]:
        """What scripts wrote since the last time."""
        path = self.directory / "notes"
        lines = path.read_text().splitlines() if path.exists() else []
        fresh, self._notes_seen = lines[self._notes_seen :], len(lines)
        self._notes_size = path.stat().st_size if lines else 0
        return fresh

    def noise(self) -> tuple[int, int]:
        """How much scripts and FIFO have said since the last time that they were looked at."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._fifo, 1 << 16):
                self._fifo_seen += data
        path = self.directory / "notes"
        return self._fifo_seen.count(b"\n"), (path.stat().st_size if path.exists() else 0) - self._notes_size

    def fifo(self) -> list[str]:
        """What came out of the FIFO since the last time. 2.4.3 puts a NUL byte after each line, 2.2.7 does not."""
        self.noise()
        data, self._fifo_seen = self._fifo_seen, b""
        return data.replace(b"\0", b"").decode().splitlines()

    def log(self) -> list[str]:
        return self.log_file.read_text(errors="replace").splitlines()

    def close(self) -> None:
        for server in self.servers.values():
            server.close()
        os.close(self._fifo)

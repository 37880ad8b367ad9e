"""A machine of one's own for ldirectord: network, processes, /run, /var/log and /etc/ha.d belong to the test alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PROGRAM = str(Path(sys.executable).parent / "pyldirectord")
_PREPARE = """
for place in /run /var/log /etc/ha.d; do mount -t tmpfs none $place || exit 1; done
ip link set lo up && echo ready && exec sleep 3600
"""


class Room:
    """Namespaces that live as long as this object. Used with `with`."""

    def __init__(self) -> None:
        self._unshare = subprocess.Popen(
            ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", _PREPARE],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._unshare.stdout is not None
        assert self._unshare.stdout.readline() == "ready\n"
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children").read_text()
        self._first = children.split()[0]
        self._servers: dict[int, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Room:
        return self

    def __exit__(self, *_: object) -> None:
        for port in tuple(self._servers):
            self.down(port)
        self._unshare.kill()
        self._unshare.wait()
        if self._unshare.stdout is not None:
            self._unshare.stdout.close()

    def _command(self, *words: str) -> list[str]:
        return ["nsenter", "-t", self._first, "--mount", "--net", "--pid", "--", *words]

    def run(
        self, *words: str, cwd: Path | None = None, stdin: str | None = None, timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        command = self._command("env", "-C", str(cwd), *words) if cwd else self._command(*words)
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False)

    def give_ipvsadm(self) -> None:
        """Let Debian's ldirectord find a stand-in for ipvsadm, for machines whose kernel has no IPVS."""
        stand_in = Path(__file__).with_name("ipvsadm_stand_in")
        assert self.run("mount", "--bind", str(stand_in), "/usr/sbin/ipvsadm").returncode == 0

    @staticmethod
    def python(script: Path, *words: object) -> list[str]:
        """The words that run a script of ours with our programs in its PATH."""
        path = f"PATH={Path(PROGRAM).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
        return ["env", path, sys.executable, str(script), *(str(word) for word in words)]

    def ldirectord(self, *words: str, cwd: Path | None = None) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        done = self.run(PROGRAM, *words, cwd=cwd)
        return done.returncode, done.stdout, done.stderr

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start something that stays."""
        command = self._command(*words)
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def read(self, path: str) -> str:
        done = self.run("cat", path)
        return done.stdout if done.returncode == 0 else ""

    def log(self, path: str = "/var/log/ldirectord.log") -> list[str]:
        """The lines without date, name and process."""
        return [line.partition("] ")[2] for line in self.read(path).splitlines()]

    def up(self, port: int) -> None:
        """A web server at 127.0.0.1; it listens when this returns."""
        code = f"import http.server as h; s = h.HTTPServer(('127.0.0.1', {port}), h.SimpleHTTPRequestHandler); \
print('up', flush=True); s.serve_forever()"
        server = subprocess.Popen(
            self._command(sys.executable, "-c", code), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert server.stdout is not None
        assert server.stdout.readline() == b"up\n"
        self._servers[port] = server

    def down(self, port: int) -> None:
        """Kill the server behind its nsenter."""
        server = self._servers.pop(port)
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), 9)
        server.kill()
        server.wait()
        if server.stdout is not None:
            server.stdout.close()


def wait_for(condition: Callable[[], object], what: str, limit_s: float = 90) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"waited in vain for: {what}"
        time.sleep(0.05)

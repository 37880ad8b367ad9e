"""A small laboratory of network namespaces, for the tests and the demonstration.

A `Lab` owns namespaces. Each one is a network namespace together with a mount namespace, so that two daemons on one
machine see their own interfaces and their own /run (pid files, sockets). They have no global name: nothing in
/run/netns, no clash with another lab on the same machine, nothing left behind by one that was killed.

Every namespace is held open by a process, the *holder*, which reads a pipe whose other end the lab keeps. When the lab
closes, or its process dies in any way (exception, SIGTERM, SIGKILL), the pipe closes; the holder then kills whatever
still runs in its network namespace and ends, and the kernel removes interfaces, addresses, tables and mounts.

    with Lab("example") as lab:
        client, director = lab.namespace("client"), lab.namespace("director")
        lab.link(client, "eth0", director, "eth0")
        client.address("eth0", "10.0.0.1/24")
        director.address("eth0", "10.0.0.2/24")
        client.run("ping", "-c1", "10.0.0.2")

Everything needs the rights of root over its own namespaces: as root directly, otherwise inside a user namespace
(`lab_rights.reexec_in_user_namespace`). Programs used: unshare, nsenter, mount (util-linux), ip (iproute2), sh.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

_CLONE_NEWNET = 0x40000000
_HOLDER_READY_S = 20.0

# Arguments: directories that become private and empty. It says "ready" when all is set up, then waits for "end" (an
# orderly close: the lab has already ended the processes) or the end of its input (the lab is gone: end them here).
_HOLDER = r"""
trap '' HUP INT TERM
for directory in "$@"; do mount -t tmpfs -o mode=0755 tmpfs "$directory" || exit 1; done
mount -t sysfs sysfs /sys 2>/dev/null
ip link set lo up || exit 1
echo ready
read -r order && [ "$order" = end ] && exit 0
own=$(readlink /proc/self/ns/net)
round=0
while [ $round -lt 20 ]; do
    round=$((round + 1)) left=no
    for directory in /proc/[0-9]*; do
        pid=${directory#/proc/}
        [ "$pid" = $$ ] && continue
        [ "$(readlink "$directory/ns/net" 2>/dev/null)" = "$own" ] && kill -9 "$pid" 2>/dev/null && left=yes
    done
    [ $left = no ] && exit 0
done
"""


class LabError(Exception):
    """A step of the laboratory failed. The text holds the command and what it printed."""


def wait_until(condition: Callable[[], Any], timeout_s: float, what: str, *, interval_s: float = 0.02) -> Any:
    """Ask `condition` until its answer is true and return the answer; `LabError` naming `what` at the time limit."""
    end = time.monotonic() + timeout_s
    while True:
        if answer := condition():
            return answer
        if time.monotonic() >= end:
            raise LabError(f"not within {timeout_s:g} s: {what}")
        time.sleep(interval_s)


def _execute(argv: Sequence[str], *, check: bool, timeout_s: float, **more: Any) -> subprocess.CompletedProcess[str]:
    if "input" not in more:
        more.setdefault("stdin", subprocess.DEVNULL)
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_s,
            check=False,
            **more,
        )
    except subprocess.TimeoutExpired as late:
        raise LabError(f"{' '.join(argv)}: still running after {timeout_s:g} s") from late
    except OSError as error:
        raise LabError(f"{argv[0]}: {error.strerror}") from error
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(argv)}: exit code {done.returncode}\n{done.stdout}{done.stderr}".rstrip())
    return done


class Namespace:
    """One machine of the laboratory: its own interfaces, routes, firewall, /run. Made by `Lab.namespace`."""

    def __init__(self, name: str, private: Sequence[str]) -> None:
        self.name = name
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "--", "sh", "-c", _HOLDER, f"lab-{name}", *private],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline().strip() != "ready":
            _, errors = self._holder.communicate(timeout=_HOLDER_READY_S)
            raise LabError(f"no namespace {name}: {errors.strip() or 'unshare failed'}")

    def __repr__(self) -> str:
        return f"Namespace({self.name!r}, pid={self.pid})"

    @property
    def pid(self) -> int:
        """Process id of the holder: `nsenter --target PID --net --mount` shows a person the inside."""
        return self._holder.pid

    @property
    def net_path(self) -> Path:
        """The network namespace as a file, for setns and pyroute2."""
        return Path(f"/proc/{self.pid}/ns/net")

    def command(self, argv: Sequence[str | Path], cwd: Path | None = None) -> list[str]:
        """The command line that runs `argv` in here. nsenter executes it: the process id stays the same."""
        enter = ["nsenter", f"--target={self.pid}", "--net", "--mount", "--"]
        return [*enter, "env", "-C", str(cwd or Path.cwd()), *(str(word) for word in argv)]

    def run(
        self, *argv: str | Path, check: bool = True, timeout_s: float = 30.0, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end and return its output as text. `LabError` when it fails (unless `check` is false)
        or takes longer than `timeout_s`. Further arguments go to `subprocess.run` (`input`, `env`)."""
        return _execute(self.command(argv, more.pop("cwd", None)), check=check, timeout_s=timeout_s, **more)

    def popen(
        self,
        *argv: str | Path,
        log: Path | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        **more: Any,
    ) -> subprocess.Popen[Any]:
        """Start a program. Its output goes to the file `log` (appended), else nowhere, unless `stdout` says otherwise.
        The lab ends it at the latest when it closes."""
        more.setdefault("stdin", subprocess.DEVNULL)
        more.setdefault("start_new_session", True)
        sink: int | IO[bytes] = subprocess.DEVNULL if log is None else log.open("ab")
        try:
            more.setdefault("stdout", sink)
            more.setdefault("stderr", subprocess.STDOUT)
            return subprocess.Popen(self.command(argv, cwd), env=env, **more)
        finally:
            if not isinstance(sink, int):
                sink.close()

    def ip(self, *words: str) -> str:
        """`ip WORDS` in here; returns what it prints."""
        return self.run("ip", *words).stdout

    def address(self, interface: str, *addresses: str) -> None:
        """Add addresses (`10.0.0.1/24`, `2001:db8::1/64`). IPv6 ones are usable at once, without DAD."""
        for address in addresses:
            self.ip("addr", "add", address, "dev", interface, *(["nodad"] if ":" in address else []))

    def has_address(self, address: str, interface: str | None = None) -> bool:
        """Whether the address (without prefix length) is configured, on one interface or on any."""
        words = ["-o", "addr", "show", *([interface] if interface else [])]
        return any(line.split()[3].split("/")[0] == address for line in self.ip(*words).splitlines())

    def route(self, *words: str) -> None:
        """`ip route add WORDS`; an IPv6 destination is recognised."""
        self.ip(*(["-6"] if any(":" in word for word in words) else []), "route", "add", *words)

    def up(self, interface: str) -> None:
        self.ip("link", "set", interface, "up")

    def down(self, interface: str) -> None:
        self.ip("link", "set", interface, "down")

    def sysctl(self, key: str, value: int | str) -> None:
        """Set `net.ipv4.ip_forward` and the like."""
        self.run("sh", "-c", 'printf %s "$2" >"/proc/sys/$1"', "sysctl", key.replace(".", "/"), str(value))

    def bridge(self, name: str, *ports: str) -> None:
        """A bridge without spanning tree and without multicast snooping: it forwards at once, VRRP included."""
        self.ip("link", "add", name, "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
        self.up(name)
        for port in ports:
            self.attach(name, port)

    def attach(self, bridge: str, port: str) -> None:
        """Make an interface a port of a bridge and set it up."""
        self.ip("link", "set", port, "master", bridge, "up")

    def bind(self, source: Path, target: str) -> None:
        """Show a file or directory of the machine at another path in here (for /etc/keepalived and the like)."""
        self.run("mount", "--bind", source, target)

    def private(self, directory: str) -> None:
        """Give this namespace an empty directory of its own at this path."""
        self.run("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", directory)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Within the block, sockets of the calling thread are opened in this network namespace. (Network only: files
        stay the caller's.) A socket keeps its namespace after the block."""
        library = ctypes.CDLL(None, use_errno=True)

        def enter(descriptor: int) -> None:
            if library.setns(descriptor, _CLONE_NEWNET) != 0:
                raise LabError(f"setns: {os.strerror(ctypes.get_errno())}")

        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            there = os.open(self.net_path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                enter(there)
            finally:
                os.close(there)
            try:
                yield
            finally:
                enter(home)
        finally:
            os.close(home)

    def processes(self) -> list[int]:
        """Process ids of everything that runs in this network namespace, without the holder."""
        if self._holder.poll() is not None:
            return []
        return [pid for pid in _processes_in({self.net_path.readlink()}) if pid != self.pid]

    def close(self) -> None:
        """Let the holder go. `Lab.close` ends the processes first, for all namespaces in one pass."""
        assert self._holder.stdin is not None
        with contextlib.suppress(OSError):
            self._holder.stdin.write("end\n")
            self._holder.stdin.flush()
        with contextlib.suppress(OSError):
            self._holder.stdin.close()
        try:
            self._holder.wait(5)
        except subprocess.TimeoutExpired:
            self._holder.kill()
            self._holder.wait()
        for stream in (self._holder.stdout, self._holder.stderr):
            if stream is not None:
                stream.close()


def _processes_in(networks: set[Path]) -> list[int]:
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (directory / "ns/net").readlink() in networks:
                found.append(int(directory.name))
    return found


class Lab:
    """Owner of namespaces; see the head of this file. Use it as a context manager."""

    def __init__(self, prefix: str) -> None:
        """`prefix` only marks the holders in a process list (`lab-PREFIX-NAME`); it need not be unique."""
        self.prefix = prefix
        self.namespaces: dict[str, Namespace] = {}
        self._started: list[tuple[Namespace, subprocess.Popen[Any]]] = []
        self._cables = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def namespace(self, name: str, *, private: Sequence[str] = ("/run",), dad: bool = False) -> Namespace:
        """Make a namespace with its loopback up. `private`: directories that it sees as its own, empty ones.
        Without `dad`, IPv6 addresses (link-local ones too) need no duplicate address detection."""
        if name in self.namespaces:
            raise LabError(f"namespace {name} exists already")
        made = Namespace(f"{self.prefix}-{name}", private)
        self.namespaces[name] = made
        if not dad:
            for key in ("all", "default"):
                with contextlib.suppress(LabError):  # a kernel without IPv6
                    made.sysctl(f"net.ipv6.conf.{key}.accept_dad", 0)
        return made

    def _at(self, which: str | Namespace) -> Namespace:
        return self.namespaces[which] if isinstance(which, str) else which

    def link(self, first: str | Namespace, first_if: str, second: str | Namespace, second_if: str) -> None:
        """A cable (veth pair) between two namespaces, both ends up."""
        one, two = self._at(first), self._at(second)
        # Created by the first namespace, straight into both: the names never exist anywhere else.
        one.ip(
            *("link", "add", first_if, "netns", str(one.pid), "type", "veth"),
            *("peer", "name", second_if, "netns", str(two.pid)),
        )
        one.up(first_if)
        two.up(second_if)

    def bridge(self, namespace: str | Namespace, name: str, *ports: str) -> None:
        """A switch in a namespace; see `Namespace.bridge`."""
        self._at(namespace).bridge(name, *ports)

    def plug(self, member: str | Namespace, interface: str, switch: str | Namespace, bridge: str) -> None:
        """A cable from a member's interface to a port of a bridge that lives in another namespace."""
        one, other = self._at(member), self._at(switch)
        self._cables += 1
        port = f"{bridge[:9]}-{self._cables}"
        self.link(one, interface, other, port)
        other.attach(bridge, port)

    def run(
        self, namespace: str | Namespace, *argv: str | Path, check: bool = True, timeout_s: float = 30.0, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """See `Namespace.run`."""
        return self._at(namespace).run(*argv, check=check, timeout_s=timeout_s, **more)

    def popen(self, namespace: str | Namespace, *argv: str | Path, **more: Any) -> subprocess.Popen[Any]:
        """See `Namespace.popen`; the lab also waits for the process when it closes."""
        space = self._at(namespace)
        process = space.popen(*argv, **more)
        self._started.append((space, process))
        return process

    def remove(self, namespace: str | Namespace) -> None:
        """Pull the plug of one machine: its processes, interfaces and everything else are gone at once."""
        space = self._at(namespace)
        self._kill([space])
        with contextlib.suppress(LabError):  # the kernel removes them as well, but takes its time
            for line in space.ip("-o", "link", "show", "type", "veth").splitlines():
                space.ip("link", "delete", line.split(": ")[1].split("@")[0])
        space.close()
        del self.namespaces[next(name for name, each in self.namespaces.items() if each is space)]

    def close(self) -> None:
        """Kill what runs in the namespaces and remove them. May be called twice."""
        self._kill(list(self.namespaces.values()))
        for space in self.namespaces.values():
            space.close()
        for _, process in self._started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        self.namespaces.clear()
        self._started.clear()

    def _kill(self, spaces: Sequence[Namespace]) -> None:
        holders = {space.pid for space in spaces}
        networks: set[Path] = set()
        for space in spaces:
            with contextlib.suppress(OSError):
                networks.add(space.net_path.readlink())
        networks.discard(Path("/proc/self/ns/net").readlink())  # a holder that died before it left ours
        for _ in range(20):
            inside = {pid for pid in _processes_in(networks) if pid not in holders and pid != os.getpid()}
            # One that was started just now may not be inside yet.
            mine = {process.pid for space, process in self._started if space in spaces and process.poll() is None}
            if not inside | mine:
                break
            # All stop before the first one dies: none is left to notice the death of another and act on it.
            for blow in (signal.SIGSTOP, signal.SIGKILL):
                for pid in inside | mine:
                    with contextlib.suppress(OSError):
                        os.kill(pid, blow)
            time.sleep(0.005)

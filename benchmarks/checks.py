"""CPU time of a health check, beside keepalived's healthchecker in the same run.

    python benchmarks/checks.py [--seconds N] [--rounds N] [--json FILE] [KIND...]

Kinds: tcp, http, https (200 real servers, each asked once a second) and shared (each of 200 real servers behind ten
virtual servers). One nginx answers all; its counter of connections says how many checks there were. Both daemons run
in turn in one network namespace, where a preload library of ours (ipvs_answers.c) answers keepalived's IPVS requests.
CPU time is that of the checker process as the scheduler counts it, after the start is over. Ours has the nftables
dataplane on such a kernel, which keepalived has not: so that neither pays for a dataplane, no connection is tracked.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from common import Row, finish, options_of

from pykeepalived.tools.lab import Lab, Namespace, wait_until

SERVERS = 200
UNTRACKED = """
table inet untracked {
    chain out { type filter hook output priority raw; notrack; }
    chain in { type filter hook prerouting priority raw; notrack; }
}
"""
PAGE = b"<h1>hello</h1>\n"
#: What one check of ours may cost, in checks of keepalived's.
TARGETS = {"tcp": 1.0, "http": 1.0, "https": 1.2, "shared": 0.15}
_SETTLE_S = 2.5
_DIGEST = hashlib.md5(PAGE).hexdigest()
_CHECKS = {
    "tcp": "TCP_CHECK {\n            connect_timeout 1\n        }",
    "http": f"HTTP_GET {{\n            url {{\n                path /\n                digest {_DIGEST}\n            }}"
    "\n            connect_timeout 1\n        }",
}
_CHECKS["https"] = _CHECKS["http"].replace("HTTP_GET", "SSL_GET")
_CHECKS["shared"] = _CHECKS["http"]


def configuration(kind: str) -> str:
    """keepalived.conf: 200 real servers, once or behind ten virtual servers."""
    port = 443 if kind == "https" else 80
    parts = ["global_defs {\n    router_id bench\n}\n"]
    for service in range(10 if kind == "shared" else 1):
        parts.append(f"virtual_server 10.9.255.{service + 1} 80 {{\n    delay_loop 1\n    lb_algo wrr\n")
        parts.append("    lb_kind NAT\n    protocol TCP\n")
        parts += [
            f"    real_server 10.9.0.{number} {port} {{\n        weight 1\n        {_CHECKS[kind]}\n    }}\n"
            for number in range(1, SERVERS + 1)
        ]
        parts.append("}\n")
    return "".join(parts)


def library(directory: Path) -> Path:
    """The preload library, built now."""
    built = directory / "ipvs_answers.so"
    source = Path(__file__).with_name("ipvs_answers.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", built, source, "-ldl"], check=True)
    return built


class Backend:
    """One nginx for all addresses, plain and TLS."""

    def __init__(self, space: Namespace, directory: Path) -> None:
        self._space = space
        space.ip("route", "add", "local", "10.9.0.0/16", "dev", "lo")
        key, certificate = directory / "key.pem", directory / "cert.pem"
        make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3 -subj /CN=bench"
        subprocess.run([*make.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
        (directory / "index.html").write_bytes(PAGE)
        temporary = "".join(
            f"{name}_temp_path {directory}/t; " for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        file = directory / "nginx.conf"
        file.write_text(
            f"daemon off; master_process off; user root; pid {directory}/nginx.pid; error_log {directory}/nginx.log;\n"
            "events { worker_connections 4096; }\n"
            f"http {{ access_log off; {temporary}\n"
            f"server {{ listen 80 backlog=4096; listen 443 ssl backlog=4096; root {directory};\n"
            f"ssl_certificate {certificate}; ssl_certificate_key {key}; }}\n"
            "server { listen 127.0.0.1:81; location / { stub_status; } } }\n"
        )
        self._process = space.popen("nginx", "-e", str(directory / "nginx.log"), "-c", str(file))
        wait_until(self._answers, 10, "nginx answers")

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self.connections() > 0
        return False

    def connections(self) -> int:
        """Connections accepted so far."""
        import http.client  # noqa: PLC0415

        with self._space.inside():
            asking = http.client.HTTPConnection("127.0.0.1", 81, timeout=5)
            asking.connect()
        asking.request("GET", "/")
        text = asking.getresponse().read().decode()
        asking.close()
        return int(text.splitlines()[2].split()[0])


def cpu_ns(pid: int) -> int:
    """Time that the threads of a process had a processor."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir())


@contextlib.contextmanager
def checker(space: Namespace, file: Path, preload: Path | None) -> Iterator[int]:
    """A running daemon; yields the process id of its checker."""
    if preload is not None:
        words = ["env", f"LD_PRELOAD={preload}", "/usr/sbin/keepalived"]
    else:
        words = [sys.executable, "-m", "pykeepalived.cli.keepalived"]
    environment = {**os.environ, "PYKEEPALIVED_CONTROL_SOCKET": str(file.with_suffix(".sock"))}
    daemon = space.popen(*words, "-n", "-l", "-G", "-C", "-f", str(file), log=file.with_suffix(".log"), env=environment)
    pid_file = f"/proc/{space.pid}/root/run/keepalived/checkers.pid"

    def found() -> int:
        for name in (pid_file, pid_file.replace("keepalived/checkers", "checkers")):
            with contextlib.suppress(OSError, ValueError):
                pid = int(Path(name).read_text())
                if Path(f"/proc/{pid}").exists():
                    return pid
        return 0

    try:
        yield wait_until(found, 120, f"the checker runs\n{file.with_suffix('.log')}")
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(60)


def measure(space: Namespace, backend: Backend, file: Path, preload: Path | None, seconds: float) -> tuple[float, int]:
    """(CPU microseconds, connections at the server) in a time of `seconds`."""
    with checker(space, file, preload) as pid:
        time.sleep(_SETTLE_S)
        before, cpu = backend.connections(), cpu_ns(pid)
        time.sleep(seconds)
        return (cpu_ns(pid) - cpu) / 1000, backend.connections() - before - 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("kinds", nargs="*", default=list(TARGETS))
    options = options_of(parser)
    lasts = len(options.kinds) * options.rounds * 2 * (options.seconds + _SETTLE_S + 1)
    print(f"CPU per check: about {lasts:.0f} s", flush=True)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="bench-checks-") as name, Lab("bench") as lab:
        directory = Path(name)
        preload = library(directory)
        space = lab.namespace("checks")
        backend = Backend(space, directory)
        space.run("nft", UNTRACKED)
        print("| check | keepalived, µs | ours, µs | ratio | target | connections/s |\n|---|---:|---:|---:|---:|---:|")
        for kind in options.kinds:
            file = directory / f"{kind}.conf"
            file.write_text(configuration(kind))
            costs: dict[str, list[float]] = {"theirs": [], "ours": []}
            asked = {"theirs": 0, "ours": 0}
            for _ in range(options.rounds):
                for who, library_of in (("theirs", preload), ("ours", None)):
                    cpu_us, asked[who] = measure(space, backend, file, library_of, options.seconds)
                    # Where our one check feeds ten servers, the ten answers are what the time is for.
                    feeds = 10 if kind == "shared" and who == "ours" else 1
                    costs[who].append(cpu_us / max(1, asked[who] * feeds))
            theirs, ours = (statistics.median(costs[who]) for who in ("theirs", "ours"))
            rows.append(
                Row(
                    group="checks",
                    what=f"CPU for a check, {kind}",
                    unit="µs",
                    ours=costs["ours"],
                    theirs=costs["theirs"],
                    peer="keepalived",
                    most_ratio=TARGETS[kind],
                )
            )
            print(
                f"| {kind} | {theirs:.1f} | {ours:.1f} | {ours / theirs:.2f} | {TARGETS[kind]} "
                f"| {asked['theirs'] / options.seconds:.0f}, {asked['ours'] / options.seconds:.0f} |",
                flush=True,
            )
    rows += [
        Row(group="per second", what=f"checks in a second of CPU time, {kind}", unit="checks",
            ours=[1e6 / value for value in row.ours], theirs=[1e6 / value for value in row.theirs], peer="keepalived")
        for kind, row in zip(options.kinds, rows, strict=True)
    ]  # fmt: skip
    return finish(rows, options)


if __name__ == "__main__":
    sys.exit(main())

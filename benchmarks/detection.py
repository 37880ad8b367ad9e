"""200 real servers of which 60 fall silent: how long until all 60 are out of the table, beside ldirectord.

    python benchmarks/detection.py [--json FILE]

Runs in the test kernel (about 6 minutes, nearly all of it ldirectord's): both daemons with the same file, checktimeout
2 and checkinterval 1, each in its own network namespace with its own IPVS table.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from common import ROOT, Row, finish, options_of

from pykeepalived.tools.guest import run_in_guest
from pykeepalived.tools.lab import Lab, Namespace, wait_until

SERVERS, SILENT = 200, 60
TARGET = 30.0
_LIMIT_S = 600.0
_RESULT = "result: "
DAEMONS = {
    "ours": [sys.executable, "-m", "pykeepalived.cli.ldirectord"],
    "ldirectord": ["/usr/sbin/ldirectord"],
}


def configuration() -> str:
    """ldirectord.cf with all servers behind one virtual service."""
    head = "checktimeout=2\ncheckinterval=1\nquiescent=no\nautoreload=no\nvirtual=10.9.255.1:80\n"
    reals = "".join(f"        real=10.9.0.{number}:80 masq\n" for number in range(1, SERVERS + 1))
    return (
        f"{head}{reals}        service=http\n        checktype=connect\n        scheduler=wlc\n        protocol=tcp\n"
    )


def in_table(space: Namespace) -> int:
    """Real servers in the table."""
    text = Path(f"/proc/{space.pid}/net/ip_vs").read_text()
    return text.count("  -> ") - text.count("RemoteAddress:Port")


def detect(lab: Lab, name: str, file: Path) -> float:
    """Seconds from the silence to the last removal."""
    space = lab.namespace(name)
    space.run("sh", "-ec", "ip link add hole type dummy; ip link set hole up arp off; ip addr add 10.9.255.1/32 dev lo")
    space.ip("route", "add", "local", "10.9.0.0/24", "dev", "lo")
    # Who accepts connections does not matter, nor that nobody reads them.
    code = "import socket; s = socket.create_server(('', 80), backlog=4096)\nwhile True: s.accept()[0].close()"
    space.popen(sys.executable, "-c", code)
    daemon = space.popen(*DAEMONS[name], "-d", str(file), "start", log=file.with_name(f"{name}.log"))
    try:
        wait_until(lambda: in_table(space) == SERVERS, _LIMIT_S, f"{name} has all servers", interval_s=0.1)
        time.sleep(3)
        gone = "; ".join(f"ip route add 10.9.0.{number}/32 dev hole table 7" for number in range(1, SILENT * 3 + 1, 3))
        space.run("sh", "-ec", f"{gone}; ip rule add pref 10 lookup local; ip rule del pref 0", timeout_s=300)
        begun = time.monotonic()
        space.ip("rule", "add", "pref", "5", "lookup", "7")
        wait_until(lambda: in_table(space) == SERVERS - SILENT, _LIMIT_S, f"{name} has noticed", interval_s=0.02)
        return time.monotonic() - begun
    finally:
        daemon.kill()
        daemon.wait()


def inside() -> int:
    """The part that runs in the test kernel."""
    with tempfile.TemporaryDirectory(prefix="bench-detection-") as directory, Lab("detection") as lab:
        file = Path(directory) / "ldirectord.cf"
        file.write_text(configuration())
        times = {name: detect(lab, name, file) for name in DAEMONS}
    print(_RESULT + json.dumps(times))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = options_of(parser)
    if options.inside:
        return inside()
    if shutil.which("ldirectord", path="/usr/sbin:/sbin") is None:
        print("ldirectord is not installed: make packages-test", file=sys.stderr)
        return 2
    print(f"{SILENT} of {SERVERS} servers fall silent: about 6 minutes", flush=True)
    result = run_in_guest(
        f"{sys.executable} benchmarks/detection.py --inside", timeout_s=1500, directory=ROOT, memory_mb=1024
    )
    line = next((line for line in result.output.splitlines() if line.startswith(_RESULT)), None)
    if line is None:
        print(result.output, file=sys.stderr)
        return 2
    times = json.loads(line.removeprefix(_RESULT))
    ratio = times["ldirectord"] / times["ours"]
    print("| until all are out | ldirectord, s | ours, s | times shorter | target |\n|---|---:|---:|---:|---:|")
    print(f"| {SILENT} of {SERVERS} | {times['ldirectord']:.1f} | {times['ours']:.2f} | {ratio:.0f} | {TARGET:.0f} |")
    what = f"until {SILENT} silent servers of {SERVERS} are out"
    return finish(
        [
            Row(group="detection", what=what, unit="s", ours=[times["ours"]], theirs=[times["ldirectord"]],
                peer="ldirectord", least_times=TARGET)
        ],
        options,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

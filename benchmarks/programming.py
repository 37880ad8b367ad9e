"""How long 10,000 real servers take into an empty kernel, beside `ipvsadm -R` with the same rules, and one change then.

    python benchmarks/programming.py [--json FILE]

Then daemons start: two that read a keepalived.conf of 2,000 real servers, and two that read an ldirectord.cf of 100,
that nobody checks: the time from the first entry in the table to the last one, looked at every 10 ms.

Runs in the test kernel (about 90 seconds), in network namespaces: ours is measured from the desired table to the last
acknowledgement, with the program's own dataplane. Both are done three times in turn, the medians count.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import ROOT, Row, finish, options_of, programs
from detection import DAEMONS, in_table

from pykeepalived.tools.guest import run_in_guest
from pykeepalived.tools.lab import Lab, Namespace, wait_until

SERVICES, SERVERS = 100, 100
ROUNDS = 3
#: Part of ipvsadm's time; milliseconds for one change.
RATIO, ONE_CHANGE_MS = 0.25, 20.0
#: Real servers of the ldirectord.cf; how many times faster than ldirectord.
BY_DAEMON, TIMES = 100, 20.0
#: Services and real servers of each in the keepalived.conf.
BY_KEEPALIVED = 20, 100
_LOOK_S = 0.01
_RESULT = "result: "


def rules() -> str:
    """The table in `ipvsadm -S` form."""
    lines = []
    for service in range(SERVICES):
        lines.append(f"-A -t 10.1.{service}.1:80 -s wlc")
        lines += [f"-a -t 10.1.{service}.1:80 -r 10.2.{service}.{n + 1}:80 -m -w 1" for n in range(SERVERS)]
    return "\n".join(lines) + "\n"


def by_ldirectord(lab: Lab, name: str, directory: Path) -> float:
    """Seconds from the first entry to the last."""
    file = directory / "ldirectord.cf"
    reals = "".join(f"        real=10.3.{n // 200}.{n % 200 + 1}:80 masq\n" for n in range(BY_DAEMON))
    file.write_text(
        "checktimeout=2\ncheckinterval=60\nautoreload=no\nvirtual=10.9.255.1:80\n"
        f"{reals}        checktype=on\n        scheduler=wlc\n        protocol=tcp\n"
    )
    return filled(lab.namespace(name), [*DAEMONS[name], "-d", str(file), "start"], BY_DAEMON, directory / name)


def by_keepalived(lab: Lab, name: str, round_: int, directory: Path) -> float:
    """Seconds from the first entry to the last."""
    services, servers = BY_KEEPALIVED
    lines = []
    for service in range(services):
        lines.append(f"virtual_server 10.4.{service}.1 80 {{\n    lb_algo wlc\n    lb_kind NAT\n    protocol TCP\n")
        lines += [f"    real_server 10.5.{service}.{n + 1} 80 {{\n        weight 1\n    }}\n" for n in range(servers)]
        lines.append("}\n")
    file = directory / "keepalived.conf"
    file.write_text("".join(lines))
    file.chmod(0o600)
    files = [word for option in ("p", "c") for word in (f"-{option}", str(directory / f"{name}-{round_}.{option}"))]
    argv = [*programs()[name], "-C", "-n", "-f", str(file), *files]
    return filled(lab.namespace(f"{name}{round_}"), argv, services * servers, directory / name)


def filled(space: Namespace, argv: list[str], servers: int, log: Path) -> float:
    """Start a daemon; seconds from the first entry in its table to the last."""
    name = log.name
    daemon = space.popen(*argv, log=log.with_suffix(".log"), cwd=ROOT)
    try:
        wait_until(lambda: in_table(space) > 0, 120, f"{name} begins", interval_s=_LOOK_S)
        begun = time.monotonic()
        wait_until(lambda: in_table(space) == servers, 600, f"{name} has all servers", interval_s=_LOOK_S)
        # Who is done before the first look is taken to have needed the time between two.
        return max(_LOOK_S, time.monotonic() - begun)
    finally:
        daemon.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            daemon.wait(20)
        daemon.kill()
        daemon.wait()


def inside() -> int:
    """The part that runs in the test kernel."""
    from pykeepalived.dataplane.ipvs import IpvsDataplane  # noqa: PLC0415
    from pykeepalived.lvs.reconcile import diff  # noqa: PLC0415
    from pykeepalived.lvs.table import Destination, DestinationKey, Entry, Service, ServiceKey  # noqa: PLC0415
    from pykeepalived.model import Family, Protocol  # noqa: PLC0415
    from pykeepalived.model.lvs import Forwarding  # noqa: PLC0415

    def table(weight: int) -> dict[ServiceKey, Entry]:
        return {
            ServiceKey.for_address(Protocol.TCP, f"10.1.{service}.1", 80, Family.INET): Entry(
                Service(scheduler="wlc"),
                {
                    DestinationKey(f"10.2.{service}.{n + 1}", 80): Destination(
                        weight=weight if service == n == 0 else 1, forwarding=Forwarding()
                    )
                    for n in range(SERVERS)
                },
            )
            for service in range(SERVICES)
        }

    text = rules()
    times: dict[str, list[float]] = {"ipvsadm": [], "ours": [], "change": []}
    with Lab("programming") as lab:
        space = lab.namespace("kernel")
        with space.inside():
            dataplane = IpvsDataplane()
            for round_ in range(ROUNDS):
                begun = time.perf_counter()
                subprocess.run(["ipvsadm", "-R"], input=text, text=True, check=True)
                times["ipvsadm"].append(time.perf_counter() - begun)
                theirs = subprocess.run(["ipvsadm", "-Sn"], capture_output=True, text=True, check=True).stdout
                subprocess.run(["ipvsadm", "-C"], check=True)
                wanted, changed = table(1), table(2 + round_)
                begun = time.perf_counter()
                failures = dataplane.apply(diff(wanted, {}))
                assert not failures, failures[:2]
                times["ours"].append(time.perf_counter() - begun)
                ours = subprocess.run(["ipvsadm", "-Sn"], capture_output=True, text=True, check=True).stdout
                assert sorted(ours.splitlines()) == sorted(theirs.splitlines())
                begun = time.perf_counter()
                assert dataplane.apply(diff(changed, wanted)) == []
                times["change"].append(time.perf_counter() - begun)
                subprocess.run(["ipvsadm", "-C"], check=True)
    with tempfile.TemporaryDirectory(prefix="bench-programming-") as directory, Lab("programming") as lab:
        for round_ in range(ROUNDS):
            for name in programs():
                times.setdefault(f"keepalived.conf, {name}", []).append(
                    by_keepalived(lab, name, round_, Path(directory))
                )
        if Path(DAEMONS["ldirectord"][0]).exists():
            for name in DAEMONS:
                times[f"ldirectord.cf, {name}"] = [by_ldirectord(lab, name, Path(directory))]
    print(_RESULT + json.dumps(times))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = options_of(parser)
    if options.inside:
        return inside()
    print("Programming 10,000 real servers: about 90 seconds", flush=True)
    result = run_in_guest(
        f"{sys.executable} benchmarks/programming.py --inside", timeout_s=900, directory=ROOT, memory_mb=1024
    )
    line = next((line for line in result.output.splitlines() if line.startswith(_RESULT)), None)
    if line is None:
        print(result.output, file=sys.stderr)
        return 2
    samples = json.loads(line.removeprefix(_RESULT))
    times = {name: statistics.median(values) for name, values in samples.items()}
    ratio = times["ours"] / times["ipvsadm"]
    print("| 10,000 real servers | ipvsadm -R, s | ours, s | ratio | target | one change, ms | target |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    change_ms = times["change"] * 1000
    print(
        f"| test kernel | {times['ipvsadm']:.2f} | {times['ours']:.2f} | {ratio:.2f} | {RATIO} | {change_ms:.1f} |"
        f" {ONE_CHANGE_MS:.0f} |"
    )
    for name, values in samples.items():
        print(f"{name}, s: {' '.join(f'{value:.3f}' for value in values)}")
    return finish(
        [
            Row(group="programming", what="10,000 real servers into an empty kernel", unit="s", ours=samples["ours"],
                theirs=samples["ipvsadm"], peer="ipvsadm -R", most_ratio=RATIO),
            Row(group="one change", what="one server's change among 10,000", unit="ms",
                ours=[1000 * value for value in samples["change"]], most=ONE_CHANGE_MS),
            Row(group="programming", what=f"{math.prod(BY_KEEPALIVED):,} servers by the daemon, first entry to last",
                unit="s", ours=samples["keepalived.conf, ours"], theirs=samples.get("keepalived.conf, keepalived", []),
                peer="keepalived"),
            Row(group="by ldirectord", what=f"{BY_DAEMON} servers of an ldirectord.cf, first entry to last", unit="s",
                ours=samples.get("ldirectord.cf, ours", []), theirs=samples.get("ldirectord.cf, ldirectord", []),
                peer="ldirectord", least_times=TIMES),
        ],
        options,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

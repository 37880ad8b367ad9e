"""How long 10,000 real servers take into an empty kernel, beside `ipvsadm -R` with the same rules, and one change then.

    python benchmarks/programming.py [--json FILE]

Then both daemons that read an ldirectord.cf program 400 real servers that nobody checks: the time from the first entry
in the table to the last one, looked at every 10 ms.

Runs in the test kernel (about 2 minutes), in network namespaces: ours is measured from the desired table to the last
acknowledgement, with the program's own dataplane. Both are done three times in turn, the medians count.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import Row, finish, options_of
from detection import DAEMONS, in_table

from pykeepalived.tools.guest import run_in_guest
from pykeepalived.tools.lab import Lab, wait_until

SERVICES, SERVERS = 100, 100
ROUNDS = 3
#: Part of ipvsadm's time; milliseconds for one change.
RATIO, ONE_CHANGE_MS = 0.25, 20.0
#: Real servers of the ldirectord.cf; how many times faster than ldirectord.
BY_DAEMON, TIMES = 400, 20.0
_LOOK_S = 0.01
_RESULT = "result: "


def rules() -> str:
    """The table in `ipvsadm -S` form."""
    lines = []
    for service in range(SERVICES):
        lines.append(f"-A -t 10.1.{service}.1:80 -s wlc")
        lines += [f"-a -t 10.1.{service}.1:80 -r 10.2.{service}.{n + 1}:80 -m -w 1" for n in range(SERVERS)]
    return "\n".join(lines) + "\n"


def by_daemon(lab: Lab, name: str, directory: Path) -> float:
    """Seconds from the first entry to the last."""
    file = directory / "ldirectord.cf"
    reals = "".join(f"        real=10.3.{n // 200}.{n % 200 + 1}:80 masq\n" for n in range(BY_DAEMON))
    file.write_text(
        "checktimeout=2\ncheckinterval=60\nautoreload=no\nvirtual=10.9.255.1:80\n"
        f"{reals}        checktype=on\n        scheduler=wlc\n        protocol=tcp\n"
    )
    space = lab.namespace(name)
    daemon = space.popen(*DAEMONS[name], "-d", str(file), "start", log=directory / f"{name}.log")
    try:
        wait_until(lambda: in_table(space) > 0, 120, f"{name} begins", interval_s=_LOOK_S)
        begun = time.monotonic()
        wait_until(lambda: in_table(space) == BY_DAEMON, 600, f"{name} has all servers", interval_s=_LOOK_S)
        # Who is done before the first look is taken to have needed the time between two.
        return max(_LOOK_S, time.monotonic() - begun)
    finally:
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
    if Path(DAEMONS["ldirectord"][0]).exists():
        with tempfile.TemporaryDirectory(prefix="bench-programming-") as directory, Lab("programming") as lab:
            for name in DAEMONS:
                times[f"daemon, {name}"] = [by_daemon(lab, name, Path(directory))]
    print(_RESULT + json.dumps(times))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = options_of(parser)
    if options.inside:
        return inside()
    print("Programming 10,000 real servers: about 2 minutes", flush=True)
    root = Path(__file__).parents[1]
    result = run_in_guest("python benchmarks/programming.py --inside", timeout_s=900, directory=root, memory_mb=1024)
    line = next((line for line in result.output.splitlines() if line.startswith(_RESULT)), None)
    if line is None:
        print(result.output, file=sys.stderr)
        return 1
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
    return finish(
        [
            Row(group="programming", what="10,000 real servers into an empty kernel", unit="s", ours=samples["ours"],
                theirs=samples["ipvsadm"], peer="ipvsadm -R", most_ratio=RATIO),
            Row(group="one change", what="one server's change among 10,000", unit="ms",
                ours=[1000 * value for value in samples["change"]], most=ONE_CHANGE_MS),
            Row(group="by daemon", what=f"{BY_DAEMON} servers of an ldirectord.cf, first entry to last", unit="s",
                ours=samples.get("daemon, ours", []), theirs=samples.get("daemon, ldirectord", []),
                peer="ldirectord", least_times=TIMES),
        ],
        options,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

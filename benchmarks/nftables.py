"""The nftables dataplane: new connections a second beside a ruleset written by hand and no balancing, and its changes.

    python benchmarks/nftables.py [--rounds N] [--json FILE] [--check]

About 50 s. Three namespaces: client, director, three servers. A round has six turns of 0.12 s of each of the three ways,
one after the other, and the median of seven rounds counts; the ratio is the median of each round's own ratio, so that a
busy machine counts for both sides. Then 1,000
services of 10 servers are loaded, and one server changed, with the program's own dataplane; wall clock and CPU time.
`--check` fails when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pykeepalived.dataplane.nftables import NftablesDataplane
from pykeepalived.lvs.reconcile import diff
from pykeepalived.lvs.table import Destination, DestinationKey, Entry, Service, ServiceKey, Table
from pykeepalived.model.common import Family
from pykeepalived.model.lvs import Forwarding, Protocol
from pykeepalived.tools.lab import Lab, Namespace

VIP, PORT = "10.9.0.5", 80
SERVERS = ("10.9.1.1", "10.9.1.2", "10.9.1.3")
TURNS, TURN_MS = 6, 120
RATIO, LOAD_S, CHANGE_MS = 0.95, 0.5, 6.0
SERVICES, PER_SERVICE = 1000, 10
BY_HAND = f"""
table ip hand {{
    chain pre {{
        type nat hook prerouting priority dstnat;
        ip daddr {VIP} tcp dport {PORT} dnat to numgen inc mod 3 map {{ 0 : {SERVERS[0]}, 1 : {SERVERS[1]}, 2 : {SERVERS[2]} }}
    }}
}}
"""


def key_of(address: str) -> ServiceKey:
    return ServiceKey.for_address(Protocol.TCP, address, PORT, Family.INET)


def server(weight: int = 1) -> Destination:
    return Destination(weight=weight, forwarding=Forwarding())


def connections(rounds: int) -> dict[str, list[float]]:
    """New connections a second of each way, round by round."""
    rates: dict[str, list[float]] = {"none": [], "hand": [], "ours": []}
    ours: Table = {key_of(VIP): Entry(Service(scheduler="rr"), {DestinationKey(each, PORT): server() for each in SERVERS})}
    with tempfile.TemporaryDirectory() as work, Lab("nft-bench") as lab:
        program = Path(work) / "connections"
        subprocess.run(["cc", "-O2", "-o", program, Path(__file__).parent / "connections.c"], check=True)
        client, director, farm = (lab.namespace(name) for name in ("client", "director", "farm"))
        lab.link(client, "eth0", director, "eth0")
        lab.link(director, "eth1", farm, "eth0")
        client.address("eth0", "10.9.0.2/24")
        client.route("default", "via", "10.9.0.1")
        director.address("eth0", "10.9.0.1/24", f"{VIP}/24")
        director.address("eth1", "10.9.1.254/24")
        director.sysctl("net.ipv4.ip_forward", 1)
        director.run("nft", BY_HAND)
        # Reset connections are forgotten at once.
        director.sysctl("net.netfilter.nf_conntrack_tcp_timeout_close", 1)
        farm.address("eth0", *(f"{each}/24" for each in SERVERS))
        farm.route("default", "via", "10.9.1.254")
        for each in SERVERS:
            lab.popen(farm, program, "serve", each, str(PORT))
        time.sleep(0.5)
        for _ in range(rounds):
            totals = dict.fromkeys(rates, 0)
            for turn in range(TURNS):
                for way in list(rates) if turn % 2 else reversed(list(rates)):
                    _rule(director, way, ours)
                    target = SERVERS[0] if way == "none" else VIP
                    said = client.run(program, "ask", target, str(PORT), str(TURN_MS)).stdout.split()
                    done, failed, _ = (int(word) for word in said)
                    assert failed * 100 <= done, f"{way}: {failed} of {done} failed"
                    totals[way] += done
            for way, total in totals.items():
                rates[way].append(total / (TURNS * TURN_MS) * 1000)
    return rates


def _rule(director: Namespace, way: str, ours: Table) -> None:
    director.run("nft", "flush ruleset")
    if way == "hand":
        director.run("nft", BY_HAND)
    if way == "ours":
        with director.inside():
            dataplane = NftablesDataplane()
            assert dataplane.apply(diff(ours, {})) == []
            dataplane.close()


def large(weight: int) -> Table:
    return {
        key_of(f"10.{service // 250 + 1}.{service % 250}.1"): Entry(
            Service(scheduler="wlc"),
            {
                DestinationKey(f"10.{service // 250 + 101}.{service % 250}.{number + 1}", PORT): server(
                    weight if service == number == 0 else 1
                )
                for number in range(PER_SERVICE)
            },
        )
        for service in range(SERVICES)
    }


def changes(rounds: int) -> dict[str, list[float]]:
    """Seconds for the load and for one server's change, wall clock and CPU."""
    times: dict[str, list[float]] = {"load": [], "load_cpu": [], "change": [], "change_cpu": []}
    with Lab("nft-load") as lab, lab.namespace("director").inside():
        dataplane = NftablesDataplane()
        for _ in range(rounds):
            tables = [large(weight) for weight in range(1, 9)]
            for number, (old, new) in enumerate(zip([{}, *tables], tables, strict=False)):
                operations = diff(new, old)
                what = "change" if number else "load"
                begun, begun_cpu = time.perf_counter(), time.process_time()
                assert dataplane.apply(operations) == []
                times[what].append(time.perf_counter() - begun)
                times[f"{what}_cpu"].append(time.process_time() - begun_cpu)
            dataplane.flush()
        dataplane.close()
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    print(f"nftables dataplane: about {options.rounds * 7} s; load average {os.getloadavg()[0]:.1f}", flush=True)
    rates = connections(options.rounds)
    ratio = statistics.median(own / hand for own, hand in zip(rates["ours"], rates["hand"], strict=True))
    middle = {name: statistics.median(values) for name, values in rates.items()}
    print("| connections/s: no balancing | by hand | ours | ours / by hand | target |")
    print("|---:|---:|---:|---:|---:|")
    print(f"| {middle['none']:,.0f} | {middle['hand']:,.0f} | {middle['ours']:,.0f} | {ratio:.3f} | {RATIO} |")
    times = changes(options.rounds)
    print("\n| 1,000 x 10 | median | best | CPU, median | target |")
    print("|---|---:|---:|---:|---:|")
    found = {}
    for name, unit, scale, target in (("load", "s", 1, LOAD_S), ("change", "ms", 1000, CHANGE_MS)):
        walls = [value * scale for value in times[name]]
        found[name] = statistics.median(walls)
        cpu = statistics.median(times[f"{name}_cpu"]) * scale
        title = "load" if name == "load" else "one server"
        print(f"| {title}, {unit} | {found[name]:.2f} | {min(walls):.2f} | {cpu:.2f} | {target} |")
    if options.json:
        options.json.write_text(json.dumps({"rates": rates, "times": times, "ratio": ratio}, indent=1))
    met = ratio >= RATIO and found["load"] <= LOAD_S and found["change"] <= CHANGE_MS
    return 0 if met or not options.check else 1


if __name__ == "__main__":
    sys.exit(main())

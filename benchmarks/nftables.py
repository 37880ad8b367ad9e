"""The nftables dataplane: new connections a second beside a ruleset written by hand and no balancing, and its changes.

    python benchmarks/nftables.py [--rounds N] [--json FILE] [--check]

About 60 s. Three namespaces: client, director, three servers. A round has six turns of 0.12 s of each of four ways (no
balancing, by hand, by hand with counters of each server as ours has them, ours), one after the other, and the median of
seven rounds counts; the ratio is the median of each round's own ratio. On a machine with other work only the
connections a second of CPU time (of client, servers, and the kernel's work between them) tell the ways apart, and they
decide. Then 1,000 services of 10 servers are loaded, and one server changed, with the program's own dataplane; wall
clock and CPU time.
`--check` fails when a target is missed.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import Row, finish, options_of

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
_CHOICE = ", ".join(f"{number} : {each}" for number, each in enumerate(SERVERS))
PLAIN = f"""
table ip hand {{
    chain pre {{
        type nat hook prerouting priority dstnat;
        ip daddr {VIP} tcp dport {PORT} dnat to numgen inc mod 3 map {{ {_CHOICE} }}
    }}
}}
"""
_ELEMENTS = ", ".join(f"{each} . {PORT}" for each in SERVERS)
#: The same job: it also counts connections, packets and bytes of each server in both directions.
BY_HAND = f"""{PLAIN}
table ip hand {{
    set opened {{ type ipv4_addr . inet_service; counter; elements = {{ {_ELEMENTS} }} }}
    set inbound {{ type ipv4_addr . inet_service; counter; elements = {{ {_ELEMENTS} }} }}
    set outbound {{ type ipv4_addr . inet_service; counter; elements = {{ {_ELEMENTS} }} }}
    chain count {{
        type filter hook forward priority filter;
        ct state new ip daddr . tcp dport @opened
        ip daddr . tcp dport @inbound
        ip saddr . tcp sport @outbound
    }}
}}
"""


def key_of(address: str) -> ServiceKey:
    return ServiceKey.for_address(Protocol.TCP, address, PORT, Family.INET)


def server(weight: int = 1) -> Destination:
    return Destination(weight=weight, forwarding=Forwarding())


def connections(rounds: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """New connections of each way, round by round: a second, and a second of CPU time."""
    rates: dict[str, list[float]] = {"none": [], "plain": [], "hand": [], "ours": []}
    per_cpu: dict[str, list[float]] = {way: [] for way in rates}
    ours: Table = {
        key_of(VIP): Entry(Service(scheduler="rr"), {DestinationKey(each, PORT): server() for each in SERVERS})
    }
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
        serving = [lab.popen(farm, program, "serve", each, str(PORT)).pid for each in SERVERS]
        time.sleep(0.5)
        for _ in range(rounds):
            totals, used_us = dict.fromkeys(rates, 0), dict.fromkeys(rates, 0)
            for turn in range(TURNS):
                for way in list(rates) if turn % 2 else reversed(list(rates)):
                    _rule(director, way, ours)
                    target = SERVERS[0] if way == "none" else VIP
                    before_us = _used_us(serving)
                    said = client.run(program, "ask", target, str(PORT), str(TURN_MS)).stdout.split()
                    done, failed, client_us = (int(word) for word in said)
                    assert failed * 100 <= done, f"{way}: {failed} of {done} failed"
                    totals[way] += done
                    used_us[way] += client_us + _used_us(serving) - before_us
            for way, total in totals.items():
                rates[way].append(total / (TURNS * TURN_MS) * 1000)
                per_cpu[way].append(total / used_us[way] * 1e6)
    return rates, per_cpu


def _used_us(processes: list[int]) -> int:
    """CPU time. The kernel's work for a packet on a cable between namespaces is done, and counted, by its sender."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in processes) // 1000


def _rule(director: Namespace, way: str, ours: Table) -> None:
    director.run("nft", "flush ruleset")
    if way in {"plain", "hand"}:
        director.run("nft", BY_HAND if way == "hand" else PLAIN)
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
            # As in the daemon: what a start has made is no business of the collector.
            gc.collect()
            gc.freeze()
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
    options = options_of(parser)
    print(f"nftables dataplane: about {options.rounds * 8} s; load average {os.getloadavg()[0]:.1f}", flush=True)
    rates, per_cpu = connections(options.rounds)
    print("| new connections | no balancing | by hand, uncounted | by hand | ours | ours / by hand | target |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    ratio = 0.0
    for title, series in (("a second", rates), ("a second of CPU time", per_cpu)):
        middle = {name: statistics.median(values) for name, values in series.items()}
        ratio = statistics.median(own / hand for own, hand in zip(series["ours"], series["hand"], strict=True))
        shown = " | ".join(f"{middle[name]:,.0f}" for name in series)
        print(f"| {title} | {shown} | {ratio:.3f} | {RATIO} |")
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
    group = "nftables"
    return finish(
        [
            Row(group=group, what="new connections a second, of those of a ruleset by hand", unit="", ours=[ratio],
                least=RATIO),
            Row(group=group, what="load of 1,000 services of 10 servers", unit="s", ours=times["load"], most=LOAD_S),
            Row(group=group, what="one server's change among them", unit="ms",
                ours=[1000 * value for value in times["change"]], most=CHANGE_MS),
        ],
        options,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

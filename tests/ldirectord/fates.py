"""Runs in a room: Debian's ldirectord and ours beside each other for every service, with the real servers.

    python fates.py PLAN.json

The servers are those of `real_servers.py`, at 10.88.0.9 and fd88::9 in a network namespace of their own. Every life in
the plan (a file, what befalls its server, changes of the file) is lived by both programs, each in a seat of its own:
network, /run and /var/log. Debian's program fills `ipvsadm_stand_in`, ours nftables; both tables are read in the form
of `ipvsadm -Sn`. Prints as JSON, for each life, both tables, log lines, answers and monitorfile lines at every rest
point.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

PROGRAMS = {"ours": "pyldirectord", "peer": "ldirectord"}
ADDRESS, ADDRESS6 = "10.88.0.9", "fd88::9"
#: How many lives are lived side by side.
AT_ONCE = 5
#: What befalls the clients of one seat: their connections are refused, get no answer at all, are accepted by somebody
#: who says nothing, or are reset at once.
FATES = """
table inet fates {
    set refused4 { type ipv4_addr; }
    set refused6 { type ipv6_addr; }
    set silent4 { type ipv4_addr; }
    set silent6 { type ipv6_addr; }
    set mute4 { type ipv4_addr; }
    set mute6 { type ipv6_addr; }
    set cut4 { type ipv4_addr; }
    set cut6 { type ipv6_addr; }
    chain input {
        type filter hook input priority 0
        ip saddr @silent4 tcp flags & (syn | ack) == syn drop
        ip6 saddr @silent6 tcp flags & (syn | ack) == syn drop
        ip saddr @silent4 meta l4proto udp drop
        ip6 saddr @silent6 meta l4proto udp drop
        ip saddr @refused4 tcp flags & (syn | ack) == syn reject with tcp reset
        ip6 saddr @refused6 tcp flags & (syn | ack) == syn reject with tcp reset
        ip saddr @refused4 meta l4proto udp reject
        ip6 saddr @refused6 meta l4proto udp reject
    }
    chain prerouting {
        type nat hook prerouting priority -100
        ip saddr @mute4 meta l4proto { tcp, udp } redirect to :7001
        ip6 saddr @mute6 meta l4proto { tcp, udp } redirect to :7001
        ip saddr @cut4 meta l4proto tcp redirect to :7003
        ip6 saddr @cut6 meta l4proto tcp redirect to :7003
    }
}
"""


def run(*words: str, stdin: str = "") -> str:
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


class Seat:
    """One program with one file, in a network, a /run and a /var/log of its own."""

    def __init__(self, number: int, program: str, life: dict[str, Any], environment: dict[str, str]) -> None:
        self.program = program
        self.addresses = {"4": f"10.88.{number}.1", "6": f"fd88::{number}:1"}
        self.environment = os.environ | environment
        self.config = Path(life["folder"]) / f"{program}.cf"
        self.namespace = f"seat-{number}"
        run("ip", "netns", "add", self.namespace)
        run("ip", "-n", "servers", "link", "add", f"seat{number}", "type", "veth", "peer", "name", "lan", "netns",
            self.namespace)  # fmt: skip
        run("ip", "-n", "servers", "link", "set", f"seat{number}", "master", "lan", "up")
        for address, more in ((f"{self.addresses['4']}/16", ()), (f"{self.addresses['6']}/64", ("nodad",))):
            run("ip", "-n", self.namespace, "addr", "add", address, "dev", "lan", *more)
        for link in ("lo", "lan"):
            run("ip", "-n", self.namespace, "link", "set", link, "up")
        # A host that does not answer costs a client without a limit of its own three seconds instead of minutes.
        self.room = subprocess.Popen(
            ["ip", "netns", "exec", self.namespace, "sh", "-c",
             "mount -t tmpfs run /run && mount -t tmpfs log /var/log && sysctl -qw net.ipv4.tcp_syn_retries=1 && "
             "echo ready && exec sleep 3600"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.room.stdout is not None
        assert self.room.stdout.readline() == "ready\n"

    def inside(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["nsenter", "-t", str(self.room.pid), "-m", "-n", *words]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=300, check=False, env=self.environment
        )  # fmt: skip

    def act(self, action: str) -> list[Any]:
        done = self.inside(PROGRAMS[self.program], str(self.config), action)
        return [done.returncode, done.stdout, done.stderr]

    def table(self) -> list[str]:
        own = ("keepalivedctl", "ipvs", "--dataplane", "nftables", "-Sn")
        done = self.inside(*(("ipvsadm", "-Sn") if self.program == "peer" else own))
        if "no nftables table" in done.stderr:
            return []
        return sorted(done.stdout.splitlines()) if done.returncode == 0 else [done.stdout + done.stderr]

    def read(self, name: str) -> list[str]:
        with contextlib.suppress(OSError):
            return Path(f"/proc/{self.room.pid}/root{name}").read_text(errors="replace").splitlines()
        return []

    def log(self) -> list[str]:
        return self.read("/var/log/ldirectord.log")

    def there(self) -> bool:
        return bool(self.read(f"/run/ldirectord.{self.config.name}.pid"))

    def befall(self, fate: str, word: str) -> None:
        """`word`: add or delete."""
        sets = "".join(f"{word} element inet fates {fate}{six} {{ {self.addresses[six]} }}\n" for six in "46")
        run("ip", "netns", "exec", "servers", "nft", "-f", "-", stdin=sets)

    def close(self) -> None:
        self.room.kill()
        self.room.wait()


def rests(seats: list[Seat], tables: list[list[str]], step: dict[str, Any]) -> bool:
    text = "\n".join(tables[0])
    return (
        tables[0] == tables[1]
        and all(part in text for part in step.get("has", ()))
        and not any(part in text for part in step.get("lacks", ()))
        and all(seat.there() is step.get("there", True) for seat in seats)
    )


def heard(seats: list[Seat], marks: list[list[int]], step: dict[str, Any]) -> bool:
    """Both logs have said since their marks what this step is to bring."""
    text = step.get("hears", "")
    return all(any(text in line for line in seat.log()[mark[0] :]) for seat, mark in zip(seats, marks, strict=True))


def settle(seats: list[Seat], marks: list[list[int]], step: dict[str, Any], plan: dict[str, Any]) -> list[list[str]]:
    """Both tables once they rest and the logs have not moved for a while; after the limit, as they are."""
    end = time.monotonic() + plan["limit_s"]
    lengths: list[int] = []
    since = time.monotonic()
    while True:
        time.sleep(0.2)
        now = [len(seat.log()) for seat in seats]
        late = time.monotonic() > end
        if now != lengths:
            lengths, since = now, time.monotonic()
        if late or (time.monotonic() - since > plan["still_s"] and heard(seats, marks, step)):
            tables = [seat.table() for seat in seats]
            if late or (rests(seats, tables, step) and [len(seat.log()) for seat in seats] == now):
                return tables
            time.sleep(0.8)


def live(life: dict[str, Any], seats: list[Seat], plan: dict[str, Any]) -> list[dict[str, Any]]:
    points = []
    marks = [[0, 0] for _ in seats]
    for step in life["steps"]:
        answers = []
        for seat in seats:
            if "write" in step:
                seat.config.write_text(step["write"])
            if "fate" in step:
                seat.befall(*step["fate"])
            if "action" in step:
                answers.append(seat.act(step["action"]))
        tables = settle(seats, marks, step, plan)
        point = {"name": step["name"], "rested": rests(seats, tables, step)}
        for number, (seat, mark) in enumerate(zip(seats, marks, strict=True)):
            log, monitor = seat.log(), seat.read("/var/log/monitor")
            point[seat.program] = {
                "table": tables[number], "log": log[mark[0] :], "monitor": monitor[mark[1] :],
                "answer": answers[number] if answers else None,
            }  # fmt: skip
            mark[:] = [len(log), len(monitor)]
        points.append(point)
        # Whoever waits for a long comparison sees where it is.
        Path(life["folder"], "report.json").write_text(json.dumps(points))
        print(life["name"], step["name"], point["rested"], file=sys.stderr, flush=True)
    return points


def live_all(plan: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
    def one(item: tuple[int, dict[str, Any]]) -> list[dict[str, Any]]:
        number, life = item
        seats = [Seat(2 * number + order, name, life, environment) for order, name in enumerate(PROGRAMS, 1)]
        try:
            return live(life, seats, plan)
        finally:
            for seat in seats:
                with contextlib.suppress(subprocess.SubprocessError):
                    seat.act("stop")
                seat.close()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        lives = plan["lives"]
        return dict(zip([life["name"] for life in lives], pool.map(one, enumerate(lives)), strict=True))


def serve(folder: Path) -> None:
    os.environ |= {"SERVERS_ADDRESS": ADDRESS, "SERVERS_ADDRESS6": ADDRESS6, "SERVERS_LIMIT_S": "300"}
    import real_servers as real  # noqa: PLC0415 - it reads the environment

    problems = real.start_all()
    shutil.copy(real.TOP / "tls" / "ca.pem", folder)
    print(re.sub(r"\s+", " ", str(problems)) if problems else "ready", flush=True)
    time.sleep(3600)


def main(path: Path) -> None:
    plan = json.loads(path.read_text())
    run("ip", "netns", "add", "servers")
    for words in (("link", "add", "lan", "type", "bridge"), ("link", "set", "lan", "up"), ("link", "set", "lo", "up"),
                  ("addr", "add", f"{ADDRESS}/16", "dev", "lan"),
                  ("addr", "add", f"{ADDRESS6}/64", "dev", "lan", "nodad")):  # fmt: skip
        run("ip", "-n", "servers", *words)
    run("ip", "netns", "exec", "servers", "nft", "-f", "-", stdin=FATES)
    servers = subprocess.Popen(
        ["ip", "netns", "exec", "servers", sys.executable, __file__, "serve", str(path.parent)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert servers.stdout is not None
        assert (said := servers.stdout.readline()) == "ready\n", said
        trust = str(path.parent / "ca.pem")
        report = live_all(plan, {"PERL_LWP_SSL_CA_FILE": trust, "SSL_CERT_FILE": trust, "LANG": "C"})
    finally:
        servers.kill()
    print(json.dumps(report))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]))

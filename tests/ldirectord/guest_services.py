"""Runs in the test kernel: both programs, real servers of every service, and what `ipvsadm -Sn` says at every rest.

    python guest_services.py PLAN.json

The servers are those of `real_servers.py`, in a network namespace of their own. The plan is one file with a section for
every service, and what befalls it: changes of the file, and servers that refuse. Prints as JSON both kernel tables at
every rest point, and the logs.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from fates import ADDRESS, ADDRESS6, PROGRAMS, Seat, run


class Director(Seat):
    """A seat whose program fills IPVS, and which may take the servers' addresses for its own."""

    def table(self) -> list[str]:
        """The lines of `ipvsadm -Sn`, and servers with thresholds, which it does not print: address, upper, lower."""
        found = self.inside("ipvsadm", "-Sn").stdout.splitlines()
        rows = [line.split() for line in self.inside("ipvsadm", "-Ln", "--thresholds").stdout.splitlines()]
        found += [" ".join(row[1:4]) for row in rows if row[:1] == ["->"] and row[2:4] != ["0", "0"]]
        return sorted(line for line in found if "RemoteAddress" not in line)

    def befall(self, fate: str, word: str) -> None:
        """`refused`: where the servers were is a machine that lives and refuses. `word`: add or delete."""
        assert fate == "refused"
        run("ip", "-n", self.namespace, "addr", word, f"{ADDRESS}/32", "dev", "lo")
        run("ip", "-n", self.namespace, "addr", word, f"{ADDRESS6}/128", "dev", "lo", *(["nodad"] * (word == "add")))


def right(tables: list[list[str]], step: dict[str, Any]) -> bool:
    text = "\n".join(tables[0])
    return (
        tables[0] == tables[1]
        and all(part in text for part in step.get("has", ()))
        and not any(part in text for part in step.get("lacks", ()))
    )


def settle(seats: list[Director], step: dict[str, Any], plan: dict[str, Any]) -> list[list[str]]:
    """Both tables once they are as they should be and have stood still; after the limit, as they are."""
    end = time.monotonic() + plan["limit_s"]
    tables: list[list[str]] = []
    since = time.monotonic()
    while time.monotonic() < end:
        now = [seat.table() for seat in seats]
        if now != tables:
            tables, since = now, time.monotonic()
        elif time.monotonic() - since > plan["still_s"] and right(now, step):
            break
        time.sleep(2)
    return tables


def play(seats: list[Director], plan: dict[str, Any]) -> list[dict[str, Any]]:
    points = []
    for step in plan["steps"]:
        answers = []
        for seat in seats:
            if "write" in step:
                seat.config.write_text(step["write"])
            if "fate" in step:
                seat.befall(*step["fate"])
            if "action" in step:
                answers.append(seat.act(step["action"]))
        tables = dict(zip(PROGRAMS, settle(seats, step, plan), strict=True))
        points.append({"name": step["name"], "tables": tables, "answers": answers})
        # Whoever waits for a long comparison sees where it is.
        print(json.dumps([step["name"], round(time.monotonic()), tables]), file=sys.stderr, flush=True)
    return points


def main(path: Path) -> None:
    plan = json.loads(path.read_text())
    run("ip", "netns", "add", "servers")
    for words in (("link", "add", "lan", "type", "bridge"), ("link", "set", "lan", "up"), ("link", "set", "lo", "up"),
                  ("addr", "add", f"{ADDRESS}/16", "dev", "lan"),
                  ("addr", "add", f"{ADDRESS6}/64", "dev", "lan", "nodad")):  # fmt: skip
        run("ip", "-n", "servers", *words)
    fates = Path(__file__).with_name("fates.py")
    words = ["ip", "netns", "exec", "servers", sys.executable, str(fates), "serve", str(path.parent)]
    servers = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert servers.stdout is not None
        assert (said := servers.stdout.readline()) == "ready\n", said
        print("servers", round(time.monotonic()), file=sys.stderr, flush=True)
        trust = str(path.parent / "ca.pem")
        environment = {"PERL_LWP_SSL_CA_FILE": trust, "SSL_CERT_FILE": trust, "LANG": "C"}
        life = {"folder": str(path.parent)}
        seats = [Director(number, name, life, environment) for number, name in enumerate(PROGRAMS, 1)]
        try:
            points = play(seats, plan)
            logs = {seat.program: seat.log() for seat in seats}
        finally:
            for seat in seats:
                seat.close()
    finally:
        servers.kill()
    print(json.dumps({"points": points, "logs": logs}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

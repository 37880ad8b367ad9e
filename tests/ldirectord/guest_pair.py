"""Runs in the test kernel: two directors, each one process with a keepalived.conf and an ldirectord.cf.

    python guest_pair.py FOLDER

Prints as JSON what each has (addresses, table, sync daemons) once the first is MASTER, after its link has failed, and
after it has come back.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

NODES = ("one", "two")
LIMIT_S = 120


def run(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout


def inside(node: str, *words: str) -> str:
    return run("ip", "netns", "exec", node, *words)


def build() -> None:
    run("ip", "link", "add", "lan", "type", "bridge")
    run("ip", "link", "set", "lan", "up")
    for number, node in enumerate(NODES, 1):
        run("ip", "netns", "add", node)
        run("ip", "link", "add", node, "type", "veth", "peer", "name", "eth0", "netns", node)
        run("ip", "link", "set", node, "master", "lan", "up")
        inside(node, "ip", "link", "set", "lo", "up")
        inside(node, "ip", "link", "set", "eth0", "up")
        inside(node, "ip", "address", "add", f"10.9.0.1{number}/24", "dev", "eth0")


def look(node: str) -> dict[str, object]:
    return {
        "address": "10.9.0.1/24" in inside(node, "ip", "-4", "address", "show", "dev", "eth0"),
        "table": inside(node, "ipvsadm", "-Sn"),
        "sync": inside(node, "ipvsadm", "-L", "--daemon").split(),
    }


def wait(master: str) -> dict[str, dict[str, object]]:
    """Both nodes, once one has everything and the other nothing; after the limit, as they are."""
    end = time.monotonic() + LIMIT_S
    while True:
        seen = {node: look(node) for node in NODES}
        good = all(
            each["address"] is (node == master)
            and ("10.9.0.1:80 -r" in str(each["table"])) is (node == master)
            and ("master" in str(each["sync"])) is (node == master)
            for node, each in seen.items()
        )
        if good or time.monotonic() > end:
            return seen
        time.sleep(0.5)


def main(folder: Path) -> None:
    build()
    daemons = []
    for node in NODES:
        state = folder / f"state-{node}"
        environment = os.environ | {"PYKEEPALIVED_STATE_DIRECTORY": str(state)}
        files = ("-f", str(folder / f"{node}.conf"), "--ldirectord", str(folder / "ldirectord.cf"))
        words = ("pykeepalived", "-n", "-D", "-G", f"--log-file={folder}/log-{node}", "-p", f"{folder}/{node}.pid")
        daemons.append(subprocess.Popen(["ip", "netns", "exec", node, *words, *files], env=environment))
    report = {}
    try:
        report["start"] = wait("one")
        run("ip", "link", "set", "one", "down")
        report["failed"] = wait("two")
        run("ip", "link", "set", "one", "up")
        report["returned"] = wait("one")
    finally:
        for daemon in daemons:
            daemon.terminate()
        for daemon in daemons:
            daemon.wait(30)
    report["stopped"] = {node: look(node) for node in NODES}
    print(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

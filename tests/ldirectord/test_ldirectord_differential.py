"""The same file, the same fates, Debian's ldirectord and ours: the kernel's table must be the same at every rest point.

Both run in the IPVS test kernel, each in a network namespace of its own (`guest_fates.py`).
"""

import json
import re
from pathlib import Path

import pytest

from pykeepalived.tools.fix import mend
from pykeepalived.tools.guest import run_in_guest

HERE = Path(__file__).parent
AS_PRINTED = HERE.parent / "tools" / "fix" / "ldirectord-as-printed.cf"

OWN = """\
# Everything that shows in the table and that both programs check in the same way.
checktimeout=2
negotiatetimeout=3
checkinterval=1
logfile="/var/log/ldirectord.log"

virtual=10.77.0.1:80
    real=10.77.1.1:80 masq 3
    real=10.77.1.2:80 gate 2
    real=10.77.1.3:80 ipip
    fallback=127.0.0.1:80 gate
    request="test.html"
    receive="test page"
    scheduler=wlc
    persistent=60
    netmask=255.255.255.0

virtual=10.77.0.1:8080
    real=10.77.1.1:80 masq 3
    real=10.77.1.2:80 masq 2
    fallback=127.0.0.1 masq
    quiescent=yes
    checktype=connect
    scheduler=rr

virtual=7
    real=10.77.1.1 gate 5
    real=10.77.1.2 ipip 6
    checktype=connect
    checkport=80
    quiescent=yes

virtual=10.77.0.1:25
    real=10.77.1.1->10.77.1.2:25 masq 10
    scheduler=sh
    schedflags=sh-port,sh-fallback

virtual=10.77.0.1:53
    real=10.77.1.1:53 masq 0
    checktype=on
    ops=yes

virtual=10.77.0.1:81
    real=10.77.1.1:81 masq
    checktype=off

virtual=10.77.0.1:110
    real=10.77.1.1:110 masq
    login="user"
    passwd="word"

virtual6=[fd77::1]:80
    real6=[fd77::11]:80 masq 4
    checktype=connect
"""

#: Every other check type and service that both programs can run without a real server of the kind.
KINDS = """\
checktimeout=2
negotiatetimeout=3
checkinterval=1

virtual=10.77.0.1:1
    real=10.77.1.1:1 masq
    real=10.77.1.2:1 masq 4
    checktype=external
    checkcommand={top}/check

virtual=10.77.0.1:2
    real=10.77.1.1:2 masq
    checktype=external-perl
    checkcommand={top}/check.pl

virtual=10.77.0.1:3
    real=10.77.1.1:80 masq
    real=10.77.1.2:80 masq
    service=http
    checktype=2
    quiescent=yes
    request="test.html"
    receive="test page"

virtual=10.77.0.1:4
    real=10.77.1.1:80 masq
    checktype=ping

virtual=10.77.0.1:7
    real=10.77.1.1:7 masq
    real=10.77.1.2:7 masq
    service=simpletcp
    request="hello"
    receive="said hello"

virtual=10.77.0.1:119
    real=10.77.1.1:119 masq

virtual=10.77.0.1:143
    real=10.77.1.1:143 masq
    login="user"
    passwd="word"
    failurecount=2

virtual=10.77.0.1:587
    real=10.77.1.1:587 masq

virtual=10.77.0.1:53
    real=10.77.1.1:53 masq
    request="www.example"
    receive="192.0.2.80"

virtual=10.77.0.1:3128
    real=10.77.1.1:80 masq
    checkport=80
    request="http://www.example/"
    receive="test page"
"""

#: As a later version of the same file: weights, a server, a service, a scheduler.
CHANGED = (
    OWN.replace("10.77.1.1:80 masq 3", "10.77.1.1:80 masq 33")
    .replace("    real=10.77.1.3:80 ipip\n", "")
    .replace("virtual=10.77.0.1:53", "virtual=10.77.0.1:54")
    .replace("scheduler=rr", "scheduler=wlc")
)

OWN_SERVERS = [
    *(f"10.77.1.{host} {port}" for host in (1, 2, 3) for port in (80, 25)),
    "10.77.1.1 110",
    "fd77::11 80",
]
PRINTED_HOSTS = {"10.0.0.10": (80, 21, 25, 110), "10.0.0.20": (80, 21, 25, 110),
                 "10.0.0.50": (80, 21), "10.0.0.60": (80, 21)}  # fmt: skip
PRINTED_SERVERS = [f"{host} {port}" for host, ports in PRINTED_HOSTS.items() for port in ports]


def up(servers: list[str]) -> list[str]:
    return [f"up {server}{' a test page' if server.endswith(' 80') else ''}" for server in servers]


def down(servers: list[str]) -> list[str]:
    return [f"down {server}" for server in servers]


def play(tmp_path: Path, text: str, addresses: list[str], servers: list[str], changed: str | None) -> dict:
    config = tmp_path / "ldirectord.cf"
    config.write_text(text)
    first = [server for server in servers if server.split()[0] in {servers[0].split()[0], "fd77::11"}]
    rest = [server for server in servers if server not in first]
    steps = [
        {"name": "start", "servers": up(servers), "actions": ["start"]},
        {"name": "one dead", "servers": down(first)},
        {"name": "all dead", "servers": down(rest)},
        {"name": "returned", "servers": up(servers)},
    ]
    if changed is not None:
        steps.append({"name": "reloaded", "write": {str(config): changed}, "actions": ["reload"]})
    steps.append({"name": "stopped", "actions": ["stop"]})
    plan = {"config": str(config), "addresses": addresses, "steps": steps, "still_s": 2.2, "limit_s": 240}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    script = f"exec python {HERE / 'guest_fates.py'} {tmp_path / 'plan.json'}"
    result = run_in_guest(script, timeout_s=900, share=tmp_path)
    assert result.exit_code == 0, result.output
    return json.loads(result.output.splitlines()[-1])


def lines(logs: str, pattern: str) -> set[str]:
    """What a log says, without time, name and process, once each."""
    said = (line.partition("] ")[2] for line in logs.splitlines())
    return {line for line in said if re.match(pattern, line)}


def same_tables(report: dict) -> dict[str, str]:
    """Every step's table, after checking that both programs have it."""
    for name, tables in report["steps"]:
        assert tables["ours"] == tables["peer"], f"{name}\nours:\n{tables['ours']}\npeer:\n{tables['peer']}"
    return {name: tables["ours"] for name, tables in report["steps"]}


@pytest.mark.uml
@pytest.mark.peer
def test_own_file(tmp_path: Path) -> None:
    addresses = ["10.77.0.1", *(f"10.77.1.{host}" for host in (1, 2, 3)), "fd77::1", "fd77::11"]
    report = play(tmp_path, OWN, addresses, OWN_SERVERS, CHANGED)
    tables = same_tables(report)
    assert "-a -t 10.77.0.1:80 -r 10.77.1.1:80 -m -w 3" in tables["start"]
    assert "-a -t 10.77.0.1:80 -r 10.77.1.1:80" not in tables["one dead"]
    assert "-a -t 10.77.0.1:8080 -r 10.77.1.1:80 -m -w 0" in tables["one dead"]
    assert "-a -t 10.77.0.1:80 -r 127.0.0.1:80 -g -w 1" in tables["all dead"]
    assert "-a -t 10.77.0.1:8080 -r 127.0.0.1:8080 -m -w 1" in tables["all dead"]
    assert tables["returned"] == tables["start"]
    assert "-a -t 10.77.0.1:80 -r 10.77.1.1:80 -m -w 33" in tables["reloaded"]
    assert tables["stopped"] == ""
    assert report["actions"]["start"]["ours"][0] == report["actions"]["start"]["peer"][0] == 0
    # What ours says about servers ldirectord says, too; it says more, about the detours of its start and reload.
    about_servers = r"(Added|Deleted|Restored|Quiescent|Purged) (real|fallback) server"
    said = lines(report["logs"]["ours"], about_servers)
    assert len(said) > 20
    # Servers that leave together with their service: ldirectord names the service alone.
    said -= {"Purged real server (start): 10.77.1.1:53 (10.77.0.1:53)"}
    assert said <= lines(report["logs"]["peer"], about_servers)


@pytest.mark.uml
@pytest.mark.peer
def test_the_printed_file_after_mending(tmp_path: Path) -> None:
    # As printed but for its patience; strict, because its ftp checks test nothing.
    text = "# pyldirectord: compat=strict\n" + mend(AS_PRINTED.read_text()).text
    text = text.replace("checkinterval=5", "checkinterval=1").replace("checktimeout=5", "checktimeout=2")
    addresses = ["10.10.10.100", "10.10.10.110", *PRINTED_HOSTS]
    report = play(tmp_path, text, addresses, PRINTED_SERVERS, None)
    tables = same_tables(report)
    assert "-A -t 10.10.10.100:80 -s wlc -p 30 -M 255.255.255.0" in tables["start"]
    assert "-r 10.0.0.10:80" not in tables["one dead"]
    assert "-r 10.0.0.20:80" in tables["one dead"]
    assert "-r 10.0.0.50:80" not in tables["all dead"]
    assert tables["returned"] == tables["start"]
    assert tables["stopped"] == ""


@pytest.mark.uml
@pytest.mark.peer
@pytest.mark.shows("ldirectord.virtual.{checktype,service,checkcommand,checkport,request,receive}")
def test_every_check_type(tmp_path: Path) -> None:
    good = tmp_path / "good"
    (tmp_path / "check").write_text(f"#!/bin/sh\ntest $3 = 10.77.1.2 || test -e {good}\n")
    (tmp_path / "check").chmod(0o755)
    (tmp_path / "check.pl").write_text(
        f"my ($vip, $vport, $rip, $rport) = @_; exit(-e '{good}' && $rport == 2 ? 0 : 1);\n"
    )
    config = tmp_path / "ldirectord.cf"
    config.write_text(KINDS.format(top=tmp_path))
    hosts, ports = ("10.77.1.1", "10.77.1.2"), (80, 7, 119, 143, 587, 53)
    servers = [f"{host} {port}" for host in hosts for port in ports]
    first = servers[: len(ports)]
    steps = [
        {"name": "start", "write": {str(good): ""}, "servers": up(servers), "actions": ["start"]},
        {"name": "one dead", "servers": down(first)},
        {"name": "returned", "servers": up(first)},
        {"name": "stopped", "actions": ["stop"]},
    ]
    addresses = ["10.77.0.1", *hosts]
    plan = {"config": str(config), "addresses": addresses, "steps": steps, "still_s": 3, "limit_s": 200}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    script = f"exec python {HERE / 'guest_fates.py'} {tmp_path / 'plan.json'}"
    result = run_in_guest(script, timeout_s=900, share=tmp_path)
    assert result.exit_code == 0, result.output
    tables = same_tables(json.loads(result.output.splitlines()[-1]))
    for port in (1, 2, 4):
        assert f"-a -t 10.77.0.1:{port} -r 10.77.1.1:" in tables["start"], port
    assert "-t 10.77.0.1:3128 -r 10.77.1.1:80 -m -w 1" in tables["start"]
    assert "-t 10.77.0.1:3128 -r 10.77.1.1:80 " not in tables["one dead"]
    for port in (119, 143, 587):
        assert f"-t 10.77.0.1:{port} -r 10.77.1.1:{port} -m -w 1" in tables["start"], port
        assert f"-t 10.77.0.1:{port} -r 10.77.1.1:{port} " not in tables["one dead"], port
    for port in (7,):
        assert f"-t 10.77.0.1:{port} -r 10.77.1.1:{port} -m -w 1" in tables["start"], port
        assert f"-t 10.77.0.1:{port} -r 10.77.1.1:{port} " not in tables["one dead"], port
        assert f"-t 10.77.0.1:{port} -r 10.77.1.2:{port} -m -w 1" in tables["one dead"], port
    assert "-a -t 10.77.0.1:3 -r 10.77.1.1:80 -m -w 0" in tables["one dead"]
    assert tables["returned"] == tables["start"]
    assert tables["stopped"] == ""

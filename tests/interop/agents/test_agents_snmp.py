"""SNMP through Debian's snmpd: what keepalived shows of itself and what we show, object by object, and the traps."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pykeepalived.tools.lab import Lab, Namespace, wait_until

DAEMONS = {"theirs": "/usr/sbin/keepalived", "ours": f"{sys.executable} -m pykeepalived.cli.keepalived"}
ROOTS = ("1.3.6.1.4.1.9586.100.5", "1.3.6.1.2.1.68", "1.3.6.1.2.1.207")
KEEPALIVED = f".{ROOTS[0]}"
CONFIGURATION = """
global_defs {
    router_id lb1
    script_user root
    snmp_socket unix:@D@/agentx
    enable_traps
    enable_snmp_vrrp
    enable_snmp_rfc
    notification_email {
        admin@example.org
    }
    notification_email_from lb1@example.org
}
vrrp_sync_group G1 {
    group {
        V2
    }
}
vrrp_instance V2 {
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 110
    advert_int 1
    virtual_ipaddress {
        10.9.0.5/24
    }
    virtual_ipaddress_excluded {
        10.9.1.5/32
    }
    virtual_routes {
        10.20.0.0/16 via 10.9.0.2 dev eth0 metric 5
    }
    virtual_rules {
        from 10.9.0.0/24 table 100 priority 500
    }
}
vrrp_instance V3 {
    interface eth0
    virtual_router_id 53
    version 3
    priority 90
    advert_int 0.5
    virtual_ipaddress {
        10.9.0.30/24
    }
}
"""
#: Where we differ, and why.
DIFFERENT = {
    f"{KEEPALIVED}.1.1.0": "the version",
    f"{KEEPALIVED}.1.3.1.0": "no mail server has no address",
    f"{KEEPALIVED}.1.3.2.0": "no mail server has no address",
    f"{KEEPALIVED}.1.3.3.0": "the limit that a mail server would have, also where there is none",
    f"{KEEPALIVED}.1.3.6.0": "the port of a mail server, also where there is none",
    f"{KEEPALIVED}.2.3.1.27.1": "true or false; 0 is neither",
    ".1.3.6.1.2.1.68.1.3.1.7.2.51": "a master knows who is master",
    f"{KEEPALIVED}.2.6.1.11.2.1": "addresses that adverts list are advertised, whatever their number",
}
#: Columns that Debian's version lacks.
NEWER = re.compile(rf"{re.escape(KEEPALIVED)}\.(1\.12\.|2\.3\.1\.36\.|2\.7\.1\.55\.|2\.8\.1\.33\.)")
#: Objects that tell times.
TIMES = re.compile(r"Timeticks|Hex-STRING: (?:[0-9A-F]{2} ){6}$")


@contextmanager
def snmpd(space: Namespace, directory: Path) -> Iterator[None]:
    (directory / "snmpd.conf").write_text(
        f"master agentx\nagentXSocket {directory}/agentx\nagentXPerms 0777 0777\n"
        "rocommunity public\nview all included .1\ntrap2sink 127.0.0.1:1162 public\n"
    )
    (directory / "trapd.conf").write_text("disableAuthorization yes\n")
    environment = ["env", "MIBS=", f"SNMP_PERSISTENT_DIR={directory}/kept"]
    with (directory / "snmpd.log").open("wb") as log:
        traps = [
            "snmptrapd", "-f", "-On", "-C", "-c", f"{directory}/trapd.conf", "-Lf", f"{directory}/traps",
            "-p", f"{directory}/trapd.pid", "127.0.0.1:1162",
        ]  # fmt: skip
        master = ["snmpd", "-f", "-C", "-c", f"{directory}/snmpd.conf", "-Lf", f"{directory}/log", "-I", "-smux"]
        master += ["-p", f"{directory}/snmpd.pid", "udp:127.0.0.1:161"]
        running = [space.popen(*environment, *argv, stdout=log, stderr=log) for argv in (traps, master)]
        try:
            wait_until(
                lambda: (directory / "agentx").exists() and walk(space, "1.3.6.1.2.1.1"), 60, "snmpd", interval_s=0.2
            )
            wait_until((directory / "traps").exists, 120, "snmptrapd")
            yield
        finally:
            for process in running:
                process.terminate()
                process.wait(60)


def walk(space: Namespace, *roots: str) -> dict[str, str]:
    found = {}
    for root in roots:
        argv = ["env", "MIBS=", "snmpbulkwalk", "-v2c", "-c", "public", "-On", "-t", "5", "-r", "3", "127.0.0.1", root]
        for line in space.run(*argv, check=False, timeout_s=60).stdout.splitlines():
            name, equal, value = line.partition(" = ")
            if equal and "No Such" not in value:
                found[name] = value
    return found


def settled(space: Namespace) -> bool:
    """Both instances are master, as their own MIB says."""
    states = walk(space, f"{ROOTS[0]}.2.3.1.4")
    return sorted(states.values()) == ["INTEGER: 2", "INTEGER: 2"]


def shown(tmp_path: Path, which: str) -> tuple[dict[str, str], list[str]]:
    """Everything that a daemon shows as master of both, and its traps."""
    directory = tmp_path / which
    directory.mkdir()
    (directory / "conf").write_text(CONFIGURATION.replace("@D@", str(directory)))
    with Lab("snmp") as lab, (directory / "daemon.log").open("wb") as log:
        space, far = lab.namespace("a"), lab.namespace("far")
        lab.link(space, "eth0", far, "eth0")
        space.address("eth0", "10.9.0.1/24")
        space.up("lo")
        with snmpd(space, directory):
            argv = [*DAEMONS[which].split(), "-n", "-l", "-D", "-P", "-f", f"{directory}/conf"]
            process = space.popen(*argv, stdout=log, stderr=subprocess.STDOUT)
            wait_until(lambda: settled(space), 120, "both instances to be shown as master", interval_s=0.3)
            found = walk(space, *ROOTS)
            if which == "ours":
                suspicious(far, directory)
            process.send_signal(signal.SIGTERM)
            assert process.wait(120) == 0
            last = f"{KEEPALIVED}.2.3.1.4 = INTEGER: 5"
            wait_until(lambda: (directory / "traps").read_text().count(last) == 2, 60, "the traps of the end")
        text = (directory / "traps").read_text()
    # Uptime and the order between instances are nobody's promise.
    lines = [line.partition("\t")[2] for line in text.splitlines()]
    return found, sorted(line for line in lines if any(f"OID: .{root}." in line for root in ROOTS))


#: An advert with a password that nobody asked for, then one that has passed a router.
SUSPICIOUS = """
from scapy.all import Ether, IP, sendp
from scapy.layers.vrrp import VRRP, VRRPv3
there = Ether(dst="01:00:5e:00:00:12")
way = {"src": "10.9.0.9", "dst": "224.0.0.18", "proto": 112}
password = VRRP(vrid=51, priority=1, addrlist=["10.9.0.5"], authtype=1, auth1=1, auth2=2)
sendp(there / IP(ttl=255, **way) / password, iface="eth0", verbose=False)
sendp(there / IP(ttl=9, **way) / VRRPv3(vrid=53, priority=1, addrlist=["10.9.0.30"]), iface="eth0", verbose=False)
"""


def suspicious(far: Namespace, directory: Path) -> None:
    """What is refused becomes a trap of the RFC that knows of it; our own, as keepalived tells of each packet."""
    traps = directory / "traps"

    def told() -> bool:
        # One a second is told of, and the daemon may have heard something else just before.
        far.run(sys.executable, "-c", SUSPICIOUS, timeout_s=120)
        text = traps.read_text()
        source = ".1.3.6.1.2.1.68.1.5.0 = IpAddress: 10.9.0.9\t.1.3.6.1.2.1.68.1.6.0 = INTEGER: 2"
        return all(
            word in text
            for word in ("OID: .1.3.6.1.2.1.68.0.2", source, "OID: .1.3.6.1.2.1.207.0.2", ".1.3.6.1.2.1.207.1.2.5.1.6.")
        )

    wait_until(told, 120, "the traps of refused packets", interval_s=1.1)


@pytest.mark.netns
@pytest.mark.peer
@pytest.mark.shows(
    "global_defs.{snmp_socket,enable_traps,enable_snmp_vrrp,enable_snmp_rfc}",
)
def test_the_tables_and_traps_are_keepalived_s(tmp_path: Path) -> None:
    theirs, their_traps = shown(tmp_path, "theirs")
    ours, our_traps = shown(tmp_path, "ours")
    assert len(theirs) > 150
    # The MAC address of the interface and the index of it differ from one namespace to the next.
    for found in (theirs, ours):
        for name in [name for name, value in found.items() if TIMES.search(value) or name in DIFFERENT]:
            del found[name]
    assert {name: value for name, value in ours.items() if not NEWER.match(name)} == theirs
    assert set(their_traps) <= set(our_traps)


SERVERS = """
global_defs {
    router_id lb1
    lvs_dataplane nftables
    snmp_socket unix:@D@/agentx
    enable_traps
    enable_snmp_@WORD@
}
virtual_server 10.9.0.9 80 {
    delay_loop 1
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 127.0.0.1 1 {
        TCP_CHECK {
            retry 0
        }
    }
}
"""
LISTENER = "import socket, time; s = socket.create_server(('127.0.0.1', 1)); time.sleep(600)"
#: realServerStatus in a trap: 1 alive, 2 dead.
STATUS = f"{KEEPALIVED}.3.4.1.6 = INTEGER: "


@pytest.mark.netns
def test_a_real_server_is_in_traps_and_the_word_for_it_may_come_later(tmp_path: Path) -> None:
    """Without `enable_snmp_checker` the agents have no rights; a reload that asks for it starts them with one."""
    conf, log_file, traps = (tmp_path / name for name in ("conf", "daemon.log", "traps"))
    text = SERVERS.replace("@D@", str(tmp_path))
    conf.write_text(text.replace("@WORD@", "vrrp"))

    def agents() -> list[str]:
        return re.findall(r"Agents child process, pid=(\d+)", log_file.read_text())

    def rights() -> str:
        lines = Path(f"/proc/{agents()[-1]}/status").read_text().splitlines()
        return next(line.split()[1] for line in lines if line.startswith("CapPrm"))

    with Lab("snmpchk") as lab, log_file.open("wb") as log:
        space = lab.namespace("a")
        space.up("lo")
        with snmpd(space, tmp_path):
            argv = [*DAEMONS["ours"].split(), "-n", "-l", "-f", str(conf)]
            process = space.popen(*argv, stdout=log, stderr=subprocess.STDOUT)
            wait_until(lambda: walk(space, f"{ROOTS[0]}.1"), 120, "the daemon to be shown", interval_s=0.3)
            assert rights() == "0" * 16
            conf.write_text(text.replace("@WORD@", "checker"))
            process.send_signal(signal.SIGHUP)
            wait_until(lambda: walk(space, f"{ROOTS[0]}.3.4.1"), 120, "the real server to be shown", interval_s=0.3)
            assert len(agents()) == 2
            assert int(rights(), 16) == 1 << 12
            # Its port opens and closes: alive, then dead. What was before the new process is not told again.
            wait_until(lambda: "Removing service [127.0.0.1]:tcp:1" in log_file.read_text(), 120, "its first death")
            server = space.popen(sys.executable, "-c", LISTENER)
            wait_until(lambda: f"{STATUS}1" in traps.read_text(), 120, "the trap of its life", interval_s=0.2)
            wait_until(lambda: "Adding service [127.0.0.1]:tcp:1" in log_file.read_text(), 120, "its life")
            deaths = traps.read_text().count(f"{STATUS}2")
            server.kill()
            server.wait(60)
            wait_until(lambda: traps.read_text().count(f"{STATUS}2") > deaths, 120, "that of its death", interval_s=0.2)
            assert traps.read_text().count(f"{STATUS}1") == 1
            assert f"OID: {KEEPALIVED}.3.5.0.1" in traps.read_text()
            process.send_signal(signal.SIGTERM)
            assert process.wait(120) == 0

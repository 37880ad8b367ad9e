"""Programs that hold keepalived by its command line, pid files, signals and dump files: what each does, done to ours.

Each client's start line and configuration words are as it writes them (its templates and sources, 2026); what it does
then is written down here in our own words, with its patterns and its limits of strictness.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import signal
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykeepalived.tools.lab import Lab, Namespace, wait_until

pytestmark = [pytest.mark.netns]

PROGRAM = [sys.executable, "-m", "pykeepalived.cli.keepalived"]
LIMIT_S = 120

OPENSHIFT = """
global_defs {
    enable_script_security
    script_user root
    max_auto_priority -1
    vrrp_garp_master_refresh 60
}
vrrp_script chk_ocp_lb {
    script "/usr/bin/true"
    interval 1
    weight 20
    rise 3
    fall 2
}
vrrp_script chk_ocp_both {
    script "/usr/bin/false"
    interval 1
    weight 5
}
vrrp_instance cluster_API_0 {
    state BACKUP
    interface eth0
    virtual_router_id 55
    priority 40
    version 3
    advert_int 0.2
    unicast_src_ip 10.0.0.1
    unicast_peer {
        10.0.0.2
    }
    virtual_ipaddress {
        10.0.0.100/32 label vip
    }
    virtual_ipaddress_excluded {
        10.0.0.101/32
        10.0.0.102/32
    }
    track_script {
        chk_ocp_lb
        chk_ocp_both
    }
}
"""
VYOS = """
global_defs {
    dynamic_interfaces
    script_user root
    notify_fifo DIRECTORY/fifo
}
vrrp_instance eth0-10 {
    state BACKUP
    interface eth0
    virtual_router_id 10
    priority 100
    version 3
    advert_int 0.2
    virtual_ipaddress {
        10.0.0.110/24
    }
}
vrrp_instance absent {
    state BACKUP
    interface eth9
    virtual_router_id 11
    priority 100
    virtual_ipaddress {
        10.0.9.110/24
    }
}
vrrp_sync_group ALL {
    group {
        eth0-10
    }
}
"""
OCTAVIA_VRRP = """
vrrp_script check_script {
  script /usr/bin/true
  interval 5
  fall 2
  rise 2
}
vrrp_instance 8a9cd2ec0e2b4a0a {
  state MASTER
  interface eth0
  virtual_router_id 1
  priority 100
  nopreempt
  accept
  garp_master_refresh 5
  garp_master_refresh_repeat 2
  advert_int 1
  authentication {
    auth_type PASS
    auth_pass 7d1a2
  }
  unicast_src_ip 10.0.0.1
  unicast_peer {
    10.0.0.2
  }
  virtual_ipaddress {
    10.0.0.120
  }
  virtual_ipaddress_excluded {
  }
  virtual_routes {
    10.0.0.0/24 dev eth0 src 10.0.0.120 scope link table 1
    default via 10.0.0.2 dev eth0 onlink table 1
  }
  virtual_rules {
    from 10.0.0.120/32 table 1 priority 100
  }
  track_script {
    check_script
  }
}
"""
OCTAVIA_LVS = """
# Configuration for Loadbalancer 8a9cd2ec
# Configuration for Listener 5e7a0001
virtual_server_group ipv4-group {
    10.0.0.120 5353
}
virtual_server group ipv4-group {
    lb_algo rr
    lb_kind NAT
    protocol UDP
    delay_loop 1
    delay_before_retry 1
    retry 1
    # Configuration for Pool 4ab3
    # Configuration for HealthMonitor 77
    # Configuration for Member 01
    real_server 127.0.0.2 5353 {
        weight 3
        MISC_CHECK {
            misc_path "/usr/bin/true"
            misc_timeout 5
        }
    }
}
"""
SMALL = """
vrrp_instance INSTANCE {
    interface eth0
    virtual_router_id 51
    advert_int 1
    priority 20
    nopreempt
    virtual_ipaddress {
        10.0.0.130/32 dev eth0
    }
}
"""


class Held:
    """One client's daemon, in a namespace of its own."""

    def __init__(self, lab: Lab, name: str, directory: Path, configuration: str, start: str) -> None:
        self.lab = lab
        self.space: Namespace = lab.namespace(name, private=("/run",))
        self.directory = directory / name
        self.directory.mkdir()
        self.file = self.directory / "keepalived.conf"
        self.file.write_text(configuration.replace("DIRECTORY", str(self.directory)))
        self.space.ip("link", "add", "eth0", "type", "veth", "peer", "name", "peer0")
        self.space.up("eth0")
        self.space.up("peer0")
        self.space.address("eth0", "10.0.0.1/24")
        self.environment = {**os.environ, "TMPDIR": str(self.directory)}
        self.words = start.replace("FILE", str(self.file)).split()
        self.log = self.directory / "log"
        self.pid_file = next((self.words[i + 1] for i, w in enumerate(self.words) if w in {"-p", "--pid"}), "")
        self.pid_file = self.pid_file or "/run/keepalived.pid"
        self.start()

    def start(self) -> None:
        self.process = self.lab.popen(self.space, *PROGRAM, *self.words, log=self.log, env=self.environment)

    def read(self, path: str) -> str:
        return self.space.run("cat", path, check=False).stdout

    def pid(self) -> int:
        return int(wait_until(lambda: self.read(self.pid_file), LIMIT_S, f"{self.pid_file} of {self.space.name}"))

    def ready(self) -> None:
        """All its children are there: each answers the signal for its dump file."""
        wait_until(lambda: self.dumps("keepalived_parent.data"), LIMIT_S, "the parent's dump")

    def dumps(self, name: str, number: int = signal.SIGUSR1) -> str:
        """What a client finds in a dump file after a signal; empty while there is none."""
        file = self.directory / name
        os.kill(self.pid(), number)
        with contextlib.suppress(OSError):
            return file.read_text()
        return ""

    def stop(self) -> None:
        if Path(f"/proc/{(pid := self.pid())}").exists():
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not Path(f"/proc/{pid}/status").exists() or self.is_zombie(pid), LIMIT_S, "the end")

    @staticmethod
    def is_zombie(pid: int) -> bool:
        with contextlib.suppress(OSError):
            return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
        return True


#: Start line by client. Those without --dont-fork go to the background by themselves.
STARTS = {
    "openshift": (OPENSHIFT, "-f FILE --dont-fork --vrrp --log-detail --log-console"),
    "vyos": (VYOS, "--use-file FILE --pid /run/vyos.pid --dont-fork"),
    "octavia-vrrp": (OCTAVIA_VRRP, "--log-facility=1 -f FILE -p /run/octavia-keepalived.pid"),
    "octavia-lvs": (OCTAVIA_LVS, "--log-facility=1 -f FILE -p /run/x.pid -r /run/x.vrrp.pid -c /run/x.check.pid"),
    "kolla": (SMALL, "-nld -f FILE -p /run/kolla.pid"),
    "k0s": (SMALL, "--dont-fork --use-file FILE --no-syslog --log-console --log-detail --dump-conf"),
    "kube-vip": (SMALL, "--dont-fork --log-console --log-detail --release-vips -f FILE"),
    "operator": ("@pod-1 " + SMALL.strip().replace("\n", "\n@pod-1 ").replace("INSTANCE", "ns/group"),
                 "--dont-fork --config-id=pod-1 --use-file FILE --pid /run/keepalived.pid"),
}  # fmt: skip


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Held]]:
    """All of them at once: they mostly wait."""
    base = tmp_path_factory.mktemp("clients")
    with Lab("clients") as lab:
        daemons = {name: Held(lab, name, base, *start) for name, start in STARTS.items()}
        for each in daemons.values():
            wait_until(lambda each=each: each.read(each.pid_file), LIMIT_S, "a pid file")
        yield daemons


# ---- waiting for a file as VyOS does ----


class CloseWaiter:
    """Tells which files of a directory were closed after writing (inotify, IN_CLOSE_WRITE)."""

    def __init__(self, directory: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert libc.inotify_add_watch(self._descriptor, os.fsencode(directory), 0x8) > 0

    def closed(self) -> set[str]:
        names = set()
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._descriptor, 65536)
            while data:
                length = struct.unpack_from("=iIII", data)[3]
                names.add(data[16 : 16 + length].rstrip(b"\0").decode())
                data = data[16 + length :]
        return names

    def close(self) -> None:
        os.close(self._descriptor)


def test_vyos_waits_for_the_file_to_be_closed_and_removes_it(held: dict[str, Held]) -> None:
    daemon = held["vyos"]
    daemon.ready()
    numbers = {"keepalived.data": signal.SIGUSR1, "keepalived.stats": signal.SIGUSR2}
    for name, number in {**numbers, "keepalived.json": signal.SIGRTMIN + 2}.items():
        file = daemon.directory / name
        for _ in range(2):
            file.unlink(missing_ok=True)
            waiter = CloseWaiter(daemon.directory)
            os.kill(daemon.pid(), number)
            wait_until(lambda name=name, waiter=waiter: name in waiter.closed(), LIMIT_S, f"{name} closed")
            waiter.close()
            text = file.read_text()
            assert text.endswith("\n")
    entries = {entry["data"]["iname"]: entry["data"] for entry in json.loads(text)}
    words = ["INIT", "BACKUP", "MASTER", "FAULT"]
    assert words[entries["absent"]["state"]] == "FAULT"
    wait_until(lambda: daemon.space.has_address("10.0.0.110"), LIMIT_S, "the address")
    daemon.dumps("keepalived.json", signal.SIGRTMIN + 2)

    def master() -> bool:
        text = daemon.dumps("keepalived.json", signal.SIGRTMIN + 2)
        found = {entry["data"]["iname"]: entry["data"] for entry in json.loads(text)}["eth0-10"]
        assert (found["ifp_ifname"], found["vrid"]) == ("eth0", 10)
        assert isinstance(found["last_transition"], float)
        assert 0 < found["effective_priority"] < 255
        return words[found["state"]] == "MASTER"

    wait_until(master, LIMIT_S, "MASTER in keepalived.json")


def test_vyos_reads_the_fifo(held: dict[str, Held]) -> None:
    """Its reader takes `TYPE "NAME" STATE PRIORITY` line by line, and starts a script by type, name and state."""
    daemon = held["vyos"]
    pattern = re.compile(r'(?P<type>INSTANCE|GROUP) "(?P<name>[^"]+)" (?P<state>[A-Z_]+)(?: (?P<priority>\d+))?')
    fifo = daemon.directory / "fifo"
    wait_until(fifo.is_fifo, LIMIT_S, "the FIFO")
    lines: list[str] = []
    with fifo.open("rb", buffering=0) as stream:
        os.set_blocking(stream.fileno(), False)
        wanted = ("INSTANCE", "eth0-10", "MASTER", "100")

        def seen() -> bool:
            lines.extend((stream.read() or b"").decode().splitlines())
            return wanted in [match.groups() for line in lines if (match := pattern.fullmatch(line))]

        wait_until(seen, LIMIT_S, "the line about MASTER")
    assert [line for line in lines if not pattern.fullmatch(line)] == []
    assert ("GROUP", "ALL", "BACKUP", "0") in [pattern.fullmatch(line).groups() for line in lines]


# ---- OpenShift, and others that look for the process by its name ----


def test_openshift_finds_the_parent_and_its_probe_passes(held: dict[str, Held]) -> None:
    daemon = held["openshift"]
    daemon.ready()
    oldest = daemon.space.run("pgrep", "-o", "--ns", str(daemon.pid()), "--nslist", "net", "keepalived").stdout
    assert int(oldest) == daemon.pid()
    file = daemon.directory / "keepalived.data"
    file.unlink(missing_ok=True)
    daemon.space.run("kill", "-s", "SIGUSR1", oldest.strip())
    wait_until(
        lambda: daemon.space.run("grep", "-q", "VRRP Instance", file, check=False).returncode == 0, LIMIT_S, "the probe"
    )
    # The master's weight counts, and the script that fails does not: 40 + 20.
    wait_until(
        lambda: "   Effective priority = 60\n" in daemon.dumps("keepalived.data"), LIMIT_S, "the priority with weights"
    )
    assert " label vip" in daemon.dumps("keepalived.data")
    os.kill(int(oldest), signal.SIGHUP)
    wait_until(lambda: "Reload complete" in daemon.log.read_text(), LIMIT_S, "the reload")


def test_gen2brain_finds_the_parent_in_ps_and_decodes_the_json(held: dict[str, Held]) -> None:
    """ps -axwwo pid,pcpu,pmem,args; the first whose fourth field ends in `keepalived` gets signal 36."""
    daemon = held["openshift"]
    daemon.ready()
    fields = [line.split() for line in daemon.space.run("ps", "-axwwo", "pid,pcpu,pmem,args").stdout.splitlines()[1:]]
    inside = set(daemon.space.processes())
    named = [int(each[0]) for each in fields if len(each) > 3 and Path(each[3]).name == "keepalived"]
    assert next(pid for pid in named if pid in inside) == daemon.pid()
    text = wait_until(lambda: daemon.dumps("keepalived.json", 36), LIMIT_S, "keepalived.json")
    (entry,) = json.loads(text)
    kinds = {"iname": str, "ifp_ifname": str, "last_transition": float, "vrid": int, "state": int, "wantstate": int}
    assert {key: type(entry["data"][key]) for key in kinds} == kinds
    counters = [
        *("advert_rcvd", "advert_sent", "become_master", "release_master", "packet_len_err", "advert_interval_err"),
        *("ip_ttl_err", "invalid_type_rcvd", "addr_list_err", "invalid_authtype", "authtype_mismatch"),
        *("auth_failure", "pri_zero_rcvd", "pri_zero_sent"),
    ]
    assert {type(entry["stats"][name]) for name in counters} == {int}


# ---- mehdy's exporter: text and JSON tell the same ----


def exporter_data(text: str) -> dict[str, dict[str, object]]:
    """keepalived.data by its rules: ` VRRP Instance = x` begins, three blanks continue, five are members of a list."""
    found: dict[str, dict[str, object]] = {}
    name = key = ""
    for line in text.splitlines():
        if line.startswith(" VRRP Instance") and "=" in line:
            name = line.split("=")[1].strip()
            found[name] = {"vips": [], "evips": []}
        elif line.startswith("   ") and name:
            if line.startswith("     "):
                value = line.strip()
            else:
                separator = "=" if "=" in line else ":"
                if separator not in line:
                    continue
                key, value = (part.strip() for part in line.strip().split(separator)[:2])
            if key.startswith("Virtual IP (") and value:
                found[name]["vips"].append(value)
            elif key.startswith("Virtual IP Excluded") and value:
                found[name]["evips"].append(value)
            elif key in {"State", "Wantstate"}:
                found[name][key.lower()] = ["INIT", "BACKUP", "MASTER", "FAULT"].index(value)
            elif key in {"Interface", "Gratuitous ARP delay", "Virtual Router ID"}:
                found[name][key] = value
        elif not line.startswith((" VRRP Version", " VRRP Script")):
            name = ""
    return found


def exporter_scripts(text: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith(" VRRP Script") and "=" in line:
            name = line.split("=")[1].strip()
            found[name] = {}
        elif line.startswith("   ") and name:
            key, _, value = line.strip().partition("=")
            if key.strip() in {"Status", "State"}:
                found[name][key.strip()] = value.strip()
        else:
            name = ""
    return found


def exporter_stats(text: str) -> dict[str, dict[tuple[str, str], int]]:
    """keepalived.stats by its rules: two blanks and a colon at the end open a section, four are inside."""
    found: dict[str, dict[tuple[str, str], int]] = {}
    name = section = ""
    for line in text.splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        if line.startswith("VRRP Instance"):
            name = value
            found[name] = {}
        elif line.startswith("  ") and line.endswith(":"):
            section = key
        elif line.startswith("    ") and section:
            found[name][section, key] = int(value)
        elif line.startswith("  "):
            section = ""
            found[name]["", key] = int(value)
    return found


def test_mehdy_reads_the_same_in_text_and_json(held: dict[str, Held]) -> None:
    daemon = held["openshift"]
    daemon.ready()
    wait_until(lambda: daemon.space.has_address("10.0.0.102"), LIMIT_S, "MASTER")

    def settled() -> str:
        text = daemon.dumps("keepalived.data")
        states = exporter_scripts(text)
        return text if {each.get("Status") for each in states.values()} == {"GOOD", "BAD"} else ""

    text = wait_until(settled, LIMIT_S, "both scripts have run")
    scripts = exporter_scripts(text)
    assert {name: each["Status"] for name, each in scripts.items()} == {"chk_ocp_lb": "GOOD", "chk_ocp_both": "BAD"}
    states = {"idle", "running", "requested termination", "forcing termination"}
    assert {each["State"] for each in scripts.values()} <= states
    number = int(daemon.space.run(*PROGRAM, "--signum=JSON").stdout)
    before = exporter_stats(wait_until(lambda: daemon.dumps("keepalived.stats", signal.SIGUSR2), LIMIT_S, "stats"))
    (daemon.directory / "keepalived.json").unlink(missing_ok=True)
    (entry,) = json.loads(wait_until(lambda: daemon.dumps("keepalived.json", number), LIMIT_S, "json"))
    data = exporter_data(text)["cluster_API_0"]
    told = entry["data"]
    assert data["state"] == told["state"] == 2
    assert data["wantstate"] == told["wantstate"]
    assert data["vips"] == told["vips"]
    assert data["evips"] == told["evips"]
    assert len(data["evips"]) == 2
    assert int(data["Gratuitous ARP delay"]) == told["garp_delay"]
    assert type(told["garp_delay"]) is int
    assert (data["Interface"], int(data["Virtual Router ID"])) == (told["ifp_ifname"], told["vrid"])
    # The label's address and interface are its first and third word.
    assert [vip.split(" ")[0:3:2] for vip in data["vips"]] == [["10.0.0.100", "eth0"]]
    counted = before["cluster_API_0"]
    assert counted["", "Became master"] == entry["stats"]["become_master"] == 1
    assert 0 < counted["Advertisements", "Sent"] <= entry["stats"]["advert_sent"]
    assert counted["Packet Errors", "Length"] == entry["stats"]["packet_len_err"]
    assert counted["Authentication Errors", "Failure"] == entry["stats"]["auth_failure"]
    assert counted["Priority Zero", "Sent"] == entry["stats"]["pri_zero_sent"]


# ---- Octavia ----


def test_octavia_vrrp_unit_returns_and_its_pid_file_is_there(held: dict[str, Held]) -> None:
    daemon = held["octavia-vrrp"]
    assert daemon.process.wait(LIMIT_S) == 0
    first = daemon.read("/run/octavia-keepalived.pid").splitlines()[0]
    os.kill(int(first), 0)
    wait_until(lambda: "table 1" in daemon.space.ip("route", "show", "table", "all"), LIMIT_S, "routes of table 1")
    wait_until(lambda: "from 10.0.0.120 lookup 1" in daemon.space.ip("rule"), LIMIT_S, "the rule")
    daemon.stop()
    assert daemon.read("/run/octavia-keepalived.pid") == ""


def test_octavia_lvs_pid_files_and_the_restart_that_it_waits_for(held: dict[str, Held]) -> None:
    daemon = held["octavia-lvs"]
    assert daemon.process.wait(LIMIT_S) == 0
    wait_until(lambda: daemon.read("/run/x.check.pid"), LIMIT_S, "the checkers' pid file")
    assert daemon.read("/run/x.vrrp.pid") == ""
    pid = daemon.pid()
    os.kill(pid, 0)
    # A configuration newer than X.check.pid means `restarting` until the file is written again.
    daemon.stop()
    left = daemon.space.run("find", "/run", "-name", "x*.pid").stdout
    assert left == ""
    daemon.file.touch()
    daemon.start()
    assert daemon.process.wait(LIMIT_S) == 0
    wait_until(lambda: daemon.read("/run/x.check.pid"), LIMIT_S, "the checkers' pid file again")
    written = float(daemon.space.run("stat", "-c", "%.Y", "/run/x.check.pid").stdout)
    assert written >= daemon.file.stat().st_mtime
    assert daemon.pid() != pid


# ---- those that only start, reload and stop ----


@pytest.mark.parametrize("name", ["kolla", "k0s", "kube-vip", "operator"])
def test_start_reload_stop(name: str, held: dict[str, Held]) -> None:
    daemon = held[name]
    pid = daemon.pid()
    daemon.ready()
    command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    assert command[0] == b"keepalived"
    assert [word.decode() for word in command[1:] if word] == daemon.words
    assert Path(f"/proc/{pid}/comm").read_text() == "keepalived\n"
    if name == "kube-vip":
        assert daemon.read("/run/vrrp.pid").strip().isdecimal()
    text = wait_until(lambda: daemon.dumps("keepalived.data"), LIMIT_S, "keepalived.data")
    assert f" VRRP Instance = {'ns/group' if name == 'operator' else 'INSTANCE'}\n" in text
    daemon.file.write_text(daemon.file.read_text().replace("10.0.0.130", "10.0.0.131"))
    os.kill(pid, signal.SIGHUP)

    def reloaded() -> bool:
        return "10.0.0.131/32" in daemon.dumps("keepalived.data") or "10.0.0.131 dev" in daemon.dumps("keepalived.data")

    wait_until(reloaded, LIMIT_S, "the reload")
    assert daemon.pid() == pid
    daemon.stop()
    assert daemon.process.wait(LIMIT_S) == 0
    assert daemon.read(daemon.pid_file) == ""
    if name in {"kolla", "k0s"}:
        assert "Router ID = " in daemon.log.read_text()  # -d

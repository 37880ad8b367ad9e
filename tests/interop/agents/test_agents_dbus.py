"""D-Bus on a private bus: the objects of Debian's keepalived and ours are alike, and calls have their effect."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pykeepalived.tools.lab import Lab, Namespace, wait_until

DAEMONS = {"theirs": "/usr/sbin/keepalived", "ours": f"{sys.executable} -m pykeepalived.cli.keepalived"}
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type><listen>unix:path=@D@/bus</listen><listen>unix:abstract=keepalived-test</listen><auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/>
  </policy>
  @POLICY@
</busconfig>
"""
CONFIGURATION = """
global_defs {
    enable_dbus
    dbus_service_name @NAME@
}
vrrp_instance V1 {
    interface eth0
    virtual_router_id 51
    version 3
    advert_int 0.2
    garp_master_repeat 2
    garp_master_delay 0
    virtual_ipaddress {
        10.9.0.5/24
    }
}
"""
DAEMON = "/org/keepalived/Vrrp1/Vrrp"
INSTANCE = "/org/keepalived/Vrrp1/Instance/eth0/51/IPv4"


class Bus:
    """A bus of the test's in a namespace."""

    def __init__(self, space: Namespace, directory: Path, name: str, policy: str = "") -> None:
        (directory / "bus.conf").write_text(BUS.replace("@D@", str(directory)).replace("@POLICY@", policy))
        self.space, self.name = space, name
        # Of this network namespace alone, and everybody may come in.
        self.address = "DBUS_SYSTEM_BUS_ADDRESS=unix:abstract=keepalived-test"
        self.daemon = space.popen(
            "dbus-daemon", "--nofork", f"--config-file={directory}/bus.conf",
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until((directory / "bus").exists, 60, "the bus")

    def call(self, path: str, method: str, *arguments: str, user: str = "") -> str:
        argv = [
            "env",
            self.address,
            "dbus-send",
            "--system",
            "--print-reply=literal",
            f"--dest={self.name}",
            path,
            method,
        ]
        if user:
            argv = ["setpriv", f"--reuid={user}", "--clear-groups", *argv]
        done = self.space.run(*argv, *arguments, check=False, timeout_s=60)
        return " ".join((done.stdout + done.stderr).split())

    def xml(self, path: str) -> str:
        return self.call(path, "org.freedesktop.DBus.Introspectable.Introspect")

    def get(self, name: str) -> str:
        return self.call(
            INSTANCE, "org.freedesktop.DBus.Properties.Get", "string:org.keepalived.Vrrp1.Instance", f"string:{name}"
        )

    def close(self) -> None:
        self.daemon.terminate()
        self.daemon.wait(60)


def shape(xml: str) -> list[str]:
    """Interfaces, members, types and ways of an introspection, in order and without names of arguments."""
    words = re.findall(r"<(interface|method|signal|property|arg|node) ([^>]*?)/?>", xml.replace("'", '"'))
    found = []
    for word, rest in words:
        fields = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        kept = {key: fields[key] for key in ("type", "direction", "access") if key in fields}
        if word != "arg" and "name" in fields:
            kept["name"] = fields["name"]
        found.append(f"{word} {sorted(kept.items())}")
    return [item for item in found if item != "node []"]


def run(tmp_path: Path, which: str) -> dict[str, object]:
    """What a daemon shows, and what its calls do."""
    directory = tmp_path / which
    directory.mkdir()
    name = "org.keepalived.Vrrp1.Other"
    (directory / "conf").write_text(CONFIGURATION.replace("@NAME@", name))
    with Lab("dbus") as lab, (directory / "log").open("wb") as log, (directory / "monitor").open("wb") as monitor:
        space, far = lab.namespace("a"), lab.namespace("far")
        lab.link(space, "eth0", far, "eth0")
        space.address("eth0", "10.9.0.1/24")
        bus = Bus(space, directory, name)
        rules = [f"type='signal',interface='org.keepalived.Vrrp1.{word}'" for word in ("Instance", "Vrrp")]
        watcher = space.popen("env", bus.address, "dbus-monitor", "--system", *rules, stdout=monitor, stderr=monitor)
        try:
            wait_until(lambda: "NameAcquired" in (directory / "monitor").read_text(), 60, "the monitor")
            argv = ["env", bus.address, *DAEMONS[which].split(), "-n", "-l", "-D", "-f", f"{directory}/conf"]
            process = space.popen(*argv, stdout=log, stderr=subprocess.STDOUT)
            wait_until(lambda: "Master" in bus.get("State"), 60, "the instance to be shown as master", interval_s=0.3)
            found: dict[str, object] = {path: shape(bus.xml(path)) for path in ("/", DAEMON, INSTANCE)}
            found["name"], found["state"] = bus.get("Name"), bus.get("State")
            logged = (directory / "log").read_text().count("gratuitous ARP")
            bus.call(INSTANCE, "org.keepalived.Vrrp1.Instance.SendGarp")
            again = lambda: (directory / "log").read_text().count("gratuitous ARP")  # noqa: E731
            wait_until(lambda: again() > logged, 60, "announcements")
            bus.call(DAEMON, "org.keepalived.Vrrp1.Vrrp.ReloadConfig")
            heard = (directory / "monitor").read_text
            wait_until(lambda: "VrrpReloaded" in heard(), 60, "the reload to be told")
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            wait_until(lambda: "uint32 98" in heard(), 60, "the end to be told")
        finally:
            watcher.terminate()
            watcher.wait(60)
            bus.close()
        told = re.findall(r"member=(Vrrp\w+)|uint32 (\d+)", heard())
        found["told"] = [word or number for word, number in told]
        return found


@pytest.mark.netns
@pytest.mark.peer
@pytest.mark.shows("global_defs.{enable_dbus,dbus_service_name}")
def test_the_objects_and_their_effects_are_keepalived_s(tmp_path: Path) -> None:
    theirs, ours = run(tmp_path, "theirs"), run(tmp_path, "ours")
    for found in (theirs, ours):
        # A state of the first moment may come before the name is owned, and the end of the bus before the last word.
        told = [word for word in found.pop("told") if word in {"VrrpStarted", "2", "VrrpReloaded", "98"}]  # type: ignore[attr-defined]
        assert list(dict.fromkeys(told)) == ["VrrpStarted", "2", "VrrpReloaded", "98"]
    assert ours == theirs


def rights_of_agents(log: str) -> dict[str, str]:
    """What the agents process of a daemon may do, and how many children it has."""
    found = re.search(r"Agents child process, pid=(\d+)", log)
    assert found is not None, log
    lines = Path(f"/proc/{found[1]}/status").read_text().splitlines()
    fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    kept = {name: fields[name] for name in ("CapPrm", "CapEff", "CapInh", "CapAmb", "NoNewPrivs")}
    return {**kept, "children": Path(f"/proc/{found[1]}/task/{found[1]}/children").read_text()}


@pytest.mark.netns
def test_the_policy_lets_nobody_but_root_call_and_the_agents_have_no_rights(tmp_path: Path) -> None:
    (tmp_path / "conf").write_text(CONFIGURATION.replace("dbus_service_name @NAME@", ""))
    policy = Path("packaging/dbus/org.keepalived.Vrrp1.conf").resolve()
    with Lab("dbuspol") as lab, (tmp_path / "log").open("wb") as log:
        space, far = lab.namespace("a"), lab.namespace("far")
        lab.link(space, "eth0", far, "eth0")
        space.address("eth0", "10.9.0.1/24")
        bus = Bus(space, tmp_path, "org.keepalived.Vrrp1", f"<include>{policy}</include>")
        try:
            argv = ["env", bus.address, *DAEMONS["ours"].split(), "-n", "-l", "-f", f"{tmp_path}/conf"]
            process = space.popen(*argv, stdout=log, stderr=subprocess.STDOUT)
            wait_until(lambda: "Master" in bus.get("State"), 60, "root to be answered", interval_s=0.3)
            refused = bus.call(DAEMON, "org.keepalived.Vrrp1.Vrrp.ReloadConfig", user="nobody")
            assert "AccessDenied" in refused or "not allowed" in refused or "Rejected send message" in refused
            assert "D-Bus: ReloadConfig" not in (tmp_path / "log").read_text()
            none = "0" * 16
            assert rights_of_agents((tmp_path / "log").read_text()) == {
                "CapPrm": none, "CapEff": none, "CapInh": none, "CapAmb": none, "NoNewPrivs": "1", "children": "",
            }  # fmt: skip
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        finally:
            bus.close()

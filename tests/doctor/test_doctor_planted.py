"""Three planted faults, as a new operator meets them; each is found with one command that says how to mend it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from pykeepalived.tools.lab import Lab

pytestmark = pytest.mark.netns
ROOT = Path(__file__).parents[2]
CTL = "import sys; from pykeepalived.cli.keepalivedctl import main; sys.exit(main())"

FILE = """\
vrrp_script check {{
    script {script}
}}
vrrp_instance VI_1 {{
    interface eth0
    virtual_router_id 51
    virtual_ipaddress {{
        10.9.0.200/24
    }}
    track_script {{
        check
    }}
}}
"""


@pytest.fixture
def cable(tmp_path):
    """A director and a machine beside it, and the director's configuration, with nothing wrong."""
    script = tmp_path / "check"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    file = tmp_path / "k.conf"
    file.write_text(FILE.format(script=script))
    with Lab("planted") as lab:
        director, other = lab.namespace("director"), lab.namespace("other")
        lab.link(director, "eth0", other, "eth0")
        director.address("eth0", "10.9.0.1/24")
        other.address("eth0", "10.9.0.11/24")
        yield director, other, file, script


def doctor(space, *words):
    """What is faulty, with the commands that mend it."""
    done = space.run(
        sys.executable, "-c", CTL, "doctor", *map(str, words), "--json", cwd=ROOT, check=False, timeout_s=120
    )
    faults = {item["name"]: item for item in json.loads(done.stdout)["found"] if item["weight"] == "fault"}
    assert done.returncode == (1 if faults else 0), done.stderr
    return faults


def test_a_script_that_is_writable_for_everybody(cable):
    director, _other, file, script = cable
    assert doctor(director, file, "--listen", "0") == {}
    script.chmod(0o777)
    found = doctor(director, file, "--listen", "0")
    assert found["script-world-writable"]["mend"] == [f"chmod o-w {script}"]


def test_a_wrong_netmask_on_one_director(cable):
    director, _other, file, _script = cable
    director.ip("address", "flush", "dev", "eth0")
    director.address("eth0", "10.9.0.1/25")
    found = doctor(director, file, "--listen", "0")
    assert found["netmask-differs"]["mend"] == ["ip address replace 10.9.0.1/24 dev eth0"]


def test_a_real_server_without_arp_ignore(cable):
    """Seen on the real server, and from the director, where somebody else answers for the virtual address."""
    director, other, file, _script = cable
    other.ip("address", "add", "10.9.0.200/32", "dev", "lo")
    words = ("--real-server", "--method", "dr", "--address", "10.9.0.200")
    found = doctor(other, *words)
    assert found["arp-ignore"]["mend"] == ["sysctl -w net.ipv4.conf.all.arp_ignore=1"]
    # One command on the director shows it as well; who answers there is at least a risk.
    done = director.run(
        sys.executable, "-c", CTL, "doctor", str(file), "--listen", "5", "--json", cwd=ROOT, check=False, timeout_s=120
    )
    claimed = [item for item in json.loads(done.stdout)["found"] if item["name"] == "address-claimed"]
    assert "10.9.0.200 is answered for by" in claimed[0]["text"]
    for key, value in (("arp_ignore", 1), ("arp_announce", 2)):
        other.run("sh", "-c", f"echo {value} >/proc/sys/net/ipv4/conf/all/{key}")
    assert doctor(other, *words) == {}


def test_which_mac_address_answers_for_a_virtual_one(cable):
    """`doctor vmac` asks on the wire: the virtual router's address is right, the interface's own is not."""
    director, other, file, _script = cable
    file.write_text(file.read_text().replace("interface eth0", "interface eth0\n    use_vmac"))

    def asked():
        words = (sys.executable, "-c", CTL, "doctor", "vmac", str(file), "--listen", "1", "--json")
        done = director.run(*words, cwd=ROOT, check=False, timeout_s=120)
        return {item["name"] for item in json.loads(done.stdout)["found"]}

    assert asked() == {"vmac-silent"}
    other.ip(
        "link", "add", "vrrp.51", "link", "eth0", "address", "00:00:5e:00:01:33", "type", "macvlan", "mode", "private"
    )
    other.sysctl("net.ipv4.conf.all.arp_ignore", 1)
    other.up("vrrp.51")
    other.ip("address", "add", "10.9.0.200/32", "dev", "vrrp.51")
    assert asked() == {"vmac-answers"}
    other.ip("link", "delete", "vrrp.51")
    other.ip("address", "add", "10.9.0.200/32", "dev", "eth0")
    assert asked() == {"vmac-differs"}

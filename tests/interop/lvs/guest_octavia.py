"""Octavia's amphora reads the kernel's own table, not keepalived's files. Runs inside the test kernel."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

from pykeepalived.dataplane.ipvs import IpvsDataplane
from pykeepalived.dialects.keepalived import load
from pykeepalived.tools.lab import Lab
from tests.dialects.keepalived.fake_host import FakeHost
from tests.lvs.stage import Stage

#: In the words and the order of its template, with a member that is drained.
CONFIGURATION = """\
# Configuration for Loadbalancer 2c02
# Configuration for Listener 5a94
virtual_server_group ipv4-group {
    10.0.0.37 7777
}
virtual_server group ipv4-group {
    lb_algo wrr
    lb_kind NAT
    protocol UDP
    delay_loop 30
    delay_before_retry 30
    retry 3
    # Configuration for Pool 9d1c
    # Configuration for HealthMonitor 4b8a
    # Configuration for Member 4f6e
    real_server 10.0.0.25 2222 {
        weight 3
        uthreshold 98
        MISC_CHECK {
            misc_path "/var/lib/octavia/lvs/check/udp_check.sh 10.0.0.25 2222"
            misc_timeout 30
        }
    }
    # Configuration for Member 5f6e
    real_server 10.0.0.35 3333 {
        weight 0
        uthreshold 98
    }
}
virtual_server_group ipv6-group {
    2001:db8::37 7777
}
virtual_server group ipv6-group {
    lb_algo rr
    lb_kind NAT
    protocol SCTP
    delay_loop 30
    persistence_timeout 33
    persistence_granularity 128
    real_server 2001:db8::25 2222 {
        weight 2
    }
}
"""
_ADDRESS = r"(?:([0-9A-F]{8})|\[([0-9a-f:]+)\]):([0-9A-F]{4})"
_SERVICE = re.compile(rf"(UDP|SCTP|TCP)\s+{_ADDRESS}\s+(\w+)")
_MEMBER = re.compile(rf"\s+->\s+{_ADDRESS}\s+(\w+)\s+(\d+)\s+(\d+)\s+(\d+)")


def place(four: str | None, six: str | None, port: str) -> str:
    """The kernel writes IPv4 as eight hexadecimal digits and IPv6 in full, ports always in hexadecimal."""
    address = ipaddress.ip_address(int(four, 16) if four else str(six))
    return f"{f'[{address}]' if six else address}:{int(port, 16)}"


def table(text: str) -> dict[tuple[str, str], dict[str, tuple[str, int]]]:
    """By protocol and address of a listener: its members with forwarding method and weight (0: down or drained)."""
    found: dict[tuple[str, str], dict[str, tuple[str, int]]] = {}
    members: dict[str, tuple[str, int]] = {}
    for line in text.splitlines()[3:]:
        if service := _SERVICE.match(line):
            members = found.setdefault((service[1], place(service[2], service[3], service[4])), {})
        elif member := _MEMBER.match(line):
            members[place(member[1], member[2], member[3])] = (member[4], int(member[5]))
    return found


def test_octavia_reads_the_listeners_and_members(tmp_path: Path) -> None:
    file = tmp_path / "octavia-keepalivedlvs-5a94.conf"
    file.write_text(CONFIGURATION)
    with Lab("octavia") as lab:
        space = lab.namespace("amphora-haproxy")
        with space.inside():
            stage = Stage(IpvsDataplane())
            stage.program.start(load(str(file), host=FakeHost()).config)
            wanted = {
                ("UDP", "10.0.0.37:7777"): {"10.0.0.25:2222": ("Masq", 3), "10.0.0.35:3333": ("Masq", 0)},
                ("SCTP", "[2001:db8::37]:7777"): {"[2001:db8::25]:2222": ("Masq", 2)},
            }
            stage.until(lambda: table(space.run("cat", "/proc/net/ip_vs").stdout) == wanted, "the whole table")
            stage.close()
            assert table(space.run("cat", "/proc/net/ip_vs").stdout) == {}

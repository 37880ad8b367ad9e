"""Real interfaces that are not ready: duplicate address detection that takes long, and a network without a sound."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from pykeepalived.tools.lab import wait_until
from tests.interop.vrrp.vrrp_single import Single, single

pytestmark = pytest.mark.netns

INSTANCE = """
vrrp_instance V1 {
    state BACKUP
    interface eth0
    virtual_router_id 51
    version 3
    priority 200
    advert_int 0.2
    virtual_ipaddress {
        @ADDRESSES@
    }
}
"""
IPV6 = INSTANCE.replace("@ADDRESSES@", "fe80::51/64\n        2001:db8::51/64")
IPV4 = INSTANCE.replace("@ADDRESSES@", "10.9.0.51/24")


#: Nobody has to be quick: an address is tentative until `found_out`.
FOR_LONG = 300
RETRANSMISSION = "net.ipv6.neigh.eth0.retrans_time_ms"


def found_out(router: Single) -> None:
    """What is left of the detection of duplicates takes a second or two, not minutes."""
    router.here.sysctl(RETRANSMISSION, 5)


def detect(router: Single, transmits: int) -> None:
    """From now on an address of the router's eth0 is tentative for so many seconds, beginning with a new cable."""
    router.here.sysctl(RETRANSMISSION, 1000)
    for key in ("all", "eth0"):
        router.here.sysctl(f"net.ipv6.conf.{key}.accept_dad", 1)
    router.here.sysctl("net.ipv6.conf.eth0.dad_transmits", transmits)
    router.here.down("eth0")
    router.here.up("eth0")


def link_local(router: Single) -> list[bool]:
    """For each link-local address of eth0 whether it is tentative."""
    found = json.loads(router.here.ip("-j", "-6", "addr", "show", "dev", "eth0", "scope", "link"))
    return [bool(item.get("tentative")) for link in found for item in link.get("addr_info", [])]


def test_a_tentative_address_is_waited_for(tmp_path: Path) -> None:
    with single("ours", IPV6, tmp_path) as router:
        detect(router, FOR_LONG)
        wait_until(lambda: link_local(router) == [True], 120, "a tentative address")
        router.start()
        router.wait_said("Startup complete")
        assert link_local(router) == [True]
        assert "Entering" not in router.said()
        found_out(router)
        router.wait_said("(V1) Entering BACKUP STATE")
        assert link_local(router) == [False]
        router.wait_said("(V1) Entering MASTER STATE")
        assert "FAULT" not in router.said()
        assert "cannot send" not in router.said()
        router.here.sysctl(RETRANSMISSION, 1000)
        # The cable is pulled and put back: a fault, and after it the same patience.
        router.peer.down("eth0")
        router.wait_said("(V1) Entering FAULT STATE")
        router.here.ip("addr", "flush", "dev", "eth0", "scope", "link")
        router.here.run("sh", "-c", "ip link set eth0 down; ip link set eth0 up")
        router.peer.up("eth0")
        wait_until(lambda: link_local(router) == [True], 120, "a tentative address again")
        found_out(router)
        router.wait_said("(V1) Entering MASTER STATE", count=2)
        assert link_local(router).count(True) == 0
        assert "cannot send" not in router.said()
        assert router.said().count("Entering FAULT STATE") == 1
        router.stop()


def test_an_address_that_somebody_else_has_is_a_fault(tmp_path: Path) -> None:
    with single("ours", IPV6, tmp_path) as router:
        for key in ("all", "eth0"):
            router.here.sysctl(f"net.ipv6.conf.{key}.accept_dad", 1)
        router.here.ip("addr", "flush", "dev", "eth0", "scope", "link")
        router.peer.address("eth0", "fe80::77/64")
        router.here.ip("addr", "add", "fe80::77/64", "dev", "eth0")
        wait_until(lambda: "dadfailed" in router.here.ip("addr", "show", "dev", "eth0"), 120, "a duplicate")
        router.start()
        router.wait_said("(V1) Entering FAULT STATE (init)")
        router.stop()


@pytest.mark.shows("global_defs.vrrp_ready_gate")
def test_the_gate_opens_when_the_network_is_heard(tmp_path: Path) -> None:
    text = "global_defs {\n vrrp_ready_gate 60\n}\n" + IPV4
    with single("ours", text, tmp_path) as router:
        for space in (router.here, router.peer):
            space.sysctl("net.ipv6.conf.eth0.disable_ipv6", 1)
        # Nothing passes, as through a switch port that still learns, though the cable is in.
        router.peer.run("ip", "link", "set", "eth0", "arp", "off")
        router.start()
        router.wait_said("Waiting until eth0 is ready")
        router.wait_said("Startup complete")
        time.sleep(1.5)
        assert "Entering" not in router.said()
        router.peer.run("ip", "link", "set", "eth0", "arp", "on")
        router.peer.run("ping", "-c1", "-W1", "10.9.0.1", check=False)
        router.wait_said("(V1) eth0 is ready")
        router.wait_said("(V1) Entering MASTER STATE")
        assert "FAULT" not in router.said()
        router.stop()


def test_the_gate_s_probe_is_answered(tmp_path: Path) -> None:
    text = "global_defs {\n vrrp_ready_gate 60\n}\n" + IPV4
    with single("ours", text, tmp_path) as router:
        router.here.down("eth0")
        router.start()
        router.wait_said("Startup complete")
        assert "Entering" not in router.said()
        router.here.up("eth0")
        # Only the echo to all nodes can have made the silent peer speak.
        router.wait_said("(V1) eth0 is ready")
        router.wait_said("(V1) Entering MASTER STATE")
        assert "FAULT" not in router.said()
        router.stop()


def test_the_gate_gives_up(tmp_path: Path) -> None:
    with single("ours", "global_defs {\n vrrp_ready_gate 1\n}\n" + IPV4, tmp_path) as router:
        router.here.down("eth0")
        router.start()
        router.wait_said("(V1) starts though its interface is not ready (vrrp_ready_gate)")
        router.wait_said("(V1) Entering FAULT STATE (init)")
        router.stop()

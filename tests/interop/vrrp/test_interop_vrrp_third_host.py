"""Virtual MAC addresses as the rest of a network sees them: a third host's cache, and reports of group members."""

from __future__ import annotations

import json
import socket
import struct
from pathlib import Path

import pytest

from pykeepalived.tools.lab import Namespace, wait_until
from tests.interop.vrrp.test_interop_vrrp_vmac import instance
from tests.interop.vrrp.vrrp_pairs import PATIENCE_S, Program, Shape, pair
from tests.interop.vrrp.vrrp_single import Single, single

pytestmark = [pytest.mark.netns, pytest.mark.peer]
SHAPE = Shape(interval_us=300_000, vmac=True)
VIRTUAL = "10.0.0.9"
VIRTUAL_MAC = "00:00:5e:00:01:33"


def cached(host: Namespace) -> str | None:
    found = json.loads(host.ip("-j", "neigh", "show", "dev", "eth0"))
    return next((item.get("lladdr") for item in found if item["dst"] == VIRTUAL), None)


def knows_host(space: Namespace) -> bool:
    return space.run("ping", "-c1", "-w4", "10.0.0.3", check=False).returncode == 0


def reached(host: Namespace) -> bool:
    return host.run("ping", "-c1", "-w4", VIRTUAL, check=False).returncode == 0


@pytest.mark.shows("vrrp_instance.use_vmac")
@pytest.mark.parametrize(("first", "second"), [("ours", "theirs"), ("theirs", "ours")])
def test_a_host_keeps_one_mac_address_for_both_routers(first: Program, second: Program, tmp_path: Path) -> None:
    with pair(SHAPE, first, second, tmp_path) as (one, two):
        host, switch = one.lab.namespace("host"), one.lab.namespaces["switch"]
        one.lab.link(host, "eth0", switch, "host")
        switch.attach("br0", "host")
        host.address("eth0", "10.0.0.3/24")
        one.start()
        one.wait_for("MASTER")
        two.start()
        two.wait_notified("INSTANCE VI_0 BACKUP 100")
        # A router that has to ask for the host asks with the address that it answers from and the base's MAC address,
        # keepalived's too: Linux's own way (arp_announce), no matter of VRRP. So both know the host beforehand.
        for router in (one, two):
            wait_until(lambda router=router: knows_host(router.namespace), PATIENCE_S, "the router knows the host")
        wait_until(lambda: reached(host), PATIENCE_S, "the first answers")
        assert cached(host) == VIRTUAL_MAC
        one.kill()
        one.unplug()
        two.wait_for("MASTER")
        # The switch has learned the new port from what the second sends; the host has nothing to learn.
        wait_until(lambda: reached(host), PATIENCE_S, "the second answers")
        assert cached(host) == VIRTUAL_MAC


@pytest.mark.shows("global_defs.nftables")
def test_reports_of_members_leave_with_the_address_of_the_base(tmp_path: Path) -> None:
    """IGMP and MLD from a virtual interface would teach the switches a wrong port when it is not MASTER."""
    text = instance("V1", "eth0", 51, "use_vmac", "10.9.0.100") + instance(
        "V2", "eth0", 52, "use_vmac", "fe80::100", "2001:db8::100/64"
    )
    groups = {"vrrp.51": "239.1.2.3", "vrrp.52": "ff15::1:2:3"}
    with single("ours", text, tmp_path) as router, router.peer.inside():
        frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        frames.bind(("eth0", 3))
        with frames:
            router.start()
            router.wait_said("Entering MASTER STATE", count=2)
            wait_until(lambda: router.here.has_address("2001:db8::100"), PATIENCE_S, "the last address")
            base = next(item["address"] for item in router.links() if item["ifname"] == "eth0")
            members = [join(router, ifname, group) for ifname, group in groups.items()]
            senders: dict[str, set[str]] = {group: set() for group in groups.values()}

            def told() -> bool:
                for frame in drain(frames):
                    for group, found in senders.items():
                        # Behind the headers: the record of a report, not the destination of something else.
                        if packed(group) in frame[14 + (40 if ":" in group else 20) :]:
                            found.add(frame[6:12].hex(":"))
                return all(senders.values())

            wait_until(told, PATIENCE_S, "a report for each group")
            for member in members:
                member.close()
            assert senders == {group: {base} for group in groups.values()}
        router.stop()


def packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def join(router: Single, ifname: str, group: str) -> socket.socket:
    with router.here.inside():
        index = socket.if_nametoindex(ifname)
        if ":" in group:
            member = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            request = packed(group) + struct.pack("=I", index)
            member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        else:
            member = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            request = packed(group) + bytes(4) + struct.pack("=i", index)
            member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
    return member


def drain(frames: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(frames.recv(4096, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return found

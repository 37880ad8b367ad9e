"""use_ipvlan and vrf beside Debian's keepalived. Runs inside the test kernel: the host's has neither."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pykeepalived.tools.lab import wait_until
from tests.interop.vrrp.vrrp_single import Single, single

PROGRAMS = ("theirs", "ours")


def instance(name: str, interface: str, vrid: int, words: str, *addresses: str) -> str:
    listed = "\n".join(addresses)
    return (
        f"vrrp_instance {name} {{\n state BACKUP\n {interface}\n virtual_router_id {vrid}\n priority 254\n"
        f" version 3\n advert_int 0.5\n{words}\n virtual_ipaddress {{\n{listed}\n}}\n}}\n"
    )


#: All ipvlans of an interface are of one type, that of the last one made.
IPVLANS = "".join(
    [
        instance("V1", "interface eth0", 51, "use_ipvlan 10.9.0.51/24", "10.9.0.100/24"),
        instance("V2", "interface eth1", 52, "use_ipvlan own0 private 10.8.0.52/24", "10.8.0.110/24"),
        instance("V3", "interface eth0", 53, "use_ipvlan bridge 10.9.0.53", "10.9.0.130"),
        instance("V4", "interface eth1", 54, "use_ipvlan private", "fe80::54", "2001:db8::54/64"),
    ]
)
#: These words are newer than Debian's keepalived.
NEWER = instance("V1", "interface eth0", 51, "use_ipvlan name apart0 vepa 10.9.0.51/24 group 77", "10.9.0.100/24")


class Seen(msgspec.Struct):
    links: dict[str, tuple[Any, ...]]
    modes: dict[str, str]
    left: dict[str, tuple[Any, ...]]
    frames: list[str]


def modes(router: Single) -> dict[str, str]:
    """By name: the mode and the kind of an ipvlan in iproute2's words."""
    text = router.here.ip("-d", "-o", "link", "show", "type", "ipvlan")
    found = {}
    for line in text.splitlines():
        name = line.split()[1].partition("@")[0]
        kind = re.search(r"ipvlan +mode (\w+) +(\w+)", line)
        assert kind is not None, line
        found[name] = f"{kind[1]} {kind[2]}"
    return found


def adverts(capture: Path) -> list[str]:
    """Each kind of advert in a capture: who sends which virtual addresses to whom."""
    fields = ("eth.dst", "ip.src", "ip.dst", "ipv6.dst", "vrrp.virt_rtr_id", "vrrp.prio", "vrrp.ip_addr")
    words = [item for name in fields for item in ("-e", name)]
    done = subprocess.run(
        ["tshark", "-r", capture, "-Y", "vrrp", "-T", "fields", *words],
        capture_output=True, text=True, check=True, timeout=90,
    )  # fmt: skip
    return sorted(set(done.stdout.splitlines()))


def run(program: str, text: str, into: Path, masters: int) -> Seen:
    with single(program, text, into) as router:
        dumps = {}
        for ifname in ("eth0", "eth1"):
            capture = into / f"{program}-{ifname}.pcap"
            command = ("tcpdump", "-i", ifname, "--immediate-mode", "-U", "-w", capture, "proto 112 or ip6 proto 112")
            dumps[capture] = router.lab.popen(router.peer, *command, stdout=subprocess.DEVNULL)
            wait_until(capture.exists, 120, "the capture runs")
        router.start()
        router.wait_said("Entering MASTER STATE", count=masters, timeout_s=120)
        wait_until(lambda: router.virtual_links() and _settled(router), 120, "all addresses are there")
        seen = Seen(links=router.virtual_links(), modes=modes(router), left={}, frames=[])
        wait_until(lambda: all(capture.stat().st_size > 100 for capture in dumps), 120, "adverts on both cables")
        router.stop()
        seen.links = {name: (*link[:3], *link[4:]) for name, link in seen.links.items()}  # the address is the base's
        seen.left = router.virtual_links()
        for capture, dump in dumps.items():
            dump.terminate()
            dump.wait(120)
            seen.frames += adverts(capture)
        return seen


def _settled(router: Single) -> bool:
    wanted = set(re.findall(r"^([0-9a-f.:]+)(?:/\d+)?$", router.file.read_text(), re.M))
    return all(router.here.has_address(address) for address in wanted)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    into = tmp_path_factory.mktemp("ipvlan")
    return {program: run(program, IPVLANS, into, 4) for program in PROGRAMS}


def test_the_same_ipvlans_with_the_same_addresses(seen: dict[str, Seen]) -> None:
    assert set(seen["ours"].links) == {"vrrp.51", "own0", "vrrp.53", "vrrp.54"}
    assert seen["ours"].links == seen["theirs"].links
    assert seen["ours"].modes == seen["theirs"].modes
    assert seen["ours"].modes["own0"] == "l2 private"


def test_the_same_adverts_leave_them(seen: dict[str, Seen]) -> None:
    assert seen["ours"].frames == seen["theirs"].frames
    assert any("10.8.0.52" in line and "10.8.0.110" in line for line in seen["ours"].frames)


def test_nothing_is_left_at_stop(seen: dict[str, Seen]) -> None:
    assert seen["ours"].left == {}


def test_words_that_are_newer(tmp_path: Path) -> None:
    with single("ours", NEWER, tmp_path) as router:
        router.start()
        router.wait_said("(V1) Entering MASTER STATE")
        wait_until(lambda: router.here.has_address("10.9.0.100", "eth0"), 120, "the address")
        links = router.virtual_links()["apart0"]
        assert links[4] == "77"
        assert modes(router) == {"apart0": "l2 vepa"}
        router.stop()


#: Debian's keepalived does not know `vrf` without an interface, so it is the peer. The main table has no route to it.
VRF = instance(
    "V1", "vrf red", 61, "unicast_src_ip 10.8.0.1\n unicast_peer {\n10.8.0.2\n}", "10.8.0.100/24 dev eth1"
).replace("254", "100")
PEER = instance(
    "V1", "interface eth1", 61, "unicast_src_ip 10.8.0.2\n unicast_peer {\n10.8.0.1\n}", "10.8.0.100/24"
).replace("254", "200")


def test_an_instance_in_a_vrf(tmp_path: Path) -> None:
    with single("ours", VRF, tmp_path) as router:
        router.here.ip("link", "add", "red", "type", "vrf", "table", "100")
        router.here.up("red")
        router.here.ip("link", "set", "eth1", "master", "red")
        capture = tmp_path / "vrf.pcap"
        command = ("tcpdump", "-i", "eth1", "--immediate-mode", "-U", "-w", capture, "src 10.8.0.1 and proto 112")
        dump = router.lab.popen(router.peer, *command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(capture.exists, 120, "the capture runs")
        router.start()
        router.wait_said("(V1) Entering MASTER STATE")
        wait_until(lambda: router.here.has_address("10.8.0.100", "eth1"), 120, "the address")
        wait_until(lambda: capture.stat().st_size > 100, 120, "adverts reach the peer")
        file = tmp_path / "peer.conf"
        file.write_text(PEER)
        file.chmod(0o600)
        words = ("keepalived", "-n", "-l", "-D", "-f", file, "-p", "/run/p.pid", "-r", "/run/q.pid", "-P")
        peer = router.lab.popen(router.peer, *words, log=tmp_path / "peer.log")
        router.wait_said("(V1) Entering BACKUP STATE\n")
        wait_until(lambda: not router.here.has_address("10.8.0.100", "eth1"), 120, "the address went")
        peer.terminate()
        assert peer.wait(120) == 0
        router.wait_said("(V1) Entering MASTER STATE", count=2)
        router.stop()
        dump.terminate()
        dump.wait(120)

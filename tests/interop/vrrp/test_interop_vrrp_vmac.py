"""Virtual MAC interfaces and the packet filter: what Debian's keepalived and we make of the kernel with one file."""

from __future__ import annotations

import concurrent.futures
import re
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pykeepalived.tools.lab import wait_until
from tests.interop.vrrp.vrrp_single import Single, single

pytestmark = [pytest.mark.netns, pytest.mark.peer]

PROGRAMS = ("theirs", "ours")


def instance(name: str, interface: str, vrid: int, words: str, *addresses: str, more: str = "") -> str:
    listed = "\n".join(addresses)
    return (
        f"vrrp_instance {name} {{\n state BACKUP\n interface {interface}\n virtual_router_id {vrid}\n priority 254\n"
        f" version 3\n advert_int 0.3\n{words}\n virtual_ipaddress {{\n{listed}\n}}\n{more}\n}}\n"
    )


VMACS = "".join(
    [
        "global_defs {\n vmac_prefix vx\n vmac_addr_prefix va\n nftables\n nftables_counters\n}\n",
        instance("V1", "eth0", 51, "use_vmac", "10.9.0.100/24", "10.9.0.101/24", "10.8.0.101/24 dev eth1 use_vmac"),
        instance("V2", "eth1", 52, "use_vmac", "10.8.0.110/24", "10.9.0.110 dev eth0"),
        instance("V3", "eth0", 53, "use_vmac own0", "10.9.0.120"),
        instance("V4", "eth0", 54, "use_vmac 02:00:00:00:00:09", "10.9.0.130"),
        instance("V5", "eth0", 55, "use_vmac\n vmac_xmit_base", "10.9.0.140"),
        instance("V6", "eth0", 51, "use_vmac", "fe80::100", "2001:db8::100/64"),
        instance("V7", "eth1", 51, "use_vmac", "fe80::101", "2001:db8:1::101/64"),
        instance("V8", "eth0", 56, "use_vmac\n use_vmac_addr\n garp_extra_if 1", "10.9.0.150", "10.8.0.150 dev eth1"),
    ]
)
#: 2.2.7 has one rule and one set less for IPv6; those of 2.4.3 are ours.
NEWER = re.compile(
    r"\tset (parent_link_local|mld-report) \{\n(?:\t\t.*\n)*\t\}\n\n|"
    r"\t\ticmpv6 type nd-neighbor-advert meta oifkind \"macvlan\".*\n"
)


class Seen(msgspec.Struct):
    links: dict[str, tuple[Any, ...]]
    settings: dict[str, str]
    before: dict[str, str]
    after: dict[str, str]
    ruleset: str
    left_links: dict[str, tuple[Any, ...]]
    left_ruleset: str
    eth1: list[tuple[str, ...]]
    frames: list[str]


def run(program: str, text: str, into: Path, masters: int) -> Seen:
    with single(program, text, into) as router:
        router.here.sysctl("net.ipv4.conf.all.rp_filter", 1)
        before = router.settings()
        capture = into / f"{program}.pcap"
        dump = router.lab.popen(
            router.peer, "tcpdump", "-i", "eth0", "--immediate-mode", "-U", "-w", capture, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        router.start()
        router.wait_said("Entering MASTER STATE", count=masters)
        wait_until(lambda: router.here.has_address("10.8.0.150"), 120, "the last address")
        seen = Seen(
            links=router.virtual_links(),
            settings=router.settings(),
            before=before,
            after={},
            ruleset=router.ruleset(),
            left_links={},
            left_ruleset="",
            eth1=router.addresses("eth1"),
            frames=[],
        )
        router.stop()
        wait_until(lambda: sum("\t0\t" in line for line in adverts(capture)) >= 6, 120, "every last advert is captured")
        dump.terminate()
        dump.wait(120)
        seen.after, seen.left_links, seen.left_ruleset = router.settings(), router.virtual_links(), router.ruleset()
        seen.frames = adverts(capture)
        return seen


def adverts(capture: Path) -> list[str]:
    """Each kind of advert: MAC addresses, family, IP addresses, VRID, priority, virtual addresses."""
    words = (
        "eth.src", "eth.dst", "ip.src", "ip.dst", "ipv6.dst", "ip.ttl", "vrrp.virt_rtr_id", "vrrp.prio",
        "vrrp.ip_addr", "vrrp.ipv6_addr",
    )  # fmt: skip
    fields = [item for name in words for item in ("-e", name)]
    done = subprocess.run(
        ["tshark", "-r", capture, "-Y", "vrrp", "-T", "fields", *fields],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    own = re.compile(r"^(?!00:00:5e|02:00:00:00:00:09)[0-9a-f:]{17}")
    return sorted({own.sub("BASE", line) for line in done.stdout.splitlines()})


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    into = tmp_path_factory.mktemp("vmac")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = {program: pool.submit(run, program, VMACS, into, 8) for program in PROGRAMS}
        return {program: future.result() for program, future in runs.items()}


@pytest.mark.shows(
    "vrrp_instance.{use_vmac,use_vmac_addr}", "vrrp_instance.use_vmac.name", "vrrp_instance.virtual_ipaddress.use_vmac",
    "global_defs.{vmac_prefix,vmac_addr_prefix}",
)  # fmt: skip
def test_the_same_interfaces_with_the_same_addresses(seen: dict[str, Seen]) -> None:
    assert set(seen["ours"].links) >= {"vx.51", "va.51", "vx6.51", "own0"}
    assert seen["ours"].links == seen["theirs"].links
    assert seen["ours"].eth1 == seen["theirs"].eth1


def test_the_same_settings_on_them_and_on_their_bases(seen: dict[str, Seen]) -> None:
    ours, theirs = seen["ours"].settings, seen["theirs"].settings
    different = {key: (ours.get(key), theirs.get(key)) for key in ours | theirs if ours.get(key) != theirs.get(key)}
    # IPv6 virtual MACs answer no ARP for others (2.4.3 does that, 2.2.7 does not). What `all` demanded before is kept
    # on every interface, where keepalived keeps it on the bases.
    expected = {key for key in ours if re.search(r"conf/(vx6|vx1).51/arp_ignore|conf/(lo|eth1)/rp_filter", key)}
    assert set(different) - expected == set(), different
    assert ours["ipv4/conf/all/rp_filter"] == "0"
    assert ours["ipv4/conf/eth0/rp_filter"] == "1"


def test_everything_is_put_back_at_stop(seen: dict[str, Seen]) -> None:
    ours = seen["ours"]
    assert ours.left_links == {}
    assert ours.left_ruleset == ""
    assert {key: value for key, value in ours.after.items() if ours.before.get(key) != value} == {}


@pytest.mark.shows("vrrp_instance.vmac_xmit_base")
def test_the_same_adverts_leave_from_the_same_addresses(seen: dict[str, Seen]) -> None:
    assert seen["ours"].frames == seen["theirs"].frames
    assert any(line.startswith("BASE") for line in seen["ours"].frames)
    assert any(line.startswith("00:00:5e:00:02:33") for line in seen["ours"].frames)


@pytest.mark.shows("global_defs.{nftables,nftables_counters}")
def test_the_same_packet_filter(seen: dict[str, Seen]) -> None:
    theirs = seen["theirs"].ruleset.replace("icmpv6 type mld2-listener-report", "icmpv6 type @mld-report")
    assert NEWER.sub("", seen["ours"].ruleset) == theirs
    assert "counter packets N" in theirs


BLOCKING = "".join(
    [
        "global_defs {\n nftables kept\n nftables_priority -7\n nftables_ifindex\n}\n",
        instance("V1", "eth0", 51, "no_accept", "10.9.0.100/24", more="virtual_ipaddress_excluded { 10.9.0.101 }"),
        instance("V2", "eth0", 52, "no_accept", "fe80::99", "2001:db8::99/64"),
        instance("V3", "eth0", 53, "accept", "10.9.0.103"),
    ]
)


def block(program: str, into: Path, text: str = BLOCKING) -> tuple[str, dict[str, bool]]:
    with single(program, text, into) as router:
        router.peer.address("eth0", "2001:db8::2/64")
        router.here.address("eth0", "2001:db8::1/64")
        router.start()
        router.wait_said("Entering MASTER STATE", count=3)
        wait_until(lambda: router.here.has_address("10.9.0.103"), 120, "the last address")
        targets = ("10.9.0.100", "10.9.0.101", "10.9.0.103", "10.9.0.1", "2001:db8::99", "2001:db8::1", "fe80::99%eth0")
        with concurrent.futures.ThreadPoolExecutor(len(targets)) as pool:
            found = pool.map(lambda each: answers(router, each), targets)
            reached = dict(zip(targets, found, strict=True))
        ruleset = router.ruleset() + router.here.run("ipset", "list", check=False).stdout
        router.stop()
        assert "keepalived" not in router.ruleset() + router.here.run("ipset", "list", check=False).stdout
        return ruleset, reached


def answers(router: Single, address: str) -> bool:
    return router.peer.run("ping", "-c1", "-w4", address, check=False).returncode == 0


@pytest.mark.shows("vrrp_instance.{no_accept,accept}", "global_defs.{nftables_priority,nftables_ifindex}")
def test_who_does_not_accept_is_not_reached(tmp_path: Path) -> None:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        ours, theirs = pool.map(lambda program: block(program, tmp_path), ("ours", "theirs"))
    assert ours[1] == theirs[1]
    assert [name for name, reached in ours[1].items() if reached] == ["10.9.0.103", "10.9.0.1", "2001:db8::1"]
    assert NEWER.sub("", ours[0]) == theirs[0]
    assert "filter - 7" in ours[0]
    assert "table ip kept" in ours[0]


def test_a_killed_routers_interfaces_are_used_again(tmp_path: Path) -> None:
    text = instance("V1", "eth0", 51, "use_vmac\n no_accept", "10.9.0.100") + instance(
        "V2", "eth0", 52, "use_vmac", "10.9.0.102"
    )
    with single("ours", text, tmp_path) as router:
        before = router.settings()
        router.start()
        router.wait_said("Entering MASTER STATE", count=2)
        wait_until(lambda: router.here.has_address("10.9.0.102"), 120, "the last address")
        index = {item["ifname"]: item["ifindex"] for item in router.links()}
        router.kill()
        assert "vips" in router.ruleset()
        router.write(instance("V1", "eth0", 51, "use_vmac", "10.9.0.100"))
        router.start()
        router.wait_said("(V1) Found matching interface vrrp.51")
        router.wait_said("(V1) Entering MASTER STATE", count=2)
        wait_until(lambda: router.here.has_address("10.9.0.100"), 120, "the address")
        again = {item["ifname"]: item["ifindex"] for item in router.links()}
        assert again["vrrp.51"] == index["vrrp.51"]
        assert "vrrp.52" not in again
        assert "vips" not in router.ruleset()
        router.stop()
        assert {key: value for key, value in router.settings().items() if before.get(key) != value} == {}
        assert router.ruleset() == ""


def test_a_reload_adds_and_removes_interfaces(tmp_path: Path) -> None:
    first = instance("V1", "eth0", 51, "use_vmac", "10.9.0.100")
    with single("ours", first, tmp_path) as router:
        router.start()
        router.wait_said("(V1) Entering MASTER STATE")
        router.write(first + instance("V2", "eth1", 52, "use_vmac", "10.8.0.100"))
        router.reload()
        router.wait_said("(V2) Entering MASTER STATE")
        assert {"vrrp.51", "vrrp.52"} == set(router.virtual_links())
        assert router.settings()["ipv4/conf/eth1/arp_ignore"] == "1"
        router.write(first)
        router.reload()
        wait_until(lambda: set(router.virtual_links()) == {"vrrp.51"}, 120, "only the first interface is left")
        wait_until(lambda: router.settings()["ipv4/conf/eth1/arp_ignore"] == "0", 120, "the setting is put back")
        assert router.said().count("(V1) Entering") == 2
        router.stop()


def test_a_virtual_interface_comes_and_goes_with_its_base(tmp_path: Path) -> None:
    with single("ours", instance("V1", "eth0", 51, "use_vmac", "10.9.0.100"), tmp_path) as router:
        router.here.down("eth0")
        router.start()
        router.wait_said("(V1) Entering FAULT STATE (init)")
        router.here.up("eth0")
        router.wait_said("(V1) Entering MASTER STATE")
        router.here.ip("link", "del", "vrrp.51")
        router.wait_said("(V1): Success creating VMAC interface vrrp.51", count=2)
        router.wait_said("(V1) Entering MASTER STATE", count=2)
        wait_until(lambda: router.here.has_address("10.9.0.100", "vrrp.51"), 120, "the address is back")
        router.stop()


@pytest.mark.shows("vrrp_instance.use_vmac.group", "global_defs.{default_interface,disable_local_igmp}")
def test_words_about_interfaces_do_the_same(tmp_path: Path) -> None:
    text = (
        "global_defs {\n default_interface eth1\n disable_local_igmp\n}\nstatic_ipaddress {\n 10.7.0.1/24\n}\n"
        + instance("V1", "eth0", 51, "use_vmac g0 group 77", "10.9.0.100")
    )

    def look(program: str) -> tuple[Any, ...]:
        # `group` is newer than Debian's keepalived.
        given = text if program == "ours" else text.replace(" group 77", "")
        with single(program, given, tmp_path) as router:
            router.start()
            router.wait_said("(V1) Entering MASTER STATE")
            wait_until(lambda: router.here.has_address("10.9.0.100"), 120, "the address")
            seen = (router.virtual_links(), router.addresses("eth1"), router.settings()[IGMP])
            router.stop()
            return seen

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        ours, theirs = pool.map(look, PROGRAMS[::-1])
    assert ours[1:] == theirs[1:]
    assert ours[0]["g0"][4] == "77"
    assert theirs[0]["g0"][:4] == ours[0]["g0"][:4]
    assert ours[2] == "0"


IGMP = "ipv4/igmp_link_local_mcast_reports"


@pytest.mark.shows("global_defs.{vrrp_iptables,vrrp_ipsets}")
@pytest.mark.parametrize("sets", ["vrrp_ipsets", "vrrp_ipsets keepalived_a"])
def test_iptables_blocks_the_same(sets: str, tmp_path: Path) -> None:
    text = "global_defs {\n vrrp_iptables\n " + sets + "\n}\n" + BLOCKING.partition("}\n")[2]
    ruleset, reached = block("ours", tmp_path, text)
    assert [name for name, found in reached.items() if found] == ["10.9.0.103", "10.9.0.1", "2001:db8::1"]
    assert "keepalived-out" in ruleset
    assert "table ip keepalived" not in ruleset
    assert ("Name: keepalived_a6" in ruleset) is ("keepalived_a" in sets)


@pytest.mark.shows("global_defs.vrrp_iptables")
def test_what_a_killed_router_left_in_iptables_is_removed(tmp_path: Path) -> None:
    text = "global_defs {\n vrrp_iptables\n}\n" + BLOCKING.partition("}\n")[2]
    with single("ours", text, tmp_path) as router:
        router.start()
        router.wait_said("Entering MASTER STATE", count=3)
        router.here.run("iptables", "-A", "INPUT", "-s", "192.0.2.1", "-j", "DROP")
        router.kill()
        assert "keepalived-in" in router.here.run("iptables", "-S").stdout
        router.write(BLOCKING)
        router.start()
        router.wait_said("Entering MASTER STATE", count=6)
        left = router.here.run("iptables", "-S").stdout
        assert "keepalived" not in left
        assert "-A INPUT -s 192.0.2.1/32 -j DROP" in left
        assert router.here.run("ipset", "list").stdout == ""
        router.stop()


def announced(capture: Path) -> dict[str, int]:
    """How often each address was announced, and from which MAC address."""
    done = subprocess.run(
        ["tshark", "-r", capture, "-Y", "arp.opcode == 1 && arp.src.proto_ipv4 == arp.dst.proto_ipv4", "-T", "fields",
         "-e", "eth.src", "-e", "arp.src.proto_ipv4"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    return {line: lines.count(line) for line in lines}


@pytest.mark.shows(
    "vrrp_instance.{garp_extra_if,vmac_garp_intvl}", "global_defs.{vrrp_garp_extra_if,vrrp_vmac_garp_intvl}"
)
@pytest.mark.parametrize("word", ["garp_extra_if", "vmac_garp_intvl", "vrrp_garp_extra_if", "vrrp_vmac_garp_intvl"])
def test_interfaces_that_send_no_adverts_announce_themselves(word: str, tmp_path: Path) -> None:
    general, own = (f" {word} 1", "") if word.startswith("vrrp") else ("", f"\n {word} 1")
    text = f"global_defs {{\n vrrp_garp_master_delay 0\n vrrp_garp_master_repeat 1\n{general}\n}}\n" + instance(
        "V1", "eth0", 51, "use_vmac\n vmac_xmit_base" + own, "10.9.0.100"
    )
    text += instance("V2", "eth0", 52, "use_vmac" + own, "10.9.0.102")
    capture = tmp_path / "garp.pcap"
    with single("ours", text, tmp_path) as router:
        command = ("tcpdump", "-i", "eth0", "--immediate-mode", "-U", "-w", capture, "arp")
        dump = router.lab.popen(router.peer, *command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        router.start()
        router.wait_said("Entering MASTER STATE", count=2)
        first = "00:00:5e:00:01:33\t10.9.0.100"
        wait_until(lambda: capture.exists() and announced(capture).get(first, 0) >= 3, 120, "three announcements")
        assert announced(capture)["00:00:5e:00:01:34\t10.9.0.102"] == 1
        router.stop()
        dump.terminate()

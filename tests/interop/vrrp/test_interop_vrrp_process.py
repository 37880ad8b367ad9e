"""The VRRP process alone: killed, reloaded, without its interface, watched."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pykeepalived.model import Config, GarpSettings, IpPrefix, VirtualAddress, VrrpInstance
from pykeepalived.netio.links import Monitor
from pykeepalived.netio.netlink import Requests
from pykeepalived.runtime.program import Options
from pykeepalived.runtime.vrrp_leftovers import clean_up
from pykeepalived.tools.lab import Lab, wait_until
from tests.interop.vrrp.vrrp_pairs import NOTE, PATIENCE_S, ROOT, Router, Shape, our_config, their_config

pytestmark = pytest.mark.netns
SHAPE = Shape(interval_us=100_000)


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    """A router of ours with nobody else on the cable."""
    with Lab("vrrp") as lab:
        space, far = lab.namespace("a"), lab.namespace("far")
        lab.link(space, "eth0", far, "eth0")
        space.address("eth0", "10.0.0.1/24")
        yield Router(lab, space, "process", shape=SHAPE, place=1, into=tmp_path)


def base() -> Config:
    return our_config(SHAPE, 1)


def with_instance(**changes: Any) -> Config:
    return Config(instances=(msgspec.structs.replace(base().instances[0], **changes),))


def virtual(text: str) -> VirtualAddress:
    address, _, length = text.partition("/")
    return VirtualAddress(prefix=IpPrefix(address, int(length)))


def plain(router: Router) -> set[str]:
    return {item[1] for item in router.virtual()}


def reload(router: Router, config: Config) -> None:
    assert router.process is not None
    count = router.said().count("reloaded")
    router.write(config, their_config(SHAPE, 1))
    router.process.send_signal(signal.SIGHUP)
    wait_until(lambda: router.said().count("reloaded") > count, PATIENCE_S, "reloaded")


def looked_at(router: Router) -> dict[str, Any]:
    assert router.process is not None
    found = router.file.with_suffix(".status")
    found.unlink(missing_ok=True)
    router.process.send_signal(signal.SIGUSR1)
    wait_until(found.exists, PATIENCE_S, "status written")
    status: dict[str, Any] = json.loads(found.read_text())
    return status


def test_after_a_kill_the_next_start_leaves_no_address_that_nobody_owns(router: Router) -> None:
    router.start()
    router.wait_for("MASTER")
    router.kill()
    assert plain(router) == {"10.0.0.9", "10.0.0.10", "10.1.0.9"}, "a killed process cannot clean up"
    router.namespace.ip("addr", "add", "10.5.5.5/32", "dev", "eth0")
    # The file knows another address now, and a priority that waits for long: only the list tells what is left over.
    router.write(with_instance(addresses=(virtual("10.0.0.77/32"),), excluded_addresses=(), version=2), "")
    router.start()
    wait_until(lambda: router.said().count(" started\n") == 2, PATIENCE_S, "second start")
    assert plain(router) == {"10.5.5.5"}, "an address of somebody else stays"
    router.namespace.ip("addr", "del", "10.5.5.5/32", "dev", "eth0")
    router.stop()


def test_whoever_survives_a_killed_process_takes_its_addresses_away(router: Router, tmp_path: Path) -> None:
    lines: list[str] = []

    class Log:
        def info(self, text: str) -> None:
            lines.append(text)

        detail = error = info

    # The host keeps its list below /run, which is private to the namespace: give it one that we can see as well.
    state = tmp_path / "state"
    state.mkdir()
    router.namespace.run("mkdir", "/run/pykeepalived")
    router.namespace.bind(state, "/run/pykeepalived")
    router.start()
    router.wait_for("MASTER")
    with router.namespace.inside():
        clean_up(Options(state_directory=str(state)), Log(), Config())
    assert len(plain(router)) == 3, "the owner lives"
    assert lines == []
    router.kill()
    with router.namespace.inside():
        clean_up(Options(state_directory=str(state)), Log(), Config())
    assert plain(router) == set()
    assert len(lines) == 3
    assert "Removed 10.0.0.9/24 from eth0, left by a killed process" in lines


def test_two_processes_in_one_namespace_keep_their_own_lists(router: Router, tmp_path: Path) -> None:
    router.start()
    router.wait_for("MASTER")
    other = Router(router.lab, router.namespace, "process", shape=SHAPE, place=1, into=tmp_path / "..")
    other.file = tmp_path / "other.conf"
    other.log = tmp_path / "other.log"
    other.write(with_instance(name="OTHER", vrid=77, addresses=(virtual("10.0.0.88/32"),), excluded_addresses=()), "")
    other.start()
    wait_until(lambda: "10.0.0.88" in plain(router), PATIENCE_S, "the second one is MASTER")
    assert {"10.0.0.9", "10.0.0.10", "10.1.0.9"} < plain(router), "a list of the living is not touched"
    other.stop()
    assert len(plain(router)) == 3
    router.stop()


def test_a_reload_moves_only_what_changed(router: Router) -> None:
    router.start()
    router.wait_for("MASTER")
    router.wait_notified("INSTANCE VI_0 MASTER 150")
    before = router.notified()
    reload(router, with_instance(name="RENAMED", addresses=(virtual("10.0.0.9/24"), virtual("10.0.0.11/32"))))
    assert plain(router) == {"10.0.0.9", "10.0.0.11", "10.1.0.9"}
    assert router.notified() == before, "MASTER stays MASTER"
    status = looked_at(router)
    (instance,) = status["instances"]
    assert (instance["name"], instance["state"]) == ("RENAMED", "MASTER")
    assert {item["address"] for item in instance["addresses"] if item["set"]} == {
        "10.0.0.9/24",
        "10.0.0.11/32",
        "10.1.0.9/32",
    }
    # The instance goes; its successor is another virtual router on the same interface.
    reload(router, with_instance(name="NEXT", vrid=99, addresses=(virtual("10.0.0.12/32"),), excluded_addresses=()))
    assert "10.0.0.9" not in plain(router)
    router.wait_notified("INSTANCE RENAMED FAULT 150")
    wait_until(lambda: plain(router) == {"10.0.0.12"}, PATIENCE_S, "the new one is MASTER")
    router.stop()
    assert plain(router) == set()


def test_an_interface_that_comes_later_or_comes_back_is_used(router: Router) -> None:
    router.write(with_instance(interface="late0", addresses=(virtual("10.3.0.9/24"),), excluded_addresses=()), "")
    router.start()
    router.wait_notified("INSTANCE VI_0 FAULT 150")
    for count in (1, 2):
        router.namespace.ip("link", "add", "late0", "type", "veth", "peer", "name", "late1")
        router.namespace.address("late0", "10.3.0.1/24")
        router.namespace.up("late0")
        router.namespace.up("late1")
        wait_until(lambda: "10.3.0.9" in plain(router), PATIENCE_S, "MASTER on the new interface")
        router.wait_notified("INSTANCE VI_0 MASTER 150", count=count)
        router.namespace.ip("link", "del", "late0")
        router.wait_notified("INSTANCE VI_0 FAULT 150", count=count + 1)
    router.stop()


def test_the_loss_of_the_source_address_is_a_fault(router: Router) -> None:
    router.start()
    router.wait_for("MASTER")
    router.namespace.ip("addr", "add", "10.0.0.3/24", "dev", "eth0")
    # promote_secondaries keeps the second address when the first one goes.
    router.namespace.sysctl("net.ipv4.conf.eth0.promote_secondaries", 1)
    router.namespace.ip("addr", "del", "10.0.0.1/24", "dev", "eth0")
    wait_until(lambda: looked_at(router)["instances"][0]["source"] == "10.0.0.3", PATIENCE_S, "next address")
    assert looked_at(router)["instances"][0]["state"] == "MASTER"
    router.stop()


def test_static_addresses_are_set_first_put_back_and_removed_at_the_end(router: Router) -> None:
    static = tuple(msgspec.structs.replace(virtual(text), dev="eth0") for text in ("10.4.0.1/32", "10.4.0.2/32"))
    router.write(Config(static_addresses=static), "")
    router.start()
    wait_until(lambda: plain(router) == {"10.4.0.1", "10.4.0.2"}, PATIENCE_S, "static addresses")
    router.namespace.ip("addr", "del", "10.4.0.1/32", "dev", "eth0")
    wait_until(lambda: plain(router) == {"10.4.0.1", "10.4.0.2"}, PATIENCE_S, "the lost one is put back")
    assert "Netlink reflector reports IP 10.4.0.1 removed from eth0" in router.said()
    reload(router, Config(static_addresses=static[1:]))
    assert plain(router) == {"10.4.0.2"}
    router.stop()
    assert plain(router) == set()


def test_becoming_master_sends_an_advert_then_gratuitous_arp(router: Router, tmp_path: Path) -> None:
    file = tmp_path / "frames.pcap"
    far = router.lab.namespaces["far"]
    argv = ("tcpdump", "-i", "eth0", "--immediate-mode", "-U", "-Z", "root", "-w", file, "arp or proto 112")
    watching = router.lab.popen(far, *argv)
    wait_until(lambda: file.exists() and file.stat().st_size >= 24, PATIENCE_S, "tcpdump has begun")
    garp = GarpSettings(delay_us=300_000, repeat=3)
    router.write(with_instance(garp=garp, addresses=(virtual("10.0.0.9/24"),), excluded_addresses=()), "")
    router.start()
    router.wait_notified("INSTANCE VI_0 MASTER 150")
    wait_until(lambda: len(_frames(file, "arp")) >= 6, PATIENCE_S, "two rounds of three")
    router.stop()
    wait_until(lambda: _frames(file, "vrrp.prio == 0"), PATIENCE_S, "farewell")
    watching.terminate()
    watching.wait(PATIENCE_S)
    both = _frames(file, "vrrp or arp")
    assert both[0][0] == "0x0800", "the advert comes first"
    announcements = _frames(file, "arp")
    mac = json.loads(router.namespace.ip("-j", "link", "show", "eth0"))[0]["address"]
    assert len(announcements) == 6
    assert {tuple(row[1:]) for row in announcements} == {
        ("1", mac, "10.0.0.9", "ff:ff:ff:ff:ff:ff", "10.0.0.9", "", "")
    }
    numbers = [int(row[6], 0) for row in _frames(file, "vrrp")]
    assert numbers == list(range(1, len(numbers) + 1)), "the IP identification counts up"
    assert {row[7] for row in _frames(file, "vrrp")} == {"0xc0"}


def _frames(file: Path, what: str) -> list[list[str]]:
    fields = ("eth.type", "arp.opcode", "arp.src.hw_mac", "arp.src.proto_ipv4", "arp.dst.hw_mac", "arp.dst.proto_ipv4")
    columns = [word for field in (*fields, "ip.id", "ip.dsfield") for word in ("-e", field)]
    done = subprocess.run(
        ["tshark", "-n", "-r", file, "-Y", what, "-T", "fields", *columns],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,  # the last packet may be half written
    )
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_status_and_dumps_say_what_keepaliveds_say(router: Router) -> None:
    router.start()
    router.wait_for("MASTER")
    wait_until(lambda: looked_at(router)["instances"][0]["stats"]["advert_sent"] >= 3, PATIENCE_S, "adverts")
    (instance,) = looked_at(router)["instances"]
    assert instance["source"] == "10.0.0.1"
    assert instance["effective_priority"] == 150
    text = router.file.with_suffix(".json").read_text()
    assert text.endswith("]\n")
    assert "\\/" in text
    (element,) = json.loads(text)
    assert list(element) == ["data", "stats"]
    keys = (
        "iname dont_track_primary skip_check_adv_addr strict_mode vmac_ifname ifp_ifname master_priority "
        "last_transition garp_delay garp_refresh garp_rep garp_refresh_rep garp_lower_prio_delay garp_lower_prio_rep "
        "lower_prio_no_advert higher_prio_send_advert vrid base_priority effective_priority vipset promote_secondaries "
        "adver_int master_adver_int accept nopreempt preempt_delay state wantstate version smtp_alert notify_deleted "
        "script_master script vips evips auth_type"
    )
    assert " ".join(element["data"]) == keys
    data = element["data"]
    assert (data["state"], data["wantstate"], data["version"], data["adver_int"]) == (2, 2, 3, 0.1)
    assert data["vips"] == ["10.0.0.9/24 dev eth0 scope global set", "10.0.0.10 dev eth0 scope global set"]
    assert data["script_master"] == f"'{NOTE}' 'to-master' 'VI_0'"
    assert element["stats"]["become_master"] == 1
    stats = router.file.with_suffix(".stats").read_text()
    assert re.match(
        r"VRRP Instance: VI_0\n  Advertisements:\n    Received: 0\n    Sent: \d+\n  Became master: 1\n", stats
    )
    topology = router.file.with_suffix(".data").read_text().partition("------< VRRP Topology >------\n")[2]
    assert topology.startswith(" VRRP Instance = VI_0\n   VRRP Version = 3\n   State = MASTER\n   Flags: none\n")
    assert "   Virtual IP (2):\n     10.0.0.9/24 dev eth0 scope global set\n" in topology
    router.stop()


def test_many_instances_change_hands_together(router: Router) -> None:
    """200 instances of one interface: adverts, one batch of addresses, and none of it is forgotten on the way out."""
    instances = tuple(
        VrrpInstance(
            name=f"VI_{number}",
            vrid=number,
            interface="eth0",
            version=3,
            advert_interval_us=500_000,
            addresses=(virtual(f"10.2.0.{number}/32"),),
        )
        for number in range(1, 201)
    )
    router.write(Config(instances=instances), "")
    router.start()
    wait_until(lambda: len(router.virtual()) == 200, PATIENCE_S, "200 addresses")
    router.stop()
    assert router.virtual() == set()


def test_without_rights_it_ends_and_says_why(tmp_path: Path) -> None:
    file = tmp_path / "a.conf"
    file.write_bytes(msgspec.json.encode(base()))
    argv = ["setpriv", "--bounding-set=-net_raw,-net_admin", "--inh-caps=-net_raw,-net_admin", sys.executable]
    host = ("-m", "tests.interop.vrrp.vrrp_host", file, "/run/pykeepalived")
    with Lab("vrrp") as lab:
        done = lab.namespace("a").run(*argv, *host, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert "VRRP cannot start: Operation not permitted" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_the_monitor_needs_no_rights_to_look(router: Router) -> None:
    with router.namespace.inside():
        requests = Requests()
        monitor = Monitor(requests)
    try:
        assert monitor.interface_with("10.0.0.1") == "eth0"
        assert monitor.interface_with("192.0.2.200") is None
    finally:
        monitor.close()
        requests.close()

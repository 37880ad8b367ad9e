"""`nftables_ipvs`: which marks and services there are, and that nft lists what keepalived's rules list."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pykeepalived.dialects.keepalived import load
from pykeepalived.lvs.marks import Marks
from pykeepalived.lvs.names import ServiceRef
from pykeepalived.lvs.table import ServiceKey
from pykeepalived.model.common import Family
from pykeepalived.model.config import Config
from pykeepalived.model.lvs import GroupAddress, GroupFwmark, GroupSelector, Protocol, VirtualServer, VirtualServerGroup
from pykeepalived.tools.lab import Lab, Namespace, wait_until
from tests.dialects.keepalived.fake_host import FakeHost
from tests.lvs.stage import Stage

ANSWERS = Path(__file__).parents[2] / "benchmarks" / "ipvs_answers.c"
GLOBALS = {
    "plain": ("", "nftables_ipvs"),
    "all words": (
        "nftables_counters",
        "nftables_ipvs marks\n    nftables_ipvs_priority -7\n    nftables_ipvs_start_fwmark 2000",
    ),
}
GROUPS = """
virtual_server_group G4 {
    10.0.0.5 80
    10.0.0.10-12 443
}
virtual_server_group G6 {
    2001:db8::5 80
    2001:db8::10-13 80
}
virtual_server_group both {
    2001:db8::7 80
    10.0.0.90-95 80
}
virtual_server_group with_mark {
    10.0.0.200 80
    fwmark 9
}
"""
SERVICES = (
    ("G4", "NAT", "TCP", ("192.168.0.2",)), ("G6", "NAT", "TCP", ("2001:db8:1::2",)),
    ("G4", "NAT", "UDP", ("192.168.0.3",)), ("both", "TUN", "SCTP", ("192.168.0.3", "2001:db8:1::2")),
    ("with_mark", "DR", "UDP", ("192.168.0.2",)),
)  # fmt: skip


def text(words: tuple[str, str]) -> str:
    services = "".join(
        f"virtual_server group {group} {{\n    lb_algo rr\n    lb_kind {kind}\n    protocol {protocol}\n"
        + "".join(f"    real_server {address} 80 {{\n    }}\n" for address in servers)
        + "}\n"
        for group, kind, protocol, servers in SERVICES
    )
    lines = "\n    ".join(word for word in words if word)
    return f"global_defs {{\n    router_id lb1\n    {lines}\n}}\n{GROUPS}{services}"


def configured(path: Path, words: tuple[str, str]) -> Config:
    path.write_text(text(words))
    return load(str(path), host=FakeHost()).config


def ref(name: str, protocol: Protocol = Protocol.TCP) -> ServiceRef:
    return ServiceRef(VirtualServer(selector=GroupSelector(name), protocol=protocol))


GROUP = VirtualServerGroup(name="a", entries=(GroupAddress("10.0.0.5", "10.0.0.9", 80),))
OTHER = VirtualServerGroup(
    name="b", entries=(GroupAddress("10.0.0.1", "10.0.0.20", 80), GroupAddress("2001:db8::1", "2001:db8::1", 80))
)
MIXED = VirtualServerGroup(name="c", entries=(GroupAddress("10.0.0.7", "10.0.0.7", 80), GroupFwmark(3, None)))


def test_each_virtual_server_has_a_mark_and_keeps_it() -> None:
    marks = Marks(1000)
    groups = [GROUP, OTHER]
    assert marks.keys(ref("a"), groups) == [ServiceKey.for_mark(1000, Family.INET)]
    assert marks.keys(ref("b"), groups) == [
        ServiceKey.for_mark(1001, Family.INET), ServiceKey.for_mark(1001, Family.INET6)
    ]  # fmt: skip
    assert marks.keys(ref("a"), groups)[0].fwmark == 1000
    marks.forget(ref("a").key)
    assert marks.keys(ref("b"), groups)[0].fwmark == 1001
    assert marks.keys(ref("a", Protocol.UDP), groups)[0].fwmark == 1002


def test_a_group_with_a_mark_is_served_entry_by_entry() -> None:
    keys = Marks(1000).keys(ref("c"), [MIXED])
    assert [(key.address, key.fwmark) for key in keys] == [("10.0.0.7", 0), ("", 3)]
    assert Marks(None).keys(ref("a"), [GROUP])[0].address == "10.0.0.5"


def test_an_address_that_two_name_belongs_to_the_first() -> None:
    marks = Marks(1)
    for name in ("a", "b"):
        marks.keys(ref(name), [GROUP, OTHER])
    assert [(item.first, item.last, item.mark) for item in marks.spans()] == [
        ("10.0.0.5", "10.0.0.9", 1), ("10.0.0.1", "10.0.0.4", 2), ("10.0.0.10", "10.0.0.20", 2),
        ("2001:db8::1", "2001:db8::1", 2),
    ]  # fmt: skip


@pytest.fixture
def space() -> Iterator[Namespace]:
    with Lab(f"marks-{os.getpid()}") as lab:
        yield lab.namespace("a")


def ruleset(space: Namespace) -> str:
    return space.run("nft", "list", "ruleset").stdout


@pytest.mark.netns
@pytest.mark.peer
@pytest.mark.parametrize("words", GLOBALS.values(), ids=GLOBALS)
@pytest.mark.shows("global_defs.{nftables_ipvs,nftables_ipvs_priority,nftables_ipvs_start_fwmark,nftables_counters}")
def test_the_rules_are_keepalived_s(space: Namespace, tmp_path: Path, words: tuple[str, str]) -> None:
    """A library of ours answers keepalived's IPVS requests: this kernel may have none."""
    if shutil.which("gcc") is None:
        pytest.skip("the peer needs gcc")
    answers = tmp_path / "answers.so"
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", answers, ANSWERS, "-ldl"], check=True, timeout=60)
    config = configured(tmp_path / "conf", words)
    peer = space.popen(
        "env", f"LD_PRELOAD={answers}", "/usr/sbin/keepalived", "-n", "-l", "-C", "-f", tmp_path / "conf",
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        theirs = wait_until(lambda: (found := ruleset(space)).count("sctp_map") == 4 and found, 15, "their rules")
    finally:
        peer.terminate()
        peer.wait(60)
    wait_until(lambda: not ruleset(space), 5, "no rules")
    with space.inside():
        stage = Stage()
        stage.program.start(config)
        try:
            assert ruleset(space) == theirs
            marks = sorted((key.fwmark, key.family.name) for key in stage.dataplane.table if key.fwmark)
            first = int(re.findall(r": (0x[0-9a-f]+)", theirs)[0], 16)
            assert marks == sorted(
                [(9, "INET"), (first, "INET"), (first + 1, "INET6"), (first + 2, "INET"), (first + 3, "INET"),
                 (first + 3, "INET6")]
            )  # fmt: skip
            fewer = configured(tmp_path / "conf", ("", ""))
            assert fewer.globals.packet_marks is None
            stage.program.reload(fewer)
            assert ruleset(space) == theirs, "not changed by a reload, as keepalived's"
            kept = tuple(item for item in fewer.virtual_servers if item.protocol is Protocol.TCP)
            stage.program.reload(msgspec.structs.replace(fewer, virtual_servers=kept))
            assert "udp_map" not in ruleset(space)
            assert "tcp_map" in ruleset(space)
            assert {key.fwmark for key in stage.dataplane.table} == {first, first + 1}
        finally:
            stage.close()


@pytest.mark.netns
def test_a_group_for_all_ports_is_marked_by_address(space: Namespace, tmp_path: Path) -> None:
    file = tmp_path / "conf"
    file.write_text(
        "global_defs {\n nftables_ipvs\n}\nvirtual_server_group A {\n 10.0.0.5 0\n 10.0.0.5 80\n}\n"
        "virtual_server group A {\n lb_algo rr\n lb_kind DR\n protocol TCP\n real_server 10.0.1.1 0 {\n }\n}\n"
    )
    with space.inside():
        stage = Stage()
        stage.program.start(load(str(file), host=FakeHost()).config)
        assert "10.0.0.5 : 0x000003e8" in ruleset(space)
        [(key, entry)] = stage.dataplane.table.items()
        assert (key.fwmark, entry.service.persistence_timeout_s) == (1000, 360)
        stage.close()
        assert ruleset(space) == ""

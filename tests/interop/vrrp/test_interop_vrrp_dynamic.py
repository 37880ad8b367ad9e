"""Interfaces that come, go and change their kind while we run, beside Debian's keepalived."""

from __future__ import annotations

import concurrent.futures
import re
from pathlib import Path

import pytest

from pykeepalived.tools.lab import wait_until
from tests.interop.vrrp.test_interop_vrrp_vmac import PROGRAMS, instance
from tests.interop.vrrp.vrrp_single import Single, single

pytestmark = [pytest.mark.netns, pytest.mark.peer]

TEXT = "global_defs {\n dynamic_interfaces @OPTION@\n}\nstatic_ipaddress {\n 10.7.0.1/24 dev eth1\n}\n" + "".join(
    [
        instance(
            "V1", "eth0", 51, "virtual_routes {\n 10.77.0.0/24 via 10.8.0.2 dev eth1 no_track\n}", "10.9.0.100/24"
        ),
        instance("V2", "eth1", 52, "", "10.8.0.100/24"),
        instance("V3", "late0", 53, "", "10.6.0.100/24"),
    ]
)


def live(program: str, option: str, into: Path) -> list[object]:
    """What is there after each thing that happens to the interfaces."""
    seen: list[object] = []
    with single(program, TEXT.replace("@OPTION@", option), into) as router:
        router.start()
        router.wait_said("Entering MASTER STATE", count=2)
        wait_until(lambda: "10.77.0.0" in router.here.ip("route"), 120, "the route")

        def note(masters: int) -> None:
            router.wait_said("Entering MASTER STATE", count=masters)
            wait_until(lambda: router.here.has_address("10.8.0.100", "eth1"), 120, "the address of V2")
            wait_until(lambda: router.here.has_address("10.7.0.1", "eth1"), 120, "the static address")
            # Nobody puts a route back that is not tracked.
            seen.append((router.addresses("eth1")[:-1], "10.77.0.0" in router.here.ip("route")))

        router.here.down("eth1")
        router.wait_said("(V2) Entering FAULT STATE")
        router.here.up("eth1")
        note(3)
        router.here.ip("link", "del", "eth1")
        router.wait_said("(V2) Entering FAULT STATE", count=2)
        router.lab.link(router.here, "eth1", router.peer, "eth1")
        router.here.address("eth1", "10.8.0.1/24")
        note(4)
        router.here.ip("link", "del", "eth1")
        router.wait_said("(V2) Entering FAULT STATE", count=3)
        bridge(router, "eth1", "10.8.0.1/24")
        note(5)
        bridge(router, "late0", "10.6.0.1/24")
        router.wait_said("(V3) Entering MASTER STATE")
        wait_until(lambda: router.here.has_address("10.6.0.100", "late0"), 120, "the address of V3")
        router.stop()
        found = re.findall(r"\((V\d)\) Entering ([A-Z]+) STATE(?! \(init)", router.said())
        seen += [[state for name, state in found if name == each] for each in ("V1", "V2", "V3")]
    return seen


def bridge(router: Single, name: str, address: str) -> None:
    router.here.ip("link", "add", name, "type", "bridge")
    router.here.up(name)
    router.here.address(name, address)


@pytest.mark.shows("global_defs.dynamic_interfaces", "static_ipaddress")
@pytest.mark.parametrize("option", ["", "allow_if_changes"])
def test_interfaces_come_and_go(option: str, tmp_path: Path) -> None:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        theirs, ours = pool.map(lambda program: live(program, option, tmp_path), PROGRAMS)
    assert ours == theirs
    assert ours[-1] == ["BACKUP", "MASTER"]

"""What another program takes away, and what is left when we end: ours beside Debian's keepalived."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykeepalived.tools.lab import Lab, wait_until
from tests.interop.routes.routes_router import OURS, PATIENCE_S, THEIRS, Router, config

pytestmark = [pytest.mark.netns, pytest.mark.peer]

STATIC = """
static_ipaddress {
    192.0.2.200/24 dev eth0
}
static_routes {
    198.51.100.0/24 via 192.0.2.254 dev eth0
    198.51.101.0/24 dev eth1
    198.51.102.0/24 via 192.0.2.254
    198.51.103.0/24 via 192.0.2.254 dev eth0 no_track
    2001:db8:1::/64 via 2001:db8::9 dev eth0
}
static_rules {
    from 192.0.2.0/24 table 100 preference 100
    from 192.0.2.0/24 table 100 preference 101 no_track
}
"""
ROUTES = """
198.51.111.0/24 via 192.0.2.254 dev eth0
198.51.112.0/24 via 192.0.2.254 dev eth0 no_track
198.51.113.0/24 via 192.0.2.254
2001:db8:2::/64 via 2001:db8::9 dev eth0
"""
RULES = """
from 192.0.2.9 table 100 preference 110
from 192.0.2.9 table 100 preference 111 no_track
"""
EVERYTHING = config(head=STATIC, routes=ROUTES, rules=RULES)


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab("routes") as made:
        yield made


@pytest.fixture(params=[OURS, THEIRS])
def router(request: pytest.FixtureRequest, lab: Lab, tmp_path: Path) -> Iterator[Router]:
    made = Router(lab, request.param, tmp_path)
    yield made
    made.stop()


@pytest.fixture
def ours(lab: Lab, tmp_path: Path) -> Iterator[Router]:
    made = Router(lab, OURS, tmp_path)
    yield made
    made.stop()


def started(router: Router, text: str = EVERYTHING) -> None:
    router.start_as_master(text)
    wait_until(lambda: 110 in router.preferences(), PATIENCE_S, "rules")


def wait_for_route(router: Router, destination: str) -> None:
    wait_until(lambda: destination in router.destinations(), PATIENCE_S, f"{destination} is back")


@pytest.mark.shows("static_routes.{dev,no_track}", "static_rules.{preference,no_track}", "static_ipaddress.dev")
def test_static_lines_come_back_and_untracked_ones_do_not(router: Router) -> None:
    started(router)
    space = router.space
    for destination in ("198.51.102.0/24", "198.51.103.0/24"):
        space.ip("route", "del", destination)
    space.ip("rule", "del", "pref", "101")
    for destination in ("198.51.100.0/24", "198.51.101.0/24"):
        space.ip("route", "del", destination)
        wait_for_route(router, destination)
    space.ip("-6", "route", "del", "2001:db8:1::/64")
    wait_for_route(router, "2001:db8:1::/64")
    space.ip("rule", "del", "pref", "100")
    wait_until(lambda: 100 in router.preferences(), PATIENCE_S, "rule is back")
    assert router.said("Restoring deleted static") >= 4
    assert not router.destinations() & {"198.51.102.0/24", "198.51.103.0/24"}
    assert 101 not in router.preferences()
    assert router.said("Entering BACKUP STATE") <= 1, "static lines elect nobody"
    router.stop()
    assert router.routes() == router.rules() == []


def test_static_routes_come_back_with_their_interface(router: Router) -> None:
    started(router)
    router.space.down("eth1")
    wait_until(lambda: "198.51.101.0/24" not in router.destinations(), PATIENCE_S, "route went with its interface")
    router.space.up("eth1")
    wait_for_route(router, "198.51.101.0/24")
    router.space.ip("link", "del", "eth1")
    wait_until(lambda: "198.51.101.0/24" not in router.destinations(), PATIENCE_S, "route went with its interface")
    router.space.ip("link", "add", "eth1", "type", "veth", "peer", "name", "peer1")
    router.space.up("peer1")
    router.space.up("eth1")
    wait_for_route(router, "198.51.101.0/24")


@pytest.mark.shows("vrrp_instance.virtual_routes.{no_track,dev}", "vrrp_instance.virtual_rules.no_track")
def test_a_lost_route_or_rule_of_a_master_starts_an_election_and_untracked_ones_do_not(router: Router) -> None:
    started(router)
    entered = router.said("Entering MASTER STATE")
    space = router.space
    for destination in ("198.51.112.0/24", "198.51.113.0/24"):
        space.ip("route", "del", destination)
    space.ip("rule", "del", "pref", "111")
    removals = [("route", "del", "198.51.111.0/24"), ("rule", "del", "pref", "110")]
    if router.program == OURS:
        # keepalived 2.2.7 does not notice this one.
        removals.append(("-6", "route", "del", "2001:db8:2::/64"))
    for number, words in enumerate(removals, start=1):
        space.ip(*words)
        wait_until(
            lambda number=number: router.said("Entering MASTER STATE") == entered + number, PATIENCE_S, "MASTER again"
        )
        wait_until(lambda: {110, 111} <= router.preferences(), PATIENCE_S, "rules are back")
        assert {"198.51.111.0/24", "198.51.112.0/24", "2001:db8:2::/64"} <= router.destinations()
    assert router.said("Entering BACKUP STATE") >= len(removals)


@pytest.mark.shows("vrrp_instance.on_loss")
def test_on_loss_reinstate_puts_back_without_an_election(ours: Router) -> None:
    started(ours, config(head=STATIC, routes=ROUTES, rules=RULES, words="on_loss reinstate"))
    entered, backup = ours.said("Entering MASTER STATE"), ours.said("Entering BACKUP STATE")
    ours.space.ip("route", "del", "198.51.111.0/24")
    wait_for_route(ours, "198.51.111.0/24")
    ours.space.ip("rule", "del", "pref", "110")
    wait_until(lambda: 110 in ours.preferences(), PATIENCE_S, "rule is back")
    announced = ours.said("Put 192.0.2.50/24 back on eth0")
    ours.space.ip("addr", "del", "192.0.2.50/24", "dev", "eth0")
    wait_until(lambda: ours.said("Put 192.0.2.50/24 back on eth0") > announced, PATIENCE_S, "address is back")
    assert ours.space.has_address("192.0.2.50", "eth0")
    assert (ours.said("Entering MASTER STATE"), ours.said("Entering BACKUP STATE")) == (entered, backup)
    # Who takes away faster than that starts an election all the same.
    for _ in range(12):
        ours.space.ip("rule", "del", "pref", "110")
        wait_until(lambda: 110 in ours.preferences(), PATIENCE_S, "rule is back", interval_s=0.005)
        if ours.said("Entering MASTER STATE") > entered:
            break
    assert ours.said("Entering MASTER STATE") > entered


@pytest.mark.shows("vrrp_instance.{virtual_routes,virtual_rules}", "static_routes", "static_rules")
def test_a_reload_changes_the_lines_that_differ_and_no_others(ours: Router) -> None:
    started(ours)
    entered = ours.said("Entering MASTER STATE")
    with (ours.file.parent / "monitor").open("wb") as monitor:
        watch = ours.space.popen("ip", "monitor", "route", "rule", stdout=monitor)
    try:
        head = STATIC.replace("198.51.101.0/24 dev eth1", "198.51.201.0/24 dev eth1").replace(
            "preference 100", "preference 99"
        )
        routes = ROUTES.replace("198.51.111.0/24", "198.51.211.0/24")
        ours.reload(config(head=head, routes=routes, rules=RULES.replace("preference 110", "preference 109")))
        wait_until(lambda: {99, 109} <= ours.preferences(), PATIENCE_S, "new rules")
        wait_for_route(ours, "198.51.211.0/24")
        assert {100, 110} & ours.preferences() == set()
        assert {"198.51.101.0/24", "198.51.111.0/24"} & ours.destinations() == set()
        assert {"198.51.201.0/24", "198.51.100.0/24", "198.51.112.0/24"} <= ours.destinations()
        assert ours.said("Entering MASTER STATE") == entered
    finally:
        watch.terminate()
        watch.wait(PATIENCE_S)
    seen = (ours.file.parent / "monitor").read_text()
    assert "198.51.211.0/24" in seen
    assert "198.51.112.0/24" not in seen
    assert "198.51.100.0/24" not in seen


def test_after_a_kill_the_next_start_leaves_nothing_behind(ours: Router) -> None:
    started(ours)
    assert ours.process is not None
    os.killpg(ours.process.pid, signal.SIGKILL)
    for pid in ours.space.processes():
        with contextlib.suppress(OSError):
            if "keepalived" in Path(f"/proc/{pid}/cmdline").read_text(errors="replace"):
                os.kill(pid, signal.SIGKILL)
    ours.process.wait(PATIENCE_S)
    assert "198.51.111.0/24" in ours.destinations(), "a killed process cannot clean up"
    assert 110 in ours.preferences()
    for name in ("pid", "vrrp.pid", "checkers.pid"):
        (ours.file.parent / name).unlink(missing_ok=True)
    ours.space.ip("route", "add", "198.51.222.0/24", "via", "192.0.2.254", "proto", "static")
    # Nothing of the old file stands in the new one: only the list of the dead process tells.
    ours.start("vrrp_instance b {\ninterface eth1\nvirtual_router_id 7\nvirtual_ipaddress {\n203.0.113.50\n}\n}\n")
    wait_until(lambda: ours.destinations() == {"198.51.222.0/24"} and not ours.rules(), PATIENCE_S, "all is gone")
    assert not ours.space.has_address("192.0.2.50")


@pytest.mark.shows("static_routes.track_group", "static_rules.track_group")
@pytest.mark.parametrize("block", ["static_routes", "static_rules"])
def test_the_interface_of_a_grouped_static_line_faults_the_group(ours: Router, block: str) -> None:
    line = "198.51.101.0/24 dev eth1 track_group g"
    if block == "static_rules":
        line = "from 192.0.2.0/24 dev eth1 table 100 preference 100 track_group g"
    head = f"{block} {{\n{line}\n}}\ntrack_group g {{\ngroup {{\na\n}}\n}}"
    ours.start_as_master(config(head=head))
    ours.space.down("eth1")
    wait_until(lambda: ours.said("Entering FAULT STATE"), PATIENCE_S, "FAULT")
    masters = ours.said("Entering MASTER STATE")
    ours.space.up("eth1")
    wait_until(lambda: ours.said("Entering MASTER STATE") > masters, PATIENCE_S, "MASTER")


@pytest.mark.shows("vrrp_instance.promote_secondaries")
def test_promote_secondaries_holds_while_the_instance_is_there_and_not_after(router: Router) -> None:
    def setting(name: str) -> str:
        return router.space.run("sysctl", "-n", f"net.ipv4.conf.{name}.promote_secondaries").stdout.strip()

    router.space.sysctl("net.ipv4.conf.eth0.promote_secondaries", 0)
    router.start_as_master(config(words="promote_secondaries", addresses="10.60.0.1/24"))
    wait_until(lambda: setting("eth0") == "1", PATIENCE_S, "setting")
    assert setting("all") == "0"
    wait_until(lambda: router.space.has_address("10.60.0.1"), PATIENCE_S, "primary address")
    # An address of the administrator: the daemon itself may take its own away when one of them is lost.
    router.space.ip("addr", "add", "10.60.0.9/24", "dev", "eth0")
    masters = router.said("Entering MASTER STATE")
    router.space.ip("addr", "del", "10.60.0.1/24", "dev", "eth0")
    assert router.space.has_address("10.60.0.9"), "promoted, not taken away with its primary"
    wait_until(lambda: router.said("Entering MASTER STATE") > masters, PATIENCE_S, "MASTER again")
    router.stop()
    assert router.space.has_address("10.60.0.9")
    assert setting("eth0") == "0"

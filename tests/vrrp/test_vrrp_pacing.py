"""Gaps between announcements, per interface and per garp_group."""

from __future__ import annotations

import pytest

from pykeepalived.model.vrrp import GarpGroup
from pykeepalived.vrrp.pacing import Announcement, Pacer

pytestmark = pytest.mark.shows(
    "global_defs.{vrrp_garp_interval,vrrp_gna_interval}",
    "garp_group",
    "garp_group.{garp_interval,gna_interval,interface,interfaces}",
)


def item(number: int, ifname: str = "eth0", *, owner: str = "A", neighbour: bool = False) -> Announcement:
    return Announcement(owner, ifname, neighbour, bytes((number,)))


def run(pacer: Pacer, until_us: int) -> list[tuple[int, int]]:
    """Instant and number of everything that leaves."""
    left = []
    while (at_us := pacer.next_us()) is not None and at_us <= until_us:
        left += [(at_us, each.frame[0]) for each in pacer.due(at_us)]
    return left


def test_without_gaps_nothing_waits():
    pacer = Pacer()
    assert len(pacer.offer([item(number) for number in range(9)], 0)) == 9
    assert pacer.next_us() is None


def test_the_gap_is_kept_and_the_order():
    pacer = Pacer(garp_us=1000)
    assert [each.frame[0] for each in pacer.offer([item(number) for number in range(4)], 10)] == [0]
    assert run(pacer, 10_000) == [(1010, 1), (2010, 2), (3010, 3)]
    assert pacer.offer([item(5)], 3500) == []
    assert run(pacer, 10_000) == [(4010, 5)]
    assert len(pacer.offer([item(6)], 9_000)) == 1


def test_interfaces_and_protocols_do_not_wait_for_one_another():
    pacer = Pacer(garp_us=1000, gna_us=500)
    wanted = [item(1), item(2, "eth1"), item(3, neighbour=True), item(4), item(5, neighbour=True)]
    assert [each.frame[0] for each in pacer.offer(wanted, 0)] == [1, 2, 3]
    assert run(pacer, 5000) == [(500, 5), (1000, 4)]


def test_a_group_shares_its_gap_and_has_no_other():
    group = GarpGroup(interfaces=("eth0", "eth1"), garp_interval_us=2000)
    pacer = Pacer(garp_us=1000, gna_us=700, groups=[group])
    wanted = [
        item(1),
        item(2, "eth1"),
        item(3, "eth2"),
        item(4, "eth2"),
        item(5, neighbour=True),
        item(6, neighbour=True),
    ]
    assert [each.frame[0] for each in pacer.offer(wanted, 0)] == [1, 3, 5, 6]
    assert run(pacer, 5000) == [(1000, 4), (2000, 2)]


def test_who_is_no_longer_master_says_nothing_more():
    pacer = Pacer(garp_us=1000)
    pacer.offer([item(1), item(2), item(3, owner="B"), item(4)], 0)
    pacer.drop("A")
    assert run(pacer, 5000) == [(1000, 3)]

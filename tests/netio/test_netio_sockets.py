"""The sockets of the pool on a cable between two namespaces."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from pykeepalived.model import Family
from pykeepalived.netio.arp import FrameSender
from pykeepalived.netio.frames.neighbour import AnnouncementCache
from pykeepalived.netio.frames.vrrp import AdvertSpec, Counters, Datagram
from pykeepalived.netio.sockets import BURST, Place, Received, SocketPool, Wish
from pykeepalived.tools.lab import Lab, wait_until

pytestmark = pytest.mark.netns
GROUP, OTHER_GROUP, GROUP6 = "224.0.0.18", "239.1.1.1", "ff02::12"
FOUR = Place("eth0", Family.INET)
SIX = Place("eth0", Family.INET6)


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab("sockets") as made:
        one, two = made.namespace("one"), made.namespace("two")
        made.link(one, "eth0", two, "eth0")
        one.address("eth0", "192.0.2.1/24", "fe80::1/64")
        two.address("eth0", "192.0.2.2/24", "fe80::2/64")
        yield made


class Side:
    """A pool that lives in one namespace."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.namespace = lab.namespaces[name]
        self.pool = SocketPool()

    def index(self) -> int:
        with self.namespace.inside():
            return socket.if_nametoindex("eth0")

    def want(self, *groups: str, place: Place = FOUR) -> dict[Place, str]:
        with self.namespace.inside():
            return self.pool.update({place: Wish(self.index(), frozenset(groups))})

    def hear(self, count: int, place: Place = FOUR) -> list[Received]:
        found: list[Received] = []

        def enough() -> bool:
            found.extend(self.pool.receive(place))
            return len(found) >= count

        wait_until(enough, 120, f"{count} packets")
        return found


@pytest.fixture
def sides(lab: Lab) -> Iterator[tuple[Side, Side]]:
    both = Side(lab, "one"), Side(lab, "two")
    yield both
    for side in both:
        side.pool.close()


def advert(destination: str, vrid: int = 1, ttl: int = 255) -> bytes:
    six = ":" in destination
    spec = AdvertSpec(
        source="fe80::1" if six else "192.0.2.1",
        destination=destination,
        vrid=vrid,
        version=3,
        interval_us=1_000_000,
        addresses=("fe80::9",) if six else ("192.0.2.9",),
        ttl=ttl,
    )
    return bytes(Datagram(spec, 100, Counters()).advert(100))


def test_each_side_hears_the_other_and_not_itself(sides: tuple[Side, Side]) -> None:
    one, two = sides
    assert one.want(GROUP) == two.want(GROUP) == {}
    sent = advert(GROUP)
    one.pool.send(FOUR, sent, GROUP)
    (heard,) = two.hear(1)
    assert heard.data[20:] == sent[20:]
    assert heard.data[:2] == sent[:2]
    assert heard.data[8] == 255
    one.pool.send(FOUR, advert("192.0.2.2", vrid=2), "192.0.2.2")
    assert two.hear(1)[0].data[21] == 2
    assert one.pool.receive(FOUR) == []


def test_only_own_groups_are_heard_and_a_group_can_be_left(sides: tuple[Side, Side]) -> None:
    one, two = sides
    one.want(GROUP)
    two.want(OTHER_GROUP)
    # Another socket of the same machine has joined: IP_MULTICAST_ALL would let us hear that too.
    stranger = Side.__new__(Side)
    stranger.namespace, stranger.pool = two.namespace, SocketPool()
    stranger.want(GROUP)
    for group in (GROUP, OTHER_GROUP):
        one.pool.send(FOUR, advert(group), group)
    assert [item.data[16:20] for item in two.hear(1)] == [socket.inet_aton(OTHER_GROUP)]
    two.want(GROUP)
    for group in (OTHER_GROUP, GROUP):
        one.pool.send(FOUR, advert(group), group)
    assert [item.data[16:20] for item in two.hear(1)] == [socket.inet_aton(GROUP)]
    stranger.pool.close()


def test_ipv6_tells_source_destination_and_hop_limit(sides: tuple[Side, Side]) -> None:
    one, two = sides
    one.want(GROUP6, place=SIX)
    two.want(GROUP6, place=SIX)
    sent = advert(GROUP6, ttl=254)
    one.pool.send(SIX, sent, GROUP6)
    (heard,) = two.hear(1, SIX)
    assert heard == Received(sent[40:], sent[8:24], sent[24:40], 254)
    assert one.pool.receive(SIX) == []


def test_one_reading_takes_a_bounded_number_of_packets(sides: tuple[Side, Side]) -> None:
    one, two = sides
    one.want(GROUP)
    two.want(GROUP)
    for _ in range(BURST + 10):
        one.pool.send(FOUR, advert(GROUP), GROUP)
    wait_until(lambda: len(two.pool.receive(FOUR)) == BURST, 120, "a full burst")


def test_an_interface_under_another_index_gets_other_sockets(lab: Lab, sides: tuple[Side, Side]) -> None:
    one, two = sides
    one.want(GROUP)
    two.want(GROUP)
    before = set(two.pool.receivers())
    assert two.want(GROUP) == {}
    assert set(two.pool.receivers()) == before, "nothing changed, nothing is opened again"
    one.namespace.ip("link", "del", "eth0")
    lab.link(one.namespace, "eth0", two.namespace, "eth0")
    one.namespace.address("eth0", "192.0.2.1/24")
    one.want(GROUP)
    two.want(GROUP)
    one.pool.send(FOUR, advert(GROUP), GROUP)
    assert len(two.hear(1)) == 1


def test_a_place_that_cannot_be_used_is_named_and_the_others_work(sides: tuple[Side, Side]) -> None:
    one, _ = sides
    nowhere = Place("nowhere0", Family.INET)
    with one.namespace.inside():
        failed = one.pool.update({nowhere: Wish(99, frozenset({GROUP})), FOUR: Wish(one.index(), frozenset({GROUP}))})
    assert failed == {nowhere: "No such device"}
    assert list(one.pool.receivers().values()) == [FOUR]
    with pytest.raises(OSError, match="no socket on the interface"):
        one.pool.send(nowhere, advert(GROUP), GROUP)


def test_an_instance_without_interface_uses_its_source_address(sides: tuple[Side, Side]) -> None:
    one, two = sides
    here, there = Place(None, Family.INET, "192.0.2.1"), Place(None, Family.INET, "192.0.2.2")
    for side, place in ((one, here), (two, there)):
        with side.namespace.inside():
            assert side.pool.update({place: Wish(None)}) == {}
    one.pool.send(here, advert("192.0.2.2"), "192.0.2.2")
    assert len(two.hear(1, there)) == 1


def test_frames_reach_the_neighbours_cache(lab: Lab) -> None:
    one, two = lab.namespaces["one"], lab.namespaces["two"]
    two.ip("neigh", "add", "192.0.2.9", "lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "stale")
    with one.inside():
        sender = FrameSender()
    mac = bytes.fromhex("020000000001")
    sender.send("eth0", AnnouncementCache().frame(mac, "192.0.2.9", router=False))
    wait_until(
        lambda: "02:00:00:00:00:01" in two.ip("neigh", "show", "192.0.2.9"), 120, "the cache has the new address"
    )
    with pytest.raises(OSError, match="No such device"):
        sender.send("nowhere0", b"\0" * 60)
    sender.close()

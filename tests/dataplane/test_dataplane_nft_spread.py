"""How evenly nftables spreads ten thousand clients, and how few of them a removed server moves.

The clients are datagrams with invented source addresses, written whole to the director's wire by one socket. Each
flow's server is read from connection tracking's own table.
"""

from __future__ import annotations

import socket
import struct
from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from pykeepalived.dataplane.conntrack import forget, translated
from pykeepalived.dataplane.nftables import NftablesDataplane
from pykeepalived.lvs.reconcile import diff
from pykeepalived.lvs.table import Destination, DestinationKey, Entry, Service, ServiceKey, Table
from pykeepalived.model.common import Family
from pykeepalived.model.lvs import Forwarding, Protocol
from pykeepalived.tools.lab import Lab, wait_until

pytestmark = pytest.mark.netns

VIP = "10.9.0.5"
KEY = ServiceKey.for_address(Protocol.UDP, VIP, 53, Family.INET)
SOURCES = 10_000
FIRST = int(IPv4Address("10.20.0.1"))
_BURST = 200


class Wire:
    """A director whose client side is a raw socket, and whose servers swallow everything."""

    def __init__(self, lab: Lab) -> None:
        self.client, self.director = lab.namespace("client"), lab.namespace("director")
        lab.link(self.client, "eth0", self.director, "eth0")
        self.director.address("eth0", "10.9.0.1/24", f"{VIP}/24")
        self.director.route("10.20.0.0/16", "dev", "eth0")
        self.director.ip("link", "add", "eth1", "type", "veth", "peer", "name", "eth2")
        self.director.address("eth1", "10.9.1.254/24")
        self.director.up("eth1")
        self.director.up("eth2")
        self.director.sysctl("net.ipv4.ip_forward", 1)
        for number in range(1, 21):
            self.director.ip("neigh", "add", f"10.9.1.{number}", "lladdr", "02:00:00:00:00:01", "dev", "eth1")
        words = self.director.ip("-o", "link", "show", "eth0").split()
        self._head = bytes.fromhex(words[words.index("link/ether") + 1].replace(":", "")) + bytes(5) + b"\x02\x08\x00"
        with self.client.inside():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            self.socket.bind(("eth0", 0))
        with self.director.inside():
            self.dataplane = NftablesDataplane()
        self.table: Table = {}

    def show(self, scheduler: str, weights: dict[str, int], **more: object) -> None:
        service = Service(scheduler=scheduler, **more)  # type: ignore[arg-type]
        servers = {
            DestinationKey(each, 53): Destination(weight=weight, forwarding=Forwarding())
            for each, weight in weights.items()
        }
        table = {KEY: Entry(service, servers)} if weights else {}
        with self.director.inside():
            assert self.dataplane.apply(diff(table, self.table)) == []
        self.table = table

    def ask(self) -> dict[str, str]:
        """One datagram of each source; which server each of them got."""
        with self.director.inside():
            forget(Family.INET, (), lambda _: True)
        before = self.sent()
        for start in range(0, SOURCES, _BURST):
            for number in range(start, start + _BURST):
                self.socket.send(self._datagram(FIRST + number))
            wait_until(lambda done=start + _BURST: self.sent() - before >= done, 10, "datagrams translated")
        with self.director.inside():
            return {flow.caller: flow.answers for flow in translated(Family.INET)}

    def sent(self) -> int:
        return sum(self.counts().values())

    def counts(self) -> Counter[str]:
        with self.director.inside():
            found = self.dataplane.counters()
        return Counter({kept.address: value.connections for (_, kept), value in found.items()})

    def _datagram(self, source: int) -> bytes:
        udp = struct.pack(">HHHH", 4000, 53, 9, 0) + b"?"
        head = struct.pack(">BBHHHBBHI", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, source) + socket.inet_aton(VIP)
        total = sum(struct.unpack(">10H", head))
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        return self._head + head[:10] + struct.pack(">H", ~total & 0xFFFF) + head[12:] + udp


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with Lab("nft-spread") as lab:
        opened = Wire(lab)
        yield opened
        opened.socket.close()
        opened.dataplane.close()


def servers(count: int, *weights: int) -> dict[str, int]:
    return {f"10.9.1.{number + 1}": weights[number] if weights else 1 for number in range(count)}


def test_rr_and_wrr_are_exact(wire: Wire) -> None:
    for scheduler, weights, expected in (
        ("rr", servers(4), [2500, 2500, 2500, 2500]),
        ("wrr", servers(3, 5, 3, 2), [5000, 3000, 2000]),
    ):
        wire.show("rr", {})
        wire.show(scheduler, weights)
        seen = Counter(wire.ask().values())
        assert [seen[server] for server in weights] == expected
        assert wire.counts() == seen, "the counters of the servers say the same"


@pytest.mark.parametrize("scheduler", ["random", "twos", "sh", "mh"])
def test_random_and_hashes_are_near_the_weights(wire: Wire, scheduler: str) -> None:
    wire.show("rr", {})
    weights = servers(4, 4, 3, 2, 1)
    wire.show(scheduler, weights)
    seen = Counter(wire.ask().values())
    assert sum(seen.values()) == SOURCES
    for server, weight in weights.items():
        assert abs(seen[server] / SOURCES - weight / 10) < 0.02, seen


def test_dh_sends_all_of_one_address_to_one_server(wire: Wire) -> None:
    wire.show("rr", {})
    wire.show("dh", servers(4))
    assert len(set(wire.ask().values())) == 1


@pytest.mark.parametrize("count", [5, 10])
def test_a_removed_server_moves_few_clients(wire: Wire, count: int) -> None:
    wire.show("rr", {})
    whole = servers(count)
    wire.show("mh", whole)
    before = wire.ask()
    assert wire.ask() == before, "a client comes back to its server"
    wire.show("mh", {server: weight for server, weight in whole.items() if server != "10.9.1.3"})
    after = wire.ask()
    assert len(before) == len(after) == SOURCES
    moved = sum(1 for source, server in before.items() if after[source] != server)
    assert 0.5 / count < moved / SOURCES < 1.5 / count

"""What nftables does beyond plain NAT: limits, one packet at a time, removal, counters without fixed ports, DR."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from collections.abc import Iterator

import pytest

from pykeepalived.dataplane import Counters
from pykeepalived.dataplane.conntrack import translated
from pykeepalived.dataplane.nft_options import Options
from pykeepalived.dataplane.nftables import NftablesDataplane
from pykeepalived.lvs.table import Destination, DestinationKey, Entry, Service, ServiceKey
from pykeepalived.model.common import Family
from pykeepalived.model.lvs import Forwarding, Protocol
from pykeepalived.tools.lab import Lab, Namespace, wait_until
from tests.dataplane.direct import DirectSite
from tests.dataplane.traffic import CLIENTS, PORT, SERVERS, SERVERS6, VIP, VIP6, WEB, Site, _line, lives

pytestmark = pytest.mark.netns

DNS = ServiceKey.for_address(Protocol.UDP, VIP, 53, Family.INET)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Lab("nft-abilities") as lab:
        opened = Site(lab, NftablesDataplane)
        yield opened
        opened.close()


@pytest.fixture(autouse=True)
def clean(site: Site) -> Iterator[None]:
    yield
    site.show({})


@contextlib.contextmanager
def options(site: Site, wanted: Options) -> Iterator[None]:
    with site.director.inside():
        site.dataplane.configure(wanted)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        with site.director.inside():
            site.dataplane.configure(Options())  # type: ignore[attr-defined]


def limited(*limits: int) -> Entry:
    return Entry(
        Service(scheduler="rr"),
        {
            DestinationKey(server, PORT): Destination(weight=1, forwarding=Forwarding(), upper_threshold=limit)
            for server, limit in zip(SERVERS, limits, strict=False)
        },
    )


def counters(site: Site, key: ServiceKey) -> dict[str, Counters]:
    with site.director.inside():
        found = site.dataplane.counters()
    return {kept.address: value for (which, kept), value in found.items() if which == key}


def ask_dns(site: Site, asking: socket.socket) -> str:
    asking.sendto(b"?", (VIP, 53))
    return asking.recv(100).decode()


@contextlib.contextmanager
def datagrams(where: Namespace, limit_s: float = 5.0) -> Iterator[socket.socket]:
    with where.inside():
        asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with asking:
        asking.settimeout(limit_s)
        yield asking


# ---- thresholds ----


def test_a_full_server_passes_connections_on(site: Site) -> None:
    site.show({WEB: limited(2, 0, 0)})
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(site.connect()) for _ in range(12)]
        seen = Counter(_line(connection) for connection in opened)
        assert seen[SERVERS[0]] == 2
        assert sum(seen.values()) == 12
        assert all(lives(connection) for connection in opened)
    # The end of a connection gives its place back.
    wait_until(lambda: SERVERS[0] in {site.ask() for _ in range(3)}, 5, "a place at the limited server")


def test_when_all_are_full_connections_are_refused(site: Site) -> None:
    site.show({WEB: limited(1, 1, 1)})
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(site.connect()) for _ in range(3)]
        assert sorted(_line(connection) for connection in opened) == sorted(SERVERS)
        with pytest.raises(ConnectionRefusedError):
            site.connect()
        assert all(lives(connection) for connection in opened)
        opened[0].close()
        wait_until(lambda: _accepted(site), 5, "a place after an end")


def _accepted(site: Site) -> bool:
    try:
        return bool(site.ask())
    except ConnectionRefusedError:
        return False


def test_limits_stand_beside_persistence(site: Site) -> None:
    entry = limited(2, 0, 0)
    site.show({WEB: Entry(Service(scheduler="rr", persistence_timeout_s=60), entry.destinations)})
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(site.connect(CLIENTS[0])) for _ in range(5)]
        assert Counter(_line(connection) for connection in opened)[SERVERS[0]] <= 2


# ---- one packet at a time ----


@pytest.mark.parametrize("where", ["client", "director"])
def test_one_packet_scheduling_sends_each_datagram_on_its_own(site: Site, where: str) -> None:
    site.service("rr", 1, 1, 1, key=DNS, one_packet=True)
    with datagrams(getattr(site, where)) as asking:
        assert Counter(ask_dns(site, asking) for _ in range(9)) == dict.fromkeys(SERVERS, 3)
    with site.director.inside():
        assert not [flow for flow in translated(Family.INET) if flow.called_port == 53]


def test_one_packet_scheduling_is_counted_and_ends(site: Site) -> None:
    site.service("wrr", 2, 1, key=DNS, one_packet=True)
    with datagrams(site.client) as asking:
        assert Counter(ask_dns(site, asking) for _ in range(6)) == {SERVERS[0]: 4, SERVERS[1]: 2}
        seen = counters(site, DNS)
        assert [
            (seen[server].connections, seen[server].packets_in, seen[server].packets_out) for server in SERVERS[:2]
        ] == [
            (4, 4, 4),
            (2, 2, 2),
        ]
        site.service("wrr", key=DNS, one_packet=True)
        asking.sendto(b"?", (VIP, 53))
        asking.settimeout(0.3)
        with pytest.raises(TimeoutError):
            asking.recv(100)


# ---- what a removed server leaves ----


def test_a_datagram_client_of_a_removed_server_gets_another(site: Site) -> None:
    site.service("rr", 1, 1, 1, key=DNS)
    with datagrams(site.client) as asking, datagrams(site.client) as other:
        first = ask_dns(site, asking)
        assert ask_dns(site, asking) == first, "a datagram flow stays at its server"
        stays = ask_dns(site, other)
        assert stays != first
        site.service("rr", *(-1 if server == first else 1 for server in SERVERS), key=DNS)
        assert ask_dns(site, asking) != first
        assert ask_dns(site, other) == stays


@pytest.mark.parametrize("reset", [False, True], ids=["drain", "reset"])
def test_a_removed_server_drains_or_is_reset(site: Site, reset: bool) -> None:
    with options(site, Options(reset_removed=reset)):
        site.service("wrr", 1, 1, 1)
        with site.established() as connections:
            site.service("wrr", -1, 1, 1)
            assert lives(connections[SERVERS[0]]) is not reset
            assert all(lives(connections[server]) for server in SERVERS[1:])


def test_quiesced_connections_are_never_reset(site: Site) -> None:
    with options(site, Options(reset_removed=True)):
        site.service("wrr", 1, 1, 1)
        with site.established() as connections:
            site.service("wrr", 0, 1, 1)
            assert all(lives(connection) for connection in connections.values())


# ---- counters without fixed ports ----


def test_an_all_ports_service_is_counted(site: Site) -> None:
    key = ServiceKey.for_address(Protocol.TCP, VIP, 0, Family.INET)
    site.service("rr", 1, 1, 1, key=key)
    for port in (PORT, 8080):
        assert site.spread(6, port=port) == [2, 2, 2]
    for server in SERVERS:
        seen = counters(site, key)[server]
        assert seen.connections == 4
        assert seen.packets_in >= 12
        assert seen.packets_out >= 8


@pytest.mark.parametrize("port", [0, 8080])
def test_a_firewall_mark_is_counted(site: Site, port: int) -> None:
    rules = "add table ip marker; add chain ip marker pre { type filter hook prerouting priority mangle; }; "
    site.director.run("nft", rules + f"add rule ip marker pre ip daddr {VIP} meta mark set 7")
    key = ServiceKey.for_mark(7, Family.INET)
    entry = Entry(
        Service(scheduler="rr"),
        {DestinationKey(server, port): Destination(weight=1, forwarding=Forwarding()) for server in SERVERS},
    )
    try:
        site.show({key: entry})
        assert site.spread(6) == [2, 2, 2]
        for server in SERVERS:
            seen = counters(site, key)[server]
            assert seen.connections == 2
            assert seen.packets_in >= 6
            assert seen.packets_out >= 4
            assert seen.bytes_out > seen.packets_out * 40
    finally:
        site.show({})
        site.director.run("nft", "delete table ip marker")


def test_ipv6_and_the_directors_own_connections_are_counted(site: Site) -> None:
    key = ServiceKey.for_address(Protocol.TCP, VIP6, PORT, Family.INET6)
    site.service("wrr", 2, 1, key=key)
    assert site.spread(3, vip=VIP6) == [2, 1, 0]
    assert site.spread(3, vip=VIP6, where=site.director) == [2, 1, 0]
    seen = counters(site, key)
    assert [seen[server].connections for server in SERVERS6[:2]] == [4, 2]
    for server in SERVERS6[:2]:
        assert seen[server].packets_in >= 3 * seen[server].connections
        assert seen[server].packets_out >= 2 * seen[server].connections


def test_a_destination_that_comes_again_counts_from_nothing(site: Site) -> None:
    site.service("rr", 1, 1)
    assert site.spread(4) == [2, 2, 0]
    site.service("rr", 1, 5)
    assert [counters(site, WEB)[server].connections for server in SERVERS[:2]] == [2, 2], "a weight changes no counter"
    site.service("rr", 1)
    site.service("rr", 1, 1)
    assert [counters(site, WEB)[server].connections for server in SERVERS[:2]] == [2, 0]


def test_strangers_translations_are_not_counted(site: Site) -> None:
    site.service("rr", 1)
    rules = "add table ip other; add chain ip other pre { type nat hook prerouting priority -150; }; "
    site.director.run("nft", rules + f"add rule ip other pre ip daddr {VIP} tcp dport 8000 dnat to {SERVERS[2]}:8080")
    try:
        assert site.ask(port=8000) == SERVERS[2]
    finally:
        site.director.run("nft", "delete table ip other")
    listed = site.director.run("nft", "list", "set", "ip", "pykeepalived_lvs", "opened").stdout
    assert SERVERS[2] not in listed


# ---- direct routing ----


@pytest.fixture(scope="module")
def direct() -> Iterator[DirectSite]:
    with Lab("nft-direct") as lab:
        opened = DirectSite(lab)
        yield opened
        opened.site.close()


def test_direct_routing(direct: DirectSite) -> None:
    direct.show("wrr", 3, 2, 1)
    assert direct.site.spread(12) == [6, 4, 2]
    with direct.site.connect() as connection:
        _line(connection)
        assert lives(connection)
    assert [counters(direct.site, WEB)[server].connections for server in SERVERS] == [7, 4, 2]
    assert min(counters(direct.site, WEB)[server].packets_in for server in SERVERS) >= 6
    with options(direct.site, Options(reset_removed=True)):
        direct.site.show({})
    assert "netdev" not in direct.director.run("nft", "list", "tables").stdout


def test_direct_connections_are_counted_until_they_are_closed(direct: DirectSite) -> None:
    direct.site.show({})
    direct.show("rr", 1, 1, 1)
    places = [(WEB, DestinationKey(server, PORT)) for server in SERVERS]

    def counted() -> list[int]:
        with direct.site.director.inside():
            found = direct.site.dataplane.connections(places)
        return [found[place] for place in places]

    with direct.site.connect() as kept:
        _line(kept)
        with direct.site.connect() as closed:
            _line(closed)
            assert sum(counted()) == 2
        # The last word of a client is an acknowledgement, which opens nothing again.
        wait_until(lambda: sum(counted()) == 1, 30, "a connection that counts as closing")
        assert lives(kept)
        assert sum(counted()) == 1
    direct.site.show({})


def test_direct_routing_of_ipv6(direct: DirectSite) -> None:
    direct.show("rr", 1, 1, 1, key=ServiceKey.for_address(Protocol.TCP, VIP6, PORT, Family.INET6))
    assert direct.site.spread(6, vip=VIP6) == [2, 2, 2]


def test_direct_routing_of_datagrams(direct: DirectSite) -> None:
    direct.show("rr", 1, 1, 1, key=DNS)
    with datagrams(direct.client) as one, datagrams(direct.client) as other:
        first = ask_dns(direct.site, one)
        assert ask_dns(direct.site, one) == first
        assert ask_dns(direct.site, other) != first


def test_direct_routing_with_persistence_and_quiescence(direct: DirectSite) -> None:
    direct.show("rr", 1, 1, 1, persistence_timeout_s=60)
    assert len({direct.site.ask() for _ in range(5)}) == 1
    direct.show("rr", 1, 1, 1)
    with direct.site.established() as connections:
        direct.show("rr", 0, 1, 1)
        assert direct.site.spread(6)[0] == 0
        assert all(lives(connection) for connection in connections.values())
        direct.show("rr", 0, 0, 0)
        with pytest.raises(ConnectionRefusedError):
            direct.site.ask()
        assert all(lives(connection) for connection in connections.values())


@pytest.mark.parametrize("reset", [False, True], ids=["drain", "reset"])
def test_direct_routing_drains_or_resets(direct: DirectSite, reset: bool) -> None:
    direct.site.show({})
    with options(direct.site, Options(reset_removed=reset)):
        direct.show("rr", 1, 1, 1)
        with direct.site.established() as connections:
            direct.show("rr", -1, 1, 1)
            assert direct.site.spread(6)[0] == 0
            assert lives(connections[SERVERS[0]]) is not reset
            assert all(lives(connections[server]) for server in SERVERS[1:])
        direct.site.show({})


def test_the_next_run_takes_direct_routing_over(direct: DirectSite) -> None:
    direct.site._open = NftablesDataplane
    direct.show("rr", 1, 1, 1)
    with direct.site.established() as connections:
        direct.site.restart()
        direct.show("wrr", 2, 1)
        assert direct.site.spread(6) == [4, 2, 0]
        assert all(lives(connection) for connection in connections.values())
    direct.site.show({})


def held(direct: DirectSite) -> set[str]:
    """The maps of connections that the kernel has."""
    # As an operator looks at it; it must not make nft crash.
    shown = direct.director.run("nft", "list", "ruleset").stdout
    return {line.split()[1] for line in shown.splitlines() if line.endswith("__flows {")}


def test_connections_outlive_a_directly_routed_service_and_find_it_again(direct: DirectSite) -> None:
    other = ServiceKey.for_address(Protocol.TCP, VIP6, PORT, Family.INET6)
    direct.show("rr", 1, 1, 1)
    with direct.site.established() as connections:
        direct.site.show({})
        assert all(lives(connection) for connection in connections.values())
        with pytest.raises(ConnectionRefusedError):
            direct.site.ask()
        # Another service comes, and takes nothing of what somebody still uses.
        direct.show("rr", 1, 1, 1, key=other)
        assert direct.site.spread(3, vip=VIP6) == [1, 1, 1]
        assert all(lives(connection) for connection in connections.values())
        assert len(held(direct)) == 2
        direct.show("wrr", 2, 1)
        assert all(lives(connection) for connection in connections.values())
        assert direct.site.spread(6) == [4, 2, 0]
        assert [counters(direct.site, WEB)[server].connections for server in SERVERS[:2]] == [4, 2], "from 0"
        with options(direct.site, Options(reset_removed=True)):
            direct.site.show({})
            assert not any(lives(connection) for connection in connections.values())
    assert held(direct) == set()


def test_what_a_directly_routed_service_has_left_goes_when_nobody_uses_it(direct: DirectSite) -> None:
    with options(direct.site, Options(reset_removed=True)):
        direct.site.show({})
    for key in (WEB, DNS):
        direct.show("rr", 1, 1, 1, key=key)
    assert held(direct) == {"tcp_10.9.0.5_80__flows", "udp_10.9.0.5_53__flows"}
    direct.show("rr", 1, 1, 1, key=ServiceKey.for_address(Protocol.TCP, VIP, 8080, Family.INET))
    assert held(direct) == {"tcp_10.9.0.5_8080__flows"}, "one had no connections, the other had datagrams"
    direct.site.service("rr", 1, 1, 1)
    assert held(direct) == {"tcp_10.9.0.5_8080__flows"}, "it may have had some until then"
    direct.site.show({})
    assert "netdev" not in direct.director.run("nft", "list", "tables").stdout

"""A client, a director and three servers in namespaces, and what must be true of the connections between them.

One test process owns all sockets: it enters a namespace, makes a socket there and leaves. A test module imports
`TrafficContract` and gives it a `site` fixture.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pykeepalived.dataplane import Counters, Dataplane
from pykeepalived.lvs.reconcile import diff
from pykeepalived.lvs.table import Destination, DestinationKey, Entry, Service, ServiceKey, Table
from pykeepalived.model.common import Family, family_of
from pykeepalived.model.lvs import Forwarding, Protocol
from pykeepalived.tools.lab import Lab, Namespace, wait_until

VIP, VIP6 = "10.9.0.5", "2001:db8:9::5"
CLIENTS = ("10.9.0.2", "10.9.0.3", "10.9.0.4")
SERVERS = ("10.9.1.1", "10.9.1.2", "10.9.1.3")
SERVERS6 = ("2001:db8:a::1", "2001:db8:a::2", "2001:db8:a::3")
SORRY = "10.9.1.9"
PORT = 80
LIMIT_S = 10.0

WEB = ServiceKey.for_address(Protocol.TCP, VIP, PORT, Family.INET)


class Site:
    """The cluster. `dataplane` works in the director's namespace."""

    def __init__(self, lab: Lab, open_dataplane: Callable[[], Dataplane]) -> None:
        self.client, self.director = lab.namespace("client"), lab.namespace("director")
        self.farm = lab.namespace("farm")
        self._sockets: list[socket.socket] = []
        lab.link(self.client, "eth0", self.director, "eth0")
        lab.link(self.director, "eth1", self.farm, "eth0")
        self.client.address("eth0", *(f"{address}/24" for address in CLIENTS), "2001:db8:9::2/64")
        self.director.address("eth0", "10.9.0.1/24", f"{VIP}/24", "2001:db8:9::1/64", f"{VIP6}/64")
        self.director.address("eth1", "10.9.1.254/24", "2001:db8:a::fe/64")
        self.farm.address("eth0", *(f"{address}/24" for address in (*SERVERS, SORRY)), *(f"{a}/64" for a in SERVERS6))
        self.farm.route("default", "via", "10.9.1.254")
        self.farm.route("default", "via", "2001:db8:a::fe")
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self.director.sysctl(key, 1)
        for server in (*SERVERS, *SERVERS6, SORRY):
            self._serve_tcp(server, PORT)
        for server in SERVERS:
            self._serve_tcp(server, 8080)
            self._serve_udp(server, 53)
        self._open = open_dataplane
        with self.director.inside():
            self.dataplane = open_dataplane()
        self.table: Table = {}

    def close(self) -> None:
        self.dataplane.close()
        for opened in self._sockets:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()

    # ---- the director ----

    def show(self, table: Table) -> None:
        """Make the table so, in place."""
        with self.director.inside():
            failures = self.dataplane.apply(diff(table, self.table))
        assert failures == []
        self.table = table

    def service(self, scheduler: str, *weights: int, key: ServiceKey = WEB, **more: object) -> None:
        """One service with the three servers; a weight of -1 leaves a server out."""
        servers = SERVERS6 if key.family is Family.INET6 else SERVERS
        port = 53 if key.protocol == Protocol.UDP else key.port
        destinations = {
            DestinationKey(address, port): Destination(weight=weight, forwarding=Forwarding())
            for address, weight in zip(servers, weights, strict=False)
            if weight >= 0
        }
        self.show({key: Entry(Service(scheduler=scheduler, **more), destinations)})  # type: ignore[arg-type]

    def restart(self) -> None:
        """Another run of the daemon takes over."""
        self.dataplane.close()
        with self.director.inside():
            self.dataplane = self._open()
            assert self.dataplane.snapshot() == self.table

    def counted(self, key: ServiceKey) -> list[Counters]:
        with self.director.inside():
            counters = self.dataplane.counters()
        return [counters[key, DestinationKey(server, key.port)] for server in SERVERS]

    # ---- clients ----

    def connect(
        self, source: str | None = None, vip: str = VIP, port: int = PORT, where: Namespace | None = None
    ) -> socket.socket:
        """A connection to the service. The server says its address first, and echoes lines then."""
        with (where or self.client).inside():
            connection = socket.socket(socket.AF_INET6 if family_of(vip) is Family.INET6 else socket.AF_INET)
        try:
            connection.settimeout(LIMIT_S)
            if source is not None:
                connection.bind((source, 0))
            connection.connect((vip, port))
        except BaseException:
            connection.close()
            raise
        return connection

    def ask(self, source: str | None = None, vip: str = VIP, port: int = PORT, where: Namespace | None = None) -> str:
        """Which server answers a new connection."""
        with self.connect(source, vip, port, where) as connection:
            return _line(connection)

    def spread(self, count: int, **how: object) -> list[int]:
        """How many of `count` new connections each of the three servers got."""
        seen = Counter(self.ask(**how) for _ in range(count))  # type: ignore[arg-type]
        servers = SERVERS6 if ":" in str(how.get("vip", "")) else SERVERS
        assert set(seen) <= set(servers), seen
        return [seen[server] for server in servers]

    @contextmanager
    def established(self) -> Iterator[dict[str, socket.socket]]:
        """One open connection to each server that answers."""
        with contextlib.ExitStack() as stack:
            opened: dict[str, socket.socket] = {}
            for _ in range(12):
                connection = stack.enter_context(self.connect())
                opened.setdefault(_line(connection), connection)
            yield opened

    # ---- servers ----

    def _serve_tcp(self, address: str, port: int, name: str = "") -> None:
        with self.farm.inside():
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(64)
        self._sockets.append(listener)
        threading.Thread(target=_accept, args=(listener, name or address), daemon=True).start()

    def _serve_udp(self, address: str, port: int, name: str = "") -> None:
        with self.farm.inside():
            server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((address, port))
        self._sockets.append(server)
        threading.Thread(target=_answer_datagrams, args=(server, name or address), daemon=True).start()


def _accept(listener: socket.socket, name: str) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_echo, args=(connection, name), daemon=True).start()


def _echo(connection: socket.socket, name: str) -> None:
    with connection, contextlib.suppress(OSError):
        connection.sendall(name.encode() + b"\n")
        while data := connection.recv(4096):
            connection.sendall(data)


def _answer_datagrams(server: socket.socket, name: str) -> None:
    with contextlib.suppress(OSError):
        while True:
            _, client = server.recvfrom(4096)
            if client is None:  # the socket was shut down
                return
            server.sendto(name.encode(), client)


def _line(connection: socket.socket) -> str:
    data = b""
    while not data.endswith(b"\n"):
        piece = connection.recv(1)
        assert piece, "closed before it said a line"
        data += piece
    return data.decode().strip()


def lives(connection: socket.socket) -> bool:
    """Whether an established connection still carries data both ways."""
    connection.settimeout(15.0)
    try:
        connection.sendall(b"still there\n")
        return _line(connection) == "still there"
    except (OSError, AssertionError):
        return False


class TrafficContract:
    """What a client sees. The site is shared; each test puts its own table there."""

    def test_rr_gives_each_server_the_same(self, site: Site) -> None:
        site.service("rr", 1, 1, 1)
        assert site.spread(30) == [10, 10, 10]

    def test_wrr_follows_the_weights_exactly(self, site: Site) -> None:
        site.service("wrr", 3, 2, 1)
        assert site.spread(60) == [30, 20, 10]

    def test_weight_0_takes_no_new_connections_and_keeps_the_old(self, site: Site) -> None:
        site.service("wrr", 1, 1, 1)
        with site.established() as connections:
            assert set(connections) == set(SERVERS)
            site.service("wrr", 0, 1, 1)
            assert site.spread(12)[0] == 0
            assert all(lives(connection) for connection in connections.values())

    def test_a_removed_server_takes_no_new_connections_and_the_others_keep_theirs(self, site: Site) -> None:
        site.service("wrr", 1, 1, 1)
        with site.established() as connections:
            site.service("wrr", -1, 1, 1)
            assert site.spread(12)[0] == 0
            assert all(lives(connections[server]) for server in SERVERS[1:])
            site.service("wrr", 1, 1, 1)
            assert min(site.spread(12)) > 0
            assert all(lives(connections[server]) for server in SERVERS[1:])

    def test_changed_weights_break_nothing(self, site: Site) -> None:
        site.service("wrr", 1, 1, 1)
        with site.established() as connections:
            for weights in ((5, 1, 1), (1, 9, 1), (2, 2, 2)):
                site.service("wrr", *weights)
            assert all(lives(connection) for connection in connections.values())

    def test_the_sorry_server_takes_over_and_gives_back(self, site: Site) -> None:
        site.service("wrr", 2, 1)
        alive = site.table
        sorry = {DestinationKey(SORRY, PORT): Destination(weight=1, forwarding=Forwarding())}
        site.show({WEB: Entry(alive[WEB].service, sorry)})
        assert {site.ask() for _ in range(6)} == {SORRY}
        site.show(alive)
        assert SORRY not in {site.ask() for _ in range(6)}

    def test_without_a_server_connections_are_refused_at_once(self, site: Site) -> None:
        site.service("wrr", 0, 0)
        with pytest.raises(ConnectionRefusedError):
            site.ask()
        site.service("wrr")
        with pytest.raises(ConnectionRefusedError):
            site.ask()

    def test_persistence_keeps_a_client_at_its_server(self, site: Site) -> None:
        site.service("rr", 1, 1, 1, persistence_timeout_s=60)
        for source in CLIENTS:
            assert len({site.ask(source) for _ in range(5)}) == 1
        assert len({site.ask(source) for source in CLIENTS}) > 1, "clients are spread all the same"

    def test_persistence_of_a_removed_server_ends(self, site: Site) -> None:
        site.service("rr", 1, 1, 1, persistence_timeout_s=60)
        first = site.ask(CLIENTS[0])
        site.service("rr", *(-1 if server == first else 1 for server in SERVERS), persistence_timeout_s=60)
        assert site.ask(CLIENTS[0]) != first

    def test_persistence_may_group_clients(self, site: Site) -> None:
        site.service("rr", 1, 1, 1, persistence_timeout_s=60, persistence_prefix=24)
        assert len({site.ask(source) for source in CLIENTS for _ in range(3)}) == 1

    def test_source_hashing_is_steady(self, site: Site) -> None:
        site.service("sh", 1, 1, 1)
        for source in CLIENTS:
            assert len({site.ask(source) for _ in range(4)}) == 1

    def test_maglev_hashing_is_steady(self, site: Site) -> None:
        site.service("mh", 1, 1, 1)
        before = {source: {site.ask(source) for _ in range(3)} for source in CLIENTS}
        assert all(len(servers) == 1 for servers in before.values())

    def test_the_director_can_ask_itself(self, site: Site) -> None:
        site.service("wrr", 2, 1)
        assert site.spread(6, where=site.director) == [4, 2, 0]

    def test_ports_may_differ(self, site: Site) -> None:
        key = ServiceKey.for_address(Protocol.TCP, VIP, 8000, Family.INET)
        destinations = {
            DestinationKey(server, 8080): Destination(weight=1, forwarding=Forwarding()) for server in SERVERS
        }
        site.show({key: Entry(Service(scheduler="rr"), destinations)})
        assert site.spread(6, port=8000) == [2, 2, 2]

    def test_a_service_of_all_ports(self, site: Site) -> None:
        key = ServiceKey.for_address(Protocol.TCP, VIP, 0, Family.INET)
        site.service("rr", 1, 1, 1, key=key, persistence_timeout_s=60)
        assert len({site.ask(CLIENTS[0], port=port) for port in (PORT, 8080)}) == 1

    def test_udp(self, site: Site) -> None:
        key = ServiceKey.for_address(Protocol.UDP, VIP, 53, Family.INET)
        site.service("rr", 1, 1, 1, key=key)
        seen = Counter()  # type: Counter[str]
        for _ in range(9):
            with site.client.inside():
                asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with asking:
                asking.settimeout(LIMIT_S)
                asking.sendto(b"?", (VIP, 53))
                seen[asking.recv(100).decode()] += 1
        assert seen == dict.fromkeys(SERVERS, 3)

    def test_ipv6(self, site: Site) -> None:
        key = ServiceKey.for_address(Protocol.TCP, VIP6, PORT, Family.INET6)
        site.service("wrr", 3, 2, 1, key=key)
        assert site.spread(12, vip=VIP6) == [6, 4, 2]

    def test_connections_are_counted(self, site: Site) -> None:
        key = ServiceKey.for_address(Protocol.TCP, VIP, 8080, Family.INET)
        site.service("wrr", 3, 2, 1, key=key)
        site.spread(12, port=8080)
        # IPVS adds its counters up every two seconds.
        wait_until(lambda: [seen.connections for seen in site.counted(key)] == [6, 4, 2], 10, "12 connections counted")
        for seen in site.counted(key):
            assert seen.packets_in >= 3 * seen.connections
            assert seen.packets_out >= 2 * seen.connections
            assert seen.bytes_in >= 100 * seen.connections
            assert seen.bytes_out >= 80 * seen.connections

    def test_the_next_run_of_the_daemon_breaks_nothing(self, site: Site) -> None:
        site.service("wrr", 2, 1, 1)
        with site.established() as connections:
            site.restart()
            assert all(lives(connection) for connection in connections.values())
            assert site.spread(8) == [4, 2, 2]

    def test_nothing_remains_after_the_end(self, site: Site) -> None:
        site.service("wrr", 2, 1, 1)
        site.show({})
        with pytest.raises(ConnectionRefusedError):
            site.ask()

"""Connections through the nftables dataplane, in network namespaces."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pykeepalived.dataplane.nft_options import Options
from pykeepalived.dataplane.nftables import NftablesDataplane
from pykeepalived.lvs.table import Destination, DestinationKey, Entry, Service, ServiceKey
from pykeepalived.model.common import Family
from pykeepalived.model.lvs import Forwarding
from pykeepalived.tools.lab import Lab
from tests.dataplane.traffic import CLIENTS, PORT, SERVERS, Site, TrafficContract

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Lab("nft-traffic") as lab:
        opened = Site(lab, NftablesDataplane)
        yield opened
        opened.close()


class TestNftablesTraffic(TrafficContract):
    pass


def test_firewall_marks(site: Site) -> None:
    rules = "add table ip marker; add chain ip marker pre { type filter hook prerouting priority mangle; }; "
    site.director.run("nft", rules + "add rule ip marker pre ip daddr 10.9.0.5 tcp dport 80 meta mark set 7")
    key = ServiceKey.for_mark(7, Family.INET)
    servers = {DestinationKey(server, 0): Destination(weight=1, forwarding=Forwarding()) for server in SERVERS}
    try:
        site.show({key: Entry(Service(scheduler="rr"), servers)})
        assert site.spread(6) == [2, 2, 2]
        moved = {DestinationKey(server, 8080): Destination(weight=1, forwarding=Forwarding()) for server in SERVERS}
        site.show({key: Entry(Service(scheduler="rr", persistence_timeout_s=60), moved)})
        assert len({site.ask(CLIENTS[0]) for _ in range(4)}) == 1
        site.show({key: Entry(Service(scheduler="rr"), {})})
        with pytest.raises(ConnectionRefusedError):
            site.ask()
    finally:
        site.director.run("nft", "delete table ip marker")


def test_a_quiet_server_loses_its_persistent_clients(site: Site) -> None:
    site.service("rr", 1, 1, 1, persistence_timeout_s=60)
    first = site.ask(CLIENTS[0])
    site.service("rr", *(0 if server == first else 1 for server in SERVERS), persistence_timeout_s=60)
    assert site.ask(CLIENTS[0]) != first
    site.service("rr", 1, 1, 1, persistence_timeout_s=60)


def test_clients_are_hidden_only_if_asked(site: Site) -> None:
    site.show({})
    site.dataplane.close()
    with site.director.inside():
        site.dataplane = NftablesDataplane(options=Options(masquerade=True))
    site.service("rr", 1)
    try:
        with site.connect(CLIENTS[1]):
            seen = site.farm.run("ss", "-Htn", "sport", "=", f":{PORT}").stdout
        assert "10.9.1.254:" in seen
        assert CLIENTS[1] not in seen
    finally:
        site.show({})
        site.dataplane.close()
        with site.director.inside():
            site.dataplane = NftablesDataplane()
    site.service("rr", 1)
    with site.connect(CLIENTS[1]):
        assert CLIENTS[1] in site.farm.run("ss", "-Htn", "sport", "=", f":{PORT}").stdout

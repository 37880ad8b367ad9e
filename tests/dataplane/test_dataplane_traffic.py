"""Connections through the nftables dataplane, in network namespaces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pykeepalived.dataplane.nft_options import Options
from pykeepalived.dataplane.nftables import NftablesDataplane
from pykeepalived.dialects.keepalived import load
from pykeepalived.lvs.desired import entry, named_destinations, service_keys, services_of
from pykeepalived.lvs.table import Destination, DestinationKey, Entry, Service, ServiceKey
from pykeepalived.model.common import Family
from pykeepalived.model.lvs import Forwarding
from pykeepalived.tools.lab import Lab
from tests.dataplane.traffic import CLIENTS, PORT, SERVERS, SERVERS6, Site, TrafficContract

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


GROUPS = """
global_defs {{
    lvs_dataplane nftables
}}
virtual_server_group four {{
    10.9.0.20-22 80
    fwmark 9
}}
virtual_server_group six {{
    2001:db8:9::20-21 80
}}
virtual_server group four {{
    lb_algo rr
    lb_kind NAT
    protocol TCP
{servers}}}
virtual_server group six {{
    lb_algo rr
    lb_kind NAT
    protocol TCP
{servers6}}}
"""


def test_groups_and_ranges(site: Site, tmp_path: Path) -> None:
    def real_servers(addresses: tuple[str, ...]) -> str:
        return "".join(f"    real_server {each} {PORT} {{\n        weight 1\n    }}\n" for each in addresses)

    file = tmp_path / "groups.conf"
    file.write_text(GROUPS.format(servers=real_servers(SERVERS), servers6=real_servers(SERVERS6)))
    config = load(str(file)).config
    table = {
        key: entry(ref.server, key, named_destinations(ref.server))
        for ref in services_of(config)
        for key in service_keys(ref.server, config.virtual_server_groups)
    }
    assert len(table) == 6
    addresses = [f"10.9.0.{number}/24" for number in (20, 21, 22)] + [f"2001:db8:9::{n}/64" for n in (20, 21)]
    site.director.address("eth0", *addresses)
    rules = "add table ip marker; add chain ip marker pre { type filter hook prerouting priority mangle; }; "
    site.director.run("nft", rules + "add rule ip marker pre ip daddr 10.9.0.5 tcp dport 80 meta mark set 9")
    try:
        site.show(table)
        # Each address is a service of its own, with its own turn.
        for vip in (*(each.split("/")[0] for each in addresses), "10.9.0.5"):
            assert site.spread(3, vip=vip) == [1, 1, 1], vip
    finally:
        site.director.run("nft", "delete table ip marker")
        for each in addresses:
            site.director.ip("address", "delete", each, "dev", "eth0")
        site.show({})

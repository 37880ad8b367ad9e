"""From configuration to the table's keys and entries; names."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pykeepalived.lvs.desired import (
    ALL_PORTS_PERSISTENCE_S,
    addresses_between,
    entry,
    named_destinations,
    service_attributes,
    service_keys,
    services_of,
)
from pykeepalived.lvs.names import ServiceRef
from pykeepalived.lvs.table import DestinationKey, ServiceKey
from pykeepalived.model.common import Family
from pykeepalived.model.config import Config, LdirectordSettings
from pykeepalived.model.lvs import (
    AddressSelector,
    Forwarding,
    ForwardingMethod,
    FwmarkSelector,
    GroupAddress,
    GroupFwmark,
    GroupSelector,
    Protocol,
    RealServer,
    SorryServer,
    VirtualServer,
    VirtualServerGroup,
)

NAT, DR, TUN = (Forwarding(method) for method in ForwardingMethod)
ADDRESS = AddressSelector("10.0.0.5", 80)


def real(address: str = "10.1.0.1", port: int = 80, forwarding: Forwarding = NAT) -> RealServer:
    return RealServer(address=address, port=port, forwarding=forwarding)


def virtual(selector: Any = ADDRESS, *servers: RealServer, **fields: Any) -> VirtualServer:
    return VirtualServer(**{"selector": selector, "protocol": Protocol.TCP, "real_servers": servers, **fields})


def held(server: VirtualServer, key: ServiceKey, **how: bool) -> list[tuple[str, int]]:
    kept = entry(server, key, named_destinations(server), **how).destinations
    return [(place.address, place.port) for place in kept]


def test_one_address_is_one_service() -> None:
    assert service_keys(virtual(), ()) == [ServiceKey(Family.INET, 6, "10.0.0.5", 80)]
    six = virtual(AddressSelector("2001:db8::5", 53), protocol=Protocol.UDP)
    assert service_keys(six, ()) == [ServiceKey(Family.INET6, 17, "2001:db8::5", 53)]
    assert service_keys(virtual(protocol=None), ())[0].protocol == Protocol.UDP, "what keepalived takes then"


def test_marks_have_the_family_of_the_file_or_of_the_servers() -> None:
    mark = FwmarkSelector(5)
    assert service_keys(virtual(mark), ()) == [ServiceKey.for_mark(5, Family.INET)]
    assert service_keys(virtual(mark, real("2001:db8::1")), ()) == [ServiceKey.for_mark(5, Family.INET6)]
    assert service_keys(virtual(mark, family=Family.INET6), ()) == [ServiceKey.for_mark(5, Family.INET6)]


def test_a_group_is_all_its_addresses_and_marks() -> None:
    group = VirtualServerGroup(
        "G",
        (
            GroupAddress("10.0.0.254", "10.0.1.1", 80),
            GroupAddress("2001:db8::ffff", "2001:db8::1:0", 80),
            GroupFwmark(7),
            GroupFwmark(8, Family.INET6),
            GroupAddress("10.0.0.255", "10.0.0.255", 80),
        ),
    )
    other = VirtualServerGroup("H", (GroupAddress("10.9.9.9", "10.9.9.9", 80),))
    keys = service_keys(virtual(GroupSelector("G")), (other, group))
    assert [(key.address, key.fwmark, key.family) for key in keys] == [
        ("10.0.0.254", 0, Family.INET),
        ("10.0.0.255", 0, Family.INET),
        ("10.0.1.0", 0, Family.INET),
        ("10.0.1.1", 0, Family.INET),
        ("2001:db8::ffff", 0, Family.INET6),
        ("2001:db8::1:0", 0, Family.INET6),
        ("", 7, Family.INET),
        ("", 8, Family.INET6),
    ]


def test_a_group_that_is_not_there_or_too_large() -> None:
    assert service_keys(virtual(GroupSelector("X")), ()) == []
    assert list(addresses_between("10.0.0.1", "2001:db8::1")) == []
    assert sum(1 for _ in addresses_between("2001:db8::", "2001:db8:ffff::")) == 65536


def test_attributes() -> None:
    key = ServiceKey.for_address(Protocol.TCP, "10.0.0.5", 80, Family.INET)
    whole = service_attributes(virtual(persistence_timeout_s=50, persistence_prefix=32), key)
    grouped = service_attributes(virtual(GroupSelector("G"), persistence_timeout_s=50, persistence_prefix=16), key)
    assert grouped == whole, "keepalived's groups know no granularity"
    assert (whole.persistence_timeout_s, whole.persistence_prefix) == (50, None), "as the kernel shows it"
    assert service_attributes(virtual(persistence_prefix=24), key).persistence_prefix is None
    grouped = service_attributes(virtual(persistence_timeout_s=50, persistence_prefix=24), key)
    assert grouped.persistence_prefix == 24
    assert not service_attributes(virtual(one_packet=True), key).one_packet, "UDP and marks only"
    mark = ServiceKey.for_mark(5, Family.INET)
    assert service_attributes(virtual(one_packet=True), mark).one_packet
    every = ServiceKey.for_address(Protocol.TCP, "10.0.0.5", 0, Family.INET)
    assert service_attributes(virtual(), every).persistence_timeout_s == ALL_PORTS_PERSISTENCE_S
    assert service_attributes(virtual(), mark).persistence_timeout_s == 0


def test_only_nat_changes_ports() -> None:
    servers = (real(port=8080), real("10.1.0.2", 8080, DR), real("10.1.0.3", 8080, TUN))
    server = virtual(ADDRESS, *servers)
    [key] = service_keys(server, ())
    assert held(server, key) == [("10.1.0.1", 8080), ("10.1.0.2", 80), ("10.1.0.3", 80)]
    mark = ServiceKey.for_mark(5, Family.INET)
    assert held(server, mark) == [("10.1.0.1", 8080), ("10.1.0.2", 0), ("10.1.0.3", 0)]
    assert held(server, mark, marks_keep_ports=True) == [(f"10.1.0.{number}", 8080) for number in (1, 2, 3)]


def test_the_other_family_needs_a_tunnel() -> None:
    server = virtual(ADDRESS, real(), real("2001:db8::1"), real("2001:db8::2", 80, TUN))
    [key] = service_keys(server, ())
    assert held(server, key) == [("10.1.0.1", 80), ("2001:db8::2", 80)]


def test_the_sorry_server_is_named_too() -> None:
    server = virtual(ADDRESS, real(), sorry_server=SorryServer(address="10.1.0.9", port=81))
    assert [place for place, _ in named_destinations(server)] == [
        DestinationKey("10.1.0.1", 80),
        DestinationKey("10.1.0.9", 81),
    ]


def test_keepalived_names_servers_by_the_port_they_get() -> None:
    server = virtual(ADDRESS, real(port=8080, forwarding=DR), sorry_server=SorryServer(
        address="10.1.0.9", port=81, forwarding=TUN))  # fmt: skip
    config = Config(virtual_servers=(server,))
    [ref] = services_of(config)
    assert (ref.server.real_servers[0].port, ref.server.sorry_server.port) == (80, 80)  # type: ignore[union-attr]
    of_mark = msgspec.structs.replace(server, selector=FwmarkSelector(3))
    [ref] = services_of(Config(virtual_servers=(of_mark,)))
    assert ref.server.real_servers[0].port == 0
    [ref] = services_of(msgspec.structs.replace(config, ldirectord=LdirectordSettings(path="/x")))
    assert ref.server.real_servers[0].port == 8080
    plain = Config(virtual_servers=(virtual(ADDRESS, real(port=8080)),))
    assert services_of(plain)[0].server is plain.virtual_servers[0]


@pytest.mark.parametrize(
    ("selector", "protocol", "name"),
    [
        (ADDRESS, Protocol.TCP, "[10.0.0.5]:tcp:80"),
        (AddressSelector("2001:db8::1", 53), Protocol.UDP, "[2001:db8::1]:udp:53"),
        (AddressSelector("10.0.0.5", 36412), Protocol.SCTP, "[10.0.0.5]:sctp:36412"),
        (FwmarkSelector(5), None, "FWM 5"),
        (GroupSelector("G"), Protocol.TCP, "[G]:1"),
    ],
)
def test_names(selector: Any, protocol: Protocol | None, name: str) -> None:
    ref = ServiceRef(virtual(selector, real(), protocol=protocol), 1)
    assert ref.name == name
    word = "none" if protocol is None else protocol.name.lower()
    assert ref.server_name(ref.server.real_servers[0]) == f"[10.1.0.1]:{word}:80"


def test_services_of_one_group_are_numbered() -> None:
    servers = (virtual(GroupSelector("G")), virtual(GroupSelector("H")), virtual(GroupSelector("G")))
    refs = services_of(Config(virtual_servers=servers))
    assert [ref.name for ref in refs] == ["[G]:0", "[H]:0", "[G]:1"]
    assert len({ref.key for ref in refs}) == 3
    marks = (virtual(FwmarkSelector(5)), virtual(FwmarkSelector(5), family=Family.INET6))
    assert len({ref.key for ref in services_of(Config(virtual_servers=marks))}) == 2

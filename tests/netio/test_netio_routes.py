"""Route and rule requests: read by pyroute2's classes, and the layouts that not every kernel here can hold."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from pykeepalived.model import Family, IpPrefix
from pykeepalived.model.routing import Encapsulation, Metric, Nexthop, VirtualRoute, VirtualRule
from pykeepalived.netio import netlink, routes, rules
from pykeepalived.netio.route_watch import read_route, read_rule, route_key, rule_key

LINKS = {"eth0": 3, "eth1": 4}
NET = IpPrefix("198.51.100.0", 24)


def read(kind: type[Any], number: int, body: bytes) -> Any:
    message = kind(netlink.request(number, 0, 1, body))
    message.decode()
    return message


def route(**more: Any) -> VirtualRoute:
    return VirtualRoute(words=(), **{"destination": NET, **more})


def test_pyroute2_reads_a_route_as_we_meant_it() -> None:
    wanted = route(
        via=Nexthop(gateway="192.0.2.9", dev="eth0", onlink=True, realms=3 << 16 | 4), metric=7, table=1000, tos=16,
        metrics=(Metric("mtu", 1400, True), Metric("fastopen_no_cookie", 1)), preferred_source="192.0.2.1",
    )  # fmt: skip
    message = read(rtmsg, netlink.RTM_NEWROUTE, routes.encode(wanted, LINKS.get, 1000))
    assert (message["dst_len"], message["proto"], message["type"], message["flags"]) == (24, 18, 1, 4)
    assert (message.get("dst"), message.get("gateway"), message.get("oif")) == ("198.51.100.0", "192.0.2.9", 3)
    assert (message.get("priority"), message.get("table"), message["tos"]) == (7, 1000, 16)
    assert (message.get("flow"), message.get("prefsrc")) == (3 << 16 | 4, "192.0.2.1")
    metrics = dict(message.get("metrics")["attrs"])
    assert (metrics["RTAX_MTU"], metrics["RTAX_LOCK"]) == (1400, 1 << 2)
    assert read_route(message) == route_key(wanted, LINKS.get, 1000)


def test_a_route_over_a_missing_interface_is_refused_by_name() -> None:
    for wanted in (route(via=Nexthop(dev="eth9")), route(nexthops=(Nexthop(dev="eth9"),))):
        with pytest.raises(routes.NoInterface) as caught:
            routes.encode(wanted, LINKS.get, 254)
        assert caught.value.args == ("eth9",)


@pytest.mark.shows("{vrrp_instance.virtual_routes,static_routes}.{encap,tc,hoplimit,flags}")
@pytest.mark.parametrize(
    ("encapsulation", "kind", "body"),
    [
        (Encapsulation(kind="mpls", labels=(100, 200)), 1, "0c000100 00064000 000c8100"),
        (Encapsulation(kind="mpls", labels=(300,), ttl=9), 1, "08000100 0012c100 05000200 09000000"),
        (Encapsulation(kind="ila", locator=0x0001000200030004), 3, "0c000100 0001000200030004"),
        (
            Encapsulation(kind="ip", id=7, destination="192.0.2.77", source="192.0.2.1", tos=8, ttl=9, flags=1),
            2,
            "0c000100 0000000000000007 08000200 c000024d 08000300 c0000201 05000400 09000000 05000500 08000000 "
            "06000600 00010000",
        ),
    ],
    ids=lambda item: item.kind if isinstance(item, Encapsulation) else "",
)  # the bytes that Debian's keepalived 2.2.7 was seen to send, as far as it knows the words
def test_encapsulations_have_keepalived_s_bytes(encapsulation: Encapsulation, kind: int, body: str) -> None:
    sent = routes.encode(route(via=Nexthop(gateway="192.0.2.9", encapsulation=encapsulation)), LINKS.get, 254)
    found = netlink.attributes(memoryview(sent), 12)
    assert bytes(found[22]) == bytes.fromhex(body)
    assert bytes(found[21]) == kind.to_bytes(2, "little")


def test_a_removal_leaves_scope_and_type_open() -> None:
    message = read(rtmsg, netlink.RTM_DELROUTE, routes.encode_removal(route(), LINKS.get, 254))
    assert (message["scope"], message["type"]) == (255, 0)
    message = read(rtmsg, netlink.RTM_DELROUTE, routes.encode_removal(route(type="throw", scope=0), LINKS.get, 254))
    assert (message["scope"], message["type"]) == (0, 9)


def test_pyroute2_reads_a_rule_as_we_meant_it() -> None:
    wanted = VirtualRule(
        words=(), family=Family.INET6, source=IpPrefix("2001:db8::", 32), preference=9, table=1000, mark=5, mask=255,
        input="eth0", uids=(1, 2), source_ports=(3, 4), ip_protocol=socket.IPPROTO_UDP, tunnel_id=77, invert=True,
    )  # fmt: skip
    message = read(fibmsg, netlink.RTM_NEWRULE, rules.encode(wanted))
    assert (message["family"], message["src_len"], message["action"], message["flags"]) == (10, 32, 1, 2)
    assert (message.get("priority"), message.get("table"), message.get("iifname")) == (9, 1000, "eth0")
    assert (message.get("fwmark"), message.get("fwmask"), message.get("tun_id")) == (5, 255, 77)
    assert (message.get("uid_range"), message.get("sport_range"), message.get("ip_proto")) == ("1:2", "3:4", 17)
    assert message.get("protocol") == 18
    assert read_rule(message) == rule_key(wanted)

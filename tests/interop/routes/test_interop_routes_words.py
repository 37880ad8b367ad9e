"""Every word of virtual_routes, virtual_rules and address lines: the kernel has what it has of Debian's keepalived."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pykeepalived.tools.lab import Lab, wait_until
from tests.interop.routes.routes_router import OURS, PATIENCE_S, THEIRS, Router, config

pytestmark = [pytest.mark.netns, pytest.mark.peer]

ROUTES = """
198.51.100.0/24 via 192.0.2.254
198.51.101.0/24 dev eth1
198.51.102.0/24 via 192.0.2.254 dev eth0 metric 100
198.51.103.0/24 src 192.0.2.1 via 192.0.2.254 tos 16 table 100
198.51.104.0/24 via 192.0.2.254 scope global
198.51.105.0/24 dev eth0 scope link
unicast 198.51.99.0/24 dev eth0
blackhole 198.51.106.0/24
unreachable 198.51.107.0/24 metric 7
prohibit 198.51.108.0/24 table 100
throw 198.51.109.0/24 table 100
local 198.51.110.1 dev lo table 100 scope host
broadcast 198.51.111.255 dev eth0 scope link
anycast 198.51.112.1 dev eth0 scope link
multicast 239.1.1.1/32 dev eth0
198.51.113.0/24 via 203.0.113.9 dev eth0 onlink
198.51.114.0/24 via 192.0.2.254 mtu 1400 advmss lock 1300 hoplimit 55 rtt 300ms rttvar 250ms reordering 5 \
window 1000 cwnd lock 30 ssthresh 40 rto_min 400ms initcwnd 8 initrwnd 9 features ecn quickack 1 congctl lock cubic
198.51.115.0/24 via 192.0.2.254 mtu lock 1400 realms 3/4 rtt lock 2s
198.51.117.0/24 via 192.0.2.254 fastopen_no_cookie 1
default via 192.0.2.254 metric 50
to 198.51.118.0/24 gw 192.0.2.254
198.51.120.0/24 nexthop via 192.0.2.254 weight 3 nexthop via 203.0.113.9 dev eth1 onlink weight 2 realms 5
198.51.121.0/24 encap ip id 7 dst 192.0.2.77 src 192.0.2.1 tos 8 ttl 9 via 192.0.2.254
198.51.123.0/24 protocol static no_track via 192.0.2.254
198.51.124.0/24 dsfield 0x10 via 192.0.2.254
198.51.126.0/24 via 192.0.2.254 table main preference 3
198.51.127.0/24 via 192.0.2.254 rtt 2400 rttvar 1s
append 198.51.102.0/24 via 192.0.2.253 dev eth0 metric 100
198.51.128.0/24 append via 192.0.2.254
198.51.129.0/24 prepend via 192.0.2.254
198.51.130.0/24 add via 192.0.2.254
198.51.131.0/24 as to 198.51.100.9 via 192.0.2.254
198.51.133.0/24 via inet 192.0.2.254 ttl-propagate enabled
198.51.134.0/24 table 4294967295 dev eth0
198.51.135.0/24 oif eth1 priority 9
198.51.136.0/24 via 192.0.2.254 rto_min 400 rttvar 400
2001:db8:1::/64 via 2001:db8::9
2001:db8:2::/64 dev eth1
2001:db8:3::/64 via inet6 2001:db8::9 dev eth0 metric 5 pref high
2001:db8:4::/64 from 2001:db8:99::/48 via 2001:db8::9
2001:db8:5::/64 via 2001:db8::9 expires 300
unreachable 2001:db8:6::/64
blackhole 2001:db8:7::/64 dev lo
2001:db8:8::/64 nexthop via 2001:db8::9 dev eth0 weight 2 nexthop via 2001:db8::8 dev eth0
2001:db8:9::/64 src 2001:db8::1 via 2001:db8::9 mtu 1400 hoplimit 33 pref low table 101
default6 via 2001:db8::9
2001:db8:f::/64 via 2001:db8::9 onlink dev eth0 scope link
"""
#: What the words mean and keepalived 2.2.7 does not do (docs/compatibility.md).
ROUTES_OF_OURS = """
198.51.116.0/24 via inet6 2001:db8::9 dev eth0
198.51.119.0/24 or 192.0.2.254 or 192.0.2.253
local 198.51.137.1 dev lo table 100
inet 198.51.138.0/24 via 192.0.2.254
inet6 2001:db8:a::/64 via inet6 2001:db8::9
nat 198.51.139.0/24 via 192.0.2.254
xresolve 198.51.140.0/24 via 192.0.2.254
2001:db8:b::/64 encap ip6 id 7 dst 2001:db8::77 src 2001:db8::1 tc 8 hoplimit 9 via 2001:db8::9 dev eth0
"""
RULES = """
from 192.0.2.0/24 table 100 preference 100
to 198.51.100.0/24 lookup 101 order 101
from 192.0.2.0/24 to 198.51.100.0/24 table main priority 102
iif eth0 table 100 preference 103
dev eth0 oif eth1 table 100 preference 104
not from 192.0.2.0/24 table 100 preference 105
fwmark 0x10/0xff table 100 preference 106
fwmark 7 tos 0x10 table 100 preference 107
from 192.0.2.9 table 100 realms 3/4 preference 108
table 100 suppress_prefixlength 8 preference 109
table 100 suppress_ifgroup 4 preference 110
table 100 sup_pl 24 sup_group 5 preference 111
tunnel-id 77 table 100 preference 112
uidrange 10-20 table 100 preference 113
l3mdev preference 114
from 192.0.2.9 ipproto udp sport 10-20 dport 30-40 table 100 preference 115
from 192.0.2.9 ipproto 17 table 100 preference 116
from 192.0.2.9 goto 200 preference 117
from 192.0.2.9 nop preference 118
from 192.0.2.9 blackhole preference 119
from 192.0.2.9 type unreachable preference 120
from 192.0.2.9 prohibit preference 121
from 192.0.2.9 table 4294967294 protocol 99 no_track preference 122
from all table 100 preference 123
from 192.0.2.9 dsfield 8 table default preference 200
from 192.0.2.8 table 100
from 192.0.2.7 table 100
from 2001:db8::/64 table 100 preference 300
from default6 table 100 preference 303
"""
ADDRESSES = """
192.0.2.60
192.0.2.61/24 brd 192.0.2.255 label eth0:one
192.0.2.62/24 broadcast + scope link
192.0.2.63/24 brd - dev eth1 scope host
10.60.0.1/24 noprefixroute no_track
10.60.1.1/32 peer 10.60.1.2
10.60.2.1/24 preferred_lft 1000
10.60.3.1/24 preferred_lft forever scope site
10.60.4.1/24 preferred_lft 0 scope 77
239.9.9.9/32 autojoin
"""
ADDRESSES6 = """
2001:db8:60::1
2001:db8:61::1/64
2001:db8:62::1/64 home -nodad
2001:db8:63::1/64 mngtmpaddr dev eth1
2001:db8:64::1/128 preferred_lft 500
2001:db8:65::1/64 noprefixroute scope site
2001:db8:66::1/64 preferred_lft 0
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab("routes") as made:
        yield made


@pytest.fixture
def both(lab: Lab, tmp_path: Path) -> Iterator[tuple[Router, Router]]:
    pair = Router(lab, OURS, tmp_path), Router(lab, THEIRS, tmp_path)
    yield pair
    for router in pair:
        router.stop()


@pytest.mark.shows(
    "{vrrp_instance.virtual_routes,static_routes}.{to,src,as,via,gw,from,tos,dsfield,table,protocol,scope,metric,priority,"
    "preference,dev,oif,onlink,encap,id,dst,ttl,expires,mtu,hoplimit,advmss,rtt,rttvar,reordering,window,cwnd,ssthresh,"
    "realms,rto_min,initcwnd,initrwnd,features,quickack,congctl,pref,ttl-propagate,fastopen_no_cookie,add,prepend,"
    "append,nexthop,weight,no_track,unicast,local,broadcast,anycast,multicast,throw,unreachable,prohibit,blackhole}",
    "{vrrp_instance.virtual_rules,static_rules}.{not,from,to,table,lookup,preference,order,priority,tos,dsfield,fwmark,realms,"
    "suppress_prefixlength,sup_pl,suppress_ifgroup,sup_group,dev,iif,oif,tunnel-id,uidrange,l3mdev,protocol,ipproto,"
    "sport,dport,no_track,type,goto,nop,blackhole,unreachable,prohibit}",
)
@pytest.mark.parametrize("static", [False, True], ids=["virtual", "static"])
def test_all_words_of_routes_and_rules_do_the_same(both: tuple[Router, Router], static: bool) -> None:
    text = config(routes=ROUTES, rules=RULES)
    if static:
        text = config(head=f"static_routes {{\n{ROUTES}\n}}\nstatic_rules {{\n{RULES}\n}}")
    for router in both:
        router.start_as_master(text)
    ours, theirs = both
    wait_until(lambda: theirs.preferences() >= {123, 303, 16383}, PATIENCE_S, "keepalived's rules")
    wait_until(lambda: ours.preferences() >= {123, 303, 16383}, PATIENCE_S, "our rules")
    assert len(theirs.routes()) > 45
    assert ours.routes() == theirs.routes()
    assert ours.rules() == theirs.rules()
    assert not ours.said("cannot add")
    ours.stop()
    assert ours.routes() == ours.rules() == [], "nothing stays"


@pytest.mark.shows(
    "{vrrp_instance.virtual_routes,static_routes}.{or,tc,inet,inet6,nat,xresolve}",
    "{vrrp_instance.virtual_rules,static_rules}.{inet,inet6}",
)
def test_words_that_keepalived_2_2_7_gets_wrong(lab: Lab, tmp_path: Path) -> None:
    router = Router(lab, OURS, tmp_path)
    try:
        router.start_as_master(
            config(
                routes=ROUTES_OF_OURS,
                rules="inet6 iif eth0 blackhole preference 302\ninet from 192.0.2.5 table 100 preference 303",
            )
        )
        wait_until(lambda: router.preferences() == {302, 303}, PATIENCE_S, "rule")
        found = {item["dst"]: item for item in router.routes()}
        assert found["198.51.116.0/24"]["via"] == {"family": "inet6", "host": "2001:db8::9"}
        assert [way["gateway"] for way in found["198.51.119.0/24"]["nexthops"]] == ["192.0.2.254", "192.0.2.253"]
        assert found["198.51.137.1"]["scope"] == "host"
        assert {"198.51.138.0/24", "2001:db8:a::/64"} <= set(found)
        # Types that no kernel takes any more; each refusal is named.
        assert router.said("cannot add route nat 198.51.139.0/24") == 1
        assert router.said("cannot add route xresolve 198.51.140.0/24") == 1
        # The destination of the tunnel has the same key as that of the route in iproute2's JSON.
        tunnel = found["2001:db8::77"]
        assert (tunnel["encap"], tunnel["id"], tunnel["hoplimit"], tunnel["tc"]) == ("ip6", 7, 9, 8)
    finally:
        router.stop()


@pytest.mark.shows(
    "vrrp_instance.virtual_ipaddress.{dev,scope,broadcast,brd,label,peer,home,-nodad,mngtmpaddr,noprefixroute,autojoin,"
    "no_track,preferred_lft}",
)
def test_all_words_of_addresses_do_the_same(both: tuple[Router, Router]) -> None:
    text = config(addresses=ADDRESSES, words=f"virtual_ipaddress_excluded {{\n{ADDRESSES6}\n}}")
    for router in both:
        router.start_as_master(text)
        wait_until(lambda router=router: router.space.has_address("2001:db8:66::1"), PATIENCE_S, "last address")
    ours, theirs = both

    def settled(router: Router) -> bool:
        return not any(item.get("tentative") for item in router.addresses())

    for router in both:
        wait_until(lambda router=router: settled(router), PATIENCE_S, "no tentative address")
    assert ours.addresses() == theirs.addresses()
    ours.stop()
    assert {item["local"] for item in ours.addresses() if item["local"].startswith(("10.", "2001:db8:6"))} == set()

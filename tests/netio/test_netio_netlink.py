"""Our netlink codec against pyroute2's message classes, in both directions, and against a kernel."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from pykeepalived.model import Family, IpPrefix, VirtualAddress
from pykeepalived.netio import addresses, links, netlink
from pykeepalived.netio.addresses import AddressChange
from pykeepalived.netio.links import AddressUpdate, LinkUpdate, Monitor
from pykeepalived.tools.lab import Lab, wait_until

ipv4 = st.ip_addresses(v=4).map(str)
ipv6 = st.ip_addresses(v=6).map(lambda address: socket.inet_ntop(socket.AF_INET6, address.packed))


@st.composite
def virtual_addresses(draw: st.DrawFn) -> VirtualAddress:
    six = draw(st.booleans())
    return VirtualAddress(
        prefix=IpPrefix(draw(ipv6 if six else ipv4), draw(st.integers(1, 128 if six else 32))),
        scope=draw(st.sampled_from([0, 200, 253, 254])),
        broadcast=None if six else draw(st.none() | ipv4),
        label=None if six else draw(st.none() | st.sampled_from(["eth0:1", "a-name-of-15-ch"])),
        dad=draw(st.booleans()),
        home=six and draw(st.booleans()),
        noprefixroute=draw(st.booleans()),
        preferred_lft_s=draw(st.none() | st.integers(0, 1000)),
    )


def decode(kind: type[Any], number: int, body: bytes) -> Any:
    message = kind(netlink.request(number, 0, 7, body))
    message.decode()
    return message


@given(virtual_addresses(), st.integers(1, 2**31 - 1))
@pytest.mark.shows("static_ipaddress.{scope,broadcast,label,home,noprefixroute}")
def test_pyroute2_reads_our_addition_as_we_meant_it(address: VirtualAddress, index: int) -> None:
    message = decode(ifaddrmsg, netlink.RTM_NEWADDR, addresses.encode(address, index))
    assert message["family"] == (10 if ":" in address.prefix.address else 2)
    assert (message["prefixlen"], message["scope"], message["index"]) == (
        address.prefix.length,
        address.scope,
        index,
    )
    assert message.get("IFA_LOCAL") == message.get("IFA_ADDRESS") == address.prefix.address
    assert message.get("IFA_LABEL") == address.label
    assert message.get("IFA_BROADCAST") == address.broadcast
    flags = (
        0x02 * (":" in address.prefix.address and not address.dad) | 0x10 * address.home | 0x200 * address.noprefixroute
    )
    assert (message.get("IFA_FLAGS") or 0) == flags
    assert message.get("IFA_PROTO") == 18
    lifetime = message.get("IFA_CACHEINFO")
    preferred_s = address.preferred_lft_s
    if preferred_s is None and ":" in address.prefix.address and address.prefix.length == 128:
        preferred_s = 0
    assert (lifetime and lifetime["ifa_preferred"]) == preferred_s


@given(virtual_addresses(), st.integers(1, 2**31 - 1))
def test_our_addition_has_the_bytes_that_pyroute2_writes(address: VirtualAddress, index: int) -> None:
    ours = addresses.encode(address, index)
    theirs = ifaddrmsg()
    read = decode(ifaddrmsg, netlink.RTM_NEWADDR, ours)
    for field in ("family", "prefixlen", "flags", "scope", "index"):
        theirs[field] = read[field]
    theirs["attrs"] = read["attrs"]
    theirs["header"]["type"] = netlink.RTM_NEWADDR
    theirs.encode()
    assert bytes(theirs.data[16:]) == ours


@given(virtual_addresses(), st.integers(1, 2**31 - 1))
def test_a_removal_names_the_address_and_nothing_else(address: VirtualAddress, index: int) -> None:
    message = decode(ifaddrmsg, netlink.RTM_DELADDR, addresses.encode_removal(address, index))
    assert dict(message["attrs"]) == {"IFA_LOCAL": address.prefix.address}
    assert (message["prefixlen"], message["index"]) == (address.prefix.length, index)


@given(virtual_addresses(), st.integers(1, 2**31 - 1))
def test_we_read_addresses_that_pyroute2_writes(address: VirtualAddress, index: int) -> None:
    data = netlink.request(netlink.RTM_NEWADDR, 0, 1, addresses.encode(address, index))
    (message,) = links.Reader().parse(data)
    assert message["header"] == {"type": netlink.RTM_NEWADDR, "flags": netlink.NLM_F_REQUEST, "sequence_number": 1}
    found = message["address"]
    assert found is not None
    assert (found.index, found.address, found.length) == (index, address.prefix.address, address.prefix.length)
    assert found.label == (address.label or "")


@given(st.sampled_from(["eth0", "a-name-of-15-ch"]), st.booleans(), st.booleans(), st.binary(min_size=6, max_size=6))
def test_we_read_links_that_pyroute2_writes(name: str, up: bool, running: bool, mac: bytes) -> None:
    message = ifinfmsg()
    message["index"] = 5
    message["flags"] = links.IFF_UP * up | links.IFF_RUNNING * running
    message["attrs"] = [("IFLA_IFNAME", name), ("IFLA_MTU", 9000), ("IFLA_ADDRESS", mac.hex(":"))]
    message["header"]["type"] = netlink.RTM_NEWLINK
    message.encode()
    (read,) = links.Reader().parse(bytes(message.data))
    assert links.parse_link(read) == links.Link(5, name, up and running, mac, 9000, admin_up=up)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_parsers_raise(data: bytes) -> None:
    links.parse_address(memoryview(data))
    netlink.attributes(memoryview(data), 0)


# ---- a kernel ----


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab("netlink") as made:
        one = made.namespace("one")
        two = made.namespace("two")
        made.link(one, "eth0", two, "eth0")
        one.address("eth0", "192.0.2.1/24")
        yield made


@pytest.fixture
def requests(lab: Lab) -> Iterator[netlink.Requests]:
    with lab.namespaces["one"].inside():
        made = netlink.Requests()
    yield made
    made.close()


@pytest.fixture
def monitor(lab: Lab, requests: netlink.Requests) -> Iterator[Monitor]:
    with lab.namespaces["one"].inside():
        made = Monitor(requests)
    yield made
    made.close()


def virtual(text: str, **more: Any) -> VirtualAddress:
    address, _, length = text.partition("/")
    return VirtualAddress(prefix=IpPrefix(address, int(length)), **more)


def read_until(monitor: Monitor, address: str, *, present: bool) -> None:
    """One read takes one burst of events at most."""

    def reached() -> bool:
        monitor.read()
        return monitor.has_address("eth0", address, 32) is present

    wait_until(reached, 120, f"{address} present: {present}", interval_s=0)


def index_in(monitor: Monitor) -> Any:
    return lambda name: found.index if (found := monitor.link(name)) else None


@pytest.mark.netns
@pytest.mark.shows("static_ipaddress.{brd,-nodad,preferred_lft}")
def test_many_addresses_come_and_go_in_one_batch(lab: Lab, requests: netlink.Requests, monitor: Monitor) -> None:
    wanted = [virtual(f"10.7.{number // 250}.{number % 250 + 1}/32") for number in range(500)]
    wanted.append(virtual("10.8.0.1/24", label="eth0:x", broadcast="+", scope=253))
    wanted.append(virtual("2001:db8::9/128"))
    changes = [AddressChange(True, "eth0", item) for item in wanted]
    assert addresses.apply(requests, index_in(monitor), changes) == []
    # Once more: what is there is replaced, and is no refusal.
    assert addresses.apply(requests, index_in(monitor), changes) == []
    text = lab.namespaces["one"].ip("-o", "addr", "show", "eth0")
    assert text.count("10.7.") == 500
    assert "inet 10.8.0.1/24 brd 10.8.0.255 scope link" in text
    assert "eth0:x" in text
    (six,) = [line for line in text.splitlines() if "2001:db8::9" in line]
    assert "nodad" in six
    assert "preferred_lft 0sec" in six
    read_until(monitor, "10.7.1.249", present=True)
    removals = [AddressChange(False, "eth0", item) for item in wanted]
    assert addresses.apply(requests, index_in(monitor), removals) == []
    assert addresses.apply(requests, index_in(monitor), removals) == []
    assert "10.7." not in lab.namespaces["one"].ip("-o", "addr", "show", "eth0")
    read_until(monitor, "10.7.1.249", present=False)


@pytest.mark.netns
def test_each_refused_change_is_named_and_the_others_are_made(
    lab: Lab, requests: netlink.Requests, monitor: Monitor
) -> None:
    good = virtual("10.9.0.1/32")
    changes = [
        AddressChange(True, "eth0", virtual("0.0.0.0/0", label="not-this-one:1")),
        AddressChange(True, "eth0", good),
        AddressChange(True, "nowhere", virtual("10.9.0.2/32")),
        AddressChange(False, "nowhere", virtual("10.9.0.3/32")),
        AddressChange(False, "eth0", virtual("10.9.0.4/32")),
    ]
    refused = addresses.apply(requests, index_in(monitor), changes)
    assert {item.change.ifname for item in refused} == {"nowhere"} or len(refused) == 2
    assert any(item.reason == "no interface nowhere" for item in refused)
    assert str(refused[0].change).startswith("add 10.9.0.2/32 to nowhere")
    assert lab.namespaces["one"].has_address("10.9.0.1", "eth0")
    addresses.apply(requests, index_in(monitor), [AddressChange(False, "eth0", good)])


@pytest.mark.netns
def test_the_kernels_own_words_are_part_of_a_refusal(requests: netlink.Requests, monitor: Monitor) -> None:
    bad = virtual("2001:db8::7/129")
    (refused,) = addresses.apply(requests, index_in(monitor), [AddressChange(True, "eth0", bad)])
    assert refused.reason
    assert refused.reason.startswith("Invalid argument (ipv6: ")


@pytest.mark.netns
def test_the_monitor_sees_what_others_do(lab: Lab, monitor: Monitor) -> None:
    one = lab.namespaces["one"]
    assert [item.address for item in monitor.addresses("eth0", Family.INET)] == ["192.0.2.1"]
    one.ip("addr", "add", "192.0.2.77/24", "dev", "eth0")
    found = monitor.read()
    assert [item.present for item in found if isinstance(item, AddressUpdate)] == [True]
    assert [item.address for item in monitor.addresses("eth0", Family.INET)] == ["192.0.2.1", "192.0.2.77"]
    one.ip("addr", "del", "192.0.2.77/24", "dev", "eth0")
    assert [item.present for item in monitor.read() if isinstance(item, AddressUpdate)] == [False]
    one.down("eth0")
    wait_until(lambda: any(isinstance(item, LinkUpdate) for item in monitor.read()), 120, "link down")
    link = monitor.link("eth0")
    assert link is not None
    assert not link.up
    one.up("eth0")
    wait_until(lambda: monitor.read() and (link := monitor.link("eth0")) and link.up, 120, "link up")


@pytest.mark.netns
def test_an_interface_that_is_renamed_or_removed_is_gone_under_its_old_name(lab: Lab, monitor: Monitor) -> None:
    one = lab.namespaces["one"]
    one.ip("link", "add", "va", "type", "veth", "peer", "name", "vb")
    monitor.read()
    first = monitor.link("va")
    assert first is not None
    one.ip("link", "set", "va", "name", "vc")
    updates = [item for item in monitor.read() if isinstance(item, LinkUpdate)]
    assert ("va", None) in [(item.name, item.new) for item in updates]
    assert monitor.link("va") is None
    renamed = monitor.link("vc")
    assert renamed is not None
    assert renamed.index == first.index
    one.ip("link", "del", "vc")
    monitor.read()
    assert monitor.link("vc") is monitor.link("vb") is None


@pytest.mark.netns
def test_lost_events_are_made_good_by_a_dump(lab: Lab, requests: netlink.Requests, monitor: Monitor) -> None:
    # A receive buffer this small loses events; without the dump the picture would stay wrong.
    monitor._reports.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    wanted = [AddressChange(True, "eth0", virtual(f"10.6.0.{number}/32")) for number in range(1, 100)]
    assert addresses.apply(requests, index_in(monitor), wanted) == []
    updates = monitor.read()
    assert monitor.overruns == 1
    assert monitor.has_address("eth0", "10.6.0.99", 32)
    assert len([item for item in updates if isinstance(item, AddressUpdate) and item.present]) == 99
    addresses.apply(requests, index_in(monitor), [AddressChange(False, "eth0", item.address) for item in wanted])
    monitor.read()
    assert not monitor.has_address("eth0", "10.6.0.99", 32)


def test_a_dump_that_the_kernel_refuses_is_an_oserror() -> None:
    requests = netlink.Requests()
    try:
        with pytest.raises(OSError) as caught:
            requests.dump(0xFFF0, ifinfmsg())
        assert caught.value.errno in {errno.EOPNOTSUPP, errno.EINVAL}
    finally:
        requests.close()


def test_pyroute2_is_taken_in_by_parts_and_is_whole_for_others() -> None:
    program = (
        "import sys\n"
        "from pykeepalived.netio import netlink\n"
        "assert 'pyroute2' not in sys.modules and 'pyroute2.ndb' not in sys.modules and 'asyncio' not in sys.modules\n"
        "from pykeepalived.dataplane.ipvs_messages import message_class\n"
        "message_class()\n"
        "import pyroute2\n"
        "from pyroute2.netlink.generic import GenericNetlinkSocket\n"
        "from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg\n"
        "assert ifinfmsg is netlink.ifinfmsg and pyroute2.IPRSocket and pyroute2.NDB and pyroute2.iproute.IPRoute\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)

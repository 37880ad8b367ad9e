"""keepalived.data's section about interfaces, and the log line about sockets: as keepalived writes them."""

from __future__ import annotations

import pytest

from pykeepalived.model.common import Family
from pykeepalived.netio.links import KernelAddress, Link
from pykeepalived.netio.sockets import Place, Wish
from pykeepalived.runtime.interface_data import interface_lines
from pykeepalived.runtime.vrrp_ears import _description
from pykeepalived.runtime.vrrp_view import View
from tests.interop.dumps import dump_texts

CONFIGURATION = """
garp_group {
    garp_interval 1.5
    interface eth0
}
interface_up_down_delays {
    eth0 1 1.5
}
vrrp_instance V {
    interface eth0
    virtual_router_id 7
    virtual_ipaddress {
        10.1.1.9/24
    }
}
"""
LINKS = (
    Link(1, "lo", True, bytes(6), 65536, admin_up=True, hardware=772, flags=0x8, broadcast=bytes(6)),
    Link(3, "eth0", True, b"\x02" * 6, 1500, admin_up=True, hardware=1, flags=0x1002, broadcast=b"\xff" * 6, group=4),
    Link(
        4, "mv0", False, b"\x06" * 6, 1500, kind="macvlan", parent=3, mode="private", hardware=1, flags=0x1002,
        broadcast=b"\xff" * 6,
    ),
)  # fmt: skip
ADDRESSES = {
    "lo": (KernelAddress(1, "127.0.0.1", 8, 254, 0x80),),
    "eth0": (KernelAddress(3, "10.1.1.1", 24, 0, 0x80), KernelAddress(3, "fe80::3", 64, 253, 0x80)),
}
EXPECTED = """\
 Name = lo
   index = 1
   IPv4 address = 127.0.0.1
   IPv6 address = (none)
   State = UP, RUNNING, no broadcast, loopback, no multicast
   Up debounce timer = 0us
   Down debounce timer = 0us
   Group = 0
   MTU = 65536
   HW Type = LOOPBACK
 Name = eth0
   index = 3
   IPv4 address = 10.1.1.1
   IPv6 address = fe80::3
   MAC = 02:02:02:02:02:02
   MAC broadcast = ff:ff:ff:ff:ff:ff
   State = UP, RUNNING
   Up debounce timer = 1500000us
   Down debounce timer = 1000000us
   Group = 4
   MTU = 1500
   HW Type = ETHERNET
   Gratuitous ARP interval 1500ms
   Tracking VRRP instances :
     V, weight 0
 Name = mv0
   index = 4
   IPv4 address = (none)
   IPv6 address = (none)
   MAC = 06:06:06:06:06:06
   MAC broadcast = ff:ff:ff:ff:ff:ff
   State = not UP, not RUNNING
   Up debounce timer = 0us
   Down debounce timer = 0us
   Group = 0
   VMAC type private, underlying interface = eth0, state = UP, RUNNING
   MTU = 1500
   HW Type = ETHERNET
"""


def test_the_interfaces_of_keepalived_data(tmp_path):
    file = tmp_path / "keepalived.conf"
    file.write_text(CONFIGURATION)
    view = dump_texts.vrrp_view(dump_texts.load_model(file))
    shown = View(
        **{name: getattr(view, name) for name in view.__struct_fields__} | {"links": LINKS, "addresses": ADDRESSES}
    )
    assert "".join(f"{line}\n" for line in interface_lines(shown)) == EXPECTED


@pytest.mark.parametrize(
    ("place", "wish", "text"),
    [
        (
            Place("eth0", Family.INET),
            Wish(3, frozenset({"224.0.0.18"})),
            "VRRP sockpool: [ifindex(  3), family(IPv4), proto(112), fd(14,15) multicast, address(224.0.0.18)]",
        ),
        (
            Place(None, Family.INET6, "fe80::1", 51),
            Wish(None),
            "VRRP sockpool: [ifindex(  0), family(IPv6), proto(51), fd(14,15) , unicast, address(fe80::1)]",
        ),
    ],
)
def test_the_log_tells_of_a_pair_of_sockets(place, wish, text):
    assert _description(place, wish, (14, 15)) == text

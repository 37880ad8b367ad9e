"""The doctor's parts on machines that are made up, and frames that strangers may send."""

from __future__ import annotations

import ipaddress

import pytest

from pykeepalived.model.common import IpPrefix, Script
from pykeepalived.model.config import Config
from pykeepalived.model.lvs import AddressSelector, Forwarding, ForwardingMethod, Protocol, RealServer, VirtualServer
from pykeepalived.model.vrrp import UnicastPeer, VirtualAddress, VmacSettings, VrrpInstance, VrrpScript
from pykeepalived.netio.links import Link
from pykeepalived.tools.doctor import kernel, networks, real_server, scripts, surroundings, vmac, wire
from pykeepalived.tools.doctor.machine import Place


class FakeMachine:
    def __init__(self, *, settings=(), addresses=None, programs=(), files=(), modules=(), ways=None, kinds=None):
        self.settings = dict(settings)
        self.held = addresses or {"lo": ["127.0.0.1/8"], "eth0": ["10.0.0.1/24"]}
        self.running = frozenset(programs)
        self.files = dict(files)
        self.modules = set(modules)
        self.ways = ways or {}
        self.kinds = kinds or {}

    def setting(self, key):
        return self.settings.get(key)

    def links(self):
        return [
            Link(number, name, True, bytes([2, 0, 0, 0, 0, number]), 1500, kind=self.kinds.get(name, ""), admin_up=True)
            for number, name in enumerate(self.held, 1)
        ]

    def addresses(self, ifname):
        return [ipaddress.ip_interface(text) for text in self.held[ifname]]

    def programs(self):
        return self.running

    def has_file(self, path):
        return path in self.files

    def read(self, path):
        return self.files.get(path)

    def has_module(self, name):
        return name in self.modules

    def way_to(self, path):
        return self.ways.get(path, [Place("/", 0, 0, 0o755), Place(path, 0, 0, 0o755)])


def instance(address="10.0.0.9/24", **words):
    where, _, length = address.partition("/")
    addresses = (VirtualAddress(prefix=IpPrefix(where, int(length))),)
    return VrrpInstance(name="VI_1", vrid=51, interface="eth0", **({"addresses": addresses} | words))


def service(method, address="10.0.0.11"):
    server = RealServer(address=address, port=80, forwarding=Forwarding(method))
    return VirtualServer(
        selector=AddressSelector("10.0.0.9", 80), protocol=Protocol.TCP, scheduler="rr", real_servers=(server,)
    )


def names(found):
    return {item.name for item in found}


def test_a_well_director_has_nothing():
    machine = FakeMachine(settings={"ipv4/ip_forward": "1"}, modules={"ip_vs", "ip_vs_rr"})
    config = Config(instances=(instance(),), virtual_servers=(service(ForwardingMethod.NAT),))
    for part in (scripts, networks, kernel, surroundings):
        assert names(part.examine(machine, config)) <= {"no-ipvs"}


@pytest.mark.parametrize(
    ("mode", "uid", "expected"),
    [(0o757, 0, {"script-world-writable"}), (0o755, 7, {"script-owner"}), (0o644, 0, {"script-not-executable"}),
     (0o755, 0, set())],
)  # fmt: skip
def test_scripts_that_others_may_change(mode, uid, expected):
    path = "/usr/local/bin/check"
    ways = {path: [Place("/", 0, 0, 0o755), Place("/tmp", 0, 0, 0o1777), Place(path, uid, 0, mode)]}
    config = Config(scripts=(VrrpScript(name="chk", script=Script((path,))),))
    found = list(scripts.examine(FakeMachine(ways=ways), config))
    assert names(found) == expected
    assert all(item.mend and path in item.mend[0] for item in found)


@pytest.mark.parametrize(
    ("own", "expected"),
    [("10.0.0.1/24", set()), ("10.0.0.1/30", {"netmask-differs"}), ("10.0.0.1/32", {"netmask-differs"}),
     ("192.168.0.1/24", {"netmask-differs"}), ("10.0.0.1/16", set())],
)  # fmt: skip
def test_a_netmask_that_leaves_the_virtual_address_out(own, expected):
    machine = FakeMachine(addresses={"eth0": [own, "10.0.0.9/24"]})
    found = list(networks.examine(machine, Config(instances=(instance(),))))
    assert names(found) == expected


def test_the_command_that_mends_a_netmask():
    machine = FakeMachine(addresses={"eth0": ["10.0.0.1/30"]})
    (found,) = networks.examine(machine, Config(instances=(instance(),)))
    assert found.mend == ("ip address replace 10.0.0.1/24 dev eth0",)


def test_interfaces_and_peers_and_far_real_servers():
    assert names(networks.examine(FakeMachine(addresses={"eth1": []}), Config(instances=(instance(),)))) == {
        "interface-missing"
    }
    near = FakeMachine(addresses={"eth0": ["10.0.0.1/28"]})
    unicast = instance("10.0.0.9/28", source="10.0.0.1", unicast_peers=(UnicastPeer("10.0.0.200"),))
    assert names(networks.examine(near, Config(instances=(unicast,)))) == {"netmask-of-peer"}
    config = Config(virtual_servers=(service(ForwardingMethod.DR, "10.9.9.9"),))
    assert names(networks.examine(FakeMachine(), config)) == {"direct-routing-far"}


def test_what_the_kernel_lacks():
    config = Config(virtual_servers=(service(ForwardingMethod.NAT),))
    bare = FakeMachine(settings={"ipv4/ip_forward": "0"})
    assert names(kernel.examine(bare, config)) == {"forwarding-off", "no-ipvs"}
    full = FakeMachine(
        settings={
            "ipv4/ip_forward": "1", "ipv4/vs/expire_nodest_conn": "0", "netfilter/nf_conntrack_max": "100",
            "netfilter/nf_conntrack_count": "95",
        },
        modules={"ip_vs"},
    )  # fmt: skip
    assert names(kernel.examine(full, config)) == {"module-missing", "expire-nodest-conn", "conntrack-full"}


def test_who_else_works_here():
    machine = FakeMachine(
        addresses={"eth0": ["10.0.0.1/24"]},
        kinds={"eth0": "bridge"},
        programs={"systemd-network", "NetworkManager"},
        files={
            "/sys/class/net/eth0/bridge/multicast_snooping": "1\n",
            "/sys/class/net/eth0/bridge/multicast_querier": "0\n",
            "/sys/fs/selinux/enforce": "1",
            "/sys/kernel/security/apparmor/profiles": "/usr/sbin/keepalived (enforce)\n",
        },
    )
    found = names(surroundings.examine(machine, Config(instances=(instance(),))))
    assert found == {"networkd", "network-manager", "multicast-snooping", "selinux", "apparmor"}
    assert names(
        surroundings.examine(machine, Config(instances=(instance(unicast_peers=(UnicastPeer("10.0.0.2"),)),)))
    ) == (found - {"multicast-snooping"})


@pytest.mark.parametrize(
    ("method", "machine", "expected"),
    [
        ("dr", FakeMachine(), {"arp-ignore", "arp-announce", "address-missing"}),
        ("dr", FakeMachine(
            settings={"ipv4/conf/all/arp_ignore": "1", "ipv4/conf/eth0/arp_announce": "2"},
            addresses={"lo": ["127.0.0.1/8", "10.0.0.9/32"], "eth0": ["10.0.0.11/24"]}), set()),
        ("dr", FakeMachine(
            settings={"ipv4/conf/all/arp_ignore": "1", "ipv4/conf/all/arp_announce": "2"},
            addresses={"lo": ["10.0.0.9/24"], "eth0": ["10.0.0.11/24"]}), {"address-too-wide"}),
        ("tun", FakeMachine(), {"no-tunnel"}),
        ("nat", FakeMachine(), {"no-return-route"}),
        ("nat", FakeMachine(files={"/proc/net/route": "h\neth0 00000000 FE00000A 3 0 0 0 00000000 0 0 0\n"}), set()),
    ],
)  # fmt: skip
def test_what_a_real_server_lacks(method, machine, expected):
    found = list(real_server.examine(machine, method, ["10.0.0.9"], "10.0.0.254"))
    assert names(found) == expected
    assert all(item.mend for item in found)
    assert real_server.set_up(method, ["10.0.0.9"], "10.0.0.254")


# ---- the wire ----


def heard(*adverts, claims=()):
    return [wire.Heard("eth0", adverts, claims)]


def advert(source="10.0.0.2", priority=100, version=2, addresses=("10.0.0.9",)):
    return wire.Advert(source, 51, priority, version, addresses)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (heard(advert()), set()),
        (heard(advert(addresses=("10.7.7.7",))), {"vrid-taken"}),
        (heard(advert(version=3)), {"version-differs"}),
        (heard(advert("10.0.5.2")), {"netmask-of-peer"}),
        (heard(advert(), advert("10.0.0.3")), {"several-masters"}),
        (heard(advert(), claims=(("10.0.0.9", "02:aa:00:00:00:01"),)), set()),
        (heard(claims=(("10.0.0.9", "02:aa:00:00:00:01"),)), {"address-claimed"}),
        (heard(advert(), claims=(("10.0.0.9", "02:aa:00:00:00:01"), ("10.0.0.9", "02:aa:00:00:00:02"))),
         {"address-claimed"}),
        (heard(claims=(("10.0.0.77", "02:aa:00:00:00:01"),)), set()),
    ],
)  # fmt: skip
def test_what_is_heard(frames, expected):
    assert names(wire.examine(FakeMachine(), Config(instances=(instance(),)), frames)) == expected


RIGHT, OTHER = "00:00:5e:00:01:33", "02:aa:00:00:00:01"


@pytest.mark.parametrize(
    ("use", "claims", "own", "expected"),
    [
        (False, (), None, {"no-vmac"}),
        (True, (("10.0.0.9", RIGHT),), None, {"vmac-answers"}),
        (True, (("10.0.0.9", OTHER),), None, {"vmac-differs"}),
        (True, (("10.0.0.9", RIGHT), ("10.0.0.9", OTHER)), None, {"vmac-answers", "vmac-differs"}),
        (True, (("10.0.0.8", RIGHT),), None, {"vmac-silent"}),
        (True, (), "10.0.0.9/24", {"vmac-differs"}),
    ],
)
def test_who_answers_with_which_address(use, claims, own, expected):
    machine = FakeMachine(addresses={"eth0": ["10.0.0.1/24", *([own] if own else [])]})
    config = Config(instances=(instance(vmac=VmacSettings() if use else None),))
    found = vmac.examine(machine, config, heard(claims=claims))
    assert names(found) == expected


def test_frames_that_make_no_sense_are_nothing():
    good = bytes.fromhex(
        "450000281234000" + "0ff70" + "0000" + "0a000002" + "e0000012" + "2133640100010000" + "0a000009" + "0" * 16
    )
    assert wire.read_advert(good) == wire.Advert("10.0.0.2", 0x33, 0x64, 2, ("10.0.0.9",))
    for length in range(len(good) - 8):
        wire.read_advert(good[:length])
    assert wire.read_advert(good[:9] + b"\x11" + good[10:]) is None
    assert wire.read_advert(good[:23] + b"\xff" + good[24:]) is None
    for length in range(30):
        wire.read_arp(bytes(length))

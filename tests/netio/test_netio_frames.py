"""Frames that we send: what scapy builds, what we patch into it, and what strangers read out of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykeepalived.model import Authentication, AuthType, Family, IpPrefix, UnicastPeer, VirtualAddress, VrrpInstance
from pykeepalived.netio.frames.neighbour import AnnouncementCache
from pykeepalived.netio.frames.neighbour_layers import gratuitous_arp
from pykeepalived.netio.frames.vrrp import AdvertSpec, Counters, Datagram, advert_specs
from pykeepalived.netio.frames.vrrp_layers import packet
from pykeepalived.vrrp.events import AdvertReceived, PacketRefused
from pykeepalived.vrrp.expectation import expectation
from pykeepalived.vrrp.receive import Ladder

# isort: split
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.vrrp import VRRP, VRRPv3

MAC = bytes.fromhex("020000000001")

addresses4 = st.lists(st.ip_addresses(v=4).map(str), min_size=1, max_size=20).map(tuple)
# Addresses with an IPv4 address inside have two texts; they are not what this is about.
addresses6 = st.lists(
    st.ip_addresses(v=6).filter(lambda address: int(address) >> 48).map(str), min_size=1, max_size=20
).map(tuple)
octets = st.integers(0, 255)
centiseconds = st.integers(1, 4095).map(lambda value: value * 10_000)


@st.composite
def specs(draw: st.DrawFn) -> AdvertSpec:
    version = draw(st.sampled_from([2, 3]))
    ipv6 = version == 3 and draw(st.booleans())
    password = draw(st.binary(min_size=1, max_size=8)) if version == 2 and draw(st.booleans()) else b""
    return AdvertSpec(
        source="fe80::1" if ipv6 else "192.0.2.1",
        destination="ff02::12" if ipv6 else "224.0.0.18",
        vrid=draw(st.integers(1, 255)),
        version=version,
        interval_us=draw(st.integers(1, 255)) * 1_000_000 if version == 2 else draw(centiseconds),
        addresses=draw(addresses6 if ipv6 else addresses4),
        auth_type=AuthType.PASS if password else AuthType.NONE,
        password=password,
        message_only_checksum=draw(st.booleans()),
    )


def message_of(spec: AdvertSpec, datagram: bytes) -> bytes:
    return datagram[40 if ":" in spec.destination else 20 :]


@given(specs(), octets, octets)
def test_a_patched_priority_gives_the_bytes_that_scapy_builds(spec: AdvertSpec, first: int, second: int) -> None:
    kept = Datagram(spec, first, Counters())
    assert message_of(spec, bytes(kept.advert(second))) == message_of(spec, bytes(packet(spec, second)))
    assert message_of(spec, bytes(kept.advert(first))) == message_of(spec, bytes(packet(spec, first)))


@given(specs(), octets)
def test_scapys_own_layers_read_the_same_and_find_the_checksum_good(spec: AdvertSpec, priority: int) -> None:
    data = bytes(packet(spec, priority))
    below = (IPv6 if ":" in spec.destination else IP)(data)
    layer = below[VRRP if spec.version == 2 else VRRPv3]
    assert (layer.version, layer.type, layer.vrid, layer.priority) == (spec.version, 1, spec.vrid, priority)
    assert tuple(layer.addrlist) == spec.addresses
    unit = 1_000_000 if spec.version == 2 else 10_000
    assert layer.adv * unit == spec.interval_us
    found = layer.chksum
    if spec.version == 3 and spec.message_only_checksum and ":" not in spec.destination:
        return  # scapy knows only the form with the pseudo-header
    below.chksum = layer.chksum = None
    assert type(below)(bytes(below))[type(layer)].chksum == found


@given(specs(), octets)
def test_our_ladder_accepts_what_we_send(spec: AdvertSpec, priority: int) -> None:
    virtual = tuple(VirtualAddress(prefix=IpPrefix(item, 128 if ":" in item else 32)) for item in spec.addresses)
    instance = VrrpInstance(
        name="VI",
        vrid=spec.vrid,
        interface="eth0",
        version=spec.version,
        advert_interval_us=spec.interval_us,
        addresses=virtual,
        native_ipv6=":" in spec.destination,
        authentication=Authentication(AuthType.PASS, spec.password) if spec.password else None,
        v3_checksum_as_v2=spec.message_only_checksum,
    )
    (built,) = advert_specs(instance, spec.source, spec.destination)
    data = bytes(Datagram(built, priority, Counters()).advert(priority))
    ladder = Ladder([expectation(instance)])
    if ":" in spec.destination:
        event = ladder.ipv6(data[40:], data[8:24], data[24:40], data[7], "eth0")
    else:
        event = ladder.ipv4(data, "eth0")
    assert isinstance(event, AdvertReceived), event
    assert event.advert.priority == priority
    assert event.advert.addresses == spec.addresses
    assert event.advert.source == spec.source
    assert not event.advert.other_checksum_form


def test_ipv4_header_is_keepaliveds_and_the_identification_counts_up_and_skips_zero() -> None:
    spec = AdvertSpec(
        source="192.0.2.1",
        destination="224.0.0.18",
        vrid=51,
        version=2,
        interval_us=1_000_000,
        addresses=("192.0.2.9",),
    )
    counters = Counters()
    counters.identification = 65533
    kept = Datagram(spec, 100, counters)
    seen = []
    for _ in range(4):
        header = IP(bytes(kept.advert(100)))
        assert (header.tos, header.ttl, int(header.flags), header.proto) == (0xC0, 255, 0, 112)
        seen.append(header.id)
    assert seen == [65534, 65535, 1, 2]
    assert counters.identification == 2


@given(st.binary(min_size=1, max_size=8), octets, addresses4)
def test_every_advert_with_ah_has_a_new_number_and_a_digest_that_fits(
    password: bytes, priority: int, virtual: tuple[str, ...]
) -> None:
    instance = VrrpInstance(
        name="VI",
        vrid=51,
        interface="eth0",
        authentication=Authentication(AuthType.AH, password),
        addresses=tuple(VirtualAddress(prefix=IpPrefix(item, 32)) for item in virtual),
    )
    (spec,) = advert_specs(instance, "192.0.2.1", "224.0.0.18")
    kept = Datagram(spec, 100, Counters())
    ladder = Ladder([expectation(instance)])
    for number in (1, 2, 3):
        data = bytes(kept.advert(priority))
        header = IP(data)
        assert (header.proto, header.len, header.id) == (51, len(data), number)
        assert data[24:28] == bytes([192, 0, 2, 1]), "the security parameters index is the source"
        assert int.from_bytes(data[28:32], "big") == number
        event = ladder.ipv4(data, "eth0")
        assert isinstance(event, AdvertReceived), event
        assert event.advert.priority == priority
        tampered = bytearray(data)
        tampered[46] ^= 1
        assert not isinstance(ladder.ipv4(bytes(tampered), "eth0"), AdvertReceived)


def test_unicast_has_one_advert_for_each_peer_and_the_configured_ttl() -> None:
    instance = VrrpInstance(
        name="VI",
        vrid=1,
        interface="eth0",
        version=3,
        unicast_ttl=64,
        unicast_peers=(UnicastPeer("192.0.2.2"), UnicastPeer("192.0.2.3")),
        addresses=(VirtualAddress(prefix=IpPrefix("192.0.2.9", 24)),),
        excluded_addresses=(VirtualAddress(prefix=IpPrefix("192.0.2.10", 24)),),
    )
    found = advert_specs(instance, "192.0.2.1", "224.0.0.18")
    assert [(item.destination, item.ttl) for item in found] == [("192.0.2.2", 64), ("192.0.2.3", 64)]
    assert {item.addresses for item in found} == {("192.0.2.9",)}


def test_version_3_rounds_to_centiseconds_and_version_2_to_seconds() -> None:
    base = VrrpInstance(name="VI", vrid=1, interface="eth0", advert_interval_us=2_344_000)
    assert advert_specs(base, "192.0.2.1", "224.0.0.18")[0].interval_us == 2_000_000
    three = VrrpInstance(name="VI", vrid=1, interface="eth0", version=3, advert_interval_us=2_344_000)
    assert advert_specs(three, "192.0.2.1", "224.0.0.18")[0].interval_us == 2_340_000


@given(st.ip_addresses(v=4).map(str), st.ip_addresses(v=4).map(str))
def test_gratuitous_arp_of_a_second_address_is_what_scapy_builds_for_it(first: str, second: str) -> None:
    cache = AnnouncementCache()
    for address in (first, second, first):
        frame = cache.frame(MAC, address, router=False)
        assert frame == bytes(gratuitous_arp(MAC, address))
    assert frame[:14] == b"\xff" * 6 + MAC + b"\x08\x06"
    assert frame[20:22] == b"\x00\x01", "a request"
    assert frame[32:38] == b"\xff" * 6, "target hardware address"


@pytest.mark.parametrize(("router", "flags"), [(False, 0x20), (True, 0xA0)])
def test_neighbour_advertisement_overrides_and_names_a_router(router: bool, flags: int) -> None:
    frame = AnnouncementCache().frame(MAC, "2001:db8::9", router=router)
    assert frame[:6] == bytes.fromhex("333300000001")
    assert frame[21] == 255
    icmp = frame[54:]
    assert (icmp[0], icmp[4]) == (136, flags)
    assert icmp[24:] == b"\x02\x01" + MAC
    pseudo = frame[22:54] + len(icmp).to_bytes(4, "big") + b"\0\0\0\x3a"
    assert int.from_bytes(pseudo + icmp, "big") % 0xFFFF == 0


def test_importing_the_frames_leaves_no_file_no_log_handler_and_no_environment(tmp_path: Path) -> None:
    code = (
        "import logging, os, pykeepalived.netio.frames.vrrp, pykeepalived.netio.frames.neighbour, sys\n"
        "assert 'scapy' not in sys.modules\n"
        "import pykeepalived.netio.frames.vrrp_layers, pykeepalived.netio.frames.neighbour_layers\n"
        "assert 'scapy.layers.inet6' not in sys.modules\n"
        "pykeepalived.netio.frames.scapy_quietly.ipv6_layers()\n"
        "assert not logging.getLogger('scapy').handlers\n"
        "assert 'XDG_CACHE_HOME' not in os.environ\n"
        "assert 'scapy.all' not in sys.modules\n"
    )
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)
    assert list(tmp_path.rglob("*")) == []


def test_families_do_not_mix_in_an_advert() -> None:
    instance = VrrpInstance(
        name="VI",
        vrid=1,
        interface="eth0",
        version=3,
        addresses=(
            VirtualAddress(prefix=IpPrefix("192.0.2.9", 24)),
            VirtualAddress(prefix=IpPrefix("2001:db8::9", 64)),
        ),
    )
    assert advert_specs(instance, "192.0.2.1", "224.0.0.18")[0].addresses == ("192.0.2.9",)
    assert Family.INET6 == 10


@pytest.mark.parametrize(("word", "heard"), [(None, False), ("always", False), (None, True)])
def test_the_old_checksum_has_the_multicast_group_in_it(word: str | None, heard: bool):
    """The bytes are those that keepalived 2.2.7 sent with `old_unicast_checksum` (captured in a namespace)."""
    old = word == "always" or heard
    sender = VrrpInstance(
        name="A",
        vrid=51,
        interface="eth0",
        version=3,
        advert_interval_us=200_000,
        addresses=(VirtualAddress(prefix=IpPrefix("10.0.0.9", 24)),),
        unicast_peers=(UnicastPeer("10.0.0.2"),),
        old_unicast_checksum=word,
    )
    (spec,) = advert_specs(sender, "10.0.0.1", "", old_checksum=heard)
    data = bytes(packet(spec, 100))
    assert (data[20:].hex() == "313364010014761e0a000009") is old
    event = Ladder([expectation(sender)]).ipv4(data, "eth0")
    assert isinstance(event, AdvertReceived)
    assert event.advert.old_checksum is old
    never = Ladder([expectation(msgspec.structs.replace(sender, old_unicast_checksum="never"))])
    assert isinstance(never.ipv4(data, "eth0"), PacketRefused if old else AdvertReceived)

"""The receive ladder: every rung, their order, and scapy's opinion."""

from __future__ import annotations

import ipaddress
import itertools
import random
import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykeepalived.model.common import Family
from pykeepalived.model.vrrp import Authentication, AuthType, UnicastPeer
from pykeepalived.vrrp.authentication import AhCounter, ah_digest, ah_digest_fits
from pykeepalived.vrrp.events import AdvertReceived, PacketRefused, Refusal
from pykeepalived.vrrp.expectation import expectation
from pykeepalived.vrrp.receive import Ladder
from pykeepalived.vrrp.rungs import address_text
from tests.vrrp.packets import IP, VRRP, VRRPv3, expected, ladder, packet, v2, v3, v3_ipv6
from tests.vrrp.playbook import instance

V2 = {"version": 2}
PEER = {"unicast": True, "peers": {"10.0.0.2": (0, 255)}, "check_peers": True}


def read(data: bytes, *expectations, interface: str = "eth0"):
    return ladder(*expectations).ipv4(data, interface)


def passed(data: bytes, *expectations):
    event = read(data, *expectations)
    assert isinstance(event, AdvertReceived), event
    return event.advert


def refused(data: bytes, *expectations) -> Refusal:
    event = read(data, *expectations)
    assert isinstance(event, PacketRefused), event
    return event.refusal


def patch(data: bytes, offset: int, value: bytes) -> bytes:
    return data[:offset] + value + data[offset + len(value) :]


# ---- what passes ----


def test_version_2():
    advert = passed(packet(v2(150, ("10.0.0.51", "10.0.0.52"))), expected(**V2))
    assert (advert.source, advert.destination, advert.ttl, advert.version) == ("10.0.0.2", "224.0.0.18", 255, 2)
    assert (advert.vrid, advert.priority, advert.interval_us) == (51, 150, 1_000_000)
    assert advert.addresses == ("10.0.0.51", "10.0.0.52")


def test_version_3_in_both_checksum_forms():
    layer = v3(150, adv=0x0FFF)
    with_pseudo = packet(layer)
    advert = passed(with_pseudo)
    assert (advert.interval_us, advert.other_checksum_form) == (40_950_000, False)
    assert passed(with_pseudo, expected(sends_plain_checksum=True)).other_checksum_form
    message = patch(with_pseudo[20:], 6, b"\0\0")
    words = sum(struct.unpack(f"!{len(message) // 2}H", message))
    plain = ~((words & 0xFFFF) + (words >> 16)) & 0xFFFF
    message_only = patch(with_pseudo, 26, plain.to_bytes(2, "big"))
    assert passed(message_only).other_checksum_form
    assert not passed(message_only, expected(sends_plain_checksum=True)).other_checksum_form


def test_version_3_over_ipv6():
    message = v3_ipv6("fe80::2", "ff02::12", v3(150, ("fe80::51", "2001:db8::51")))
    reader = ladder(expected(family=Family.INET6))
    event = reader.ipv6(message, *_packed("fe80::2", "ff02::12"), 255, "eth0")
    assert isinstance(event, AdvertReceived), event
    assert event.advert.addresses == ("fe80::51", "2001:db8::51")
    assert (event.advert.source, event.advert.destination) == ("fe80::2", "ff02::12")
    bent = reader.ipv6(message, *_packed("fe80::3", "ff02::12"), 255, "eth0")
    assert isinstance(bent, PacketRefused)
    assert bent.refusal is Refusal.CHECKSUM


def test_the_same_vrid_in_both_families_is_two_routers():
    reader = ladder(expected("four"), expected("six", family=Family.INET6))
    message = v3_ipv6("fe80::2", "ff02::12", v3(150, ("fe80::51",)))
    assert reader.ipv6(message, *_packed("fe80::2", "ff02::12"), 255, "eth0").instance == "six"
    assert reader.ipv4(packet(v3()), "eth0").instance == "four"


def test_one_vrid_on_one_interface_is_told_apart_by_group_sender_and_destination():
    reader = ladder(
        expected("group", destination="233.4.5.6"),
        expected("default"),
        expected("one", unicast=True, destination="10.0.0.1", peers={"10.0.0.2": (0, 255)}),
        expected("two", unicast=True, destination="10.0.0.1", peers={"10.0.0.3": (0, 255)}),
        expected("three", unicast=True, destination="10.0.0.9", peers={"10.0.0.2": (0, 255)}),
    )
    for source, destination, name in (
        ("10.0.0.2", "233.4.5.6", "group"),
        ("10.0.0.2", "224.0.0.18", "default"),
        ("10.0.0.2", "10.0.0.1", "one"),
        ("10.0.0.3", "10.0.0.1", "two"),
        ("10.0.0.2", "10.0.0.9", "three"),
    ):
        assert reader.ipv4(packet(v3(), source=source, destination=destination), "eth0").instance == name


def test_padding_and_trailers_behind_the_expected_end_are_tolerated():
    data = packet(v3())
    assert passed(data + bytes(14)) == passed(data)
    longer = patch(packet(v3()) + b"\x01" * 28, 2, (len(data) + 28).to_bytes(2, "big"))
    assert passed(longer) == passed(data)


def test_ip_options_are_skipped():
    data = packet(v3())
    with_options = patch(data[:20] + b"\x01" * 4 + data[20:], 0, b"\x46")
    assert passed(patch(with_options, 2, len(with_options).to_bytes(2, "big"))) == passed(data)


def test_an_interval_that_differs_is_no_fault_in_version_3():
    assert passed(packet(v3(adv=5))).interval_us == 50_000
    # The four reserved bits are ignored (RFC 9568 section 5.2.6).
    assert passed(packet(v3(adv=5, res=15))).interval_us == 50_000


def test_a_repeated_advert_is_read_once():
    reader = ladder()
    data = packet(v3())
    assert reader.ipv4(data, "eth0") is reader.ipv4(data, "eth0")
    assert reader.ipv4(packet(v3(), ttl=64), "eth0").refusal is Refusal.TTL
    for priority in range(1, 255):
        assert reader.ipv4(packet(v3(priority)), "eth0").advert.priority == priority


def test_what_is_remembered_holds_for_its_interface_and_its_expectations_only():
    data = packet(v3(150))
    reader = ladder(expected(), expected("B", vrid=51, interface="eth1"))
    assert reader.ipv4(data, "eth0").instance == "A"
    assert reader.ipv4(data, "eth1").instance == "B"
    assert reader.ipv4(data, "eth2").refusal is Refusal.UNKNOWN_VRID
    reader.replace([expected(**V2)])
    assert reader.ipv4(data, "eth0").refusal is Refusal.VERSION
    assert reader.ipv4(data, "eth1").refusal is Refusal.UNKNOWN_VRID


@pytest.mark.parametrize("offset", [0, 1, 2, 3, 6, 8, 9, *range(12, 32)])
def test_a_byte_that_differs_is_never_taken_for_the_remembered_packet(offset):
    """The ladder judges a changed packet as one that has remembered nothing does."""
    data = packet(v3(150))
    reader = ladder()
    first = reader.ipv4(data, "eth0")
    assert reader.ipv4(data, "eth0") is first
    for bit in range(8):
        changed = patch(data, offset, bytes([data[offset] ^ 1 << bit]))
        assert reader.ipv4(changed, "eth0") == ladder().ipv4(changed, "eth0")
        assert reader.ipv4(changed, "eth0") is not first


def test_a_flood_of_adverts_that_differ_does_not_fill_the_memory():
    reader = ladder()
    for number in range(100):
        event = reader.ipv4(packet(v3(150), source=f"10.1.0.{number + 1}"), "eth0")
        assert isinstance(event, AdvertReceived)
    assert len(reader._passed) <= 8


def test_the_id_of_the_ip_header_is_not_looked_at():
    reader = ladder()
    assert reader.ipv4(packet(v3(), id=1), "eth0") is reader.ipv4(packet(v3(), id=2), "eth0")


# ---- what does not ----

CASES = {
    "empty": (b"", expected(), Refusal.SHORT_IP_HEADER),
    "short IP header": (packet(v3())[:19], expected(), Refusal.SHORT_IP_HEADER),
    "IPv6 in version field": (patch(packet(v3()), 0, b"\x65"), expected(), Refusal.SHORT_IP_HEADER),
    "header length 4": (patch(packet(v3()), 0, b"\x41"), expected(), Refusal.SHORT_IP_HEADER),
    "another protocol": (packet(v3(), proto=17), expected(), Refusal.NOT_VRRP),
    "cut off": (packet(v3())[:-1], expected(), Refusal.LENGTH),
    "a fragment": (packet(v3(), flags="MF"), expected(), Refusal.LENGTH),
    "7 bytes of VRRP": (patch(packet(v3())[:27], 2, b"\0\x1b"), expected(), Refusal.LENGTH),
    "more addresses promised than sent": (packet(v3(ipcount=2)), expected(), Refusal.LENGTH),
    "v3 without addresses": (packet(v3(100, ())), expected(), Refusal.LENGTH),
    "v2 without authentication data": (
        patch(packet(v2())[:-8], 2, (32).to_bytes(2, "big")),
        expected(**V2),
        Refusal.LENGTH,
    ),
    "forwarded": (packet(v3(), ttl=254), expected(), Refusal.TTL),
    "another VRID": (packet(v3(vrid=52)), expected(), Refusal.UNKNOWN_VRID),
    "v2 to v3": (packet(v2()), expected(), Refusal.VERSION),
    "v3 to v2": (packet(v3()), expected(**V2), Refusal.VERSION),
    "version 4": (patch(packet(v3()), 20, b"\x41"), expected(), Refusal.VERSION),
    "PASS to none": (packet(v2(authtype=1)), expected(**V2), Refusal.AUTH_TYPE_MISMATCH),
    "none to PASS": (packet(v2()), expected(**V2, auth_type=AuthType.PASS), Refusal.AUTH_TYPE_MISMATCH),
    "authentication type 3": (packet(v2(authtype=3)), expected(**V2), Refusal.AUTH_TYPE_INVALID),
    "wrong password": (
        packet(v2(authtype=1, auth1=0x31313131)),
        expected(**V2, auth_type=AuthType.PASS, password=b"1112\0\0\0\0"),
        Refusal.AUTH_FAILURE,
    ),
    "AH to none": (packet(b"\x70\x04" + bytes(22) + bytes(v2()), proto=51), expected(**V2), Refusal.AUTH_TYPE_MISMATCH),
    "none to AH": (packet(v2(authtype=2)), expected(**V2, auth_type=AuthType.AH), Refusal.AUTH_TYPE_MISMATCH),
    "AH before TCP": (
        packet(b"\x06\x04" + bytes(22) + bytes(v2(authtype=2)), proto=51),
        expected(**V2, auth_type=AuthType.AH),
        Refusal.AH_MALFORMED,
    ),
    "AH with a wrong digest": (
        packet(b"\x70\x04" + bytes(22) + bytes(v2(authtype=2)), proto=51),
        expected(**V2, auth_type=AuthType.AH),
        Refusal.AUTH_FAILURE,
    ),
    "another interval in v2": (packet(v2(adv=2)), expected(**V2), Refusal.ADVERT_INTERVAL),
    "interval 0 in v3": (packet(v3(adv=0)), expected(), Refusal.ADVERT_INTERVAL),
    "type 2": (packet(v3(type=2)), expected(), Refusal.TYPE),
    "wrong checksum": (packet(v3(chksum=1)), expected(), Refusal.CHECKSUM),
    "wrong checksum in v2": (packet(v2(chksum=1)), expected(**V2), Refusal.CHECKSUM),
    "v2 with a pseudo-header": (patch(packet(v2()), 26, b"\x12\x34"), expected(**V2), Refusal.CHECKSUM),
    "unicast to a multicast instance": (packet(v3(), destination="10.0.0.1"), expected(), Refusal.UNICAST_MISMATCH),
    "multicast to a unicast instance": (packet(v3()), expected(**PEER), Refusal.UNICAST_MISMATCH),
    "an owner that ignores adverts": (packet(v3()), expected(ignores_adverts=True), Refusal.OWNER_IGNORES),
    "a stranger": (packet(v3(), "10.0.0.3", "10.0.0.1"), expected(**PEER), Refusal.NOT_A_PEER),
    "too far away": (
        packet(v3(), destination="10.0.0.1", ttl=200),
        expected(**PEER | {"peers": {"10.0.0.2": (201, 255)}}),
        Refusal.PEER_TTL,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_refused(name):
    data, expectation_, refusal = CASES[name]
    assert refused(data, expectation_) is refusal


def test_every_refusal_of_the_ladder_has_a_case():
    # The start-up delay is the router's own, a replay needs two packets, and HMAC has a file of tests for itself.
    elsewhere = {Refusal.STARTUP_DELAY, Refusal.AH_REPLAY}
    elsewhere |= {refusal for refusal in Refusal if refusal.value.startswith("hmac-")}
    assert {refusal for _, _, refusal in CASES.values()} == set(Refusal) - elsewhere


def ah_packet(sequence: int, source: str = "10.0.0.2") -> bytes:
    header = b"\x70\x04\0\0" + socket.inet_aton(source) + sequence.to_bytes(4, "big") + bytes(12)
    data = bytearray(packet(header + bytes(v2(authtype=2)), source, proto=51))
    data[32:44] = ah_digest(bytes(data[:44]), bytes(data[44:]), b"s3cret")
    return bytes(data)


def test_an_ah_sequence_number_is_used_once_and_shared_with_what_we_send():
    """As 2.2.7 and 2.4.3: one counter for an instance, so a router that starts anew continues from what it heard."""
    counter = AhCounter()
    reader = Ladder()
    accepts = expected(**V2, auth_type=AuthType.AH, password=b"s3cret")
    reader.replace([accepts], {"A": counter})
    assert isinstance(reader.ipv4(ah_packet(100), "eth0"), AdvertReceived)
    for sequence, source in ((100, "10.0.0.2"), (1, "10.0.0.2"), (99, "10.0.0.3")):
        event = reader.ipv4(ah_packet(sequence, source), "eth0")
        assert isinstance(event, PacketRefused)
        assert event.refusal is Refusal.AH_REPLAY
        assert event.detail.endswith("the last one is 100")
    assert isinstance(reader.ipv4(ah_packet(101, "10.0.0.3"), "eth0"), AdvertReceived)
    assert counter.next() == 102
    assert isinstance(reader.ipv4(ah_packet(102), "eth0"), PacketRefused)
    counter.value = 2**32 - 1
    assert isinstance(reader.ipv4(ah_packet(3), "eth0"), AdvertReceived), "32 bits end"


def test_the_texts_that_monitoring_scripts_match():
    def detail(data, *expectations):
        event = read(data, *expectations)
        assert isinstance(event, PacketRefused)
        return event.instance, event.detail

    assert detail(packet(v3(), ttl=64)) == ("A", "invalid TTL/HL from 10.0.0.2. Received 64 and expect 255")
    assert detail(packet(v3()), expected(**V2)) == (
        "A",
        "wrong VRRP version from 10.0.0.2. Received 3 and expect 2",
    )
    assert detail(packet(v3(vrid=9))) == ("", "Unknown VRID(9) received on interface(eth0). ignoring...")
    assert detail(*CASES["wrong password"][:2]) == ("A", "received an invalid passwd from 10.0.0.2!")
    assert detail(*CASES["a stranger"][:2]) == ("A", "unicast source address 10.0.0.3 not a unicast peer")


def test_the_rungs_stand_in_their_order():
    """A packet with two faults is refused for the earlier one."""
    order = [
        ("ttl", lambda data: patch(data, 8, b"\x40"), Refusal.TTL),
        ("vrid", lambda data: patch(data, 21, b"\x09"), Refusal.UNKNOWN_VRID),
        ("version", lambda data: patch(data, 20, bytes([0x30 | data[20] & 15])), Refusal.VERSION),
        ("authentication", lambda data: patch(data, 24, b"\x01"), Refusal.AUTH_TYPE_MISMATCH),
        ("interval", lambda data: patch(data, 25, b"\x09"), Refusal.ADVERT_INTERVAL),
        ("type", lambda data: patch(data, 20, bytes([data[20] & 0xF0 | 7])), Refusal.TYPE),
        ("checksum", lambda data: patch(data, 26, b"\x00\x00"), Refusal.CHECKSUM),
    ]
    good = packet(v2())
    for (_, first, refusal), (_, second, _) in itertools.combinations(order, 2):
        assert refused(second(first(good)), expected(**V2)) is refusal
        assert refused(first(second(good)), expected(**V2)) is refusal


def test_unicast_skips_the_ttl_rung_and_strangers_pass_when_nobody_looks():
    data = packet(v3(), "10.9.9.9", "10.0.0.1", ttl=3)
    assert passed(data, expected(unicast=True, peers={"10.0.0.2": (0, 255)})).ttl == 3


def test_an_instance_without_an_interface_hears_on_any():
    reader = ladder(expected(interface=None, **PEER))
    assert reader.ipv4(packet(v3(), destination="10.0.0.1"), "eth9").instance == "A"
    assert ladder().ipv4(packet(v3()), "eth9").refusal is Refusal.UNKNOWN_VRID


def test_two_unicast_instances_with_one_vrid_are_told_apart_by_their_peers():
    reader = ladder(
        expected("multicast"),
        expected("near", unicast=True, peers={"10.0.0.2": (0, 255)}),
        expected("far", unicast=True, peers={"10.0.0.3": (0, 255)}),
    )
    assert reader.ipv4(packet(v3()), "eth0").instance == "multicast"
    assert reader.ipv4(packet(v3(), "10.0.0.2", "10.0.0.1"), "eth0").instance == "near"
    assert reader.ipv4(packet(v3(), "10.0.0.3", "10.0.0.1"), "eth0").instance == "far"


def test_passwords():
    secret = expectation(instance(authentication=Authentication(AuthType.PASS, b"s3cret")))
    layer = v2(authtype=1, auth1=int.from_bytes(b"s3cr", "big"), auth2=int.from_bytes(b"et\0\0", "big"))
    assert passed(packet(layer), secret).auth_type is AuthType.PASS


def test_authentication_header():
    ah = struct.pack("!BBHII12s", 112, 4, 0, 0x0A000002, 7, bytes(12))
    data = packet(ah + bytes(v2(authtype=2)), proto=51, tos=0xC0)
    digest = ah_digest(data[:44], data[44:], b"s3cret")
    signed = patch(data, 32, digest)
    secret = expectation(instance(authentication=Authentication(AuthType.AH, b"s3cret")))
    assert passed(signed, secret).auth_type is AuthType.AH
    for offset in (9, *range(12, 20), *range(24, len(signed))):
        bent = patch(signed, offset, bytes([signed[offset] ^ 1]))
        assert isinstance(read(bent, secret), PacketRefused), offset
    assert ah_digest_fits(signed[:44], signed[44:], b"s3cret\0\0") is True
    assert ah_digest_fits(signed[:40], signed[44:], b"s3cret") is None


def test_expectations_follow_from_the_configuration():
    plain = expectation(instance(version=3, advert_interval_us=104_000))
    assert (plain.interval_us, plain.unicast, plain.check_peers) == (100_000, False, False)
    assert not plain.ignores_adverts
    owner = expectation(instance(priority=255, owner_ignore_adverts=True, version=3, v3_checksum_as_v2=True))
    assert (owner.ignores_adverts, owner.sends_plain_checksum) == (True, True)
    unicast = expectation(instance(unicast_peers=(UnicastPeer("10.0.0.2", 255, 255),)))
    assert (unicast.unicast, unicast.check_peers) == (True, True)
    # Authentication is VRRPv2's alone.
    v3_with_password = expectation(instance(version=3, authentication=Authentication(AuthType.PASS, b"x")))
    assert v3_with_password.auth_type is AuthType.NONE


# ---- against scapy ----

ipv4s = st.ip_addresses(v=4).map(str)
ipv6s = st.ip_addresses(v=6).map(str)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 255), st.lists(ipv4s, min_size=1, max_size=20), st.integers(1, 4095), ipv4s)
def test_what_scapy_builds_the_ladder_reads(priority, addresses, interval_cs, source):
    data = packet(v3(priority, tuple(addresses), adv=interval_cs), source)
    advert = passed(data)
    assert (advert.source, advert.priority, advert.addresses) == (source, priority, tuple(addresses))
    assert advert.interval_us == interval_cs * 10_000
    assert not advert.other_checksum_form
    old = passed(packet(v2(priority, tuple(addresses)), source), expected(**V2))
    assert (old.priority, old.addresses) == (priority, tuple(addresses))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 255), st.lists(ipv6s, min_size=1, max_size=10), ipv6s)
def test_what_scapy_builds_over_ipv6_the_ladder_reads(priority, addresses, source):
    message = v3_ipv6(source, "ff02::12", v3(priority, tuple(addresses)))
    event = ladder(expected(family=Family.INET6)).ipv6(message, *_packed(source, "ff02::12"), 255, "eth0")
    assert isinstance(event, AdvertReceived), event
    assert event.advert.priority == priority
    assert [ipaddress.ip_address(item) for item in event.advert.addresses] == [
        ipaddress.ip_address(item) for item in addresses
    ]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_what_the_ladder_accepts_scapy_reads_the_same(data):
    """One byte of a good packet is changed; whatever still passes means the same to scapy, checksum included."""
    version = data.draw(st.sampled_from([2, 3]))
    good = packet(v2() if version == 2 else v3())
    offset = data.draw(st.integers(0, len(good) - 1))
    bent = patch(good, offset, bytes([data.draw(st.integers(0, 255))]))
    event = read(bent, expected(version=version))
    if not isinstance(event, AdvertReceived):
        return
    dissected = IP(bent)
    layer = dissected[VRRP if version == 2 else VRRPv3]
    assert (layer.vrid, layer.priority, tuple(layer.addrlist)) == (51, event.advert.priority, event.advert.addresses)
    assert dissected.src == event.advert.source
    del layer.chksum
    if not event.advert.other_checksum_form:
        assert bytes(dissected)[26:28] == bent[26:28]


# ---- hostile bytes ----


@settings(max_examples=400)
@given(st.binary(max_size=80))
def test_no_bytes_raise(data):
    reader = Ladder([expected(), expected("B", **V2, vrid=1), expected("C", family=Family.INET6)])
    for interface in ("eth0", None):
        assert isinstance(reader.ipv4(data, interface), PacketRefused)
    assert isinstance(reader.ipv6(data, bytes(16), bytes(16), 255, "eth0"), PacketRefused)
    assert isinstance(reader.ipv6(data, data, data, 255, "eth0"), PacketRefused)


def test_a_hundred_thousand_random_packets_raise_nothing():
    """Random bytes behind a plausible beginning, so that the higher rungs are reached as well."""
    chance = random.Random(20240401)
    reader = Ladder([expected(vrid=51), expected("B", **V2, vrid=1), expected("C", vrid=2, **PEER)])
    seeds = [packet(v3(), destination="10.0.0.1"), packet(v2(vrid=1)), packet(v3(vrid=2), destination="10.0.0.1")]
    seeds.append(packet(v3(100, ("10.0.0.51", "10.0.0.52"))))
    seen: set[Refusal] = set()
    for _ in range(100_000):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randrange(1, 5)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        event = reader.ipv4(bytes(data[: chance.randrange(8, 60)] if chance.random() < 0.2 else data), "eth0")
        if isinstance(event, PacketRefused):
            seen.add(event.refusal)
    assert len(seen) >= 12


def _packed(*addresses: str) -> tuple[bytes, ...]:
    return tuple(ipaddress.ip_address(item).packed for item in addresses)


# ---- adverts that keepalived 2.2.7 sent ----

#: Captured in a namespace; the configuration is that of `_theirs`.
CAPTURED = {
    "plain": "45c0002c00010000ff70d0840a090001e000001221336402000165ee0a0900640a0900650000000000000000",
    "password": "45c0002800010000ff70d0880a090001e000001221346501010132400a0900667333637265740000",
    "header": "45c0004000010000ff33d0ad0a090001e0000012700400000a0900010000000161f572962c61fc298d6e4d71"
    "2135660102016c580a0900670000000000000000",
    "next header": "45c0004000020000ff33d0ac0a090001e0000012700400000a09000100000002a3c84b51782cbd37d98fd509"
    "2135660102016c580a0900670000000000000000",
    "version 3": "45c0002000010000ff70d0900a090001e0000012313667010032728c0a090068",
    "unicast": "45c0002000010000ff70a6980a0900010a09000231376801006447600a090069",
}
CAPTURED_IPV6 = (
    "6c0887dd002870fffe800000000000005432f1fffed6efceff020000000000000000000000000012"
    "3138690200640575fe80000000000000000000000000005620010db8000000000000000000000056"
)


def _theirs(name: str):
    secret = {
        "password": Authentication(AuthType.PASS, b"s3cret"),
        "header": Authentication(AuthType.AH, b"s3cret"),
        "next header": Authentication(AuthType.AH, b"s3cret"),
    }
    vrid = {"plain": 51, "password": 52, "header": 53, "next header": 53, "version 3": 54, "unicast": 55}[name]
    return expectation(
        instance(
            vrid=vrid,
            version=3 if name in {"version 3", "unicast"} else 2,
            authentication=secret.get(name),
            unicast_peers=(UnicastPeer("10.9.0.1", 255, 255),) if name == "unicast" else (),
        )
    )


@pytest.mark.parametrize("name", CAPTURED)
def test_adverts_of_keepalived(name):
    advert = passed(bytes.fromhex(CAPTURED[name]), _theirs(name))
    assert (advert.source, advert.priority, advert.other_checksum_form) == ("10.9.0.1", advert.vrid + 49, False)
    addresses = {51: ("10.9.0.100", "10.9.0.101")}.get(advert.vrid, (f"10.9.0.{advert.vrid + 50}",))
    assert advert.addresses == addresses


def test_an_advert_of_keepalived_over_ipv6():
    packet_ = bytes.fromhex(CAPTURED_IPV6)
    reader = ladder(expected(vrid=56, family=Family.INET6))
    event = reader.ipv6(packet_[40:], packet_[8:24], packet_[24:40], packet_[7], "eth0")
    assert isinstance(event, AdvertReceived), event
    assert event.advert.addresses == ("fe80::56", "2001:db8::56")


@given(
    st.one_of(
        st.binary(min_size=16, max_size=16),
        st.binary(min_size=4, max_size=4).map(lambda tail: bytes(12) + tail),
        st.binary(min_size=4, max_size=4).map(lambda tail: bytes(10) + b"\xff\xff" + tail),
    )
)
def test_ipv6_addresses_are_written_as_the_model_has_them(address: bytes) -> None:
    assert address_text(address) == socket.inet_ntop(socket.AF_INET6, address)

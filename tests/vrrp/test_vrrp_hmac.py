"""`auth_hmac`: images recomputed from the layout, every field bent once, modes, keys, clocks and replays."""

from __future__ import annotations

import hmac
import ipaddress
import struct

import pytest

from pykeepalived.model.common import Family
from pykeepalived.model.vrrp import AuthHmac, HmacKey, UnicastPeer
from pykeepalived.netio.frames.vrrp import Counters, advert_specs, datagrams
from pykeepalived.units import SECOND_US
from pykeepalived.vrrp.events import AdvertReceived, PacketRefused, Refusal
from pykeepalived.vrrp.expectation import expectation
from pykeepalived.vrrp.hmac_trailer import LENGTH, ReplayGuard, clock_sequence, next_sequence
from pykeepalived.vrrp.receive import Ladder
from tests.vrrp.playbook import Playbook, address, config, instance

pytestmark = pytest.mark.shows(
    "vrrp_instance.auth_hmac", "vrrp_instance.auth_hmac.{key,active_key,anti_replay,mode,time_window}"
)
NOW_US = 1_800_000_000 * SECOND_US + 250_000
KEY = b"0123456789abcdef0123456789abcdef"
OTHER = b"the other key of 32 bytes or more"
SETTINGS = AuthHmac(keys=(HmacKey(7, KEY), HmacKey(8, OTHER)), active_key=7)
FAMILIES = {
    Family.INET: ("10.0.0.2", "224.0.0.18", (address("10.0.0.51"),)),
    Family.INET6: ("fe80::2", "ff02::12", (address("fe80::51/64"), address("2001:db8::51/64"))),
}
SHAPES = [(2, Family.INET), (3, Family.INET), (3, Family.INET6)]


def router(version: int, family: Family, hmac_settings: AuthHmac = SETTINGS, **words: object):
    return instance(version=version, addresses=FAMILIES[family][2], auth_hmac=hmac_settings, **words)


def image(version: int, family: Family, *, wall_us: int = NOW_US, priority: int = 150, **words: object) -> bytes:
    """What we send, from the IP header on."""
    source, group, _ = FAMILIES[family]
    sender = router(version, family, **words)
    (datagram,) = datagrams(advert_specs(sender, source, group), priority, Counters(lambda: wall_us))
    return bytes(datagram.advert(priority))


def read(ladder: Ladder, data: bytes, family: Family, *, wall_us: int = NOW_US):
    if family is Family.INET:
        return ladder.ipv4(data, "eth0", wall_us=wall_us)
    return ladder.ipv6(data[40:], data[8:24], data[24:40], data[7], "eth0", wall_us=wall_us)


def receiver(version: int, family: Family, hmac_settings: AuthHmac = SETTINGS, **words: object) -> Ladder:
    return Ladder([expectation(router(version, family, hmac_settings, **words))])


def settings(**words: object) -> AuthHmac:
    return AuthHmac(**({"keys": SETTINGS.keys, "active_key": 7} | words))  # type: ignore[arg-type]


def reason(event: AdvertReceived | PacketRefused) -> Refusal | None:
    return event.refusal if isinstance(event, PacketRefused) else None


@pytest.mark.parametrize(("version", "family"), SHAPES)
def test_the_image_is_that_of_the_layout(version: int, family: Family):
    data = image(version, family)
    header = 20 if family is Family.INET else 40
    message, trailer = data[header:-LENGTH], data[-LENGTH:]
    kind, key_id, reserved, seconds, fraction, count = struct.unpack("!BBHIHH", trailer[:12])
    assert (kind, key_id, reserved, seconds, fraction, count) == (1, 7, 0, NOW_US // SECOND_US, 65536 // 4, 0)
    source = ipaddress.ip_address(FAMILIES[family][0]).packed
    pseudo = struct.pack("!BBBB16s", 4 if family is Family.INET else 6, version, 51, 0, source)
    text = pseudo + message[:6] + bytes(2) + message[8:] + trailer[:12] + bytes(16)
    assert trailer[12:] == hmac.new(KEY, text, "sha256").digest()[:16]
    # The message is the one without a trailer; only the length of the IP packet counts it.
    plain = image(version, family, hmac_settings=settings(mode="receive-only"))
    assert message == plain[header:]
    assert len(data) == len(plain) + LENGTH


@pytest.mark.parametrize(("version", "family"), SHAPES)
def test_every_bent_field_is_refused(version: int, family: Family):
    """Each byte of message and trailer, and the source address; nothing bent may make a right image unusable."""
    data = image(version, family)
    header = 20 if family is Family.INET else 40
    places = [*range(header, len(data)), *((12, 15) if family is Family.INET else (8, 23))]
    ladder = receiver(version, family)
    for place in places:
        bent = bytearray(data)
        bent[place] ^= 1
        event = read(ladder, bytes(bent), family)
        assert isinstance(event, PacketRefused), place
        if place >= len(data) - 16:
            assert event.refusal is Refusal.HMAC_INVALID, place
    assert reason(read(ladder, data, family)) is None
    # The checksum is not signed but checked.
    bent = bytearray(data)
    bent[header + 6] ^= 1
    assert reason(read(receiver(version, family), bytes(bent), family)) is Refusal.CHECKSUM


def test_a_source_that_the_checksum_does_not_cover_is_signed():
    data = bytearray(image(2, Family.INET))
    data[15] ^= 1
    assert reason(read(receiver(2, Family.INET), bytes(data), Family.INET)) is Refusal.HMAC_INVALID


@pytest.mark.parametrize(
    ("offset", "value", "refusal"),
    [
        (0, 2, Refusal.HMAC_MALFORMED),
        (1, 9, Refusal.HMAC_UNKNOWN_KEY),
        (1, 8, Refusal.HMAC_INVALID),
        (2, 1, Refusal.HMAC_MALFORMED),
        (3, 1, Refusal.HMAC_MALFORMED),
        (5, 0, Refusal.HMAC_STALE),
        (11, 1, Refusal.HMAC_INVALID),
    ],
)
def test_fields_of_the_trailer(offset: int, value: int, refusal: Refusal):
    data = bytearray(image(3, Family.INET))
    data[len(data) - LENGTH + offset] = value
    assert reason(read(receiver(3, Family.INET), bytes(data), Family.INET)) is refusal


@pytest.mark.parametrize("mode", ["enforce", "permissive", "receive-only"])
def test_modes(mode: str):
    chosen = settings(mode=mode)
    plain = image(3, Family.INET, hmac_settings=settings(mode="receive-only"))
    missing = read(receiver(3, Family.INET, chosen), plain, Family.INET)
    assert reason(missing) is (Refusal.HMAC_MISSING if mode == "enforce" else None)
    bad = bytearray(image(3, Family.INET))
    bad[-1] ^= 1
    assert reason(read(receiver(3, Family.INET, chosen), bytes(bad), Family.INET)) is Refusal.HMAC_INVALID
    assert reason(read(receiver(3, Family.INET, chosen), image(3, Family.INET), Family.INET)) is None
    sent = image(3, Family.INET, hmac_settings=chosen)
    assert (len(sent) == len(plain)) is (mode == "receive-only")


def test_keys_rotate_while_both_are_known():
    ladder = receiver(3, Family.INET)
    assert reason(read(ladder, image(3, Family.INET), Family.INET)) is None
    turned = image(3, Family.INET, hmac_settings=settings(active_key=8), wall_us=NOW_US + 1000)
    assert turned[-27] == 8
    assert reason(read(ladder, turned, Family.INET)) is None


def test_without_the_active_key_the_digest_is_zero():
    assert image(3, Family.INET, hmac_settings=settings(active_key=9))[-16:] == bytes(16)


@pytest.mark.parametrize(
    ("interval_us", "window_s"), [(SECOND_US, 5), (100_000, 5), (4 * SECOND_US, 12), (2_500_000, 7)]
)
def test_the_window_is_three_intervals_or_five_seconds(interval_us: int, window_s: int):
    for off_s in (-window_s - 1, -window_s, window_s, window_s + 1):
        ladder = receiver(3, Family.INET, advert_interval_us=interval_us)
        event = read(ladder, image(3, Family.INET, wall_us=NOW_US + off_s * SECOND_US), Family.INET)
        assert reason(event) is (None if abs(off_s) <= window_s else Refusal.HMAC_STALE)
        if isinstance(event, AdvertReceived):
            assert event.advert.clock_skew_s == window_s


def test_a_window_of_ones_own_and_none_at_all():
    late = image(3, Family.INET, wall_us=NOW_US - 30 * SECOND_US)
    assert reason(read(receiver(3, Family.INET, settings(time_window_s=30)), late, Family.INET)) is None
    assert reason(read(receiver(3, Family.INET, settings(time_window_s=29)), late, Family.INET)) is Refusal.HMAC_STALE
    monotonic = receiver(3, Family.INET, settings(anti_replay="monotonic"))
    assert reason(read(monotonic, image(3, Family.INET, wall_us=5 * SECOND_US), Family.INET)) is None
    assert reason(read(monotonic, image(3, Family.INET, wall_us=4 * SECOND_US), Family.INET)) is Refusal.HMAC_REPLAY


def test_nothing_is_taken_twice_nor_after_a_later_one():
    ladder = receiver(3, Family.INET)
    first, second = image(3, Family.INET), image(3, Family.INET, wall_us=NOW_US + 100)
    assert reason(read(ladder, first, Family.INET)) is None
    assert reason(read(ladder, first, Family.INET)) is Refusal.HMAC_REPLAY
    assert reason(read(ladder, second, Family.INET)) is None
    assert reason(read(ladder, first, Family.INET)) is Refusal.HMAC_REPLAY
    ladder.replace([expectation(router(3, Family.INET))])
    assert reason(read(ladder, second, Family.INET)) is Refusal.HMAC_REPLAY


def test_a_forged_trailer_does_not_move_the_guard():
    ladder = receiver(3, Family.INET)
    forged = bytearray(image(3, Family.INET, wall_us=NOW_US + SECOND_US))
    forged[-1] ^= 1
    assert reason(read(ladder, bytes(forged), Family.INET)) is Refusal.HMAC_INVALID
    assert reason(read(ladder, image(3, Family.INET), Family.INET)) is None


def test_four_multicast_senders_are_remembered():
    guard = ReplayGuard(None)
    for sender in range(5):
        guard.take(bytes((sender,)), 100)
    assert not guard.is_new(b"\1", 100)
    assert guard.is_new(b"\0", 100), "the oldest was forgotten"


def test_sequences_of_64_bits_wrap():
    guard = ReplayGuard(1)
    guard.take(b"a", 2**64 - 1)
    assert guard.is_new(b"a", 3)
    guard.take(b"a", 3)
    assert not guard.is_new(b"a", 2**64 - 1)


def test_a_sender_whose_clock_stands_counts_on():
    first = next_sequence(0, NOW_US)
    assert first == clock_sequence(NOW_US)
    assert next_sequence(first, NOW_US) == first + 1
    assert next_sequence(first, NOW_US - SECOND_US) == first + 1
    assert next_sequence(first, NOW_US + SECOND_US) == first + (1 << 32)


def test_unicast_implies_that_the_sender_is_a_peer():
    words = {"unicast_peers": (UnicastPeer("10.0.0.3"),), "source": "10.0.0.1"}
    stranger = instance(version=3, auth_hmac=SETTINGS, unicast_peers=(UnicastPeer("10.0.0.1"),))
    (datagram,) = datagrams(advert_specs(stranger, "10.0.0.2", ""), 150, Counters(lambda: NOW_US))
    event = read(receiver(3, Family.INET, **words), bytes(datagram.advert(150)), Family.INET)
    assert reason(event) is Refusal.NOT_A_PEER


def test_counters_and_lines():
    book = Playbook(config(instance(auth_hmac=SETTINGS)))
    book.start()
    for refusal, counter in (
        (Refusal.HMAC_MISSING, "auth_ext_missing"),
        (Refusal.HMAC_MALFORMED, "auth_ext_malformed"),
        (Refusal.HMAC_UNKNOWN_KEY, "auth_ext_unknown_key"),
        (Refusal.HMAC_INVALID, "auth_ext_invalid_hmac"),
        (Refusal.HMAC_STALE, "auth_ext_stale"),
        (Refusal.HMAC_REPLAY, "auth_ext_replay"),
    ):
        book.feed(PacketRefused("A", refusal, "10.0.0.2", "something"))
        (status,) = book.router.status()
        assert getattr(status.stats, counter) == 1
    lines = book.hear(150, clock_skew_s=4)
    assert "log (A) authentication clock skew 4 sec from 10.0.0.2 approaching window 5 sec" in lines
    assert not [line for line in book.hear(150, clock_skew_s=4) if "skew" in line]


def test_a_clock_that_is_put_back_is_believed_again():
    """By more than the window, on both sides: neither waits for the old hour to come again."""
    hour_us = 3600 * SECOND_US
    last, back_us = clock_sequence(NOW_US), NOW_US - hour_us
    assert next_sequence(last, back_us, 5) == clock_sequence(back_us)
    assert next_sequence(last, NOW_US - 10 * SECOND_US, 5) == last + 1, "receivers may still believe these"
    assert next_sequence(last, back_us, None) == last + 1
    guard = ReplayGuard(1)
    guard.take(b"a", last)
    assert guard.is_new(b"a", clock_sequence(back_us), back_us, 5)
    assert not guard.is_new(b"a", clock_sequence(NOW_US - 2 * SECOND_US), NOW_US, 5)
    assert not guard.is_new(b"a", clock_sequence(back_us), back_us, None)

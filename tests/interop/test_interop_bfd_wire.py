"""A BFD neighbour that is made by hand, byte by byte: what our daemon sends it, and what it refuses of it."""

from __future__ import annotations

import itertools
import signal
import socket
import statistics
import struct
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pykeepalived.tools.lab import Lab, Namespace, wait_until
from tests.interop.test_interop_bfd import GLOBALS, OURS, Site, block

pytestmark = pytest.mark.netns
HERE, THERE, STRANGER = "10.8.0.1", "10.8.0.2", "10.8.0.3"
PORT, PORT_MULTIHOP = 3784, 4784
DOWN, INIT, UP = 1, 2, 3
POLL, FINAL, AUTHENTICATED, DEMAND, MULTIPOINT = 0x20, 0x10, 0x04, 0x02, 0x01
MINE = 77
LIMIT_S = 120
IP_RECVTTL = 12  # of linux/in.h; Python names it from 3.14 on
SO_TIMESTAMPNS = 35
ADMIN_DOWN = 0


FAR = block(HERE, "10.8.0.9", "multihop").replace(" peer ", " far ")


class Packet(msgspec.Struct):
    """One that we got."""

    state: int
    flags: int
    length: int
    mine: int
    yours: int
    min_tx_us: int
    min_rx_us: int
    version: int
    multiplier: int
    echo_us: int
    port: int
    ttl: int
    at_s: float
    """When the kernel took it in."""


class Neighbour:
    """Says what it is told to. It allows 255 s of silence, so nothing here has to be in time."""

    def __init__(self, space: Namespace) -> None:
        with space.inside():
            self._receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._senders = {each: socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for each in (THERE, STRANGER)}
        self._receiver.bind((THERE, PORT))
        self._receiver.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        self._receiver.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        for address, sender in self._senders.items():
            sender.bind((address, 0))
        self.theirs = 0

    def close(self) -> None:
        for each in (self._receiver, *self._senders.values()):
            each.close()

    def packet(self, state: int, **words: Any) -> bytes:
        data = struct.pack(
            "!BBBBIIIII",
            words.get("version", 1) << 5,
            state << 6 | words.get("flags", 0),
            words.get("multiplier", 255),
            words.get("length", 24),
            words.get("mine", MINE),
            words.get("yours", self.theirs),
            1_000_000,
            words.get("min_rx_us", 50_000),
            0,
        )
        return data + words.get("behind", b"")

    def say(self, data: bytes, *, source: str = THERE, port: int = PORT, ttl: int = 255) -> None:
        self._senders[source].setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        self._senders[source].sendto(data, (HERE, port))

    def heard(self) -> Iterator[Packet]:
        """What came since the last call."""
        while True:
            try:
                data, ancillary, _, sender = self._receiver.recvmsg(100, 100, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            first, second, multiplier, length, *words = struct.unpack("!BBBBIIIII", data[:24])
            mine, yours, min_tx_us, min_rx_us, echo_us = words
            told = {kind: value for _, kind, value in ancillary}
            # Of SO_TIMESTAMPNS and IP_TTL, which is what IP_RECVTTL makes the kernel tell.
            seconds, nanoseconds = struct.unpack("=qq", told[SO_TIMESTAMPNS][:16])
            (ttl,) = struct.unpack("=i", told[socket.IP_TTL])
            yield Packet(
                state=second >> 6,
                flags=second & 63,
                length=length,
                mine=mine,
                yours=yours,
                min_tx_us=min_tx_us,
                min_rx_us=min_rx_us,
                version=first >> 5,
                multiplier=multiplier,
                echo_us=echo_us,
                port=sender[1],
                ttl=ttl,
                at_s=seconds + nanoseconds / 1e9,
            )

    def wait(self, what: str, **fields: int) -> list[Packet]:
        """Until a packet with these fields comes; all that came, that one last."""
        found: list[Packet] = []

        def came() -> bool:
            for packet in self.heard():
                found.append(packet)
                if all(getattr(packet, name) == value for name, value in fields.items()):
                    return True
            return False

        wait_until(came, LIMIT_S, what)
        return found

    def come_up(self) -> list[Packet]:
        """The three ways of the handshake."""
        found = self.wait("it speaks", state=DOWN)
        self.say(self.packet(DOWN, yours=0))
        found += self.wait("it hears us", state=INIT, yours=MINE)
        self.theirs = found[-1].mine
        self.say(self.packet(INIT))
        found += self.wait("it is Up", state=UP)
        return found


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[tuple[Site, Neighbour]]:
    with Lab("bfdwire") as lab:
        site = Site(lab, tmp_path)
        site.there.address("eth0", f"{STRANGER}/24")
        neighbour = Neighbour(site.there)
        site.keepalived(site.here, OURS, block(HERE, THERE, "min_rx 50", "min_tx 50") + FAR)
        yield site, neighbour
        neighbour.close()


def test_each_refusal_once(scene: tuple[Site, Neighbour]) -> None:
    site, neighbour = scene
    neighbour.come_up()
    good = neighbour.packet
    forged = [
        ("short", good(UP)[:23]),
        ("version", good(DOWN, version=2)),
        ("length", good(DOWN, length=23)),
        ("length", good(DOWN, length=25)),
        ("length", good(DOWN, flags=AUTHENTICATED, length=25, behind=bytes(1))),
        ("multiplier-zero", good(DOWN, multiplier=0)),
        ("multipoint", good(DOWN, flags=MULTIPOINT)),
        ("my-discriminator-zero", good(DOWN, mine=0)),
        ("state-without-discriminator", good(UP, yours=0)),
        ("state-without-discriminator", good(INIT, yours=0)),
        ("unknown-session", good(DOWN, yours=neighbour.theirs ^ 1)),
        ("authenticated", good(DOWN, flags=AUTHENTICATED, length=26, behind=bytes(2))),
    ]
    for _, data in forged:
        neighbour.say(data)
    neighbour.say(good(DOWN, yours=0), source=STRANGER)
    neighbour.say(good(DOWN), port=PORT_MULTIHOP)
    expected = Counter([*(word for word, _ in forged), "unknown-neighbor", "wrong-port"])
    wait_until(lambda: Counter(site.status()["bfd"]["refused"]) == expected, LIMIT_S, f"refused: {expected}")

    def low_ttl() -> bool:
        # Few of them are let through to be counted.
        for _ in range(200):
            neighbour.say(good(DOWN), ttl=254)
        return "ttl" in site.status()["bfd"]["refused"]

    wait_until(low_ttl, LIMIT_S, "a packet from beyond a router")
    found = site.session()
    assert (found["state"], found["times_up"], found["times_expired"]) == ("Up", 1, 0)
    # The right word is understood.
    neighbour.say(good(DOWN))
    site.wait_state("Down")


def test_what_it_sends(scene: tuple[Site, Neighbour]) -> None:
    _site, neighbour = scene
    seen = neighbour.come_up()
    assert {packet.mine for packet in seen} == {neighbour.theirs}
    assert neighbour.theirs != 0
    assert {packet.min_tx_us for packet in seen if packet.state != UP} == {1_000_000}, "slow while not Up"
    # The faster rate is asked for until it is confirmed.
    assert seen[-1].flags & POLL
    assert seen[-1].min_tx_us == 50_000
    neighbour.say(neighbour.packet(UP, flags=FINAL))
    seen += neighbour.wait("the poll has ended", state=UP, flags=0)
    neighbour.say(neighbour.packet(UP, flags=POLL))
    seen += neighbour.wait("a poll is answered", flags=FINAL)
    seen += neighbour.wait("it goes on", flags=0)
    for words in ({"flags": DEMAND | POLL}, {"flags": POLL, "min_rx_us": 0}):
        neighbour.say(neighbour.packet(UP, **words))
        seen += neighbour.wait("the last word", flags=FINAL)
        time.sleep(1.0)
        assert list(neighbour.heard()) == [], f"silence to a neighbour of {words}"
        neighbour.say(neighbour.packet(UP))
        seen += neighbour.wait("it speaks again", flags=0)
    assert {(packet.version, packet.length, packet.ttl) for packet in seen} == {(1, 24, 255)}
    assert {(packet.multiplier, packet.echo_us) for packet in seen} == {(5, 0)}
    assert not [packet for packet in seen if packet.flags & (AUTHENTICATED | DEMAND | MULTIPOINT)]
    assert {packet.yours for packet in seen if packet.state != DOWN} == {MINE}
    (port,) = {packet.port for packet in seen}
    assert 49152 <= port <= 65535
    assert not [packet for packet in seen if packet.flags & POLL and packet.flags & FINAL]


def gaps(packets: list[Packet], flags: int) -> list[float]:
    times = [packet.at_s for packet in packets if packet.flags == flags]
    return [after - before for before, after in itertools.pairwise(times)]


def rewrite(site: Site, *words: str) -> None:
    path = site.configuration(site.here)
    path.write_text(GLOBALS + (block(HERE, THERE, "multiplier 100", *words) if words else "") + FAR)
    site.processes[site.here.name].send_signal(signal.SIGHUP)


def test_other_intervals_count_when_the_poll_has_ended_and_what_is_taken_out_stays_down(
    scene: tuple[Site, Neighbour],
) -> None:
    site, neighbour = scene
    neighbour.come_up()
    neighbour.say(neighbour.packet(UP, flags=FINAL))
    neighbour.wait("the first poll has ended", state=UP, flags=0)

    # A slower rate: until the neighbour has confirmed it, every 50 ms as before.
    rewrite(site, "min_tx 500", "min_rx 3000")
    polls = neighbour.wait("a poll", flags=POLL, min_tx_us=500_000, min_rx_us=3_000_000)[-1:]

    def still_fast() -> bool:
        polls.extend(packet for packet in neighbour.heard() if packet.flags == POLL)
        pauses = gaps(polls, POLL)
        return any(sum(pauses[start : start + 10]) < 2.5 for start in range(len(pauses) - 9))

    wait_until(still_fast, LIMIT_S, "ten packets in less than the time of seven slow ones")
    wait_until(lambda: site.session()["detection_time_us"] == 255 * 3_000_000, LIMIT_S, "a slower demand counts")
    neighbour.say(neighbour.packet(UP, flags=FINAL))
    seen = neighbour.wait("the poll has ended", flags=0)[-1:]

    def jittered() -> bool:
        seen.extend(neighbour.heard())
        pauses = gaps(seen, 0)
        return len(pauses) >= 8 and min(pauses) < 0.455

    wait_until(jittered, LIMIT_S, "pauses cut by 10 per cent and more")
    assert statistics.median(gaps(seen, 0)) > 0.37, "and by no more than 25 per cent"

    # A faster demand: until then the old detection time holds.
    rewrite(site, "min_tx 500", "min_rx 2000")
    neighbour.wait("a poll", flags=POLL, min_rx_us=2_000_000)
    assert site.session()["detection_time_us"] == 255 * 3_000_000
    neighbour.say(neighbour.packet(UP, flags=FINAL))
    neighbour.wait("the poll has ended", flags=0)
    wait_until(lambda: site.session()["detection_time_us"] == 255 * 2_000_000, LIMIT_S, "the faster demand counts")
    assert site.session()["times_up"] == 1

    # Out of the file: whatever the neighbour says, it is down and answers nothing.
    rewrite(site)
    neighbour.wait("it says so", state=ADMIN_DOWN)
    for state in (DOWN, INIT, UP):
        neighbour.say(neighbour.packet(state, flags=POLL))
    wait_until(lambda: site.status()["bfd"]["refused"].get("admin-down") == 3, LIMIT_S, "all are refused")
    after = [*neighbour.heard(), *neighbour.wait("it says so again", state=ADMIN_DOWN)]
    assert {(packet.state, packet.flags & FINAL) for packet in after} == {(ADMIN_DOWN, 0)}


def test_it_speaks_before_its_pause_is_over(scene: tuple[Site, Neighbour]) -> None:
    """A neighbour that wants a packet each minute, and then something else before the minute is over."""
    _site, neighbour = scene
    neighbour.come_up()
    slow = {"min_rx_us": 60_000_000}

    def pause() -> float:
        neighbour.say(neighbour.packet(UP, flags=FINAL, **slow))
        neighbour.say(neighbour.packet(UP, flags=POLL, **slow))
        neighbour.wait("it knows", flags=FINAL)
        time.sleep(0.5)
        # One may have been on its way.
        assert len(list(neighbour.heard())) <= 1, "what changes nothing is not answered"
        return time.monotonic()

    began = pause()
    neighbour.say(neighbour.packet(UP))
    neighbour.wait("it follows the shorter wish", flags=0, state=UP)
    assert time.monotonic() - began < 40, "the minute is 45 s at least"
    began = pause()
    neighbour.say(neighbour.packet(DOWN, **slow))
    neighbour.wait("it says that it is down", state=DOWN)
    assert time.monotonic() - began < 40


def test_a_neighbour_that_falls_silent_on_the_way_is_forgotten(scene: tuple[Site, Neighbour]) -> None:
    _site, neighbour = scene
    neighbour.wait("it speaks", state=DOWN)
    neighbour.say(neighbour.packet(DOWN, yours=0, multiplier=2))
    neighbour.wait("it hears us", state=INIT, yours=MINE)
    neighbour.wait("it has forgotten us", state=DOWN, yours=0)


def test_two_sessions_have_ports_and_discriminators_of_their_own(tmp_path: Path) -> None:
    with Lab("bfdports") as lab:
        site = Site(lab, tmp_path)
        site.there.address("eth0", f"{STRANGER}/24")
        receivers = []
        for address in (THERE, STRANGER):
            with site.there.inside():
                receivers.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            receivers[-1].bind((address, PORT))
            receivers[-1].settimeout(LIMIT_S)
        other = block(HERE, STRANGER).replace(" peer ", " other ")
        site.keepalived(site.here, OURS, block(HERE, THERE) + other)
        found = [each.recvfrom(100) for each in receivers]
        for each in receivers:
            each.close()
        assert {sender[0] for _, sender in found} == {HERE}
        assert len({sender[1] for _, sender in found}) == 2
        mine = [int.from_bytes(data[4:8], "big") for data, _ in found]
        assert 0 not in mine
        assert abs(mine[0] - mine[1]) > 1, "drawn, not counted"

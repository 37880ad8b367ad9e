"""A BFD neighbour that is made by hand, byte by byte: what our daemon sends it, and what it refuses of it."""

from __future__ import annotations

import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pykeepalived.tools.lab import Lab, Namespace, wait_until
from tests.interop.test_interop_bfd import OURS, Site, block

pytestmark = pytest.mark.netns
HERE, THERE, STRANGER = "10.8.0.1", "10.8.0.2", "10.8.0.3"
PORT, PORT_MULTIHOP = 3784, 4784
DOWN, INIT, UP = 1, 2, 3
POLL, FINAL, AUTHENTICATED, DEMAND, MULTIPOINT = 0x20, 0x10, 0x04, 0x02, 0x01
MINE = 77
LIMIT_S = 120
IP_RECVTTL = 12  # of linux/in.h; Python names it from 3.14 on


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
    port: int
    ttl: int


class Neighbour:
    """Says what it is told to. It allows 255 s of silence, so nothing here has to be in time."""

    def __init__(self, space: Namespace) -> None:
        with space.inside():
            self._receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._senders = {each: socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for each in (THERE, STRANGER)}
        self._receiver.bind((THERE, PORT))
        self._receiver.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
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
            first, second, _, length, mine, yours, min_tx_us, min_rx_us = struct.unpack("!BBBBIIII", data[:20])
            (ttl,) = struct.unpack("=i", ancillary[0][2])
            yield Packet(
                second >> 6, second & 63, length, mine, yours, min_tx_us, min_rx_us, first >> 5, sender[1], ttl
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
        far = block(HERE, "10.8.0.9", "multihop").replace(" peer ", " far ")
        site.keepalived(site.here, OURS, block(HERE, THERE, "min_rx 50", "min_tx 50") + far)
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
    (port,) = {packet.port for packet in seen}
    assert 49152 <= port <= 65535
    assert not [packet for packet in seen if packet.flags & POLL and packet.flags & FINAL]

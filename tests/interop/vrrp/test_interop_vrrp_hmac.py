"""`auth_hmac` on the wire: what the whole daemon sends recomputed byte by byte, and every forgery sent to it.

The layout is that of keepalived-behaviour 7.2; the digest is Python's own `hmac`.
"""

from __future__ import annotations

import hmac
import json
import struct
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pykeepalived.model.vrrp import AuthHmac, HmacKey
from pykeepalived.tools.lab import wait_until
from tests.conformance.advert_bytes import STRANGER4, STRANGER6, advert, packed
from tests.conformance.ledger import Case
from tests.conformance.network import Network
from tests.conformance.stages import network, virtual_address

pytestmark = pytest.mark.netns
KEY = b"0123456789abcdef0123456789abcdef"
OTHER = b"the other key of 32 bytes or more"
SETTINGS = AuthHmac(keys=(HmacKey(7, KEY), HmacKey(8, OTHER)), active_key=7, mode="enforce")
#: By name: VRRP version, and whether it is IPv6.
SHAPES = {"two": (2, False), "three": (3, False), "six": (3, True)}
CASES = [
    Case(name, lambda stage: None, {"version": version, "ipv6": ipv6, "auth_hmac": SETTINGS})
    for name, (version, ipv6) in SHAPES.items()
]
STATUS = (sys.executable, "-m", "pykeepalived.cli.keepalivedctl", "status", "--json")
PATIENCE_S = 120.0


def digest(packet: bytes, start: int, head: bytes, key: bytes = KEY) -> bytes:
    """Of an advert without its trailer whose VRRP message starts there, and the first 12 bytes of the trailer."""
    message = packet[start:]
    source = packet[8:24] if start == 40 else packet[12:16]
    pseudo = struct.pack("!BBBB16s", 6 if start == 40 else 4, message[0] >> 4, message[1], 0, source)
    text = pseudo + message[:6] + bytes(2) + message[8:] + head + bytes(16)
    return hmac.new(key, text, "sha256").digest()[:16]


class Forger:
    """Makes signed adverts for one of the daemon's virtual routers, and bends them."""

    def __init__(self, name: str, vrid: int) -> None:
        self.version, self.ipv6 = SHAPES[name]
        self.vrid = vrid
        self._count = 0

    def signed(self, priority: int = 1, *, bent: Mapping[str, Any] | None = None, **words: Any) -> bytes:
        """`words` are fields of the trailer that are signed as they are; `bent` those of `advert` after signing."""
        self._count += 1
        plain = self._advert(priority)
        seconds = words.get("seconds", int(time.time()))
        kind, key_id = words.get("kind", 1), words.get("key_id", 7)
        head = struct.pack("!BBHIHH", kind, key_id, words.get("reserved", 0), seconds, 0, self._count)
        trailer = head + digest(plain, 40 if self.ipv6 else 20, head, words.get("key", KEY))
        for place in words.get("places", ()):
            trailer = trailer[:place] + bytes((trailer[place] ^ 1,)) + trailer[place + 1 :]
        fields: dict[str, Any] = {"priority": priority, "behind": trailer, **(bent or {})}
        return self._advert(**fields)

    def _advert(self, priority: int, **words: Any) -> bytes:
        addresses = words.pop("addresses", (virtual_address(self.vrid, ipv6=self.ipv6),))
        return advert(self.vrid, priority, addresses, version=self.version, ipv6=self.ipv6, **words)

    def forgeries(self) -> list[tuple[str, bytes]]:
        """Each with the counter that has to count it. Checksums are right: whoever can forge can add up."""
        other = "fe80::66" if self.ipv6 else "10.9.77.77"
        found = [
            ("missing", self._advert(1)),
            ("malformed", self.signed(kind=2)),
            ("malformed", self.signed(reserved=1)),
            ("unknown_key", self.signed(key_id=9)),
            ("invalid_hmac", self.signed(key_id=8)),
            ("stale", self.signed(seconds=int(time.time()) - 1000)),
            ("stale", self.signed(seconds=int(time.time()) + 1000)),
            ("invalid_hmac", self.signed(key=OTHER)),
            ("invalid_hmac", self.signed(bent={"priority": 254})),
            ("invalid_hmac", self.signed(bent={"addresses": (other,)})),
            ("invalid_hmac", self.signed(bent={"source": "fe80::3" if self.ipv6 else "10.9.0.3"})),
        ]
        # One place of each field that is left: sub-seconds, counter, digest.
        found += [("invalid_hmac", self.signed(places=(place,))) for place in (9, 11, 12, 27)]
        right = self.signed()
        return [*found, ("", right), ("replay", right)]


def instances(wire: Network) -> dict[int, dict[str, Any]]:
    """The daemon's own view, by VRID."""
    found = json.loads(wire.router.run(*STATUS).stdout)["vrrp"]["instances"]
    return {item["vrid"]: item for item in found}


def counters(wire: Network) -> dict[int, Counter[str]]:
    words = ("missing", "malformed", "unknown_key", "invalid_hmac", "stale", "replay")
    return {
        vrid: +Counter({word: item["stats"][f"auth_ext_{word}"] for word in words})
        for vrid, item in instances(wire).items()
    }


def check_image(packet: bytes) -> int:
    """Its trailer is that of the layout; returns the sequence number."""
    start = 40 if packet[0] >> 4 == 6 else 20
    assert len(packet) == (
        40 + int.from_bytes(packet[4:6], "big") if start == 40 else int.from_bytes(packet[2:4], "big")
    )
    plain, trailer = packet[:-28], packet[-28:]
    # The message is complete without the trailer: header, addresses, and in version 2 eight bytes of no authentication.
    count, version = packet[start + 3], packet[start] >> 4
    assert len(plain) - start == 8 + count * (16 if start == 40 else 4) + (8 if version == 2 else 0)
    kind, key_id, reserved, seconds = struct.unpack("!BBHI", trailer[:8])
    assert (kind, key_id, reserved) == (1, 7, 0)
    assert abs(seconds - time.time()) < PATIENCE_S
    assert trailer[12:] == digest(plain, start, trailer[:12])
    return int.from_bytes(trailer[4:12], "big")


@pytest.mark.shows("vrrp_instance.auth_hmac", "vrrp_instance.auth_hmac.{key,active_key,mode}")
def test_images_and_forgeries(tmp_path: Path) -> None:
    with network("ours", CASES, tmp_path) as stages:
        wire = stages["two"].network
        seen: dict[str, list[bytes]] = {name: [] for name in SHAPES}

        def enough() -> bool:
            for name, packets in seen.items():
                packets.extend(stages[name].adverts())
            return all(len(packets) >= 3 for packets in seen.values())

        wait_until(enough, PATIENCE_S, "three adverts of each")
        for packets in seen.values():
            sequences = [check_image(packet) for packet in packets]
            assert sequences == sorted(set(sequences)), "each is later than the one before"
        expected: dict[int, Counter[str]] = {}
        forgers = [Forger(name, stages[name].vrid) for name in SHAPES]
        for forger in forgers:
            made = forger.forgeries()
            expected[forger.vrid] = Counter(word for word, _ in made if word)
            for _, packet in made:
                wire.multicast(packet)
        wait_until(lambda: counters(wire) == expected, PATIENCE_S, f"refused: {expected}")
        assert {item["state"] for item in instances(wire).values()} == {"MASTER"}

        def yielded() -> bool:
            for forger in forgers:
                wire.multicast(forger.signed(254))
            return {item["state"] for item in instances(wire).values()} == {"BACKUP"}

        wait_until(yielded, PATIENCE_S, "right ones are believed")
        assert counters(wire) == expected


def test_the_stranger_is_the_one_that_signs() -> None:
    """The digest above covers the source that the packet has."""
    for start, source in ((20, STRANGER4), (40, STRANGER6)):
        packet = advert(1, 1, ("10.9.0.1",) if start == 20 else ("fe80::1",), ipv6=start == 40)
        assert packed(source) in packet[:start]

"""Hostile packets for the ladder and the router behind it: random bytes, and right packets bent, cut and lengthened.

    python -m tests.fuzz.vrrp_packets [COUNT [SEED]]        one million unless told (`make fuzz`)

Nothing may raise; what is refused may change no state of any instance, only counters and log lines; and every kind of
packet that there is must have been both refused and, where it was left whole, believed.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Iterator

import msgspec

from pykeepalived.model.common import Family
from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import Authentication, AuthHmac, AuthType, HmacKey, UnicastPeer, VrrpInstance
from pykeepalived.netio.frames.vrrp import Counters, advert_specs, datagrams
from pykeepalived.units import SECOND_US
from pykeepalived.vrrp import events
from pykeepalived.vrrp.events import PacketRefused
from pykeepalived.vrrp.expectation import expectation
from pykeepalived.vrrp.facts import instance_family
from pykeepalived.vrrp.receive import Ladder
from pykeepalived.vrrp.router import Router
from pykeepalived.vrrp.status import InstanceStats
from tests.vrrp.playbook import address, instance

LONG = 1_000_000
_WALL_US = 1_800_000_000 * SECOND_US
_PACKETS_PER_S = 15_000


def instances() -> tuple[VrrpInstance, ...]:
    """One for each kind of packet that there is."""
    keys = AuthHmac(keys=(HmacKey(1, b"k" * 32),), active_key=1, mode="enforce")
    six = (address("fe80::51/64"), address("2001:db8::51/64"))
    peer = (UnicastPeer("10.0.0.2", 200, 255),)
    return (
        instance("two", 1, version=2),
        instance("pass", 2, version=2, authentication=Authentication(AuthType.PASS, b"secret")),
        instance("ah", 3, version=2, authentication=Authentication(AuthType.AH, b"secret")),
        instance("three", 4, version=3),
        instance("plain", 5, version=3, v3_checksum_as_v2=True),
        instance("unicast", 6, version=3, unicast_peers=peer, source="10.0.0.1"),
        instance("six", 7, version=3, addresses=six),
        instance("hmac", 8, version=3, auth_hmac=keys),
        instance("hmac2", 9, version=2, auth_hmac=keys),
        instance("hmac6", 10, version=3, addresses=six, auth_hmac=msgspec.structs.replace(keys, mode="permissive")),
    )


class Bench:
    """A router with one instance of each kind, and a stranger."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.instances = instances()
        self.ladder = Ladder([expectation(item) for item in self.instances])
        self.router = Router(Config(instances=self.instances), log_detail=False)
        self.now_us = 0
        self.believed: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._right = []
        for item in self.instances:
            six = instance_family(item) is Family.INET6
            sender = item
            if item.unicast_peers:
                sender = msgspec.structs.replace(item, unicast_peers=(UnicastPeer("10.0.0.1"),))
            specs = advert_specs(sender, "fe80::2" if six else "10.0.0.2", "ff02::12" if six else "224.0.0.18")
            self._right.append((six, datagrams(specs, 150, Counters(lambda: _WALL_US + self.now_us))[0]))
            self.feed(events.SourceAddressChanged(item.name, "fe80::1" if six else "10.0.0.1"))
        self.feed(events.LinkChanged("eth0", True))
        self.feed(events.Start())

    def feed(self, event: events.Event) -> None:
        self.router.handle(event, self.now_us)

    def packets(self, count: int) -> Iterator[tuple[bool, bytes]]:
        """Whether it is IPv6, and the bytes from the IP header on."""
        chance = self.chance
        for _ in range(count):
            if chance.random() < 0.1:
                yield chance.random() < 0.3, chance.randbytes(chance.randrange(0, 200))
                continue
            six, datagram = chance.choice(self._right)
            data = bytearray(datagram.advert(chance.choice((0, 1, 99, 100, 101, 254, 255))))
            yield six, bytes(self._bend(data))

    def _bend(self, data: bytearray) -> bytearray:
        chance = self.chance
        kind = chance.random()
        if kind < 0.15:
            return data
        if kind < 0.75:
            for _ in range(chance.randrange(1, 4)):
                data[chance.randrange(len(data))] = chance.randrange(256)
        elif kind < 0.9:
            del data[chance.randrange(len(data)) :]
        else:
            data += chance.randbytes(chance.randrange(1, 60))
        return data

    def play(self, count: int) -> None:
        for six, data in self.packets(count):
            wall_us = _WALL_US + self.now_us
            if six:
                # The kernel takes the header off and tells what it held.
                head = data[:40].ljust(40, b"\0")
                event = self.ladder.ipv6(data[40:], head[8:24], head[24:40], head[7], "eth0", wall_us=wall_us)
            else:
                event = self.ladder.ipv4(data, "eth0", wall_us=wall_us)
            if isinstance(event, PacketRefused):
                self.refused[event.refusal.value] += 1
                before = self._states()
                self.feed(event)
                assert self._states() == before, (event, data.hex())
            else:
                self.believed[event.instance] += 1
                self.feed(event)
            self.now_us += self.chance.randrange(2_000)
            while (at_us := self.router.wake_at()) is not None and at_us <= self.now_us:
                self.feed(events.Tick())

    def _states(self) -> tuple[object, ...]:
        """Everything of the router that is not a counter."""
        quiet = InstanceStats()
        states = (msgspec.structs.replace(item, stats=quiet) for item in self.router.status())
        return (self.router.wake_at(), *states)


def play(count: int, seed: int) -> Bench:
    bench = Bench(seed)
    bench.play(count)
    return bench


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else LONG
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    print(f"{count} hostile packets, seed {seed}: about {count // _PACKETS_PER_S + 1} s", flush=True)
    start = time.monotonic()
    bench = play(count, seed)
    print("believed: " + ", ".join(f"{name} {number}" for name, number in sorted(bench.believed.items())))
    print("refused: " + ", ".join(f"{name} {number}" for name, number in bench.refused.most_common()))
    print(f"{time.monotonic() - start:.0f} s, nothing raised, no refused packet changed a state")
    return 0


if __name__ == "__main__":
    sys.exit(main())

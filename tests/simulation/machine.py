"""One router of a simulated cluster, and the bytes of what it says."""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Callable
from functools import cache

from pykeepalived.model.common import Family
from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import VrrpInstance, VrrpState
from pykeepalived.units import CENTISECOND_US, SECOND_US
from pykeepalived.vrrp import events
from pykeepalived.vrrp.expectation import expectation
from pykeepalived.vrrp.facts import advert_interval_us, advertised_addresses, instance_family
from pykeepalived.vrrp.receive import Ladder
from pykeepalived.vrrp.router import Router
from tests.simulation.cluster import address_of
from tests.simulation.hands import Hands, Kernel, placed
from tests.simulation.second import Second

_SOCKET_LIMIT = 200
EPOCH_US = 1_800_000_000 * SECOND_US


@cache
def packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def build(config: VrrpInstance, priority: int, source: str, to: bytes) -> bytes:
    """An advert without its HMAC trailer; v3 with the pseudo-header in its checksum."""
    own = advertised_addresses(config)
    addresses = b"".join(map(packed, own))
    count, interval_us = len(own), advert_interval_us(config)
    if config.version == 2:
        fields = struct.pack("!BBBBBBH", 0x21, config.vrid, priority, count, 0, interval_us // SECOND_US, 0)
        message, pseudo = fields + addresses + bytes(8), 0
    else:
        fields = struct.pack("!BBBBHH", 0x31, config.vrid, priority, count, interval_us // CENTISECOND_US, 0)
        message = fields + addresses
        pseudo = int.from_bytes(packed(source) + to, "big") + 112 + len(message)
    checksum = -(int.from_bytes(message, "big") + pseudo) % 0xFFFF
    return message[:6] + checksum.to_bytes(2, "big") + message[8:]


def destination(config: VrrpInstance, source: str, receiver: str) -> bytes:
    """The group, or the peer."""
    if config.unicast_peers:
        return packed(receiver)
    return packed("ff02::12" if ":" in source else "224.0.0.18")


def framed(message: bytes, source: str, to: bytes) -> bytes:
    if ":" in source:
        return struct.pack("!IHBB", 6 << 28, len(message), 112, 255) + packed(source) + to + message
    header = struct.pack("!BBHHHBBH", 0x45, 0xC0, 20 + len(message), 0, 0, 255, 112, 0)
    return header + packed(source) + to + message


def _nobody(_delay_us: int, _call: Callable[[], None]) -> None:
    """A daemon that was not started has no timers."""


class Machine:
    """One router: its daemon, its interfaces, its clock, and what was told about it."""

    def __init__(self, number: int, config: Config) -> None:
        self.number = number
        self.name = f"r{number}"
        self.address = address_of(number, six=instance_family(config.instances[0]) is Family.INET6)
        self.config = config
        self.links = {str(item.interface): True for item in config.instances}
        self.failing: set[str] = set()
        self.alive = False
        self.paused = False
        self.clock_us = EPOCH_US
        self.stamp = 0
        self.goodbyes: set[str] = set()
        self.slow_us = 0
        """How long the kernel takes for each batch."""
        self.states: dict[str, VrrpState] = {}
        self.scripts: dict[str, bool] = {}
        """What the parent knows of a process that was killed."""
        self.crash_in: int | None = None
        """Die after so many more moments: one is before each thing that it does, and one after the last."""
        self.only_process = False
        """What dies is the VRRP process; the machine and the parent live."""
        self.dies_at: int | None = None
        """The moment of its whole life at which it dies; see `crashes`."""
        self.process_died = False
        """The parent lives and is about to start a successor."""
        self.moments: list[bool] | None = None
        """Whether each moment so far was in a batch of nothing but adverts and announcements; None: nobody counts."""
        self.known_states: dict[str, VrrpState] = {}
        """What the parent was told last."""
        self.between: set[str] = set()
        """Instances of which the parent knows no state while scripts are told."""
        self.starting = False
        """A successor has not yet looked at what was left."""
        self.inbox: deque[tuple[str, bytes]] = deque(maxlen=_SOCKET_LIMIT)
        self.kernel = Kernel(self.name, self.links)
        self.hands = Hands(self.kernel, None, _nobody)
        self.adopt(config)
        self.fresh()

    def adopt(self, config: Config) -> None:
        self.config = config
        self.instances = {item.name: item for item in config.instances}
        self.entries = {item.name: {each.entry for each in placed(item)} for item in config.instances}
        self.messages: dict[tuple[str, int, bytes], bytes] = {}
        self.grouped = {name for group in config.sync_groups for name in group.members}

    def read(self, packet: bytes, ifname: str, wall_us: int) -> events.AdvertReceived | events.PacketRefused:
        """What the ladder makes of a packet of either family."""
        if packet[0] >> 4 == 4:
            return self.ladder.ipv4(packet, ifname, wall_us=wall_us)
        return self.ladder.ipv6(packet[40:], packet[8:24], packet[24:40], packet[7], ifname, wall_us=wall_us)

    def fresh(self) -> None:
        self.router = Router(self.config, log_detail=False)
        self.second = Second(self.config, packed(self.address))
        self.ladder = Ladder([expectation(item) for item in self.config.instances])
        self.holding: set[str] = set()
        self.told: dict[str, str] = {}
        self.leading: frozenset[str] = frozenset()
        self.heard: dict[str, tuple[int, int]] = {}
        """When a master that counts was last heard, and for how long it must be believed."""
        self.lower: dict[str, tuple[int, int]] = {}
        """With a preempt delay: when an inferior master was first and last heard."""
        self.came: dict[str, int] = {}
        """When it became BACKUP after its start or a fault."""
        self.spoke: dict[str, int] = {}
        self.tick_us: int | None = None
        self.inbox.clear()

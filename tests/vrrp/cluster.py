"""Whole clusters in virtual time: routers, a network that loses, delays and divides, and one seed for everything.

Every node is a real `Router` behind a real `Ladder`; what it sends goes as bytes to every node that it is connected to.
Nothing waits: time jumps to the next packet, deadline or planned fault. While it runs the cluster watches two things:

    A node holds its addresses exactly while it is MASTER, and a sync group is of one mind.
    Nodes that hear each other are not both MASTER for longer than an advert needs to get from one to the other.

A paused node does nothing; its packets wait in its socket and are read first when it goes on, as the real loop does.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable

from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import VrrpInstance, VrrpState
from pykeepalived.units import SECOND_US, seconds
from pykeepalived.vrrp import events
from pykeepalived.vrrp.expectation import expectation
from pykeepalived.vrrp.facts import advert_interval_us
from pykeepalived.vrrp.receive import Ladder
from pykeepalived.vrrp.router import Router
from tests.simulation.machine import build, destination, framed
from tests.vrrp.playbook import line

MASTER = VrrpState.MASTER
_SOCKET_LIMIT = 200


class Node:
    """One machine."""

    def __init__(self, name: str, config: Config, address: str) -> None:
        self.name = name
        self.config = config
        self.address = address
        self.links: dict[str, bool] = {"eth0": True}
        self.router = Router(config, log_detail=False)
        self.ladder = Ladder()
        self.alive = False
        self.paused = False
        self.inbox: deque[tuple[str, bytes]] = deque(maxlen=_SOCKET_LIMIT)
        self.holding: set[str] = set()

    def state(self, instance: str) -> VrrpState:
        return next(item.state for item in self.router.status() if item.name == instance)


class Cluster:
    """Nodes on one network segment per interface name."""

    def __init__(self, *, seed: int = 0, delay_us: tuple[int, int] = (100, 300), loss: float = 0.0) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.delay_us = delay_us
        self.loss = loss
        self.now_us = 0
        self.nodes: dict[str, Node] = {}
        self.side: dict[str, int] = {}
        """Nodes of different sides do not hear each other."""
        self.story: list[str] = []
        self.moments: list[tuple[float, str, str]] = []
        """Time, node, action."""
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._rivals_since: dict[tuple[str, str, int], int] = {}
        self.watching = True

    # ---- people who do things ----

    def add(
        self, name: str, *instances: VrrpInstance, address: str | None = None, config: Config | None = None
    ) -> Node:
        number = len(self.nodes) + 1
        node = Node(name, config or Config(instances=instances), address or f"10.0.0.{number}")
        self.nodes[name] = node
        self.side[name] = 0
        self.boot(name)
        return node

    def boot(self, name: str) -> None:
        """Start the daemon, or start it anew after `kill`."""
        node = self.nodes[name]
        node.router = Router(node.config, log_detail=False)
        node.ladder.replace([expectation(item) for item in node.config.instances])
        node.alive, node.paused = True, False
        node.inbox.clear()
        node.holding.clear()
        for item in node.config.instances:
            self.feed(node, events.SourceAddressChanged(item.name, node.address))
        for ifname, up in node.links.items():
            self.feed(node, events.LinkChanged(ifname, up))
        self.feed(node, events.Start())

    def kill(self, name: str) -> None:
        """The machine is gone without a word, and its addresses with it."""
        node = self.nodes[name]
        node.alive = False
        node.holding.clear()

    def stop(self, name: str) -> None:
        node = self.nodes[name]
        self.feed(node, events.Stop())
        node.alive = False

    def pause(self, name: str) -> None:
        self.nodes[name].paused = True

    def resume(self, name: str) -> None:
        node = self.nodes[name]
        node.paused = False
        while node.inbox:
            self.feed(node, node.ladder.ipv4(node.inbox.popleft()[1], "eth0"))

    def link(self, name: str, ifname: str, up: bool) -> None:
        node = self.nodes[name]
        node.links[ifname] = up
        if node.alive:
            self.feed(node, events.LinkChanged(ifname, up))

    def divide(self, *names: str) -> None:
        """Put these nodes on the other side of a broken cable."""
        self.side = {name: int(name in names) for name in self.nodes}

    def reload(self, name: str, config: Config) -> None:
        node = self.nodes[name]
        node.config = config
        node.ladder.replace([expectation(item) for item in config.instances])
        for item in config.instances:
            self.feed(node, events.SourceAddressChanged(item.name, node.address))
        self.perform(node, node.router.reload(config, self.now_us))

    def at(self, at_s: float, action: Callable[[], None]) -> None:
        self._later(seconds(at_s), action)

    # ---- the world ----

    def run(self, until_s: float) -> None:
        until_us = seconds(until_s)
        for _ in range(2_000_000):
            wakes = [
                (wake_us, node)
                for node in self.nodes.values()
                if node.alive and not node.paused and (wake_us := node.router.wake_at()) is not None
            ]
            wake_us, node = min(wakes, key=lambda item: item[0], default=(until_us + 1, None))
            queued_us = self._queue[0][0] if self._queue else until_us + 1
            if min(wake_us, queued_us) > until_us:
                self.now_us = until_us
                self._watch()
                return
            if queued_us <= wake_us:
                self.now_us = max(self.now_us, queued_us)
                heapq.heappop(self._queue)[2]()
            elif node is not None:
                self.now_us = max(self.now_us, wake_us)
                self.feed(node, events.Tick())
            self._watch()
        raise AssertionError(f"time does not pass, seed {self.seed}")

    def feed(self, node: Node, event: events.Event) -> None:
        self.perform(node, node.router.handle(event, self.now_us))

    def perform(self, node: Node, actions: tuple[events.Action, ...]) -> None:
        for action in actions:
            text = line(action)
            self.moments.append((self.now_us / SECOND_US, node.name, text))
            match action:
                case events.SendAdvert(name, priority):
                    self._send(node, name, priority)
                case events.AddAddresses(name):
                    node.holding.add(name)
                case events.RemoveAddresses(name):
                    node.holding.discard(name)
                case _:
                    pass

    def _send(self, sender: Node, name: str, priority: int) -> None:
        config = next(item for item in sender.config.instances if item.name == name)
        ifname = config.interface or ""
        if not sender.links.get(ifname, False):
            return
        to = destination(config, sender.address, "")
        packet = framed(build(config, priority, sender.address, to), sender.address, to)
        for node in self.nodes.values():
            if node is not sender and self.chance.random() >= self.loss:
                delay_us = self.chance.randint(*self.delay_us)
                self._later(self.now_us + delay_us, lambda node=node: self._deliver(sender, node, ifname, packet))  # type: ignore[misc]

    def _deliver(self, sender: Node, node: Node, ifname: str, packet: bytes) -> None:
        if not self._hears(sender, node, ifname):
            return
        if node.paused:
            node.inbox.append((ifname, packet))
        else:
            self.feed(node, node.ladder.ipv4(packet, ifname))

    def _hears(self, sender: Node, node: Node, ifname: str) -> bool:
        return (
            node.alive
            and self.side[sender.name] == self.side[node.name]
            and sender.links.get(ifname, False)
            and node.links.get(ifname, False)
        )

    def _later(self, at_us: int, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (at_us, self._count, action))

    # ---- what is watched and asked ----

    def masters(self, vrid: int = 51) -> list[str]:
        """Names of the nodes that are MASTER of a VRID, paused ones included."""
        return [
            node.name
            for node in self.nodes.values()
            if node.alive
            for item in node.router.status()
            if item.vrid == vrid and item.state is MASTER
        ]

    def when(self, node: str, text: str) -> list[float]:
        """The instants at which a node did something, in seconds."""
        return [at_s for at_s, name, done in self.moments if name == node and done == text]

    def _watch(self) -> None:
        awake = [node for node in self.nodes.values() if node.alive and not node.paused]
        holders: dict[int, list[tuple[Node, VrrpInstance]]] = {}
        for node in awake:
            states = {item.name: item.state for item in node.router.status()}
            leading = {name for name, state in states.items() if state is MASTER}
            assert node.holding == leading, f"{node.name} holds {node.holding}, leads {leading}, seed {self.seed}"
            for group in node.router.group_status():
                minds = {states[name] for name in group.members}
                assert len(minds) == 1, f"group of {node.name} is {minds}, seed {self.seed}, story {self.story}"
            for item in node.config.instances:
                if item.name in leading:
                    holders.setdefault(item.vrid, []).append((node, item))
        if self.watching and not self.loss:
            self._watch_rivals(holders)

    def _watch_rivals(self, holders: dict[int, list[tuple[Node, VrrpInstance]]]) -> None:
        rivals: dict[tuple[str, str, int], int] = {}
        for vrid, found in holders.items():
            for at, (one, config) in enumerate(found):
                for other, other_config in found[at + 1 :]:
                    if not self._hears(one, other, config.interface or ""):
                        continue
                    key = (one.name, other.name, vrid)
                    since_us = rivals[key] = self._rivals_since.get(key, self.now_us)
                    limit_us = max(advert_interval_us(config), advert_interval_us(other_config)) + 2 * self.delay_us[1]
                    assert self.now_us - since_us <= limit_us, (
                        f"{one.name} and {other.name} both MASTER of {vrid} for {self.now_us - since_us} µs, "
                        f"seed {self.seed}, story {self.story}"
                    )
        self._rivals_since = rivals

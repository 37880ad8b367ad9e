"""A random life: events and reloads in any order, and what must hold after each."""

from __future__ import annotations

import random

import pytest

from pykeepalived.model.common import Script
from pykeepalived.model.config import Config, GlobalDefs
from pykeepalived.model.lvs import SyncDaemon
from pykeepalived.model.vrrp import GarpSettings, SyncGroup, TrackedInterface, TrackedScript, VrrpScript, VrrpState
from pykeepalived.vrrp import events
from tests.vrrp.playbook import Playbook, address, advert, instance

NAMES = ["A", "B", "C", "D"]
INTERFACES = ["eth0", "eth1"]
SCRIPTS = ["s1", "s2"]


def random_config(chance: random.Random) -> Config:
    """One to four instances, each VRID at most once, with trackers, groups and scripts as it comes."""
    names = chance.sample(NAMES, chance.randint(1, 4))
    vrids = chance.sample([51, 52, 53, 54], len(names))
    instances = tuple(
        instance(
            name,
            vrid,
            version=chance.choice([2, 3]),
            interface=chance.choice(INTERFACES),
            priority=chance.choice([1, 100, 100, 200, 254, 255]),
            advert_interval_us=chance.choice([1_000_000, 2_000_000]),
            initial_state=chance.choice([VrrpState.MASTER, VrrpState.BACKUP]),
            nopreempt=chance.random() < 0.3,
            preempt_delay_us=chance.choice([0, 3_000_000]),
            addresses=tuple(address(f"10.0.0.{vrid + step}") for step in range(0, 200, chance.choice([50, 100]))),
            garp=GarpSettings(delay_us=chance.choice([0, 5_000_000]), refresh_us=chance.choice([0, 2_000_000])),
            track_interfaces=(TrackedInterface("eth1", chance.choice([0, 20, -20])),) * chance.randint(0, 1),
            track_scripts=tuple(
                TrackedScript(script, chance.choice([None, 0, 5, -5])) for script in SCRIPTS if chance.random() < 0.3
            ),
            use_deleted_state=chance.random() < 0.5,
            notify_priority_changes=chance.random() < 0.5,
        )
        for name, vrid in zip(names, vrids, strict=True)
    )
    groups = ()
    if len(names) > 1 and chance.random() < 0.6:
        groups = (SyncGroup(name="G", members=tuple(names[:2]), tracking_weight=chance.random() < 0.5),)
    scripts = tuple(
        VrrpScript(
            name=script,
            script=Script((chance.choice(["/bin/a", "/bin/b"]),)),
            weight=chance.choice([0, 10, -10]),
            rise=chance.randint(1, 3),
            fall=chance.randint(1, 3),
            init_fail=chance.random() < 0.2,
        )
        for script in SCRIPTS
        if chance.random() < 0.8
    )
    daemon = SyncDaemon(interface="eth0", instance="A") if chance.random() < 0.3 else None
    return Config(instances=instances, sync_groups=groups, scripts=scripts, globals=GlobalDefs(sync_daemon=daemon))


def random_event(chance: random.Random) -> events.Event:
    name = chance.choice(NAMES)
    return chance.choice(
        [
            events.AdvertReceived(
                name,
                advert(
                    chance.choice([0, 1, 100, 200, 255]),
                    chance.choice(["10.0.0.0", "10.0.0.1", "10.0.0.9"]),
                    interval_us=chance.choice([10_000, 1_000_000]),
                    version=chance.choice([2, 3]),
                ),
            ),
            events.PacketRefused(name, chance.choice(list(events.Refusal)), "10.0.0.2", "text"),
            events.LinkChanged(chance.choice(INTERFACES), chance.random() < 0.7),
            events.SourceAddressChanged(name, chance.choice(["10.0.0.1", "10.0.0.1", None])),
            events.SourceAddressChanged(name, None, tentative=True),
            events.ScriptResult(chance.choice(SCRIPTS), chance.choice([0, 0, 1, -9, None])),
            events.AddressLost(name, "10.0.0.51", "eth0"),
            events.Tick(),
        ]
    )


class Holdings:
    """What an edge that does every action would have on its interfaces."""

    def __init__(self) -> None:
        self.held: dict[str, set[str]] = {}

    def do(self, lines: list[str], config: Config) -> None:
        whole = {item.name: {entry.prefix.address for entry in item.addresses} for item in config.instances}
        # All renamings of one reload are meant at once.
        renamed = dict(line.split()[1:] for line in lines if line.startswith("renamed"))
        for words in (line.split() for line in lines):
            if words[0] == "renamed":
                self.held = {renamed.get(name, name): held for name, held in self.held.items()}
                renamed = {}
            elif words[0] == "addresses" and words[2] == "+":
                assert words[1] not in self.held, lines
                self.held[words[1]] = set(whole[words[1]])
            elif words[0] == "addresses":
                self.held.pop(words[1], None)
            elif words[0] == "replace":
                for word in words[2:]:
                    (self.held[words[1]].add if word[0] == "+" else self.held[words[1]].remove)(word[1:])


def check(book: Playbook, holdings: Holdings, config: Config) -> None:
    states = {item.name: item for item in book.router.status()}
    whole = {item.name: {entry.prefix.address for entry in item.addresses} for item in config.instances}
    masters = {name: whole[name] for name, item in states.items() if item.state is VrrpState.MASTER}
    assert holdings.held == masters
    for item in states.values():
        assert bool(item.faults) == (item.state is VrrpState.FAULT), item
        assert 1 <= item.effective_priority <= 255
        assert item.base_priority != 255 or item.effective_priority == 255
    for group in book.router.group_status():
        assert len({states[name].state for name in group.members}) == 1, [states[name] for name in group.members]
    wake_us = book.router.wake_at()
    if any(item.state in {VrrpState.BACKUP, VrrpState.MASTER} for item in states.values()):
        # Nobody waits for longer than a down timer, and nothing that is overdue is forgotten.
        assert wake_us is not None
        assert wake_us <= book.now_us + 10_000_000


@pytest.mark.parametrize("seed", range(60))
def test_a_random_life(seed):
    chance = random.Random(seed)
    config = random_config(chance)
    book = Playbook(config, links={"eth0": True, "eth1": chance.random() < 0.8})
    for name in NAMES:
        book.source(name, "10.0.0.1")
    holdings = Holdings()
    holdings.do(book.start(), config)
    check(book, holdings, config)
    for _ in range(120):
        deed = chance.random()
        if deed < 0.1:
            for name in NAMES:
                holdings.do(book.source(name, "10.0.0.1"), config)
            config = random_config(chance)
            holdings.do(book.reload(config), config)
        elif deed < 0.5:
            lines = book.run(book.now_us / 1_000_000 + chance.choice([0.01, 0.7, 4]))
            holdings.do([item.partition(" ")[2] for item in lines], config)
        else:
            holdings.do(book.feed(random_event(chance)), config)
        check(book, holdings, config)
    holdings.do(book.stop(), config)
    assert holdings.held == {}

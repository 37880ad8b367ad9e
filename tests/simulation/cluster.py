"""What a seed makes of a cluster: how large it is, the configuration of each router, and what can happen around it."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from pykeepalived.model.bfd import BfdInstance
from pykeepalived.model.common import IpPrefix, Script
from pykeepalived.model.config import Config, GlobalDefs
from pykeepalived.model.vrrp import (
    AuthHmac,
    GarpSettings,
    HmacKey,
    SyncGroup,
    TrackBfd,
    TrackedFile,
    TrackedInterface,
    TrackedProcess,
    TrackedScript,
    TrackFile,
    TrackProcess,
    UnicastPeer,
    VirtualAddress,
    VrrpInstance,
    VrrpScript,
    VrrpState,
)
from pykeepalived.units import SECOND_US
from pykeepalived.vrrp import events

_INTERVALS_US = (100_000, 300_000, 1_000_000)
_HMAC = AuthHmac(keys=(HmacKey(1, b"a shared secret of the cluster"),), active_key=1)
#: An interface that nothing but a tracker uses.
UPLINK = "uplink0"


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How large the cluster is and how long it suffers."""

    routers: int
    instances: int
    suffering_s: int
    faults_per_minute: float
    plain: bool = False
    """Nothing but an instance with its addresses."""


#: What the figure of simulated hours per minute is about.
USUAL = Shape(routers=3, instances=1, suffering_s=3600, faults_per_minute=1, plain=True)


def shape_of(seed: int) -> Shape:
    """Mostly pairs with a few instances; now and then twenty routers, or a hundred instances."""
    chance = random.Random(f"shape {seed}")
    kind = chance.random()
    if kind < 0.05:
        return Shape(routers=chance.randint(6, 20), instances=1, suffering_s=60, faults_per_minute=12)
    if kind < 0.1:
        return Shape(routers=2, instances=chance.randint(20, 100), suffering_s=20, faults_per_minute=12)
    return Shape(
        routers=chance.randint(2, 5),
        instances=chance.choice((1, 1, 1, 2, 3, 4)),
        suffering_s=chance.choice((60, 300, 900)),
        faults_per_minute=chance.choice((1, 4, 12)),
    )


def short(seed: int) -> Shape:
    """A small cluster with much to suffer in a minute."""
    chance = random.Random(f"short {seed}")
    return Shape(
        routers=chance.choice((2, 2, 3)), instances=chance.choice((1, 1, 2, 3)), suffering_s=60, faults_per_minute=30
    )


def _words(chance: random.Random) -> dict[str, Any]:
    """Words of an instance that change what it does when, and not who leads at rest."""
    some = chance.random() < 0.5
    garp = GarpSettings(
        delay_us=chance.choice((0, SECOND_US, 5 * SECOND_US)),
        repeat=chance.choice((0, 1, 5, 5)),
        refresh_us=chance.choice((0, 2 * SECOND_US)),
        refresh_repeat=chance.choice((0, 1, 2)),
        lower_prio_delay_us=chance.choice((0, SECOND_US)),
        lower_prio_repeat=chance.choice((0, 1, 5)),
    )
    return {
        "garp": garp if some else GarpSettings(),
        "lower_prio_no_advert": some and chance.random() < 0.3,
        "higher_prio_send_advert": chance.choice((None, True, False)) if some else None,
        "skip_check_adv_addr": some and chance.random() < 0.5,
        "notify_priority_changes": chance.random() < 0.3,
    }


def _trackers(chance: random.Random) -> tuple[dict[str, Any], dict[str, Any]]:
    """Words of the file, and words of an instance or a group, for up to four trackers."""
    tops: dict[str, Any] = {}
    words: dict[str, Any] = {}

    def own(*weights: int | None) -> Any:
        return chance.choice((None, None, *weights))

    if chance.random() < 0.3:
        weight, reverse = chance.choice((0, 0, 20, -20)), chance.random() < 0.3
        words["track_interfaces"] = (TrackedInterface(UPLINK, weight, reverse),)
    if chance.random() < 0.3:
        tops["track_files"] = (TrackFile(name="file", path="/file", weight=chance.choice((1, 0, -2, 3))),)
        words["track_files"] = (TrackedFile("file", own(0, 2, -3), chance.random() < 0.3),)
    if chance.random() < 0.3:
        process = TrackProcess(
            name="process",
            process="x",
            weight=chance.choice((0, 10, -10)),
            quorum=chance.choice((1, 2)),
            quorum_max=chance.choice((None, 3)),
            fork_delay_us=chance.choice((0, SECOND_US + 7)),
            terminate_delay_us=chance.choice((0, SECOND_US + 7)),
        )
        tops["track_processes"] = (process,)
        words["track_processes"] = (TrackedProcess("process", own(0, 7), chance.random() < 0.3),)
    if chance.random() < 0.3:
        tops["bfd_instances"] = (BfdInstance(name="bfd", neighbor="10.0.9.1", weight=chance.choice((0, 15, -15))),)
        words["track_bfds"] = (TrackBfd("bfd", own(0, 9), chance.random() < 0.3),)
    return tops, words


def signs_of(config: Config, *, well: bool) -> list[list[events.Event]]:
    """What each tracker beside scripts and links can report: the one thing that keeps everybody well, or anything."""
    signs: list[list[events.Event]] = []
    owners = (*config.instances, *config.sync_groups)
    for owner in owners:
        for interface in owner.track_interfaces:
            up = not interface.reverse
            signs.append([events.LinkChanged(UPLINK, state) for state in ((up,) if well else (up, not up, not up))])
        for file in owner.track_files:
            (top,) = config.track_files
            condition = (top.weight if file.weight is None else file.weight) == 0
            good = 1 if file.reverse and condition else 0
            signs.append(
                [events.FileChanged("file", value) for value in ((good,) if well else (-200, -3, 0, 1, 5, 300))]
            )
        for process in owner.track_processes:
            (count,) = config.track_processes
            good = 0 if process.reverse else count.quorum
            signs.append([events.ProcessCount("process", each) for each in ((good,) if well else (0, 1, 2, 3, 4))])
        for session in owner.track_bfds:
            up = not session.reverse
            signs.append([events.BfdChanged("bfd", state) for state in ((up,) if well else (up, not up, not up))])
        if signs:
            # All instances track the same things.
            break
    return signs


def cluster(seed: int, shape: Shape) -> list[Config]:
    """The configuration of each router."""
    chance = random.Random(f"cluster {seed}")
    version, interval_us = chance.choice(((2, SECOND_US), (3, chance.choice(_INTERVALS_US))))
    grouped = shape.instances > 1 and chance.random() < 0.4
    nopreempt = chance.random() < 0.2
    words = {
        "version": version,
        "advert_interval_us": interval_us,
        "nopreempt": nopreempt,
        "preempt_delay_us": chance.choice((0, 0, 0, 2 * SECOND_US)) if not nopreempt else 0,
        "auth_hmac": _HMAC if chance.random() < 0.15 else None,
        "down_timer_adverts": chance.choice((3, 3, 3, 2, 5)),
        "timer_expired_backup": chance.choice((None, 100)) if nopreempt else None,
    }
    script = VrrpScript(
        name="chk",
        script=Script(("/bin/chk",)),
        weight=chance.choice((0, -30, 40)),
        fall=chance.choice((1, 2, 2, 3)),
        rise=chance.choice((1, 1, 2, 3)),
        init_fail=chance.random() < 0.1,
    )
    scripts = (script,) if chance.random() < 0.6 else ()
    distinct = chance.random() < 0.8
    ranks = chance.sample(range(1, 251), shape.routers) if distinct else [100] * shape.routers
    begins = VrrpState.MASTER if chance.random() < 0.1 and not nopreempt else VrrpState.BACKUP
    tops, tracked = _trackers(chance)
    if scripts:
        tracked["track_scripts"] = (TrackedScript("chk", chance.choice((None, None, -7))),)
    weighted = chance.random() < 0.5
    tops["globals"] = GlobalDefs(startup_delay_us=chance.choice((0, 0, 0, 2 * SECOND_US)))
    if shape.plain:
        words |= {"version": 3, "advert_interval_us": SECOND_US, "auth_hmac": None}
        scripts, tracked, tops = (), {}, {}
    mixed = version == 3 and not shape.plain and chance.random() < 0.25
    owner = not grouped and distinct and not tracked and not shape.plain and chance.random() < 0.2
    six = version == 3 and not shape.plain and random.Random(f"family {seed}").random() < 0.3
    unicast = not shape.plain and random.Random(f"unicast {seed}").random() < 0.2
    configs = []
    for number in range(shape.routers):
        instances = tuple(
            VrrpInstance(
                name=f"VI_{item}",
                vrid=item + 1,
                interface=f"eth{item % 2}",
                priority=255 if owner and number == item == 0 else _rank(ranks, number, 0 if grouped else item),
                initial_state=begins if number == 0 else VrrpState.BACKUP,
                addresses=_addresses(item, six=six),
                **_unicast(number, shape.routers, six=six) if unicast else {},
                **(words | {"advert_interval_us": _INTERVALS_US[number % 3]} if mixed else words),
                **({} if shape.plain else _words(chance)),
                **({} if grouped else tracked),
            )
            for item in range(shape.instances)
        )
        groups: tuple[SyncGroup, ...] = ()
        if grouped:
            names = tuple(item.name for item in instances)
            groups = (SyncGroup(name="G", members=names, tracking_weight=weighted, **tracked),)
        configs.append(Config(instances=instances, sync_groups=groups, scripts=scripts, **tops))
    return configs


def address_of(number: int, *, six: bool) -> str:
    """Where the adverts of a router come from."""
    return f"fe80::{number + 9:x}" if six else f"10.0.0.{number + 9}"


def _unicast(number: int, routers: int, *, six: bool) -> dict[str, Any]:
    peers = tuple(UnicastPeer(address_of(each, six=six)) for each in range(routers) if each != number)
    return {"unicast_peers": peers, "source": address_of(number, six=six), "track_src_ip": routers % 2 == 0}


def _addresses(item: int, *, six: bool) -> tuple[VirtualAddress, ...]:
    """IPv6 begins with a link-local one (RFC 9568 section 5.2.9)."""
    texts = ((f"fe80::1:{item + 1:x}", 64), (f"2001:db8::1:{item + 1:x}", 64)) if six else ((f"10.1.{item}.1", 24),)
    return tuple(VirtualAddress(prefix=IpPrefix(*text)) for text in texts)


def _rank(ranks: list[int], number: int, item: int) -> int:
    return ranks[(number + item) % len(ranks)]

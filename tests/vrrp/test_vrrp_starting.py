"""What keeps an instance from running at first: delays after the boot, missing peers, a missing source address."""

from __future__ import annotations

from typing import Any

import pytest

from pykeepalived.model.config import GlobalDefs
from pykeepalived.model.vrrp import SyncGroup, TrackedScript, UnicastPeer, VrrpInstance, VrrpState
from pykeepalived.units import SECOND_US
from pykeepalived.vrrp import events
from pykeepalived.vrrp.router import Router
from tests.vrrp.playbook import Playbook, config, instance, line, script

pytestmark = pytest.mark.shows(
    "global_defs.vrrp_delay_after_boot", "vrrp_instance.{unicast_fault_no_peer,track_src_ip,old_unicast_checksum}"
)


@pytest.mark.parametrize(
    ("uptime_s", "startup_s", "waits_s"), [(10, 0, 20), (29, 5, 5), (31, 0, 0), (None, 0, 0), (10, 25, 25)]
)
def test_the_delay_after_boot_counts_from_the_boot(uptime_s: int | None, startup_s: int, waits_s: int):
    settings = GlobalDefs(delay_after_boot_us=30 * SECOND_US, startup_delay_us=startup_s * SECOND_US)
    book = Playbook(config(instance(), settings=settings))
    lines = book.feed(events.Start(None if uptime_s is None else uptime_s * SECOND_US))
    assert [text for text in lines if "Delaying" in text] == (
        [f"log Delaying startup for {waits_s} seconds"] if waits_s else []
    )
    (entered,) = (text for text in book.run(60) if "Entering MASTER" in text)
    assert float(entered.split()[0]) == pytest.approx(waits_s + 3.609375)


def test_no_peer_left_is_a_fault_where_the_file_wants_it():
    for wanted in (True, False):
        book = Playbook(config(instance(unicast_without_peers=True, unicast_fault_no_peer=wanted)))
        book.start()
        assert book.state() == ("FAULT" if wanted else "BACKUP")
    book = Playbook(config(instance(unicast_peers=(UnicastPeer("10.0.0.2"),), unicast_fault_no_peer=True)))
    book.start()
    assert book.state() == "BACKUP"


def test_a_tracked_source_that_is_missing_is_a_fault():
    book = Playbook(config(instance(source="10.0.0.7", track_src_ip=True)), sources={"A": None})
    book.start()
    assert book.state() == "FAULT"
    book.source("A", "10.0.0.7")
    assert book.state() == "BACKUP"
    book.source("A", None)
    assert book.state() == "FAULT"
    untracked = Playbook(config(instance(source="10.0.0.7")), sources={"A": None})
    untracked.start()
    assert untracked.state() == "BACKUP"


def test_the_old_checksum_of_a_peer_is_answered_in_kind_once_heard():
    book = Playbook(config(instance(version=3, unicast_peers=(UnicastPeer("10.0.0.2"),), source="10.0.0.1")))
    book.start()
    lines = book.hear(150, old_checksum=True, version=3)
    assert "log (A) Setting unicast VRRPv3 checksum to old version" in lines
    assert line(events.UseOldChecksum("A")) in lines
    assert line(events.UseOldChecksum("A")) not in book.hear(150, old_checksum=True, version=3)


def test_a_process_that_goes_on_as_backup_waits_for_its_master() -> None:
    """It has nothing to say and nobody may ever speak to it: without its timer nobody would be MASTER again."""
    router = Router(config(instance(), instance("B", vrid=52)))
    for event in (
        events.LinkChanged("eth0", True),
        *(events.SourceAddressChanged(name, "10.0.0.1") for name in "AB"),
        events.Start(None, {"A": VrrpState.BACKUP, "B": VrrpState.BACKUP}),
    ):
        router.handle(event, 0)
    due_us = router.wake_at()
    assert due_us == 3_609_375
    router.handle(events.Tick(), due_us)
    assert [item.state for item in router.status()] == [VrrpState.MASTER, VrrpState.MASTER]


def said_first(*items: VrrpInstance, groups: tuple[SyncGroup, ...] = (), **more: Any) -> list[str]:
    book = Playbook(config(*items, groups=groups, **more))
    lines = [*book.start(), *book.run(5)]
    return [text.split("notify ")[1] for text in lines if "notify " in text]


OWNS: dict[str, Any] = {"priority": 255, "initial_state": VrrpState.MASTER}


def test_an_owner_whose_file_says_master_is_never_said_to_be_backup():
    """Seen in 2.2.7 and 2.4.3."""
    assert said_first(instance(**OWNS)) == ["INSTANCE A MASTER 255"]
    backup = {**OWNS, "initial_state": VrrpState.BACKUP}
    assert said_first(instance(**backup)) == ["INSTANCE A BACKUP 255", "INSTANCE A MASTER 255"]
    other = {**OWNS, "priority": 254}
    assert said_first(instance(**other))[0] == "INSTANCE A BACKUP 254"


def test_it_waits_unsaid_for_its_scripts():
    book = Playbook(config(instance(**OWNS, track_scripts=(TrackedScript("chk"),)), scripts=(script("chk"),)))
    assert not [text for text in book.start() if "notify" in text]
    book.feed(events.ScriptResult("chk", 0))
    assert next(text for text in book.run(2) if "notify" in text).endswith("notify INSTANCE A MASTER 255")


def test_of_a_group_of_such_owners_nothing_is_said():
    group = SyncGroup(name="G", members=("A", "B"))
    both = (instance(**OWNS), instance("B", vrid=52, **OWNS))
    assert sorted(said_first(*both, groups=(group,))) == ["INSTANCE A MASTER 255", "INSTANCE B MASTER 255"]
    one = (instance(**OWNS), instance("B", vrid=52, priority=200))
    assert said_first(*one, groups=(group,))[0] == "GROUP G BACKUP 0"

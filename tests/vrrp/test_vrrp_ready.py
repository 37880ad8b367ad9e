"""Waiting at the start: for interfaces that are not ready (`vrrp_ready_gate`), and for addresses that are tentative."""

from __future__ import annotations

from typing import Any

import pytest

from pykeepalived.model.config import GlobalDefs
from pykeepalived.model.vrrp import SyncGroup
from pykeepalived.units import SECOND_US
from pykeepalived.vrrp import events
from tests.vrrp.playbook import Playbook, config, instance

GATE = GlobalDefs(ready_gate_us=10 * SECOND_US)
PAIR = SyncGroup(name="G", members=("A", "B"))


def two(**words: Any) -> Playbook:
    return Playbook(config(instance(), instance("B", 52), **words))


@pytest.mark.shows("global_defs.vrrp_ready_gate")
def test_an_instance_waits_until_its_interface_is_ready():
    book = two(settings=GATE)
    assert not [line for line in book.start() if "Entering" in line]
    assert (book.state("A"), book.state("B")) == ("INIT", "INIT")
    book.run(6)
    assert "log (A) Entering BACKUP STATE (init)" in book.feed(events.InterfaceReady("A"))
    assert (book.state("A"), book.state("B")) == ("BACKUP", "INIT")
    lines = book.run(20)
    (master,) = (line for line in lines if "(A) Entering MASTER" in line)
    assert float(master.split()[0]) == pytest.approx(6 + 3.609375)
    late = [line for line in lines if "(B)" in line]
    assert late[0] == "10.000000 log (B) starts though its interface is not ready (vrrp_ready_gate)"
    assert late[1] == "10.000000 log (B) Entering BACKUP STATE (init)"
    assert book.feed(events.InterfaceReady("B")) == []


def test_a_link_that_is_down_is_no_fault_before_the_gate_opens():
    book = Playbook(config(instance(), settings=GATE), links={"eth0": False})
    book.start()
    assert book.state() == "INIT"
    assert not [line for line in book.link("eth0", True) if "Entering" in line]
    assert not [line for line in book.link("eth0", False) if "Entering" in line]
    lines = book.run(11)
    assert "10.000000 log (A) Entering FAULT STATE (init)" in lines
    assert book.state() == "FAULT"
    book.link("eth0", True)
    assert book.state() == "BACKUP"


def test_without_a_gate_nobody_waits():
    book = two()
    book.start()
    assert (book.state("A"), book.state("B")) == ("BACKUP", "BACKUP")


def test_a_group_starts_when_all_of_it_is_ready():
    book = two(settings=GATE, groups=(PAIR,))
    book.start()
    book.feed(events.InterfaceReady("A"))
    assert (book.state("A"), book.state("B")) == ("INIT", "INIT")
    book.feed(events.InterfaceReady("B"))
    assert (book.state("A"), book.state("B")) == ("BACKUP", "BACKUP")


def tentative(book: Playbook, name: str = "A") -> list[str]:
    return book.feed(events.SourceAddressChanged(name, None, tentative=True))


def test_a_tentative_address_at_the_start_means_wait():
    book = two()
    tentative(book)
    book.start()
    assert (book.state("A"), book.state("B")) == ("INIT", "BACKUP")
    book.run(5)
    assert "log (A) Entering BACKUP STATE" in book.source("A", "fe80::1")
    assert book.state("A") == "BACKUP"


def test_it_does_not_hide_another_fault():
    book = Playbook(config(instance()), links={"eth0": False})
    tentative(book)
    book.start()
    assert book.state() == "FAULT"
    # The link comes back, and the kernel looks for duplicates again: not yet.
    book.link("eth0", True)
    assert book.state() == "FAULT"
    book.source("A", "fe80::1")
    assert book.state() == "BACKUP"


def test_a_failed_detection_is_a_fault():
    book = Playbook(config(instance()))
    tentative(book)
    book.start()
    book.source("A", None)
    assert book.state() == "FAULT"


def test_a_backup_whose_address_is_tentative_does_not_lead():
    book = Playbook(config(instance()))
    book.start()
    assert tentative(book) == []
    book.run(20)
    assert book.state() == "BACKUP"
    book.source("A", "fe80::1")
    book.run(30)
    assert book.state() == "MASTER"
    # Whoever serves goes on serving.
    assert tentative(book) == []
    assert book.state() == "MASTER"


def test_a_group_waits_for_the_address_of_one_member():
    book = two(groups=(PAIR,))
    tentative(book, "B")
    book.start()
    assert (book.state("A"), book.state("B")) == ("INIT", "INIT")
    book.source("B", "fe80::1")
    assert (book.state("A"), book.state("B")) == ("BACKUP", "BACKUP")
    book.run(1)
    tentative(book, "B")
    book.run(20)
    assert (book.state("A"), book.state("B")) == ("BACKUP", "BACKUP")
    book.source("B", "fe80::1")
    book.run(40)
    assert (book.state("A"), book.state("B")) == ("MASTER", "MASTER")

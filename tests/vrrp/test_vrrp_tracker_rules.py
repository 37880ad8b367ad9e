"""Rules of trackers and sync groups against formulas written down here (keepalived-behaviour sections 7.8 and 8)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pykeepalived.model.vrrp import SyncGroup, TrackedFile, TrackedInterface, TrackedScript, TrackFile, VrrpState
from pykeepalived.vrrp import events
from tests.vrrp.playbook import Playbook, config, instance, script

CHK = (TrackedScript("chk"),)


def counter(rise: int, fall: int, init_fail: bool, results: list[bool]) -> Iterator[bool]:
    """Whether the script counts as well after each result."""
    count = 0 if init_fail else rise - 1
    for success in results:
        if success:
            count = count + 1 if count < rise - 1 else rise + fall - 1
        else:
            count = count - 1 if count > rise else 0
        yield count >= rise


@given(st.integers(1, 4), st.integers(1, 4), st.booleans(), st.lists(st.booleans(), min_size=1, max_size=14))
def test_the_counter_of_a_script(rise: int, fall: int, init_fail: bool, results: list[bool]) -> None:
    chk = script(rise=rise, fall=fall, init_fail=init_fail)
    book = Playbook(config(instance(track_scripts=CHK), scripts=(chk,)))
    book.start()
    for number, (success, well) in enumerate(zip(results, counter(rise, fall, init_fail, results), strict=True)):
        if number:
            book.run(number * 1.0)
        book.result("chk", 0 if success else 1)
        assert (book.state() == "FAULT") is not well, results[: number + 1]


@given(st.lists(st.integers(-300, 300), min_size=2, max_size=2), st.lists(st.integers(-5, 5), min_size=2, max_size=2))
def test_products_of_files_are_summed(values: list[int], weights: list[int]) -> None:
    """At most 253 each; at -254 and below it is a fault; weight 0 is a fault for whatever is not 0."""
    files = tuple(TrackFile(name=f"f{number}", path=f"/f{number}", weight=1) for number in (0, 1))
    tracked = tuple(TrackedFile(f"f{number}", weight) for number, weight in enumerate(weights))
    book = Playbook(replace(config(instance(track_files=tracked)), track_files=files))
    book.start()
    for number, value in enumerate(values):
        book.feed(events.FileChanged(f"f{number}", value))
    products = [value * weight for value, weight in zip(values, weights, strict=True)]
    bad = any(
        value != 0 if weight == 0 else value * weight <= -254 for value, weight in zip(values, weights, strict=True)
    )
    assert (book.state() == "FAULT") is bad
    if not bad:
        wished = 100 + sum(min(253, product) for product in products)
        assert book.status().effective_priority == max(1, min(254, wished))


@pytest.mark.parametrize(
    ("weight", "up", "expected"), [(254, True, 254), (-254, False, 1), (253, False, 1), (-3, True, 1)]
)
def test_a_weight_of_254_is_253(weight: int, up: bool, expected: int) -> None:
    book = Playbook(
        config(instance(priority=1, track_interfaces=(TrackedInterface("eth1", weight),))),
        links={"eth1": up, "eth0": True},
    )
    book.start()
    assert book.status().effective_priority == expected


# ---- sync groups ----


def group(**words: object) -> Playbook:
    """Two members on eth0 and eth1; `words` are the group's."""
    members = SyncGroup(name="G", members=("A", "B"), **words)  # type: ignore[arg-type]
    return Playbook(
        config(instance("A", 51), instance("B", 52, interface="eth1"), groups=(members,), scripts=(script(),)),
        links={"eth0": True, "eth1": True, "eth2": True},
    )


def states(book: Playbook) -> set[str]:
    return {book.state("A"), book.state("B"), book.router.group_status()[0].state.name}


def test_a_fault_of_what_the_group_tracks_is_a_fault_of_all() -> None:
    book = group(track_interfaces=(TrackedInterface("eth2"),)).to_master()
    book.link("eth2", False)
    assert states(book) == {"FAULT"}
    book.link("eth2", True)
    assert states(book) == {"BACKUP"}
    book = group(track_scripts=CHK)
    book.start()
    assert states(book) == {"INIT"}, "it waits for the group's script"
    book.result("chk", 1)
    assert states(book) == {"FAULT"}
    book.run(1.0)
    book.result("chk", 0)
    assert states(book) == {"BACKUP"}


def test_a_member_that_hears_a_better_router_takes_all_to_backup_and_they_follow_its_farewell() -> None:
    book = group().to_master()
    book.hear(200, name="B", vrid=52)
    assert states(book) == {"BACKUP"}
    # The other member's master is silent: it wants to be MASTER and may not.
    for second in range(5, 20):
        book.hear(200, name="B", vrid=52)
        book.run(float(second))
    assert states(book) == {"BACKUP"}
    assert book.status("A").wanted is VrrpState.MASTER
    book.hear(0, name="B", vrid=52)
    book.run(21.0)
    assert states(book) == {"MASTER"}


def test_a_group_tells_its_transition_once() -> None:
    book = group()
    book.start()
    said = book.run(5.0)
    said += book.hear(200)
    said += book.run(6.0)
    told = [line.partition("notify ")[2] for line in said if "notify GROUP" in line]
    assert told == ["GROUP G MASTER 0", "GROUP G BACKUP 0"]

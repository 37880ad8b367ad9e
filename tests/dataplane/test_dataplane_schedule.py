"""How nftables chooses: proportions, spread, and how little a loss disturbs a consistent hash."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykeepalived.dataplane.nft_schedule import (
    MAGLEV_SIZE,
    SLOT_LIMIT,
    as_map,
    choice,
    maglev,
    slots,
)
from pykeepalived.lvs.abilities import APPROXIMATIONS, SUPPORTED
from pykeepalived.lvs.table import Service
from pykeepalived.model.common import Family


def test_slots_are_interleaved() -> None:
    assert slots([("a", 3), ("b", 2), ("c", 1)]) == ["a", "b", "a", "c", "b", "a"]
    assert slots([("a", 20), ("b", 8)]) == ["a", "b", "a", "a", "a", "b", "a"]
    assert slots([("a", 5), ("b", 5), ("c", 0)]) == ["a", "b"]
    assert slots([("a", 0)]) == []


@given(st.lists(st.integers(0, 20), min_size=1, max_size=8))
def test_small_weights_are_exact(weights: list[int]) -> None:
    table = slots(list(enumerate(weights)))
    seen = Counter(table)
    total = sum(weights)
    assert all(seen[number] * total == weight * len(table) for number, weight in enumerate(weights))


@given(st.lists(st.integers(1, 65535), min_size=1, max_size=12))
def test_large_weights_are_near(weights: list[int]) -> None:
    table = slots(list(enumerate(weights)))
    assert len(table) <= SLOT_LIMIT + len(weights)
    seen, total = Counter(table), sum(weights)
    for number, weight in enumerate(weights):
        assert seen[number] >= 1, "nobody is left out"
        assert abs(seen[number] / len(table) - weight / total) < 0.02


def test_maglev_follows_the_weights() -> None:
    seen = Counter(maglev([("a", 3), ("b", 2), ("c", 1), ("d", 0)]))
    assert sum(seen.values()) == MAGLEV_SIZE
    for name, share in (("a", 1 / 2), ("b", 1 / 3), ("c", 1 / 6)):
        assert abs(seen[name] / MAGLEV_SIZE - share) < 0.02
    assert maglev([("a", 0)]) == []


@pytest.mark.parametrize("count", [3, 5, 10, 20])
def test_the_loss_of_a_server_moves_little_more_than_its_own(count: int) -> None:
    servers = [(f"10.0.0.{number}", 1) for number in range(count)]
    whole, less = maglev(servers), maglev(servers[1:])
    moved = sum(1 for old, new in zip(whole, less, strict=True) if old != new)
    assert moved / MAGLEV_SIZE < 1.5 / count
    assert maglev(list(reversed(servers))) == whole, "two directors agree, whatever the order"


def test_neighbours_become_ranges() -> None:
    assert as_map(["a", "a", "b", "a"]) == [("0-1", "a"), ("2", "b"), ("3", "a")]
    assert as_map([]) == []


@pytest.mark.parametrize("scheduler", sorted(SUPPORTED))
def test_every_scheduler_has_an_expression(scheduler: str) -> None:
    weighted = [("a", 3), ("b", 1), ("c", 0)]
    number, table = choice(Service(scheduler=scheduler, scheduler_flags=2), weighted, Family.INET)
    assert set(table) == ({"a"} if scheduler == "fo" else {"a", "b"})
    assert number.endswith(f"mod {len(table)}") or f"mod {len(table)} seed" in number
    assert ("th sport" in number) is (scheduler in {"sh", "mh"})
    effective = APPROXIMATIONS.get(scheduler, scheduler)
    if effective == "rr":
        assert table == ["a", "b"]
    if effective == "wrr":
        assert Counter(table) == {"a": 3, "b": 1}

"""The short form of `make fuzz`: every decoder takes its own messages, and some thousand bent ones, without a word."""

from __future__ import annotations

import pytest

from tests.fuzz.mutate import mutants
from tests.fuzz.targets import TARGETS, corpus

#: A file is read whole, so it costs more.
_COUNTS = {"keepalived": 150, "ldirectord": 150}


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_nothing_raises(name: str) -> None:
    target = TARGETS[name]
    seeds = corpus(target)
    assert seeds
    for data in [*seeds, *mutants(seeds, _COUNTS.get(name, 1500), 1)]:
        target.run(data)


def test_the_same_seed_gives_the_same_mutants() -> None:
    assert list(mutants([b"abc"], 50, 3)) == list(mutants([b"abc"], 50, 3))
    assert list(mutants([b"abc"], 50, 3)) != list(mutants([b"abc"], 50, 4))

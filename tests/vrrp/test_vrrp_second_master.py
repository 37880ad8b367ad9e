"""A second master is counted once a duel, by the one that outranks it."""

from __future__ import annotations

import pytest

from tests.vrrp.test_vrrp_instance import play


def after(book, seconds):
    book.run(book.now_us / 1_000_000 + seconds)


def count(book):
    return book.status().stats.second_master


def test_one_that_is_no_better_is_counted_once_however_long_it_goes_on():
    book = play().to_master()
    after(book, 10)
    for _ in range(5):
        book.hear(50)
        after(book, 1)
    assert count(book) == 1
    after(book, 10)
    book.hear(50)
    assert count(book) == 2


def test_a_loser_that_has_not_heard_of_it_yet_is_none():
    book = play().to_master()
    book.hear(50)
    assert count(book) == 0


@pytest.mark.parametrize("priority", [0, 200])
def test_a_goodbye_and_a_better_one_are_none(priority):
    book = play().to_master()
    after(book, 10)
    book.hear(priority)
    assert count(book) == 0

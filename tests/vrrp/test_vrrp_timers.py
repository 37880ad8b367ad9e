"""Skew_Time, Master_Down_Interval, intervals on the wire, the tie-break."""

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from pykeepalived.vrrp.timers import address_order, master_down_us, skew_us, wire_interval_us

priorities = st.integers(1, 255)
intervals = st.integers(1, 4095).map(lambda cs: cs * 10_000)


def test_skew_of_version_2_is_a_part_of_a_second_whatever_the_interval():
    assert skew_us(2, 100, 1_000_000) == 609_375
    assert skew_us(2, 100, 5_000_000) == 609_375
    assert skew_us(2, 254, 1_000_000) == 7_812
    assert skew_us(2, 255, 1_000_000) == 3_906


def test_skew_of_version_3_is_a_part_of_the_masters_interval():
    assert skew_us(3, 100, 1_000_000) == 609_375
    assert skew_us(3, 100, 100_000) == 60_937
    # RFC 9568 counts in centiseconds and would get 0 here for every priority above 231.
    assert skew_us(3, 254, 100_000) == 781


def test_master_down_interval():
    assert master_down_us(2, 100, 1_000_000) == 3_609_375
    assert master_down_us(3, 100, 100_000) == 360_937
    assert master_down_us(2, 100, 1_000_000, adverts=5) == 5_609_375


@given(priorities, priorities, intervals)
def test_a_higher_priority_never_wakes_later(one, other, interval_us):
    for version in (2, 3):
        better, worse = max(one, other), min(one, other)
        assert master_down_us(version, better, interval_us) <= master_down_us(version, worse, interval_us)


@given(st.integers(1, 254), intervals)
def test_neighbours_in_priority_differ_down_to_the_shortest_interval(priority, interval_us):
    assert skew_us(3, priority, interval_us) > skew_us(3, priority + 1, interval_us)


def test_intervals_are_rounded_as_the_wire_has_them():
    assert wire_interval_us(2, 1_400_000) == 1_000_000
    assert wire_interval_us(2, 100_000) == 1_000_000
    assert wire_interval_us(3, 104_000) == 100_000
    assert wire_interval_us(3, 106_000) == 110_000
    assert wire_interval_us(3, 1) == 10_000
    assert wire_interval_us(3, 99_000_000) == 40_950_000


@given(st.ip_addresses(), st.ip_addresses())
def test_addresses_of_one_family_compare_as_numbers(one, other):
    if one.version == other.version:
        assert (address_order(str(one)) < address_order(str(other))) == (one < other)


def test_what_is_no_address_never_wins_a_tie():
    assert address_order("") < address_order("0.0.0.0")
    assert address_order("fe80::1%eth0") == ipaddress.ip_address("fe80::1").packed

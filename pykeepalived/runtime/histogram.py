"""Counts of how long something took, in buckets as Prometheus has them: cheap to keep, and two can be added up."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Any, Final

#: Upper ends of the buckets for health checks, in microseconds; what is longer falls into a last one without end.
CHECK_BOUNDS_US: Final = (500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
                          1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000)  # fmt: skip
#: The same for adverts, which are late by less than a millisecond or there is something to look at.
LATENESS_BOUNDS_US: Final = (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000,
                             500_000, 1_000_000, 5_000_000)  # fmt: skip


class Histogram:
    """`observe` costs a third of a microsecond."""

    __slots__ = ("bounds_us", "counts", "sum_us")

    def __init__(self, bounds_us: tuple[int, ...]) -> None:
        self.bounds_us = bounds_us
        self.counts = [0] * (len(bounds_us) + 1)
        """How many fell into each bucket, not added up; the last one is for what is longer than all bounds."""
        self.sum_us = 0

    def observe(self, value_us: int, times: int = 1) -> None:
        self.counts[bisect_left(self.bounds_us, value_us)] += times
        self.sum_us += value_us * times

    def told(self) -> dict[str, Any]:
        """JSON-able."""
        return {"bounds_us": list(self.bounds_us), "counts": list(self.counts), "sum_us": self.sum_us}


def added(all_told: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The sum of what histograms with the same bounds told."""
    total: dict[str, Any] = {}
    for told in all_told:
        if not total:
            total = {**told, "counts": list(told["counts"])}
            continue
        total["counts"] = [one + other for one, other in zip(total["counts"], told["counts"], strict=True)]
        total["sum_us"] += told["sum_us"]
    return total

"""Quorum with hysteresis: whether the alive servers together are enough to serve.

The state changes upward at W ≥ quorum + hysteresis and downward at W < quorum − hysteresis or W = 0, where W is the sum
of the weights of alive servers; between the two it stays as it is. keepalived applies the upward threshold at start.
"""

from __future__ import annotations

import msgspec

from pykeepalived.model.lvs import VirtualServer


class Thresholds(msgspec.Struct, frozen=True):
    """Quorum and hysteresis as they are used, after the corrections that keepalived makes."""

    quorum: int
    hysteresis: int

    @property
    def gained_at(self) -> int:
        return self.quorum + self.hysteresis

    @property
    def lost_below(self) -> int:
        return self.quorum - self.hysteresis

    def holds(self, was_up: bool, weight: int) -> bool:
        """Whether there is a quorum with this weight of alive servers, given whether there was one."""
        if was_up:
            return weight >= self.lost_below and weight > 0
        return weight >= self.gained_at


def thresholds_of(server: VirtualServer) -> Thresholds:
    """The virtual server's thresholds.

    A quorum beyond the weight of all configured servers is reduced to that weight, and a hysteresis that is not below
    the quorum to quorum − 1, as keepalived does (it says so when it reads the file).
    """
    total = sum(real.weight for real in server.real_servers)
    quorum = min(server.quorum, total) if total else server.quorum
    return Thresholds(quorum, max(0, min(server.hysteresis, quorum - 1)))

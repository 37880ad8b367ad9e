"""The short forms of `make chaos` and `make soak`."""

from __future__ import annotations

import pytest

from pykeepalived.tools.lab import Lab
from pykeepalived.tools.lab_rights import why_no_namespaces
from tests.runtime import chaos, soak

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(why_no_namespaces() is not None, reason=why_no_namespaces() or "namespaces work"),
]


def test_kills_at_random_moments():
    assert chaos.run(8, seed=8).users.answered > 0


def test_reloads_without_end_disturb_nothing(tmp_path):
    with Lab("soak") as lab:
        going = soak.Soak(lab, tmp_path)
        going.run(10)
    assert going.reloads >= 10
    # Other tests run beside this one: the bound of the long form is 1.5 intervals.
    assert going.gap_s < 10 * soak.INTERVAL_S
    assert going.growth_kib < 8192

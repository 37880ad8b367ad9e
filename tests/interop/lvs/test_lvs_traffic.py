"""Connections through virtual servers of every kind, on a real IPVS: one boot of the test kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykeepalived.tools.guest import USUAL_MODULES
from tests.interop.patience import run_patiently

ROOT = Path(__file__).parents[3]


@pytest.mark.uml
@pytest.mark.netns
@pytest.mark.shows("virtual_server.{lb_kind,lvs_method}")
def test_connections_reach_the_servers_and_outlive_reloads() -> None:
    result = run_patiently(
        "python -m pytest -q -p no:cacheprovider -p no:xdist --tb=short -ra tests/interop/lvs/guest_traffic.py",
        timeout_s=600,
        modules=(*USUAL_MODULES, "ipip", "ip6_tunnel"),
        directory=ROOT,
    )
    assert result.exit_code == 0, result.output
    assert "skipped" not in result.output, result.output

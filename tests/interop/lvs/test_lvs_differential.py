"""Ours against Debian's keepalived on a real IPVS: one boot of the test kernel for all comparisons."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.patience import run_patiently

ROOT = Path(__file__).parents[3]


@pytest.mark.uml
@pytest.mark.netns
@pytest.mark.peer
def test_tables_and_logs_are_keepalived_s() -> None:
    tests = "tests/interop/lvs/guest_differential.py"
    result = run_patiently(
        f"python -m pytest -q -p no:cacheprovider -p no:xdist --tb=short -ra {tests}",
        timeout_s=600,
        directory=ROOT,
        memory_mb=1024,
    )
    assert result.exit_code == 0, result.output
    assert "skipped" not in result.output, result.output

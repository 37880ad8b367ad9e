"""The demonstration as a whole: the real programs, both languages, both dataplanes, from start to failover and back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pykeepalived.tools.guest import run_in_guest

ROOT = Path(__file__).parents[2]
STEPS = 7


def demonstrate(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pykeepalived.cli.ctl.demo", "--plain", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def check(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    summary = done.stdout.split("longest gap")[-1].splitlines()
    assert sum(line.startswith("✓ ") for line in summary) == STEPS
    assert summary[-1].startswith("Everything went as expected")
    assert "\x1b" not in done.stdout


@pytest.mark.netns
def test_keepalived_conf_with_nftables() -> None:
    check(demonstrate("--dataplane=nftables", "--conf=examples/keepalived.conf"))


@pytest.mark.netns
def test_ldirectord_cf_with_nftables() -> None:
    check(demonstrate("--dataplane=nftables", "--conf=examples/ldirectord.cf"))


@pytest.mark.uml
@pytest.mark.parametrize("conf", ["examples/keepalived.conf", "examples/ldirectord.cf"])
def test_with_ipvs_in_the_test_kernel(conf: str) -> None:
    """Asked for by name inside the guest, so that a machine with IPVS tests the guest as well."""
    words = f"{sys.executable} -m pykeepalived.cli.ctl.demo --plain --dataplane=ipvs --conf={conf}"
    result = run_in_guest(words, timeout_s=200, environment={"PYKEEPALIVED_DEMO_IN_GUEST": "1"}, directory=ROOT)
    check(subprocess.CompletedProcess(words, result.exit_code, result.output, ""))

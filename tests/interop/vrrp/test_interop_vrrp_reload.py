"""A reload on the wire: when a MASTER's adverts leave around it, ours and Debian's keepalived."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from pykeepalived.tools.lab import wait_until
from tests.interop.vrrp.vrrp_capture import capture
from tests.interop.vrrp.vrrp_pairs import PATIENCE_S, Program, Router, Shape, pair

pytestmark = [pytest.mark.netns, pytest.mark.peer]
INTERVAL_S = 2.0
ATTEMPTS = 5


def times(file: Path) -> list[float]:
    """When each advert came, in seconds since 1970."""
    argv = ["tshark", "-n", "-r", file, "-Y", "vrrp", "-T", "fields", "-e", "frame.time_epoch"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    return [float(line) for line in done.stdout.split()]


@pytest.mark.parametrize("program", ["theirs", "ours"])
def test_one_advert_before_the_reload_and_one_after_it(program: Program, tmp_path: Path) -> None:
    with pair(Shape(interval_us=2_000_000), program, "theirs", tmp_path) as (one, two):
        one.start()
        one.wait_for("MASTER")
        with capture(two, tmp_path) as file:
            # A starved router is late with any of them, but not each time.
            for _ in range(ATTEMPTS):
                first, second, third = reloaded(one, file)
                # Two at once, while the next one was due much later; from the second on the interval counts anew.
                if second < INTERVAL_S * 0.8 and abs(third - second - INTERVAL_S) < 0.3:
                    return
    raise AssertionError((first, second, third))


def reloaded(router: Router, file: Path) -> list[float]:
    """Reload just after an advert; when the next three come, in seconds since the signal."""
    size = file.stat().st_size
    wait_until(lambda: file.stat().st_size > size, PATIENCE_S, "an advert", interval_s=0.02)
    asked = time.time()
    assert router.process is not None
    router.process.send_signal(signal.SIGHUP)

    def after() -> list[float]:
        return [at - asked for at in times(file) if at > asked]

    wait_until(lambda: len(after()) >= 3, PATIENCE_S, "three adverts more")
    return after()[:3]

"""Features of load balancing beside Debian's keepalived and ipvsadm: one boot of the test kernel for all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.interop.patience import run_patiently

ROOT = Path(__file__).parents[3]
PARTS = ("sync", "mail", "kernel", "ipvsadm", "drain", "refusals", "octavia")


@pytest.mark.uml
@pytest.mark.netns
@pytest.mark.peer
@pytest.mark.shows("global_defs.{smtp_alert,smtp_alert_checker,no_checker_emails}")
@pytest.mark.shows(
    "global_defs.lvs_sync_daemon",
    "global_defs.lvs_sync_daemon.{group,id,inst,maxlen,port,ttl}",
    "vrrp_instance.lvs_sync_daemon_interface",
)
@pytest.mark.shows(
    "virtual_server.ha_suspend", "global_defs.{lvs_timeouts,lvs_flush,lvs_flush_on_stop,checker_log_all_failures}"
)
@pytest.mark.shows("virtual_server.real_server.TCP_CHECK.log_all_failures", "global_defs.lvs_timeouts.{tcp,tcpfin,udp}")
@pytest.mark.shows("global_defs.lvs_flush_onstop")
@pytest.mark.shows("virtual_server.smtp_alert", "virtual_server.real_server.smtp_alert")
def test_features_are_keepalived_s() -> None:
    # One after the other: a check that waits a second for a busy processor times out.
    files = " ".join(f"tests/interop/lvs/guest_{part}.py" for part in PARTS)
    result = run_patiently(
        f"python -m pytest -q -p no:cacheprovider -p no:xdist --tb=short -ra --durations=12 "
        # Of sockets that pyroute2 leaves to the collector.
        f"-W ignore::pytest.PytestUnraisableExceptionWarning {files}",
        timeout_s=600,
        directory=ROOT,
        memory_mb=768,
        environment={"LVS_FEATURES": os.environ.get("LVS_FEATURES", "quick")},
    )
    assert result.exit_code == 0, result.output
    assert "skipped" not in result.output, result.output

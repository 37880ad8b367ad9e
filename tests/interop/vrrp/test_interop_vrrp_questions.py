"""A vrrp_script that asks a TCP port itself decides about the state of its instance."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pykeepalived.tools.lab import Lab, wait_until

CONFIGURATION = """
vrrp_script web {
    tcp 127.0.0.1 8080
    interval 1
}
vrrp_instance V {
    interface eth0
    virtual_router_id 7
    advert_int 0.2
    virtual_ipaddress {
        10.9.0.5/24
    }
    track_script {
        web
    }
}
"""


@pytest.mark.netns
@pytest.mark.shows("vrrp_script.tcp")
def test_a_port_that_is_not_served_is_a_fault(tmp_path: Path) -> None:
    file, log = tmp_path / "keepalived.conf", tmp_path / "log"
    file.write_text(CONFIGURATION)
    with Lab("questions") as lab:
        space, far = lab.namespace("a"), lab.namespace("far")
        lab.link(space, "eth0", far, "eth0")
        space.address("eth0", "10.9.0.1/24")
        with log.open("wb") as out:
            daemon = space.popen(
                *(sys.executable, "-m", "pykeepalived.cli.keepalived", "-n", "-l", "-D", "-P", "-f", str(file)),
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        try:

            def said(text: str) -> bool:
                return text in log.read_text(errors="replace")

            wait_until(lambda: said("VRRP_Script(web) failed"), 60, "the failure")
            server = space.popen(sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "8080")
            wait_until(lambda: said("VRRP_Script(web) succeeded"), 60, "the success")
            wait_until(lambda: said("(V) Entering MASTER STATE"), 60, "the state")
            server.kill()
            server.wait(30)
            wait_until(lambda: said("(V) Entering FAULT STATE"), 60, "the fault")
        finally:
            daemon.terminate()
            daemon.wait(30)

"""The programs that read notify FIFOs: keepalived's and ours are started alike and hear the same."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pykeepalived.model import Script
from pykeepalived.tools.lab import Lab, wait_until
from tests.lvs.stage import Stage, config

DAEMONS = {
    "theirs": ["/usr/sbin/keepalived"],
    "ours": [sys.executable, "-m", "pykeepalived.cli.keepalived"],
}
CONFIGURATION = """
global_defs {
    router_id lb1
    script_user root
    notify_fifo @D@/all
    notify_fifo_script @D@/reader
    vrrp_notify_fifo @D@/vrrp
    vrrp_notify_fifo_script "@D@/reader extra"
}
vrrp_instance V1 {
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 0.2
    virtual_ipaddress {
        10.9.0.5/24
    }
}
"""
LINES = 'INSTANCE "V1" BACKUP 100\nINSTANCE "V1" MASTER 100\n'


@pytest.mark.netns
@pytest.mark.peer
@pytest.mark.shows("global_defs.{notify_fifo_script,vrrp_notify_fifo_script,notify_fifo,vrrp_notify_fifo}")
@pytest.mark.parametrize("daemon", DAEMONS)
def test_readers_hear_everything(tmp_path: Path, daemon: str) -> None:
    reader = tmp_path / "reader"
    reader.write_text(
        f'#!/bin/sh\nfor path in "$@"; do :; done\necho "$@" >> {tmp_path}/arguments\nexec cat "$path" >> $path.heard\n'
    )
    reader.chmod(0o755)
    (tmp_path / "conf").write_text(CONFIGURATION.replace("@D@", str(tmp_path)))
    with Lab("fifo") as lab, (tmp_path / "log").open("wb") as log:
        space, far = lab.namespace("a"), lab.namespace("far")
        lab.link(space, "eth0", far, "eth0")
        space.address("eth0", "10.9.0.1/24")
        arguments = [*DAEMONS[daemon], "-n", "-l", "-D", "-f", str(tmp_path / "conf")]
        process = space.popen(*arguments, stdout=log, stderr=subprocess.STDOUT)
        heard = [tmp_path / "all.heard", tmp_path / "vrrp.heard"]
        wait_until(lambda: all(one.exists() and one.read_text() == LINES for one in heard), 120, "both lines in both")
        assert sorted((tmp_path / "arguments").read_text().splitlines()) == [
            f"{tmp_path}/all",
            f"extra {tmp_path}/vrrp",
        ]
        process.send_signal(signal.SIGTERM)
        process.wait(120)


@pytest.mark.shows("global_defs.{lvs_notify_fifo_script,lvs_notify_fifo}")
def test_the_reader_of_lvs_events(tmp_path: Path) -> None:
    stage = Stage()
    reader = Script(("/usr/bin/reader",))
    path = str(tmp_path / "lvs")
    stage.program.start(config(lvs_notify_fifo=path, lvs_notify_fifo_script=reader))
    assert stage.memo.scripts == [("/usr/bin/reader", path)]
    stage.program.reload(config(lvs_notify_fifo=path))
    stage.close()
    assert len(stage.memo.scripts) == 1

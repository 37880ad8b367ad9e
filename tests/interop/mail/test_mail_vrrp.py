"""The mails of a VRRP router: Debian's keepalived and ours say the same about the same fates."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pykeepalived.tools.lab import Lab, Namespace, wait_until
from tests.notify.postbox import Postbox

DAEMONS = {
    "theirs": ["/usr/sbin/keepalived"],
    "ours": [sys.executable, "-m", "pykeepalived.cli.keepalived"],
}
CONFIGURATION = """
global_defs {
    router_id LVS_MAIN
    notification_email {
        ops@example.net
    }
    notification_email_from lb@example.org
    smtp_server 127.0.0.1 @PORT@
    smtp_helo_name lb1.example
    smtp_alert
    @EXTRA@
}
vrrp_sync_group G1 {
    group {
        V1
    }
}
vrrp_instance V1 {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 0.2
    virtual_ipaddress {
        10.9.0.5/24
    }
}
vrrp_instance V2 {
    state BACKUP
    interface eth0
    virtual_router_id 52
    priority 100
    advert_int 0.2
    smtp_alert false
    virtual_ipaddress {
        10.9.0.6/24
    }
}
"""


@contextmanager
def running(daemon: str, space: Namespace, directory: Path, port: int, text: str) -> Iterator[subprocess.Popen[bytes]]:
    file = directory / f"{daemon}.conf"
    file.write_text(text.replace("@PORT@", str(port)).replace("@EXTRA@", ""))
    with (directory / f"{daemon}.log").open("wb") as log:
        process = space.popen(*DAEMONS[daemon], "-n", "-l", "-D", "-f", str(file), stdout=log, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)


def mails(daemon: str, directory: Path, extra: str, faults: int) -> Postbox:
    """Start, become MASTER, lose the link, get it back."""
    with Lab("mail") as lab:
        space, far = lab.namespace("a"), lab.namespace("far")
        lab.link(space, "eth0", far, "eth0")
        space.address("eth0", "10.9.0.1/24")
        with space.inside():
            box = Postbox()
        try:
            with running(daemon, space, directory, box.port, CONFIGURATION.replace("@EXTRA@", extra)):
                box.until(lambda: len(box.mails) == 4)
                far.down("eth0")
                # Without mails about it, it must still be seen: the kernel keeps a short loss to itself.
                log = directory / f"{daemon}.log"
                wait_until(lambda: log.read_text().count("Entering FAULT STATE") >= 2, 120, "both are in FAULT")
                box.until(lambda: len(box.mails) == 4 + faults)
                far.up("eth0")
                box.until(lambda: len(box.mails) == 8 + faults)
        finally:
            box.close()
    return box


@pytest.mark.netns
@pytest.mark.peer
@pytest.mark.shows("global_defs.{smtp_server,smtp_alert,no_email_faults,notification_email,notification_email_from}")
@pytest.mark.shows("global_defs.{smtp_helo_name,router_id}", "vrrp_instance.smtp_alert")
@pytest.mark.parametrize(("extra", "faults"), [("", 2), ("no_email_faults", 0)])
def test_the_same_mails(tmp_path: Path, extra: str, faults: int) -> None:
    theirs, ours = (mails(daemon, tmp_path, extra, faults) for daemon in ("theirs", "ours"))
    expected = sorted(_undated(mail) for mail in theirs.mails[: 8 + faults])
    assert sorted(_undated(mail) for mail in ours.mails[: 8 + faults]) == expected
    assert any(b"Group G1 - Entering MASTER" in mail for mail in expected)
    assert not any(b"Instance V2" in mail for mail in expected)
    assert ours.dialogues[0] == theirs.dialogues[0]
    # keepalived ends before its last mails have left; ours hands them over.
    assert {text for text in ours.texts() if "Stopping" in text[0]} == {
        ("[LVS_MAIN] VRRP Instance V1 - Stopping", "=> VRRP Instance stopping <="),
        ("[LVS_MAIN] VRRP Group G1 - Stopping", "=> All VRRP group instances are now stopping <="),
    }


def _undated(mail: bytes) -> bytes:
    date, _, rest = mail.partition(b"\r\n")
    assert date.startswith(b"Date: ")
    return rest


@pytest.mark.netns
@pytest.mark.peer
@pytest.mark.shows("global_defs.smtp_alert_vrrp", "vrrp_sync_group.smtp_alert", "global_defs.smtp_connect_timeout")
@pytest.mark.parametrize("daemon", DAEMONS)
def test_a_silent_mail_server_and_a_group_of_its_own_mind(tmp_path: Path, daemon: str) -> None:
    """`smtp_alert_vrrp` for all but the group; the mail server never greets, `smtp_connect_timeout` ends that."""
    with Lab("mail") as lab:
        space, far = lab.namespace("a"), lab.namespace("far")
        lab.link(space, "eth0", far, "eth0")
        space.address("eth0", "10.9.0.1/24")
        with space.inside():
            listener = socket.create_server(("127.0.0.1", 0))
        with listener:
            port = listener.getsockname()[1]
            text = CONFIGURATION.replace("    smtp_alert\n", "    smtp_alert_vrrp\n    smtp_connect_timeout 1\n")
            text = text.replace("vrrp_sync_group G1 {", "vrrp_sync_group G1 {\n    smtp_alert false")
            with running(daemon, space, tmp_path, port, text):
                log = tmp_path / f"{daemon}.log"
                words = "Timeout reading data to remote SMTP server"
                wait_until(lambda: log.read_text().count(words) >= 2, 120, "two mails given up")
                assert log.read_text().count(" connected.") <= 2, "the instance's, not the group's"

"""Mails about virtual and real servers: Debian's keepalived and ours, side by side. Runs inside the test kernel."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykeepalived.tools.lab import Lab, Namespace
from tests.notify.postbox import Postbox

DAEMONS = {
    "theirs": ["/usr/sbin/keepalived"],
    "ours": [sys.executable, "-m", "pykeepalived.cli.keepalived"],
}
_CHECK = """{
            connect_timeout 1
            retry 1
            delay_before_retry 1
        }"""
CONFIGURATION = f"""
global_defs {{
    router_id LVS
    notification_email {{
        ops@example.net
    }}
    notification_email_from lb@example.org
    smtp_server 127.0.0.1 25
    @GLOBALS@
}}
virtual_server 10.0.0.5 80 {{
    delay_loop 1
    lb_algo rr
    lb_kind NAT
    protocol TCP
    quorum 2
    hysteresis 1
    sorry_server 127.0.0.9 80
    real_server 127.0.0.2 80 {{
        weight 2
        TCP_CHECK {_CHECK}
        TCP_CHECK {{
            connect_port 81
            connect_timeout 1
            retry 1
            delay_before_retry 1
        }}
    }}
    real_server 127.0.0.2 81 {{
        weight 1
        TCP_CHECK {_CHECK}
    }}
}}
virtual_server 10.0.0.5 82 {{
    delay_loop 1
    lb_algo rr
    lb_kind NAT
    protocol UDP
    @SERVICE@
    real_server 127.0.0.2 80 {{
        MISC_CHECK {{
            misc_path "/usr/bin/test -e @DIRECTORY@/well"
            misc_timeout 5
        }}
    }}
    real_server 127.0.0.2 85 {{
        SMTP_CHECK {_CHECK}
    }}
    real_server 127.0.0.2 84 {{
        DNS_CHECK {_CHECK}
    }}
    real_server 127.0.0.2 83 {{
        @SERVER@
        UDP_CHECK {_CHECK}
    }}
}}
"""
#: Name: globals, second virtual server, its last real server.
VARIANTS = {
    "all": ("smtp_alert", "", ""),
    "servers": ("no_checker_emails", "smtp_alert", "smtp_alert false"),
    "services": ("smtp_alert_checker false", "smtp_alert", ""),
}


class Machine:
    def __init__(self, lab: Lab, variant: str, daemon: str, directory: Path) -> None:
        self.space: Namespace = lab.namespace(f"{variant}-{daemon}")
        self.name, self.daemon, self.directory = f"{variant}-{daemon}", daemon, directory / f"{variant}-{daemon}"
        self.directory.mkdir()
        text = CONFIGURATION
        for mark, value in zip(("@GLOBALS@", "@SERVICE@", "@SERVER@"), VARIANTS[variant], strict=True):
            text = text.replace(mark, value)
        (self.directory / "conf").write_text(text.replace("@DIRECTORY@", str(self.directory)))
        self.listeners: dict[int, socket.socket] = {}
        self.open(80, 81)
        with self.space.inside():
            self.box = Postbox(port=25)
        with (self.directory / "log").open("wb") as log:
            arguments = [*DAEMONS[daemon], "-n", "-l", "-D", "-C", "-f", str(self.directory / "conf")]
            self.process = self.space.popen(*arguments, stdout=log, stderr=subprocess.STDOUT)

    def open(self, *ports: int) -> None:
        for port in ports:
            with self.space.inside():
                listener = self.listeners[port] = socket.create_server(("127.0.0.2", port), backlog=64)
            threading.Thread(target=_accept, args=(listener,), daemon=True).start()

    def shut(self, *ports: int) -> None:
        for port in ports:
            listener = self.listeners.pop(port)
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(60)
        self.box.close()
        self.shut(*list(self.listeners))


def _accept(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.close()


def _told(machine: Machine) -> list[tuple[str, str]]:
    return sorted(machine.box.texts())


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[list[tuple[str, str]]]]]:
    """What each daemon had mailed at each rest point, by variant and daemon."""
    directory = tmp_path_factory.mktemp("mail")
    with Lab("lvs-mail") as lab:
        machines = [Machine(lab, variant, daemon, directory) for variant in VARIANTS for daemon in DAEMONS]
        found: dict[str, list[list[tuple[str, str]]]] = {machine.name: [] for machine in machines}
        try:
            for fate in ("start", "one dies", "all die", "all return"):
                for machine in machines:
                    if fate == "one dies":
                        machine.shut(81)
                        (machine.directory / "well").touch()
                    elif fate == "all die":
                        machine.shut(80)
                    elif fate == "all return":
                        machine.open(80, 81)
                _rest(machines)
                for machine in machines:
                    found[machine.name].append(_told(machine))
        finally:
            for machine in machines:
                machine.close()
        yield found


def _rest(machines: list[Machine]) -> None:
    """Until the two of each pair have said the same and for a while nothing more, at most 40 s."""
    begun = changed = time.monotonic()
    last: list[int] = []
    while time.monotonic() - begun < 40:
        counts = [len(machine.box.mails) for machine in machines]
        if counts != last:
            last, changed = counts, time.monotonic()
        equal = all(_told(first) == _told(second) for first, second in zip(machines[::2], machines[1::2], strict=True))
        if equal and time.monotonic() - max(begun, changed) > 2.8:
            return
        threading.Event().wait(0.3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_same_mails(stories: dict[str, list[list[tuple[str, str]]]], variant: str) -> None:
    for ours, theirs in zip(stories[f"{variant}-ours"], stories[f"{variant}-theirs"], strict=True):
        assert ours == theirs


def test_the_mails_say_something(stories: dict[str, list[list[tuple[str, str]]]]) -> None:
    everything = stories["all-ours"][-1]
    service, server = "[10.0.0.5]:tcp:80", "[127.0.0.2]:tcp:80"
    assert (f"[LVS] Virtualserver {service} - UP", "=> Starting with quorum up 2+1=3 <= 3 <=") in everything
    down = f"[LVS] Realserver {server} of virtual server {service} - DOWN"
    assert everything.count((down, "=> TCP CHECK failed on service <=")) == 2, "once for each of its checks"
    assert (down, "=> TCP CHECK succeed on service <=") in everything
    unasked = stories["servers-ours"][-1]
    assert unasked.count((down, "=> TCP CHECK failed on service <=")) == 1, "no_checker_emails"
    assert not any("127.0.0.2]:udp:83" in subject for subject, _ in unasked), "smtp_alert false"
    assert {subject.split()[1] for subject, _ in stories["services-ours"][-1]} == {"Virtualserver"}

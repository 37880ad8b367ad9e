"""What systemd hears (sd_notify(3)), and -M: both outlive nothing that they should not."""

from __future__ import annotations

import signal
import socket

import pytest

from pykeepalived.runtime.core_pattern import CorePattern
from tests.runtime.test_runtime_supervisor import BOTH, Daemon


@pytest.fixture
def heard(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(60)
        yield sock


def wait_for(sock, word):
    """Everything up to the message that has this line."""
    lines = []
    while True:
        lines += sock.recv(4096).decode().splitlines()
        if word in lines:
            return lines


def test_readiness_watchdog_reload_and_end(tmp_path, heard, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    script = tmp_path / "startup"
    script.write_text(f"#!/bin/sh\nenv > {tmp_path}/environment\n")
    script.chmod(0o755)
    daemon = Daemon(tmp_path)
    try:
        daemon.configure(**BOTH, startup_script=[str(script)])
        daemon.start()
        assert wait_for(heard, "READY=1")
        for _ in range(3):
            wait_for(heard, "WATCHDOG=1")
        daemon.configure(**BOTH, name="second")
        daemon.signal(signal.SIGHUP)
        reloading = wait_for(heard, "READY=1")
        assert "RELOADING=1" in reloading
        assert any(line.startswith("MONOTONIC_USEC=") for line in reloading)
        daemon.signal(signal.SIGTERM)
        wait_for(heard, "STOPPING=1")
        assert daemon.end() == 0
        environment = (tmp_path / "environment").read_text()
        assert "NOTIFY_SOCKET" not in environment
        assert "WATCHDOG_USEC" not in environment
    finally:
        daemon.destroy()


class Log:
    def __init__(self):
        self.lines = []

    def info(self, text):
        self.lines.append(text)

    detail = error = info


def test_the_core_pattern_is_set_and_put_back(tmp_path):
    place = tmp_path / "core_pattern"
    place.write_text("core\n")
    log = Log()
    pattern = CorePattern(log, place)
    pattern.set("/var/core/%p")
    assert place.read_text() == "/var/core/%p\n"
    pattern.restore()
    assert place.read_text() == "core\n"
    pattern.set("mine")
    place.write_text("somebody else's\n")
    pattern.restore()
    assert place.read_text() == "somebody else's\n"
    assert log.lines == []
    CorePattern(log, tmp_path / "missing" / "core_pattern").set("x")
    assert len(log.lines) == 1

"""Log lines: their form, and that nobody who does not read can stop the daemon."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time

import pytest

from pykeepalived.runtime import logging
from pykeepalived.runtime.logging import DaemonLogger, LogSettings, facility_number


@pytest.fixture
def syslog(tmp_path):
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(str(tmp_path / "log"))
    receiver.settimeout(60)
    yield receiver
    receiver.close()


def settings(tmp_path, **more):
    return LogSettings(socket_path=str(tmp_path / "log"), **more)


def test_syslog_form(tmp_path, syslog):
    logger = DaemonLogger("Keepalived_vrrp", settings(tmp_path))
    logger.info("(VI_1) Entering MASTER STATE")
    logger.error("bad")
    logger.detail("not shown without -D")
    logger.close()
    first, second = syslog.recv(4096), syslog.recv(4096)
    stamp = rb"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d"
    pid = b"%d" % os.getpid()
    assert re.fullmatch(rb"<30>" + stamp + rb" Keepalived_vrrp\[" + pid + rb"\]: \(VI_1\) Entering MASTER STATE", first)
    assert second.startswith(b"<27>")
    syslog.setblocking(False)
    with pytest.raises(BlockingIOError):
        syslog.recv(1)


def test_namespace_and_instance_are_part_of_the_ident(tmp_path, syslog):
    logger = DaemonLogger("Keepalived_vrrp", settings(tmp_path, ident_suffix="_ns1_A"))
    logger.info("x")
    logger.close()
    assert b" Keepalived_vrrp_ns1_A[" in syslog.recv(4096)


def test_control_characters_are_escaped_and_lines_are_cut(tmp_path, syslog):
    logger = DaemonLogger("K", settings(tmp_path))
    logger.info("a\x1b[2Jb\nsecond")
    logger.info("x" * 5000)
    logger.info("\udcff")
    logger.close()
    texts = [syslog.recv(8192).split(b": ", 1)[1] for _ in range(4)]
    assert texts == [b"a\\x1b[2Jb", b"second", b"x" * logging.LINE_LIMIT, b"\\udcff"]


def test_a_syslog_that_does_not_read_stops_nobody_and_the_loss_is_told(tmp_path, syslog):
    logger = DaemonLogger("K", settings(tmp_path))
    began = time.monotonic()
    for number in range(3000):
        logger.info(f"line {number}")
    assert time.monotonic() - began < 30, "one that waits would do so for ever"
    syslog.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            syslog.recv(4096)
    logger.info("after")
    logger.close()
    assert re.search(rb"\d+ log messages were lost$", syslog.recv(4096))
    assert syslog.recv(4096).endswith(b": after")


def test_a_restarted_syslog_is_found_again(tmp_path, syslog):
    logger = DaemonLogger("K", settings(tmp_path))
    logger.info("one")
    syslog.recv(4096)
    (tmp_path / "log").unlink()
    again = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    again.bind(str(tmp_path / "log"))
    again.settimeout(60)
    syslog.close()
    logger.info("two")
    assert again.recv(4096).endswith(b": two")
    logger.close()
    again.close()


def test_a_burst_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(logging, "BURST", 10)
    monkeypatch.setattr(logging, "LINES_PER_SECOND", 0)
    logger = DaemonLogger("K", settings(tmp_path, syslog=False, file=str(tmp_path / "k.log")), file_suffix="_vrrp")
    for number in range(50):
        logger.info(str(number))
    logger.close()
    lines = (tmp_path / "k_vrrp.log").read_text().splitlines()
    assert len(lines) == 10
    assert re.fullmatch(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d\.\d{9} \d{4}: 0", lines[0])


CONSOLE = """
import sys
from pykeepalived.runtime.logging import DaemonLogger, LogSettings
logger = DaemonLogger("K", LogSettings(console=True, syslog=False))
for number in range(int(sys.argv[1])):
    logger.info(f"line {number}")
"""


def test_console_form():
    done = subprocess.run([sys.executable, "-c", CONSOLE, "1"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == ""
    assert re.fullmatch(r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}: line 0\n", done.stderr)


def test_a_console_that_does_not_read_stops_nobody():
    reader, writer = os.pipe()
    done = subprocess.run([sys.executable, "-c", CONSOLE, "5000"], stderr=writer, timeout=60, check=False)
    os.close(writer)
    assert done.returncode == 0
    os.close(reader)


@pytest.mark.parametrize(
    ("word", "number"), [("0", 128), ("7", 184), ("local3", 152), ("daemon", 24), ("user", 8), ("8", None), ("x", None)]
)
def test_facility_words(word, number):
    assert facility_number(word) == number

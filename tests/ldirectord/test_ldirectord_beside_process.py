"""The process as other programs see it, and three ways in which ours is kinder, beside Debian's ldirectord.

Both are called `/usr/sbin/ldirectord` here: each in a room of its own, where ours is bound over Debian's.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ldirectord.room import PROGRAM, Room, wait_for

pytestmark = [pytest.mark.netns, pytest.mark.peer, pytest.mark.long]

PATH = "/usr/sbin/ldirectord"
PROGRAMS = ("ours", "peer")
LIMIT_S = 300
SIMPLE = "checkinterval=1\nvirtual=10.1.0.1:80\n    real=127.0.0.1:8001 masq\n    checktype=on\n"
#: An LDAP server with one entry, which knows bind, search and unbind of clients that count to 127; it ends after a
#: conversation, never within one, once a file is there.
LDAP = """
import os, socketserver, sys
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
class Client(socketserver.StreamRequestHandler):
    def handle(self):
        while head := self.rfile.read(2):
            body = self.rfile.read(head[1])
            number, kind = body[:3], body[3]
            done = bytes([10, 1, 0, 4, 0, 4, 0])
            if kind == 0x60:
                self.answer(number, 0x61, done)
            elif kind == 0x63:
                name = b"dc=example"
                self.answer(number, 0x64, bytes([4, len(name)]) + name + bytes([0x30, 0]))
                self.answer(number, 0x65, done)
            else:
                break
        if os.path.exists(sys.argv[1]):
            os._exit(0)
    def answer(self, number, kind, text):
        inner = number + bytes([kind, len(text)]) + text
        self.wfile.write(bytes([0x30, len(inner)]) + inner)
with Server(("127.0.0.1", 389), Client) as server:
    print("up", flush=True)
    server.serve_forever()
"""


class Life:
    """A program under Debian's path with a file, in a room of its own."""

    def __init__(self, room: Room, name: str, top: Path) -> None:
        self.room, self.name, self.config = room, name, top / "web.cf"
        self.monitor = top / "monitor"

    def call(self, action: str) -> int:
        return self.room.run(PATH, str(self.config), action, timeout_s=LIMIT_S).returncode

    def pid(self) -> str:
        return self.room.read("/run/ldirectord.web.cf.pid").strip()

    def wait_log(self, text: str, mark: int = 0) -> None:
        lines = "\n".join(self.room.log()[-20:])
        wait_for(lambda: any(text in line for line in self.room.log()[mark:]), f"{text}\n{lines}", LIMIT_S)


@contextmanager
def life(name: str, top: Path) -> Iterator[Life]:
    top.mkdir()
    with Room() as room:
        room.give_ipvsadm()
        if name == "ours":
            assert room.run("mount", "--bind", PROGRAM, PATH).returncode == 0
        own = Life(room, name, top)
        yield own
        own.call("stop")
        wait_for(lambda: not own.pid(), "the end", LIMIT_S)


@pytest.mark.parametrize("name", PROGRAMS)
def test_command_line(name: str, tmp_path: Path) -> None:
    """What scripts, the OCF agent of resource-agents and the next call search the process list for."""
    with life(name, tmp_path / name) as own:
        own.config.write_text(SIMPLE)
        assert own.call("start") == 0
        wait_for(own.pid, "the pid file", LIMIT_S)
        own.wait_log("Added real server")
        found = own.room.run("pgrep", "-f", f"{PATH} {own.config} start").stdout.split()
        assert found == [own.pid()]
        words = own.room.read(f"/proc/{own.pid()}/cmdline").rstrip("\0").split("\0")
        assert words[-3:] == [PATH, str(own.config), "start"]
        assert words[:-3] == ([] if name == "ours" else ["/usr/bin/perl", "-w"])
        assert own.room.run("pidof", "-x", "ldirectord").stdout.split() == [own.pid()]
        assert own.room.read(f"/proc/{own.pid()}/comm") == "ldirectord\n"


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.shows("ldirectord.virtual.{checktype,checkcommand}")
def test_an_external_check_that_takes_too_long(name: str, tmp_path: Path) -> None:
    """The server leaves the table; of the command and its children the original ends the first alone."""
    with life(name, tmp_path / name) as own:
        switch, script = own.config.with_name("slow"), own.config.with_name("check")
        script.write_text(f"#!/bin/sh\ntest -e {switch} || exit 0\nsleep 4321\nexit 0\n")
        script.chmod(0o755)
        own.config.write_text(
            "checktimeout=3\ncheckinterval=1\nvirtual=10.1.0.1:80\n    real=127.0.0.1:8001 masq\n"
            f"    checktype=external\n    checkcommand={script}\n"
        )
        assert own.call("start") == 0
        own.wait_log("Resetting soft failure count")
        mark = len(own.room.log())
        switch.touch()
        own.wait_log("Deleted real server: 127.0.0.1:8001 (10.1.0.1:80)", mark)
        if name == "peer":
            # What the command has started is left behind.
            assert own.room.run("pgrep", "-f", "sleep 4321").stdout.split()
        switch.unlink()
        mark = len(own.room.log())
        own.wait_log("Added real server: 127.0.0.1:8001 (10.1.0.1:80) (Weight set to 1)", mark)
        if name == "ours":
            wait_for(lambda: not own.room.run("pgrep", "-f", "sleep 4321").stdout, "the end of its children")
        own.room.run("pkill", "-f", "sleep 4321")


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.shows("ldirectord.virtual.failurecount")
def test_an_ldap_check_that_finds_nobody(name: str, tmp_path: Path) -> None:
    """With `failurecount=2` the original gives up after one round, ours after two."""
    with life(name, tmp_path / name) as own:
        server = own.room.start(sys.executable, "-c", LDAP, str(last := own.config.with_name("last")))
        assert server.stdout is not None
        assert server.stdout.readline() == "up\n"
        own.config.write_text(
            "checktimeout=20\nnegotiatetimeout=20\ncheckinterval=6\nvirtual=10.1.0.1:389\n"
            "    real=127.0.0.1:389 masq\n    failurecount=2\n"
            '    request="/dc=example"\n    receive="dc=example"\n'
        )
        assert own.call("start") == 0
        own.wait_log("Resetting soft failure count")
        mark = len(own.room.log())
        # The next check is the last that finds somebody.
        last.touch()
        server.communicate(timeout=LIMIT_S)
        own.wait_log("Deleted real server", mark)
        lines = [line for line in own.room.read("/var/log/ldirectord.log").splitlines()[mark:] if "real server" in line]
        soft, gone = lines[-2:]
        assert "Soft failure real server: 127.0.0.1:389 (tcp:10.1.0.1:389) failure 1/2" in soft
        assert "Deleted real server: 127.0.0.1:389 (10.1.0.1:389)" in gone
        seconds = [int(h) * 3600 + int(m) * 60 + int(s) for h, m, s in
                   (re.findall(r"(\d\d):(\d\d):(\d\d) \d{4}\|", line)[0] for line in (soft, gone))]  # fmt: skip
        # Two rounds are an interval apart, less what the first may be late.
        assert ((seconds[1] - seconds[0]) % 86400 >= 3) is (name == "ours")


def test_start_returns_when_the_services_are_in_the_table(tmp_path: Path) -> None:
    """The first look at the table after `start` finds them all."""
    with life("ours", tmp_path / "ours") as own:
        sections = "".join(
            f"virtual=10.1.0.{number}:80\n    real=127.0.0.1:8001 masq\n    fallback=127.0.0.1:8003 masq\n"
            "    checktype=external\n    checkcommand=/bin/sleep\n"
            for number in range(1, 101)
        )
        own.config.write_text(f"checkinterval=1\n{sections}")
        table = str(Path(PROGRAM).with_name("keepalivedctl"))
        for _ in range(3):
            assert own.call("start") == 0
            shown = own.room.run(table, "ipvs", "--dataplane", "nftables", "-Sn").stdout
            assert {line.split()[2] for line in shown.splitlines() if line.startswith("-A ")} == {
                f"10.1.0.{number}:80" for number in range(1, 101)
            }
            assert own.call("stop") == 0
            wait_for(lambda: not own.pid(), "the end", LIMIT_S)

"""Mails, scripts, files and the companions' life, Debian's ldirectord and ours side by side: the same words at the end.

The kernel's table is not the matter here, so both run on this machine; the original has a stand-in for ipvsadm.
"""

import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.ldirectord.room import PROGRAM, Room, wait_for

pytestmark = [pytest.mark.netns, pytest.mark.peer, pytest.mark.long]

PROGRAMS = {"ours": PROGRAM, "peer": "/usr/sbin/ldirectord"}
LIMIT_S = 600
TEXT = """\
checktimeout=2
negotiatetimeout=2
checkinterval=1
autoreload=yes
callback="{top}/callback"
execute={top}/second.cf
maintenancedir={top}/maintenance
fallbackcommand={top}/fallback
emailalert=root@example.org
emailalertfrom=director@example.org
emailalertfreq=2
emailalertstatus=running,stopping
smtp=127.0.0.1

virtual=10.1.0.1:80
    real=127.0.0.1:8001 masq 2
    real=127.0.0.1:8002 masq 3
    fallback=127.0.0.1:8003 masq
    checktype=connect
    monitorfile={top}/monitor
    servicename=web shop
    comment=call joe

virtual=10.1.0.1:81
    real=127.0.0.1:8001 masq 2
    checktype=connect
    cleanstop=no
    quiescent=yes
    emailalertstatus=none

virtual=10.1.0.1:82
    real=127.0.0.1:8001 masq 4
    checktype=connect
    failurecount=3
    emailalert=other@example.org
    emailalertstatus=stopping
    emailalertfreq=0
"""
SECOND = "virtual=10.1.0.2:80\n    real=127.0.0.1:8001 masq\n    checktype=on\n"
HEAD = r"\[\w{3} \w{3} [ \d]\d [\d:]{8} \d{4}"


class Life:
    """One program with the files that it works on, in a room of its own."""

    def __init__(self, room: Room, name: str, top: Path) -> None:
        self.room, self.name, self.top = room, name, top
        self.config = top / "main.cf"
        (top / "maintenance").mkdir(parents=True)
        for script in ("callback", "fallback"):
            (top / script).write_text(f'#!/bin/sh\necho "$@" >> {top}/{script}.heard\n')
            (top / script).chmod(0o755)
        (top / "second.cf").write_text(SECOND)
        self.config.write_text(TEXT.format(top=top))
        room.give_ipvsadm()

    def call(self, *words: str) -> tuple[int, str, str]:
        done = self.room.run(PROGRAMS[self.name], str(self.config), *words, timeout_s=LIMIT_S)
        return done.returncode, self.normal(done.stdout), self.normal(done.stderr)

    def normal(self, text: str) -> str:
        kept = [line for line in text.splitlines() if not line.startswith(("Use of uninit", "child: "))]
        joined = "\n".join(kept).replace(str(self.top), "TOP").replace(PROGRAMS[self.name], "PROGRAM")
        joined = re.sub(r"LVS dataplane is .*", "LVS dataplane is …", joined)
        return re.sub(r"pid: \d+", "pid: N", joined)

    def heard(self, script: str) -> list[str]:
        path = self.top / f"{script}.heard"
        return path.read_text().replace(str(self.top), "TOP").splitlines() if path.exists() else []

    def wait(self, condition: Callable[[], object], what: str) -> None:
        wait_for(condition, f"{self.name}: {what}\n" + "\n".join(self.room.log()[-30:]), LIMIT_S)

    def wait_log(self, text: str, times: int = 1) -> None:
        self.wait(lambda: self.room.log().count(text) >= times, f"{text} ({times} times)")

    def wait_in(self, mark: int, *names: str) -> None:
        """Until each of these servers (`R (V)`) came into the table and stayed, by the log after that line."""

        def missing() -> list[str]:
            lines = [line for line in self.room.log()[mark:] if not line.startswith("emailalert")]
            words = {name: [line.split()[0] for line in lines if f" real server: {name}" in line] for name in names}
            return [name for name, found in words.items() if not found or found[-1] not in {"Added", "Restored"}]

        self.wait(lambda: not missing(), f"{names} in the table")

    def log_since(self, mark: int) -> set[str]:
        return {self.normal(line) for line in self.room.log()[mark:]}

    def monitor(self) -> set[tuple[str, str, str]]:
        found = set()
        for line in (self.top / "monitor").read_text().splitlines():
            match = re.fullmatch(rf"{HEAD}\] \[\d+\] (.*?) \[(up|down)\] (.*)", line)
            assert match, line
            found.add((match[1], match[2], match[3]))
        return found


def mails(text: str, host: str) -> set[str]:
    """Each mail from its first header to its last line, once."""
    return {mail[mail.index("From: ") :].replace(host, "HOST") for mail in text.split("====\n") if mail.strip()}


def live(name: str, top: Path) -> dict[str, Any]:
    first, second, fallback = (f"127.0.0.1:{port} (10.1.0.1:80)" for port in (8001, 8002, 8003))
    report: dict[str, Any] = {}
    with Room() as room:
        life = Life(room, name, top)
        kept = top / "mails"
        kept.touch()
        sink = room.start(sys.executable, str(Path(__file__).with_name("sink.py")), str(kept))
        assert sink.stdout is not None
        number = sink.stdout.readline().split()[1]
        room.up(8001)
        room.up(8002)
        report["start"] = life.call("start")
        life.wait(lambda: room.read("/run/ldirectord.second.cf.pid"), "the second daemon")
        everywhere = [f"127.0.0.1:8001 (10.1.0.1:{port})" for port in (80, 81, 82)]
        # The last that are checked; before, the original puts everything in and out again.
        last = ("127.0.0.1:8001 (tcp:10.1.0.1:82)", "127.0.0.1:8001 (tcp:10.1.0.2:80)")
        for each in last:
            life.wait_log(f"Resetting soft failure count: {each}")
        life.wait_in(0, *everywhere, second, "127.0.0.1:8001 (10.1.0.2:80)")
        # What went before is the way in, which is longer for the original.
        life.wait(lambda: len([w for w in life.heard("fallback") if w.startswith("start")]) * 2
                  == len(life.heard("fallback")), "the end of the fallbacks of the start")  # fmt: skip
        mark = len(room.log())
        (top / "fallback.heard").unlink(missing_ok=True)
        added = f"Added real server: {second} (Weight set to 3)"
        before = room.log().count(added)
        file = top / "maintenance" / "127.0.0.1:8002"
        file.touch()
        life.wait(lambda: f"Deleted real server: {second}" in room.log()[mark:], "maintenance")
        file.unlink()
        life.wait_log(added, before + 1)
        mark_of_death = len(room.log())
        room.down(8001)
        room.down(8002)
        life.wait(lambda: any("Added fallback" in line for line in room.log()[mark_of_death:]), "the fallback")
        life.wait(lambda: kept.read_text().count(f"Inaccessible real server: {first}") >= 4, "two reminders")
        life.wait(lambda: "(10.1.0.1:82)" in "".join(room.log()[mark_of_death:]), "three failures")
        mark_of_return = len(room.log())
        room.up(8001)
        life.wait(lambda: f"Deleted fallback server: {fallback}" in room.log()[mark_of_return:], "the return")
        life.wait_in(mark_of_return, *everywhere)
        # The checks of two sections are one for the original, which speaks of the first of them alone.
        shared = "Resetting soft failure count: 127.0.0.1:8001 (tcp:10.1.0.1:81)"
        report["log"] = life.log_since(mark) - {shared}
        life.wait(lambda: len(life.heard("fallback")) >= 6, "all fallback commands")
        # Each service in its order; which one comes first is nobody's business.
        report["fallback"] = sorted(life.heard("fallback"), key=lambda line: line.split()[1])
        report["monitor"] = life.monitor()
        report["status"] = life.call("status")
        life.config.write_text(life.config.read_text().replace("8001 masq 2", "8001 masq 7"))
        life.wait(lambda: any("Weight set to 7" in line for line in room.log()), "the new weight")
        life.wait(lambda: life.heard("callback"), "the callback")
        report["callback"] = life.heard("callback")
        report["changed"] = [each for each in (" - reread new configuration",) if each in room.log()]
        mark = len(room.log())
        report["stop"] = life.call("stop")
        life.wait(lambda: not room.read("/run/ldirectord.main.cf.pid"), "the end")
        life.wait(lambda: not room.read("/run/ldirectord.second.cf.pid"), "the end of the second")
        report["end"] = {line for line in life.log_since(mark) if line.startswith("Purged")}
        report["mails"] = mails(kept.read_text(), room.run("hostname").stdout.strip())
        room.run("kill", number)
        sink.communicate(timeout=90)
    return report


@pytest.mark.shows("ldirectord.global.{emailalertfreq,emailalertstatus,maintenancedir,callback,autoreload,execute}")
def test_a_life_with_companions(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        lives = {name: pool.submit(live, name, tmp_path / name) for name in PROGRAMS}
    ours, peer = lives["ours"].result(), lives["peer"].result()
    for key in ("start", "status", "stop", "callback", "changed", "fallback", "monitor", "log", "end"):
        assert ours[key] == peer[key], key
    services = ("10.1.0.1:80", "10.1.0.1:81", "10.1.0.1:82")
    assert ours["fallback"] == [f"{word} {service} tcp" for service in services for word in ("start", "stop")]
    assert ours["mails"] == peer["mails"]
    assert len(ours["mails"]) > 6


# ---- where log lines go ----

DEVICES = """
mount -t tmpfs none /dev
for each in "null 1 3" "zero 1 5" "random 1 8" "urandom 1 9"; do
    set -- $each; mknod -m 666 /dev/$1 c $2 $3
done
"""
LISTEN = """
import socket, sys
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.bind("/dev/log")
print("ready", flush=True)
while True:
    data = sock.recv(9000).rstrip(b"\\0\\n")
    sys.stdout.buffer.write(data + b"\\n")
    sys.stdout.buffer.flush()
    if b"terminated on signal" in data:
        break
"""
LITTLE = "checkinterval=1\nvirtual=10.1.0.1:80\n    real=127.0.0.1:8001 masq\n    checktype=on\n"
ADDED = "Added real server: 127.0.0.1:8001 (10.1.0.1:80) (Weight set to 1)"
#: The checks have begun: what the original adds before is the detour of its start.
CHECKED = "Resetting soft failure count: 127.0.0.1:8001 (tcp:10.1.0.1:80)"
DETOUR = {"Deleted real server: 127.0.0.1:8001 (10.1.0.1:80)"}


def syslogged(name: str, top: Path) -> set[tuple[str, str, str]]:
    """Priority, name and text of what a program sends to the system's log."""
    config = top / f"{name}.cf"
    config.write_text('logfile="local3"\n' + LITTLE)
    with Room() as room:
        room.give_ipvsadm()
        assert room.run("sh", "-c", DEVICES).returncode == 0
        log = room.start(sys.executable, "-c", LISTEN)
        assert log.stdout is not None
        assert log.stdout.readline() == "ready\n"
        lines = []
        assert room.run(PROGRAMS[name], str(config), "start", timeout_s=LIMIT_S).returncode == 0
        while not (ADDED in (line := log.stdout.readline()) and any(CHECKED in each for each in lines)):
            assert line, lines
            lines.append(line)
        room.run(PROGRAMS[name], str(config), "stop", timeout_s=LIMIT_S)
        rest, _ = log.communicate(timeout=LIMIT_S)
        lines += [line, *rest.splitlines()]
    found = set()
    for each in lines:
        match = re.match(r"<(\d+)>\w{3} [ \d]\d [\d:]{8} ([^\[:]+)\[\d+\]: (.*)", each)
        assert match, each
        text = re.sub(r"invoked as: \S+ldirectord", "invoked as: PROGRAM", match[3].strip())
        found.add((match[1], match[2].replace(f"{name}.cf", "X.cf"), text.replace(str(config), "X.cf")))
    return found


@pytest.mark.shows("ldirectord.global.logfile")
def test_the_systems_log(tmp_path: Path) -> None:
    ours, peer = (syslogged(name, tmp_path) for name in PROGRAMS)
    assert {line for line in ours - peer if "LVS dataplane is" not in line[2]} == set()
    assert {line for line in peer - ours if line[2] not in DETOUR} == set()
    assert {priority for priority, _, _ in ours} == {str(19 * 8 + 6)}


def supervised(name: str, top: Path) -> tuple[int, set[str]]:
    """Exit code and lines of a program that stays in the foreground."""
    config = top / f"{name}.cf"
    config.write_text("supervised=yes\n" + LITTLE)
    with Room() as room:
        room.give_ipvsadm()
        process = room.start(PROGRAMS[name], str(config), "start")
        assert process.stdout is not None
        lines = []
        while CHECKED not in (line := process.stdout.readline()):
            assert line, lines
            lines.append(line)
        # What the original says after that comes with the next flush of its output.
        if name == "peer":
            wait_for(lambda: "-a " in room.run("ipvsadm", "-Sn").stdout, "the server in the table", LIMIT_S)
        else:
            lines.append(line)
            while ADDED not in (line := process.stdout.readline()):
                lines.append(line)
        assert not room.read(f"/run/ldirectord.{name}.cf.pid")
        room.run("pkill", "-TERM", "ldirectord")
        rest, _ = process.communicate(timeout=LIMIT_S)
        lines += [line, *rest.splitlines()]
    said = set()
    for each in lines:
        match = re.match(rf"{HEAD}\] (.*)", each)
        assert match, each
        text = re.sub(r"invoked as: \S+ldirectord", "invoked as: PROGRAM", match[1].strip())
        said.add(re.sub(r"pid: \d+", "pid: N", text.replace(str(config), "X.cf")))
    return process.returncode, said


@pytest.mark.shows("ldirectord.global.supervised")
def test_in_the_foreground(tmp_path: Path) -> None:
    (our_code, ours), (code, peer) = (supervised(name, tmp_path) for name in PROGRAMS)
    assert our_code == code == 0
    assert {line for line in ours - peer if "LVS dataplane is" not in line} == set()
    assert peer - ours - DETOUR == set()

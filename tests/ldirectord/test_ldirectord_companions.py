"""monitorfile, maintenancedir, execute, readdquiescent and --compat strict, each by what it does."""

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pykeepalived.checkers.conversation import Outcome
from pykeepalived.dataplane.memory import MemoryDataplane
from pykeepalived.dialects.ldirectord import load_text
from pykeepalived.lvs.desired import services_of
from pykeepalived.lvs.table import Destination, DestinationKey, Entry, Service, ServiceKey
from pykeepalived.model import Family, Forwarding, Protocol
from pykeepalived.model.checks import NegotiateCheck, SocketOptions
from pykeepalived.reactor import Reactor
from pykeepalived.runtime.ldirectord_maintenance import Maintenance
from pykeepalived.runtime.ldirectord_monitor import MonitorFiles, message
from pykeepalived.runtime.lvs_table import TableKeeper
from tests.dialects.ldirectord.ldirectord_fakes import FakeHost
from tests.ldirectord.room import Room, wait_for
from tests.ldirectord.test_ldirectord_actions import pid_of, started, stopped

TEXT = """\
checktimeout=1
checkinterval=1
maintenancedir={top}/maintenance
virtual=10.1.0.1:80
    real=127.0.0.1:8001 masq 2
    real=127.0.0.1:8002 masq 3 "/b", "x\\d::y"
    checktype=connect
    virtualhost=v.example
    monitorfile="{top}/monitor"
"""


@pytest.fixture
def room() -> Iterator[Room]:
    with Room() as own:
        yield own


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "maintenance").mkdir()
    path = tmp_path / "web.cf"
    path.write_text(TEXT.format(top=tmp_path))
    return path


@pytest.mark.netns
@pytest.mark.shows("ldirectord.virtual.monitorfile", "ldirectord.global.maintenancedir")
def test_monitorfile_and_maintenance(room: Room, config: Path) -> None:
    top = config.parent
    monitor = top / "monitor"

    def said(text: str) -> bool:
        return monitor.exists() and any(text in line for line in monitor.read_text().splitlines())

    room.up(8001)
    pid = started(room, config)
    wait_for(lambda: said("8001 v.example 2 masq /  [up] -") and said("8002 v.example 3 masq /b xd y [down]"), "lines")
    for line in monitor.read_text().splitlines():
        assert re.match(rf"\[\w+ \w+ +\d+ [\d:]+ \d+\] \[{pid}\] connect tcp 127.0.0.1 800[12] ", line), line
    out = "Deleted real server: 127.0.0.1:8001 (10.1.0.1:80)"
    assert out not in room.log()
    file = top / "maintenance" / "127.0.0.1:8001"
    file.touch()
    wait_for(lambda: out in room.log(), "maintenance")
    wait_for(lambda: said("8001 v.example 2 masq /  [down] Server in maintenance"), "the monitorfile's line")
    added = "Added real server: 127.0.0.1:8001 (10.1.0.1:80) (Weight set to 2)"
    before = room.log().count(added)
    # Maintenance lasts through a reload.
    assert room.ldirectord(str(config), "reload")[0] == 0
    monitor.rename(top / "monitor.1")
    wait_for(lambda: said("[down] Server in maintenance"), "a new monitorfile after the reload")
    assert room.log().count(added) == before
    file.unlink()
    wait_for(lambda: room.log().count(added) == before + 1, "the return")
    lines = room.log()
    last = len(lines) - 1 - lines[::-1].index(added)
    assert lines[last - 1] == "Resetting soft failure count: 127.0.0.1:8001 (tcp:10.1.0.1:80)"
    stopped(room, config)


@pytest.mark.netns
@pytest.mark.shows("ldirectord.global.execute")
def test_execute(room: Room, config: Path) -> None:
    second, third = config.with_name("second.cf"), config.with_name("third.cf")
    for number, path in enumerate((second, third), 2):
        path.write_text(f"virtual=10.1.0.{number}:80\n    real=127.0.0.1:8001 masq\n    checktype=on\n")
    config.write_text(f"autoreload=yes\nexecute={second}\n" + config.read_text())
    started(room, config)
    # Whoever starts it has the pid file before.
    wait_for(lambda: "Added virtual server: 10.1.0.2:80" in room.log(), "the second daemon")
    _, _, told = room.ldirectord(str(config), "status")
    assert [line.split(" is running")[0] for line in told.splitlines()] == [
        f"ldirectord for {config}",
        f"ldirectord for {second}",
    ]
    pid = pid_of(room, "second.cf")
    config.write_text(config.read_text().replace("autoreload=yes", f"autoreload=yes\nexecute={third}"))
    wait_for(lambda: "Added virtual server: 10.1.0.3:80" in room.log(), "the third daemon")
    wait_for(lambda: "Reloading Linux Director Daemon config on signal" in room.log(), "the reload of the second")
    assert pid_of(room, "second.cf") == pid
    config.write_text(config.read_text().replace(f"execute={second}\n", ""))
    wait_for(lambda: not pid_of(room, "second.cf"), "the end of the second")
    stopped(room, config)
    wait_for(lambda: not pid_of(room, "third.cf"), "the end of the third")


@pytest.mark.netns
def test_compat_strict_on_the_command_line(room: Room, config: Path) -> None:
    config.write_text("virtual=10.1.0.1:110\n    real=127.0.0.1:8009 masq\ncheckinterval=1\n")
    assert room.ldirectord("--compat", "strict", str(config), "start")[0] == 0
    wait_for(
        lambda: "Added real server: 127.0.0.1:8009 (10.1.0.1:110) (Weight set to 1)" in room.log(), "pop, strictly"
    )
    # A reload of the daemon is strict as well.
    assert room.ldirectord(str(config), "reload")[0] == 0
    wait_for(lambda: room.log()[-1].startswith("Reloading"), "the reload")
    text = config.read_text()
    config.write_text("virtual\n")
    assert room.ldirectord("--compat=strict", str(config), "stop")[0] == 2
    config.write_text(text)
    stopped(room, config)
    assert not any(line.startswith("Deleted real") for line in room.log())


MAILS = """\
checktimeout=1
checkinterval=1
emailalert="root, admin@example.org"
emailalertfrom=director@example.org
smtp=127.0.0.1
virtual=10.1.0.1:80
    real=127.0.0.1:8001 masq 2
    fallback=127.0.0.1:8003 masq
    checktype=connect
    emailalertfreq=1
    servicename=web shop
    comment=call joe
virtual=10.1.0.1:81
    real=127.0.0.1:8001 masq 2
    checktype=connect
    emailalert=other@example.org
    emailalertstatus=stopping
    smtp=localhost
"""


@pytest.mark.netns
@pytest.mark.shows(
    "ldirectord.global.{emailalert,emailalertfrom,emailalertfreq,emailalertstatus,smtp}",
    "ldirectord.virtual.{emailalert,emailalertfreq,emailalertstatus,smtp,servicename,comment}",
)
def test_mails(room: Room, config: Path) -> None:
    kept = config.with_name("mails")
    kept.touch()
    config.write_text("emailalertfreq=0\nemailalertstatus=all\n" + MAILS)
    sink = room.start(sys.executable, str(Path(__file__).with_name("sink.py")), str(kept))
    assert sink.stdout is not None
    number = sink.stdout.readline().split()[1]

    def subjects() -> list[str]:
        return [line.partition(": ")[2] for line in kept.read_text().splitlines() if line.startswith("Subject: ")]

    real, fallback = "127.0.0.1:8001 (10.1.0.1:80)", "127.0.0.1:8003 (10.1.0.1:80)"
    room.up(8001)
    started(room, config)
    wait_for(lambda: f"[web shop] Deleted fallback server: {fallback}" in subjects(), "the first mails")
    room.down(8001)
    inaccessible = f"[web shop] Inaccessible real server: {real}"
    wait_for(lambda: subjects().count(inaccessible) >= 2, "two reminders")
    room.up(8001)
    wait_for(lambda: subjects().count(f"[web shop] Added real server: {real} (Weight set to 2)") == 2, "the return")
    reminders = subjects().count(inaccessible)
    stopped(room, config)
    wait_for(lambda: "Purged real server (stop): 127.0.0.1:8001 (10.1.0.1:81)" in subjects(), "mails at the end")
    assert subjects().count(inaccessible) <= reminders + 1
    assert set(subjects()) == {
        f"[web shop] Added fallback server: {fallback} (Weight set to 1)",
        f"[web shop] Added real server: {real} (Weight set to 2)",
        f"[web shop] Deleted fallback server: {fallback}",
        f"[web shop] Deleted real server: {real}",
        inaccessible,
        f"[web shop] Purged real server (stop): {real}",
        "Purged real server (stop): 127.0.0.1:8001 (10.1.0.1:81)",
    }
    assert f"emailalert: Deleted real server: {real}" in room.log()
    host = room.run("hostname").stdout.strip()
    first = next(mail for mail in kept.read_text().split("====\n") if "Added fallback" in mail)
    subject = f"[web shop] Added fallback server: {fallback} (Weight set to 1)"
    assert first.splitlines()[1:] == [
        f"MAIL FROM:<root@{host}>",
        "RCPT TO:<root>",
        "RCPT TO:<admin@example.org>",
        "DATA",
        "From: director@example.org",
        "To: root, admin@example.org",
        f"Subject: {subject}",
        "",
        f"ldirectord host: {host}",
        f"Log-Message: {subject}",
        "Daemon-Status: starting",
        "",
        "Service name: web shop",
        "Comment: call joe",
        "",
        ".",
    ]
    last = next(mail for mail in kept.read_text().split("====\n") if "(10.1.0.1:81)" in mail)
    assert "To: other@example.org\n" in last
    assert "Daemon-Status: stopping\n" in last
    room.run("kill", number)
    sink.communicate(timeout=90)


# ---- parts ----


def test_monitor_lines(tmp_path: Path) -> None:
    errors: list[str] = []
    files = MonitorFiles(errors.append)
    files.write(str(tmp_path / "m"), ("connect", "tcp", "", "x"), True, "")
    files.write(str(tmp_path / "m"), ("negotiate:http",), False, "100%|a\r\nb" + "x" * 10_000)
    first, second = (tmp_path / "m").read_text().splitlines()
    assert first.endswith("] connect tcp x [up] -")
    assert "[down] 100%25%7ca%0d%0ab" in second
    assert len(second) < 5_000
    for _ in range(3):
        files.write(str(tmp_path / "no" / "m"), ("x",), True, "")
    assert len(errors) == 1


@pytest.mark.parametrize(
    ("service", "text", "said"),
    [("http", "200 OK", "200 OK"), ("ldap", "one entry", "Success"), ("dns", "Success", "Success"), ("pop", "in", "")],
)
def test_what_the_monitorfile_says_about_a_check(service: str, text: str, said: str) -> None:
    question = NegotiateCheck(socket=SocketOptions(address="10.1.1.1", port=1, timeout_us=1), service=service)
    assert message(question, Outcome(True, text)) == said
    assert message(question, Outcome(False, text)) == text
    assert message(msgspec.structs.replace(question, connects_between=3), Outcome(True, text)) == ""


def test_names_in_the_maintenance_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"10.1.1.1": "web1.example.org", "10.1.1.2": "1st.example.org"}
    monkeypatch.setattr("socket.gethostbyaddr", lambda address: (names.get(address, ""), [], []))
    text = """\
virtual=10.1.0.1:80
    real=10.1.1.1:80 masq
    real=10.1.1.2:81 masq
virtual6=[fd00::1]:80
    real6=[fd00::2]:80 masq
"""
    refs = services_of(load_text(text, "x", host=FakeHost()).config)
    one, two, six = (refs[0].key, "10.1.1.1", 80), (refs[0].key, "10.1.1.2", 81), (refs[1].key, "fd00::2", 80)
    for name, expected in (
        ("10.1.1.1:80", {one}), ("10.1.1.1", {one}), ("10.1.1.1:81", set()), ("10.1.1.2:81", {two}),
        ("[fd00::2]:80", {six}), ("[fd00::2]", {six}), ("fd00::2", set()), ("web1.example.org", {one}),
        ("web1.example.org:80", {one}), ("web1:80", {one}), ("web1", {one}), ("1st", set()),
        ("web1.example.org:81", set()), ("other", set()),
    ):  # fmt: skip
        (tmp_path / name).touch()
        maintenance = Maintenance()
        # Host names come from a thread.
        for _ in range(40):
            maintenance.look(str(tmp_path), refs)
            if maintenance.held == expected != set():
                break
            time.sleep(0.005)
        assert maintenance.held == expected, name
        (tmp_path / name).unlink()
        assert set(maintenance.look(str(tmp_path), refs).out_of) == expected
        assert set(maintenance.look(None, refs).out_of) == set()
        maintenance.close()


@pytest.mark.shows("ldirectord.global.readdquiescent")
@pytest.mark.parametrize("leaves", [True, False])
def test_a_dead_server_that_an_operator_takes_out(leaves: bool) -> None:
    """readdquiescent=no leaves it out until it lives again; yes puts it back with weight 0."""
    reactor, dataplane = Reactor(), MemoryDataplane()
    keeper = TableKeeper(reactor, dataplane, lambda event: None, 1_000)
    keeper.leave_absent(leaves)
    key = ServiceKey.for_address(Protocol.TCP, "10.1.0.1", 80, Family.INET)
    alive, dead = DestinationKey("10.1.1.1", 80), DestinationKey("10.1.1.2", 80)

    def want(weight: int) -> None:
        values = {alive: Destination(weight=1, forwarding=Forwarding())}
        values[dead] = Destination(weight=weight, forwarding=Forwarding())
        keeper.want(key, Entry(Service(scheduler="rr"), values), values)
        keeper.flush()

    def drift() -> None:
        """Both destinations are taken out by hand; one look at the table follows."""
        del dataplane.table[key].destinations[alive]
        dataplane.table[key].destinations.pop(dead, None)
        for _ in range(200):
            reactor.turn(10_000)
            if alive in dataplane.table[key].destinations:
                return
        raise AssertionError("the drift was not seen")

    want(0)
    keeper.watch_drift()
    drift()
    assert (dead in dataplane.table[key].destinations) is not leaves
    want(0)
    assert (dead in dataplane.table[key].destinations) is not leaves
    want(5)
    assert dataplane.table[key].destinations[dead].weight == 5
    want(0)
    assert dataplane.table[key].destinations[dead].weight == 0
    keeper.close()
    reactor.close()

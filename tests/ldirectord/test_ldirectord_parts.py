"""Parts of the program on their own: words, log lines, the command line, reading in the background."""

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pykeepalived.cli.ldirectord import (
    ACTIONS,
    LdirectordCommand,
    _UsageError,
    _without_options,
    command,
    read_command_line,
)
from pykeepalived.dialects.ldirectord.voice import LdirectordVoice
from pykeepalived.lvs import events as ev
from pykeepalived.lvs.names import ServiceRef
from pykeepalived.model import (
    AddressSelector,
    CheckerSpec,
    Family,
    Forwarding,
    ForwardingMethod,
    FwmarkSelector,
    OnCheck,
    Protocol,
    RealServer,
    SorryServer,
    VirtualServer,
)
from pykeepalived.reactor import Reactor
from pykeepalived.runtime.ldirectord_instance import find_instance, look
from pykeepalived.runtime.ldirectord_log import LdirectordLog, Output
from pykeepalived.runtime.ldirectord_reload import BackgroundReader, FileWatch, Reading, read

REAL = RealServer(address="10.0.0.2", port=81, weight=3)
ROUTED = Forwarding(ForwardingMethod.DR)
#: A server whose port of the file is not the one to which the kernel forwards.
GATE = RealServer(address="10.0.0.3", port=81, forwarding=ROUTED)
SORRY = SorryServer(address="127.0.0.1", port=80)
SPEC = CheckerSpec(question=OnCheck())
WEB = ServiceRef(VirtualServer(selector=AddressSelector("10.0.0.1", 80), protocol=Protocol.TCP, fallback_command="/x"))
WEB6 = ServiceRef(VirtualServer(selector=AddressSelector("fd00::1", 53), protocol=Protocol.UDP))
MARK6 = ServiceRef(VirtualServer(selector=FwmarkSelector(7), family=Family.INET6, fallback_command="/x y"))
CHECK, START, RELOAD, STOP = ev.Cause.CHECK, ev.Cause.START, ev.Cause.RELOAD, ev.Cause.STOP
ADDED, RESTORED, REMOVED, QUIESCED, NONE = (
    ev.Effect.ADDED, ev.Effect.RESTORED, ev.Effect.REMOVED, ev.Effect.QUIESCED, ev.Effect.NONE,
)  # fmt: skip


@pytest.mark.parametrize(
    ("event", "lines"),
    [
        (ev.ServiceAdded(WEB, START), ["Added virtual server: 10.0.0.1:80"]),
        (ev.ServiceAdded(WEB, START, existed=True), ["Changed virtual server: 10.0.0.1:80"]),
        (ev.ServiceChanged(WEB, START), []),
        (ev.ServiceChanged(WEB6, RELOAD), ["Changed virtual server: [fd00::1]:53"]),
        (ev.ServiceRemoved(MARK6, RELOAD, True, 1), ["Purged virtual server (start): 7"]),
        (ev.ServiceRemoved(WEB, STOP, True, 1), ["Purged virtual server (stop): 10.0.0.1:80"]),
        (ev.ServerUp(WEB, REAL, START, ADDED, 3), []),
        (
            ev.ServerUp(WEB, REAL, CHECK, ADDED, 3, SPEC),
            [
                "Resetting soft failure count: 10.0.0.2:81 (tcp:10.0.0.1:80)",
                "Added real server: 10.0.0.2:81 (10.0.0.1:80) (Weight set to 3)",
            ],
        ),
        (
            ev.ServerUp(MARK6, REAL, CHECK, RESTORED, 3, SPEC),
            [
                "Resetting soft failure count: 10.0.0.2:81 (fwm6:7)",
                "Restored real server: 10.0.0.2:81 (7) (Weight set to 3)",
            ],
        ),
        (ev.ServerUp(WEB, REAL, RELOAD, ADDED, 3), ["Added real server: 10.0.0.2:81 (10.0.0.1:80) (Weight set to 3)"]),
        (ev.ServerDown(WEB, REAL, START, QUIESCED), []),
        (ev.ServerDown(WEB, REAL, CHECK, REMOVED), ["Deleted real server: 10.0.0.2:81 (10.0.0.1:80)"]),
        (
            ev.ServerDown(WEB, REAL, CHECK, QUIESCED),
            ["Quiescent real server: 10.0.0.2:81 (10.0.0.1:80) (Weight set to 0)"],
        ),
        (ev.ServerDown(WEB, REAL, CHECK, NONE), []),
        (ev.ServerLeft(WEB, REAL, STOP, True), ["Purged real server (stop): 10.0.0.2:81 (10.0.0.1:80)"]),
        (ev.ServerLeft(WEB, REAL, STOP, False, NONE), []),
        (
            ev.ServerLeft(WEB, REAL, STOP, True, with_service=True),
            ["Purged real server (stop): 10.0.0.2:81 (10.0.0.1:80)"],
        ),
        (ev.ServerLeft(WEB, REAL, RELOAD, True, with_service=True), []),
        (ev.ServerLeft(WEB, REAL, STOP, False), []),
        (ev.ServerLeft(WEB, REAL, RELOAD, False), ["Purged real server (start): 10.0.0.2:81 (10.0.0.1:80)"]),
        (ev.ServerLeft(WEB, GATE, STOP, True), ["Purged real server (stop): 10.0.0.3:81 (10.0.0.1:80)"]),
        (ev.ServerLeft(WEB, GATE, RELOAD, True), ["Purged real server (start): 10.0.0.3:80 (10.0.0.1:80)"]),
        (
            ev.ServerDown(WEB, GATE, CHECK, REMOVED),
            ["Deleted real server: 10.0.0.3:80 mapped from 10.0.0.3:81 (10.0.0.1:80)"],
        ),
        (
            ev.ServerDown(WEB, GATE, CHECK, QUIESCED),
            ["Quiescent real server: 10.0.0.3:80 mapped from 10.0.0.3:81 (10.0.0.1:80) (Weight set to 0)"],
        ),
        (ev.ServerDown(MARK6, GATE, CHECK, REMOVED), ["Deleted real server: 10.0.0.3:81 (7)"]),
        (
            ev.SorryRemoved(WEB, SorryServer(address="127.0.0.1", port=8, forwarding=ROUTED), CHECK),
            ["Deleted fallback server: 127.0.0.1:80 mapped from 127.0.0.1:8 (10.0.0.1:80)"],
        ),
        (ev.DestinationPurged(WEB, "10.0.0.9", 80, START), ["Purged real server (start): 10.0.0.9:80 (10.0.0.1:80)"]),
        (
            ev.WeightChanged(WEB, REAL, 1, 3, True, RELOAD),
            ["Restored real server: 10.0.0.2:81 (10.0.0.1:80) (Weight set to 3)"],
        ),
        (ev.WeightChanged(WEB, REAL, 1, 3, False, RELOAD), []),
        (
            ev.SoftFailure(WEB, REAL, SPEC, 1, 3, "refused"),
            ["Soft failure real server: 10.0.0.2:81 (tcp:10.0.0.1:80) failure 1/3"],
        ),
        (ev.SoftFailureReset(WEB6, REAL, SPEC), ["Resetting soft failure count: 10.0.0.2:81 (udp:[fd00::1]:53)"]),
        (
            ev.SorryAdded(WEB, SORRY, CHECK),
            ["Added fallback server: 127.0.0.1:80 (10.0.0.1:80) (Weight set to 1)"],
        ),
        (ev.SorryRemoved(WEB, SORRY, CHECK), ["Deleted fallback server: 127.0.0.1:80 (10.0.0.1:80)"]),
        (ev.PoolWithdrawn(WEB, CHECK), []),
        (ev.CheckFailed(WEB, REAL, SPEC, 0, "x"), []),
        (
            ev.OperationRefused(WEB, "add x", "exists", "it exists", 2),
            ["add x failed: it exists [exists], will try again (attempt 2)"],
        ),
    ],
)
def test_words(event: ev.LvsEvent, lines: list[str]) -> None:
    assert [line.text for line in LdirectordVoice().tell(event).lines] == lines


@pytest.mark.parametrize(
    ("event", "command_line"),
    [
        (ev.QuorumLost(WEB, 0, START), "/x start 10.0.0.1:80 tcp"),
        (ev.QuorumLost(WEB, 0, CHECK), "/x start 10.0.0.1:80 tcp"),
        (ev.QuorumGained(WEB, 1, CHECK), "/x stop 10.0.0.1:80 tcp"),
        (ev.QuorumGained(WEB, 1, START), None),
        (ev.QuorumLost(MARK6, 0, CHECK), "/x y start :0 fwm"),
        (ev.QuorumLost(WEB6, 0, CHECK), None),
    ],
)
def test_fallbackcommand(event: ev.LvsEvent, command_line: str | None) -> None:
    scripts = [intent.script.argv for intent in LdirectordVoice().tell(event).scripts]
    assert scripts == ([] if command_line is None else [("/bin/sh", "-c", command_line)])


# ---- the command line ----


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("a.cf start", "a.cf start"),
        ("-d a.cf start", "a.cf start"),
        ("--compat strict -- a.cf status more -d", "a.cf status more -d"),
        ("--debug --compat=strict start", "start"),
    ],
)
def test_the_log_names_no_options(words: str, expected: str) -> None:
    assert _without_options(words.split()) == expected.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("start", (False, None, "start")),
        ("a.cf start", (False, "a.cf", "start")),
        ("a.cf start more words", (False, "a.cf", "start")),
        ("-d a.cf start", (True, "a.cf", "start")),
        ("--debug -- a.cf try-restart", (True, "a.cf", "try-restart")),
        ("-- -odd.cf stop", (False, "-odd.cf", "stop")),
        ("-h", (False, None, "help")),
        ("-? nonsense", (False, None, "help")),
        ("-dv", (True, None, "version")),
        ("-t a.cf", (False, "a.cf", "test")),
        ("--config-test", (False, None, "test")),
    ],
)
def test_command_line(words: str, expected: tuple[bool, str | None, str]) -> None:
    values = read_command_line(words.split())
    assert not values["strict"]
    assert (values["debug"], values["config"], values["action"]) == expected


def test_compat_on_the_command_line() -> None:
    for words in (["--compat", "strict", "a.cf", "stop"], ["-d", "--compat=strict", "--", "a.cf", "stop"]):
        values = read_command_line(words)
        assert (values["strict"], values["config"], values["action"]) == (True, "a.cf", "stop")


@pytest.mark.parametrize(
    "words",
    [
        "--compat=lax start",
        "--compat",
        "",
        "a.cf",
        "begin",
        "a.cf begin",
        "--deb start",
        "-x start",
        "--d start",
    ],
)
def test_usage(words: str) -> None:
    with pytest.raises(_UsageError):
        read_command_line(words.split())


def test_it_is_a_click_command() -> None:
    assert isinstance(command, LdirectordCommand)
    assert len(ACTIONS) == 7


# ---- names and pid files ----


def test_which_file_is_meant(tmp_path: Path) -> None:
    file = tmp_path / "a.cf"
    file.touch()
    found = find_instance(str(file))
    assert (found.name, found.path, found.absolute_path) == ("a.cf", str(file), str(file))
    assert found.pid_path == "/var/run/ldirectord.a.cf.pid"
    missing = find_instance("no-such-name.cf")
    assert (missing.path, missing.shown, missing.absolute_path) == (None, "no-such-name.cf", "")
    default = find_instance(None)
    assert (default.name, default.typed) == ("ldirectord", "ldirectord.cf")
    assert find_instance("a\0b").path is None


def test_who_counts_as_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pykeepalived.runtime.ldirectord_instance._RUN_DIRECTORY", str(tmp_path))
    instance = find_instance("a.cf")
    file = Path(instance.pid_path)
    assert (look(instance).pid, look(instance).stale) == (0, False)
    file.write_text("")
    assert (look(instance).pid, look(instance).stale) == (0, False), "as in ldirectord"
    for text in ("x", "-1", "0", "99999999", str(os.getpid())):
        file.write_text(text)
        assert (look(instance).pid, look(instance).stale) == (0, True), text


# ---- the log ----


@pytest.mark.shows("ldirectord.global.logfile")
def test_log_file_lines(tmp_path: Path) -> None:
    file = tmp_path / "log"
    log = LdirectordLog("a.cf", logfile=str(file))
    log.info("first")
    log.detail("not without -d")
    file.rename(tmp_path / "log.1")
    log.error("second\x1b[2J")
    assert re.fullmatch(
        rf"\[\w{{3}} \w{{3}} [ \d]\d \d\d:\d\d:\d\d \d{{4}}\|a\.cf\|{os.getpid()}\] first\n",
        (tmp_path / "log.1").read_text(),
    )
    assert file.read_text().endswith("] second\\x1b[2J\n")
    assert stat.S_IMODE(file.stat().st_mode) & 0o133 == 0
    log.settle(str(tmp_path / "no" / "log"))
    log.info("lost, without a fuss")
    log.settle(str(tmp_path / "new"))
    log.info("x" * 10_000)
    assert len((tmp_path / "new").read_text()) < 5_000


def test_foreground_logs(capsys: pytest.CaptureFixture[str]) -> None:
    LdirectordLog("a.cf", Output.STDOUT).info("one")
    log = LdirectordLog("a.cf", Output.STDERR)
    log.info("two")
    log.detail("three")
    out, err = capsys.readouterr()
    assert re.fullmatch(r"\[.* \d{4}\] one\n", out)
    assert err == "two\nDEBUG2: three\n"


# ---- reading again ----

TEXT = """\
virtual=10.1.0.1:80
    real=10.1.1.1:80 masq 2 "/a", "b" l:1 u:2
    checktype=3
virtual=7
    real=10.1.1.1 gate
"""


def turn_until(reactor: Reactor, condition: Callable[[], object]) -> None:
    for _ in range(400):
        if condition():
            return
        reactor.turn(50_000)
    raise AssertionError("nothing came")


def test_a_file_read_in_the_background_is_the_same(tmp_path: Path) -> None:
    file = tmp_path / "a.cf"
    file.write_text(TEXT)
    reactor = Reactor()
    reader = BackgroundReader(reactor)
    answers: list[Reading | str] = []
    reader.start(str(file), answers.append)
    assert reader.busy
    turn_until(reactor, lambda: answers)
    assert answers == [read(str(file))]
    assert not reader.busy
    file.write_text("virtual=nonsense\n    real=x\n")
    reader.start(str(file), answers.append)
    turn_until(reactor, lambda: len(answers) == 2)
    second = answers[1]
    assert isinstance(second, Reading)
    assert [item.id for item in second.errors] == ["bad-address", "missing-method"]
    reader.start(str(file), answers.append)
    reader.close()
    reactor.turn(50_000)
    assert len(answers) == 2
    reactor.close()


def test_watching_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.cf"
    file.write_text("one")
    watch = FileWatch(str(file))
    assert watch.look() is None
    os.utime(file, ns=(1, 1))
    assert watch.look() is None, "the time alone is no change"
    file.write_text("two")
    os.utime(file, ns=(2, 2))
    assert [watch.look(), watch.look()] == ["changed", None]
    file.unlink()
    assert [watch.look(), watch.look()] == ["missing", None]
    file.write_text("two")
    assert watch.look() is None
    file.unlink()
    assert watch.look() == "missing"

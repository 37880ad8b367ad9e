"""The program's actions as scripts see them: exit codes, texts, pid files, log lines; and faults that it must bear."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ldirectord.room import PROGRAM, Room, wait_for

pytestmark = pytest.mark.netns

AS_PRINTED = Path(__file__).parent.parent / "tools" / "fix" / "ldirectord-as-printed.cf"

TEXT = """\
checktimeout=1
checkinterval=1
virtual=10.1.0.1:80
    real=127.0.0.1:8001 masq 2
    real=127.0.0.1:8002 masq 3
    fallback=127.0.0.1:8003 masq
    checktype=connect
"""
BROKEN = TEXT.replace("    checktype", "checktype")


@pytest.fixture
def room() -> Iterator[Room]:
    with Room() as own:
        yield own


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "web.cf"
    path.write_text(TEXT)
    return path


def pid_of(room: Room, name: str = "web.cf") -> int:
    return int(room.read(f"/run/ldirectord.{name}.pid") or 0)


def started(room: Room, config: Path) -> int:
    code, _, errors = room.ldirectord(str(config), "start")
    assert code == 0, errors
    pid = pid_of(room)
    assert pid
    return pid


def stopped(room: Room, config: Path) -> None:
    assert room.ldirectord(str(config), "stop")[0] == 0
    wait_for(lambda: not pid_of(room), "the pid file to go")


@pytest.mark.shows("ldirectord.global.fallback")
@pytest.mark.shows("ldirectord.virtual.fallback")
def test_a_life(room: Room, config: Path) -> None:
    name = str(config)
    assert room.ldirectord(name, "status") == (3, f"ldirectord is stopped for {name}\n", "")
    assert room.ldirectord(name, "stop") == (0, "", "")
    assert room.ldirectord(name, "try-restart") == (0, "", "")
    assert room.ldirectord(name, "reload") == (1, "", "")
    assert room.ldirectord(name, "force-reload") == (1, "", "")
    room.up(8001)
    pid = started(room, config)
    assert room.ldirectord(name, "start") == (0, "", ""), "a second start does nothing"
    assert pid_of(room) == pid
    running = f"ldirectord for {name} is running with pid: {pid}\n"
    assert room.ldirectord(name, "status", "and", "more", "words") == (0, "", running)
    words = room.read(f"/proc/{pid}/cmdline").rstrip("\0").split("\0")
    assert words == ["ldirectord", name, "start"]
    assert room.read(f"/proc/{pid}/comm") == "ldirectord\n"
    assert room.run("pidof", "ldirectord").stdout.split() == [str(pid)]
    wait_for(lambda: "Deleted fallback server: 127.0.0.1:8003 (10.1.0.1:80)" in room.log(), "the first server")
    assert room.ldirectord(name, "restart")[0] == 0
    second = pid_of(room)
    assert second not in {0, pid}
    assert room.ldirectord(name, "try-restart")[0] == 0
    third = pid_of(room)
    assert third not in {0, second}
    # A second signal while the first is being answered harms nothing.
    assert room.run("sh", "-c", f"kill {third} && kill {third}; true").returncode == 0
    wait_for(lambda: not pid_of(room), "the pid file to go")
    assert room.log()[-2:] == [
        "Purged virtual server (stop): 10.1.0.1:80",
        "Linux Director Daemon terminated on signal: TERM",
    ]


def test_log_lines_of_a_service(room: Room, config: Path) -> None:
    room.up(8001)
    started(room, config)
    added = "Added real server: 127.0.0.1:8001 (10.1.0.1:80) (Weight set to 2)"
    wait_for(lambda: added in room.log(), "8001")
    room.up(8002)
    wait_for(lambda: "(Weight set to 3)" in room.log()[-1], "8002")
    room.down(8001)
    wait_for(lambda: room.log()[-1].startswith("Deleted real"), "the death of 8001")
    room.down(8002)
    wait_for(lambda: room.log()[-1].startswith("Added fallback"), "the fallback")
    room.up(8002)
    wait_for(lambda: room.log()[-1].startswith("Deleted fallback"), "the return of 8002")
    stopped(room, config)
    first, second, fallback = "127.0.0.1:8001", "127.0.0.1:8002", "127.0.0.1:8003"
    # Which dataplane the machine has is not the matter here.
    assert [line for line in room.log()[2:] if not line.startswith("LVS dataplane is")] == [
        "Added virtual server: 10.1.0.1:80",
        f"Added fallback server: {fallback} (10.1.0.1:80) (Weight set to 1)",
        f"Resetting soft failure count: {first} (tcp:10.1.0.1:80)",
        f"Added real server: {first} (10.1.0.1:80) (Weight set to 2)",
        f"Deleted fallback server: {fallback} (10.1.0.1:80)",
        f"Resetting soft failure count: {second} (tcp:10.1.0.1:80)",
        f"Added real server: {second} (10.1.0.1:80) (Weight set to 3)",
        f"Deleted real server: {first} (10.1.0.1:80)",
        f"Deleted real server: {second} (10.1.0.1:80)",
        f"Added fallback server: {fallback} (10.1.0.1:80) (Weight set to 1)",
        f"Resetting soft failure count: {second} (tcp:10.1.0.1:80)",
        f"Added real server: {second} (10.1.0.1:80) (Weight set to 3)",
        f"Deleted fallback server: {fallback} (10.1.0.1:80)",
        f"Invoking ldirectord invoked as: {PROGRAM} {config} stop ",
        f"Purged real server (stop): {second} (10.1.0.1:80)",
        "Purged virtual server (stop): 10.1.0.1:80",
        "Linux Director Daemon terminated on signal: TERM",
    ]


def test_a_broken_file_harms_nobody(room: Room, config: Path) -> None:
    name = str(config)
    room.up(8001)
    pid = started(room, config)
    wait_for(lambda: room.log()[-1].startswith("Deleted fallback"), "8001")
    config.write_text(BROKEN)
    for action in ("start", "restart", "try-restart", "reload"):
        code, _, errors = room.ldirectord(name, action)
        assert (code, pid_of(room)) == (2, pid), action
        assert errors.splitlines()[0].startswith(f"{name}:7:1: error[lost-indentation]: ")
    code, _, errors = room.ldirectord(name, "status")
    assert (code, errors.splitlines()[-1]) == (0, f"ldirectord for {name} is running with pid: {pid}")
    assert room.run("kill", "-HUP", str(pid)).returncode == 0
    wait_for(lambda: room.log()[-1] == "The configuration in use stays as it is", "the refusal")
    assert f"Error [{pid}] reading file {name} at line 7: " in room.log()[-2]
    room.down(8001)
    wait_for(lambda: room.log()[-1].startswith("Added fallback"), "checks that go on")
    code, _, _ = room.ldirectord(name, "stop")
    assert code == 0
    wait_for(lambda: not pid_of(room), "the end")


def test_a_missing_file_harms_nobody(room: Room, config: Path) -> None:
    name = str(config)
    assert room.ldirectord(f"{name}.not", "start") == (1, "", f"Config file {name}.not not found\n")
    pid = started(room, config)
    config.unlink()
    wait_for(lambda: any("can not open file" in line for line in room.log()), "the warning")
    assert room.ldirectord(name, "reload")[0] == 1
    assert room.ldirectord(name, "status")[0] == 0
    assert pid_of(room) == pid
    assert room.ldirectord(name, "stop")[0] == 0
    wait_for(lambda: not pid_of(room), "the end")


def test_strict_mode_gives_the_old_answers_to_a_broken_file(room: Room, config: Path) -> None:
    config.write_text(f"# pyldirectord: compat=strict\n{TEXT}")
    pid = started(room, config)
    config.write_text(f"# pyldirectord: compat=strict\n{BROKEN}")
    assert room.ldirectord(str(config), "stop")[0] == 2
    assert room.ldirectord(str(config), "status")[0] == 2
    assert pid_of(room) == pid


def test_the_printed_file_and_its_cure(room: Room, tmp_path: Path) -> None:
    seed = tmp_path / "seed.cf"
    seed.write_text(AS_PRINTED.read_text())
    code, _, errors = room.ldirectord("seed.cf", "start", cwd=tmp_path)
    assert code == 2
    assert errors.splitlines()[0].startswith("seed.cf:22:1: error[lost-indentation]")
    cure = errors.splitlines()[-1].removeprefix("to mend it: ")
    assert cure == "keepalivedctl fix seed.cf > fixed.cf"
    bin_directory = Path(PROGRAM).parent
    assert room.run("sh", "-c", f"PATH={bin_directory}:$PATH; {cure}", cwd=tmp_path).returncode == 0
    assert room.ldirectord("fixed.cf", "start", cwd=tmp_path)[0] == 0
    wait_for(lambda: sum("Added virtual server" in line for line in room.log()) == 6, "six services")
    assert room.ldirectord("fixed.cf", "stop", cwd=tmp_path)[0] == 0


@pytest.mark.shows("ldirectord.global.{autoreload,callback}")
def test_autoreload_callback_and_a_relative_path(room: Room, config: Path) -> None:
    heard = config.with_name("heard")
    callback = config.with_name("callback")
    callback.write_text(f'#!/bin/sh\necho "$@" >> {heard}\n')
    callback.chmod(0o755)
    head = f'autoreload=yes\ncallback="{callback}"\n'
    config.write_text(head + TEXT)
    room.up(8001)
    assert room.ldirectord("web.cf", "start", cwd=config.parent)[0] == 0
    wait_for(lambda: room.log()[-1].startswith("Deleted fallback"), "8001")
    config.write_text(head + TEXT.replace("masq 2", "masq 7"))
    changed = "Restored real server: 127.0.0.1:8001 (10.1.0.1:80) (Weight set to 7)"
    wait_for(lambda: changed in room.log(), "the new weight")
    assert "Configuration file 'web.cf' has changed on disk" in room.log()
    assert " - reread new configuration" in room.log()
    wait_for(heard.exists, "the callback")
    wait_for(lambda: heard.read_text() == f"{config}\n", "its argument")
    config.write_text(head.replace("yes", "no") + TEXT)
    wait_for(lambda: "Restored real server: 127.0.0.1:8001 (10.1.0.1:80) (Weight set to 2)" in room.log(), "the old")
    config.write_text(TEXT)
    wait_for(lambda: " - ignore new configuration" in room.log(), "a change that is not taken")
    assert room.ldirectord("web.cf", "stop", cwd=config.parent)[0] == 0


@pytest.mark.shows("ldirectord.{global,virtual}.fallbackcommand")
@pytest.mark.shows("ldirectord.global.failurecount")
def test_fallbackcommand_and_failurecount(room: Room, config: Path) -> None:
    heard = config.with_name("heard")
    config.write_text(f"failurecount=2\nfallbackcommand=echo >> {heard}\n{TEXT}")
    room.up(8001)
    started(room, config)
    wait_for(lambda: heard.exists() and len(heard.read_text().splitlines()) == 2, "start and stop")
    room.down(8001)
    wait_for(lambda: len(heard.read_text().splitlines()) == 3, "start again")
    assert heard.read_text().splitlines() == [
        "start 10.1.0.1:80 tcp",
        "stop 10.1.0.1:80 tcp",
        "start 10.1.0.1:80 tcp",
    ]
    log = room.log()
    soft = log.index("Soft failure real server: 127.0.0.1:8001 (tcp:10.1.0.1:80) failure 1/2")
    assert log[soft + 1] == "Deleted real server: 127.0.0.1:8001 (10.1.0.1:80)"


@pytest.mark.shows("ldirectord.global.supervised")
def test_supervised_and_debug_stay_in_the_foreground(room: Room, config: Path) -> None:
    config.write_text(f"supervised=yes\n{TEXT}")
    process = room.start(PROGRAM, str(config), "start")
    assert process.stdout is not None
    while "Added fallback server" not in (line := process.stdout.readline()):
        assert line.startswith("[")
    assert not pid_of(room)
    assert room.run("pkill", "-TERM", "-x", "ldirectord").returncode == 0
    rest, _ = process.communicate(timeout=90)
    assert rest.splitlines()[-1].endswith("Linux Director Daemon terminated on signal: TERM")
    assert process.returncode == 0
    debugging = room.start(PROGRAM, "-d", str(config), "start")
    assert debugging.stderr is not None
    while "Added fallback server" not in debugging.stderr.readline():
        pass
    assert room.run("pkill", "-INT", "-x", "ldirectord").returncode == 0
    _, rest = debugging.communicate(timeout=90)
    assert rest.splitlines()[-1] == "Linux Director Daemon terminated on signal: INT"


def test_a_stale_pid_file(room: Room, config: Path) -> None:
    name = str(config)
    room.run("sh", "-c", "echo 99999 > /run/ldirectord.web.cf.pid")
    stale = f"ldirectord stale pid file /var/run/ldirectord.web.cf.pid for {name}\n"
    assert room.ldirectord(name, "status") == (1, f"ldirectord is stopped for {name}\n", stale)
    assert room.ldirectord(name, "stop") == (0, "", "")
    assert pid_of(room) == 99999
    pid = started(room, config)
    assert pid != 99999
    room.run("kill", f"-{int(signal.SIGKILL)}", str(pid))
    wait_for(lambda: room.ldirectord(name, "status")[0] == 1, "a stale file")
    assert started(room, config) != pid


def test_two_instances_and_the_search_for_files(room: Room, config: Path) -> None:
    room.run("mkdir", "/etc/ha.d/conf")
    room.run("cp", str(config), "/etc/ha.d/ldirectord.cf")
    room.run("sh", "-c", f"sed s/10.1.0.1/10.1.0.2/ {config} > /etc/ha.d/conf/second.cf")
    assert room.ldirectord("start")[0] == 0
    assert room.ldirectord("--", "second.cf", "start")[0] == 0
    first, second = pid_of(room, "ldirectord"), pid_of(room, "second.cf")
    assert 0 not in {first, second}
    status = room.ldirectord("second.cf", "status")
    assert status[2] == f"ldirectord for /etc/ha.d/conf/second.cf is running with pid: {second}\n"
    assert room.ldirectord("status")[2] == f"ldirectord for /etc/ha.d/ldirectord.cf is running with pid: {first}\n"
    assert room.ldirectord("stop")[0] == 0
    wait_for(lambda: not pid_of(room, "ldirectord"), "the first")
    assert pid_of(room, "second.cf") == second


def test_the_control_socket_shows_the_pools(room: Room, config: Path) -> None:
    room.up(8001)
    started(room, config)
    wait_for(lambda: room.log()[-1].startswith("Deleted fallback"), "8001")
    program = str(Path(PROGRAM).with_name("keepalivedctl"))
    done = room.run(program, "status", "--json")
    assert done.returncode == 0, done.stderr
    assert '"ldirectord"' in done.stdout
    shown = json.dumps(json.loads(done.stdout))
    assert "127.0.0.1" in shown
    assert "8001" in shown


def test_a_log_file_that_is_moved_away(room: Room, config: Path) -> None:
    room.up(8001)
    started(room, config)
    wait_for(lambda: room.log()[-1].startswith("Deleted fallback"), "8001")
    room.run("mv", "/var/log/ldirectord.log", "/var/log/ldirectord.log.1")
    room.down(8001)
    wait_for(lambda: len(room.log()) == 2, "lines in a new file")
    assert room.log()[0] == "Deleted real server: 127.0.0.1:8001 (10.1.0.1:80)"

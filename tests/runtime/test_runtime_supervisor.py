"""The supervisor with programs that only write down what they hear: starts, stops, deaths, reloads, pid files."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pykeepalived.dialects.keepalived import load
from pykeepalived.runtime import control, slot
from pykeepalived.units import SECOND_US

FAKE = Path(__file__).with_name("fake_daemon.py")
BOTH = {"vrrp": {}, "checker": {}}


class Daemon:
    """One fake daemon in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.configuration = directory / "configuration"
        self.trace_file = directory / "trace"
        self.log_file = directory / "log"
        self.control = str(directory / "state" / "control.sock")
        self.process: subprocess.Popen[bytes] | None = None
        self.trace_file.touch()

    def configure(self, **facts) -> None:
        self.configuration.write_text(json.dumps(facts))

    def start(self, wait_for: str | None = "Startup complete", **settings) -> None:
        pids = {
            "parent_pid_file": str(self.directory / "parent.pid"),
            "vrrp_pid_file": str(self.directory / "vrrp.pid"),
            "checker_pid_file": str(self.directory / "checkers.pid"),
            "control_socket": self.control,
        }
        words = [f"{key}={json.dumps(value)}" for key, value in (pids | settings).items()]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(FAKE), str(self.configuration), str(self.trace_file), *words],
                stderr=log,
                cwd=Path(__file__).parents[2],
                env=os.environ
                | {"TMPDIR": str(self.directory), "PYKEEPALIVED_STATE_DIRECTORY": str(self.directory / "state")},
            )
        if wait_for is not None:
            self.wait_log(wait_for)

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    @property
    def trace(self) -> list[str]:
        return self.trace_file.read_text().splitlines()

    def pid(self, name: str) -> int:
        return int((self.directory / f"{name}.pid").read_text())

    def wait(self, condition, limit_s: float = 120) -> None:
        deadline = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain; log:\n{self.log}\ntrace: {self.trace}"
            time.sleep(0.01)

    def wait_log(self, text: str, times: int = 1) -> None:
        self.wait(lambda: self.log.count(text) >= times)

    def wait_trace(self, text: str, times: int = 1) -> None:
        self.wait(lambda: "\n".join(self.trace).count(text) >= times)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, limit_s: float = 120) -> int:
        assert self.process is not None
        return self.process.wait(limit_s)

    def left(self) -> list[str]:
        return sorted(path.name for path in self.directory.glob("*.pid")) + (
            ["control.sock"] if Path(self.control).exists() else []
        )

    def destroy(self) -> None:
        for name in ("parent", "vrrp", "checkers"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(self.pid(name), signal.SIGKILL)
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def daemon(tmp_path):
    made = Daemon(tmp_path)
    yield made
    made.destroy()


def test_a_whole_life(daemon):
    daemon.configure(**BOTH)
    daemon.start()
    assert [line.rsplit(" ", 1)[0] for line in daemon.trace] in (
        ["checker start", "vrrp start"],
        ["vrrp start", "checker start"],
    )
    assert daemon.log.index("Starting Healthcheck child") < daemon.log.index("Starting VRRP child")
    for name in ("parent", "vrrp", "checkers"):
        path = daemon.directory / f"{name}.pid"
        assert path.read_text() == f"{daemon.pid(name)}\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
    daemon.signal(signal.SIGTERM)
    assert daemon.end() == 0
    assert sorted(daemon.trace[2:]) == ["checker stop", "vrrp stop"]
    assert daemon.left() == []
    assert daemon.log.rstrip().endswith("Stopped Keepalived v0 (test)")
    assert "Stopped - used" in daemon.log


def test_only_the_children_that_the_configuration_needs(daemon):
    daemon.configure(vrrp={})
    daemon.start()
    assert daemon.left() == ["parent.pid", "vrrp.pid", "control.sock"]
    daemon.signal(signal.SIGINT)
    assert daemon.end() == 0


def test_without_configuration_the_parent_stays(daemon):
    daemon.configure()
    daemon.start()
    assert "Warning - keepalived has no configuration to run" in daemon.log
    assert daemon.left() == ["parent.pid", "control.sock"]
    daemon.signal(signal.SIGTERM)
    assert daemon.end() == 0
    assert daemon.left() == []


def test_kinds_choose_and_all_forces(daemon):
    daemon.configure(**BOTH)
    daemon.start(kinds=["vrrp"])
    assert daemon.left() == ["parent.pid", "vrrp.pid", "control.sock"]
    daemon.signal(signal.SIGTERM)
    daemon.end()
    daemon.configure()
    daemon.start(wait_for=None, start_all=True)
    daemon.wait_log("Startup complete", 2)
    assert len(daemon.left()) == 4


def test_a_dead_child_is_started_again_and_slower_each_time(daemon):
    daemon.configure(**BOTH)
    daemon.start()
    for number in range(2):
        before = daemon.pid("vrrp")
        os.kill(before, signal.SIGKILL)
        daemon.wait_trace("vrrp start", 2 + number)
        daemon.wait(lambda before=before: daemon.pid("vrrp") != before)
    assert "exited due to signal 9 (Killed)" in daemon.log
    assert "Restart of VRRP process delayed 0 seconds" not in daemon.log
    assert "Restart of VRRP process delayed 1 seconds to limit respawn rate" in daemon.log
    # The successor of the first death adopts what was left; while the second waits, it is taken away.
    assert [line.split()[1] for line in daemon.trace if line.startswith("vrrp")] == [
        *("start", "start", "cleaned", "start")
    ]
    assert daemon.trace.count("checker stop") == 0


def test_restart_delays():
    delays, delay = [], None
    for _ in range(9):
        delay = slot.next_delay(delay, 0)
        delays.append(delay // SECOND_US)
    assert delays == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert slot.next_delay(delay, 61 * SECOND_US) == 0


def test_without_respawn_everything_ends(daemon):
    daemon.configure(**BOTH)
    daemon.start(respawn=False)
    os.kill(daemon.pid("vrrp"), signal.SIGKILL)
    assert daemon.end() == 0
    assert "died: Exiting" in daemon.log
    assert "vrrp cleaned up" in daemon.trace
    assert daemon.left() == []


@pytest.mark.parametrize(("code", "word"), [(1, "FATAL"), (2, "CONFIG"), (4, "missing permission")])
def test_a_permanent_error_ends_everything(daemon, code, word):
    daemon.configure(vrrp={"start": f"exit {code}"}, checker={})
    daemon.start(wait_for=None)
    assert daemon.end() == code
    assert f"exited with permanent error {word}. Terminating" in daemon.log
    assert daemon.left() == []


def test_a_program_that_raises_is_named_without_a_traceback_and_tried_again(daemon):
    daemon.configure(vrrp={"start": "raise"})
    daemon.start(wait_for="delayed 1 seconds")
    assert "RuntimeError: broken on purpose (fake_daemon.py:" in daemon.log
    assert "Traceback" not in daemon.log
    daemon.signal(signal.SIGTERM)
    assert daemon.end() == 0


@pytest.mark.shows("child_wait_time")
def test_a_child_that_does_not_stop_is_killed(daemon, tmp_path):
    file = tmp_path / "keepalived.conf"
    file.write_text("child_wait_time 1\n")
    limit_us = load(str(file), environment={}).config.globals.child_wait_time_us
    assert limit_us == 1_000_000
    daemon.configure(vrrp={"stop": "hang"}, checker={}, child_wait_time_us=limit_us)
    daemon.start()
    daemon.signal(signal.SIGTERM)
    assert daemon.end() == 0
    assert "does not stop - killing it" in daemon.log
    assert "vrrp cleaned up" in daemon.trace
    assert daemon.left() == []


@pytest.mark.parametrize("delay_s", [0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4])
def test_it_stops_at_any_moment_and_leaves_nothing(daemon, delay_s):
    daemon.configure(**BOTH)
    daemon.start(wait_for=None)
    time.sleep(delay_s)
    daemon.signal(signal.SIGTERM)
    assert daemon.end() in {0, -signal.SIGTERM}
    assert "does not stop" not in daemon.log
    assert daemon.left() == []
    assert len([line for line in daemon.trace if " start " in line]) == len(
        [line for line in daemon.trace if line.endswith(" stop")]
    )


def test_children_end_in_order_when_the_parent_is_killed(daemon):
    daemon.configure(**BOTH)
    daemon.start()
    children = [daemon.pid("vrrp"), daemon.pid("checkers")]
    daemon.signal(signal.SIGKILL)
    daemon.end()
    daemon.wait(lambda: {"vrrp stop", "checker stop"} <= set(daemon.trace))
    for child in children:
        daemon.wait(lambda child=child: not Path(f"/proc/{child}").exists())
    # The next start is not kept out by what the killed one left.
    daemon.start(wait_for=None)
    daemon.wait_log("Startup complete", 2)


def test_a_second_daemon_leaves_quietly(daemon):
    daemon.configure(**BOTH)
    daemon.start()
    first = {name: daemon.pid(name) for name in ("parent", "vrrp", "checkers")}
    log = daemon.log
    process = daemon.process
    daemon.start(wait_for=None)
    assert daemon.end() == 0
    daemon.process = process
    new = daemon.log[len(log) :]
    assert "daemon is already running" in new
    assert "Stopped" not in new
    assert {name: daemon.pid(name) for name in first} == first


def test_a_stale_pid_file_is_taken_over(daemon):
    daemon.configure(**BOTH)
    (daemon.directory / "parent.pid").write_text(f"{os.getpid()}\n")
    daemon.start()
    assert daemon.pid("parent") == daemon.process.pid


def test_a_pid_file_that_cannot_be_written(daemon):
    daemon.configure(**BOTH)
    daemon.start(wait_for=None, parent_pid_file="/nonexistent/x.pid")
    assert daemon.end() == 1
    assert "Unable to open pid file /nonexistent/x.pid - No such file or directory" in daemon.log


def test_missing_and_unusable_configuration(daemon):
    daemon.configuration.write_text("missing")
    daemon.start(wait_for=None)
    assert daemon.end() == 6
    assert f"Config files missing '{daemon.configuration}'." in daemon.log
    daemon.configure(missing_word=True)
    daemon.start(wait_for=None)
    assert daemon.end() == 2
    daemon.configure(vrrp={}, errors=["bad word"])
    daemon.start(wait_for=None, strict=True)
    assert daemon.end() == 5
    assert daemon.left() == []


# ---- reload ----


def test_reload_reaches_every_child_and_keeps_it(daemon):
    daemon.configure(**BOTH, name="first")
    daemon.start()
    pids = [daemon.pid(name) for name in ("vrrp", "checkers")]
    daemon.configure(**BOTH, name="second")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("Reload complete")
    assert {"vrrp reload second", "checker reload second"} <= set(daemon.trace)
    assert [daemon.pid(name) for name in ("vrrp", "checkers")] == pids
    status = control.ask(daemon.control, "status")
    assert status["vrrp"] == {"generations": ["first", "second"]}
    assert status["generation"] == 2


@pytest.mark.parametrize("broken", ["missing", "not json", json.dumps({"vrrp": {}, "errors": ["bad word"]}), "{}x"])
def test_a_broken_file_changes_nothing_and_says_why(daemon, broken):
    daemon.configure(**BOTH, name="first")
    daemon.start()
    daemon.configuration.write_text(broken)
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("New configuration is not used, the running one stays")
    status = control.ask(daemon.control, "status")
    assert status["vrrp"] == {"generations": ["first"]}
    assert status["generation"] == 1
    assert status["last_reload"]["ok"] is False
    assert status["last_reload"]["reasons"]
    # And the next good one is taken.
    daemon.configure(**BOTH, name="good")
    daemon.signal(signal.SIGHUP)
    daemon.wait_trace("vrrp reload good")


def test_an_error_that_was_lived_with_does_not_block(daemon):
    daemon.configure(**BOTH, name="first", errors=["bad word"])
    daemon.start()
    daemon.configure(**BOTH, name="second", errors=["bad word"])
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("Reload complete")
    daemon.configure(**BOTH, name="third", errors=["bad word", "worse word"])
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("New configuration is not used, the running one stays: 1 new error(s)")
    assert "vrrp reload third" not in daemon.trace


def test_children_come_and_go_with_the_configuration(daemon):
    daemon.configure(vrrp={})
    daemon.start()
    vrrp = daemon.pid("vrrp")
    daemon.configure(vrrp={}, checker={})
    daemon.signal(signal.SIGHUP)
    daemon.wait_trace("checker start")
    assert daemon.pid("checkers") > 0
    daemon.configure(checker={})
    daemon.signal(signal.SIGHUP)
    daemon.wait_trace("vrrp stop")
    daemon.wait(lambda: not (daemon.directory / "vrrp.pid").exists())
    assert "Respawning" not in daemon.log
    daemon.configure(vrrp={}, checker={})
    daemon.signal(signal.SIGHUP)
    daemon.wait_trace("vrrp start", 2)
    daemon.wait(lambda: daemon.pid("vrrp") != vrrp)


def test_hup_of_a_child_is_a_reload_of_the_whole(daemon):
    daemon.configure(**BOTH, name="first")
    daemon.start()
    daemon.configure(**BOTH, name="second")
    os.kill(daemon.pid("vrrp"), signal.SIGHUP)
    daemon.wait_trace("checker reload second")


def test_many_hups_are_not_lost_and_do_no_harm(daemon):
    daemon.configure(**BOTH, name="0")
    daemon.start()
    pids = [daemon.pid(name) for name in ("vrrp", "checkers")]
    for number in range(1, 40):
        daemon.configure(**BOTH, name=str(number))
        daemon.signal(signal.SIGHUP)
        time.sleep(0.005)
    daemon.wait_trace("vrrp reload 39")
    daemon.wait_trace("checker reload 39")
    assert [daemon.pid(name) for name in ("vrrp", "checkers")] == pids


def test_a_restarted_child_gets_the_newest_generation(daemon):
    daemon.configure(**BOTH, name="first")
    daemon.start()
    daemon.configure(**BOTH, name="second")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("Reload complete")
    os.kill(daemon.pid("vrrp"), signal.SIGKILL)
    daemon.wait_trace("vrrp start", 2)
    daemon.wait(lambda: control.ask(daemon.control, "status").get("vrrp") == {"generations": ["second"]})


# ---- scripts, dumps, background ----


@pytest.mark.shows("global_defs.{startup_script,shutdown_script}")
def test_startup_and_shutdown_scripts_frame_the_children(daemon):
    trace = str(daemon.trace_file)
    daemon.configure(
        **BOTH,
        startup_script=["/bin/sh", "-c", f"sleep 0.2; echo startup >> {trace}"],
        shutdown_script=["/bin/sh", "-c", f"echo shutdown >> {trace}"],
    )
    daemon.start()
    daemon.signal(signal.SIGTERM)
    daemon.end()
    assert daemon.trace[0] == "startup"
    assert daemon.trace[-1] == "shutdown"


def test_a_stop_does_not_wait_for_the_startup_script(daemon):
    daemon.configure(**BOTH, startup_script=["/bin/sleep", "60"])
    daemon.start(wait_for="Running startup script")
    daemon.signal(signal.SIGTERM)
    assert daemon.end(3) == 0
    assert daemon.trace == []


def test_dumps_are_written_whole_and_private(daemon):
    daemon.configure(**BOTH)
    daemon.start()
    files = {
        signal.SIGUSR1: {"keepalived.data": "vrrp data\n", "keepalived_check.data": "checker data\n"},
        signal.SIGUSR2: {"keepalived.stats": "vrrp stats\n"},
        signal.SIGRTMIN + 2: {"keepalived.json": "vrrp json\n"},
    }
    for number, expected in files.items():
        daemon.signal(number)
        for name, text in expected.items():
            path = daemon.directory / name
            daemon.wait(path.exists)
            assert path.read_text() == text
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    daemon.signal(signal.SIGRTMAX - 1)
    daemon.wait(lambda: (daemon.directory / "keepalived.stats").read_text() == "vrrp stats_clear\n")
    assert " Script security disabled\n" in (daemon.directory / "keepalived_parent.data").read_text()


def test_a_dump_does_not_follow_a_link(daemon):
    victim = daemon.directory / "victim"
    victim.write_text("precious")
    (daemon.directory / "keepalived.data").symlink_to(victim)
    daemon.configure(**BOTH)
    daemon.start()
    daemon.signal(signal.SIGUSR1)
    daemon.wait(lambda: not (daemon.directory / "keepalived.data").is_symlink())
    assert victim.read_text() == "precious"


def test_in_the_background_the_pid_file_is_there_when_the_caller_returns(daemon):
    daemon.configure(**BOTH)
    daemon.start(wait_for=None, foreground=False)
    assert daemon.end() == 0
    parent = daemon.pid("parent")
    assert parent != daemon.process.pid
    assert os.getsid(parent) != os.getsid(0)
    daemon.wait_trace("vrrp start")
    os.kill(parent, signal.SIGTERM)
    daemon.wait(lambda: daemon.left() == [])


def test_as_process_one_orphans_are_reaped_and_sigterm_ends_it(daemon):
    daemon.configure(**BOTH, startup_script=["/bin/sh", "-c", "sleep 0.1 & sleep 0.1 & exit 0"])
    words = [f'parent_pid_file="{daemon.directory}/parent.pid"', f'vrrp_pid_file="{daemon.directory}/vrrp.pid"']
    words += [f'checker_pid_file="{daemon.directory}/checkers.pid"', f'control_socket="{daemon.control}"']
    command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, str(FAKE)]
    with daemon.log_file.open("ab") as log:
        daemon.process = subprocess.Popen(
            [*command, str(daemon.configuration), str(daemon.trace_file), *words], stderr=log
        )
    if daemon.process.poll() is not None:
        pytest.skip("no pid namespaces here")
    daemon.wait_log("Startup complete")
    time.sleep(0.3)
    assert daemon.pid("parent") == 1
    (inner,) = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children").read_text().split()
    children = Path(f"/proc/{inner}/task/{inner}/children").read_text().split()
    states = {Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] for child in children}
    assert "Z" not in states
    os.kill(int(inner), signal.SIGTERM)
    assert daemon.end() == 0
    assert daemon.left() == []


# ---- the control socket ----


def test_status_shows_processes_and_does_not_wait_for_one_that_hangs(daemon):
    daemon.configure(vrrp={"status": "hang"}, checker={})
    daemon.start()
    began = time.monotonic()
    status = control.ask(daemon.control, "status")
    assert time.monotonic() - began < 40, "it hangs for a minute"
    assert status["vrrp"] == {"error": "no answer"}
    assert status["checker"] == {"generations": [""]}
    assert [(each["name"], each["pid"]) for each in status["processes"]] == [
        ("checker", daemon.pid("checkers")),
        ("vrrp", daemon.pid("vrrp")),
    ]
    events = control.ask(daemon.control, "events")["events"]
    assert {event["word"] for event in events if "word" in event} == {"vrrp", "checker"}
    with pytest.raises(control.ControlError, match="unknown command 'x'"):
        control.ask(daemon.control, "x")

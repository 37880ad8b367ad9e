"""The script runner: limits, order, hostile scripts, its own death. Effects are asked of the system."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from pykeepalived.model.common import Script, User
from pykeepalived.processes.runner import Runner
from pykeepalived.processes.scripts import RunResult
from pykeepalived.reactor import Reactor

LIMIT_US = 20_000_000


class Bench:
    """A reactor, a runner and the results that came."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.reactor = Reactor()
        self.runner = Runner(self.reactor, self.errors.append)
        self.results: list[tuple[str, RunResult]] = []

    def run(self, name: str, *argv: str, timeout_s: float | None = 10, queue: str | None = None, user=None) -> None:
        self.runner.run(
            Script(argv, user),
            timeout_us=None if timeout_s is None else int(timeout_s * 1_000_000),
            done=lambda result: self.results.append((name, result)),
            queue=queue,
        )

    def wait(self, count: int) -> list[tuple[str, RunResult]]:
        self.until(lambda: len(self.results) >= count)
        return self.results

    def until(self, condition) -> None:
        deadline = time.monotonic() + LIMIT_US / 1e6
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain; results {self.results}, errors {self.errors}"
            self.reactor.turn(20_000)

    def close(self) -> None:
        pid = self.runner.pid
        self.runner.close()
        if pid:
            os.waitpid(pid, 0)
        self.reactor.close()


@pytest.fixture
def bench():
    made = Bench()
    made.runner.start()
    yield made
    made.close()


def shell(text: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", text)


def test_exit_codes_signals_and_output(bench):
    bench.run("three", *shell("echo out; echo err >&2; exit 3"))
    bench.run("killed", *shell("kill -9 $$"))
    found = dict(bench.wait(2))
    assert found["three"].status == 3
    assert found["three"].output == b"out\nerr\n"
    assert found["three"].duration_us > 0
    assert found["killed"].status == -9


@pytest.mark.parametrize(
    ("argv", "status"), [(("/nonexistent/script",), 127), (("/etc/passwd",), 126), ((), 126), (("/",), 126)]
)
def test_what_cannot_be_started_says_why(bench, argv, status):
    bench.run("x", *argv)
    result = bench.wait(1)[0][1]
    assert result.status == status
    assert result.output


def test_a_script_without_interpreter_line_asks_for_one(bench, tmp_path):
    script = tmp_path / "no-shebang"
    script.write_text("exit 0\n")
    script.chmod(0o755)
    bench.run("x", str(script))
    result = bench.wait(1)[0][1]
    assert result.status == 126
    assert b"#!" in result.output


def test_endless_output_is_cut_and_does_not_stop_the_script(bench, tmp_path):
    bench.run("x", *shell(f"head -c 3000000 /dev/zero | tr '\\0' x; echo done > {tmp_path}/done"))
    result = bench.wait(1)[0][1]
    assert result.status == 0
    assert result.output == b"x" * 4096
    assert (tmp_path / "done").exists()


def test_the_answer_comes_at_the_limit_and_the_whole_group_dies(bench, tmp_path):
    bench.run(
        "x", *shell(f"trap '' TERM; echo begun; sleep 60 & echo $! > {tmp_path}/pid; wait; sleep 60"), timeout_s=1
    )
    began = time.monotonic()
    result = bench.wait(1)[0][1]
    assert result.status is None
    assert result.output == b"begun\n"
    assert time.monotonic() - began > 0.9
    grandchild = int((tmp_path / "pid").read_text())
    bench.until(lambda: gone(grandchild))


def gone(pid: int) -> bool:
    """Ended, or a zombie that nobody of ours has to reap."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_queue_keeps_order_and_queues_do_not_wait_for_each_other(bench, tmp_path):
    log = tmp_path / "log"
    for number in range(5):
        bench.run(f"a{number}", *shell(f"sleep 0.0{5 - number}; echo a{number} >> {log}"), queue="a")
    bench.run("slow", *shell("sleep 1"), queue="b")
    bench.run("free", *shell(":"))
    names = [name for name, _ in bench.wait(6)]
    assert log.read_text().split() == ["a0", "a1", "a2", "a3", "a4"]
    assert "slow" not in names


def test_a_notify_script_that_starts_a_daemon_ends_the_run_and_the_daemon_lives(bench, tmp_path):
    pid_file = tmp_path / "pid"
    bench.run("x", *shell(f"sleep 30 & echo $! > {pid_file}"), timeout_s=None)
    assert bench.wait(1)[0][1].status == 0
    daemon = int(pid_file.read_text())
    assert not gone(daemon)
    os.kill(daemon, signal.SIGKILL)


@pytest.fixture
def output(tmp_path):
    """Our standard output and error become one file, as those of a daemon are one place."""
    kept = os.dup(1), os.dup(2)
    path = tmp_path / "output"
    with path.open("ab") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    made = Bench()
    try:
        made.runner.start()
        yield made, path
    finally:
        for number, descriptor in zip((1, 2), kept, strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)
        made.close()


def test_what_a_notify_script_says_is_kept_and_goes_where_it_always_went(output):
    bench, path = output
    bench.run("x", *shell("echo said; echo complained >&2"), timeout_s=None)
    bench.run("y", *shell("head -c 20000 /dev/zero | tr '\\0' a; echo end; exit 3"), timeout_s=None)
    found = dict(bench.wait(2))
    assert (found["x"].output, found["y"].status) == (b"said\ncomplained\n", 3)
    assert found["y"].output == (b"a" * 20000 + b"end\n")[-4096:]
    text = path.read_bytes()
    assert (b"said\ncomplained\n" in text, text.count(b"a") >= 20000, text.endswith(b"\n")) == (True, True, True)


def test_a_daemon_of_a_notify_script_goes_on_writing_when_the_runner_should_end(output, tmp_path):
    """Nobody waits for the end of its output, and nobody takes the reader away from it."""
    bench, path = output
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    daemon = f"read word < {fifo}; echo $word; read word < {fifo}; echo $word; echo $$ > {tmp_path}/lives"
    bench.run("x", *shell(f"({daemon}) & echo started"), timeout_s=None)
    assert bench.wait(1)[0][1].output == b"started\n"
    fifo.write_text("later\n")
    bench.until(lambda: "later" in path.read_text())
    bench.runner.close()
    fifo.write_text("last\n")
    bench.until((tmp_path / "lives").exists)
    bench.until(lambda: "last" in path.read_text())
    # It has let go, so the runner ends: the fixture waits for that.


def test_a_check_that_leaves_a_holder_of_its_output_still_ends(bench, tmp_path):
    bench.run("x", *shell(f"sleep 30 & echo $! > {tmp_path}/pid; echo fine"))
    began = time.monotonic()
    assert bench.wait(1)[0][1].output == b"fine\n"
    assert time.monotonic() - began < 25, "it would wait for the holder"
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_process_group_signals_and_environment(bench, monkeypatch):
    bench.close()
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nowhere")
    monkeypatch.setenv("IFS", ":")
    monkeypatch.setenv("KEPT", "yes")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        again = Bench()
        again.runner.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    again.run("env", "/usr/bin/env")
    again.run("signals", "/bin/grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")
    again.run("group", *shell("ps -o pid=,pgid=,sid= -p $$"))
    found = {name: result.output.decode() for name, result in again.wait(3)}
    again.close()
    bench.__init__()
    bench.runner.start()
    assert "KEPT=yes" in found["env"]
    assert "LD_LIBRARY_PATH" not in found["env"]
    assert "IFS" not in found["env"]
    # The C library keeps 32 and 33 for itself: what a test's ancestors did with them cannot be undone through it.
    settable = ~(3 << 31)
    assert [int(line.split()[1], 16) & settable for line in found["signals"].splitlines()] == [0, 0]
    pid, group, _session = found["group"].split()
    assert pid == group


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_script_runs_as_its_user(bench):
    bench.run("x", "/usr/bin/id", user=User("nobody", 65534, 65534))
    result = bench.wait(1)[0][1]
    assert result.output.startswith(b"uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)")


def test_the_runners_death_loses_nothing_that_had_not_begun(bench, tmp_path):
    log = tmp_path / "log"
    bench.run("running", *shell(f"echo $$ > {log}.group; echo begun >> {log}; sleep 60"), queue="q", timeout_s=90)
    bench.until(log.exists)
    for name in ("one", "two"):
        bench.run(name, *shell(f"echo {name} >> {log}"), queue="q")
    bench.reactor.turn(50_000)
    first = bench.runner.pid
    os.kill(first, signal.SIGKILL)
    bench.wait(3)
    assert [name for name, _ in bench.results] == ["running", "one", "two"]
    assert dict(bench.results)["running"].status is None
    assert log.read_text().split() == ["begun", "one", "two"]
    assert bench.runner.pid not in {0, first}
    assert any("died" in error for error in bench.errors)
    os.killpg(int((tmp_path / "log.group").read_text()), signal.SIGKILL)


def test_what_waits_at_the_end_is_still_started_and_the_runner_leaves(tmp_path):
    bench = Bench()
    bench.runner.start()
    log = tmp_path / "log"
    bench.run("check", "/bin/sleep", "60", timeout_s=90)
    bench.run("first", *shell(f"sleep 0.3; echo first >> {log}"), queue="q", timeout_s=None)
    bench.run("second", *shell(f"sleep 0.1; echo second >> {log}"), queue="q", timeout_s=None)
    pid = bench.runner.pid
    bench.close()  # waits for the runner's end
    deadline = time.monotonic() + 60
    while not (log.exists() and "second" in log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert log.read_text().split() == ["first", "second"]
    assert gone(pid)


def test_too_long_an_argument_list_is_refused(bench):
    bench.run("x", "/bin/true", "y" * 200_000)
    result = bench.wait(1)[0][1]
    assert result.status == 126


def test_many_scripts_at_once(bench):
    for number in range(300):
        bench.run(str(number), "/bin/true", queue=f"q{number % 7}")
    assert all(result.status == 0 for _, result in bench.wait(300))


def test_the_runner_has_a_name_of_its_own_and_holds_no_foreign_descriptor(bench):
    bench.run("x", "/bin/true")
    bench.wait(1)
    status = Path(f"/proc/{bench.runner.pid}")
    assert (status / "comm").read_text() == "script-runner\n"
    assert (status / "cmdline").read_bytes().rstrip(b"\0") == b"script-runner"
    targets = sorted(str(entry.readlink()) for entry in (status / "fd").iterdir() if int(entry.name) > 2)
    assert [target.split(":")[0] for target in targets] == ["anon_inode", "anon_inode", "socket"]

"""One director in a network namespace, steered with `keepalivedctl` alone: commands, JSON, exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

import msgspec
import pytest

from pykeepalived.runtime.requests import ROWS
from pykeepalived.tools.lab import Lab, wait_until

pytestmark = pytest.mark.netns
PATIENCE_S = 120
ROOT = Path(__file__).parents[2]

FILE = """\
vrrp_script fails {
    script "/bin/sh -c 'echo no disk; exit 3'"
    interval 1
    weight -10
}
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 0.1
    version 3
    virtual_ipaddress {
        10.9.0.9/24
    }
    track_script {
        fails
    }
}
"""
CTL = "import sys; from pykeepalived.cli.keepalivedctl import main; sys.exit(main())"
DAEMON = "import sys; from pykeepalived.cli.keepalived import main; sys.exit(main())"


class Director:
    def __init__(self, lab, into):
        self.lab, self.into = lab, into
        self.here = lab.namespace("director")
        peer = lab.namespace("peer")
        lab.link(self.here, "eth0", peer, "eth0")
        self.here.address("eth0", "10.9.0.1/24")
        self.file = into / "k.conf"
        self.log = into / "log"
        self.env = os.environ | {"PYKEEPALIVED_STATE_DIRECTORY": tempfile.mkdtemp(prefix="operating")}
        self.write(FILE)
        self.start()

    def write(self, text):
        self.file.write_text(text)
        self.file.chmod(0o600)

    def start(self):
        pids = (f"-{letter}" for letter in "prc")
        files = [word for flag in pids for word in (flag, str(self.into / f"{flag[1]}.pid"))]
        self.process = self.lab.popen(
            self.here, sys.executable, "-c", DAEMON, "-n", "-l", "-D", "-f", str(self.file), *files,
            log=self.log, env=self.env, cwd=ROOT,
        )  # fmt: skip

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)

    def ctl(self, *words, code=0):
        """What a command prints. A machine that is too busy to answer within its limits is asked again."""
        end_s = time.monotonic() + PATIENCE_S
        while True:
            done = subprocess.run(
                [sys.executable, "-c", CTL, *words],
                env=self.env,
                capture_output=True,
                text=True,
                check=False,
                cwd=ROOT,
                timeout=PATIENCE_S,
            )
            late = "no answer" in done.stderr or '"no answer"' in done.stdout
            late = late or (done.returncode != code and "no control socket" in done.stderr)
            if not late or time.monotonic() > end_s:
                assert done.returncode == code, (words, done.stdout, done.stderr, self.log.read_text())
                return done.stdout

    def json(self, *words, code=0):
        return json.loads(self.ctl(*words, "--json", code=code))

    def state(self):
        return self.json("status")["vrrp"]["instances"][0]["state"]

    def until(self, state):
        wait_until(lambda: self.state() == state, PATIENCE_S, f"{state}")


@pytest.fixture(scope="module")
def director(tmp_path_factory):
    with Lab("operating") as lab:
        made = Director(lab, tmp_path_factory.mktemp("operating"))
        wait_until(lambda: "Startup complete" in made.log.read_text(), PATIENCE_S, "the start")
        made.until("MASTER")
        yield made
        made.stop()
    shutil.rmtree(made.env["PYKEEPALIVED_STATE_DIRECTORY"], ignore_errors=True)


def holds(director):
    return "10.9.0.9" in director.here.ip("addr", "show", "dev", "eth0")


def test_standby_is_a_handover_that_outlasts_reload_and_restart(director):
    assert holds(director)
    answer = director.json("standby", "VI_1")
    assert answer["instances"][0]["state"] == "STANDBY"
    assert not holds(director)
    assert "an operator holds it back" in director.ctl("explain", "VI_1")
    director.write(FILE.replace("priority 100", "priority 120"))
    director.json("status")
    since = director.json("events")["last"]
    director.process.send_signal(signal.SIGHUP)
    wait_until(
        lambda: any(item["event"] == "reload" for item in director.json("events", "--since", str(since))["events"]),
        PATIENCE_S,
        "the reload",
    )
    assert director.state() == "STANDBY"
    director.stop()
    director.start()
    wait_until(lambda: director.log.read_text().count("Startup complete") == 2, PATIENCE_S, "the second start")
    director.until("STANDBY")
    assert not holds(director)
    director.ctl("resume")
    director.until("MASTER")
    assert holds(director)


def test_why_it_is_master_is_one_command_and_what_the_script_said_another(director):
    director.until("MASTER")
    wait_until(
        lambda: any(part["adds"] for part in director.json("explain", "VI_1")["instances"][0]["trackers"]),
        PATIENCE_S,
        "the script's weight",
    )
    text = director.ctl("explain", "VI_1")
    assert "MASTER: no router sends adverts with a priority above" in text
    assert "-10 (script fails)" in text

    def said():
        # On a busy machine a run may meet its time limit of a second.
        runs = director.json("scripts")["scripts"][0]["runs"]
        return any((run["status"], run["output"]) == (3, "no disk\n") for run in runs)

    wait_until(said, PATIENCE_S, "a run with its output")
    wait_until(lambda: "no disk" in director.ctl("scripts", "--failed"), PATIENCE_S, "the same for people")


def test_events_can_be_followed_from_where_a_reader_stopped(director):
    first = director.json("events")
    assert [item["seq"] for item in first["events"]] == list(range(1, first["last"] + 1))
    follower = subprocess.Popen(
        [sys.executable, "-c", CTL, "events", "--follow", "--json", "--since", str(first["last"])],
        env=director.env, cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        director.ctl("standby", "VI_1")
        director.ctl("resume", "VI_1")
        seen = []
        while not any(item["event"] == "vrrp-standby" and not item["on"] for item in seen):
            seen.append(json.loads(follower.stdout.readline()))
        assert [item["seq"] for item in seen] == list(range(first["last"] + 1, first["last"] + 1 + len(seen)))
    finally:
        follower.kill()
        follower.wait()
        follower.stdout.close()
    director.until("MASTER")


def test_refusals_have_exit_code_1_and_a_sentence(director):
    for words in (
        ("explain", "nobody"),
        ("standby", "nobody"),
        ("drain", "10.0.0.1:80", "10.0.0.2"),
        ("checks", "run", "x"),
    ):
        director.ctl(*words, code=1)
    director.ctl("weight", "a", "b", code=2)
    with contextlib.suppress(FileNotFoundError):
        director.ctl("status", "--socket", str(director.into / "nothing"), code=3)


def test_answers_have_the_documented_shape(director):
    for command, words in (("identity", ()), ("status", ("status",)), ("explain", ("explain", "VI_1")),
                           ("events", ("events",)), ("scripts", ("scripts",))):  # fmt: skip
        if words:
            msgspec.convert(director.json(*words), ROWS[command].answer)


def test_a_plan_is_what_a_reload_then_does(director):
    director.until("MASTER")
    fresh = director.into / "fresh.conf"
    text = director.file.read_text()
    fresh.write_text(text.replace("10.9.0.9/24", "10.9.0.8/24"))
    answer = director.json("plan", str(fresh))
    (change,) = answer["changes"]
    assert (change["name"], change["verb"]) == ("VI_1", "change")
    assert change["details"] == ["addresses: - 10.9.0.9/24", "addresses: + 10.9.0.8/24"]
    assert director.json("plan")["changes"] == []
    assert "(now MASTER)" in director.ctl("plan", str(fresh))
    fresh.write_text(text.replace("virtual_router_id 51", "virtual_router_id none"))
    director.ctl("plan", str(fresh), code=1)


def test_watch_on_a_terminal_of_60_columns(director):
    near, far = pty.openpty()
    termios.tcsetwinsize(far, (20, 60))
    process = subprocess.Popen(
        [sys.executable, "-c", CTL, "watch"], env=director.env | {"TERM": "xterm"}, cwd=ROOT,
        stdin=far, stdout=far, stderr=far, start_new_session=True,
    )  # fmt: skip
    os.close(far)
    os.set_blocking(near, False)
    seen = bytearray()

    def shown(word):
        with contextlib.suppress(BlockingIOError, OSError):
            seen.extend(os.read(near, 65536))
        return word in seen

    try:
        wait_until(lambda: shown(b"VI_1"), PATIENCE_S, "the instance")
        os.write(near, b"s")
        wait_until(lambda: shown(b"sort: name"), PATIENCE_S, "another order")
        os.write(near, b"q")
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(near)

"""Which scripts an event starts, in which order, with which arguments; what FIFO readers see."""

from __future__ import annotations

import os
import stat

import pytest

from pykeepalived.model import Config, Script, SyncGroup, VrrpInstance
from pykeepalived.model.common import User
from pykeepalived.notify.fifo import NotifyFifo, lvs_line, vrrp_line
from pykeepalived.notify.scripts import ScriptNotifier
from pykeepalived.processes.scripts import RunResult
from pykeepalived.vrrp.events import Notify, NotifyKind

INSTANCE = VrrpInstance(
    name="VI 1",
    vrid=1,
    interface="eth0",
    notify_master=Script(("/s/master", "x y")),
    notify_backup=Script(("/s/backup",)),
    notify_fault=Script(("/s/fault",)),
    notify_stop=Script(("/s/stop",)),
    notify_deleted=Script(("/s/deleted",)),
    notify_master_rx_lower_pri=Script(("/s/lower",)),
    notify=Script(("/s/all", "own"), User("nobody", 65534, 65534)),
)
GROUP = SyncGroup(name="G1", members=("VI 1",), notify_master=Script(("/s/gmaster",)), notify=Script(("/s/gall",)))
CONFIG = Config(instances=(INSTANCE,), sync_groups=(GROUP,))


class Recorder:
    """Stands for the script runner."""

    def __init__(self):
        self.runs = []

    def run(self, script, *, timeout_us, done, queue=None):
        self.runs.append((script.argv, queue, timeout_us))
        self.done = done


@pytest.fixture
def bench():
    recorder = Recorder()
    errors = []
    return ScriptNotifier(recorder, errors.append), recorder, errors


@pytest.mark.parametrize(
    ("state", "own"),
    [
        ("MASTER", ("/s/master", "x y")),
        ("BACKUP", ("/s/backup",)),
        ("FAULT", ("/s/fault",)),
        ("STOP", ("/s/stop",)),
        ("DELETED", ("/s/deleted",)),
    ],
)
def test_an_instance_calls_the_states_script_then_the_general_one(bench, state, own):
    notifier, recorder, _ = bench
    notifier.vrrp(CONFIG, Notify(NotifyKind.INSTANCE, "VI 1", state, 110))
    assert recorder.runs == [
        (own, "INSTANCE VI 1", None),
        (("/s/all", "own", "INSTANCE", "VI 1", state, "110"), "INSTANCE VI 1", None),
    ]


def test_events_that_are_no_transition_do_not_call_the_general_script(bench):
    notifier, recorder, _ = bench
    notifier.vrrp(CONFIG, Notify(NotifyKind.INSTANCE, "VI 1", "MASTER_RX_LOWER_PRI", 110))
    notifier.vrrp(CONFIG, Notify(NotifyKind.INSTANCE, "VI 1", "MASTER_PRIORITY", 110))
    assert [argv for argv, *_ in recorder.runs] == [("/s/lower",)]


def test_a_group_calls_with_priority_0_in_a_queue_of_its_own(bench):
    notifier, recorder, _ = bench
    notifier.vrrp(CONFIG, Notify(NotifyKind.GROUP, "G1", "MASTER", 200))
    notifier.vrrp(CONFIG, Notify(NotifyKind.GROUP, "G1", "BACKUP", 200))
    assert recorder.runs == [
        (("/s/gmaster",), "GROUP G1", None),
        (("/s/gall", "GROUP", "G1", "MASTER", "0"), "GROUP G1", None),
        (("/s/gall", "GROUP", "G1", "BACKUP", "0"), "GROUP G1", None),
    ]


def test_unknown_names_and_missing_scripts_start_nothing(bench):
    notifier, recorder, _ = bench
    notifier.vrrp(CONFIG, Notify(NotifyKind.INSTANCE, "VI_2", "MASTER", 1))
    bare = Config(instances=(VrrpInstance(name="VI 1", vrid=1, interface=None),))
    notifier.vrrp(bare, Notify(NotifyKind.INSTANCE, "VI 1", "MASTER", 1))
    assert recorder.runs == []


def test_only_what_could_not_be_started_is_an_error(bench):
    notifier, recorder, errors = bench
    notifier.run(Script(("/s/x",)), "q")
    recorder.done(RunResult(3, b"whatever"))
    recorder.done(RunResult(-15))
    assert errors == []
    recorder.done(RunResult(127, b"No such file or directory"))
    assert errors == ["Script `/s/x` could not be started: No such file or directory"]


# ---- FIFOs ----


def test_lines():
    assert vrrp_line(Notify(NotifyKind.INSTANCE, "VI_1", "MASTER", 110)) == b'INSTANCE "VI_1" MASTER 110\n'
    assert vrrp_line(Notify(NotifyKind.GROUP, "G1", "MASTER", 0)) == b'GROUP "G1" MASTER 0\n'
    assert lvs_line("VS [10.0.0.1]:tcp:80 UP") == b"VS [10.0.0.1]:tcp:80 UP\n\0"


def test_a_fifo_is_made_written_and_removed(tmp_path):
    path = tmp_path / "fifo"
    errors = []
    fifo = NotifyFifo(str(path), errors.append)
    assert stat.S_ISFIFO(path.stat().st_mode)
    fifo.write(b"before a reader\n")
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    fifo.write(b"after\n")
    assert os.read(reader, 100) == b"before a reader\nafter\n"
    for _ in range(20_000):
        fifo.write(b"x" * 99 + b"\n")  # nobody reads: lines are dropped, and whole
    data = b""
    try:
        while piece := os.read(reader, 65536):
            data += piece
    except BlockingIOError:
        pass
    assert 0 < len(data) <= 1 << 20
    assert set(data.splitlines()) == {b"x" * 99}
    fifo.close()
    assert not path.exists()
    assert errors == []
    os.close(reader)


def test_an_existing_fifo_stays(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path, 0o600)
    NotifyFifo(str(path), lambda text: None).close()
    assert path.exists()


@pytest.mark.parametrize("kind", ["file", "link", "directory", "nowhere"])
def test_what_is_no_fifo_of_ours_is_not_used(tmp_path, kind):
    path = tmp_path / "fifo"
    if kind == "file":
        path.write_text("precious")
    elif kind == "link":
        os.mkfifo(tmp_path / "other")
        path.symlink_to(tmp_path / "other")
    elif kind == "directory":
        path.mkdir()
    else:
        path = tmp_path / "no" / "fifo"
    errors = []
    fifo = NotifyFifo(str(path), errors.append)
    assert not fifo.usable
    fifo.write(b"x\n")
    fifo.close()
    assert len(errors) == 1
    if kind == "file":
        assert path.read_text() == "precious"

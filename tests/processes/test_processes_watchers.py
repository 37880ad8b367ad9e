"""The watchers of files and processes, on the real kernel."""

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykeepalived.model.vrrp import ParamMatch, TrackFile, TrackProcess
from pykeepalived.processes import proc_events, proc_watch
from pykeepalived.processes.file_watch import FileWatcher, number_of, read_number
from pykeepalived.processes.proc_table import fits
from pykeepalived.processes.proc_watch import ProcessWatcher
from pykeepalived.reactor import Reactor


class Notes:
    """A log and a list of what was told."""

    def __init__(self):
        self.lines = []
        self.told = []

    def info(self, text):
        self.lines.append(text)

    error = info

    def __call__(self, name, value):
        self.told.append((name, value))


def turn_until(reactor, condition, limit_s=60):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "nothing happened in time"
        reactor.turn(20_000)


@pytest.fixture
def reactor():
    made = Reactor()
    yield made
    made.close()


# ---- numbers ----


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"", 0), (b"\n", 0), (b"5\n", 5), (b" -5", -5), (b"+7", 7), (b"0x10", 16), (b"010", 8), (b"0", 0),
        (b"99999999999", 2**31 - 1), (b"-99999999999", -(2**31 - 1)),
        (b"junk", None), (b"5 6", None), (b"5x", None), (b"08", None), (b"\xff", None), (b"1" * 128, 2**31 - 1),
    ],
)  # fmt: skip
def test_numbers_are_those_of_c(text, number):
    assert number_of(text) == number


@given(st.binary(max_size=200))
def test_no_content_of_a_file_breaks_the_reader(data):
    value = number_of(data)
    assert value is None or -(2**31) < value < 2**31


# ---- files ----


def test_a_file_is_followed_through_its_whole_life(reactor, tmp_path):
    path = tmp_path / "load"
    notes = Notes()
    watcher = FileWatcher(reactor, notes, notes)
    assert watcher.update([TrackFile(name="f", path=str(path))]) == {"f": 0}
    path.write_text("5\n")
    turn_until(reactor, lambda: notes.told == [("f", 5)])
    path.write_text("junk")
    turn_until(reactor, lambda: notes.told[1:] == [("f", 0)])
    assert any("holds no number" in line for line in notes.lines)
    other = tmp_path / "new"
    other.write_text("0x20")
    other.rename(path)
    turn_until(reactor, lambda: notes.told[2:] == [("f", 32)])
    path.rename(other)
    turn_until(reactor, lambda: notes.told[3:] == [("f", 0)])
    other.rename(path)
    turn_until(reactor, lambda: notes.told[4:] == [("f", 32)])
    path.unlink()
    turn_until(reactor, lambda: notes.told[5:] == [("f", 0)])
    (tmp_path / "stranger").write_text("77")
    reactor.turn(50_000)
    assert len(notes.told) == 6
    watcher.close()


def test_a_link_is_followed_to_its_target_and_to_another(reactor, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "value").write_text("9")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "a" / "value")
    notes = Notes()
    watcher = FileWatcher(reactor, notes, notes)
    watcher.update([TrackFile(name="f", path=str(link))])
    (tmp_path / "a" / "value").write_text("3")
    turn_until(reactor, lambda: notes.told == [("f", 3)])
    fresh = tmp_path / "fresh"
    fresh.symlink_to(tmp_path / "b" / "value")
    fresh.rename(link)
    turn_until(reactor, lambda: notes.told[1:] == [("f", 9)])
    (tmp_path / "b" / "value").write_text("10")
    turn_until(reactor, lambda: notes.told[2:] == [("f", 10)])
    watcher.close()


def test_a_directory_that_is_made_again_is_found_again(reactor, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    notes = Notes()
    watcher = FileWatcher(reactor, notes, notes)
    (home / "f").write_text("1")
    assert watcher.update([TrackFile(name="f", path=str(home / "f"))]) == {"f": 1}
    (home / "f").unlink()
    home.rmdir()
    turn_until(reactor, lambda: notes.told == [("f", 0)])
    home.mkdir()
    (home / "f").write_text("4")
    turn_until(reactor, lambda: notes.told[1:] == [("f", 4)])
    watcher.close()


@pytest.mark.shows("{track_file,vrrp_track_file}.init_file", "track_file.init_file.overwrite")
@pytest.mark.parametrize(
    ("before", "overwrite", "after"), [(None, False, 42), (None, True, 42), ("7", False, 7), ("7", True, 42)]
)
def test_init_file(reactor, tmp_path, before, overwrite, after):
    path = tmp_path / "f"
    if before is not None:
        path.write_text(before)
    notes = Notes()
    watcher = FileWatcher(reactor, notes, notes)
    config = TrackFile(name="f", path=str(path), init_value=42, init_overwrite=overwrite)
    assert watcher.update([config]) == {"f": after}
    # A reload makes nothing again.
    path.write_text("3")
    assert watcher.update([config]) == {"f": 3}
    watcher.close()


def test_what_is_no_regular_file_counts_as_0_and_blocks_nobody(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    notes = Notes()
    assert read_number(str(tmp_path / "fifo"), notes.error) == 0
    assert read_number(str(tmp_path), notes.error) == 0
    assert read_number("/dev/zero", notes.error) == 0
    assert read_number("a\0b", notes.error) == 0
    assert len(notes.lines) == 4


# ---- which processes ----


def ab(match):
    return {"process": "x", "parameters": ("a", "b"), "param_match": match}


@pytest.mark.shows("vrrp_track_process.{param_match,full_command}")
@pytest.mark.parametrize(
    ("config", "comm", "words", "fitting"),
    [
        ({"process": "nginx"}, b"nginx", [b"nginx: master"], True),
        ({"process": "nginx"}, b"bash", [b"nginx"], False),
        ({"process": "a-very-long-name-of-it"}, b"a-very-long-nam", [], True),
        ({"process": "/bin/x", "full_command": True}, b"x", [b"/bin/x", b"-y"], True),
        ({"process": "/bin/x", "full_command": True}, b"x", [b"x"], False),
        (ab(ParamMatch.EXACT), b"", [b"x", b"a", b"b"], True),
        (ab(ParamMatch.EXACT), b"", [b"x", b"a", b"b", b"c"], False),
        ({"process": "x", "param_match": ParamMatch.EXACT, "full_command": True}, b"", [b"x", b"a"], False),
        (ab(ParamMatch.INITIAL), b"", [b"x", b"a", b"b", b"c"], True),
        (ab(ParamMatch.INITIAL), b"", [b"x", b"a", b"bc"], False),
        (ab(ParamMatch.PARTIAL), b"", [b"x", b"a", b"bc"], True),
        (ab(ParamMatch.PARTIAL), b"", [b"x", b"ab", b"b"], False),
        (ab(ParamMatch.PARTIAL), b"", [b"x", b"a"], False),
        ({"process": "x", "full_command": True}, b"x", [], False),
    ],
)  # fmt: skip
def test_which_processes_are_meant(config, comm, words, fitting):
    assert fits(TrackProcess(name="p", **config), comm, words) is fitting


def unique_name():
    return f"trk{os.getpid() % 100000}-{time.monotonic_ns() % 10000}"


@pytest.mark.parametrize("news", [True, False], ids=["events", "polling"])
def test_processes_are_counted_as_they_come_and_go(reactor, tmp_path, monkeypatch, news):
    if not news:

        def refuse():
            raise OSError(1, "Operation not permitted")

        monkeypatch.setattr(proc_watch, "ProcessNews", refuse)
    elif os.geteuid() != 0:
        pytest.skip("process events need root")
    name = unique_name()
    program = tmp_path / name
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o755)
    notes = Notes()
    watcher = ProcessWatcher(reactor, notes, notes)
    with subprocess.Popen([program, "100"]) as first:
        trackers = [
            TrackProcess(name="name", process=name),
            TrackProcess(name="line", process=str(program), parameters=("50",), param_match=ParamMatch.EXACT),
        ]
        turn_until(reactor, lambda: watcher.update(trackers) == {"name": 1, "line": 0})
        if news:
            turn_until(reactor, lambda: watcher.served or watcher._poll is None)
            if not watcher.served:
                pytest.skip("this kernel sends no process events")
        with subprocess.Popen([program, "50"]) as second:
            turn_until(reactor, lambda: {("name", 2), ("line", 1)} <= set(notes.told))
            second.kill()
            second.wait()
        turn_until(reactor, lambda: notes.told[-2:] and set(notes.told[-2:]) == {("name", 1), ("line", 0)})
        first.kill()
        first.wait()
    turn_until(reactor, lambda: notes.told[-1] == ("name", 0))
    assert any("once a second" in line for line in notes.lines) is not news
    watcher.close()


def message(what, *numbers, index=1):
    body = struct.pack("=IIQ", what, 0, 0) + struct.pack("=IIII", *numbers)
    return struct.pack("=IHHII", 0, 3, 0, 0, 0) + struct.pack("=IIIIHH", index, 1, 0, 0, len(body), 0) + body


def test_news_of_threads_and_of_others_are_not_read():
    kinds = proc_events.Kind
    assert proc_events.parse(message(1, 10, 10, 20, 20)) == proc_events.News(kinds.FORK, 20, 10)
    assert proc_events.parse(message(1, 10, 10, 21, 10)) is None
    assert proc_events.parse(message(2, 20, 20, 0, 0)) == proc_events.News(kinds.EXEC, 20)
    assert proc_events.parse(message(0x80000000, 21, 20, 0, 0)) is None
    assert proc_events.parse(message(2, 20, 20, 0, 0, index=7)) is None
    assert proc_events.parse(message(0x4, 20, 20, 0, 0)) is None


@given(st.binary(max_size=120))
def test_no_message_breaks_the_parser(data):
    proc_events.parse(data)


def test_a_storm_that_overflows_is_counted_anew(reactor, monkeypatch):
    class Stormy:
        def read(self):
            raise proc_events.Overrun
            yield

        def fileno(self):
            return reading

        def set_buffer(self, size, *, force):
            pass

        def close(self):
            pass

    reading, writing = os.pipe()
    os.write(writing, b"x")
    monkeypatch.setattr(proc_watch, "ProcessNews", Stormy)
    notes = Notes()
    watcher = ProcessWatcher(reactor, notes, notes)
    watcher.update([TrackProcess(name="me", process=Path(sys.executable).name)])
    watcher._counts["me"] = 12345
    turn_until(reactor, lambda: any("lost" in line for line in notes.lines))
    assert notes.told
    assert notes.told[-1][0] == "me"
    assert notes.told[-1][1] < 12345
    watcher.close()
    os.close(reading)
    os.close(writing)

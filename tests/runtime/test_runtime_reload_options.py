"""The words of global_defs around reloads and files of the daemon, with programs that do nothing in the children."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from pathlib import Path

import pytest

from pykeepalived.model.common import User
from pykeepalived.model.config import Config, GlobalDefs
from pykeepalived.model.daemon import DaemonSettings
from pykeepalived.model.links import FirewallSettings
from pykeepalived.processes import runner_process, wire
from pykeepalived.runtime.dumps import dump_name
from pykeepalived.runtime.namespaces import without_sets
from pykeepalived.runtime.reload import Loaded
from pykeepalived.runtime.reload_time import due_at
from tests.runtime.test_runtime_supervisor import BOTH, Daemon


@pytest.fixture
def daemon(tmp_path):
    made = Daemon(tmp_path)
    yield made
    made.destroy()


def reload(running: Daemon, **facts) -> None:
    running.configure(**BOTH, **facts)
    running.signal(signal.SIGHUP)


@pytest.mark.shows("global_defs.reload_check_config")
def test_a_file_that_a_test_complains_of_is_refused_and_said_in_the_file(daemon, tmp_path):
    words = {"reload_check_config": str(tmp_path / "why")}
    # An error that the running configuration has, too: without the word it would not block.
    daemon.configure(**BOTH, daemon=words, errors=["old error"], name="first")
    daemon.start()
    reload(daemon, daemon=words, errors=["old error"], name="second")
    daemon.wait_log(f"New config failed validation, see {tmp_path}/why for details")
    assert "old error" in (tmp_path / "why").read_text()
    assert "vrrp reload second" not in daemon.trace
    reload(daemon, daemon=words, name="third")
    daemon.wait_log("Reload complete")
    assert (tmp_path / "why").read_text() == ""


@pytest.mark.shows("global_defs.reload_file")
@pytest.mark.parametrize("path", ["marker", ""])
def test_a_file_marks_the_reload(daemon, tmp_path, path):
    marker = tmp_path / (path or "parent.reload")
    words = {"reload_file": str(marker) if path else ""}
    slow = {"vrrp": {"reload": "sleep 1"}, "checker": {}}
    daemon.configure(**slow, daemon=words, name="first")
    daemon.start()
    assert not marker.exists()
    daemon.configure(**slow, daemon=words, name="second")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("Reloading ...")
    daemon.wait(marker.exists)
    assert marker.stat().st_mode & 0o777 == 0o644
    daemon.wait_log("Reload complete")
    daemon.wait(lambda: not marker.exists())


@pytest.mark.shows("global_defs.config_save_dir")
def test_copies_of_each_generation_are_kept(daemon, tmp_path):
    kept = tmp_path / "kept"
    daemon.configure(**BOTH, daemon={"config_save_dir": str(kept)}, name="first")
    daemon.start()
    parent, vrrp = daemon.pid("parent"), daemon.pid("vrrp")
    assert '"first"' in (kept / f"keepalived.conf.{parent}.0").read_text()
    reload(daemon, daemon={"config_save_dir": str(kept)}, name="second")
    daemon.wait_log("Reload complete")
    assert '"second"' in (kept / f"keepalived.conf.{parent}.1").read_text()
    daemon.wait((kept / f"keepalived_vrrp.{vrrp}.1.post").exists)
    assert (kept / f"keepalived_vrrp.{vrrp}.1.pre").read_text() == "vrrp data\n"
    assert all(path.stat().st_mode & 0o77 == 0 for path in [kept, *kept.iterdir()])


@pytest.mark.shows("global_defs.tmp_config_directory")
def test_the_copy_in_use_is_in_the_directory_of_the_word(daemon, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    daemon.configure(**BOTH, daemon={"tmp_config_directory": str(place)}, name="first")
    daemon.start()
    descriptors = Path(f"/proc/{daemon.pid('parent')}/fd")
    (copy,) = [path for path in descriptors.iterdir() if str(path.readlink()).startswith(f"{place}/")]
    assert '"first"' in copy.read_text()
    assert list(place.iterdir()) == []
    reload(daemon, daemon={"tmp_config_directory": "/tmp"}, name="second")
    daemon.wait_log("Cannot change tmp_config_directory at a reload - please restart keepalived")
    daemon.wait_log("Reload complete")
    (copy,) = [path for path in descriptors.iterdir() if str(path.readlink()).startswith(f"{place}/")]
    assert '"second"' in copy.read_text()


@pytest.mark.shows("global_defs.{reload_time_file,reload_repeat}")
@pytest.mark.parametrize("stays", [False, True])
def test_a_reload_at_a_time(daemon, tmp_path, stays):
    file = tmp_path / "when"
    words = {"reload_time_file": str(file), "reload_repeat": stays}
    daemon.configure(**BOTH, daemon=words, name="first")
    daemon.start()
    daemon.configure(**BOTH, daemon=words, name="second")
    at_s = time.time() + 3
    file.write_text(time.strftime("%H:%M:%SZ\n", time.gmtime(at_s)))
    daemon.wait_log("Scheduling reload for ")
    assert "vrrp reload second" not in daemon.trace
    daemon.wait_log("Reload complete")
    assert int(at_s) <= time.time() <= at_s + 5
    assert file.exists() is stays


NOW_S = 1_800_000_000.0  # 2027-01-15 08:00:00 UTC


@pytest.mark.parametrize(
    ("text", "after_s", "dated"),
    [
        ("08:00:01Z", 1, False),
        ("08:00:00Z", 86_400, False),
        ("07:59:59Z\n", 86_399, False),
        ("27-01-15 08:00:10Z", 10, True),
        ("2027-01-15 08:00:10Z", 10, True),
        ("2027-01-14 08:00:00Z", -86_400, True),
    ],
)
def test_times(text, after_s, dated):
    assert due_at(text, NOW_S) == (NOW_S + after_s, dated)


@pytest.mark.parametrize("text", ["", "8:00:00", "25:00:00", "2027-02-30 01:00:00", "now", "08:00:00 Z", "0" * 64])
def test_what_is_no_time(text):
    assert due_at(text, NOW_S) is None


@pytest.mark.shows("global_defs.random_seed")
def test_with_a_seed_random_times_are_the_same_at_each_start(tmp_path):
    seen = []
    for run, words in enumerate(({"random_seed": 7}, {"random_seed": 7}, {})):
        (tmp_path / str(run)).mkdir()
        made = Daemon(tmp_path / str(run))
        try:
            made.configure(vrrp={}, daemon=words, trace_random=True)
            made.start()
            made.wait_trace("vrrp random")
            seen.append(next(line for line in made.trace if line.startswith("vrrp random")))
        finally:
            made.destroy()
    assert seen[0] == seen[1] != seen[2]


@pytest.mark.shows("global_defs.{state_dump_file,stats_dump_file,json_dump_file,data_use_instance}")
def test_names_of_dumps(daemon, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    words = {"state_dump_file": f"{tmp_path}/other/", "stats_dump_file": "counts", "data_use_instance": True}
    daemon.configure(**BOTH, daemon=words, instance="one")
    daemon.start()
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        daemon.signal(number)
    expected = [tmp_path / "other" / f"keepalived{word}.one.data" for word in ("", "_parent", "_check")]
    daemon.wait(lambda: all(path.exists() for path in [*expected, tmp_path / "counts"]))
    monkeypatch.setenv("TMPDIR", "/dumps")
    named = GlobalDefs(daemon=DaemonSettings(state_dump_file="a/b.txt", json_dump_file="/var/j.json"))
    assert dump_name("keepalived.data", named) == "/dumps/a/b.txt"
    assert dump_name("keepalived_check.data", named) == "/dumps/a/b_check.txt"
    assert dump_name("keepalived.json", named) == "/var/j.json"
    assert dump_name("keepalived.stats", named) == "/dumps/keepalived.stats"


@pytest.mark.shows("global_defs.set_supplementary_groups")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs scripts as somebody else")
@pytest.mark.parametrize("all_groups", [False, True])
def test_scripts_get_the_other_groups_of_their_user_only_when_asked(monkeypatch, all_groups):
    account = pwd.getpwnam("nobody")
    monkeypatch.setattr(os, "getgrouplist", lambda name, gid: [gid, 54321])
    reader, writer = os.pipe()
    run = wire.Run(1, (b"/usr/bin/id", b"-G"), User("nobody", account.pw_uid, account.pw_gid), None, None, all_groups)
    process: subprocess.Popen[bytes] = runner_process.spawn(run, writer)
    assert process.wait(120) == 0
    os.close(writer)
    groups = os.read(reader, 100).split()
    os.close(reader)
    assert groups == [b"%d" % account.pw_gid] + ([b"54321"] if all_groups else [])


@pytest.mark.shows("namespace_with_ipsets")
@pytest.mark.parametrize(("namespace", "word", "kept"), [(None, False, True), ("a", False, False), ("a", True, True)])
def test_ipsets_in_a_namespace_only_when_asked(namespace, word, kept):
    firewall = FirewallSettings(chosen=True, chains=("INPUT", "OUTPUT"), sets=("k", "k6", "k_if6"))
    settings = GlobalDefs(firewall=firewall, namespace_with_ipsets=word)
    load = without_sets(lambda: Loaded(config=Config(globals=settings)), namespace)
    found = load().config.globals.firewall
    assert (found.sets is not None) is kept
    assert found.chains == firewall.chains

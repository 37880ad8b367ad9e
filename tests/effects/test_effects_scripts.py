"""From a word in a file to the script that is started: which, when, as whom, with which limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykeepalived.dialects.keepalived import LoadResult, load
from pykeepalived.model.common import Script
from pykeepalived.notify.scripts import group_scripts, instance_scripts
from pykeepalived.vrrp.events import RunScript, Start
from tests.dialects.keepalived.fake_host import FakeHost
from tests.vrrp.playbook import Playbook

WORDS = {"MASTER": "notify_master", "BACKUP": "notify_backup", "FAULT": "notify_fault", "STOP": "notify_stop"}
STATES = tuple(WORDS)
INSTANCE = "vrrp_instance A {\ninterface eth0\nvirtual_router_id 51\nvirtual_ipaddress {\n10.0.0.51\n}\n%s}\n"
GROUP = "vrrp_sync_group G {\ngroup {\nA\n}\n%s}\n" + INSTANCE % ""
SECURE = "global_defs {\nenable_script_security\nscript_user root\n%s}\n"


def read(tmp_path: Path, text: str) -> LoadResult:
    path = tmp_path / "keepalived.conf"
    path.write_text(text)
    return load(str(path), host=FakeHost())


def words_of(script: Script) -> str:
    return " ".join(script.argv[1:])


@pytest.mark.shows(
    "{vrrp_sync_group,vrrp_instance}.{notify_master,notify_backup,notify_fault,notify_stop,notify}",
    "vrrp_sync_group.group",
)
@pytest.mark.parametrize("state", STATES)
def test_each_state_has_its_script(state: str, tmp_path: Path) -> None:
    lines = [f'{word} "/usr/bin/true {name} own"\n' for name, word in WORDS.items()]
    lines.append('notify "/usr/bin/true all"\n')
    instance = read(tmp_path, SECURE % "" + INSTANCE % "".join(lines)).config.instances[0]
    assert [words_of(item) for item in instance_scripts(instance, state, 100)] == [
        f"{state} own",
        f"all INSTANCE A {state} 100",
    ]
    (group,) = read(tmp_path, SECURE % "" + GROUP % "".join(lines)).config.sync_groups
    assert group.members == ("A",)
    assert [words_of(item) for item in group_scripts(group, state)] == [f"{state} own", f"all GROUP G {state} 0"]


@pytest.mark.shows("vrrp_instance.{notify_deleted,notify_master_rx_lower_pri}")
def test_scripts_of_other_events(tmp_path: Path) -> None:
    text = 'notify_deleted "/usr/bin/true gone"\nnotify_master_rx_lower_pri "/usr/bin/true lower"\n'
    instance = read(tmp_path, SECURE % "" + INSTANCE % text).config.instances[0]
    assert [words_of(item) for item in instance_scripts(instance, "DELETED", 100)] == ["gone"]
    assert [words_of(item) for item in instance_scripts(instance, "MASTER_RX_LOWER_PRI", 100)] == ["lower"]
    nothing = read(tmp_path, SECURE % "" + INSTANCE % "").config.instances[0]
    assert not list(instance_scripts(nothing, "DELETED", 100))


@pytest.mark.shows("vrrp_sync_group.notify_priority_changes", "vrrp_instance.notify_priority_changes")
def test_changes_of_the_priority_are_told(tmp_path: Path) -> None:
    chk = "vrrp_script chk {\nscript /usr/bin/true\nweight 10\n}\n"
    tracked = "track_script {\nchk\n}\n"
    group = "vrrp_sync_group G {\nsync_group_tracking_weight\ngroup {\nA\n}\n%s}\n"

    def told(text: str) -> bool:
        book = Playbook(read(tmp_path, SECURE % "" + text).config)
        book.start()
        return any("_PRIORITY" in line for line in book.result("chk", 0))

    assert not told(chk + INSTANCE % tracked)
    assert told(chk + INSTANCE % (tracked + "notify_priority_changes\n"))
    assert told(chk + group % "notify_priority_changes\n" + INSTANCE % tracked)


@pytest.mark.shows("vrrp_script.{script,interval,timeout,user}")
def test_when_a_tracked_script_runs(tmp_path: Path) -> None:
    block = 'vrrp_script chk {\nscript "/usr/bin/true one two"\ninterval 3\ntimeout 2\nuser nobody\n}\n'
    config = read(tmp_path, SECURE % "" + block + INSTANCE % "track_script {\nchk\n}\n").config
    book = Playbook(config)
    begun = [action for action in book.router.handle(Start(), 0) if isinstance(action, RunScript)]
    assert [(action.script, action.timeout_us) for action in begun] == [("chk", 2_000_000)]
    book.result("chk", 0)
    runs = [float(line.split()[0]) for line in book.run(10) if " run chk" in line]
    assert len(runs) >= 1
    assert runs[0] == pytest.approx(3)
    (script,) = config.scripts
    assert script.script.argv == ("/usr/bin/true", "one", "two")
    assert script.script.user is not None and script.script.user.name == "nobody"


@pytest.mark.shows("global_defs.{script_user,enable_script_security}")
def test_as_whom_scripts_run_and_which_do_not(tmp_path: Path) -> None:
    text = "global_defs {\n%s\n}\n" + INSTANCE % "notify_master /usr/bin/loose\nnotify_backup /usr/bin/true\n"
    secure = read(tmp_path, text % "enable_script_security\nscript_user root").config.instances[0]
    assert secure.notify_master is None
    assert secure.notify_backup is not None
    loose = read(tmp_path, text % "script_user nobody").config.instances[0]
    assert loose.notify_master is not None and loose.notify_master.user is not None
    assert loose.notify_master.user.name == "nobody"

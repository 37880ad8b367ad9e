"""From a word in a vrrp_instance to what the router does, on a clock that the test moves."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykeepalived.diagnostics import Severity
from pykeepalived.dialects.keepalived import load
from pykeepalived.units import SECOND_US
from tests.dialects.keepalived.fake_host import FakeHost
from tests.vrrp.playbook import Playbook


def play(tmp_path: Path, *words: str, settings: tuple[str, ...] = (), more: str = "", vrid: int = 51) -> Playbook:
    """Instance A of a file: what stands in it, what stands in global_defs, and further blocks in front."""
    path = tmp_path / "keepalived.conf"
    lines = [
        "global_defs {",
        "script_user root",
        *settings,
        "}",
        more,
        "vrrp_instance A {",
        "interface eth0",
        f"virtual_router_id {vrid}",
    ]
    if not any(word.startswith("virtual_ipaddress") for word in words):
        words = (*words, "virtual_ipaddress {", "10.0.0.51", "}")
    path.write_text("\n".join([*lines, *words, "}", ""]))
    result = load(str(path), host=FakeHost())
    assert not [item for item in result.findings.items if item.severity is Severity.ERROR]
    return Playbook(result.config, links={"eth0": True, "eth1": True})


def announcements(book: Playbook, until_s: float) -> list[str]:
    """Gratuitous ARP from the start on: when, and how many."""
    book.start()
    return [line for line in book.run(until_s) if " announce " in line]


@pytest.mark.shows("vrrp_instance.{priority,advert_int}")
def test_priority_and_interval(tmp_path: Path) -> None:
    assert play(tmp_path).to_master().hear(150) != []
    book = play(tmp_path, "priority 200", "advert_int 3")
    book.start()
    lines = book.run(20)
    adverts = [line for line in lines if "advert A 200" in line]
    # Three intervals and (256 - 200) / 256 of a second; then every three seconds.
    assert adverts[0].startswith("9.218")
    assert adverts[1].startswith("12.218")


@pytest.mark.shows("vrrp_instance.{state,nopreempt,preempt,preempt_delay}")
def test_preemption(tmp_path: Path) -> None:
    book = play(tmp_path, "priority 200", "nopreempt")
    book.start()
    book.hear(100)
    for second in range(1, 9):
        book.run(second)
        book.hear(100)
    assert book.state() == "BACKUP"
    preempting = play(tmp_path, "priority 200", "preempt")
    preempting.start()
    preempting.hear(100)
    for second in range(1, 9):
        preempting.run(second)
        preempting.hear(100)
    assert preempting.state() == "MASTER"
    waiting = play(tmp_path, "priority 200", "preempt_delay 30", "state BACKUP")
    waiting.start()
    for second in range(1, 29):
        waiting.run(second)
        waiting.hear(100)
    assert waiting.state() == "BACKUP"
    for second in range(29, 40):
        waiting.run(second)
        waiting.hear(100)
    assert waiting.state() == "MASTER"


@pytest.mark.shows("vrrp_instance.preempt_after_sync")
def test_preemption_waits_for_the_connection_table(tmp_path: Path) -> None:
    book = play(tmp_path, "priority 200", "preempt_after_sync 30", "state BACKUP")
    book.start()
    for second in range(1, 30):
        book.run(second)
        # A master of higher priority in between does not begin the wait anew, as it does with preempt_delay.
        book.hear(250 if second == 20 else 100)
    assert book.state() == "BACKUP"
    for second in range(30, 40):
        book.run(second)
        book.hear(100)
    assert book.state() == "MASTER"
    alone = play(tmp_path, "priority 200", "preempt_after_sync 30", "state BACKUP")
    alone.start()
    alone.run(5)
    assert alone.state() == "MASTER", "where nobody is master there is nothing to wait for"


GARP = ("garp_master_delay 7", "garp_master_repeat 3", "garp_master_refresh 20", "garp_master_refresh_repeat 2")


@pytest.mark.shows(
    "vrrp_instance.{garp_master_delay,garp_master_repeat,garp_master_refresh,garp_master_refresh_repeat}"
)
def test_gratuitous_arp(tmp_path: Path) -> None:
    assert len(announcements(play(tmp_path), 60)) == 2
    lines = announcements(play(tmp_path, *GARP), 60)
    assert lines[0].endswith("announce A x3")
    seconds = [float(line.split()[0]) for line in lines]
    assert seconds[1] - seconds[0] == pytest.approx(7)
    assert lines[2].endswith("announce A x2")


@pytest.mark.shows(
    "global_defs.{vrrp_garp_master_delay,vrrp_garp_master_repeat,vrrp_garp_master_refresh,vrrp_garp_master_refresh_repeat}"
)
def test_gratuitous_arp_by_default(tmp_path: Path) -> None:
    given = announcements(play(tmp_path, settings=tuple(f"vrrp_{word}" for word in GARP)), 60)
    assert given == announcements(play(tmp_path, *GARP), 60)


@pytest.mark.shows("global_defs.vrrp_min_garp")
def test_one_announcement(tmp_path: Path) -> None:
    assert [line.split(maxsplit=1)[1] for line in announcements(play(tmp_path, settings=("vrrp_min_garp",)), 60)] == [
        "announce A x1"
    ]


@pytest.mark.shows(
    "vrrp_instance.{garp_lower_prio_delay,garp_lower_prio_repeat}",
    "global_defs.{vrrp_garp_lower_prio_delay,vrrp_garp_lower_prio_repeat}",
)
def test_announcements_after_a_lower_advert(tmp_path: Path) -> None:
    words = ("garp_lower_prio_delay 4", "garp_lower_prio_repeat 2")
    plain = play(tmp_path).to_master()
    assert "announce A x5" in plain.hear(50)
    for book in (play(tmp_path, *words), play(tmp_path, settings=tuple(f"vrrp_{word}" for word in words))):
        book.to_master()
        now_s = book.now_us / 1e6
        assert "announce A x2" in book.hear(50)
        later = [line for line in book.run(now_s + 4.5) if " announce " in line]
        assert later
        assert float(later[-1].split()[0]) - now_s == pytest.approx(4)


@pytest.mark.shows("vrrp_instance.{down_timer_adverts}", "global_defs.vrrp_down_timer_adverts")
def test_how_many_adverts_may_be_missed(tmp_path: Path) -> None:
    for book in (
        play(tmp_path, "down_timer_adverts 6"),
        play(tmp_path, settings=("vrrp_down_timer_adverts 6",)),
    ):
        book.start()
        book.hear(150)
        book.run(6)
        assert book.state() == "BACKUP"
        book.run(7)
        assert book.state() == "MASTER"


NOTIFY = ("master", "backup", "fault", "stop")


def test_which_script_runs_when(tmp_path: Path) -> None:
    words = [f'notify_{state} "/usr/bin/true {state}"' for state in NOTIFY]
    book = play(tmp_path, *words, 'notify "/usr/bin/true any"')
    started = book.start()
    become = [line for line in book.run(4) if "notify INSTANCE A" in line]
    fallen = [line for line in book.hear(200) if "notify INSTANCE A" in line]
    broken = [line for line in book.link("eth0", up=False) if "notify INSTANCE A" in line]
    stopped = [line for line in book.stop() if "notify INSTANCE A" in line]
    assert any("BACKUP" in line for line in started)
    assert "MASTER" in become[0]
    assert "BACKUP" in fallen[0]
    assert "FAULT" in broken[0]
    assert "STOP" in stopped[0]


@pytest.mark.shows("vrrp_instance.track_interface", "vrrp_sync_group.track_interface")
def test_another_interface_counts(tmp_path: Path) -> None:
    group = "vrrp_sync_group G {\ngroup {\nA\n}\ntrack_interface {\neth1\n}\n}\n"
    alone = play(tmp_path).to_master()
    alone.link("eth1", up=False)
    assert alone.state() == "MASTER"
    for book in (play(tmp_path, "track_interface {", "eth1", "}"), play(tmp_path, "garp_master_delay 5", more=group)):
        book.to_master()
        book.link("eth1", up=False)
        assert book.state() == "FAULT"


def answer(book: Playbook, status: int) -> str:
    """The next run of the script ends with this status; the state behind it."""
    book.run(book.now_us / SECOND_US + 1)
    book.result("chk", status)
    return book.state()


@pytest.mark.shows("vrrp_instance.track_script", "vrrp_sync_group.track_script", "vrrp_script.{fall,rise,weight}")
def test_a_script_counts(tmp_path: Path) -> None:
    block = "vrrp_script chk {\nscript /usr/bin/true\nfall 2\nrise 3\n%s}\n"
    tracked = "track_script {\nchk\n}\n"
    group = "vrrp_sync_group G {\ngroup {\nA\n}\n" + tracked + "}\n"
    for book in (
        play(tmp_path, tracked, more=block % ""),
        play(tmp_path, "garp_master_delay 5", more=block % "" + group),
    ):
        book.start()
        book.result("chk", 0)
        book.run(5)
        book.result("chk", 0)
        assert [answer(book, status) for status in (1, 1, 0, 0)] == ["MASTER", "FAULT", "FAULT", "FAULT"]
        assert answer(book, 0) != "FAULT"
    weighted = play(tmp_path, tracked, more=block % "weight 20\n")
    weighted.start()
    weighted.result("chk", 0)
    assert weighted.status().effective_priority == 120


def standing(book: Playbook, kind: str, *, good: bool) -> int:
    """The priority while what is tracked is well, or is not."""
    book.start()
    if kind == "interface":
        book.link("eth1", up=good)
    else:
        book.result("chk", 0 if good else 1)
    return book.status().effective_priority


@pytest.mark.shows(
    "vrrp_instance.{track_script,track_interface}.{weight,reverse}",
    "vrrp_sync_group.{track_script,track_interface}.{weight,reverse}",
    "{vrrp_instance,vrrp_sync_group}.track_script.noreverse",
    "vrrp_sync_group.sync_group_tracking_weight",
)
@pytest.mark.parametrize("kind", ["script", "interface"])
@pytest.mark.parametrize("group", [False, True])
@pytest.mark.parametrize(
    ("words", "well", "ill"),
    [("weight 10", 110, 100), ("weight -10", 100, 90), ("weight 10 reverse", 90, 100)],
)
def test_weights(*, kind: str, group: bool, words: str, well: int, ill: int, tmp_path: Path) -> None:
    chk = "vrrp_script chk {\nscript /usr/bin/true\n}\n"
    block = f"track_{kind} {{\n{'chk' if kind == 'script' else 'eth1'} {words}\n}}\n"
    more = f"vrrp_sync_group G {{\nsync_group_tracking_weight\ngroup {{\nA\n}}\n{block}}}\n" if group else ""
    for good, expected in ((True, well), (False, ill)):
        book = play(tmp_path, "priority 100" if group else block, more=chk + more)
        assert standing(book, kind, good=good) == expected
    if kind == "script":
        turned = chk.replace("true", "true\nweight 10 reverse")
        plain = block.replace(words, "weight 10 noreverse")
        more = more.replace(block, plain)
        book = play(tmp_path, "priority 100" if group else plain, more=turned + more)
        assert standing(book, kind, good=True) == 110

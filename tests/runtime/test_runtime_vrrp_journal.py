"""The list of held addresses: what a dead process leaves, and what nobody may touch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykeepalived.runtime.vrrp_journal import Entry, Journal, parse
from pykeepalived.runtime.vrrp_lists import network_namespace

ONE, TWO = Entry("eth0", "192.0.2.9", 24), Entry("eth1", "2001:db8::9", 64)
BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
HEAD = f"pykeepalived-addresses 1 {BOOT}\n"


def journal(directory: Path, complaints: list[str] | None = None) -> Journal:
    return Journal(str(directory), [].append if complaints is None else complaints.append)


def dead(directory: Path, text: str, *, namespace: str | None = None, pid: int = 1) -> Path:
    """A list that no living process holds."""
    path = directory / f"vrrp-addresses-{namespace or network_namespace()}-{pid}.journal"
    path.write_text(text)
    return path


def test_what_was_added_and_not_removed_is_left_over(tmp_path: Path) -> None:
    path = dead(tmp_path, f"{HEAD}+ {ONE}\n+ {TWO}\n- {ONE}\n+ eth2 192.0.2.")
    ours = journal(tmp_path)
    assert ours.leftovers() == [TWO]
    assert path.exists(), "until the addresses are gone"
    ours.open()
    assert not path.exists()
    ours.close()


def test_lists_of_another_boot_or_namespace_say_nothing(tmp_path: Path) -> None:
    dead(tmp_path, f"pykeepalived-addresses 1 another-boot\n+ {ONE}\n")
    other = dead(tmp_path, f"{HEAD}+ {TWO}\n", namespace="1")
    ours = journal(tmp_path)
    assert ours.leftovers() == []
    ours.open()
    assert other.exists()
    ours.close()


def test_the_list_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pykeepalived.runtime.vrrp_journal import Entry, Journal\n"
        f"journal = Journal({str(tmp_path)!r}, print)\n"
        "journal.open()\n"
        f"journal.note(added=[Entry{(ONE.ifname, ONE.address, ONE.length)!r}])\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as living:
        assert living.stdout is not None
        assert living.stdout.readline() == "ready\n"
        ours = journal(tmp_path)
        assert ours.leftovers() == []
        ours.open()
        assert len(list(tmp_path.iterdir())) == 2
        ours.close()
        living.kill()
    assert journal(tmp_path).leftovers() == [ONE]


def test_an_empty_list_disappears_and_another_one_stays(tmp_path: Path) -> None:
    ours = journal(tmp_path / "made")
    ours.open()
    (path,) = (tmp_path / "made").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    ours.note(added=[ONE, TWO])
    ours.note(removed=[ONE])
    assert parse(path.read_text(), BOOT) == [TWO]
    ours.close()
    assert path.exists()
    again = journal(tmp_path / "made")
    assert again.leftovers() == [TWO]
    again.open()
    again.close()
    assert list((tmp_path / "made").iterdir()) == []


def test_a_list_that_grew_is_written_anew(tmp_path: Path) -> None:
    ours = journal(tmp_path)
    ours.open()
    (path,) = tmp_path.iterdir()
    ours.note(added=[TWO])
    for _ in range(40_000):
        ours.note(added=[ONE])
        ours.note(removed=[ONE])
    assert path.stat().st_size < 1 << 21
    assert parse(path.read_text(), BOOT) == [TWO]
    ours.note(removed=[TWO])
    ours.close()


def test_without_a_directory_it_says_so_once_and_goes_on(tmp_path: Path) -> None:
    complaints: list[str] = []
    (tmp_path / "file").write_text("")
    ours = journal(tmp_path / "file", complaints)
    assert ours.leftovers() == []
    ours.open()
    ours.note(added=[ONE])
    ours.close()
    assert len(complaints) == 1
    assert "Cannot keep the list of addresses" in complaints[0]


def test_a_link_in_the_place_of_the_list_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / "state").mkdir()
    name = f"vrrp-addresses-{network_namespace()}-{os.getpid()}.journal"
    (tmp_path / "state" / name).symlink_to(precious)
    complaints: list[str] = []
    ours = journal(tmp_path / "state", complaints)
    assert ours.leftovers() == []
    ours.open()
    assert precious.read_text() == "precious"
    assert complaints
    ours.close()


@given(st.text())
def test_no_text_makes_reading_raise(text: str) -> None:
    assert parse(text, "boot") == []
    for entry in parse(f"pykeepalived-addresses 1 boot\n{text}", "boot"):
        assert entry.ifname
        assert 0 <= entry.length <= 999


@pytest.mark.parametrize(
    "line", ["+ eth0 192.0.2.1", "* eth0 192.0.2.1 24", "+ eth0 192.0.2.1 24 x", "+ eth0 a -1", ""]
)
def test_lines_that_make_no_sense_are_passed_over(line: str) -> None:
    assert parse(f"{HEAD}{line}\n+ {ONE}\n", BOOT) == [ONE]

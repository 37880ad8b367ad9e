"""Every row of the ledger on the core, on our daemon, and on Debian's keepalived."""

from __future__ import annotations

import concurrent.futures
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance import plays, table
from tests.conformance.advert_bytes import fields
from tests.conformance.ledger import Case
from tests.conformance.rfc9568 import a_backup_sends_nothing
from tests.conformance.stages import CoreStage, WireStage, network

CASES = table.cases()
SIDE_BY_SIDE = 16
ATTEMPTS = 5


@pytest.mark.parametrize("case", [case for case in CASES if case.core], ids=lambda case: case.name)
def test_core(case: Case) -> None:
    case.run(CoreStage(case))


def play_all(program: str, into: Path) -> dict[str, str]:
    """The outcome of every case on the wire: empty, or what is wrong."""
    found: dict[str, str] = {}
    with network(program, CASES, into) as wire:

        def play(case: Case) -> None:
            # A loaded machine may miss an instant; a rule that is broken is broken each time.
            for _ in range(ATTEMPTS):
                try:
                    case.run(WireStage(wire, case))
                except AssertionError as error:
                    found[case.name] = str(error) or "it does otherwise"
                else:
                    found[case.name] = ""
                    return

        with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            list(pool.map(play, CASES))
        backup = WireStage(wire, a_backup_sends_nothing)
        plays.become_backup(backup)
        backup.hear(plays.good(backup, interval=4095))
        backup.wait(0.3)
        last = [fields(packet) for packet in wire.stop()]
    resigned = [priority for _, priority, _ in last]
    said = [priority for vrid, priority, _ in last if vrid == backup.vrid]
    found[table.SILENT] = f"a BACKUP that stops sends {said}" if said else ""
    found[table.SHUTDOWN] = "" if 0 in resigned else f"no advert of priority 0, but {sorted(set(resigned))}"
    return found


def play_twice(program: str, places: pytest.TempPathFactory, expected: dict[str, bool]) -> dict[str, str]:
    """As `play_all`; what is not as expected gets another daemon, which a machine that stood still may have spoiled."""
    found = play_all(program, places.mktemp(program))
    if any(wrong and expected.get(name, True) for name, wrong in found.items()):
        again = play_all(program, places.mktemp(program))
        found = {name: wrong and again[name] for name, wrong in found.items()}
    return found


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return play_twice("ours", tmp_path_factory, {})


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    yield play_twice("theirs", tmp_path_factory, json.loads(table.RECORD.read_text()))


@pytest.mark.netns
@pytest.mark.parametrize("name", [*(case.name for case in CASES), table.SHUTDOWN, table.SILENT])
def test_wire(name: str, ours: dict[str, str]) -> None:
    assert ours[name] == ""


@pytest.mark.netns
@pytest.mark.peer
@pytest.mark.skipif(shutil.which("keepalived") is None, reason="needs keepalived")
def test_the_column_of_keepalived_is_right(theirs: dict[str, str]) -> None:
    recorded = json.loads(table.RECORD.read_text())
    assert recorded.keys() == theirs.keys()
    assert not {name: wrong for name, wrong in theirs.items() if wrong and recorded[name]}


def test_the_table_is_up_to_date() -> None:
    assert table.FILE.read_text() == table.text(), "run: python -m tests.conformance.table"


def test_every_row_has_a_case_or_says_why_not() -> None:
    for clause in table.CLAUSES:
        assert clause.obeys is not None or clause.elsewhere, clause.rule

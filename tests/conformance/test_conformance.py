"""Every row of the ledger on the core, on our daemon, and on Debian's keepalived."""

from __future__ import annotations

import concurrent.futures
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance import table
from tests.conformance.ledger import Case, Run
from tests.conformance.stages import CoreStage, WireStage, network

CASES = table.cases()
SIDE_BY_SIDE = 16
ATTEMPTS = 5


@pytest.mark.parametrize("case", [case for case in CASES if case.core], ids=lambda case: case.name)
def test_core(case: Case) -> None:
    stage = CoreStage(case)
    case.run(stage)
    if case.after is not None:
        stage.stop()
        case.after(stage)


def play_all(program: str, into: Path, expected: dict[str, bool]) -> dict[str, str]:
    """The outcome of every case on the wire: empty, or what is wrong; `expected`: False for those that will be."""
    found: dict[str, str] = {}

    def play(run: Run, stage: WireStage) -> str:
        try:
            run(stage)
        except AssertionError as error:
            return str(error) or "it does otherwise"
        return ""

    with network(program, CASES, into) as stages:

        def try_often(case: Case) -> None:
            # A loaded machine may miss an instant; a rule that is broken is broken each time.
            for _ in range(ATTEMPTS if expected.get(case.name, True) else 1):
                found[case.name] = play(case.run, stages[case.name])
                if not found[case.name]:
                    return

        last = [case for case in CASES if case.after is not None]
        with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            list(pool.map(try_often, [case for case in CASES if case.after is None]))
            list(pool.map(try_often, last))
        stages[last[0].name].network.stop()
        for case in last:
            assert case.after is not None
            found[case.name] = found[case.name] or play(case.after, stages[case.name])
    return found


def play_twice(program: str, places: pytest.TempPathFactory, expected: dict[str, bool]) -> dict[str, str]:
    """As `play_all`; what is not as expected gets another daemon, which a machine that stood still may have spoiled."""
    found = play_all(program, places.mktemp(program), expected)
    if any(wrong and expected.get(name, True) for name, wrong in found.items()):
        again = play_all(program, places.mktemp(program), expected)
        found = {name: wrong and again[name] for name, wrong in found.items()}
    return found


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return play_twice("ours", tmp_path_factory, {})


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    yield play_twice("theirs", tmp_path_factory, json.loads(table.RECORD.read_text()))


@pytest.mark.netns
@pytest.mark.parametrize("name", [case.name for case in CASES])
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


def test_every_case_is_played_once_under_its_name() -> None:
    cases = {case.name: case for clause in table.CLAUSES for case in (clause.obeys, clause.beside)}
    for clause in table.CLAUSES:
        assert clause.obeys is not clause.beside, clause.rule
        for case in (clause.obeys, clause.beside):
            assert cases[case.name].instance == case.instance, case.name

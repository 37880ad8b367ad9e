"""The runner of the benchmark book: what it promises of answers, interruptions, and the rule about ratios."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
NAMES = ("common", "questions", "plots", "page", "book")
GROUPS = ("failover", "adverts", "checks", "programming", "reload")
GOOD = """
import json, sys
rows = [{"group": "NAME", "what": f"NAME {n}", "unit": "s", "ours": [VALUE, 2 * VALUE], "theirs": [1.0], "peer": "p",
         "most_ratio": 2.0, "size": 10 ** n, "curve": "c"} for n in range(1, 3)]
open(sys.argv[sys.argv.index("--json") + 1], "w").write(json.dumps(rows))
open(__file__ + ".asked", "a").write(" ".join(sys.argv[1:-2]) + "\\n")
"""


def good(name: str, value: float) -> str:
    return GOOD.replace("NAME", name).replace("VALUE", str(value))


@pytest.fixture
def benchmarks(monkeypatch):
    """The modules of benchmarks/, which is no package; its module names are too plain to stay."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = {name: sys.modules.pop(name) for name in NAMES if name in sys.modules}
    yield {name: importlib.import_module(name) for name in NAMES}
    for name in NAMES:
        del sys.modules[name]
    sys.modules.update(before)


class Shelf:
    """A book whose questions are programs in a directory of the test's."""

    def __init__(self, benchmarks: dict[str, ModuleType], root: Path, monkeypatch) -> None:
        self.book, self.root = benchmarks["book"], root
        self.monkeypatch = monkeypatch
        (root / "benchmarks").mkdir()
        questions = [
            benchmarks["questions"].Question(name, f"What of {name}?", "Because.", "--short", 1, "--long", 1)
            for name in GROUPS
        ]
        for module in ("book", "page"):
            monkeypatch.setattr(benchmarks[module], "QUESTIONS", questions)
        monkeypatch.setattr(self.book, "ROOT", root)
        for name in GROUPS:
            self.program(name, good(name, 0.5))

    def program(self, name: str, text: str) -> None:
        (self.root / "benchmarks" / f"{name}.py").write_text(text)

    def run(self, *words: str) -> int:
        self.monkeypatch.setattr(sys, "argv", ["book.py", "--write", str(self.root / "docs"), *words])
        return int(self.book.main())

    def asked(self, name: str) -> list[str]:
        file = self.root / "benchmarks" / f"{name}.py.asked"
        return file.read_text().splitlines() if file.exists() else []

    def page(self) -> str:
        return (self.root / "docs" / "benchmarks.md").read_text()

    def answers(self) -> dict[str, dict]:
        text = (self.root / "docs" / "benchmarks.json").read_text()
        return {answer["name"]: answer for answer in json.loads(text)["answers"]}


@pytest.fixture
def shelf(benchmarks, tmp_path, monkeypatch):
    return Shelf(benchmarks, tmp_path, monkeypatch)


def test_a_book_in_which_everything_holds(shelf, capsys):
    assert shelf.run() == 0
    text = shelf.page()
    assert "10 of 10 targets hold. Of 10 ratios" in text
    assert text.index("| question | figure |") < text.index("## How to repeat it") < text.index("## What of failover?")
    for file in ("ratios.svg", "checks.svg", "checks-growth-1.svg"):
        assert (shelf.root / "docs" / "benchmarks" / file).read_text().startswith("<svg")
        assert f"](benchmarks/{file})" in text
    assert "10 are at or below 1 (wanted: at least 8); none above 2.5. This holds." in capsys.readouterr().out
    assert shelf.asked("checks") == ["--short"]


@pytest.mark.parametrize(
    ("value", "code", "words"),
    [(1.1, 1, "none above 2.5. This does not hold"), (1.9, 1, "above 2.5: checks 1 (2.85)")],
)
def test_the_rule_about_ratios_and_missed_targets_are_the_exit_code(shelf, capsys, value, code, words):
    for name in GROUPS if value == 1.1 else ("checks",):
        shelf.program(name, good(name, value))
    assert shelf.run("--long") == code
    assert words in capsys.readouterr().out


def test_a_question_that_fails_stops_no_other_one_and_is_asked_again_by_resume(shelf, capsys):
    shelf.program("checks", "raise SystemExit(3)")
    shelf.program("reload", "print('nothing')")
    assert shelf.run() == 2
    assert "without an answer: checks, reload" in capsys.readouterr().out
    assert "- checks: exit code 3" in shelf.page()
    assert "Without a figure: checks, reload." in shelf.page()
    assert shelf.answers()["programming"]["rows"]
    for name in ("checks", "reload"):
        shelf.program(name, good(name, 0.5))
    assert shelf.run("--resume") == 0
    assert shelf.asked("checks") == ["--short"]
    assert shelf.asked("programming") == ["--short"], "its answer was kept"
    assert shelf.run("--resume", "--long") == 0
    assert shelf.asked("programming") == ["--short", "--long"], "a short answer is none for the long book"


def test_only_asks_one_again_and_keeps_the_others(shelf):
    assert shelf.run() == 0
    shelf.program("adverts", good("adverts", 0.25))
    assert shelf.run("--only", "adverts") == 0
    assert shelf.answers()["adverts"]["rows"][0]["ours"] == [0.25, 0.5]
    assert set(shelf.answers()) == set(GROUPS)
    assert shelf.asked("failover") == ["--short"]


def test_what_no_time_is_left_for_is_named_and_not_asked(shelf):
    assert shelf.run("--minutes", "0.0001") == 2
    assert "not asked" in shelf.page()
    assert shelf.asked("failover") == []


def test_a_promise_about_a_figure_that_is_missing_does_not_hold(benchmarks):
    row = benchmarks["common"].Row
    words = {"group": "g", "what": "w", "unit": "s"}
    assert row(**words, ours=[]).holds is None
    assert row(**words, ours=[], most=1).holds is False
    assert row(**words, ours=[1, 2, 3], most=2).holds is True
    assert row(**words, ours=[1.0], least=99).holds is False
    assert row(**words, ours=[1.0], theirs=[], most_ratio=1).holds is False
    assert row(**words, ours=[1.0], theirs=[30.0], least_times=30).holds is True
    assert row(**words, ours=[1.0], theirs=[29.0], least_times=30).holds is False
    assert row(**words, ours=[float("inf")], most=30).holds is False


def test_many_samples_are_thinned_and_their_middle_and_ends_stay(benchmarks):
    kept = benchmarks["common"].thinned([float(number) for number in reversed(range(5001))])
    assert len(kept) == 101
    assert (kept[0], kept[50], kept[-1]) == (0, 2500, 5000)
    assert benchmarks["common"].thinned([3.0, 1.0]) == [3.0, 1.0]


def test_what_never_happened_survives_the_file_and_is_told(benchmarks, tmp_path):
    row_type = benchmarks["common"].Row
    row = row_type(group="g", what="w", unit="s", ours=[float("inf")], most=30)
    file = tmp_path / "rows.json"
    options = argparse.Namespace(json=file, check=True)
    assert benchmarks["common"].finish([row], options) == 1
    (again,) = msgspec.json.decode(file.read_bytes(), type=list[row_type])
    assert again.holds is False
    assert benchmarks["page"].figure(again.middle) == "never"


def test_each_question_is_a_program_with_a_row_in_the_list_of_programs(benchmarks):
    listed = (BENCHMARKS / "README.md").read_text()
    for question in benchmarks["questions"].QUESTIONS:
        assert (BENCHMARKS / f"{question.name}.py").exists()
        assert f"| `{question.name}.py` |" in listed
    long_s = sum(question.long_s for question in benchmarks["questions"].QUESTIONS)
    assert long_s <= 60 * benchmarks["book"].LONG_MINUTES

"""docs/keywords.md is as new as the tables and the tests; every word in effect has a test that shows its effect."""

from __future__ import annotations

import pytest

from pykeepalived.tools import effect_words, effects
from pykeepalived.tools.keywords_doc import DOCUMENT, entries, render, without_test

HINT = "run `python -m pykeepalived.tools.keywords_doc`"


def test_the_document_is_as_new_as_the_tables_and_the_tests() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == render(), HINT


def test_every_row_in_effect_has_a_test() -> None:
    """A word that newly has an effect comes with a test that shows it: @pytest.mark.shows("block.word")."""
    assert without_test() == ()


def test_what_tests_declare_are_rows_in_effect() -> None:
    acting = {entry.row for entry in entries() if entry.acts}
    wrong = {row: tests for row, tests in effects.declarations().items() if row not in acting}
    assert wrong == {}, "no such rows in effect"


def test_the_rows_have_names_of_their_own() -> None:
    names = [entry.row for entry in entries()]
    assert len(names) == len(set(names))


SOURCE = """
import pytest
pytestmark = pytest.mark.shows("a.b")

@pytest.mark.shows("c", "d.{e,f}.{g,h}")
class TestOne:
    @pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.shows("i"))])
    def test_two(self, x): ...

def test_three():
    shows("no mark")
"""


def test_marks_are_read_from_the_source() -> None:
    found = [(item.row, item.test) for item in effects.declared_in(SOURCE, "t.py")]
    assert sorted(found) == [
        ("a.b", "t.py"),
        *((name, "t.py::TestOne") for name in ("c", "d.e.g", "d.e.h", "d.f.g", "d.f.h")),
        ("i", "t.py::TestOne::test_two"),
    ]


def test_a_mark_with_something_else_than_strings_is_refused() -> None:
    with pytest.raises(effects.BadMark, match=r"t\.py:2"):
        effects.declared_in("import pytest\npytestmark = pytest.mark.shows(NAMES)\n", "t.py")


def test_words_of_a_block_without_effect_have_none() -> None:
    blocks = {(entry.place, entry.word): entry for entry in entries() if entry.language == "keepalived.conf"}
    for (place, word), entry in blocks.items():
        above = blocks.get(("top level", place.split(".")[0]))
        if above is not None and not above.acts:
            assert not entry.acts, (place, word)


def test_marks_and_documentation_are_no_place_for_a_word() -> None:
    source = (
        '"""word"""\nimport pytest\n@pytest.mark.shows("a.word")\ndef test_x():\n    """word"""\n    f"one {1} two"\n'
    )
    assert [text for text in effect_words.strings_in(source) if "word" in text] == []
    assert "one " in effect_words.strings_in(source.replace('    f"', '    x = f"'))


def test_a_word_stands_in_the_test_or_in_what_it_reads() -> None:
    here = "tests/dialects/keepalived/test_keepalived_valid.py::test_x"
    assert effect_words.holds(here, "vrrp_instance.unicast_peer", "unicast_peer"), "a file beside the test"
    assert not effect_words.holds(here, "vrrp_instance.unicast_pee", "unicast_pee"), "whole words only"
    guest = "tests/interop/vrrp/test_interop_vrrp_ipvlan.py::test_x"
    assert effect_words.holds(guest, "vrrp_instance.use_ipvlan", "use_ipvlan"), "a module for the test kernel"
    assert effect_words.holds("tests/tools/test_tools_keywords_doc.py::x", "ldirectord.real.weight", "weight")

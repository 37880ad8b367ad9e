"""docs/keywords.md is as new as the tables, and the tests that it names use the words."""

from __future__ import annotations

from pykeepalived.tools.keywords_doc import DOCUMENT, ROOT, entries, render, use_of

HINT = "run `python -m pykeepalived.tools.keywords_doc`"


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.replace("\\|", "\0").strip("|\n ").split("|")]


def test_every_row_stands_there_with_its_state() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    written = [_cells(line)[:4] for line in text.splitlines() if line.startswith("| `")]
    wanted = [_cells(entry.line())[:4] for _, entry, _ in entries()]
    assert written == wanted, HINT


def test_the_named_tests_use_the_words() -> None:
    """Further tests may be found by now; those that are named must be right."""
    lines = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    named = 0
    for line, (_, entry, use) in zip(lines, entries(), strict=True):
        test = _cells(line)[4].strip("`")
        if test != "—":
            named += 1
            path = ROOT / test
            assert path.is_file(), f"{test}: {HINT}"
            assert use.stands_in(path.read_text(encoding="utf-8", errors="replace")), (entry.word, test, HINT)
    assert named > 100


def test_the_document_is_whole() -> None:
    text = render()
    assert text.count("\n## ") == 2
    assert "| `virtual_router_id` | vrrp_instance | in effect | vrrp | `tests/" in text


def test_what_counts_as_use() -> None:
    use = use_of("advert_int", "advert_interval_us", assigned=False)
    for text in ("  advert_int 1", "@lb1 advert_int 2", '"advert_int 1"', "x\\n advert_int 3", "advert_interval_us=5"):
        assert use.stands_in(text), text
    for text in ("my_advert_int 1", "advert_intx", "the advert_int word", "advert_interval_us=None"):
        assert not use.stands_in(text), text


def test_words_of_a_block_without_effect_have_none() -> None:
    blocks = {
        (entry.place, entry.word): entry.state for language, entry, _ in entries() if language == "keepalived.conf"
    }
    for (place, word), state in blocks.items():
        above = blocks.get(("top level", place.split(".")[0]))
        if above is not None and above.startswith("no effect yet"):
            assert state.startswith("no effect yet"), (place, word)

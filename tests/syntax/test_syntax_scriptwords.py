"""The richer reading of words behind script keywords."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykeepalived.syntax import ScriptTextError, script_words
from pykeepalived.syntax.sources import expand_braces


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("  a  b\t", ["a", "b"]),
        ("a\"b c\"'d'", ["ab cd"]),
        ("'a\\b'", ["a\\b"]),
        ('"a\\"b" c\\ d', ['a"b', "c d"]),
        (r"\a\b\E\f\n\r\t\v", ["\a\b\x1b\f\n\r\t\v"]),
        (r"\101\x42\x4 \cA \q", ["AB\x04", "\x01", "q"]),
        ("''", [""]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert [word for word, _, _ in script_words(text)] == expected


@pytest.mark.parametrize(
    ("text", "position"), [('a "b', 2), ("a 'b", 2), ("ab\\", 2), (r"a\000", 1), ('"a\\', 2)]
)  # fmt: skip
def test_what_cannot_be_read_says_where(text: str, position: int) -> None:
    with pytest.raises(ScriptTextError) as caught:
        script_words(text)
    assert caught.value.position == position


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1), max_size=5))
def test_single_quotes_keep_everything_else(words: list[str]) -> None:
    quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
    assert [word for word, _, _ in script_words(quoted)] == words


@given(st.text(max_size=60))
def test_any_text_ends(text: str) -> None:
    try:
        for word, start, end in script_words(text):
            assert 0 <= start < end <= len(text)
            assert "\0" not in word or "\0" in text
    except ScriptTextError as error:
        assert 0 <= error.position < len(text)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("plain", ["plain"]),
        ("a{b,c}d", ["abd", "acd"]),
        ("{a,b}{c,d}", ["ac", "ad", "bc", "bd"]),
        ("a{b,{c,d}}", ["ab", "ac", "ad"]),
        ("open{a,b", ["open{a,b"]),
        ("a{}b", ["ab"]),
    ],
)
def test_braces_of_patterns(pattern: str, expected: list[str]) -> None:
    assert expand_braces(pattern, 100) == expected


def test_braces_are_bounded() -> None:
    assert len(expand_braces("{a,b}" * 30, 100)) <= 100

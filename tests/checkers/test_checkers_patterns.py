"""Patterns: Perl's meaning, answers in pieces as in one, and an end to every search."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykeepalived.checkers.http import compiled
from pykeepalived.patterns import (
    KEEP_LIMIT,
    Answer,
    Pattern,
    PatternError,
    Search,
    Steps,
    Trouble,
    compile_pattern,
    load_error,
    search,
)


def pattern(text: bytes, *options: str) -> Pattern:
    compiled = compile_pattern(text, options)
    assert isinstance(compiled, Pattern), compiled
    return compiled


def answer(steps: Steps) -> tuple[Answer, int]:
    """The answer and the number of pauses before it."""
    pauses = 0
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value, pauses
        pauses += 1


def in_pieces(compiled: Pattern, text: bytes, size: int) -> Answer:
    job = Search(compiled)
    for begin in range(0, len(text), size):
        found, _ = answer(job.feed(text[begin : begin + size]))
        if found is not False:
            return found
    return answer(job.finish())[0]


def test_the_library_is_there() -> None:
    assert load_error() is None


@pytest.mark.parametrize(
    ("text", "subject", "found"),
    [
        (rb"foo$", b"xfoo\n", True),
        (rb"foo$", b"foo\nbar", False),
        (rb"(?m)foo$", b"foo\nbar", True),
        (rb"^foo", b"\nfoo", False),
        (rb"a.b", b"a\nb", False),
        (rb"(?s)a.b", b"a\nb", True),
        (rb"[[:digit:]]+\h\z", b"x 12 ", True),
        (rb"\Qa.b\E", b"axb a.b", True),
        (rb"\Qa.b\E", b"axb", False),
        (rb"\R", b"\r\n", True),
        (rb"(?i)hELLO", b"HeLLo", True),
        (rb"(a(?1)?b)\z", b"xaabb", True),
        (rb"a++b", b"aaab", True),
        (rb"(?|(a)|(b))\1", b"abb", True),
        (rb"(?<=ab)c", b"zabc", True),
        (rb"\bend\b", b"the end", True),
        (rb"", b"", True),
        (rb"x?\z", b"", True),
        (rb"\xff", b"\xff", True),
        (rb"(?!)", b"anything", False),
    ],
)
def test_perls_meaning_whole_and_in_pieces(text: bytes, subject: bytes, found: bool) -> None:
    compiled = pattern(text)
    assert search(compiled, subject) is found
    assert [in_pieces(compiled, subject, size) for size in (1, 2, 3)] == [found] * 3


SIMPLE = st.lists(
    st.sampled_from(["a", "b", ".", "a*", "b+", "a?", "[ab]", "(?:ab)+", "a{2}", r"\b", "^", r"\Z", "$", "(?<=a)"]),
    min_size=1,
    max_size=5,
).map("".join)


@settings(max_examples=300)
@given(SIMPLE, st.text("ab \n", max_size=12), st.integers(1, 4))
def test_patterns_that_python_knows_find_the_same_in_any_pieces(text: str, subject: str, size: int) -> None:
    # \Z is \z in Python.
    expected = re.search(text, subject) is not None
    compiled = pattern(text.replace(r"\Z", r"\z").encode())
    assert search(compiled, subject.encode()) is expected
    assert in_pieces(compiled, subject.encode(), size) is expected


def test_the_begin_is_not_found_again_in_a_later_piece() -> None:
    assert in_pieces(pattern(rb"^b"), b"ab" * 50_000, 7_000) is False
    assert in_pieces(pattern(rb"(?m)^c"), b"ab" * 50_000 + b"\nc", 7_000) is True


def test_bounds_of_the_start() -> None:
    text = b"foo" + b"." * 40_000 + b"foo"
    for first, last, found in [
        (0, 0, True),
        (1, None, True),
        (1, 40_002, False),
        (40_003, None, True),
        (40_004, None, False),
    ]:
        job = Search(pattern(b"foo"), first_start=first, last_start=last)
        result, _ = answer(job.feed(text))
        assert (result or answer(job.finish())[0]) is found, (first, last)


@pytest.mark.parametrize(
    ("text", "message", "offset"),
    [
        (b"(abc", "missing closing parenthesis", 4),
        (b"[a", "missing terminating ] for character class", 2),
        (b"*", "quantifier does not follow a repeatable item", 0),
        (b"x" * 70_000, "pattern longer than 65536 bytes", None),
    ],
)
def test_a_pattern_that_does_not_compile_is_a_value(text: bytes, message: str, offset: int | None) -> None:
    error = compile_pattern(text)
    assert isinstance(error, PatternError)
    assert (error.message, error.offset) == (message, offset)


def test_options() -> None:
    assert search(pattern(b"HELLO", "caseless"), b"hello") is True
    assert search(pattern(b"a b", "extended", "unknown-word"), b"ab") is True
    # The two bytes of one character arrive apart.
    assert in_pieces(pattern("^.é.$".encode(), "utf"), "xéy".encode(), 2) is True


def test_an_expensive_search_pauses_and_gives_up() -> None:
    text = b"a" * 30 + b"!" + b"b"
    began = time.process_time()
    found, pauses = answer(Search(pattern(rb"(?:a|aa|aaa)+b")).feed(text * 400))
    assert found is Trouble.TOO_EXPENSIVE
    assert pauses >= 1
    assert time.process_time() - began < 2


def test_no_single_step_of_a_slow_search_is_long() -> None:
    steps = Search(pattern(rb"a{0,1500}c?a{0,1500}b")).feed(b"a" * 16_384)
    # Whole, this search would take a quarter of a minute; the conversation's limit ends it between two steps.
    for _ in range(20):
        began = time.process_time()
        next(steps)
        assert time.process_time() - began < 1


def test_a_match_that_never_ends_is_given_up_before_it_fills_the_memory() -> None:
    job = Search(pattern(rb"(?s)start.*?end"))
    assert answer(job.feed(b"start"))[0] is False
    fed = 0
    while fed < 2 * KEEP_LIMIT:
        found, _ = answer(job.feed(b"x" * 65_536))
        fed += 65_536
        if found is not False:
            break
    assert found is Trouble.TOO_LONG
    assert KEEP_LIMIT <= fed <= KEEP_LIMIT + 131_072


def test_a_search_without_a_begun_match_keeps_nothing() -> None:
    job = Search(pattern(rb"(?<=xy)needle"))
    for _ in range(200):
        assert answer(job.feed(b"hay " * 16_384))[0] is False
        assert len(job._text) < 64
    assert answer(job.feed(b"xyneedle"))[0] is True


@pytest.mark.shows(
    "virtual_server.real_server.HTTP_GET.url.regex_stack", "virtual_server.real_server.SSL_GET.url.regex_stack"
)
def test_a_larger_stack_keeps_the_compiled_code_at_work() -> None:
    """regex_stack: without it such a text is searched by the interpreter, with the same answer."""
    text, answers = b"ab" * 3000, []
    for stack in (None, (32_768, 8 << 20)):
        found = compiled("^(?:(a)|b)*$", (), stack)
        assert isinstance(found, Pattern)
        answers.append(found.attempt(text, 0, len(text), more=False, careful=False)[0])
        assert search(found, text) is True
    assert answers == [-46, 0], "PCRE2_ERROR_JIT_STACKLIMIT, found"

"""The catalogue of the differential: it uses every word, and its quick part holds on every test run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pykeepalived.dialects.keepalived.rows import Options, Row, Table
from pykeepalived.dialects.keepalived.tables.lvs import GROUP_ENTRY, SSL, VIRTUAL_SERVER
from tests.interop.lvs.catalogue import CASES
from tests.interop.lvs.chance import COUNT, random_cases
from tests.interop.lvs.differential import run_batch

#: Words that the other program, 2.2.7, does not know.
NEWER = {"tls_compliant"}


def _words_of(rows: dict[str, Row], context: str) -> Iterator[tuple[str, str]]:
    for name, row in rows.items():
        if name in NEWER or row.ours:
            continue
        yield context, name
        if isinstance(row.block, Table):
            yield from _words_of(row.block.rows, f"{context}.{name}")
        if isinstance(row.options, Options):
            yield from ((f"{context}.{name}", option) for option in row.options.rows)


def _used() -> set[tuple[str, str]]:
    """(path of blocks, word) of every line, and each further word of a line below its first."""
    used: set[tuple[str, str]] = set()
    for case in CASES.values():
        path: list[str] = []
        for line in case.text.splitlines():
            words = line.split()
            if words == ["}"]:
                path.pop()
            elif words:
                context = ".".join(path)
                used.add((context, words[0]))
                used |= {(f"{context}.{words[0]}", word) for word in words[1:]}
                if context == "virtual_server_group":
                    used |= {(context, word) for word in words}
                if words[-1] == "{":
                    path.append(words[0])
    return used


def test_every_word_is_used() -> None:
    wanted = {
        *_words_of(VIRTUAL_SERVER.rows, "virtual_server"),
        *_words_of(SSL.rows, "SSL"),
        *(("virtual_server_group", word) for word in GROUP_ENTRY.rows),
    }
    missing = sorted(f"{context} {word}" for context, word in wanted - _used())
    # Urls, sockets and times are one table for all checkers: one checker that uses a word of them is enough, but
    # every checker must have been given every word of its own.
    assert missing == []


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 60
    assert 12 <= sum(case.quick for case in CASES.values()) <= 20


#: What every test run does; `make differential` does all.
SHORT = ("tun-gre", "sorry", "several-checks", "ssl", "dns")


@pytest.mark.uml
@pytest.mark.netns
@pytest.mark.peer
def test_some_configurations_live_as_with_keepalived() -> None:
    result = run_batch(list(SHORT), quick=True, timeout_s=600)
    assert result.exit_code == 0, result.output
    assert result.output.count("same ") == len(SHORT), result.output


@pytest.mark.uml
@pytest.mark.long
@pytest.mark.netns
@pytest.mark.peer
def test_a_dozen_configurations_live_as_with_keepalived() -> None:
    names = [name for name, case in CASES.items() if case.quick]
    result = run_batch(names, quick=True)
    assert result.exit_code == 0, result.output
    assert result.output.count("same ") == len(names), result.output


def test_chance_writes_the_same_configurations_for_the_same_seed() -> None:
    first, again, other = random_cases(5), random_cases(5), random_cases(6)
    assert first == again
    assert len(first) == COUNT
    assert {case.text for case in first.values()}.isdisjoint(case.text for case in other.values())

"""Which test shows the effect of which keyword: what the tests themselves declare.

A test declares the rows whose effect it shows with a mark:

    @pytest.mark.shows("vrrp_instance.priority", "virtual_server.{delay_loop,quorum}")
    @pytest.mark.shows("ldirectord.virtual.checktype")

A row's name is its block's path and its word, as docs/keywords.md writes them; a word of the top level stands alone,
rows of ldirectord.cf start with `ldirectord.` and their scope. Braces hold alternatives. The mark may stand at a
function, at a class, in `pytestmark` of a module, or in a `pytest.param`. It is read from the source, so its arguments
are plain strings.

The opening word of a block is shown by whatever shows a word in the block. A row in effect that no test declares fails
a test, and so does one whose tests all lack the word (tools/effect_words.py).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

ROOT: Final = Path(__file__).parents[2]
TESTS: Final = ROOT / "tests"
MARK: Final = "shows"
_BRACES: Final = re.compile(r"\{([^{}]*)\}")


class Declared(msgspec.Struct, frozen=True, order=True):
    """One row that one test declares. `test` is a name that pytest takes: file, class, function."""

    row: str
    test: str


class BadMark(ValueError):
    """A mark whose arguments are no plain strings. The text says where it stands."""


def row_name(language: str, place: str, word: str) -> str:
    """The name of a row in a mark."""
    parts = [] if place == "top level" else [place]
    if language == "ldirectord.cf":
        parts.insert(0, "ldirectord")
    return ".".join([*parts, word])


def alternatives(text: str) -> Iterator[str]:
    """All names that a text with braces stands for."""
    match = _BRACES.search(text)
    if match is None:
        yield text
        return
    for part in match.group(1).split(","):
        yield from alternatives(text[: match.start()] + part.strip() + text[match.end() :])


def _strings(call: ast.Call, path: str) -> Iterator[str]:
    for argument in call.args:
        if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
            raise BadMark(f"{path}:{argument.lineno}: the arguments of `{MARK}` are plain strings")
        yield from alternatives(argument.value)


def is_mark(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == MARK
        and isinstance(node.func.value, ast.Attribute)
        and node.func.value.attr == "mark"
    )


def _declared(node: ast.AST, path: str, owner: str) -> Iterator[Declared]:
    """The marks at and below a node; `owner` is the test, class or file that they belong to."""
    for child in ast.iter_child_nodes(node):
        inner = owner
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{owner}::{child.name}"
        if isinstance(child, ast.Call) and is_mark(child):
            yield from (Declared(name, owner) for name in _strings(child, path))
        yield from _declared(child, path, inner)


def declared_in(text: str, path: str) -> tuple[Declared, ...]:
    """What one test file declares. Raises BadMark, and SyntaxError when the text is no Python."""
    if f"mark.{MARK}(" not in text:
        return ()
    return tuple(_declared(ast.parse(text), path, path))


@lru_cache(maxsize=1)
def declarations() -> dict[str, tuple[str, ...]]:
    """For each row that some test declares: the tests, in the order of their names."""
    found: dict[str, set[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        name = path.relative_to(ROOT).as_posix()
        for item in declared_in(path.read_text(encoding="utf-8"), name):
            found.setdefault(item.row, set()).add(item.test)
    return {row: tuple(sorted(tests)) for row, tests in found.items()}

"""Whether the file of a test holds a keyword: a test that shows a word's effect starts from the word.

A mark says what a test shows (tools/effects.py); this module asks whether the word stands in something that the test
gives a program: in a text of the test's file (marks and docstrings are none), in a text of a module of the tests that
it imports or has run in the test kernel, or in a file that lies beside the test and that the test names, itself or its
directory.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

from pykeepalived.tools.effects import ROOT, TESTS, declarations, is_mark

#: Places of a line, not words: a `real` line has them by position.
POSITIONS: Final = frozenset(
    f"ldirectord.real.{name}" for name in ("address", "range", "forward", "weight", "request/receive pair")
)
_GUEST: Final = re.compile(r"\bguest_\w*")
_FILE_NAME: Final = re.compile(r"[\w.][\w./-]{0,80}")
_LARGEST: Final = 1_000_000
_MOST_FILES: Final = 500


def _documentation(tree: ast.AST) -> set[int]:
    """The ids of all docstrings' nodes."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found.add(id(node.value))
    return found


def _marks(tree: ast.AST) -> set[int]:
    return {id(argument) for node in ast.walk(tree) if is_mark(node) for argument in ast.walk(node)}


def strings_in(source: str) -> tuple[str, ...]:
    """All texts of a Python source but those of marks and documentation."""
    tree = ast.parse(source)
    excluded = _documentation(tree) | _marks(tree)
    return tuple(
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in excluded
    )


@lru_cache(maxsize=1)
def _modules() -> dict[str, Path]:
    """Modules of the tests that a test can import, by their last name."""
    return {path.stem: path for path in sorted(TESTS.rglob("*.py")) if not path.name.startswith("__")}


def _imported(source: str) -> Iterator[Path]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [node.module, *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            path = _modules().get(name.rsplit(".", 1)[-1])
            if path is not None:
                yield path


def _guests(folder: Path, strings: tuple[str, ...]) -> Iterator[Path]:
    """Modules that the test has run in the test kernel: the names are there, or how they begin."""
    for text in strings:
        for name in _GUEST.findall(text):
            yield from sorted(folder.glob(f"{name}*.py"))


def _named_files(folder: Path, strings: tuple[str, ...]) -> Iterator[Path]:
    """Files below the folder that a text names, and all files of a directory that one names."""
    for text in strings:
        if not _FILE_NAME.fullmatch(text) or ".." in text or not (folder / text).exists() or (folder / text) == folder:
            continue
        below = [folder / text] if (folder / text).is_file() else sorted((folder / text).rglob("*"))
        yield from (path for path in below[:_MOST_FILES] if path.is_file() and path.suffix not in (".py", ".pyc"))


@lru_cache(maxsize=1024)
def _texts(path: Path) -> str:
    strings = strings_in(path.read_text(encoding="utf-8"))
    files = (
        item.read_text(encoding="utf-8", errors="replace")[:_LARGEST] for item in _named_files(path.parent, strings)
    )
    return "\n".join([*strings, *files])


@lru_cache(maxsize=1024)
def texts_of(test: str) -> str:
    """All that a test, named as pytest names it, can give to a program."""
    path = ROOT / test.partition("::")[0]
    source = path.read_text(encoding="utf-8")
    helpers = sorted({*_imported(source), *_guests(path.parent, strings_in(source))} - {path})
    return "\n".join(_texts(item) for item in (path, *helpers))


def holds(test: str, row: str, word: str) -> bool:
    """Whether the word stands where the test can have it from. Places without a word hold always."""
    if row in POSITIONS:
        return True
    before = r"(?<!\w)" if re.match(r"\w", word) else ""
    after = r"(?!\w)" if re.search(r"\w$", word) else ""
    return re.search(before + re.escape(word) + after, texts_of(test)) is not None


def test_of(row: str, word: str) -> str:
    """The first test that shows the row, or a word in the block that it opens, and has the word; empty: none."""
    tests = list(declarations().get(row, ()))
    tests += [test for name, below in sorted(declarations().items()) if name.startswith(f"{row}.") for test in below]
    return next((test for test in tests if holds(test, row, word)), "")

"""The files for editors are as new as the tables, and colour what they should."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pykeepalived.dialects.keepalived import load
from pykeepalived.dialects.keepalived.tables import TABLES
from pykeepalived.dialects.ldirectord import rows as ldirectord
from pykeepalived.tools import editors

TOP = Path(__file__).parents[2]
CODE = TOP / "contrib/editors/vscode"


@pytest.mark.parametrize("name", list(editors.files()))
def test_files_are_as_new_as_the_tables(name: str) -> None:
    assert (TOP / name).read_text(encoding="utf-8") == editors.files()[name], "make editors"


def test_no_other_files_lie_there() -> None:
    found = {str(path.relative_to(TOP)) for path in (TOP / "contrib/editors").rglob("*") if path.is_file()}
    assert found - {"contrib/editors/README.md"} == {name for name in editors.files() if name.startswith("contrib")}


def test_every_word_plays_one_part() -> None:
    words = editors.keepalived_words()
    parts = [word for part in words for word in part]
    assert len(parts) == len(set(parts))
    assert {name for table in TABLES for name in table.rows} <= set(parts)
    assert "virtual_server" in words.blocks and "advert_int" in words.keywords
    directives = {row.name for row in ldirectord.TABLE if row.scope is not ldirectord.Scope.REAL}
    assert directives <= {word for part in editors.ldirectord_words() for word in part}


def _scope(language: str, line: str, word: str) -> str | None:
    """The scope that a grammar gives a word: of the pattern that matches first, as editors choose."""
    grammar = json.loads((CODE / f"syntaxes/{language}.tmLanguage.json").read_text(encoding="utf-8"))
    position = 0
    while True:
        found: list[tuple[int, int, dict[str, Any], int]] = []
        for order, pattern in enumerate(grammar["patterns"]):
            text = pattern.get("match") or f"{pattern['begin']}.*?(?:{pattern['end']})"
            match = re.compile(text).search(line, position)
            if match is not None:
                found.append((match.start(), order, pattern, match.end()))
        if not found:
            return None
        start, _, pattern, end = min(found, key=lambda one: one[:2])
        if start <= line.index(word) < end:
            return str(pattern["name"]).rpartition(".")[0]
        position = max(end, start + 1)


@pytest.mark.parametrize(
    ("language", "line", "word", "scope"),
    [
        ("keepalived", "virtual_server 10.0.0.1 80 {", "virtual_server", "entity.name.type"),
        ("keepalived", "virtual_server 10.0.0.1 80 {", "10.0.0.1", "constant.numeric"),
        ("keepalived", "    advert_int 1", "advert_int", "keyword.other"),
        ("keepalived", "    advert_int_x 1", "advert_int", None),
        ("keepalived", "    advert_int 1 # priority", "priority", "comment.line"),
        ("keepalived", r"    auth_pass a\#b priority", "priority", "keyword.other"),
        ("keepalived", '    notify "priority # 1"', "priority", "string.quoted.double"),
        ("keepalived", "  priority ${WEIGHT}", "${WEIGHT}", "variable.other"),
        ("keepalived", "include other.conf", "include", "keyword.control.import"),
        ("ldirectord", "\treal=10.0.0.2:80 masq 5", "real", "keyword.other"),
        ("ldirectord", "\treal=10.0.0.2:80 masq 5", "masq", "support.type"),
        ("ldirectord", "virtual=10.0.0.1:80", "virtual", "entity.name.type"),
        ("ldirectord", "checktimeout=3 # receive", "receive", "comment.line"),
    ],
)
def test_colours_in_vs_code(language: str, line: str, word: str, scope: str | None) -> None:
    assert _scope(language, line, word) == scope


def test_the_schema_names_what_a_model_holds(tmp_path: Path) -> None:
    path = tmp_path / "keepalived.conf"
    path.write_text("global_defs {\n    router_id one\n}\n", encoding="ascii")
    model = msgspec.to_builtins(load(str(path)).config)
    schema = json.loads(editors.model_schema())
    top = schema["$defs"][schema["$ref"].rpartition("/")[2]]
    assert set(model) <= set(top["properties"])
    assert set(top.get("required", ())) <= set(model)

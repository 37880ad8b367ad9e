"""Documents that are made from the program are as new as it is, and what they name exists."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pykeepalived.cli import page
from pykeepalived.runtime.requests import ROWS
from pykeepalived.tools import control_doc
from pykeepalived.tools.manpages import filled

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", sorted(control_doc.FILES))
def test_the_description_of_the_control_socket_is_up_to_date(name: str) -> None:
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == control_doc.FILES[name](), "make man"


def test_every_request_is_described() -> None:
    schema = json.loads(control_doc.schema())
    assert set(schema["requests"]) == set(ROWS)
    for row in ROWS.values():
        assert f"### {row.name}\n" in control_doc.document()


def test_the_commands_in_the_page_are_up_to_date() -> None:
    text = (ROOT / "man" / page.PAGE).read_text(encoding="utf-8")
    assert filled(text, page.MARK, page.commands()) == text, "make man"


def test_every_wish_names_tests_that_exist() -> None:
    text = (ROOT / "docs" / "wishes.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if re.match(r"\| \d+ \|", line)]
    assert len(rows) == 25
    for row in rows:
        named = re.findall(r"`(tests/[a-z0-9_/]+\.py)(?:::(test_[a-z0-9_]+))?`", row)
        assert named, row
        for file, test in named:
            source = (ROOT / file).read_text(encoding="utf-8")
            assert not test or f"def {test}(" in source, (file, test)


def test_the_threat_model_names_tests_that_exist() -> None:
    text = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[a-z0-9_/]+\.py)(?:::(test_[a-z0-9_]+))?`", text)
    assert len(named) > 12
    for file, test in named:
        source = (ROOT / file).read_text(encoding="utf-8")
        assert not test or f"def {test}(" in source, (file, test)


def test_every_promise_of_ldirectord_names_tests_that_exist() -> None:
    text = (ROOT / "docs" / "ldirectord.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| promise |")]
    assert len(rows) > 50
    for row in rows:
        named = re.findall(r"`(tests/[a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`", row)
        assert named, row
        for file, test in named:
            assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), (file, test)

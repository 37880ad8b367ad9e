"""docs/dataplanes.md names tests that exist, in every cell."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "docs" / "dataplanes.md"
_REFERENCE = re.compile(r"`([a-z_0-9]*\.py)?::(\w+)`")


def test_every_cell_names_a_test_that_exists() -> None:
    text = DOCUMENT.read_text()
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    for ability, *cells in rows:
        assert len(cells) == 2, ability
        for cell in cells:
            file = ""
            found = _REFERENCE.findall(cell)
            assert found, f"no test in: {ability} | {cell}"
            for named, test in found:
                file = named or file
                source = (HERE / file).read_text()
                assert re.search(rf"^\s*(?:def|class) {test}\b", source, re.MULTILINE), f"{file}::{test}"

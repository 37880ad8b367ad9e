"""Manual pages: well-formed, complete, and as new as the tables that they are made of."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pykeepalived.cli.keepalived_options import OPTIONS
from pykeepalived.tools.manpages import PAGES, filled

MAN = Path(__file__).parents[2] / "man"
EVERY_PAGE = ("genhash.1", "keepalived.8", "keepalived.conf.5", "keepalivedctl.1", "ldirectord.8")


def test_there_is_a_page_for_every_command_and_file() -> None:
    assert {page.name for page in MAN.iterdir()} == set(EVERY_PAGE)


@pytest.mark.parametrize("name", EVERY_PAGE)
def test_mandoc_finds_nothing_to_warn_about(name: str) -> None:
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed (make packages-test)")
    checked = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", MAN / name], capture_output=True, text=True, timeout=60, check=False
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_keyword_lists_are_up_to_date(name: str) -> None:
    mark, render = PAGES[name]
    page = (MAN / name).read_text(encoding="utf-8")
    assert filled(page, mark, render()) == page, "make man"


def test_options_in_the_pages_exist() -> None:
    known = {name for option in OPTIONS for name in option.opts}
    page = (MAN / "keepalived.8").read_text()
    written = set(re.findall(r"^\.It.*?Fl (?:\w , Fl )?-([a-z_-]{2,})", page, re.MULTILINE))
    assert len(written) > 15
    assert {f"--{name}" for name in written} <= known


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="KEYWORDS"):
        filled("no marks here\n", "KEYWORDS", "text\n")

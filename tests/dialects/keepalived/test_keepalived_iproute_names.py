"""Names of routing tables come from the lists of iproute2, wherever global_defs say these stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykeepalived.dialects.keepalived import load
from tests.dialects.keepalived.fake_host import FakeHost


@pytest.mark.shows("global_defs.{iproute_usr_dir,iproute_etc_dir}")
@pytest.mark.parametrize(("words", "number"), [("usr", 71), ("etc", 72), ("usr etc", 72), ("etc usr", 72)])
def test_a_table_has_the_number_of_the_list(words: str, number: int, tmp_path: Path) -> None:
    """The local list counts more than the vendor's, whichever word comes first."""
    for name, each in (("usr", 71), ("etc", 72)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rt_tables").write_text(f"{each} ours\n", encoding="ascii")
    names = {"usr": "iproute_usr_dir", "etc": "iproute_etc_dir"}
    settings = "".join(f"    {names[name]} {tmp_path / name}\n" for name in words.split())
    path = tmp_path / "a.conf"
    path.write_text(
        f"global_defs {{\n{settings}}}\nstatic_routes {{\n    10.9.0.0/16 dev eth0 table ours\n}}\n", encoding="utf-8"
    )
    result = load(str(path), config_id="lb1", host=FakeHost())
    assert [item.id for item in result.findings.items] == []
    assert [route.table for route in result.config.static_routes] == [number]


def test_without_the_words_the_name_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    path.write_text("static_routes {\n    10.9.0.0/16 dev eth0 table ours\n}\n", encoding="utf-8")
    result = load(str(path), config_id="lb1", host=FakeHost())
    assert [item.id for item in result.findings.items] == ["unknown-name"]

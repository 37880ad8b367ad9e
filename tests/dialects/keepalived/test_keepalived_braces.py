"""Braces in wrong places: the exit code is that of keepalived's reading, in which they end the blocks around them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pykeepalived.diagnostics import ExitClass
from pykeepalived.dialects.keepalived import load
from tests.dialects.keepalived.fake_host import FakeHost

#: Text, and what becomes of the exit code: the word that is missing is met, or stands outside of its block by then.
CASES = [
    ("global_defs {\n vrrp_version {{ y }}\n}\n", ExitClass.MISSING_WORD),
    ("global_defs {\n{% if %}\n vrrp_version {{ y }}\n}\n", ExitClass.GENERAL),
    ("global_defs {\n foo {\n bar\n }\n vrrp_version\n}\n", ExitClass.GENERAL),
    ("global_defs {\n router_id { bar }\n vrrp_version\n}\n", ExitClass.GENERAL),
    ("foo {\n global_defs {\n vrrp_version\n }\n}\n", ExitClass.MISSING_WORD),
    ("vrrp_script a {\n script {{ x }}\n interval {{ y }}\n}\n", ExitClass.GENERAL),
    ('vrrp_script a {\n script "/bin/true"\n interval {{ y }}\n}\n', ExitClass.MISSING_WORD),
    ("vrrp_instance {{ name }} {\n priority {{ y }}\n}\n", ExitClass.GENERAL),
    ("vrrp_instance a {\n virtual_ipaddress {\n {{ x }}\n }\n priority\n}\n", ExitClass.GENERAL),
    ("vrrp_instance a {\n {% x %}\n authentication {\n auth_type\n }\n priority\n}\n", ExitClass.GENERAL),
    ("vrrp_instance a {\n foo {\n x {\n }\n }\n global_defs {\n vrrp_version\n}\n", ExitClass.GENERAL),
    ("vrrp_instance a {\n {\n priority\n}\n", ExitClass.MISSING_WORD),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text.replace("\n", ";")[:60] for text, _ in CASES])
def test_a_word_is_missed_where_keepalived_would_still_look_for_it(
    tmp_path: Path, text: str, expected: ExitClass
) -> None:
    path = tmp_path / "keepalived.conf"
    path.write_text(text, encoding="utf-8")
    result = load(str(path), host=FakeHost())
    assert result.exit_class is expected
    assert result.refused is (expected is ExitClass.MISSING_WORD)


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("keepalived") is None, reason="needs keepalived")
@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text.replace("\n", ";")[:60] for text, _ in CASES])
def test_debians_keepalived_ends_with_the_same(tmp_path: Path, text: str, expected: ExitClass) -> None:
    path = tmp_path / "keepalived.conf"
    path.write_text(text, encoding="utf-8")
    done = subprocess.run(["keepalived", "-t", "-f", str(path)], capture_output=True, timeout=60, check=False)
    assert done.returncode == expected

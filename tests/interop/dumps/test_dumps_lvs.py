"""What virtual servers and checkers mean: our dump file against that of Debian's keepalived in the test kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykeepalived.tools.guest import run_in_guest
from tests.interop.dumps import dump_texts

HERE = Path(__file__).parent
CASES = sorted((HERE / "lvs").glob("*.conf"))
pytestmark = [pytest.mark.uml, pytest.mark.peer]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with all dumps, from one boot."""
    share = tmp_path_factory.mktemp("dumps")
    names = " ".join(str(path) for path in CASES)
    result = run_in_guest(f"OUT={share} sh {HERE / 'guest_dumps.sh'} {names}", timeout_s=120, share=share)
    assert result.exit_code == 0, result.output
    return share


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_model_is_keepalived_s(path: Path, theirs: Path) -> None:
    ours = dump_texts.checker_facts(dump_texts.checker_text(dump_texts.load_model(path)))
    assert ours
    text = (theirs / f"{path.stem}.data").read_text(encoding="utf-8")
    assert dump_texts.differences(dump_texts.checker_facts(text), ours) == []

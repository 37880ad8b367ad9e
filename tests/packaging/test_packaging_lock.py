"""The lock of continuous integration holds what setup.cfg asks for, and each file by its hash."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "packaging" / "locked-requirements.txt"
EXTRAS = re.search(r"(?m)^EXTRAS := (.*)$", (ROOT / "Makefile").read_text())


def pins() -> dict[str, str]:
    found = re.findall(r"(?m)^([A-Za-z0-9][\w.-]*)==(\S+)", LOCK.read_text())
    return {canonicalize_name(name): version for name, version in found}


def asked() -> list[Requirement]:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert EXTRAS is not None
    lists = [setup["options"]["install_requires"]]
    lists += [setup["options.extras_require"][extra] for extra in EXTRAS[1].split()]
    return [Requirement(line) for text in lists for line in text.split("\n") if line]


def test_the_lock_has_every_requirement_in_a_version_that_setup_cfg_takes() -> None:
    locked = pins()
    for requirement in asked():
        version = locked.get(canonicalize_name(requirement.name), "nothing")
        assert version != "nothing", f"{requirement} is not in the lock: run `make lock`"
        assert version in requirement.specifier, f"{requirement} is locked at {version}: run `make lock`"


def test_every_package_of_the_lock_has_a_hash() -> None:
    for entry in re.split(r"(?m)^(?=[A-Za-z0-9][\w.-]*==)", LOCK.read_text())[1:]:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry.splitlines()[0]


ANSWER = """#!{python}
import json
print(json.dumps({{"dependencies": {answer}}}))
"""


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], 0, "1 of 1 packages asked about, 0 known faults"),
        (
            [{"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["2"]}]}],
            1,
            "a 1: X-1; mended in 2",
        ),
        ([{"name": "a", "skip_reason": "unknown"}], 0, "no answer about 1: a"),
        ("nonsense", 0, "could not be asked"),
    ],
)
def test_the_audit_fails_for_a_known_fault_and_says_what_it_could_not_ask(
    tmp_path: Path, answer: object, code: int, said: str
) -> None:
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    auditor = tmp_path / "pip-audit"
    auditor.write_text(ANSWER.format(python=sys.executable, answer=answer))
    auditor.chmod(0o755)
    lock = tmp_path / "lock"
    lock.write_text("a==1\n")
    done = subprocess.run(
        [python, ROOT / "packaging" / "audit.py", lock], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == code, done.stderr
    assert said in done.stdout

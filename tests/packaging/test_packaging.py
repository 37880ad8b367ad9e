"""What a package holds, and that an installed program runs without this source tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = ("pykeepalived", "pyldirectord", "pygenhash", "keepalivedctl")
LINKS = {"sbin/keepalived": "pykeepalived", "sbin/ldirectord": "pyldirectord", "bin/genhash": "pygenhash"}


def run(*argv: str | Path, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [str(word) for word in argv], capture_output=True, text=True, timeout=300, check=False, **more
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a package is built from: building leaves traces."""
    place = tmp_path_factory.mktemp("build") / "source"
    place.mkdir()
    shutil.copytree(ROOT / "pykeepalived", place / "pykeepalived", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place)
    return place


def test_sdist_and_wheel_hold_every_module(source: Path, tmp_path: Path) -> None:
    done = run(sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path, source)
    assert done.returncode == 0, done.stdout + done.stderr
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "pykeepalived").rglob("*.py")}
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert modules | {"pykeepalived/py.typed"} <= names
        assert not any(name.startswith("tests/") for name in names)
        (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
        text = archive.read(entry_points).decode()
        assert all(re.search(rf"^{command} = ", text, re.MULTILINE) for command in COMMANDS)
        assert any(name.endswith("LICENSE") for name in names)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        assert modules | {"README.md", "LICENSE", "setup.cfg", "pyproject.toml"} <= names


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`make install` into a directory, for PREFIX=/usr."""
    place = tmp_path_factory.mktemp("install")
    done = run(ROOT / "packaging/install-program", sys.executable, "/usr", place)
    assert done.returncode == 0, done.stdout + done.stderr
    return place / "usr"


def away(tmp_path: Path) -> dict[str, object]:
    """Run far from the source tree, without anything of this virtual environment in the environment."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return {"cwd": tmp_path, "env": {**clean, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}}


def test_the_links_lead_to_the_programs(prefix: Path) -> None:
    for link, target in LINKS.items():
        assert (prefix / link).is_symlink()
        assert (prefix / link).resolve().name == target


def test_a_program_is_what_its_name_says(prefix: Path, tmp_path: Path) -> None:
    keepalived = run(prefix / "sbin/keepalived", "-v", **away(tmp_path))
    assert keepalived.returncode == 0
    assert re.match(r"Keepalived v\d+\.\d+\.\d+ ", keepalived.stderr)
    ldirectord = run(prefix / "sbin/ldirectord", "-v", **away(tmp_path))
    assert ldirectord.returncode == 0
    assert "ldirectord" in (ldirectord.stdout + ldirectord.stderr).lower()
    genhash = run(prefix / "bin/genhash", "-h", **away(tmp_path))
    assert genhash.returncode == 1
    assert "--server" in genhash.stdout + genhash.stderr


def test_the_installed_programs_accept_the_installed_examples(prefix: Path, tmp_path: Path) -> None:
    examples = prefix / "share/doc/pykeepalived/examples"
    for words in (["-f", examples / "keepalived.conf"], ["-f", examples / "ldirectord-vrrp.conf"]):
        for name in ("lb1", "lb2"):
            done = run(prefix / "sbin/keepalived", "-t", "-i", name, *words, **away(tmp_path))
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_manual_pages_are_installed(prefix: Path) -> None:
    pages = {str(page.relative_to(ROOT / "man")) for page in (ROOT / "man").iterdir()}
    installed = {page.name for page in (prefix / "share/man").rglob("*.[1-8]")}
    assert installed == pages


def test_the_package_list_is_well_formed() -> None:
    for line in (ROOT / "packaging/debian-packages.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            assert re.fullmatch(r"[a-z0-9][a-z0-9.+-]+ +((run|demo|ipvs|test|browser|node),?)+ +# \S.*", line), line


def test_without_root_the_command_is_named(tmp_path: Path) -> None:
    """install-packages with a machine that has nothing: no root, and a dpkg-query that knows no package."""
    for name, text in (("dpkg-query", "exit 1"), ("id", "echo 1000"), ("apt-get", "echo called; exit 1")):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    done = run(ROOT / "packaging/install-packages", "ipvs", env={"PATH": path})
    assert done.returncode == 1
    assert (
        "sudo apt-get install --no-install-recommends python3 python3-venv libpcre2-8-0 user-mode-linux kmod ipvsadm"
        in done.stderr
    )
    assert "called" not in done.stdout

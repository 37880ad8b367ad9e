"""The Debian package and what it brings: services, completions, profile, names, scripts."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pykeepalived.cli import completions
from pykeepalived.cli.keepalived_options import OPTIONS

ROOT = Path(__file__).parents[2]
NAMES = ("keepalived", "ldirectord", "genhash", "keepalivedctl")


def run(*argv: str | Path, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [str(word) for word in argv], capture_output=True, text=True, timeout=300, check=False, **more
    )


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, without compiled files: they take half of the time."""
    place = tmp_path_factory.mktemp("deb")
    done = run(ROOT / "packaging/build-deb", sys.executable, place, env={**os.environ, "COMPILE": "no", "LEVEL": "0"})
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = place.glob("*.deb")
    assert file.name == done.stdout.strip().rpartition("/")[2]
    return file


@pytest.fixture(scope="module")
def content(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("content")
    assert run("dpkg-deb", "-R", package, place).returncode == 0
    return place


def field(package: Path, name: str) -> str:
    return run("dpkg-deb", "-f", package, name).stdout.strip()


def test_it_takes_the_place_of_both(package: Path) -> None:
    for name in ("Provides", "Conflicts", "Replaces"):
        assert {re.match(r"[a-z]+", word)[0] for word in field(package, name).split(", ")} == {
            "keepalived",
            "ldirectord",
        }
    assert re.search(r"python3 \(>= 3\.\d+\), python3 \(<< 3\.\d+~\)", field(package, "Depends"))
    # Whoever asks for a keepalived of some version is content with this one.
    version = re.search(r"keepalived \(= ([^)]+)\)", field(package, "Provides"))
    assert version
    assert run("dpkg", "--compare-versions", version[1], "ge", "1:2.2.7").returncode == 0


def test_what_an_administrator_changes_is_a_conffile(content: Path) -> None:
    listed = set((content / "DEBIAN/conffiles").read_text().split())
    files = {f"/{path.relative_to(content)}" for path in (content / "etc").rglob("*") if path.is_file()}
    assert listed == {path for path in files if not (content / path[1:]).is_symlink()}
    for name in ("keepalived", "ldirectord"):
        assert {f"/etc/init.d/{name}", f"/etc/logrotate.d/{name}"} <= listed


def test_its_owners_and_modes(package: Path) -> None:
    lines = run("dpkg-deb", "-c", package).stdout.splitlines()
    assert all(" root/root " in line for line in lines)
    assert not [line for line in lines if line[0] == "-" and (line[5] == "w" or line[8] == "w" or "s" in line[:10])]


def test_the_programs_run_with_the_system_s_python(content: Path) -> None:
    for launcher in ("usr/sbin/pykeepalived", "usr/sbin/pyldirectord", "usr/bin/pygenhash", "usr/bin/keepalivedctl"):
        assert (content / launcher).read_text().startswith("#!/usr/bin/python3 -I\n")
    done = run("/usr/bin/python3", "-I", content / "usr/sbin/pykeepalived", "-v", env={"PATH": "/usr/bin:/bin"})
    assert done.stderr.startswith("Keepalived v")
    # No path of the machine that built it.
    texts = [
        path.read_bytes()
        for path in content.rglob("*")
        if path.is_file() and "pykeepalived/pykeepalived" not in str(path)
    ]
    assert not [text for text in texts if str(ROOT).encode() in text]


def test_the_scripts_of_the_package_name_what_it_holds(content: Path) -> None:
    postinst = (content / "DEBIAN/postinst").read_text()
    for target in re.findall(r"/usr/(?:s?bin|share)/\S*", postinst.replace("$man", "/usr/share/man")):
        name = Path(target).name
        if name.startswith("py"):
            assert (content / target[1:]).exists(), target
    for script in [*(content / "DEBIAN").glob("p*"), *(content / "etc/init.d").iterdir()]:
        assert os.access(script, os.X_OK)
        assert run("sh", "-n", script).returncode == 0


def test_man_pages_of_every_program(content: Path) -> None:
    pages = {path.name for path in (content / "usr/share/man").rglob("*.gz")}
    assert pages == {
        "pykeepalived.8.gz",
        "pykeepalived.conf.5.gz",
        "pyldirectord.8.gz",
        "pygenhash.1.gz",
        "keepalivedctl.1.gz",
    }


@pytest.fixture(scope="module")
def machine(content: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's units in a root directory of their own, for systemd-analyze; the names that postinst makes, too."""
    root = tmp_path_factory.mktemp("machine")
    shutil.copytree(content, root, symlinks=True, dirs_exist_ok=True)
    (root / "usr/sbin/keepalived").symlink_to("pykeepalived")
    (root / "usr/sbin/ldirectord").symlink_to("pyldirectord")
    (root / "bin").mkdir()
    shutil.copy("/bin/kill", root / "bin/kill")
    for unit in ("multi-user", "network-online", "sysinit", "basic", "shutdown", "network"):
        (root / "lib/systemd/system" / f"{unit}.target").write_text("[Unit]\nDescription=x\n")
    return root


@pytest.mark.parametrize(
    "unit", ["keepalived.service", "keepalived-non-root.service", "ldirectord.service", "ldirectord@web.cf.service"]
)
def test_units_are_well_formed(machine: Path, unit: str) -> None:
    done = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", f"--root={machine}", unit)
    assert (done.returncode, [line for line in done.stderr.splitlines() if unit.partition("@")[0] in line]) == (0, [])


def test_a_broken_unit_is_seen(machine: Path) -> None:
    unit = machine / "lib/systemd/system/broken.service"
    unit.write_text("[Service]\nExecStart=relative\nType=sometimes\n")
    done = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", f"--root={machine}", "broken.service")
    assert done.returncode != 0


def test_units_start_the_daemon_with_options_that_it_has(content: Path) -> None:
    long = {word for option in OPTIONS for word in option.opts}
    for path in (content / "lib/systemd/system").iterdir():
        text = path.read_text()
        assert "@" not in re.sub(r"SystemCallFilter=.*", "", text), path.name
        for start in re.findall(r"^ExecStart=\S*keepalived (.*)", text, re.M):
            assert {word.partition("=")[0] for word in start.split() if word.startswith("-")} <= long


def test_the_apparmor_profile_is_read(content: Path) -> None:
    profile = content / "etc/apparmor.d/usr.sbin.pykeepalived"
    done = run("/sbin/apparmor_parser", "-Q", "-K", profile)
    assert done.returncode == 0, done.stderr
    broken = content.parent / "broken.profile"
    broken.write_text(profile.read_text().replace("capability net_raw,", "capability net_rawest,"))
    assert run("/sbin/apparmor_parser", "-Q", "-K", broken).returncode != 0


# ── completions ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_completions_are_as_new_as_the_options() -> None:
    for path, text in completions.files().items():
        assert (ROOT / path).read_text() == text, f"{path}: make editors"


def bash(name: str, line: str) -> list[str]:
    """What bash offers behind the words of `line` (its last word is being typed)."""
    words = line.split(" ")
    script = (
        f'source "{ROOT}/contrib/completions/bash/{name}"\n'
        f"COMP_WORDS=({' '.join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}\n"
        f"compopt() {{ :; }}\n_{name}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = run("bash", "--norc", "-c", script)
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes() -> None:
    assert bash("keepalived", "keepalived --use") == ["--use-file"]
    assert bash("keepalived", "keepalived --signum ST") == ["STOP", "STATS", "STATS_CLEAR"]
    assert bash("keepalived", "keepalived --log-fac = local7".replace("--log-fac", "--log-facility")) == ["local7"]
    assert "/etc/passwd" in bash("keepalived", "keepalived -f /etc/passw")
    assert bash("ldirectord", "ldirectord try") == ["try-restart"]
    assert bash("keepalivedctl", "keepalivedctl dr") == ["drain"]
    assert bash("keepalivedctl", "keepalivedctl status --su") == ["--summary"]
    assert bash("genhash", "genhash --protocol 1.0") == ["1.0", "1.0c"]


def test_fish_completes() -> None:
    def fish(name: str, line: str) -> list[str]:
        script = f"source {ROOT}/contrib/completions/fish/{name}.fish; complete -C '{line}'"
        done = run("fish", "--no-config", "-c", script)
        assert done.stderr == ""
        return [found.split("\t")[0] for found in done.stdout.splitlines()]

    assert fish("keepalived", "keepalived --use") == ["--use-file"]
    assert "STATS_CLEAR" in fish("keepalived", "keepalived --signum ")
    assert "drain" in fish("keepalivedctl", "keepalivedctl dr")
    assert "--summary" in fish("keepalivedctl", "keepalivedctl status --su")


def test_zsh_completes() -> None:
    """Each file runs as zsh runs it, with an _arguments that prints what it is given."""
    for name in NAMES:
        path = ROOT / f"contrib/completions/zsh/_{name}"
        assert path.read_text().startswith(f"#compdef {name}")
        assert run("zsh", "-fn", path).stderr == ""
    start = "_arguments() { print -l -- $@ }\nwords=(keepalivedctl status); CURRENT=3\n"
    script = f"{start}source {ROOT}/contrib/completions/zsh/_"
    offered = run("zsh", "-fc", f"{script}keepalived").stdout
    assert "*--use-file=[" in offered
    assert "(STOP RELOAD DATA STATS STATS_CLEAR JSON" in offered
    assert "*--summary[" in run("zsh", "-fc", f"{script}keepalivedctl").stdout


# ── the image ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_image_s_recipe_names_what_there_is(content: Path) -> None:
    """No registry can be asked here: the lines are looked at one by one."""
    text = (ROOT / "packaging/oci/Containerfile").read_text()
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    assert {line.split()[0] for line in lines} == {"FROM", "RUN", "COPY", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
    for line in lines:
        if line.startswith("RUN "):
            assert run("sh", "-nc", line[4:]).returncode == 0, line
    assert re.search(r"make -C /source (\w+) ", text)[1] in (ROOT / "Makefile").read_text()  # type: ignore[index]
    (start,) = (json.loads(line.removeprefix("ENTRYPOINT ")) for line in lines if line.startswith("ENTRYPOINT"))
    (more,) = (json.loads(line.removeprefix("CMD ")) for line in lines if line.startswith("CMD"))
    assert (content / "usr/sbin" / f"py{Path(start[0]).name}").exists()
    assert {word.partition("=")[0] for word in [*start[1:], *more]} <= {word for each in OPTIONS for word in each.opts}

"""The command line of keepalived: what scripts ask it, and the same questions to Debian's keepalived."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GOOD = """
global_defs {
    router_id X
    dynamic_interfaces
}
vrrp_instance VI_1 {
    state BACKUP
    interface eth99
    virtual_router_id 51
    priority 100
    advert_int 1
    virtual_ipaddress { 10.99.0.9/24 }
}
"""
OURS = [sys.executable, "-m", "pykeepalived.cli.keepalived"]
THEIRS = [shutil.which("keepalived", path="/usr/sbin:/sbin") or "keepalived"]


def run(program: list[str], *words: str, **more) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | more.pop("env", {})
    return subprocess.run(
        [*program, *words], capture_output=True, text=True, timeout=30, check=False, env=environment, **more
    )


def ours(*words: str, **more) -> subprocess.CompletedProcess[str]:
    return run(OURS, *words, **more)


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "keepalived.conf"
    path.write_text(GOOD)
    return str(path)


# ---- what stands on its own ----


def test_version_as_deployment_tools_read_it():
    done = ours("--version")
    assert done.returncode == 0
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert re.fullmatch(r"Keepalived v2\.4\.3 \(\d\d/\d\d,\d{4}\)", lines[0])
    # Neutron: the second word of the first line without its v; the exporter: at least two lines and --enable-json.
    assert lines[0].split()[1].strip("v") == "2.4.3"
    assert len(lines) > 2
    assert "--enable-json" in done.stderr
    assert "pykeepalived" in done.stderr


def test_help_names_every_option_and_ends_well():
    done = ours("-h")
    assert done.returncode == 0
    for option in ("--use-file=FILE", "--config-test[=LOG_FILE]", "--signum=SIGFUNC", "--control-socket=PATH"):
        assert option in done.stderr
    assert all(len(line) <= 100 for line in done.stderr.splitlines())


@pytest.mark.parametrize(
    "words",
    ["-nldDS0", "-P -C -B -3 -a -x -X -V -I -R -m -e", "-A x -s y -b z -i q -u 022 -M -g --perf --debug",
     "--no-mem-check -L -O", "--ignore-sigint --flush-log-file --config-fd=3 --all --core-dump-pattern=x --log-file=x"],
)  # fmt: skip
def test_every_option_of_the_original_is_taken(words, good):
    """With -v at the end nothing is started; an unknown option would be an error before it."""
    done = ours(*words.split(), "-v")
    assert done.returncode == 0
    assert done.stderr.startswith("Keepalived v")


def test_test_of_a_good_file_says_nothing(good):
    done = ours("-t", "-f", good)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_findings_are_short_lines_and_can_go_to_a_file(tmp_path):
    path = tmp_path / "bad.conf"
    path.write_text(GOOD.replace("priority 100", "priorty 100"))
    done = ours("-t", "-f", str(path))
    assert done.returncode == 5
    assert done.stderr == (
        f"{path}:10:5: error[unknown-keyword]: unknown keyword `priorty` in vrrp_instance "
        "(help: did you mean `priority`?)\n"
    )
    log = tmp_path / "findings"
    log.write_text("before\n")
    assert ours(f"-t{log}", "-f", str(path)).returncode == 5
    assert ours(f"--config-test={log}", "-f", str(path)).returncode == 5
    assert log.read_text() == "before\n" + 2 * done.stderr


def test_the_file_of_findings_is_made_in_any_case(tmp_path):
    path, log = tmp_path / "good.conf", tmp_path / "findings"
    path.write_text(GOOD)
    assert ours(f"-t{log}", "-f", str(path)).returncode == 0
    assert (log.read_text(), log.stat().st_mode & 0o777) == ("", 0o600)
    done = ours(f"-t{tmp_path}/none/findings", "-f", str(path))
    assert done.returncode == 1, "both versions of keepalived end with 1, whatever the configuration is"
    assert done.stderr.startswith(f"Unable to open config-test log file {tmp_path}/none/findings")


def test_on_a_terminal_findings_show_the_place(tmp_path):
    path = tmp_path / "bad.conf"
    path.write_text(GOOD.replace("priority 100", "priorty 100"))
    parent, child = os.openpty()
    done = subprocess.run(
        [*OURS, "-t", "-f", str(path)],
        stderr=child,
        timeout=30,
        check=False,
        env=os.environ | {"NO_COLOR": "1"},
        cwd=ROOT,
    )
    os.close(child)
    text = os.read(parent, 65536).decode().replace("\r\n", "\n")
    os.close(parent)
    assert done.returncode == 5
    assert " 10 |     priorty 100\n" in text
    assert "    |     ^^^^^^^\n" in text


def test_the_daemon_options_that_are_without_effect_are_said_to_be(tmp_path):
    done = ours("-n", "-l", "-G", "--perf=all", "-f", str(tmp_path / "missing"))
    assert done.returncode == 6
    assert "Option --perf is known and has no effect yet" in done.stderr
    assert f"Config files missing '{tmp_path}/missing'." in done.stderr


def test_genhash_by_option_and_by_name(tmp_path):
    done = ours("-T", "-h")
    assert done.returncode == 1
    assert "genhash" in done.stdout + done.stderr
    link = tmp_path / "genhash"
    link.write_text(f"#!{sys.executable}\nfrom pykeepalived.cli.keepalived import main\nmain()\n")
    link.chmod(0o755)
    named = run([str(link)], "-h")
    assert (named.returncode, named.stdout, named.stderr) == (done.returncode, done.stdout, done.stderr)


def test_ldirectord_by_name(tmp_path):
    link = tmp_path / "ldirectord"
    link.write_text(f"#!{sys.executable}\nfrom pykeepalived.cli.keepalived import main\nmain()\n")
    link.chmod(0o755)
    assert "ldirectord" in (run([str(link)], "--version").stdout + run([str(link)], "--version").stderr)


# ---- the same question to both ----

QUESTIONS = {
    "signum-stop": ["--signum", "STOP"],
    "signum-reload": ["--signum=RELOAD"],
    "signum-data": ["--signum=DATA"],
    "signum-stats": ["--signum=STATS"],
    "signum-stats-clear": ["--signum=STATS_CLEAR"],
    "signum-json": ["--sig=JSON"],
    "signum-unknown": ["--signum=XX"],
    "version-bundled": ["-nv"],
    "help-wins": ["-h", "-f", "x"],
    "unknown-short": ["-z"],
    "unknown-bundled": ["-nz"],
    "unknown-long": ["--bogus"],
    "ambiguous": ["--no", "-v"],
    "flag-with-parameter": ["--vrrp=3"],
    "missing-parameter": ["-f"],
    "missing-long-parameter": ["--use-file"],
    "abbreviated": ["--use-f", "GOOD", "--config-t"],
    "test-then-file": ["-t", "-f", "GOOD"],
    "puppet": ["-l", "-t", "-f", "GOOD"],
    "ansible": ["--config-test", "-f", "GOOD"],
    "file-attached": ["-tfGOOD".replace("fGOOD", ""), "-fGOOD"],
    "permuted": ["word", "-t", "-f", "GOOD", "other"],
    "after-dashes": ["-t", "-f", "GOOD", "--", "-z"],
    "umask-wrong": ["-u", "zz", "-t", "-f", "GOOD"],
    "version-after-nonsense": ["-z", "-v"],
    "first-answer-wins": ["-v", "-h"],
    "missing-file-under-test": ["-t", "-f", "/nonexistent/x.conf"],
    "facility-wrong": ["-S", "foo", "-t", "-f", "GOOD"],
    "posix-words": ["-t", "-f", "GOOD", "word", "-z"],
}


@pytest.mark.peer
@pytest.mark.parametrize("name", QUESTIONS)
def test_same_exit_code_and_same_standard_output(name, good):
    words = [word.replace("GOOD", good) for word in QUESTIONS[name]]
    environment = {"POSIXLY_CORRECT": "1"} if name == "posix-words" else {}
    mine, theirs = ours(*words, env=environment), run(THEIRS, *words, env=environment)
    assert mine.returncode == theirs.returncode, (mine, theirs)
    assert mine.stdout.split() == theirs.stdout.split()
    assert bool(mine.stderr) == bool(theirs.stderr), (mine.stderr, theirs.stderr)


@pytest.mark.peer
def test_version_has_the_shape_of_the_original():
    """Line by line: what is before the first digit or colon is the same."""
    mine, theirs = ours("-v").stderr.splitlines(), run(THEIRS, "-v").stderr.splitlines()
    for label in ("Keepalived v", "Running on ", "Distro: ", "configure options: ", "Config options:  "):
        assert sum(line.startswith(label) for line in theirs) == 1
        assert sum(line.startswith(label) for line in mine) == 1

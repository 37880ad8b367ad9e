"""Every option of keepalived 2.4.3 in every way to write it: what the exit code says, beside Debian's 2.2.7.

Each case is followed by `-f FILE -t` with a file that has nothing wrong, so an option that is taken ends with 0 and one
that is not with 1. The codes are those of 2.4.3, found by running it; 2.2.7 lacks some options.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pykeepalived.cli.keepalived import run
from pykeepalived.cli.keepalived_options import OPTIONS

FILE = """
global_defs {
    router_id X
    dynamic_interfaces
}
vrrp_instance VI_1 {
    interface eth99
    virtual_router_id 51
    virtual_ipaddress { 10.99.0.9/24 }
}
"""
TAKEN = (
    "-P", "--vrrp", "-C", "--check", "-l", "--log-console", "--log-c", "-D", "-DDD", "--log-detail",
    "-S7", "-S 0", "--log-facility=1", "--log-fa 2", "-G", "--no-syslog", "--no-s", "-u 022", "--umask=0177", "--um 9",
    "-X", "--release-vips", "--rel", "-V", "--dont-release-vrrp", "-I", "--dont-release-ipvs", "-R", "--dont-respawn",
    "--dont-resp", "-n", "--dont-fork", "--dont-f", "-d", "--dump-conf", "--du", "-p x", "-px", "--pid=x", "--pid x",
    "-r x", "--vrrp_pid=x", "-c x", "--checkers_pid=x", "-a", "--address-monitoring", "--addr",
    "-s none", "--namespace=none", "--name none", "-m", "--core-dump", "-M", "-Mx", "--core-dump-pattern",
    "--core-dump-pattern=x", "--core-dump-p", "-e", "--all-config", "--all", "-i X", "-iX", "--config-id=X",
    "--config-i X", "--config-id X", "--log-d",
    "-t", "--config-test", "--config-t", "--config-fd=3", "-nldD", "-nldDS0", "-nlGDP", "word", "-",
)  # fmt: skip
#: Taken since a release after 2.2.7, or in builds with log files.
NEWER = ("-g", "-gFILE", "--log-file", "--log-file=FILE", "--flush-log-file", "--flush", "--ignore-sigint", "--ig")
#: In 2.4.3 only in a build with BFD or SNMP; Debian's has both.
BUILDS = ("-B", "--no_bfd", "-b x", "--bfd_pid=x", "--bfd x", "-x", "--snmp", "-A x", "--snmp-agent-socket=x")
#: In 2.4.3 only in builds for its own development, so Debian's refuses them. Taken here, and without effect.
DEVELOPMENT = ("--perf", "--perf=run", "--debug", "--debug=abc", "-O", "-L", "--mem-check-log", "--no-mem-check", "-3")
REFUSED = (
    "-y", "-W", "-Z", "-nZ", "-nldZD", "-?", "--bogus", "--no-bfd", "--checkers-pid=x", "--dont", "--dont-re", "--log",
    "--log-f", "--config", "--core", "--vr", "--v", "--list-features", "--vrrp=3", "--dont-fork=yes", "--help=3",
    "--log-detail=2", "-T", "--signum", "--signum=", "--signum=stop", "--signum=TDUMP", "--signum TDATA",
)  # fmt: skip
ANSWERS = ("-v", "--version", "--vers", "-nv", "-h", "--help", "--he", "--signum=STOP", "--signum JSON", "--sig DATA")
OURS = {"control_socket", "ldirectord", "strict_config"}


@pytest.fixture
def words(tmp_path: Path, request: pytest.FixtureRequest) -> list[str]:
    file = tmp_path / "keepalived.conf"
    file.write_text(FILE)
    option = request.param.replace("FILE", str(tmp_path / "log"))
    return [*option.split(" "), "-f", str(file), "-t"]


def code_of(words: list[str]) -> int:
    try:
        return run(words)
    except SystemExit as end:
        return int(end.code or 0)


@pytest.mark.parametrize("words", [*TAKEN, *NEWER, *BUILDS, *DEVELOPMENT, *ANSWERS], indirect=True)
def test_taken(words: list[str]) -> None:
    assert code_of(words) == 0


@pytest.mark.parametrize("words", REFUSED, indirect=True)
def test_refused(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert code_of(words) == 1
    told = capfd.readouterr()
    assert told.out + told.err


def theirs(words: list[str]) -> int:
    program = shutil.which("keepalived", path="/usr/sbin:/sbin") or "keepalived"
    return subprocess.run([program, *words], capture_output=True, timeout=60, check=False).returncode


@pytest.mark.peer
@pytest.mark.parametrize("words", [*TAKEN, *BUILDS, *ANSWERS], indirect=True)
def test_debian_s_takes_it_too(words: list[str]) -> None:
    assert theirs(words) == 0


@pytest.mark.peer
@pytest.mark.parametrize("words", [*REFUSED, *DEVELOPMENT], indirect=True)
def test_debian_s_refuses_it_too(words: list[str]) -> None:
    assert theirs(words) == 1


def test_the_table_has_every_option_in_both_forms() -> None:
    written = {word for case in (*TAKEN, *NEWER, *BUILDS, *DEVELOPMENT, *ANSWERS) for word in case.split(" ")}
    written |= {word.split("=")[0] for word in written} | {word[:2] for word in written if not word.startswith("--")}
    # -f, --use-file: every case has one; -T becomes another program with options of its own.
    written |= {"-f", "--use-file", "-T", "--genhash"}
    for option in OPTIONS:
        if option.name not in OURS:
            assert set(option.opts) <= written, option.name

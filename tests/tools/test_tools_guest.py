"""The test kernel: it boots, has IPVS, passes code and output on, keeps the machine's files as they are."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pykeepalived.tools.guest import GuestError, run_in_guest

pytestmark = pytest.mark.uml


def test_the_guest_has_ipvs_and_keeps_its_writes_to_itself(tmp_path: Path) -> None:
    pieces: list[bytes] = []
    other = tmp_path / "other"
    share = tmp_path / "share"
    share.mkdir()
    result = run_in_guest(
        f"""
        ipvsadm -A -t 10.0.0.1:80 -s wlc
        ipvsadm -a -t 10.0.0.1:80 -r 10.0.0.2:80 -m -w 3
        ipvsadm -Sn
        python -c 'import pykeepalived, sys; print("python", sys.stdout.isatty())'
        echo kept > {share}/file; echo lost > {other}
        ip link add v0 type veth peer name v1 && echo "$COLOUR"
        sleep 100 &
        exit 7
        """,
        timeout_s=60,
        share=share,
        environment={"COLOUR": "it's blue"},
        on_output=pieces.append,
    )
    assert result.exit_code == 7
    assert result.output.splitlines() == [
        "-A -t 10.0.0.1:80 -s wlc",
        "-a -t 10.0.0.1:80 -r 10.0.0.2:80 -m -w 3",
        "python False",
        "it's blue",
    ]
    assert b"".join(pieces).decode() == result.output
    assert (share / "file").read_text() == "kept\n"
    assert not other.exists()


def test_a_guest_that_does_not_end_is_ended() -> None:
    started = time.monotonic()
    with pytest.raises(GuestError, match=r"(?s)longer than 6 s.*first words"):
        run_in_guest("echo first words; sleep 100", timeout_s=6, modules=())
    assert time.monotonic() - started < 12


def test_a_guest_that_cannot_prepare_says_why() -> None:
    with pytest.raises(GuestError, match=r"(?s)did not boot.*no_such_module"):
        run_in_guest("true", timeout_s=30, modules=("no_such_module",))


def test_a_script_file_may_have_a_terminal(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n[ -t 1 ] && pwd && printf 'no newline'\n")
    script.chmod(0o755)
    result = run_in_guest(script, timeout_s=30, modules=(), terminal=True, directory=Path("/usr"))
    assert (result.exit_code, result.output) == (0, "/usr\nno newline")

"""One script drives Debian's ldirectord and ours through all actions: the same answers and logs.

On this machine, where a stand-in for ipvsadm keeps the table of Debian's; and, longer, in the test kernel with IPVS.
"""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pykeepalived.tools.guest import run_in_guest
from tests.ldirectord.room import Room

HERE = Path(__file__).parent

GOOD = """\
checktimeout=1
checkinterval=1
virtual=10.77.0.1:80
    real=10.77.1.1:80 masq 2
    fallback=127.0.0.1:80 masq
    checktype=connect
"""
SECOND = "virtual=10.77.0.2:80\n    real=10.77.1.1:80 masq\n    checktype=on\n"
BROKEN = GOOD.replace("    checktype", "checktype")
#: Texts that are ours, as docs/compatibility.md says: the usage, the version's lines after the first, what is wrong
#: with a file and where.
OWN_WORDS = {"usage", "unknown", "wrong-option", "version"}
#: What one of the two logs and the other has no reason to: see docs/compatibility.md.
OURS_ALONE = {"LVS dataplane is …"}
PEER_ALONE = {
    # The detour of a start: everything in, everything out, then the checks.
    "Deleted real server: 10.77.1.1:80 (10.77.0.1:80)",
    "Deleted real server: 10.77.1.1:80 (10.77.0.2:80)",
    # A reload that changes nothing.
    "Changed virtual server: 10.77.0.1:80",
}


def normal(text: str, name: str) -> str:
    """Without numbers of processes and without which program it is."""
    # Perl's own remarks about itself are no answer of the program.
    kept = [line for line in text.splitlines() if not line.startswith(("Use of uninitialized", "child: "))]
    joined = "\n".join(kept).replace(f"{name}.cf", "X.cf").replace(f"{name}-second.cf", "X-second.cf")
    joined = re.sub(r"invoked as: \S+ldirectord ", "invoked as: PROGRAM ", joined)
    joined = re.sub(r"LVS dataplane is .*", "LVS dataplane is …", joined)
    return re.sub(r"pid: \d+", "pid: N", joined)


def log_lines(report: dict[str, Any], name: str) -> list[tuple[str, str]]:
    """Process and text of every line."""
    found = []
    for line in report[name]["log"].splitlines():
        match = re.fullmatch(r"\[\w{3} \w{3} [ \d]\d [\d:]{8} \d{4}\|([\w.-]+)\|(\d+)\] (.*)", line)
        assert match, line
        assert match[1] in {f"{name}.cf", f"{name}-second.cf", "such.cf"}
        found.append((match[2], normal(match[3], name)))
    return found


def calls_and_daemons(lines: list[tuple[str, str]]) -> tuple[list[str], Counter[str]]:
    """What calls wrote, in their order, and what daemons did: they write while calls come and go."""
    callers = {process for process, text in lines if text.startswith(("Invoking", "Config file", "Exiting"))}
    calls = [text for process, text in lines if process in callers]
    return calls, Counter(text for process, text in lines if process not in callers)


def same_answers(report: dict[str, Any]) -> None:
    ours, peer = report["ours"]["calls"], report["peer"]["calls"]
    assert len(ours) == len(peer) > 25
    differences = []
    for mine, theirs in zip(ours, peer, strict=True):
        step, code, output, errors, there = mine
        seen = [step, code, normal(output, "ours"), normal(errors, "ours"), there]
        expected = [*theirs[:2], normal(theirs[2], "peer"), normal(theirs[3], "peer"), theirs[4]]
        if step == "version":
            assert seen[2].splitlines()[0] == expected[2].splitlines()[0]
        if step in OWN_WORDS or code == 2:
            seen[2:4] = expected[2:4] = ["", ""]
        if step in {"stop", "second stop", "try-restart", "restart"}:  # nobody waits for the end, or the beginning
            seen[4] = expected[4] = None
        if seen != expected:
            differences.append((seen, expected))
    assert differences == []


def same_log(report: dict[str, Any]) -> None:
    (ours, our_daemons), (peer, peer_daemons) = (
        calls_and_daemons(log_lines(report, name)) for name in ("ours", "peer")
    )
    assert ours == peer
    assert len(ours) > 35
    assert set(our_daemons) - set(peer_daemons) == OURS_ALONE
    assert set(peer_daemons) - set(our_daemons) == PEER_ALONE
    # Each start is a story with one end.
    for text in ("Linux Director Daemon terminated on signal: TERM", "Purged virtual server (stop): 10.77.0.1:80",
                 "Added virtual server: 10.77.0.1:80"):  # fmt: skip
        assert our_daemons[text] == peer_daemons[text] > 1, text
    # Signals that come close together are one for the original, and may be for ours.
    for daemons in (our_daemons, peer_daemons):
        assert daemons["Reloading Linux Director Daemon config on signal"] >= 1


def a_file_that_breaks_under_a_daemon(report: dict[str, Any]) -> None:
    """The original forgets its daemon, ours answers."""
    codes = {name: [(call[0], call[1], call[4]) for call in each["broken"]] for name, each in report.items()}
    assert codes["peer"][:2] == [("start", 0, True), ("start", 2, False)]
    assert [code for _, code, _ in codes["peer"][2:]] == [2, 2, 2]
    assert codes["ours"][:4] == [("start", 0, True), ("start", 2, True), ("reload", 2, True), ("status", 0, True)]
    assert codes["ours"][4][:2] == ("stop", 0)


def judge(report: dict[str, Any]) -> None:
    same_answers(report)
    same_log(report)
    a_file_that_breaks_under_a_daemon(report)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, text in (("good", GOOD), ("second", SECOND), ("broken", BROKEN)):
        (tmp_path / f"{name}.cf").write_text(text)
    return tmp_path


@pytest.mark.netns
@pytest.mark.peer
def test_all_actions(files: Path) -> None:
    with Room() as room:
        room.give_ipvsadm()
        done = room.run(*room.python(HERE / "guest_actions.py", files), timeout_s=900)
    assert done.returncode == 0, done.stderr
    judge(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.uml
@pytest.mark.peer
@pytest.mark.long
def test_all_actions_with_ipvs(files: Path) -> None:
    result = run_in_guest(f"exec python {HERE / 'guest_actions.py'} {files}", timeout_s=4500, share=files)
    assert result.exit_code == 0, result.output
    judge(json.loads(result.output.splitlines()[-1]))

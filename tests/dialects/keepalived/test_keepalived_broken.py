"""Broken configurations: exact findings (golden files), and the exit code beside Debian's keepalived -t."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pykeepalived.diagnostics import Severity
from pykeepalived.diagnostics.render import short
from pykeepalived.dialects.keepalived import load
from pykeepalived.dialects.keepalived.reuse import Memory
from tests.dialects.keepalived.fake_host import FakeHost

BROKEN = Path(__file__).parent / "broken"
CASES = sorted(BROKEN.glob("*.conf"))

#: Where keepalived 2.2.7 and we part, each with the reason.
DIFFERENCES = {
    "list-without-brace": "2.2.7 takes the lines up to the next closing brace as the list",
    "duplicate-peer": "2.4.3 calls a peer that is given twice an error, 2.2.7 says nothing",
    "http-without-url": "2.2.7 dies of a segmentation fault",
    "version-2-with-ipv6": "2.4.3 calls it an error, 2.2.7 silently takes version 3",
    "address-twice": "2.4.3 reports it, 2.2.7 drops the second one without a word",
    "track-file-directory-missing": "2.4.3 reports it, 2.2.7 says nothing",
    "url-words-twice": "2.4.3 reports it, 2.2.7 says nothing",
    "empty-track-group": "2.4.3 reports it, 2.2.7 says nothing",
    "preempt-after-sync-alone": "the word is ours, and 2.2.7 does not know it",
    "slow-start-of-one": "the word is ours, and 2.2.7 does not know it",
    "hmac-key-files": "2.2.7 knows no HMAC; 2.4.3 has exit code 6 where others may read the key",
}


def report(path: Path) -> str:
    result = load(path.name, config_id="lb1", host=FakeHost())
    # Notes about words without effect change with every area that lands; they have a test of their own.
    lines = [short(item) for item in result.findings.items if item.severity is not Severity.NOTE]
    return "\n".join([*lines, f"exit {int(result.exit_class)}", ""])


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_findings_are_exactly_these(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BROKEN)
    expected = path.with_suffix(".expected")
    found = report(path)
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")


def test_what_needs_ipvs_is_said_at_its_place_once_it_is_known_that_there_is_none(tmp_path: Path) -> None:
    asked = (BROKEN / "dataplane-nftables.conf").read_text(encoding="utf-8")
    path = tmp_path / "keepalived.conf"
    path.write_text(asked.replace("lvs_dataplane nftables", "lvs_dataplane auto"), encoding="utf-8")
    without = FakeHost()
    without.no_ipvs = True
    told = [
        load(str(name), config_id="lb1", host=host, memory=Memory())
        for name, host in ((BROKEN / "dataplane-nftables.conf", FakeHost()), (path, FakeHost()), (path, without))
    ]
    chosen, unknown, known = (
        [(item.span.line, item.span.column, item.message) for item in result.findings.items if item.span]
        for result in told
    )
    assert known == chosen
    assert len(known) == 5
    assert [line for line, _, _ in unknown] == [17], "random, which IPVS does not have"
    # The same file is right on another machine.
    assert int(told[2].exit_class) == 0


def test_the_collection_is_large_and_each_case_finds_something() -> None:
    assert len(CASES) >= 50
    for path in CASES:
        assert not path.with_suffix(".expected").read_text(encoding="utf-8").startswith("exit 0"), path.stem


@pytest.mark.peer
@pytest.mark.netns
@pytest.mark.skipif(shutil.which("keepalived") is None or os.geteuid() != 0, reason="needs keepalived and root")
def test_exit_codes_are_those_of_keepalived() -> None:
    """One namespace with eth0 and eth1, in which keepalived -t reads every case."""
    script = (
        "ip link add eth0 type veth peer name eth1 && ip link set eth0 up && ip link set eth1 up && "
        "for file in *.conf; do timeout 20 keepalived -t -i lb1 -f $file >/dev/null 2>&1; echo $file $?; done"
    )
    run = subprocess.run(
        ["unshare", "-n", "sh", "-c", script], cwd=BROKEN, capture_output=True, text=True, timeout=300, check=True
    )
    theirs = dict(line.split() for line in run.stdout.splitlines())
    assert len(theirs) == len(CASES)
    ours = {
        path.name: path.with_suffix(".expected").read_text(encoding="utf-8").splitlines()[-1].removeprefix("exit ")
        for path in CASES
    }
    differing = {Path(name).stem for name in ours if ours[name] != theirs[name]}
    told = {name: (ours[name], theirs[name]) for name in ours}
    assert differing <= set(DIFFERENCES), told
    # Each difference is between 2.4.3 and 2.2.7; other distributions' versions stand somewhere between.
    banner = subprocess.run(["keepalived", "--version"], capture_output=True, text=True, timeout=20, check=True).stderr
    if "v2.2.7 " in banner:
        assert differing == set(DIFFERENCES), told

"""Configurations that use many words: nothing to say about them, by us and by Debian's keepalived -t."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pykeepalived.diagnostics import ExitClass, Severity
from pykeepalived.dialects.keepalived import load
from pykeepalived.model import AddressSelector, SorryServer, VrrpState
from tests.dialects.keepalived.fake_host import FakeHost

HERE = Path(__file__).parent
VALID = HERE / "valid"
CASES = sorted(VALID.glob("*.conf"))
#: What is said without counting for the exit code.
EXPECTED = {
    "addresses-with-tails": ["address-with-tail", "address-with-tail", "address-with-tail", "bad-prefix-length"],
    "includes": ["config-file-missing"],
    "missing-script-unused": ["script-not-found"],
    "namespace-missing": ["script-security", "script-security"],
    "script-without-instance": ["script-security"],
}
#: 2.2.7 -t ends itself with SIGTERM on some files with scripts.
TERMINATED = {"lvs-checkers.conf", "vrrp-trackers.conf"}


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_nothing_is_wrong(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(VALID)
    result = load(path.name, config_id="lb1", host=FakeHost())
    assert [item for item in result.findings.items if item.exit_class is not ExitClass.NONE] == []
    wrong = [item for item in result.findings.items if item.severity is not Severity.NOTE]
    assert [item.id for item in wrong] == EXPECTED.get(path.stem, [])
    assert result.exit_class is ExitClass.NONE
    assert not result.refused


def test_words_that_debian_does_not_know_yet() -> None:
    result = load(str(HERE / "newer" / "words-since-2.4.conf"), config_id="lb1", host=FakeHost())
    assert [item for item in result.findings.items if item.severity is not Severity.NOTE] == []
    first, second = result.config.instances
    assert first.auth_hmac is not None and first.auth_hmac.active_key == 1
    assert first.timer_expired_backup == 200
    assert second.addresses == ()


@pytest.mark.peer
@pytest.mark.netns
@pytest.mark.skipif(shutil.which("keepalived") is None or os.geteuid() != 0, reason="needs keepalived and root")
def test_keepalived_agrees() -> None:
    script = (
        "ip link add eth0 type veth peer name eth1 && ip link set eth0 up && ip link set eth1 up && "
        "for file in *.conf; do timeout 20 keepalived -t -i lb1 -f $file >/dev/null 2>&1; echo $file $?; done"
    )
    run = subprocess.run(
        ["unshare", "-n", "sh", "-c", script], cwd=VALID, capture_output=True, text=True, timeout=120, check=True
    )
    theirs = dict(line.split() for line in run.stdout.splitlines())
    assert len(theirs) == len(CASES) >= 20
    assert {name for name, code in theirs.items() if code != "0"} <= TERMINATED


@pytest.mark.parametrize("variant", ["master", "slave"])
def test_the_printed_configuration(variant: str) -> None:
    """The two-director example of the handbook: two or three mistakes, each with its cure, and a usable model."""
    result = load(str(HERE / "printed" / f"{variant}.conf"), host=FakeHost())
    said = {item.help: item for item in result.findings.items if item.exit_class is not ExitClass.NONE}
    cures = {"did you mean `router_id`?", "join this line with the one above: `sorry_server 192.168.0.1 80`"}
    assert set(said) == (cures | {"write `BACKUP`"} if variant == "slave" else cures)
    assert result.exit_class is ExitClass.GENERAL
    assert not result.refused
    assert said["did you mean `router_id`?"].span is not None
    (instance,) = result.config.instances
    assert instance.initial_state is (VrrpState.MASTER if variant == "master" else VrrpState.BACKUP)
    assert instance.priority == 100
    assert [str(address.prefix) for address in instance.addresses] == ["10.0.0.5/32", "192.168.0.1/32"]
    (service,) = result.config.virtual_servers
    assert service.selector == AddressSelector("192.168.0.1", 80)
    assert (service.scheduler, service.persistence_timeout_s) == ("wlc", 50)
    assert [(server.address, server.port, server.weight) for server in service.real_servers] == [
        ("192.168.0.12", 80, 20),
        ("192.168.0.13", 80, 8),
    ]
    assert service.sorry_server == SorryServer(address="192.168.0.1", port=0)
    assert result.config.globals.mail.recipients == ("mon@mail.com",)

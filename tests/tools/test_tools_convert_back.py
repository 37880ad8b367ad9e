"""From keepalived.conf to ldirectord.cf: both programs take it, nothing is lost in silence, and the way back."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykeepalived.dialects.keepalived import load as load_keepalived
from pykeepalived.dialects.ldirectord import load_text
from pykeepalived.model import Config
from pykeepalived.tools.convert import Format, convert
from tests.dialects.keepalived.fake_host import FakeHost as KeepalivedHost
from tests.dialects.ldirectord.ldirectord_fakes import FakeHost as LdirectordHost

ROOT = Path(__file__).parents[2]
VALID = ROOT / "tests/dialects/keepalived/valid"
FILES = {
    "example": ROOT / "examples/keepalived.conf",
    "basics": VALID / "lvs-basics.conf",
    "groups": VALID / "lvs-groups.conf",
    "checkers": VALID / "lvs-checkers.conf",
}


def loaded(path: Path) -> Config:
    return load_keepalived(str(path), config_id="lb1", host=KeepalivedHost()).config


def to_ldirectord(path: Path) -> Any:
    return convert({"x": path.read_text()}, Format.KEEPALIVED, Format.LDIRECTORD, keepalived=loaded(path))


@pytest.mark.parametrize("name", FILES)
def test_our_own_test_takes_it_and_lists_the_rest(name: str) -> None:
    result = to_ldirectord(FILES[name])
    after = load_text(result.text, "x.cf", host=LdirectordHost())
    assert after.ok, [item.message for item in after.findings.items]
    for service in loaded(FILES[name]).virtual_servers:
        for server in service.real_servers:
            known = server.address in result.text or any(server.address in note for note in result.notes)
            grouped = any("left out" in note or "no equivalent" in note for note in result.notes)
            assert known or grouped, server.address


@pytest.mark.peer
@pytest.mark.netns
@pytest.mark.skipif(shutil.which("ldirectord") is None or os.geteuid() != 0, reason="needs ldirectord and root")
@pytest.mark.parametrize("name", FILES)
def test_debians_ldirectord_takes_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.cf"
    path.write_text(to_ldirectord(FILES[name]).text)
    run = subprocess.run(
        ["unshare", "-n", "ldirectord", str(path), "status"], capture_output=True, text=True, timeout=120, check=False
    )
    assert (run.returncode, "is stopped for" in run.stdout + run.stderr) == (3, True), run.stdout + run.stderr


SERVICE = """virtual_server 10.0.0.1 80 {{
    lb_algo {scheduler}
    lb_kind {kind}
    protocol {protocol}
    delay_loop 7
    {more}
    real_server 10.1.1.1 80 {{
        weight {weight}
        {check}
    }}
    real_server 10.1.1.2 80 {{
        weight 1
        {check}
    }}
}}
"""


@settings(deadline=None, max_examples=30)
@given(
    scheduler=st.sampled_from(["rr", "wrr", "wlc", "sh"]),
    kind=st.sampled_from(["NAT", "DR", "TUN"]),
    weight=st.integers(0, 9),
    more=st.sampled_from(["", "persistence_timeout 60", "sorry_server 10.9.9.9 80"]),
    check=st.sampled_from(
        ["", "TCP_CHECK {\nconnect_timeout 4\n}", "HTTP_GET {\nurl {\npath /a\n}\n}", "PING_CHECK {\n}"]
    ),
)
def test_there_and_back_keeps_the_model(
    *, scheduler: str, kind: str, weight: int, more: str, check: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("back") / "x.conf"
    path.write_text(
        SERVICE.format(scheduler=scheduler, kind=kind, protocol="TCP", more=more, weight=weight, check=check)
    )
    before = loaded(path).virtual_servers
    there = to_ldirectord(path)
    back = convert({"x.cf": there.text}, Format.LDIRECTORD, Format.KEEPALIVED, host=LdirectordHost())
    path.write_text(back.text)
    after = loaded(path).virtual_servers

    def table(servers: Any) -> list[Any]:
        return [
            (item.selector, item.protocol, item.scheduler, item.persistence_timeout_s,
             item.sorry_server and item.sorry_server.address,
             [(each.address, each.port, each.weight, each.forwarding.method) for each in item.real_servers],
             [[spec.question.__struct_config__.tag for spec in each.checkers] for each in item.real_servers])
            for item in servers
        ]  # fmt: skip

    assert table(after) == table(before), (there.text, back.text)
    # A second journey changes nothing any more.
    again = to_ldirectord(path)
    assert re.sub(r"(?m)^#.*\n", "", again.text) == re.sub(r"(?m)^#.*\n", "", there.text)

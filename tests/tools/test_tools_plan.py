"""What a reload would do: each kind of change by name, nothing for lines that moved, no password in the text."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from pykeepalived.cli.keepalivedctl import main
from pykeepalived.dialects import keepalived
from pykeepalived.tools.plan import plan
from tests.dialects.keepalived.fake_host import FakeHost

FILE = """\
vrrp_script chk {
    script /bin/true
}
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority 100
    authentication {
        auth_type PASS
        auth_pass secret
    }
    virtual_ipaddress {
        10.0.0.9/24
    }
    track_script {
        chk
    }
}
virtual_server 10.0.0.9 80 {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 10.1.0.1 80 {
        weight 1
        TCP_CHECK {
            connect_timeout 3
        }
    }
}
"""


ONE, TWO = (f"[10.1.0.{last}]:tcp:80 of [10.0.0.9]:tcp:80" for last in (1, 2))


@pytest.fixture
def read(tmp_path):
    def load(text):
        file = tmp_path / "k.conf"
        file.write_text(text)
        return keepalived.load(str(file), host=FakeHost()).config

    return load


def changed(read, *pairs, text=FILE):
    new = text
    for old_words, new_words in pairs:
        assert old_words in new
        new = new.replace(old_words, new_words, 1)
    return [(item.kind, item.name, item.verb.value, item.details) for item in plan(read(text), read(new))]


def test_lines_that_moved_change_nothing(read):
    assert changed(read, ("vrrp_instance", "\n\n# a remark\nvrrp_instance")) == []


@pytest.mark.parametrize(
    ("words", "instead", "expected"),
    [
        ("priority 100", "priority 120", ("instance", "VI_1", "change", ("priority: 100 → 120",))),
        ("10.0.0.9/24\n", "10.0.0.8/24\n", ("instance", "VI_1", "change", ("addresses: - 10.0.0.9/24",
                                                                            "addresses: + 10.0.0.8/24"))),
        ("auth_pass secret", "auth_pass other", ("instance", "VI_1", "change", ("authentication: changed",))),
        ("vrrp_instance VI_1", "vrrp_instance V2", ("instance", "VI_1", "rename", ("name: VI_1 → V2",))),
        ("weight 1", "weight 5", ("real server", ONE, "change", ("weight: 1 → 5",))),
        ("connect_timeout 3", "connect_timeout 4", ("real server", ONE, "change",
                                                    ("checks: 1 begin anew", "checks: 1 end"))),
        ("lb_algo rr", "lb_algo wlc", ("virtual server", "[10.0.0.9]:tcp:80", "change", ("scheduler: rr → wlc",))),
        ("real_server 10.1.0.1", "real_server 10.1.0.2", ("real server", TWO, "add", ())),
        ("virtual_server 10.0.0.9", "virtual_server 10.0.0.8", ("virtual server", "[10.0.0.9]:tcp:80", "remove", ())),
    ],
)  # fmt: skip
def test_each_change_has_its_line(read, words, instead, expected):
    found = changed(read, (words, instead))
    assert expected in found
    assert "secret" not in str(found)


def test_another_vrid_is_another_router(read):
    found = changed(read, ("virtual_router_id 51", "virtual_router_id 52"))
    assert [item[:3] for item in found] == [("instance", "VI_1", "replace")]


def test_what_needs_a_restart_and_which_processes_come_and_go(read):
    found = changed(read, ("vrrp_script chk", "global_defs {\n  lvs_dataplane nftables\n}\nvrrp_script chk"))
    # The checker process says so by itself; what the parent keeps is named.
    assert found[0][:3] in {("global_defs", "", "change"), ("global_defs", "lvs_dataplane", "cannot change")}
    without = FILE[: FILE.index("virtual_server")]
    found = [(item.kind, item.name, item.verb.value) for item in plan(read(FILE), read(without))]
    assert ("process", "checker", "remove") in found


def test_two_files_and_the_exit_codes(tmp_path):
    old, new, bad = (tmp_path / name for name in ("old", "new", "bad"))
    # Without interfaces: what this machine has is no matter here.
    text = FILE[FILE.index("virtual_server") :]
    old.write_text(text)
    new.write_text(text.replace("weight 1", "weight 2"))
    bad.write_text(text.replace("weight 1", "weight many"))
    run = CliRunner().invoke
    done = run(main, ["plan", str(new), "--from", str(old), "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["changes"][0]["details"] == ["weight: 1 → 2"]
    assert "a reload changes nothing" in run(main, ["plan", str(old), "--from", str(old)]).output
    assert run(main, ["plan", str(bad), "--from", str(old)]).exit_code == 1
    assert run(main, ["plan", str(tmp_path / "none"), "--from", str(old)]).exit_code == 2
    assert run(main, ["plan", "--from", str(old)]).exit_code == 2

"""Programs that the VRRP side has run for it: as whom, with which groups, and by which process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pykeepalived.tools.lab import wait_until
from tests.interop.vrrp.test_interop_vrrp_vmac import BLOCKING, instance
from tests.interop.vrrp.vrrp_single import Single, single

pytestmark = pytest.mark.netns


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def noted(router: Single) -> list[str]:
    return router.here.run("sh", "-c", "cat /run/seen/groups 2>/dev/null || true").stdout.split()


@pytest.mark.shows("global_defs.set_supplementary_groups")
@pytest.mark.parametrize("word", ["", "set_supplementary_groups", "set_supplementary_groups off"])
def test_the_groups_of_a_script(word: str, tmp_path: Path) -> None:
    groups = tmp_path / "group"
    groups.write_text(Path("/etc/group").read_text() + "helpers:x:64444:nobody\n")
    text = (
        f"global_defs {{\n script_user nobody\n {word}\n}}\n"
        f"vrrp_script check {{\n script /run/check\n interval 1\n}}\n"
        + instance("V1", "eth0", 51, "track_script {\n check\n}", "10.9.0.100")
    )
    with single("ours", text, tmp_path) as router:
        router.here.bind(groups, "/etc/group")
        router.here.run("mkdir", "-m", "777", "/run/seen")
        text = "#!/bin/sh\nid -G >/run/seen/new && mv /run/seen/new /run/seen/groups\n"
        router.here.run("sh", "-c", "cat >/run/check && chmod 755 /run/check", input=text)
        router.start()
        found = wait_until(lambda: noted(router), 120, "the script ran")
        assert found[0] == "65534"
        assert ("64444" in found) is (word == "set_supplementary_groups")
        router.stop()


IPTABLES = "global_defs {\n vrrp_iptables\n}\n" + BLOCKING.partition("}\n")[2]


@pytest.mark.shows("global_defs.vrrp_iptables")
def test_iptables_is_run_by_the_script_runner(tmp_path: Path) -> None:
    parents = tmp_path / "parents"
    shadows = tmp_path / "bin"
    shadows.mkdir()
    for name in ("iptables", "ip6tables", "iptables-restore", "ip6tables-restore", "ipset"):
        program(shadows / name, f'cat /proc/$PPID/comm >>{parents}\nexec /usr/sbin/{name} "$@"')
    with single("ours", IPTABLES, tmp_path) as router:
        router.start(env={**os.environ, "PATH": f"{shadows}:{os.environ['PATH']}"})
        router.wait_said("Entering MASTER STATE", count=3)
        wait_until(lambda: router.here.has_address("10.9.0.103"), 120, "the last address")
        assert "keepalived-in" in router.ruleset()
        router.stop()
    assert set(parents.read_text().split()) == {"script-runner"}


def sets(router: Single) -> str:
    return router.here.run("ipset", "list", "-n").stdout


@pytest.mark.shows("namespace_with_ipsets")
@pytest.mark.parametrize("word", ["", "namespace_with_ipsets"])
def test_sets_in_a_named_namespace(word: str, tmp_path: Path) -> None:
    with single("ours", f"net_namespace run\n{word}\n{IPTABLES}", tmp_path) as router:
        router.here.ip("netns", "add", "run")
        for ifname in ("eth0", "eth1"):
            router.here.ip("link", "set", ifname, "netns", "run")
            router.here.ip("netns", "exec", "run", "ip", "link", "set", ifname, "up")
        router.here.ip("netns", "exec", "run", "ip", "addr", "add", "10.9.0.1/24", "dev", "eth0")
        router.start()
        router.wait_said("(V1) Entering MASTER STATE")
        inside = ("ip", "netns", "exec", "run")
        rules = router.here.run(*inside, "iptables", "-S").stdout
        assert "keepalived-in" in rules
        assert ("--match-set" in rules) is bool(word)
        assert bool(router.here.run(*inside, "ipset", "list", "-n").stdout) is bool(word)
        assert ("10.9.0.100/32" in rules) is not bool(word)
        router.stop()
        assert router.here.run(*inside, "ipset", "list", "-n").stdout == ""


def blocks(router: Single, *there: str, gone: str) -> bool:
    """Whether all of this is in the ruleset and that is not: one filter takes another's place in several steps."""
    ruleset = router.ruleset()
    return all(text in ruleset for text in there) and gone not in ruleset


@pytest.mark.shows("global_defs.{nftables,nftables_priority,nftables_counters,vrrp_iptables}")
def test_settings_of_the_packet_filter_change_on_a_reload(tmp_path: Path) -> None:
    rest = BLOCKING.partition("}\n")[2]
    with single("ours", f"global_defs {{\n nftables first\n}}\n{rest}", tmp_path) as router:
        router.start()
        router.wait_said("Entering MASTER STATE", count=3)
        wait_until(lambda: blocks(router, "table ip first", "10.9.0.101", gone="second"), 120, "everything is blocked")
        router.write(f"global_defs {{\n nftables second\n nftables_priority -9\n nftables_counters\n}}\n{rest}")
        router.reload()
        texts = ("table ip second", "10.9.0.101", "filter - 9", "counter packets")
        wait_until(lambda: blocks(router, *texts, gone="first"), 120, f"the new table: {texts}")
        router.write(IPTABLES)
        router.reload()
        wait_until(lambda: blocks(router, "keepalived-in", gone="second"), 120, "chains of iptables")
        wait_until(lambda: "10.9.0.101" in router.here.run("ipset", "list").stdout, 120, "the sets are filled")
        router.write(f"global_defs {{\n nftables third\n}}\n{rest}")
        router.reload()
        wait_until(lambda: blocks(router, "table ip third", gone="keepalived-in"), 120, "a table again")
        wait_until(lambda: sets(router) == "", 120, "the sets are gone")
        assert router.said().count("Entering MASTER STATE") == 3
        router.stop()
        assert "third" not in router.ruleset()

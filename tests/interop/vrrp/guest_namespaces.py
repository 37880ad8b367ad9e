"""IPVS in another network namespace than the daemon's, beside Debian's keepalived. Runs inside the test kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykeepalived.tools.lab import wait_until
from tests.interop.vrrp.vrrp_single import Single, single

SERVICE = """
virtual_server 10.0.0.5 80 {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 127.0.0.2 80 {
    }
}
"""
TABLE = ["-A -t 10.0.0.5:80 -s rr", "-a -t 10.0.0.5:80 -r 127.0.0.2:80 -m -w 1"]
SPACES = ("", "run", "vs")
#: Words of the file, and the namespace where the table is to be ("": the one in which the daemon was started).
CASES = {
    "net_namespace run": "run",
    "net_namespace_ipvs vs": "vs",
    "net_namespace run\nnet_namespace_ipvs vs": "vs",
    "net_namespace run\nnet_namespace_ipvs": "",
}


def tables(router: Single) -> dict[str, list[str]]:
    found = {}
    for name in SPACES:
        inside = ("ip", "netns", "exec", name) if name else ()
        found[name] = router.here.run(*inside, "ipvsadm", "-Sn").stdout.splitlines()
    return found


@pytest.mark.parametrize("words", CASES)
@pytest.mark.parametrize("program", ["theirs", "ours"])
def test_the_table_is_where_the_file_says(program: str, words: str, tmp_path: Path) -> None:
    if program == "theirs" and words.endswith("_ipvs"):
        pytest.xfail("keepalived 2.2.7 does not put it into the namespace that it was started in")
    with single(program, f"{words}\n{SERVICE}", tmp_path) as router:
        for name in ("run", "vs"):
            router.here.ip("netns", "add", name)
            router.here.ip("-n", name, "link", "set", "lo", "up")
        router.start(options=("-C",))
        expected = {name: [line.strip() for line in TABLE] if name == CASES[words] else [] for name in SPACES}
        wait_until(lambda: _stripped(tables(router)) == expected, 120, f"{expected}: {tables(router)}\n{router.said()}")
        router.stop()
        wait_until(lambda: not any(tables(router).values()), 120, "the table is empty")


def _stripped(found: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: [line.strip() for line in lines] for name, lines in found.items()}

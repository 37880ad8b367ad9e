"""`pykeepalived --ldirectord`: the pools of an ldirectord.cf are served where VRRP is MASTER."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ldirectord.room import PROGRAM, Room, wait_for

pytestmark = pytest.mark.netns
KEEPALIVED = str(Path(PROGRAM).with_name("pykeepalived"))

VRRP = """\
global_defs { lvs_dataplane nftables }
vrrp_instance one {
    interface left
    state BACKUP
    version 3
    virtual_router_id 51
    priority 100
    advert_int 0.1
    virtual_ipaddress { 10.1.0.1/24 }
}
virtual_server 10.1.0.100 90 {
    lvs_sched rr
    protocol TCP
    delay_loop 1
    real_server 127.0.0.1 8001 {
        weight 4
        TCP_CHECK { connect_timeout 1 }
    }
}
"""
POOLS = """\
checkinterval=1
checktimeout=1
virtual=10.1.0.1:80
    real=127.0.0.1:8001 masq 2
    checktype=connect
virtual=10.1.0.9:80
    real=127.0.0.1:8001 masq 3
    checktype=connect
"""


@pytest.fixture
def room() -> Iterator[Room]:
    with Room() as own:
        own.run("ip", "link", "add", "left", "type", "veth", "peer", "name", "right")
        for name in ("left", "right"):
            own.run("ip", "link", "set", name, "up")
        own.run("ip", "address", "add", "10.1.0.100/24", "dev", "left")
        yield own


def test_pools_follow_the_address(room: Room, tmp_path: Path) -> None:
    first, second, log = tmp_path / "keepalived.conf", tmp_path / "ldirectord.cf", tmp_path / "log"
    first.write_text(VRRP)
    second.write_text(POOLS)
    room.up(8001)
    daemon = room.start(
        "env", f"PYKEEPALIVED_STATE_DIRECTORY={tmp_path}/state", KEEPALIVED, "-n", "-D", "-G", f"--log-file={log}",
        "-p", f"{tmp_path}/pid", "-f", str(first), "--ldirectord", str(second),
    )  # fmt: skip

    def said(text: str) -> int:
        return sum(path.read_text().count(text) for path in tmp_path.glob("log*"))

    def table() -> str:
        return room.run("nft", "list", "ruleset").stdout

    # What stands in keepalived.conf does not follow.
    own = "10.1.0.100 . tcp . 90"
    wait_for(lambda: said("Adding service [127.0.0.1]:tcp:8001") or said("[10.1.0.100]:tcp:90"), "keepalived's half")
    added = "Added real server: 127.0.0.1:8001 (10.1.0.1:80) (Weight set to 2)"
    wait_for(lambda: said(added) == 1, "the pool after MASTER")
    wait_for(lambda: "10.1.0.1" in table() and "8001" in table(), "the table")
    assert own in table() or "10.1.0.100" in table()
    assert "10.1.0.9" not in table(), "an address that is not here is not served"
    room.run("ip", "link", "set", "right", "down")
    wait_for(lambda: said("Purged virtual server (start): 10.1.0.1:80") == 1, "the end of the pool after FAULT")
    wait_for(lambda: "10.1.0.1 " not in table(), "a table without it")
    assert "10.1.0.100" in table()
    room.run("ip", "link", "set", "right", "up")
    wait_for(lambda: said(added) == 2, "the pool after the return")
    room.run("ip", "address", "add", "10.1.0.9/32", "dev", "right")
    wait_for(lambda: said("Added real server: 127.0.0.1:8001 (10.1.0.9:80)") == 1, "an address of its own")
    # A file with errors changes nothing.
    second.write_text(POOLS + "nonsense\n")
    number = (tmp_path / "pid").read_text().strip()
    room.run("kill", "-HUP", number)
    wait_for(lambda: said("line-outside-section") or said("ldirectord.cf:9"), "the refusal")
    second.write_text(POOLS.replace("masq 2", "masq 5"))
    room.run("kill", "-HUP", number)
    wait_for(lambda: said("127.0.0.1:8001 (10.1.0.1:80) (Weight set to 5)") == 1, "a new weight")
    room.run("kill", number)
    daemon.communicate(timeout=90)
    assert "8001" not in table()


def test_a_file_with_errors_and_services_in_both(tmp_path: Path) -> None:
    first, second = tmp_path / "keepalived.conf", tmp_path / "ldirectord.cf"
    first.write_text("")
    second.write_text("nonsense\n")
    words = [KEEPALIVED, "-t", "-f", first, "--ldirectord", second]

    def test() -> tuple[int, str]:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30, env=os.environ)
        return done.returncode, done.stderr

    code, text = test()
    assert code == 5
    assert f"{second}:1:1" in text
    second.write_text(POOLS)
    assert test()[0] == 0
    inside = "lvs_sched rr\n lvs_method NAT\n protocol TCP\n real_server 10.0.0.2 80 {\n }\n"
    service = f"virtual_server 10.1.0.1 PORT {{\n {inside}}}\n"
    first.write_text(service.replace("PORT", "81"))
    assert test()[0] == 0
    first.write_text(service.replace("PORT", "80"))
    code, text = test()
    assert code == 5
    assert "virtual server [10.1.0.1]:tcp:80 stands in keepalived.conf and in ldirectord.cf" in text
    assert "two-sources-of-services" in text

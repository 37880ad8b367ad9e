"""Two directors, each one process with both files: pool, address and sync daemon change sides together.

This is what Heartbeat with `ldirectord::conf`, a sync daemon script and a watching cron job did.
"""

import json
from pathlib import Path

import pytest

from pykeepalived.tools.guest import run_in_guest

HERE = Path(__file__).parent

VRRP = """\
global_defs {{
    lvs_sync_daemon eth0 VI_1 id 7
}}
vrrp_instance VI_1 {{
    interface eth0
    state BACKUP
    version 3
    virtual_router_id 51
    priority {priority}
    advert_int 0.5
    virtual_ipaddress {{ 10.9.0.1/24 }}
}}
virtual_server 10.9.0.200 443 {{
    lvs_sched rr
    lvs_method DR
    protocol TCP
    real_server 10.9.0.3 443 {{
    }}
}}
"""
POOLS = """\
checkinterval=1
checktimeout=1
virtual=10.9.0.1:80
    real=127.0.0.1:80 masq 2
    checktype=on
"""


@pytest.mark.uml
@pytest.mark.shows("global_defs.lvs_sync_daemon")
def test_pool_address_and_sync_daemon_change_sides_together(tmp_path: Path) -> None:
    for name, priority in (("one", 150), ("two", 100)):
        (tmp_path / f"{name}.conf").write_text(VRRP.format(priority=priority))
    (tmp_path / "ldirectord.cf").write_text(POOLS)
    result = run_in_guest(f"exec python {HERE / 'guest_pair.py'} {tmp_path}", timeout_s=400, share=tmp_path)
    assert result.exit_code == 0, result.output
    report = json.loads(result.output.splitlines()[-1])
    own = "-A -t 10.9.0.200:443 -s rr\n-a -t 10.9.0.200:443 -r 10.9.0.3:443 -g -w 1\n"
    pool = "-A -t 10.9.0.1:80 -s wrr\n-a -t 10.9.0.1:80 -r 127.0.0.1:80 -m -w 2\n"
    for step, master in (("start", "one"), ("failed", "two"), ("returned", "one")):
        for node, seen in report[step].items():
            has = node == master
            assert seen["address"] is has, (step, node, seen)
            assert sorted(seen["table"].splitlines()) == sorted((own + (pool if has else "")).splitlines()), (
                step,
                node,
            )
            roles = {"master", "backup"} & set(seen["sync"])
            assert roles == {"master" if has else "backup"}, (step, node, seen)
    for node, seen in report["stopped"].items():
        assert (seen["table"], seen["sync"], seen["address"]) == ("", [], False), node

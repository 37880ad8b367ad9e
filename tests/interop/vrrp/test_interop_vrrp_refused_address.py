"""The kernel refuses an address, and takes it later."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykeepalived.tools.lab import wait_until
from tests.interop.vrrp.vrrp_single import single

pytestmark = pytest.mark.netns

TEXT = """
vrrp_instance V1 {
    state BACKUP
    interface eth0
    virtual_router_id 51
    version 3
    priority 200
    advert_int 0.2
    virtual_ipaddress {
        10.9.0.51/24
    }
    virtual_ipaddress_excluded {
        2001:db8::51/64
    }
}
"""


def test_a_master_gets_its_address_when_the_kernel_takes_it(tmp_path: Path) -> None:
    with single("ours", TEXT, tmp_path) as router:

        def addresses() -> str:
            return router.here.ip("addr", "show", "dev", "eth0")

        router.here.sysctl("net.ipv6.conf.eth0.disable_ipv6", 1)
        router.start()
        router.wait_said("(V1) Entering MASTER STATE")
        router.wait_said("Netlink: cannot add 2001:db8::51/64 to eth0")
        assert "10.9.0.51/24" in addresses()
        assert "2001:db8::51" not in addresses()
        router.here.sysctl("net.ipv6.conf.eth0.disable_ipv6", 0)
        router.wait_said("Netlink: add 2001:db8::51/64 to eth0 succeeded after a failure")
        assert "2001:db8::51/64" in addresses()
        router.stop()
        wait_until(lambda: "db8::51" not in addresses(), 30, "the address to go")

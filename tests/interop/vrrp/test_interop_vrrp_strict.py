"""strict_mode: what it forces, beside Debian's keepalived on one file."""

from __future__ import annotations

import concurrent.futures
import re
from pathlib import Path
from typing import Any

import pytest

from pykeepalived.dialects.keepalived.load import load
from pykeepalived.model import VrrpState
from pykeepalived.tools.lab import wait_until
from tests.interop.vrrp.test_interop_vrrp_vmac import NEWER, PROGRAMS, instance
from tests.interop.vrrp.vrrp_single import single

pytestmark = [pytest.mark.netns, pytest.mark.peer]

TEXT = "".join(
    [
        instance("V1", "eth0", 51, " preempt_delay 5\n down_timer_adverts 5", "10.9.0.51/24"),
        instance("V2", "eth0", 52, " accept", "10.9.0.52"),
        instance("V3", "eth0", 53, " lower_prio_no_advert false\n garp_lower_prio_repeat 3", "10.9.0.53"),
        instance("V4", "eth1", 54, " use_vmac 02:00:00:00:00:09\n vmac_xmit_base", "10.8.0.54"),
        instance("V5", "eth0", 55, " higher_prio_send_advert", "2001:db8::55"),
        instance("V6", "eth0", 56, " authentication {\n auth_type PASS\n auth_pass abc\n}", "10.9.0.56")
        .replace("version 3", "version 2").replace("advert_int 0.3", "advert_int 1").replace("BACKUP", "MASTER"),
        instance("V7", "eth0", 57, "", "10.9.0.57").replace("priority 254", "priority 255"),
        instance("V8", "eth1", 58, " strict_mode off", "10.8.0.58"),
        instance("V9", "eth1", 59, " accept", "10.8.0.59").replace("version 3", "version 2")
        .replace("advert_int 0.3", "advert_int 1"),
    ]
)  # fmt: skip


def look(program: str, text: str, into: Path) -> tuple[Any, ...]:
    with single(program, text, into) as router:
        router.start()
        router.wait_said("Entering MASTER STATE", count=9)
        for address in ("10.9.0.56", "10.8.0.59", "10.9.0.57"):
            wait_until(lambda address=address: router.here.has_address(address), 120, f"{address} is there")
        seen = (router.virtual_links(), NEWER.sub("", router.ruleset()), router.addresses("eth0"))
        router.stop()
        return seen


@pytest.mark.shows("vrrp_instance.strict_mode", "global_defs.vrrp_strict")
@pytest.mark.parametrize("everywhere", [True, False], ids=["global", "instance"])
def test_the_same_is_forced(everywhere: bool, tmp_path: Path) -> None:
    text = "global_defs {\n vrrp_strict\n}\n" + TEXT
    if not everywhere:
        text = re.sub(r"(vrrp_instance (?!V8)V\d \{\n)", r"\1 strict_mode\n", TEXT)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        ours, theirs = pool.map(lambda program: look(program, text, tmp_path), PROGRAMS[::-1])
    assert ours[0] == theirs[0]
    assert ours[1] == theirs[1].replace("icmpv6 type mld2-listener-report", "icmpv6 type @mld-report")
    assert ours[2] == theirs[2]
    assert "10.9.0.51" in ours[1]
    assert "10.9.0.52" not in ours[1]
    assert "10.9.0.57" not in ours[1]
    assert "10.8.0.58" not in ours[1]


@pytest.mark.shows("vrrp_instance.strict_mode")
def test_what_strict_mode_makes_of_an_instance(tmp_path: Path) -> None:
    path = tmp_path / "strict.conf"
    path.write_text("global_defs {\n vrrp_strict\n}\n" + TEXT)
    found = {item.name: item for item in load(str(path)).config.instances}
    assert (found["V1"].preempt_delay_us, found["V1"].down_timer_adverts) == (0, 3)
    assert found["V3"].lower_prio_no_advert
    assert found["V3"].garp.lower_prio_repeat == 0
    assert found["V4"].vmac is not None
    assert found["V4"].vmac.mac is None
    assert not found["V4"].vmac_xmit_base
    assert not found["V5"].higher_prio_send_advert
    assert found["V6"].authentication is None
    assert found["V6"].initial_state is VrrpState.BACKUP
    assert found["V7"].initial_state is VrrpState.MASTER
    assert found["V7"].owner_ignore_adverts
    assert found["V7"].accept
    assert found["V2"].accept
    assert not found["V9"].accept
    assert not found["V8"].strict
    path.write_text(
        instance("V1", "eth0", 51, " strict_mode\n unicast_peer {\n 10.9.0.2\n}", "10.9.0.51")
        + instance("V2", "eth0", 52, " strict_mode\n no_virtual_ipaddress").replace("virtual_ipaddress {\n\n}", "")
    )
    assert load(str(path)).config.instances == ()


@pytest.mark.shows("vrrp_instance.strict_mode")
def test_what_comes_for_the_virtual_mac_is_forwarded_by_a_master_only(tmp_path: Path) -> None:
    """The setting of the interface, through faults, reloads and a kill; with packets in tests/conformance."""
    words = "use_vmac\n strict_mode\n track_file {\n health\n}"
    strict = "track_file health {\n file /run/health\n}\n" + instance("V1", "eth0", 51, words, "10.9.0.100")
    with single("ours", strict, tmp_path) as router:
        router.here.sysctl("net.ipv4.ip_forward", 1)

        def forwarding(value: str) -> None:
            path = "/proc/sys/net/ipv4/conf/vrrp.51/forwarding"
            wait_until(lambda: router.here.run("cat", path, check=False).stdout.strip() == value, 120, value)

        def health(value: int) -> None:
            router.here.run("sh", "-c", f"echo {value} >/run/health")

        health(0)
        router.start()
        router.wait_said("Entering MASTER STATE")
        forwarding("1")
        health(-254)
        router.wait_said("Entering FAULT STATE")
        forwarding("0")
        router.write(strict.replace(" strict_mode\n", ""))
        router.reload()
        forwarding("1")
        router.write(strict)
        router.reload()
        forwarding("0")
        health(0)
        router.wait_said("Entering MASTER STATE", count=2)
        forwarding("1")
        # What a killed one left is as it was; the next one begins as BACKUP.
        router.kill()
        health(-254)
        router.start()
        forwarding("0")
        router.stop()

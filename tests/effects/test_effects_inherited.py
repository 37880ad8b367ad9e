"""Words of global_defs that blocks inherit, from the file to what VRRP acts on; an instance's own word counts more."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykeepalived.dialects.keepalived import load
from pykeepalived.model import VrrpInstance
from tests.dialects.keepalived.fake_host import FakeHost


def instance(tmp_path: Path, above: str = "", own: str = "") -> VrrpInstance:
    path = tmp_path / "a.conf"
    path.write_text(
        f"global_defs {{\n{above}\n}}\nvrrp_instance V {{\n    interface eth0\n    virtual_router_id 7\n    {own}\n"
        "    virtual_ipaddress {\n        10.0.0.9\n    }\n}\n",
        encoding="ascii",
    )
    (found,) = load(str(path), config_id="lb1", host=FakeHost()).config.instances
    return found


def value(found: VrrpInstance, field: str) -> object:
    return getattr(found if hasattr(found, field) else found.garp, field)


@pytest.mark.shows(
    "global_defs.{vrrp_garp_master_delay,vrrp_garp_master_repeat,vrrp_garp_master_refresh}",
    "global_defs.{vrrp_garp_master_refresh_repeat,vrrp_garp_lower_prio_delay,vrrp_garp_lower_prio_repeat}",
    "global_defs.{vrrp_lower_prio_no_advert,vrrp_higher_prio_send_advert,vrrp_skip_check_adv_addr}",
    "global_defs.{vrrp_notify_priority_changes,vrrp_check_unicast_src,vrrp_down_timer_adverts}",
)
@pytest.mark.parametrize(
    ("word", "text", "own", "field"),
    [
        ("vrrp_garp_master_delay", "9", "garp_master_delay 3", "delay_us"),
        ("vrrp_garp_master_repeat", "9", "garp_master_repeat 3", "repeat"),
        ("vrrp_garp_master_refresh", "9", "garp_master_refresh 3", "refresh_us"),
        ("vrrp_garp_master_refresh_repeat", "9", "garp_master_refresh_repeat 3", "refresh_repeat"),
        ("vrrp_garp_lower_prio_delay", "9", "garp_lower_prio_delay 3", "lower_prio_delay_us"),
        ("vrrp_garp_lower_prio_repeat", "9", "garp_lower_prio_repeat 3", "lower_prio_repeat"),
        ("vrrp_down_timer_adverts", "9", "down_timer_adverts 4", "down_timer_adverts"),
        ("vrrp_lower_prio_no_advert", "", "lower_prio_no_advert false", "lower_prio_no_advert"),
        ("vrrp_higher_prio_send_advert", "", "higher_prio_send_advert false", "higher_prio_send_advert"),
        ("vrrp_skip_check_adv_addr", "", "", "skip_check_adv_addr"),
        ("vrrp_notify_priority_changes", "", "notify_priority_changes false", "notify_priority_changes"),
        ("vrrp_check_unicast_src", "", "", "check_unicast_src"),
    ],
)
def test_an_instance_has_what_is_said_for_all(word: str, text: str, own: str, field: str, tmp_path: Path) -> None:
    usual = value(instance(tmp_path), field)
    given = value(instance(tmp_path, f"{word} {text}"), field)
    expected = True if not text else 9_000_000 if field.endswith("_us") else 9
    assert usual != given == expected
    if own:
        assert value(instance(tmp_path, f"{word} {text}", own), field) not in (given,)

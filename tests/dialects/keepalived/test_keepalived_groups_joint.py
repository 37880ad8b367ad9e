"""What an instance and its sync group both track: the weight that counts, as seen in keepalived 2.2.7 and 2.4.3."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykeepalived.dialects.keepalived import load

CASES = {
    "both": ("weight 10", "weight 7", 7),
    "none in the group": ("weight 10", "", 0),
    "none in the instance": ("", "weight 7", 0),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["interface", "script"])
def test_weight_of_what_both_track(kind: str, case: str, tmp_path: Path) -> None:
    own, of_group, expected = CASES[case]
    name = {"interface": "eth7", "script": "chk"}[kind]
    file = tmp_path / "keepalived.conf"
    file.write_text(f"""
global_defs {{
    dynamic_interfaces
}}
vrrp_script chk {{
    script /usr/bin/true
}}
vrrp_sync_group G {{
    group {{
        A
    }}
    sync_group_tracking_weight
    track_{kind} {{
        {name} {of_group}
    }}
}}
vrrp_instance A {{
    interface eth9
    virtual_router_id 1
    virtual_ipaddress {{
        10.0.0.1/24
    }}
    track_{kind} {{
        {name} {own}
    }}
}}
""")
    (instance,) = load(str(file)).config.instances
    (tracked,) = getattr(instance, f"track_{kind}s")
    assert tracked.weight == expected

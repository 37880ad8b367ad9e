"""ipvlan, VRF and IPVS in other namespaces, beside Debian's keepalived: one boot of the test kernel, which has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykeepalived.tools.guest import USUAL_MODULES, run_in_guest

ROOT = Path(__file__).parents[3]


@pytest.mark.uml
@pytest.mark.netns
@pytest.mark.peer
@pytest.mark.shows("vrrp_instance.{use_ipvlan,vrf}", "vrrp_instance.use_ipvlan.{name,bridge,private,vepa,group}")
@pytest.mark.shows("{net_namespace,net_namespace_ipvs}")
def test_what_only_the_test_kernel_has() -> None:
    result = run_in_guest(
        "python -m pytest -q -p no:cacheprovider -p no:xdist --tb=short -ra "
        "tests/interop/vrrp/guest_ipvlan.py tests/interop/vrrp/guest_namespaces.py",
        timeout_s=240,
        directory=ROOT,
        memory_mb=768,
        modules=(*USUAL_MODULES, "ipvlan", "vrf"),
    )
    assert result.exit_code == 0, result.output
    assert "skipped" not in result.output, result.output

"""How large the receiving sockets of adverts are made."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pykeepalived.model import GlobalDefs
from pykeepalived.model.vrrp import Authentication, AuthType, VrrpInstance
from pykeepalived.netio.frames.vrrp import advert_specs, largest_advert
from pykeepalived.netio.frames.vrrp_layers import packet
from pykeepalived.runtime.vrrp_endpoints import Endpoint, wishes
from tests.vrrp.playbook import address, instance

pytestmark = pytest.mark.shows(
    "global_defs.{vrrp_rx_bufs_policy,vrrp_rx_bufs_multiplier}", "vrrp_instance.kernel_rx_buf_size"
)
OURS = 1 << 20
MONITOR = SimpleNamespace(link=lambda name: SimpleNamespace(index=7, mtu=9000))


def size(settings: GlobalDefs, *instances: VrrpInstance) -> int:
    endpoints = [Endpoint(each, "224.0.0.18", settings) for each in instances]
    (wish,) = wishes(endpoints, MONITOR).values()  # type: ignore[arg-type]
    return wish.receive_buffer


def test_without_a_word_it_is_ours():
    assert size(GlobalDefs(), instance(), instance("B", 52)) == OURS


@pytest.mark.parametrize(
    ("policy", "multiplier", "expected"), [("MTU", 3, 27_000), ("MTU", 5, 45_000), (70_000, 3, 70_000)]
)
def test_policies(policy: str | int, multiplier: int, expected: int):
    settings = GlobalDefs(rx_bufs_policy=policy, rx_bufs_multiplier=multiplier)
    assert size(settings, instance()) == expected
    assert size(settings, instance(), instance("B", 52)) == 2 * expected
    assert size(settings, instance(kernel_rx_buf_size=500)) == 500


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"version": 3},
        {"authentication": Authentication(AuthType.AH, b"x")},
        {"version": 3, "addresses": (address("fe80::51/64"), address("2001:db8::51/64"))},
    ],
)
def test_the_size_of_an_advert_is_known_before_it_is_built(words: dict[str, object]):
    config = instance(**words)
    ipv6 = "addresses" in words
    (spec,) = advert_specs(config, "fe80::1" if ipv6 else "10.0.0.1", "ff02::12" if ipv6 else "224.0.0.18")
    assert len(bytes(packet(spec, 100))) == largest_advert(config)
    assert size(GlobalDefs(rx_bufs_policy="ADVERT", rx_bufs_multiplier=4), config) == 4 * largest_advert(config)

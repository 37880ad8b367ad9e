"""Builds adverts with scapy, so that the ladder is checked against somebody else's idea of the wire."""

from __future__ import annotations

import pytest

pytest.importorskip("scapy")

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.vrrp import VRRP, VRRPv3

from pykeepalived.model.common import Family
from pykeepalived.vrrp.expectation import Expectation
from pykeepalived.vrrp.receive import Ladder


def packet(
    layer: object, source: str = "10.0.0.2", destination: str = "224.0.0.18", ttl: int = 255, **words: object
) -> bytes:
    return bytes(IP(src=source, dst=destination, ttl=ttl, proto=words.pop("proto", 112), **words) / layer)


def v2(priority: int = 100, addresses: tuple[str, ...] = ("10.0.0.51",), vrid: int = 51, **words: object) -> VRRP:
    values = {"adv": 1, "addrlist": list(addresses), "ipcount": len(addresses), "auth1": 0, "auth2": 0}
    return VRRP(vrid=vrid, priority=priority, **(values | words))


def v3(priority: int = 100, addresses: tuple[str, ...] = ("10.0.0.51",), vrid: int = 51, **words: object) -> VRRPv3:
    values = {"adv": 100, "addrlist": list(addresses), "ipcount": len(addresses)}
    return VRRPv3(vrid=vrid, priority=priority, **(values | words))


def v3_ipv6(source: str, destination: str, layer: VRRPv3) -> bytes:
    """The VRRP message alone, with the checksum that scapy gives it under an IPv6 header."""
    return bytes(IPv6(src=source, dst=destination, hlim=255, nh=112) / layer)[40:]


def expected(name: str = "A", **words: object) -> Expectation:
    values: dict[str, object] = {
        "vrid": 51,
        "family": Family.INET,
        "interface": "eth0",
        "version": 3,
        "interval_us": 1_000_000,
    }
    return Expectation(instance=name, **(values | words))  # type: ignore[arg-type]


def ladder(*expectations: Expectation) -> Ladder:
    return Ladder(expectations or (expected(),))

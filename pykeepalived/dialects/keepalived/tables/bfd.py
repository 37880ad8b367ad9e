"""bfd_instance."""

# fmt: off

from __future__ import annotations

from typing import Final

from pykeepalived.dialects.keepalived.readers import Duration, Integer
from pykeepalived.dialects.keepalived.rows import Table, flag, switch, value
from pykeepalived.dialects.keepalived.tables.common import ADDRESS, WEIGHT_253
from pykeepalived.dialects.keepalived.tables.trackers import weight_row
from pykeepalived.units import MILLISECOND_US

_MILLISECONDS: Final = Duration(
    MILLISECOND_US, 4_294_967 * MILLISECOND_US, places=3, unit_us=MILLISECOND_US, unit="milliseconds"
)
_IDLE: Final = Duration(
    1_000 * MILLISECOND_US, 4_294_967 * MILLISECOND_US, places=3, unit_us=MILLISECOND_US, unit="milliseconds"
)
_TTL: Final = Integer(1, 255)

BFD_INSTANCE: Final = Table(
    "bfd_instance",
    value("source_ip", ADDRESS, field="source", help="our address"),
    value("neighbor_ip", ADDRESS, field="neighbor", help="the peer"),
    value("neighbour_ip", ADDRESS, field="neighbor", same_as="neighbor_ip", help="British spelling"),
    value("min_rx", _MILLISECONDS, field="min_rx_us", default="10", help="least interval that we receive"),
    value("min_tx", _MILLISECONDS, field="min_tx_us", default="10", help="interval that we wish to send"),
    value("idle_tx", _IDLE, field="idle_tx_us", default="1000", help="interval while the session is not Up"),
    value("multiplier", Integer(1, 255), field="multiplier", default="5", help="missed packets before Down"),
    flag("passive", field="passive", help="say nothing until the peer was heard"),
    value("ttl", _TTL, field="ttl", default="255, multihop 64", help="TTL of what we send"),
    value("hoplimit", _TTL, field="ttl", same_as="ttl", help="same, IPv6 wording"),
    value("max_hops", Integer(-1, 255), field="max_hops", default="0", help="routers that packets may have crossed"),
    switch("multihop", field="multihop", since="2.4", help="RFC 5883 session"),
    weight_row(WEIGHT_253, "0"),
    flag("vrrp", field="vrrp", help="report to VRRP"),
    flag("checker", field="checker", help="report to the checkers"),
)

"""`announce`: say again who holds the addresses of an instance (D-Bus's SendGarp)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pykeepalived.runtime.control_shapes import Announced
from pykeepalived.runtime.requests.row import RequestRow, hand_over


class AnnounceAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=300, description="An instance or a sync group.")]


ROW = RequestRow(
    name="announce",
    help="Send gratuitous ARP and unsolicited NA for all addresses of an instance that is MASTER; others keep quiet.",
    run=hand_over("vrrp", "announce"),
    arguments=AnnounceAsked,
    answer=Announced,
    steers=True,
)

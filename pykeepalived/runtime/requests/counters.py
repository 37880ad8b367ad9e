"""`counters`: what the kernel counts of each real server, as often as somebody asks for it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pykeepalived.runtime.control_shapes import KernelCounters
from pykeepalived.runtime.requests.row import RequestRow, hand_over


class CountersPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whole virtual servers from number `first` on, until so many real servers are among them."""

    first: Annotated[int, msgspec.Meta(ge=0)] = 0
    servers: Annotated[int, msgspec.Meta(ge=1, le=2000)] = 2000


ROW = RequestRow(
    name="counters",
    help="Connections, packets and bytes of each real server as the kernel counts them. They come in pages as those of "
    "`status`: `next` of the answer is `first` of the next page. From nftables up to 2,000, refused beyond.",
    run=hand_over("checker", "counters"),
    arguments=CountersPart,
    answer=KernelCounters,
)

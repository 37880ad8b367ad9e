"""`counters`: what the kernel counts of each real server, as often as somebody asks for it."""

from __future__ import annotations

from pykeepalived.runtime.control_shapes import KernelCounters
from pykeepalived.runtime.requests.row import RequestRow, hand_over

ROW = RequestRow(
    name="counters",
    help="Connections, packets and bytes of each real server as the kernel counts them; refused beyond 2,000 of them.",
    run=hand_over("checker", "counters"),
    answer=KernelCounters,
)

"""`checks-run`: ask real servers now, whatever the schedule says."""

from __future__ import annotations

import msgspec

from pykeepalived.runtime.control_shapes_explain import Explained
from pykeepalived.runtime.requests.drain import ServerName, ServiceName
from pykeepalived.runtime.requests.row import RequestRow, hand_over


class ChecksAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    service: ServiceName
    server: ServerName = ""


ROW = RequestRow(
    name="checks-run",
    help="Begin every check of a real server, or of all those of a virtual server, at once. The answer is the state "
    "before; `answers` of a check grows when it has ended.",
    run=hand_over("checker", "checks-run"),
    arguments=ChecksAsked,
    answer=Explained,
    steers=True,
)

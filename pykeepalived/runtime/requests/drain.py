"""`drain`, `undrain`, `drains`: take real servers out without breaking connections (`runtime.lvs_drain`)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pykeepalived.runtime.control_shapes import Drains
from pykeepalived.runtime.lvs_drain import DEFAULT_TIMEOUT_S, LONGEST_TIMEOUT_S
from pykeepalived.runtime.requests.row import RequestRow, hand_over

ServiceName = Annotated[
    str, msgspec.Meta(max_length=300, description="A virtual server as status names it, or ADDRESS:PORT.")
]
ServerName = Annotated[str, msgspec.Meta(max_length=300, description="A real server likewise, or its address alone.")]


class WhichServer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    service: ServiceName
    server: ServerName


class DrainAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    service: ServiceName
    server: ServerName
    timeout_s: Annotated[int, msgspec.Meta(ge=0, le=LONGEST_TIMEOUT_S)] = DEFAULT_TIMEOUT_S


DRAIN = RequestRow(
    name="drain",
    help="No new connections for a real server; it leaves when the old ones have ended or the time is over, and stays "
    "out over reloads.",
    run=hand_over("checker", "drain"),
    arguments=DrainAsked,
    answer=Drains,
    steers=True,
)
UNDRAIN = RequestRow(name="undrain", help="Put a drained real server back.", run=hand_over("checker", "undrain"),
                     arguments=WhichServer, answer=Drains, steers=True)  # fmt: skip
DRAINS = RequestRow(name="drains", help="How far a drain is.", run=hand_over("checker", "drains"),
                    arguments=WhichServer, answer=Drains)  # fmt: skip

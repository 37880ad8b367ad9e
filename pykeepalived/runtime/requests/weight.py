"""`weight`: another weight for a real server until it is taken back."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pykeepalived.runtime.control_shapes_explain import Explained
from pykeepalived.runtime.requests.drain import ServerName, ServiceName
from pykeepalived.runtime.requests.row import RequestRow, hand_over


class WeightAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    service: ServiceName
    server: ServerName
    weight: Annotated[int, msgspec.Meta(ge=0, le=65535, description="null: that of the configuration.")] | None = None


ROW = RequestRow(
    name="weight",
    help="Another weight for a real server, over reloads, until it is null again. Checks that change weights do not "
    "change this one.",
    run=hand_over("checker", "weight"),
    arguments=WeightAsked,
    answer=Explained,
    steers=True,
)

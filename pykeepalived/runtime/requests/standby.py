"""`standby` and `resume`: hand MASTER over on purpose, and take part again (`vrrp.standby`)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pykeepalived.runtime.control_shapes import StandbyStates
from pykeepalived.runtime.requests.row import RequestRow, hand_over
from pykeepalived.runtime.vrrp_standby import LONGEST_S

Name = Annotated[str, msgspec.Meta(max_length=300, description="An instance or a sync group; empty: all instances.")]


class StandbyAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name = ""
    for_s: Annotated[int, msgspec.Meta(ge=1, le=LONGEST_S, description="Resume by itself then.")] | None = None


class ResumeAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name = ""


STANDBY = RequestRow(
    name="standby",
    help="Be no MASTER until `resume`: a MASTER says goodbye with priority 0. It lasts over reloads and restarts.",
    run=hand_over("vrrp", "standby"),
    arguments=StandbyAsked,
    answer=StandbyStates,
    steers=True,
)
RESUME = RequestRow(name="resume", help="Take part in elections again.", run=hand_over("vrrp", "resume"),
                    arguments=ResumeAsked, answer=StandbyStates, steers=True)  # fmt: skip

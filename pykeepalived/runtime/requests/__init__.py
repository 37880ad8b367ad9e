"""The requests of the control socket: the table of all rows, and the way from a line to its row."""

from __future__ import annotations

from typing import Final

import msgspec

from pykeepalived.runtime.control import Answer, Request
from pykeepalived.runtime.requests import (
    announce,
    checks_run,
    config,
    counters,
    drain,
    events,
    explain,
    identity,
    reload,
    scripts,
    standby,
    status,
    weight,
)
from pykeepalived.runtime.requests.row import Desk, RequestRow

__all__ = ["ROWS", "Desk", "RequestRow", "dispatch"]

ROWS: Final = {
    row.name: row
    for row in (
        identity.ROW,
        status.ROW,
        events.ROW,
        explain.ROW,
        scripts.ROW,
        announce.ROW,
        standby.STANDBY,
        standby.RESUME,
        weight.ROW,
        checks_run.ROW,
        drain.DRAIN,
        drain.UNDRAIN,
        drain.DRAINS,
        reload.ROW,
        config.ROW,
        counters.ROW,
    )
}


def dispatch(desk: Desk, request: Request, answer: Answer) -> None:
    """Answer one request, now or when the children have answered."""
    row = ROWS.get(request.command)
    if row is None:
        answer.refuse(f"unknown command {request.command[:100]!r}")
        return
    if row.steers and not answer.steers:
        answer.refuse(f"{row.name}: the right to read is not enough, see control_group in keepalived.conf(5)")
        return
    try:
        arguments = msgspec.convert(request.arguments, row.arguments)
    except msgspec.ValidationError as error:
        answer.refuse(f"{row.name}: {error}")
        return
    row.run(desk, arguments, answer)

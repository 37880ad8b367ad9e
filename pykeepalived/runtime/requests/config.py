"""`config`: the configuration that runs, as the model holds it. It has passwords in it, so it is not for readers."""

from __future__ import annotations

from typing import Any

import msgspec

from pykeepalived.runtime.control import Answer
from pykeepalived.runtime.control_shapes import RunningConfig
from pykeepalived.runtime.requests.row import Desk, NoArguments, RequestRow


def _run(desk: Desk, _arguments: NoArguments, answer: Answer) -> None:
    try:
        text = msgspec.json.encode(desk.configuration())
    except (UnicodeEncodeError, msgspec.MsgspecError, TypeError):
        answer.refuse("config: the configuration holds text that is not UTF-8")
        return
    body: dict[str, Any] = {"config": msgspec.Raw(text)}
    answer.reply(desk.identity() | body)


ROW = RequestRow(
    name="config",
    help="The running configuration in the shape of docs/model.schema.json, with its passwords.",
    run=_run,
    answer=RunningConfig,
    steers=True,
)

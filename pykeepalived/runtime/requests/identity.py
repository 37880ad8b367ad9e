"""`identity`: who answers on this socket."""

from __future__ import annotations

from pykeepalived.runtime.control import Answer
from pykeepalived.runtime.control_shapes import Identity
from pykeepalived.runtime.requests.row import Desk, NoArguments, RequestRow


def _run(desk: Desk, _arguments: NoArguments, answer: Answer) -> None:
    answer.reply(desk.identity())


ROW = RequestRow(name="identity", help="Program, versions, process, configuration, namespace.", run=_run,
                 answer=Identity)  # fmt: skip

"""`reload`: as SIGHUP, for who has no right to send signals. What became of it stands in `status` and `events`."""

from __future__ import annotations

from pykeepalived.runtime.control import Answer
from pykeepalived.runtime.control_shapes import Asked
from pykeepalived.runtime.requests.row import Desk, NoArguments, RequestRow


def _run(desk: Desk, _arguments: NoArguments, answer: Answer) -> None:
    last = desk.events.last
    desk.reload()
    answer.reply({"asked": True, "since": last})


ROW = RequestRow(
    name="reload",
    help="Read the configuration again. The event `reload` after the number `since` says how it went.",
    run=_run,
    answer=Asked,
    steers=True,
)

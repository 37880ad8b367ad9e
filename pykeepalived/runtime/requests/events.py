"""`events`: what happened, numbered; with `follow` also what will."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from pykeepalived.runtime.control import Answer
from pykeepalived.runtime.control_shapes import Events
from pykeepalived.runtime.requests.row import Desk, RequestRow


class EventsAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    since: Annotated[int, msgspec.Meta(ge=0, description="Events after this number.")] = 0
    epoch: Annotated[
        str, msgspec.Meta(max_length=64, description="Whose numbers `since` counts; of another daemon's all are told.")
    ] = ""
    follow: Annotated[bool, msgspec.Meta(description="Go on: each further event is an answer of its own.")] = False


def _run(desk: Desk, asked: EventsAsked, answer: Answer) -> None:
    ring = desk.events
    since = asked.since if asked.epoch in {"", ring.epoch} else 0
    found = ring.since(since)
    # Numbers have no gaps: what is missing at the front was dropped to stay within the ring.
    lost = max(0, ring.oldest - since - 1) if since < ring.last else 0
    body: dict[str, Any] = {"epoch": ring.epoch, "last": ring.last, "lost": lost, "events": found}
    if not asked.follow:
        answer.reply(body)
        return
    stream = answer.begin(body)
    if stream is not None:
        stream.gone = ring.follow(
            lambda event: stream.send({"epoch": ring.epoch, "last": event["seq"], "lost": 0, "events": [event]})
        )


ROW = RequestRow(
    name="events",
    help="State changes of instances, groups, servers and sessions, reloads, restarts of processes. The last 1,000 are "
    'kept. With `follow` a further answer comes for each event, and `{"heartbeat": true}` every 10 s.',
    run=_run,
    arguments=EventsAsked,
    answer=Events,
    streams=True,
)

"""`explain`: why an instance is MASTER or not, why a real server is up or not."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from pykeepalived.runtime.control import Answer
from pykeepalived.runtime.control_shapes_explain import Explained
from pykeepalived.runtime.requests.row import Desk, RequestRow, hand_over


class ExplainAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[
        str,
        msgspec.Meta(max_length=300, description="A VRRP instance, a sync group, a virtual server or a real server."),
    ]
    server: Annotated[str, msgspec.Meta(max_length=300, description="A real server of the virtual server `name`.")] = ""


def _run(desk: Desk, asked: ExplainAsked, answer: Answer) -> None:
    config = desk.configuration()
    known = {item.name for item in config.instances} | {item.name for item in config.sync_groups}
    if not asked.server and asked.name in known:
        hand_over("vrrp", "explain")(desk, asked, answer)
        return
    name = asked.name
    checker = next((item for item in desk.children() if item.word == "checker"), None)
    if checker is None:
        answer.refuse(f"no VRRP instance and no sync group is called {asked.name[:100]!r}")
        return

    def as_server(body: dict[str, Any]) -> None:
        """A single name may be that of a virtual server, else that of a real server."""
        if "error" in body and not asked.server:
            checker.ask_command("explain", {"service": "", "server": name}, lambda found: _settle(found, name, answer))
        else:
            _settle(body, name, answer)

    checker.ask_command("explain", {"service": asked.name, "server": asked.server}, as_server)


def _settle(body: dict[str, Any], name: str, answer: Answer) -> None:
    if "error" not in body:
        answer.reply(body)
    elif "no virtual server" in str(body["error"]):
        answer.refuse(f"no instance, sync group, virtual server or real server is called {name[:100]!r}")
    else:
        answer.refuse(str(body["error"]))


ROW = RequestRow(
    name="explain",
    help="Why an instance is MASTER or not (priority as a sum, trackers, adverts heard, refusals, next timer), why a "
    "real server is up or not (last results, retries left, what holds it down). `why` says it in sentences.",
    run=_run,
    arguments=ExplainAsked,
    answer=Explained,
)

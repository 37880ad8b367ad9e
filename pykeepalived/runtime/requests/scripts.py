"""`scripts`: the last runs of every script, from all processes."""

from __future__ import annotations

from typing import Any

from pykeepalived.runtime.control import Answer
from pykeepalived.runtime.control_shapes import Scripts
from pykeepalived.runtime.requests.row import Desk, NoArguments, RequestRow


def _run(desk: Desk, _arguments: NoArguments, answer: Answer) -> None:
    found: list[dict[str, Any]] = []
    missing = {child.word for child in desk.children()}

    def collected(word: str, body: dict[str, Any]) -> None:
        found.extend({"process": word, **item} for item in body.get("scripts", ()))
        missing.discard(word)
        if not missing:
            answer.reply({"scripts": sorted(found, key=lambda item: (item["process"], item["command"]))})

    if not missing:
        answer.reply({"scripts": []})
    for child in desk.children():
        child.ask_command("scripts", {}, lambda body, word=child.word: collected(word, body))  # type: ignore[misc]


ROW = RequestRow(
    name="scripts",
    help="The last 5 runs of each script and notify program: exit status, duration, the end of the output. What "
    "notify programs write goes to the daemon's own output as well.",
    run=_run,
    answer=Scripts,
)

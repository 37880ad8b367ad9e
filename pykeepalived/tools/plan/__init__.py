"""What a reload would do, object by object, before it does it: two configurations in, changes out."""

from __future__ import annotations

from pykeepalived.model.config import Config
from pykeepalived.runtime.programs import SOURCES
from pykeepalived.runtime.reload_duties import keep_unchangeable
from pykeepalived.tools.plan import lvs, vrrp
from pykeepalived.tools.plan.change import Change, Verb, differences

__all__ = ["Change", "Verb", "plan"]


class _Said:
    """Takes down what a reload would write to the log."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def error(self, text: str) -> None:
        self.lines.append(text)

    info = detail = error


def plan(old: Config, new: Config) -> list[Change]:
    """Everything that differs in what it means. Nothing is told of a line that only moved."""
    said = _Said()
    kept = keep_unchangeable(new, old.globals, said)
    found = [Change("global_defs", line.split(" at a reload")[0].removeprefix("Cannot change "), Verb.CANNOT,
                    "it keeps its value until the daemon is restarted") for line in said.lines]  # fmt: skip
    for source in SOURCES:
        before, after = source.needed(old), source.needed(kept)
        if before is not after:
            verb, effect = (Verb.ADD, "it is started") if after else (Verb.REMOVE, "it is stopped")
            found.append(Change("process", source.kind.word, verb, effect))
    lines = differences(old.globals, kept.globals)
    if lines:
        found.append(Change("global_defs", "", Verb.CHANGE, "", lines))
    for field in ("static_addresses", "static_routes", "static_rules"):
        before_, after_ = getattr(old, field), getattr(kept, field)
        if before_ != after_:
            details = tuple(
                [f"- {_words(item)}" for item in before_ if item not in after_]
                + [f"+ {_words(item)}" for item in after_ if item not in before_]
            )
            found.append(Change(field.replace("_", " "), "", Verb.CHANGE, "added and taken away one by one", details))
    return [*found, *vrrp.changes(old, kept), *lvs.changes(old, kept)]


def _words(item: object) -> str:
    words = getattr(item, "words", None)
    return " ".join(words) if words is not None else str(getattr(item, "prefix", item))

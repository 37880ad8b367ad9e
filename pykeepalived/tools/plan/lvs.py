"""What a reload does to virtual and real servers."""

from __future__ import annotations

from collections.abc import Iterator

from pykeepalived.lvs.desired import services_of
from pykeepalived.lvs.names import ServiceRef
from pykeepalived.model.config import Config
from pykeepalived.model.lvs import RealServer
from pykeepalived.tools.plan.change import Change, Verb, differences


def changes(old: Config, new: Config) -> Iterator[Change]:
    before = {ref.key: ref for ref in services_of(old)}
    after = {ref.key: ref for ref in services_of(new)}
    for key, ref in before.items():
        if key not in after:
            effect = "it leaves the kernel's table, and its connections are cut off"
            yield Change("virtual server", ref.name, Verb.REMOVE, effect)
    for key, ref in after.items():
        if key not in before:
            names = tuple(f"real server {ref.server_name(item)}" for item in ref.server.real_servers)
            yield Change("virtual server", ref.name, Verb.ADD, "it enters the kernel's table", names)
        elif ref.server != before[key].server:
            yield from _service(before[key], ref)


def _service(old: ServiceRef, new: ServiceRef) -> Iterator[Change]:
    lines = differences(old.server, new.server, {"real_servers"})
    if lines:
        yield Change("virtual server", new.name, Verb.CHANGE, "it is changed in place; connections go on", lines)
    before = {(item.address, item.port): item for item in old.server.real_servers}
    after = {(item.address, item.port): item for item in new.server.real_servers}
    for key, item in before.items():
        if key not in after:
            effect = "it leaves the table with its connections; `keepalivedctl drain` first spares them"
            yield Change("real server", _name(old, item), Verb.REMOVE, effect)
    for key, item in after.items():
        if key not in before:
            waits = any(checker.timing.alpha for checker in item.checkers)
            effect = "it enters the table after its first success" if waits else "it enters the table at once"
            yield Change("real server", _name(new, item), Verb.ADD, effect)
        elif item != before[key]:
            lines = differences(before[key], item, {"checkers"})
            checks = () if item.checkers == before[key].checkers else _checks(before[key], item)
            yield Change("real server", _name(new, item), Verb.CHANGE, "its state stays", (*lines, *checks))


def _name(ref: ServiceRef, item: RealServer) -> str:
    return f"{ref.server_name(item)} of {ref.name}"


def _checks(old: RealServer, new: RealServer) -> tuple[str, ...]:
    """Checks that ask the same keep their state."""
    kept = {spec.question for spec in old.checkers} & {spec.question for spec in new.checkers}
    fresh = sum(spec.question not in kept for spec in new.checkers)
    gone = sum(spec.question not in kept for spec in old.checkers)
    lines = [f"checks: {fresh} begin anew"] if fresh else []
    lines += [f"checks: {gone} end"] if gone else []
    return tuple(lines) or ("checks: other times, the same questions: they keep their state",)

"""What a reload does to virtual routers and what they depend on (keepalived-behaviour 7.9)."""

from __future__ import annotations

from collections.abc import Iterator

from pykeepalived.model.config import Config
from pykeepalived.model.vrrp import VrrpInstance
from pykeepalived.tools.plan.change import Change, Verb, differences
from pykeepalived.vrrp.facts import InstanceKey, instance_key

_NAMED = (
    ("sync_groups", "sync group"),
    ("scripts", "script"),
    ("track_files", "track file"),
    ("track_processes", "track process"),
    ("bfd_instances", "BFD session"),
)


def changes(old: Config, new: Config) -> Iterator[Change]:
    yield from _instances(old, new)
    for field, kind in _NAMED:
        before = {item.name: item for item in getattr(old, field)}
        after = {item.name: item for item in getattr(new, field)}
        for name in before.keys() - after.keys():
            yield Change(kind, name, Verb.REMOVE, "what depended on it goes on without it")
        for name, item in after.items():
            if name not in before:
                yield Change(kind, name, Verb.ADD, "")
            elif item != before[name]:
                yield Change(kind, name, Verb.CHANGE, "its results stay", differences(before[name], item, {"name"}))


def _instances(old: Config, new: Config) -> Iterator[Change]:
    """Virtual routers are matched by VRID, family and interface, not by name."""
    waiting = list(old.instances)
    keys: dict[InstanceKey, list[VrrpInstance]] = {}
    for item in waiting:
        keys.setdefault(instance_key(item), []).append(item)
    fresh = []
    for item in new.instances:
        candidates = keys.get(instance_key(item), [])
        match = next((known for known in candidates if known.name == item.name), candidates[0] if candidates else None)
        if match is None:
            fresh.append(item)
            continue
        candidates.remove(match)
        waiting.remove(match)
        if match.name != item.name:
            yield Change(
                "instance", match.name, Verb.RENAME, "it keeps its state", (f"name: {match.name} → {item.name}",)
            )
        lines = differences(match, item, {"name"})
        if lines:
            yield Change("instance", item.name, Verb.CHANGE, _effect(match, item), lines)
    gone = {item.name: item for item in waiting}
    for item in fresh:
        if item.name in gone:
            lines = differences(gone.pop(item.name), item)
            effect = "another virtual router: as MASTER it says goodbye, lets its addresses go and begins in BACKUP"
            yield Change("instance", item.name, Verb.REPLACE, effect, lines)
        else:
            yield Change("instance", item.name, Verb.ADD, "it begins in BACKUP", _addresses(item))
    for item in gone.values():
        yield Change(
            "instance", item.name, Verb.REMOVE, "as MASTER it says goodbye and lets its addresses go", _addresses(item)
        )


def _addresses(item: VrrpInstance) -> tuple[str, ...]:
    return tuple(f"address {each.prefix}" for each in (*item.addresses, *item.excluded_addresses))


def _effect(old: VrrpInstance, new: VrrpInstance) -> str:
    gone = [each for each in old.addresses if each not in new.addresses]
    if gone:
        return "its state stays; the addresses that are gone are taken away at once"
    if old.priority != new.priority and not new.nopreempt:
        return "its state stays, and the new priority counts in the next election"
    return "its state stays"
